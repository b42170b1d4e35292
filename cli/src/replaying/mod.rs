//! Plays a recording: sends its messages when they are due.
//!
//! ```text
//!   files ──▶ ahead ──▶ positions, messages ──▶ player ──▶ stage ──▶ viewers
//!             a thread that reads               waits until each is due
//!
//!   timeline    where each message is in what is played
//!   schedule    when that is reached
//!   edit        what is changed of a message
//!   lateness    how late it was
//! ```

mod edit;
mod lateness;
mod schedule;
mod timeline;

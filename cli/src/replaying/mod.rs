//! Plays a recording: sends its messages when they are due.
//!
//! ```text
//!   files ──▶ ahead ──▶ positions, messages ──▶ player ──▶ stage ──▶ viewers
//!             a thread that reads               waits until each is due
//!                                                 ▲ control: keys, signals
//!
//!   timeline    where each message is in what is played
//!   schedule    when that is reached
//!   edit        what is changed of a message
//!   lateness    how late it was
//! ```

pub(crate) mod ahead;
pub(crate) mod control;
pub(crate) mod edit;
mod lateness;
pub(crate) mod player;
pub(crate) mod schedule;
pub(crate) mod stage;
pub(crate) mod timeline;

//! Nothing lost over restarts, for [`leads_comm`]: numbered messages, a history of them, and receivers that go on where
//! they were.
//!
//! The library itself delivers each message at most once: what a connection could not send when it ended is lost, and
//! counted. Here a [`Publisher`] keeps what it has published in a [`History`], and a [`Subscriber`] says on each
//! connection which message it has last. So neither a connection that breaks, nor an end of either program, costs a
//! message or brings one twice, as long as the history reaches back far enough and the receiving program stores the
//! [`Position`] together with what it makes of the message. Where something is missing all the same, the subscriber is
//! told of a [`Gap`].
//!
//! Peers that know nothing of it, such as LEADS's own, see a server like any other.
//!
#![doc = include_str!("../README.md")]

mod epochs;
mod error;
mod feed;
mod gap;
mod history;
mod in_flight;
mod position;
mod position_file;
mod progress;
mod publisher;
mod spool;
mod subscriber;
mod wire;

pub use error::PublishError;
pub use gap::Gap;
pub use history::{Bounds, History, HistoryError};
pub use position::{ParsePositionError, Position};
pub use position_file::PositionFile;
pub use publisher::Publisher;
pub use spool::{Backlog, Spool, Taken};
pub use subscriber::{Subscriber, Subscription, subscription};

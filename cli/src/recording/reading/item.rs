//! What a recording consists of, whatever the format of its file.

use std::sync::Arc;

use super::channel::Channel;

/// One thing after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    Message(Message),
    /// A record that is no message: its channel says why.
    Other {
        channel: Arc<Channel>,
        time: u64,
        len: usize,
    },
    /// What the recorder noted by the way.
    Note(mcap::records::Metadata),
    /// The program that made the file.
    MadeBy(String),
    /// Something cannot be read: in words. What follows can.
    Damaged(String),
}

/// A message that was received or sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) channel: Arc<Channel>,
    /// When, in nanoseconds since 1970.
    pub(crate) time: u64,
    pub(crate) payload: Vec<u8>,
}

use std::error;
use std::fmt;

use leads_comm::Error;

use crate::{HistoryError, Position};

/// Why a message was not published.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum PublishError {
    /// The server cannot send it, with a number of up to 20 digits and a colon in front: [`Error::MessageTooLong`] or
    /// [`Error::InvalidMessage`]. Where the separator has digits or a colon, that may be so for every message, or with
    /// some numbers only; those are published, and told to subscribers as a [`Gap`](crate::Gap).
    Message(Error),
    /// It is what a publisher says to its subscribers, word for word: `resumed` or `gap`, and a [`Position`].
    Reserved,
    /// The history could not write it.
    History(HistoryError),
    /// It is published, and subscribers get it; but peers without numbers did not, because the server's key function
    /// panicked.
    NotBroadcast {
        /// Where it is.
        position: Position,
        /// What the server said.
        source: Error,
    },
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(_) => f.write_str("the message cannot be sent with a number"),
            Self::Reserved => f.write_str("the message is one of the protocol's own"),
            Self::History(_) => f.write_str("the message could not be kept"),
            Self::NotBroadcast { position, .. } => {
                write!(f, "the message {position} is kept, and could not be broadcast")
            }
        }
    }
}

impl error::Error for PublishError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Message(source) | Self::NotBroadcast { source, .. } => Some(source),
            Self::History(source) => Some(source),
            Self::Reserved => None,
        }
    }
}

impl From<HistoryError> for PublishError {
    fn from(error: HistoryError) -> Self {
        Self::History(error)
    }
}

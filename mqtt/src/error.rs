use std::error;
use std::fmt;
use std::io;
use std::sync::Arc;

use leads_comm_resume::HistoryError;

/// What went wrong in a call. What goes wrong later, on a thread of the bridge, is an [`Event`](crate::Event).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Error {
    /// A setting is out of its range. From [`build`](crate::BridgeBuilder::build).
    InvalidSetting {
        /// The method that sets it.
        setting: &'static str,
        /// What it has to be.
        requirement: &'static str,
    },
    /// A message, with its topic, would be longer than a packet [may be](crate::BridgeBuilder::max_packet_len). Nothing
    /// of it is published.
    TooLong {
        /// How many bytes its payload has.
        len: usize,
        /// How many it may have, with such a key.
        limit: usize,
    },
    /// The key of a message is too long for a topic. Nothing of it is published.
    KeyTooLong {
        /// How many bytes the key has.
        len: usize,
        /// How many it may have.
        limit: usize,
    },
    /// The bridge has not been started: it publishes nothing yet.
    NotStarted,
    /// The bridge has been started before. It runs once; build another.
    AlreadyStarted,
    /// The bridge has been closed, or is being closed.
    Closed,
    /// The client of the broker could not be built or started.
    Client(leads_comm::Error),
    /// What waits could not be opened.
    Backlog(HistoryError),
    /// The system has no thread left.
    SpawnThread {
        /// What it reported.
        source: Arc<io::Error>,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidSetting { setting, requirement } => write!(f, "invalid setting: {setting} {requirement}"),
            Self::TooLong { len, limit } => write!(f, "a message of {len} bytes is over the limit of {limit} bytes"),
            Self::KeyTooLong { len, limit } => write!(f, "a key of {len} bytes is over the limit of {limit} bytes"),
            Self::NotStarted => f.write_str("the bridge has not been started"),
            Self::AlreadyStarted => f.write_str("the bridge has been started before"),
            Self::Closed => f.write_str("the bridge has been closed"),
            Self::Client(_) => f.write_str("the broker's client cannot be used"),
            Self::Backlog(_) => f.write_str("what waits for the broker cannot be opened"),
            Self::SpawnThread { .. } => f.write_str("cannot start the thread that sends to the broker"),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Client(source) => Some(source),
            Self::Backlog(source) => Some(source),
            Self::SpawnThread { source } => Some(&**source),
            _ => None,
        }
    }
}

impl From<HistoryError> for Error {
    fn from(error: HistoryError) -> Self {
        Self::Backlog(error)
    }
}

//! What goes wrong, said in such a way that one sees whose fault it was.

use std::error;
use std::fmt;
use std::io;

use crate::access::Stranger;
use crate::upgrade::NoUpgrade;

/// What a WebSocket fails with. Inside the [`io::Error`] that a service tells;
/// [`reported`](leads_comm::transport::reported) finds it there.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The caller asked for no WebSocket, or not in the right way.
    Request(NoUpgrade),
    /// The caller's host or origin is not among those that are let in.
    Stranger(Stranger),
    /// The caller asked for another path.
    Path,
    /// The caller speaks none of the subprotocols.
    Subprotocol,
    /// The other side says more than 16 KiB before it comes to the point.
    HeadTooLong,
    /// The server refuses the WebSocket.
    Refused {
        /// The status of its answer, such as 403.
        status: u16,
    },
    /// The server's answer is none to what was asked.
    Answer {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The peer has sent a message longer than it may be.
    TooLong {
        /// How many bytes it may have.
        limit: usize,
    },
    /// What the peer has sent is no WebSocket, or no text where it says so.
    Malformed {
        /// What is wrong with it.
        what: String,
    },
    /// The stream ended without a Close.
    CutOff,
    /// The handshake has not been made.
    NotOpen,
}

impl Error {
    fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Refused { .. } => io::ErrorKind::ConnectionRefused,
            Self::CutOff => io::ErrorKind::UnexpectedEof,
            Self::NotOpen => io::ErrorKind::NotConnected,
            _ => io::ErrorKind::InvalidData,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(error) => error.fmt(f),
            Self::Stranger(error) => error.fmt(f),
            Self::Path => f.write_str("the caller asks for a path that is not served"),
            Self::Subprotocol => f.write_str("the caller speaks none of the subprotocols"),
            Self::HeadTooLong => f.write_str("the head of the peer's request or answer is longer than 16 KiB"),
            Self::Refused { status } => write!(f, "the server refuses the WebSocket, with status {status}"),
            Self::Answer { what } => write!(f, "the server's answer is none to a WebSocket: {what}"),
            Self::TooLong { limit } => write!(f, "the peer sent a message of more than {limit} bytes"),
            Self::Malformed { what } => write!(f, "what the peer sent is no WebSocket: {what}"),
            Self::CutOff => f.write_str("the stream ended without a Close"),
            Self::NotOpen => f.write_str("the handshake of the WebSocket has not been made"),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Request(error) => error.source(),
            _ => None,
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error)
    }
}

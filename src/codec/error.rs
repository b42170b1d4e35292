use std::error;
use std::fmt;

use super::FramingError;

/// Why a message cannot be framed. Nothing has been written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// The separator occurs in `message ++ separator` before the message's end.
    ContainsSeparator {
        /// Where it occurs, in bytes from the message's start.
        at: usize,
    },
    /// The message is the reserved word `disconnect`; close the connection instead.
    IsGoodbye,
    /// Its length does not fit into the 4 bytes in front of it.
    TooLong {
        /// How many bytes it has.
        len: usize,
    },
    /// A framing of the program's own does not take it.
    ByProgram(FramingError),
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ContainsSeparator { at } => write!(f, "the separator would split the message at byte {at}"),
            Self::ByProgram(_) => f.write_str("the program's framing does not take the message"),
            Self::TooLong { len } => write!(f, "a length of {len} bytes does not fit into 4 bytes"),
            Self::IsGoodbye => f.write_str("the message is the reserved goodbye `disconnect`"),
        }
    }
}

impl error::Error for EncodeError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::ByProgram(error) => Some(error),
            _ => None,
        }
    }
}

/// Why a decoder cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// A payload is longer than the decoder's limit.
    MessageTooLong {
        /// The limit, in payload bytes.
        limit: usize,
    },
    /// What has arrived is nothing that a framing of the program's own would make.
    Malformed(FramingError),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MessageTooLong { limit } => write!(f, "a message is longer than the limit of {limit} bytes"),
            Self::Malformed(_) => f.write_str("what has arrived is no frame"),
        }
    }
}

impl error::Error for DecodeError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::MessageTooLong { .. } => None,
            Self::Malformed(error) => Some(error),
        }
    }
}

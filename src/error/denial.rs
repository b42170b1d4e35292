use std::error;
use std::fmt;
use std::io;
use std::sync::Arc;

use super::text::{first_line, write_sources};
use crate::codec::{DecodeError, FramingError};

/// Why a caller was not authenticated: the facts of
/// [`RefusalCause::NotAuthenticated`](crate::RefusalCause::NotAuthenticated).
///
/// Holds nothing of what the caller has sent. The caller is told the goodbye and nothing else.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum DenialCause {
    /// Its first message was not the [`token`](crate::ServerBuilder::token).
    WrongToken,
    /// The program's [authenticator](crate::ServerBuilder::authenticate) did not let it in.
    ByProgram(Denied),
    /// The program's authenticator panicked, which [`on_fail`](crate::Callback::on_fail) is told of besides.
    AuthenticatorPanicked,
    /// Its first message was longer than any may be here.
    MessageTooLong {
        /// The limit, in payload bytes.
        limit: usize,
    },
    /// What it sent is no frame to the [framing of the program's own](crate::codec::CustomFraming), or made that
    /// panic.
    MalformedFrame {
        /// What the framing says.
        source: FramingError,
    },
    /// Its first message was the goodbye.
    Goodbye,
    /// Its stream ended before its first message was whole.
    Closed {
        /// How much of it had arrived.
        unfinished_bytes: usize,
    },
    /// Its stream failed before its first message was whole.
    Io {
        /// What the system, or the transport, reported.
        source: Arc<io::Error>,
    },
}

impl DenialCause {
    /// Whether it was an attempt to get in without the right, as far as one can tell. Who says nothing, or leaves, may
    /// be somebody who looks whether the server is there; and a panic is ours.
    pub(crate) fn is_held_against(&self) -> bool {
        match self {
            Self::WrongToken | Self::ByProgram(_) | Self::MessageTooLong { .. } => true,
            Self::MalformedFrame { source } => source.panic().is_none(),
            Self::AuthenticatorPanicked | Self::Goodbye | Self::Closed { .. } | Self::Io { .. } => false,
        }
    }
}

/// Why a caller is not authenticated whose first message cannot be told.
impl From<DecodeError> for DenialCause {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::MessageTooLong { limit } => Self::MessageTooLong { limit },
            DecodeError::Malformed(source) => Self::MalformedFrame { source },
        }
    }
}

impl fmt::Display for DenialCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongToken => f.write_str("its first message is not the token"),
            Self::ByProgram(_) => f.write_str("denied by the program"),
            Self::AuthenticatorPanicked => f.write_str("the authenticator panicked"),
            Self::MessageTooLong { limit } => write!(f, "its first message is longer than {limit} bytes"),
            Self::MalformedFrame { .. } => f.write_str("its first message is no frame"),
            Self::Goodbye => f.write_str("it said goodbye first"),
            Self::Closed { unfinished_bytes } => {
                write!(f, "its stream ended {unfinished_bytes} bytes into its first message")
            }
            Self::Io { .. } => f.write_str("its stream failed before its first message"),
        }?;
        write_sources(f, self)
    }
}

impl error::Error for DenialCause {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Io { source } => Some(&**source),
            Self::ByProgram(denied) => Some(denied),
            Self::MalformedFrame { source } => Some(source),
            _ => None,
        }
    }
}

/// That an [`Authenticator`](crate::Authenticator) does not let a caller in, and why.
///
/// What it says is for this side only: it is logged and told to [`on_fail`](crate::Callback::on_fail), and never sent.
/// It should not hold what the caller has sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    text: Arc<str>,
}

impl Denied {
    /// A denial that says why in a few words.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into().into() }
    }

    /// Why, in those words. Displayed, it is the first line of them.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl From<&str> for Denied {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Denied {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        first_line(&self.text).fmt(f)
    }
}

impl error::Error for Denied {}

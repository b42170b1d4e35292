use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::text::{first_line, write_sources};
use crate::codec::{DecodeError, FramingError};
use crate::stats::{DisconnectKind, Volume};

/// Why a connection has ended, and what did not arrive because of it.
///
/// Displayed in one line: the cause, and behind it what was lost, where something was. `{reason:#}` says what caused
/// the cause as well, such as the error of the system.
///
/// # Examples
///
/// ```
/// use leads_comm::{DisconnectCause, DisconnectReason};
///
/// /// Whether an end is worth telling of.
/// fn is_bad(reason: &DisconnectReason) -> bool {
///     match &reason.cause {
///         DisconnectCause::PeerGoodbye | DisconnectCause::ServiceClosed => reason.undelivered.unsent.messages > 0,
///         _ => true,
///     }
/// }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DisconnectReason {
    /// Why: the first cause, when there were several. (But a goodbye that the peer had sent explains a write that
    /// failed before it was read, and that a server refuses this client explains every regular end.)
    pub cause: DisconnectCause,
    /// What had been accepted from a sender but did not arrive, in either direction.
    pub undelivered: Undelivered,
}

impl DisconnectReason {
    /// A reason as a connection would give it, for instance to test with what a program makes of one.
    pub fn new(cause: DisconnectCause, undelivered: Undelivered) -> Self {
        Self { cause, undelivered }
    }

    /// Which kind of end it was: that of its cause.
    pub fn kind(&self) -> DisconnectKind {
        self.cause.kind()
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cause, undelivered: Undelivered { unfinished_bytes, unsent, dropped } } = self;
        cause.fmt(f)?;
        if *unfinished_bytes > 0 {
            write!(f, ", {unfinished_bytes} bytes of an unfinished message discarded")?;
        }
        for (Volume { messages, bytes }, fate) in [(unsent, "unsent"), (dropped, "dropped")] {
            match messages {
                0 => {}
                1 => write!(f, ", 1 message ({bytes} bytes) {fate}")?,
                _ => write!(f, ", {messages} messages ({bytes} bytes) {fate}")?,
            }
        }
        Ok(())
    }
}

/// Has the source of its cause.
impl Error for DisconnectReason {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.source()
    }
}

/// Why a connection has ended, with the facts: the part of a [`DisconnectReason`] that says why.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum DisconnectCause {
    /// The peer said goodbye: the message `disconnect`. It may have any reason, also that it does not accept what it
    /// was sent.
    PeerGoodbye,
    /// The server did not let this client in: it has no room for it, does not want it, or asks for something that was
    /// not its first message. It has thrown away all that was sent, and [`Undelivered::unsent`] counts that. Also where
    /// the connection was closed here before that was known. Only of clients without a
    /// [token](crate::ClientBuilder::token): with one, there is no connection before the client is let in
    /// ([`Error::NotLetIn`](crate::Error::NotLetIn)).
    NotLetIn,
    /// The peer closed its stream without a goodbye.
    PeerClosed,
    /// The stream was cut off without the end that its protocol has: by a peer that was killed or does not know better,
    /// or by somebody in between, who would have the last of what was sent go unnoticed. What had arrived was
    /// delivered. Only over transports that can tell, such as TLS.
    Truncated,
    /// [`Connection::close`](crate::Connection::close) was called here.
    LocalClose,
    /// [`Connection::abort`](crate::Connection::abort) was called here.
    LocalAbort,
    /// The service was closed here.
    ServiceClosed,
    /// The peer sent a message over the limit: [`max_received_len`](crate::ServerBuilder::max_received_len).
    MessageTooLong {
        /// The limit, in payload bytes.
        limit: usize,
    },
    /// The peer sent what is no frame to a [framing of the program's own](crate::codec::CustomFraming).
    MalformedFrame {
        /// What the framing says.
        source: FramingError,
    },
    /// The peer began a message and did not finish it in time:
    /// [`partial_message_timeout`](crate::Timeouts::partial_message_timeout). How much of it there was is in
    /// [`Undelivered::unfinished_bytes`].
    PartialMessageTimeout {
        /// The time that it had.
        timeout: Duration,
    },
    /// Nothing arrived from the peer for too long: [`idle_timeout`](crate::ServerBuilder::idle_timeout).
    IdleTimeout {
        /// The time that it had.
        timeout: Duration,
    },
    /// The peers together sent more of messages that were not whole than there was memory for, and this one the most,
    /// or it needed more when there was none:
    /// [`max_total_unfinished_bytes`](crate::MemoryLimits::max_total_unfinished_bytes). How much of its message there
    /// was is in [`Undelivered::unfinished_bytes`].
    TotalUnfinishedBytes {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The peer did not read as fast as it was sent to.
    SlowConsumer {
        /// The limit that was reached.
        limit: OutboundLimit,
    },
    /// `on_connect` or `on_receive` panicked, or the [filter](crate::Delivery::filter), as `filter`, or a [framing of
    /// the program's own](crate::codec::CustomFraming), as `encode` or `decode`.
    CallbackPanicked {
        /// The method that panicked.
        callback: &'static str,
        /// The panic's message, where it was text.
        message: String,
    },
    /// A thread that the connection needs has failed, by a defect of the library: its own reader, or one that every
    /// connection of the service needs. Then the service ends, and
    /// [`Error::ServiceFailed`](crate::Error::ServiceFailed) tells `on_fail` of it.
    ServiceFailed {
        /// The panic's message, where it was text.
        message: String,
    },
    /// Reading or writing failed, for instance because the peer reset the connection, or because it has vanished and
    /// the system has given up on it ([`dead_peer_timeout`](crate::Timeouts::dead_peer_timeout)).
    Io {
        /// What the system, or the transport, reported.
        source: Arc<io::Error>,
    },
}

impl DisconnectCause {
    /// Which kind of cause it is, without its facts.
    pub fn kind(&self) -> DisconnectKind {
        match self {
            Self::PeerGoodbye => DisconnectKind::PeerGoodbye,
            Self::NotLetIn => DisconnectKind::NotLetIn,
            Self::PeerClosed => DisconnectKind::PeerClosed,
            Self::Truncated => DisconnectKind::Truncated,
            Self::LocalClose => DisconnectKind::LocalClose,
            Self::LocalAbort => DisconnectKind::LocalAbort,
            Self::ServiceClosed => DisconnectKind::ServiceClosed,
            Self::MessageTooLong { .. } => DisconnectKind::MessageTooLong,
            Self::MalformedFrame { .. } => DisconnectKind::MalformedFrame,
            Self::PartialMessageTimeout { .. } => DisconnectKind::PartialMessageTimeout,
            Self::IdleTimeout { .. } => DisconnectKind::IdleTimeout,
            Self::TotalUnfinishedBytes { .. } => DisconnectKind::TotalUnfinishedBytes,
            Self::SlowConsumer { .. } => DisconnectKind::SlowConsumer,
            Self::CallbackPanicked { .. } => DisconnectKind::CallbackPanicked,
            Self::ServiceFailed { .. } => DisconnectKind::ServiceFailed,
            Self::Io { .. } => DisconnectKind::Io,
        }
    }

    /// Whether the peer is dropped for something that it, or the program, did wrong.
    pub(crate) fn is_fault(&self) -> bool {
        matches!(
            self,
            Self::MessageTooLong { .. }
                | Self::MalformedFrame { .. }
                | Self::PartialMessageTimeout { .. }
                | Self::TotalUnfinishedBytes { .. }
                | Self::SlowConsumer { .. }
                | Self::CallbackPanicked { .. }
        )
    }

    /// Whether it is what the peer sent, of which nothing more is wanted.
    pub(crate) fn is_what_came(&self) -> bool {
        let is_message = matches!(self, Self::PeerGoodbye | Self::MessageTooLong { .. } | Self::MalformedFrame { .. });
        is_message || matches!(self, Self::NotLetIn) || self.is_unfinished_message()
    }

    /// Whether it is that nothing came.
    pub(crate) fn is_silence(&self) -> bool {
        matches!(self, Self::IdleTimeout { .. })
    }

    /// Whether it is a message that was not whole.
    pub(crate) fn is_unfinished_message(&self) -> bool {
        matches!(self, Self::PartialMessageTimeout { .. } | Self::TotalUnfinishedBytes { .. })
    }

    pub(crate) fn io(error: impl Into<Arc<io::Error>>) -> Self {
        Self::Io { source: error.into() }
    }
}

/// What ends a connection whose reader cannot go on.
impl From<DecodeError> for DisconnectCause {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::MessageTooLong { limit } => Self::MessageTooLong { limit },
            DecodeError::Malformed(source) => match source.panic() {
                Some(message) => Self::CallbackPanicked { callback: "decode", message: message.to_owned() },
                None => Self::MalformedFrame { source },
            },
        }
    }
}

impl fmt::Display for DisconnectCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerGoodbye => f.write_str("the peer said goodbye"),
            Self::NotLetIn => f.write_str("the server did not let the client in"),
            Self::PeerClosed => f.write_str("the peer closed the stream without goodbye"),
            Self::Truncated => f.write_str("the stream was cut off"),
            Self::LocalClose => f.write_str("the connection was closed here"),
            Self::LocalAbort => f.write_str("the connection was aborted here"),
            Self::ServiceClosed => f.write_str("the service was closed"),
            Self::MessageTooLong { limit } => write!(f, "the peer sent a message over the limit of {limit} bytes"),
            Self::MalformedFrame { .. } => f.write_str("the peer sent what is no frame"),
            Self::PartialMessageTimeout { timeout } => {
                write!(f, "the peer did not finish a message within {timeout:?}")
            }
            Self::IdleTimeout { timeout } => write!(f, "nothing arrived from the peer for {timeout:?}"),
            Self::TotalUnfinishedBytes { limit } => {
                write!(f, "the unfinished messages of all peers together need more than {limit} bytes")
            }
            Self::SlowConsumer { limit } => write!(f, "the peer reads too slowly: {limit}"),
            Self::CallbackPanicked { callback, message } => {
                write!(f, "the callback {callback} panicked: {}", first_line(message))
            }
            Self::ServiceFailed { message } => write!(f, "the service failed: {}", first_line(message)),
            Self::Io { .. } => f.write_str("the stream failed"),
        }?;
        write_sources(f, self)
    }
}

impl Error for DisconnectCause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io { source } => Some(&**source),
            Self::MalformedFrame { source } => Some(source),
            _ => None,
        }
    }
}

/// What was lost with a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Undelivered {
    /// Bytes received of a message whose separator never came; not given to `on_receive`. 0 when the end began here,
    /// unless because of that message.
    pub unfinished_bytes: usize,
    /// Messages that `send` or `broadcast` had accepted and that were not handed to the system whole, and those of
    /// their bytes, separators included, that were not. All that were accepted, where the client was [not let
    /// in](DisconnectCause::NotLetIn).
    pub unsent: Volume,
    /// Messages that were dropped because the queue was full: after they had been accepted under
    /// [`SlowConsumer::DropOldest`](crate::SlowConsumer::DropOldest), instead of it under
    /// [`SlowConsumer::DropNewest`](crate::SlowConsumer::DropNewest).
    pub dropped: Volume,
}

/// A limit on what waits to be sent to one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutboundLimit {
    /// The queue would have held more than this many bytes, overhead included.
    QueuedBytes(usize),
    /// The queues of all peers of the service would have held more than this many bytes.
    TotalQueuedBytes(usize),
    /// The peer took nothing for this long, as far as writes can tell: see
    /// [`stall_timeout`](crate::Timeouts::stall_timeout).
    Stalled(Duration),
}

impl fmt::Display for OutboundLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QueuedBytes(limit) => write!(f, "more than {limit} bytes are waiting for it"),
            Self::TotalQueuedBytes(limit) => write!(f, "more than {limit} bytes are waiting for all peers together"),
            Self::Stalled(time) => write!(f, "it took nothing for {time:?}"),
        }
    }
}

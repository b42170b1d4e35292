use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::error::first_line;
use crate::stats::DisconnectKind;

/// Why a connection has ended: the first cause, when there were several. (But a goodbye that the peer had sent explains
/// a write that failed before it was read.)
///
/// Every variant carries what did not arrive because of it; [`undelivered`](Self::undelivered) reads it from any.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The peer said goodbye: the message `disconnect`. It may have any reason, also that it has no room for this
    /// connection, or does not accept what it was sent.
    PeerGoodbye {
        /// What did not arrive.
        undelivered: Undelivered,
    },
    /// The peer closed its stream without a goodbye.
    PeerClosed {
        /// What did not arrive.
        undelivered: Undelivered,
    },
    /// The stream was cut off without the end that its protocol has: by a peer that was killed or does not know better,
    /// or by somebody in between, who would have the last of what was sent go unnoticed. What had arrived was
    /// delivered. Only over transports that can tell, such as TLS.
    Truncated {
        /// What did not arrive.
        undelivered: Undelivered,
    },
    /// [`Connection::close`](crate::Connection::close) was called here.
    LocalClose {
        /// What did not arrive.
        undelivered: Undelivered,
    },
    /// [`Connection::abort`](crate::Connection::abort) was called here.
    LocalAbort {
        /// What did not arrive.
        undelivered: Undelivered,
    },
    /// The service was closed here.
    ServiceClosed {
        /// What did not arrive.
        undelivered: Undelivered,
    },
    /// The peer sent a message over the limit: [`max_received_len`](crate::ServerBuilder::max_received_len).
    MessageTooLong {
        /// The limit, in payload bytes.
        limit: usize,
        /// What did not arrive.
        undelivered: Undelivered,
    },
    /// The peer began a message and did not finish it in time:
    /// [`partial_message_timeout`](crate::ServerBuilder::partial_message_timeout).
    PartialMessageTimeout {
        /// The time that it had.
        timeout: Duration,
        /// What did not arrive; `received_bytes` is how much of the message there was.
        undelivered: Undelivered,
    },
    /// Nothing arrived from the peer for too long: [`idle_timeout`](crate::ServerBuilder::idle_timeout).
    IdleTimeout {
        /// The time that it had.
        timeout: Duration,
        /// What did not arrive.
        undelivered: Undelivered,
    },
    /// The peers together sent more of messages that were not whole than there was memory for, and this one the most,
    /// or it needed more when there was none:
    /// [`max_total_unfinished_bytes`](crate::ServerBuilder::max_total_unfinished_bytes).
    TotalUnfinishedBytes {
        /// The limit, in bytes.
        limit: usize,
        /// What did not arrive; `received_bytes` is how much of the message there was.
        undelivered: Undelivered,
    },
    /// The peer did not read as fast as it was sent to.
    SlowConsumer {
        /// The limit that was reached.
        limit: OutboundLimit,
        /// What did not arrive.
        undelivered: Undelivered,
    },
    /// `on_connect` or `on_receive` panicked.
    CallbackPanicked {
        /// The method that panicked.
        callback: &'static str,
        /// The panic's message, where it was text.
        message: String,
        /// What did not arrive.
        undelivered: Undelivered,
    },
    /// A thread that the connection needs has failed, by a defect of the library: its own reader, or one that every
    /// connection of the service needs. Then the service ends, and
    /// [`Error::ServiceFailed`](crate::Error::ServiceFailed) tells `on_fail` of it.
    ServiceFailed {
        /// The panic's message, where it was text.
        message: String,
        /// What did not arrive.
        undelivered: Undelivered,
    },
    /// Reading or writing failed, for instance because the peer reset the connection, or because it has vanished and
    /// the system has given up on it ([`dead_peer_timeout`](crate::ServerBuilder::dead_peer_timeout)).
    Io {
        /// What the system, or the transport, reported.
        source: Arc<io::Error>,
        /// What did not arrive.
        undelivered: Undelivered,
    },
}

/// The facts that every variant carries.
macro_rules! undelivered {
    ($reason:expr) => {
        match $reason {
            DisconnectReason::PeerGoodbye { undelivered }
            | DisconnectReason::PeerClosed { undelivered }
            | DisconnectReason::Truncated { undelivered }
            | DisconnectReason::LocalClose { undelivered }
            | DisconnectReason::LocalAbort { undelivered }
            | DisconnectReason::ServiceClosed { undelivered }
            | DisconnectReason::MessageTooLong { undelivered, .. }
            | DisconnectReason::PartialMessageTimeout { undelivered, .. }
            | DisconnectReason::IdleTimeout { undelivered, .. }
            | DisconnectReason::TotalUnfinishedBytes { undelivered, .. }
            | DisconnectReason::SlowConsumer { undelivered, .. }
            | DisconnectReason::CallbackPanicked { undelivered, .. }
            | DisconnectReason::ServiceFailed { undelivered, .. }
            | DisconnectReason::Io { undelivered, .. } => undelivered,
        }
    };
}

impl DisconnectReason {
    /// Which kind of end it was.
    pub fn kind(&self) -> DisconnectKind {
        match self {
            Self::PeerGoodbye { .. } => DisconnectKind::PeerGoodbye,
            Self::PeerClosed { .. } => DisconnectKind::PeerClosed,
            Self::Truncated { .. } => DisconnectKind::Truncated,
            Self::LocalClose { .. } => DisconnectKind::LocalClose,
            Self::LocalAbort { .. } => DisconnectKind::LocalAbort,
            Self::ServiceClosed { .. } => DisconnectKind::ServiceClosed,
            Self::MessageTooLong { .. } => DisconnectKind::MessageTooLong,
            Self::PartialMessageTimeout { .. } => DisconnectKind::PartialMessageTimeout,
            Self::IdleTimeout { .. } => DisconnectKind::IdleTimeout,
            Self::TotalUnfinishedBytes { .. } => DisconnectKind::TotalUnfinishedBytes,
            Self::SlowConsumer { .. } => DisconnectKind::SlowConsumer,
            Self::CallbackPanicked { .. } => DisconnectKind::CallbackPanicked,
            Self::ServiceFailed { .. } => DisconnectKind::ServiceFailed,
            Self::Io { .. } => DisconnectKind::Io,
        }
    }

    /// What had been accepted from a sender but did not arrive, in either direction.
    pub fn undelivered(&self) -> Undelivered {
        *undelivered!(self)
    }

    pub(crate) fn set_undelivered(&mut self, facts: Undelivered) {
        *undelivered!(self) = facts;
    }

    /// Whether the peer was dropped for something that it, or the program, did wrong.
    pub(crate) fn is_for_cause(&self) -> bool {
        matches!(
            self,
            Self::MessageTooLong { .. }
                | Self::PartialMessageTimeout { .. }
                | Self::TotalUnfinishedBytes { .. }
                | Self::SlowConsumer { .. }
                | Self::CallbackPanicked { .. }
        )
    }

    /// Whether the cause is what the peer sent, of which nothing more is wanted.
    pub(crate) fn is_for_what_came(&self) -> bool {
        matches!(self, Self::PeerGoodbye { .. } | Self::MessageTooLong { .. }) || self.is_for_unfinished()
    }

    /// Whether a message that was not whole is the cause.
    pub(crate) fn is_for_unfinished(&self) -> bool {
        matches!(self, Self::PartialMessageTimeout { .. } | Self::TotalUnfinishedBytes { .. })
    }

    /// Whether the cause is that nothing came.
    pub(crate) fn is_for_silence(&self) -> bool {
        matches!(self, Self::IdleTimeout { .. })
    }

    pub(crate) fn io(error: impl Into<Arc<io::Error>>) -> Self {
        Self::Io { source: error.into(), undelivered: Undelivered::default() }
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerGoodbye { .. } => f.write_str("the peer said goodbye"),
            Self::PeerClosed { .. } => f.write_str("the peer closed the stream without goodbye"),
            Self::Truncated { .. } => f.write_str("the stream was cut off"),
            Self::LocalClose { .. } => f.write_str("the connection was closed here"),
            Self::LocalAbort { .. } => f.write_str("the connection was aborted here"),
            Self::ServiceClosed { .. } => f.write_str("the service was closed"),
            Self::MessageTooLong { limit, .. } => write!(f, "the peer sent a message over the limit of {limit} bytes"),
            Self::PartialMessageTimeout { timeout, .. } => {
                write!(f, "the peer did not finish a message within {timeout:?}")
            }
            Self::IdleTimeout { timeout, .. } => write!(f, "nothing arrived from the peer for {timeout:?}"),
            Self::TotalUnfinishedBytes { limit, .. } => {
                write!(f, "the unfinished messages of all peers together need more than {limit} bytes")
            }
            Self::SlowConsumer { limit, .. } => write!(f, "the peer reads too slowly: {limit}"),
            Self::CallbackPanicked { callback, message, .. } => {
                write!(f, "the callback {callback} panicked: {}", first_line(message))
            }
            Self::ServiceFailed { message, .. } => write!(f, "the service failed: {}", first_line(message)),
            Self::Io { source, .. } => write!(f, "the stream failed: {source}"),
        }?;
        let undelivered = self.undelivered();
        if undelivered.received_bytes > 0 {
            write!(f, ", {} bytes of an unfinished message discarded", undelivered.received_bytes)?;
        }
        let mut count = |messages, bytes, fate| match messages {
            0 => Ok(()),
            1 => write!(f, ", 1 message ({bytes} bytes) {fate}"),
            _ => write!(f, ", {messages} messages ({bytes} bytes) {fate}"),
        };
        count(undelivered.unsent_messages, undelivered.unsent_bytes, "unsent")?;
        count(undelivered.dropped_messages, undelivered.dropped_bytes, "dropped")
    }
}

/// What was lost with a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Undelivered {
    /// Bytes received of a message whose separator never came; not given to `on_receive`. 0 when the end began here,
    /// unless because of that message.
    pub received_bytes: usize,
    /// Messages that `send` or `broadcast` had accepted and that were not handed to the system whole.
    pub unsent_messages: usize,
    /// The bytes of those messages, separators included, that were not handed to the system.
    pub unsent_bytes: usize,
    /// Messages that were dropped because the queue was full: after they had been accepted under
    /// [`SlowConsumer::DropOldest`](crate::SlowConsumer::DropOldest), instead of it under
    /// [`SlowConsumer::DropNewest`](crate::SlowConsumer::DropNewest).
    pub dropped_messages: usize,
    /// The bytes of those messages, separators included.
    pub dropped_bytes: usize,
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
    /// [`stall_timeout`](crate::ServerBuilder::stall_timeout).
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

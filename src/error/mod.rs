//! What a program is told went wrong.

mod denial;
mod disconnect;
mod refusal;
mod report;
mod text;

use std::error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::codec::{EncodeError, SeparatorError};
pub use denial::{DenialCause, Denied};
pub use disconnect::{DisconnectCause, DisconnectReason, OutboundLimit, Undelivered};
pub use refusal::RefusalCause;
pub use report::Report;
use text::first_line;
pub(crate) use text::{OneLine, write_sources};

/// What went wrong, by what can be done about it: the program's mistakes first, then the service's or the connection's
/// state, then what the system refused.
///
/// Each failure is reported in one place: to the call that met it, or, when a thread of the service met it, to
/// [`Callback::on_fail`](crate::Callback::on_fail). Why a *connection* ended is not an `Error` but a
/// [`DisconnectReason`].
///
/// `{error}` says what went wrong here, and leaves what caused it to [`source`](error::Error::source); `{error:#}` says
/// both, in one line. So do all errors of the library.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Error {
    /// The separator cannot be used. From `build`.
    InvalidSeparator(SeparatorError),
    /// Two settings contradict each other, or one is out of its range. From `build`, and from
    /// [`set_delivery`](crate::Connection::set_delivery) and [`send_snapshot`](crate::Connection::send_snapshot); to
    /// `on_fail` where [`delivery_for`](crate::ServerBuilder::delivery_for) gives such a delivery, which refuses the
    /// caller: told at most once a second.
    InvalidSetting {
        /// The method that sets it, alone or as one of a group.
        setting: &'static str,
        /// What it has to be.
        requirement: &'static str,
    },
    /// The message cannot be framed; nothing of it was written.
    InvalidMessage(EncodeError),
    /// The message is longer than what may be sent; nothing of it was written. See
    /// [`ServerBuilder::max_sent_len`](crate::ServerBuilder::max_sent_len).
    MessageTooLong {
        /// Its length in bytes.
        len: usize,
        /// The longest that could be sent.
        limit: usize,
    },
    /// The service has been started before. A service runs once; build another.
    AlreadyStarted,
    /// The service has been closed.
    Closed,
    /// The client has no connection: it has not been started, its connection has ended, or it is connecting again and
    /// [keeps](crate::Reconnect::keep_bytes) nothing meanwhile.
    NotConnected,
    /// The client has no connection now, and what it keeps for the next one would be more than it may; the message was
    /// not accepted. See [`Reconnect::keep_bytes`](crate::Reconnect::keep_bytes).
    KeptFull {
        /// The limit that was reached.
        limit: OutboundLimit,
    },
    /// The connection has ended or is closing; the message was not accepted. From [`call`](crate::Connection::call)
    /// also when it ends before the answer has come.
    Disconnected,
    /// The peer does not read as fast as it is sent to; the connection has been ended for it, and the message was not
    /// accepted.
    SlowConsumer {
        /// The limit that was reached.
        limit: OutboundLimit,
    },
    /// The peer does not read as fast as it is sent to, and the message was dropped for it, as
    /// [`SlowConsumer::DropNewest`](crate::SlowConsumer::DropNewest) says. (Under
    /// [`SlowConsumer::DropOldest`](crate::SlowConsumer::DropOldest) only where dropping older messages makes no room,
    /// or all queues together are full.)
    Dropped {
        /// The limit that was reached.
        limit: OutboundLimit,
    },
    /// The time was over before all that had been accepted was handed to the system. From `flush`; the rest is still
    /// on its way.
    NotFlushed {
        /// How many bytes were left.
        bytes: usize,
    },
    /// The time was over before a message came that answers the request, which had been accepted. From
    /// [`call`](crate::Connection::call). An answer that comes later goes to
    /// [`on_receive`](crate::Callback::on_receive).
    TimedOut {
        /// The time that the answer was given.
        timeout: Duration,
    },
    /// The answer would have to be delivered by the very thread that is to wait for it: that of a callback of the same
    /// connection. From [`call`](crate::Connection::call); nothing was sent.
    WouldDeadlock,
    /// The server could not listen on its address.
    Bind {
        /// The address.
        address: String,
        /// What the system, or the transport, reported.
        source: Arc<io::Error>,
    },
    /// The client could not reach its server. From `start`; to `on_fail` when it tries again.
    Connect {
        /// The address as it was given.
        address: String,
        /// What the system, or the transport, reported.
        source: Arc<io::Error>,
    },
    /// The server did not let the client in: it has no room, does not want it, or was told a wrong
    /// [token](crate::ClientBuilder::token). Nothing was sent but that. As [`Connect`](Self::Connect): from `start`; to
    /// `on_fail` when it tries again. (A client without a token is a connection by then, which ends with
    /// [`DisconnectCause::NotLetIn`].)
    NotLetIn {
        /// The address as it was given.
        address: String,
    },
    /// The client has tried to connect again as often as it [may](crate::Reconnect::max_attempts), and ends. To
    /// `on_fail`, after the failure of each attempt.
    GaveUp {
        /// The address as it was given.
        address: String,
        /// How many attempts there were.
        attempts: u32,
    },
    /// The client has ended with messages that it had accepted while it was not connected, and could not send. To
    /// `on_fail`, once. What a connection could not send is in its
    /// [`DisconnectReason`].
    Unsent {
        /// How many messages.
        messages: u64,
        /// Their bytes, separators included.
        bytes: u64,
    },
    /// Nobody could be accepted; the server goes on, and callers wait. To `on_fail`, at most once a second while it is
    /// the same that goes wrong.
    Accept {
        /// What the system, or the transport, reported.
        source: Arc<io::Error>,
    },
    /// Callers were refused, with a goodbye where their stream could be written without blocking; the server goes on.
    /// To `on_fail`: at the first one, then at most once a second for each kind of cause, so that all of these together
    /// tell of every caller exactly once.
    Refused {
        /// How many, since that was told last.
        callers: u64,
        /// Why. Its facts are those of the last one.
        cause: RefusalCause,
    },
    /// A thread that the service cannot run without could not be started. From `start`. One that costs a caller its
    /// connection is told of as [`Refused`](Self::Refused).
    SpawnThread {
        /// The thread's name.
        name: String,
        /// What the system reported.
        source: Arc<io::Error>,
    },
    /// A thread that the whole service needs cannot go on: it has panicked, by a defect of the library, or the system
    /// does not tell it any more which streams take bytes. Every connection ends, and the service closes. To `on_fail`.
    ServiceFailed {
        /// The thread's name.
        name: String,
        /// What went wrong: the panic's message, where it was text, or what the system reported.
        message: String,
    },
    /// A callback panicked where no connection could be ended for it: `on_initialize`, `on_disconnect`, `on_reconnect`,
    /// or one whose connection was ending already. To `on_fail`. Also the hooks `admit`, `authenticate` and
    /// `delivery_for`, which refuse the caller by it: told at most once a second. From
    /// [`call`](crate::Connection::call), what tells its answer.
    CallbackPanicked {
        /// The method that panicked.
        callback: &'static str,
        /// The panic's message, where it was text.
        message: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidSeparator(_) => f.write_str("invalid separator"),
            Self::InvalidSetting { setting, requirement } => write!(f, "invalid setting: {setting} {requirement}"),
            Self::InvalidMessage(_) => f.write_str("invalid message"),
            Self::MessageTooLong { len, limit } => {
                write!(f, "a message of {len} bytes is over the limit of {limit} bytes")
            }
            Self::AlreadyStarted => f.write_str("the service has been started before"),
            Self::Closed => f.write_str("the service has been closed"),
            Self::NotConnected => f.write_str("the client is not connected"),
            Self::KeptFull { limit } => write!(f, "the client is not connected, and can keep no more: {limit}"),
            Self::Disconnected => f.write_str("the connection has ended"),
            Self::SlowConsumer { limit } => write!(f, "the peer reads too slowly: {limit}"),
            Self::Dropped { limit } => write!(f, "the message was dropped: {limit}"),
            Self::NotFlushed { bytes } => write!(f, "the time was over with {bytes} bytes not yet written"),
            Self::TimedOut { timeout } => write!(f, "no answer has come within {timeout:?}"),
            Self::WouldDeadlock => f.write_str("a call cannot wait in a callback of its own connection"),
            Self::Bind { address, .. } => write!(f, "cannot listen on {}", OneLine(address)),
            Self::Connect { address, .. } => write!(f, "cannot connect to {}", OneLine(address)),
            Self::NotLetIn { address } => write!(f, "{} does not let the client in", OneLine(address)),
            Self::GaveUp { address, attempts: 1 } => {
                write!(f, "gave up connecting to {} after 1 attempt", OneLine(address))
            }
            Self::GaveUp { address, attempts } => {
                write!(f, "gave up connecting to {} after {attempts} attempts", OneLine(address))
            }
            Self::Unsent { messages: 1, bytes } => {
                write!(f, "the client has ended with 1 message ({bytes} bytes) that it could not send")
            }
            Self::Unsent { messages, bytes } => {
                write!(f, "the client has ended with {messages} messages ({bytes} bytes) that it could not send")
            }
            Self::Accept { .. } => f.write_str("cannot accept a connection"),
            Self::Refused { callers: 1, .. } => f.write_str("a caller was refused"),
            Self::Refused { callers, .. } => write!(f, "{callers} callers were refused"),
            Self::SpawnThread { name, .. } => write!(f, "cannot start the thread `{}`", OneLine(name)),
            Self::ServiceFailed { name, message } => {
                write!(f, "the thread `{}` failed: {}", OneLine(name), first_line(message))
            }
            Self::CallbackPanicked { callback, message } => {
                write!(f, "the callback {callback} panicked: {}", first_line(message))
            }
        }?;
        write_sources(f, self)
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::InvalidSeparator(error) => Some(error),
            Self::InvalidMessage(error) => Some(error),
            Self::Bind { source, .. }
            | Self::Connect { source, .. }
            | Self::Accept { source }
            | Self::SpawnThread { source, .. } => Some(&**source),
            Self::Refused { cause, .. } => Some(cause),
            _ => None,
        }
    }
}

impl From<SeparatorError> for Error {
    fn from(error: SeparatorError) -> Self {
        Self::InvalidSeparator(error)
    }
}

impl From<EncodeError> for Error {
    fn from(error: EncodeError) -> Self {
        if let EncodeError::ByProgram(error) = &error {
            if let Some(message) = error.panic() {
                return Self::CallbackPanicked { callback: "encode", message: message.to_owned() };
            }
        }
        Self::InvalidMessage(error)
    }
}

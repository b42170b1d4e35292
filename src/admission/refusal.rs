//! Callers that are refused: why, how many, and how they are told.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::DenialCause;
use crate::stats::{Counts, RefusalKind};
use crate::transport::{Stream, is_nothing_yet};
use parking_lot::Mutex;

/// How many refused streams are kept until their peers have ended them. Each holds a descriptor, and the limit on
/// connections leaves 32 for everything else.
const LINGERING: usize = 16;

/// How often those are looked at.
const LOOK: Duration = Duration::from_millis(10);

/// How much of what a refused caller sends is thrown away, for the goodbye to reach it; then its stream is ended.
const DISCARDED: usize = 64 * 1024;

/// How much more of it there may be.
pub(crate) struct Patience {
    left: usize,
}

impl Patience {
    pub(crate) fn is_left(&self) -> bool {
        self.left > 0
    }

    pub(crate) fn spend(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
    }
}

/// Why a server has refused callers. None of them got a callback, or was ever counted as a connection.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum RefusalCause {
    /// There were as many connections as there may be:
    /// [`ServerBuilder::max_connections`](crate::ServerBuilder::max_connections).
    MaxConnections {
        /// The limit.
        limit: usize,
    },
    /// There were as many from the caller's address as there may be:
    /// [`ServerBuilder::max_connections_per_address`](crate::ServerBuilder::max_connections_per_address).
    MaxConnectionsPerAddress {
        /// The limit.
        limit: usize,
    },
    /// There were as many callers on their way in as there may be:
    /// [`ServerBuilder::max_handshakes`](crate::ServerBuilder::max_handshakes).
    MaxHandshakes {
        /// The limit.
        limit: usize,
    },
    /// The program did not want them: [`ServerBuilder::admit`](crate::ServerBuilder::admit) returned false, or
    /// panicked.
    NotAdmitted,
    /// The process, or the system, had no descriptor left.
    NoDescriptor {
        /// What the system reported, at the last of them.
        source: Arc<io::Error>,
    },
    /// The system had no thread left.
    NoThread {
        /// What the system reported, at the last of them.
        source: Arc<io::Error>,
    },
    /// The handshake of their streams failed. They get no goodbye, which would mean nothing to them.
    HandshakeFailed {
        /// What the transport reported, at the last of them.
        source: Arc<io::Error>,
    },
    /// They were not through in time: [`ServerBuilder::handshake_timeout`](crate::ServerBuilder::handshake_timeout).
    HandshakeTimeout {
        /// How long they had.
        timeout: Duration,
    },
    /// Their first message did not say who they are, or that they may come in:
    /// [`ServerBuilder::token`](crate::ServerBuilder::token),
    /// [`ServerBuilder::authenticate`](crate::ServerBuilder::authenticate).
    NotAuthenticated {
        /// What was wrong with it, at the last of them.
        cause: DenialCause,
    },
    /// Too many callers from their address had not been authenticated: see
    /// [`ServerBuilder::token`](crate::ServerBuilder::token).
    TooManyFailures {
        /// From how many on they are refused.
        limit: u32,
    },
}

impl RefusalCause {
    /// Which kind of cause it is, without its facts.
    pub fn kind(&self) -> RefusalKind {
        match self {
            Self::MaxConnections { .. } => RefusalKind::MaxConnections,
            Self::MaxConnectionsPerAddress { .. } => RefusalKind::MaxConnectionsPerAddress,
            Self::MaxHandshakes { .. } => RefusalKind::MaxHandshakes,
            Self::NotAdmitted => RefusalKind::NotAdmitted,
            Self::NoDescriptor { .. } => RefusalKind::NoDescriptor,
            Self::NoThread { .. } => RefusalKind::NoThread,
            Self::HandshakeFailed { .. } => RefusalKind::HandshakeFailed,
            Self::HandshakeTimeout { .. } => RefusalKind::HandshakeTimeout,
            Self::NotAuthenticated { .. } => RefusalKind::NotAuthenticated,
            Self::TooManyFailures { .. } => RefusalKind::TooManyFailures,
        }
    }
}

impl fmt::Display for RefusalCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MaxConnections { limit } => write!(f, "the limit on connections is {limit}"),
            Self::MaxConnectionsPerAddress { limit } => {
                write!(f, "the limit on connections from one address is {limit}")
            }
            Self::MaxHandshakes { limit } => write!(f, "the limit on callers on their way in is {limit}"),
            Self::NotAdmitted => f.write_str("not admitted by the program"),
            Self::NoDescriptor { source } => write!(f, "no descriptor left: {source}"),
            Self::NoThread { source } => write!(f, "no thread left: {source}"),
            Self::HandshakeFailed { source } => write!(f, "the handshake failed: {source}"),
            Self::HandshakeTimeout { timeout } => {
                write!(f, "the handshake or the first message took longer than {timeout:?}")
            }
            Self::NotAuthenticated { cause } => write!(f, "not authenticated: {cause}"),
            Self::TooManyFailures { limit } => {
                write!(f, "{limit} callers from its address were not authenticated a short while ago")
            }
        }
    }
}

impl Error for RefusalCause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NoDescriptor { source } | Self::NoThread { source } | Self::HandshakeFailed { source } => {
                Some(&**source)
            }
            Self::NotAuthenticated { cause } => Some(cause),
            Self::MaxConnections { .. }
            | Self::MaxConnectionsPerAddress { .. }
            | Self::MaxHandshakes { .. }
            | Self::NotAdmitted
            | Self::HandshakeTimeout { .. }
            | Self::TooManyFailures { .. } => None,
        }
    }
}

/// How many callers have been refused since the start, by kind. Its lock is held for no more than that.
#[derive(Debug, Default)]
pub(crate) struct RefusalCounts {
    callers: Mutex<Counts<RefusalKind>>,
}

impl RefusalCounts {
    pub(crate) fn count(&self, kind: RefusalKind) {
        *self.callers.lock() += kind;
    }

    pub(crate) fn counts(&self) -> Counts<RefusalKind> {
        *self.callers.lock()
    }
}

/// For which causes callers have been refused: of each kind the last one, which has the facts.
#[derive(Debug, Default)]
pub(crate) struct LastCauses {
    last: [Option<RefusalCause>; RefusalKind::ALL.len()],
}

impl LastCauses {
    /// Returns the one before, to be dropped where no lock is held: what it holds may be the program's.
    #[must_use]
    pub(crate) fn note(&mut self, cause: RefusalCause) -> Option<RefusalCause> {
        let kind = cause.kind();
        self.last[kind as usize].replace(cause)
    }

    pub(crate) fn into_causes(self) -> impl Iterator<Item = RefusalCause> {
        self.last.into_iter().flatten()
    }
}

/// Tells a caller that there is no room: the goodbye, and the end of our half of the stream. Never blocks; a stream
/// that cannot be written without blocking gets no goodbye. How much the peer may still send in the moment that it is
/// given to end its own half; `None` when it is not worth one.
pub(crate) fn say_goodbye(stream: &dyn Stream, goodbye: &[u8]) -> Option<Patience> {
    write_goodbye(stream, goodbye);
    let mut patience = Patience { left: DISCARDED };
    (stream.shutdown(Shutdown::Write).is_ok() && !discard(stream, &mut patience)).then_some(patience)
}

/// As much of the goodbye as the stream takes without blocking.
pub(crate) fn write_goodbye(stream: &dyn Stream, goodbye: &[u8]) {
    let mut left = goodbye;
    while !left.is_empty() {
        match stream.try_write_vectored(&[IoSlice::new(left)]) {
            Ok(count @ 1..) => left = &left[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => return,
        }
        while stream.try_flush().is_err_and(|error| error.kind() == io::ErrorKind::Interrupted) {}
    }
}

/// Throws away what has arrived, without blocking: unread, it would make the system answer with a reset when the stream
/// is dropped, and that could take the goodbye with it. Whether there is nothing more to wait for, or no patience left.
fn discard(stream: &dyn Stream, patience: &mut Patience) -> bool {
    let mut chunk = [0; 4096];
    while patience.is_left() {
        match stream.wait_readable(Duration::ZERO) {
            Ok(true) => {}
            Ok(false) => return false,
            // One that cannot tell might block in a read.
            Err(error) => return !is_nothing_yet(&error),
        }
        match stream.read(&mut chunk) {
            Ok(count @ 1..) => patience.spend(count),
            Ok(0) => return true,
            Err(error) => return !is_nothing_yet(&error),
        }
    }
    true
}

/// Streams of callers that have been told, kept for a moment so that what they still send does not turn the goodbye
/// into a reset.
#[derive(Default)]
pub(crate) struct Lingering {
    streams: VecDeque<Lingerer>,
    look_at: Option<Instant>,
}

struct Lingerer {
    stream: Box<dyn Stream>,
    patience: Patience,
    until: Instant,
}

impl Drop for Lingerer {
    fn drop(&mut self) {
        discard(&*self.stream, &mut self.patience);
    }
}

impl Lingering {
    /// Keeps one more until then; the one that has been kept longest goes for it if need be.
    pub(crate) fn keep(&mut self, stream: Box<dyn Stream>, patience: Patience, until: Instant) {
        if self.streams.len() == LINGERING {
            self.streams.pop_front();
        }
        self.streams.push_back(Lingerer { stream, patience, until });
        self.look_at.get_or_insert_with(|| Instant::now() + LOOK);
    }

    /// Lets all of them go; whether there were any.
    pub(crate) fn give_up(&mut self) -> bool {
        self.look_at = None;
        let any = !self.streams.is_empty();
        self.streams.clear();
        any
    }

    /// When to [look](Self::look) at them next.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.look_at
    }

    /// If it is time: lets those go whose peer has ended its half, has taken too long, or has sent too much.
    pub(crate) fn look(&mut self, now: Instant) {
        if self.look_at.take_if(|at| *at <= now).is_none() {
            return;
        }
        self.streams.retain_mut(|lingerer| !discard(&*lingerer.stream, &mut lingerer.patience) && lingerer.until > now);
        if !self.streams.is_empty() {
            self.look_at = Some(now + LOOK);
        }
    }
}

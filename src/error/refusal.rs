use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::{DenialCause, write_sources};
use crate::stats::RefusalKind;

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
    /// There were as many from the caller's address, or with IPv6 from its network of 64 bits, as there may be:
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
    /// panicked; or [`delivery_for`](crate::ServerBuilder::delivery_for) panicked, or gave a delivery that they cannot
    /// have.
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
    /// They were not through in time: [`Timeouts::handshake_timeout`](crate::Timeouts::handshake_timeout).
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
            Self::NoDescriptor { .. } => f.write_str("no descriptor left"),
            Self::NoThread { .. } => f.write_str("no thread left"),
            Self::HandshakeFailed { .. } => f.write_str("the handshake failed"),
            Self::HandshakeTimeout { timeout } => {
                write!(f, "the handshake or the first message took longer than {timeout:?}")
            }
            Self::NotAuthenticated { .. } => f.write_str("not authenticated"),
            Self::TooManyFailures { limit } => {
                write!(f, "{limit} callers from its address were not authenticated a short while ago")
            }
        }?;
        write_sources(f, self)
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

//! What ends and refusals are counted by: causes without their facts.

use std::fmt;

/// What [`Counts`](super::Counts) counts by: a [`DisconnectKind`] or a [`RefusalKind`].
pub trait Kind: Copy + fmt::Display + sealed::Sealed {}

pub(super) mod sealed {
    use std::fmt::Debug;

    pub trait Sealed: Sized + 'static {
        /// A number for each kind.
        type Numbers: Debug + Copy + Default + Eq + AsRef<[u64]> + AsMut<[u64]>;

        const ALL: &'static [Self];

        /// Its place in [`ALL`](Self::ALL).
        fn index(self) -> usize;

        /// Its name in metrics.
        fn name(self) -> &'static str;
    }
}

/// Defines kinds once: the enum, the list of all, their names, and where each is counted.
macro_rules! kinds {
    (
        $(#[$doc:meta])*
        $name:ident {
            $($(#[$kind_doc:meta])* $kind:ident = $text:literal,)*
        }
    ) => {
        $(#[$doc])*
        ///
        /// Displayed in a few words. Ordered as listed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$kind_doc])* $kind,)*
        }

        impl $name {
            /// All kinds, in their order.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// Its name in metrics: small letters and underscores.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $text,)*
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.as_str().replace('_', " "))
            }
        }

        impl sealed::Sealed for $name {
            type Numbers = [u64; $name::ALL.len()];

            const ALL: &'static [Self] = $name::ALL;

            fn index(self) -> usize {
                self as usize
            }

            fn name(self) -> &'static str {
                self.as_str()
            }
        }

        impl Kind for $name {}
    };
}

kinds! {
    /// Why a connection has ended, without the facts: what a [`DisconnectCause`](crate::DisconnectCause) comes down to
    /// where ends are [counted](crate::stats::ServiceStats::ended) or compared.
    DisconnectKind {
        /// The peer said goodbye.
        PeerGoodbye = "peer_goodbye",
        /// The server did not let this client in.
        NotLetIn = "not_let_in",
        /// The peer closed its stream without a goodbye.
        PeerClosed = "peer_closed",
        /// The stream was cut off, without the end that its protocol has.
        Truncated = "truncated",
        /// The connection was closed here.
        LocalClose = "local_close",
        /// The connection was aborted here, or was a client's and could not be given a thread.
        LocalAbort = "local_abort",
        /// The service was closed here.
        ServiceClosed = "service_closed",
        /// The peer sent a message over the limit.
        MessageTooLong = "message_too_long",
        /// The peer sent what is no frame to a framing of the program's own.
        MalformedFrame = "malformed_frame",
        /// The peer did not finish a message in time.
        PartialMessageTimeout = "partial_message_timeout",
        /// Nothing arrived from the peer for too long.
        IdleTimeout = "idle_timeout",
        /// Unfinished messages of all peers together took too much memory.
        TotalUnfinishedBytes = "total_unfinished_bytes",
        /// The peer did not read as fast as it was sent to.
        SlowConsumer = "slow_consumer",
        /// A callback panicked.
        CallbackPanicked = "callback_panicked",
        /// A thread that every connection needs has failed.
        ServiceFailed = "service_failed",
        /// Reading or writing failed, for instance because the peer reset the connection.
        Io = "stream_failed",
    }
}

kinds! {
    /// Why a caller was refused, without the facts: what a [`RefusalCause`](crate::RefusalCause) comes down to where
    /// refusals are [counted](crate::stats::ServiceStats::callers_refused) or compared.
    RefusalKind {
        /// There were as many connections as there may be.
        MaxConnections = "max_connections",
        /// There were as many from the caller's address as there may be.
        MaxConnectionsPerAddress = "max_connections_per_address",
        /// There were as many on their way in as there may be.
        MaxHandshakes = "max_handshakes",
        /// The program did not want it.
        NotAdmitted = "not_admitted",
        /// No descriptor was left.
        NoDescriptor = "no_descriptor",
        /// No thread was left.
        NoThread = "no_thread",
        /// The handshake of its stream failed.
        HandshakeFailed = "handshake_failed",
        /// It was not through in time.
        HandshakeTimeout = "handshake_timeout",
        /// Its first message did not authenticate it.
        NotAuthenticated = "not_authenticated",
        /// Too many from its address had not been authenticated.
        TooManyFailures = "too_many_failures",
    }
}

use std::fmt;
use std::ops::AddAssign;

/// Defines the kinds once: the enum, the list of all, and their names.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal,)*) => {
        /// Why a connection has ended, without the facts: what a
        /// [`DisconnectReason`](crate::DisconnectReason) comes down to where ends are
        /// [counted](crate::stats::ServiceStats::ended) or compared.
        ///
        /// Displayed in a few words. Ordered as listed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum DisconnectKind {
            $($(#[$doc])* $kind,)*
        }

        impl DisconnectKind {
            /// All kinds, in their order.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// Its name in metrics: small letters and underscores, for instance `peer_goodbye`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }
        }
    };
}

kinds! {
    /// The peer said goodbye.
    PeerGoodbye = "peer_goodbye",
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

impl fmt::Display for DisconnectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.as_str().replace('_', " "))
    }
}

/// How many connections have ended, by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ended {
    /// In the order of [`DisconnectKind::ALL`].
    counts: [u64; DisconnectKind::ALL.len()],
}

impl Ended {
    /// How many have ended in this way.
    pub fn get(&self, kind: DisconnectKind) -> u64 {
        self.counts[kind as usize]
    }

    /// Every kind, also those that have not occurred, with its number.
    pub fn iter(&self) -> impl Iterator<Item = (DisconnectKind, u64)> + '_ {
        DisconnectKind::ALL.iter().copied().zip(self.counts)
    }

    /// How many have ended in any way.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl AddAssign<DisconnectKind> for Ended {
    /// Counts one more.
    fn add_assign(&mut self, kind: DisconnectKind) {
        self.counts[kind as usize] += 1;
    }
}

/// The kinds that have occurred: `20 peer goodbye, 8 slow consumer`; `none` when none has.
impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (kind, count) in self.iter().filter(|(_, count)| *count > 0) {
            write!(f, "{separator}{count} {kind}")?;
            separator = ", ";
        }
        if separator.is_empty() { f.write_str("none") } else { Ok(()) }
    }
}

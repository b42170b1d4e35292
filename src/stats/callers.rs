/// How many callers a server has refused, by cause: see [`RefusalCause`](crate::RefusalCause). They have never been
/// connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallersRefused {
    /// There were as many connections as there may be.
    pub max_connections: u64,
    /// There were as many from the caller's address as there may be.
    pub max_connections_per_address: u64,
    /// There were as many on their way in as there may be.
    pub max_handshakes: u64,
    /// The program did not want them.
    pub not_admitted: u64,
    /// No descriptor was left.
    pub no_descriptor: u64,
    /// No thread was left.
    pub no_thread: u64,
    /// The handshake of their streams failed.
    pub handshake_failed: u64,
    /// They were not through in time.
    pub handshake_timeout: u64,
    /// Their first message did not authenticate them.
    pub not_authenticated: u64,
    /// Too many from the caller's address had not been authenticated.
    pub too_many_failures: u64,
}

impl CallersRefused {
    /// Every cause, by its name in metrics, with its number.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        [
            ("max_connections", self.max_connections),
            ("max_connections_per_address", self.max_connections_per_address),
            ("max_handshakes", self.max_handshakes),
            ("not_admitted", self.not_admitted),
            ("no_descriptor", self.no_descriptor),
            ("no_thread", self.no_thread),
            ("handshake_failed", self.handshake_failed),
            ("handshake_timeout", self.handshake_timeout),
            ("not_authenticated", self.not_authenticated),
            ("too_many_failures", self.too_many_failures),
        ]
        .into_iter()
    }

    /// How many for any cause.
    pub fn total(&self) -> u64 {
        self.iter().map(|(_, callers)| callers).sum()
    }
}

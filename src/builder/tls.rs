//! Services over TLS.

use super::{Builder, ClientSide, ServerSide};
use crate::transport::tls::{ClientConfig, ServerConfig};

impl Builder<ServerSide> {
    /// Speaks TLS over whatever the server listens on; [`transport::tls`](crate::transport::tls) has all about it.
    /// Default: no TLS.
    ///
    /// Callers shake hands before they become connections: on their reader threads, within
    /// [`handshake_timeout`](Self::handshake_timeout), no more than [`max_handshakes`](Self::max_handshakes) at once.
    /// Takes a configuration of [rustls] as well.
    pub fn tls(mut self, config: impl Into<ServerConfig>) -> Self {
        self.side.tls = Some(config.into());
        self
    }
}

impl Builder<ClientSide> {
    /// Speaks TLS over whatever the client connects over; [`transport::tls`](crate::transport::tls) has all about it.
    /// Default: no TLS.
    ///
    /// The server's certificate has to be for the host in the address given to [`Client::start`](crate::Client::start),
    /// or for the [name that is set](ClientConfig::server_name). The handshake, within
    /// [`handshake_timeout`](Self::handshake_timeout), is a part of connecting. Takes a configuration of
    /// [rustls] as well.
    pub fn tls(mut self, config: impl Into<ClientConfig>) -> Self {
        self.side.tls = Some(config.into());
        self
    }
}

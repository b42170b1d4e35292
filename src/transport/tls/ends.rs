//! Where TLS streams come from.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::config::parse_name;
use super::{ClientConfig, ServerConfig, TlsStream};
use crate::transport::address::Target;
use crate::transport::{Connector, Listener, Stream};

/// Accepts TLS streams over those of any other listener. [`ServerBuilder::tls`](crate::ServerBuilder::tls) puts one
/// around the listener of a server.
#[derive(Debug)]
pub struct TlsListener {
    inner: Arc<dyn Listener>,
    config: ServerConfig,
}

impl TlsListener {
    /// Puts TLS over what `inner` accepts.
    pub fn new(inner: impl Listener, config: impl Into<ServerConfig>) -> Self {
        Self::over(Arc::new(inner), config.into())
    }

    pub(crate) fn over(inner: Arc<dyn Listener>, config: ServerConfig) -> Self {
        Self { inner, config }
    }

    fn secure(&self, accepted: Option<Box<dyn Stream>>) -> io::Result<Option<Box<dyn Stream>>> {
        let Some(stream) = accepted else { return Ok(None) };
        Ok(Some(Box::new(TlsStream::server(stream, &self.config)?)))
    }
}

impl Listener for TlsListener {
    fn accept(&self) -> io::Result<Option<Box<dyn Stream>>> {
        self.secure(self.inner.accept()?)
    }

    fn accept_for(&self, time: Duration) -> io::Result<Option<Box<dyn Stream>>> {
        self.secure(self.inner.accept_for(time)?)
    }

    fn accept_to_refuse(&self) -> io::Result<Option<Box<dyn Stream>>> {
        self.secure(self.inner.accept_to_refuse()?)
    }

    fn descriptors_per_stream(&self) -> usize {
        self.inner.descriptors_per_stream()
    }

    fn stop(&self) {
        self.inner.stop();
    }

    fn name(&self) -> String {
        self.inner.name()
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.inner.local_addr()
    }
}

/// Opens TLS streams over those of any other connector. [`ClientBuilder::tls`](crate::ClientBuilder::tls) puts one
/// around the connector of a client.
pub struct TlsConnector {
    inner: Arc<dyn Connector>,
    config: ClientConfig,
}

impl TlsConnector {
    /// Puts TLS over what `inner` opens.
    pub fn new(inner: impl Connector, config: impl Into<ClientConfig>) -> Self {
        Self::over(Arc::new(inner), config.into())
    }

    pub(crate) fn over(inner: Arc<dyn Connector>, config: ClientConfig) -> Self {
        Self { inner, config }
    }
}

impl Connector for TlsConnector {
    /// # Errors
    ///
    /// Those of the connector inside; `InvalidInput` when the address contains no name for the server, and
    /// [none is set](ClientConfig::server_name).
    fn connect(&self, address: &str) -> io::Result<Box<dyn Stream>> {
        let name = match self.config.name() {
            Some(name) => name,
            None => {
                let host = Target::parse(address, 0).map_or_else(|_| address.to_owned(), |target| target.host());
                parse_name(&host).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?
            }
        };
        Ok(Box::new(TlsStream::client(self.inner.connect(address)?, &self.config, name)?))
    }

    fn stop(&self) {
        self.inner.stop();
    }

    fn describe(&self, address: &str) -> String {
        self.inner.describe(address)
    }
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConnector").field("config", &self.config).finish_non_exhaustive()
    }
}

//! What a service brings to its handshakes.

use std::fmt;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::server::{NoClientAuth, NoServerSessionStorage};

use super::{Authorities, Error, Identity, provider};

/// How a server speaks TLS: see [`ServerBuilder::tls`](crate::ServerBuilder::tls).
///
/// TLS 1.3, and 1.2 for clients that know no better. Each connection makes a full handshake, so that each certificate
/// is looked at anew: sessions are not resumed.
#[derive(Clone)]
pub struct ServerConfig {
    config: Arc<rustls::ServerConfig>,
}

impl ServerConfig {
    /// A server that proves who it is to clients that need not: they stay unknown until they send a
    /// [token](crate::ServerBuilder::token), or for good.
    pub fn new(identity: Identity) -> Self {
        Self::with(identity, Arc::new(NoClientAuth))
    }

    /// A server whose clients have to prove who they are as well, by a certificate of one of these authorities ("mutual
    /// TLS"). Callbacks find it in [`Connection::peer_certificates`](crate::Connection::peer_certificates).
    pub fn mutual(identity: Identity, clients: Authorities) -> Self {
        Self::with(identity, clients.client_verifier())
    }

    fn with(identity: Identity, clients: Arc<dyn rustls::server::danger::ClientCertVerifier>) -> Self {
        let builder = rustls::ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("ring has suites for both versions");
        let mut config = builder.with_client_cert_verifier(clients).with_cert_resolver(identity.resolver());
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Self { config: Arc::new(config) }
    }

    pub(super) fn rustls(&self) -> Arc<rustls::ServerConfig> {
        Arc::clone(&self.config)
    }
}

/// One that the program has made itself.
impl From<Arc<rustls::ServerConfig>> for ServerConfig {
    fn from(config: Arc<rustls::ServerConfig>) -> Self {
        Self { config }
    }
}

impl fmt::Debug for ServerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerConfig").finish_non_exhaustive()
    }
}

/// How a client speaks TLS: see [`ClientBuilder::tls`](crate::ClientBuilder::tls).
///
/// TLS 1.3, and 1.2 with servers that know no better. Sessions are not resumed, as with [`ServerConfig`].
#[derive(Clone)]
pub struct ClientConfig {
    config: Arc<rustls::ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

impl ClientConfig {
    /// A client that believes servers which have a certificate of one of these authorities, for the name under which it
    /// reaches them.
    pub fn new(servers: Authorities) -> Self {
        let builder = rustls::ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("ring has suites for both versions");
        let mut config = builder.with_webpki_verifier(servers.server_verifier()).with_no_client_auth();
        config.resumption = Resumption::disabled();
        Arc::new(config).into()
    }

    /// A client that proves who it is as well, where it is asked.
    pub fn mutual(identity: Identity, servers: Authorities) -> Self {
        let mut this = Self::new(servers);
        Arc::make_mut(&mut this.config).client_auth_cert_resolver = identity.resolver();
        this
    }

    /// Whom the server's certificate has to be for: the name of a host, or an IP address. Default: the one in the
    /// address that the client is started with, so that this is for addresses without one (a path, memory), and for
    /// servers that are reached under another name than their own.
    ///
    /// # Errors
    ///
    /// [`Error::Name`].
    pub fn server_name(mut self, name: &str) -> Result<Self, Error> {
        self.server_name = Some(parse_name(name)?);
        Ok(self)
    }

    pub(super) fn rustls(&self) -> Arc<rustls::ClientConfig> {
        Arc::clone(&self.config)
    }

    /// The name that was set.
    pub(super) fn name(&self) -> Option<ServerName<'static>> {
        self.server_name.clone()
    }
}

/// One that the program has made itself.
impl From<Arc<rustls::ClientConfig>> for ClientConfig {
    fn from(config: Arc<rustls::ClientConfig>) -> Self {
        Self { config, server_name: None }
    }
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConfig").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

pub(super) fn parse_name(name: &str) -> Result<ServerName<'static>, Error> {
    ServerName::try_from(name.to_owned()).map_err(|_| Error::Name { name: name.to_owned() })
}

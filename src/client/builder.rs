use std::fmt;
use std::time::Duration;

use crate::service::builder::{Common, further_settings, usual_settings};
use crate::settings::Reconnect;
use crate::sync::user_code::Foreign;
use crate::transport::Connector;

/// What only a client is told.
pub(crate) struct ClientSide {
    pub(crate) connect_timeout: Duration,
    pub(crate) source: ConnectorSource,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<crate::transport::tls::ClientConfig>,
    pub(crate) reconnect: Option<Reconnect>,
}

/// What a client connects over.
pub(crate) enum ConnectorSource {
    Tcp,
    #[cfg(unix)]
    Unix,
    /// Another transport.
    Transport(Foreign<dyn Connector>),
}

/// Builds a [`Client`](crate::Client): see [`Client::builder`](crate::Client::builder).
///
/// Every setting has a default, named at its method. What does not fit together is refused by [`build`](Self::build).
/// What most programs set comes first, and then what few of them do.
#[must_use]
pub struct ClientBuilder {
    pub(crate) common: Common,
    pub(crate) side: ClientSide,
}

impl ClientBuilder {
    pub(crate) fn new() -> Self {
        Self { common: Common::default(), side: ClientSide::default() }
    }

    usual_settings!();

    /// Connects again, by itself, after a connection has ended, whatever the reason: also
    /// [`Connection::close`](crate::Connection::close) and [`abort`](crate::Connection::abort), which end that
    /// connection only. Only [`Client::close`](crate::Client::close) ends such a client, or a failure of the service,
    /// or that it [gives up](Reconnect::max_attempts). Default: the client ends with its connection.
    ///
    /// Each connection is a new one, with a new id, its `on_connect` and its `on_disconnect`, and the callbacks that
    /// there are when it is opened; never are there two at once. In between,
    /// [`on_reconnect`](crate::Callback::on_reconnect) is told of each attempt, and `on_fail`, as
    /// [`Error::Connect`](crate::Error::Connect), of each that fails. Nothing is sent twice: what a connection had not
    /// written when it ended is in its [`DisconnectReason`](crate::DisconnectReason), and lost.
    ///
    /// [`Client::send`](crate::Client::send) costs a little more for such a client, once more a short lock.
    pub fn reconnect(mut self, reconnect: Reconnect) -> Self {
        self.side.reconnect = Some(reconnect);
        self
    }

    /// Speaks TLS over whatever the client connects over; [`transport::tls`](crate::transport::tls) has all about it.
    /// Default: no TLS.
    ///
    /// The server's certificate has to be for the host in the address given to [`Client::start`](crate::Client::start),
    /// or for the [name that is set](crate::transport::tls::ClientConfig::server_name). The handshake, within
    /// [`handshake_timeout`](crate::Timeouts::handshake_timeout), is a part of connecting. Takes a configuration of
    /// [rustls] as well.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, config: impl Into<crate::transport::tls::ClientConfig>) -> Self {
        self.side.tls = Some(config.into());
        self
    }

    /// Connects over Unix sockets instead of TCP: the address given to [`Client::start`](crate::Client::start) is a
    /// path, or on Linux an abstract name such as `@leads`. See [`transport::unix`](crate::transport::unix).
    #[cfg(unix)]
    pub fn unix(mut self) -> Self {
        self.side.source = ConnectorSource::Unix;
        self
    }
}

/// What few clients set.
impl ClientBuilder {
    /// Connects over another transport instead of TCP.
    pub fn transport(mut self, connector: impl Connector) -> Self {
        self.side.source = ConnectorSource::Transport(Foreign::new("the connector", Box::new(connector)));
        self
    }

    /// How long each address of the server is given to answer. More than 0. Default 5 s.
    ///
    /// Where a name has several addresses, this holds up none of them: the next one is tried beside the last when that
    /// has failed, or not answered within 250 ms; see
    /// [`TcpConnector`](crate::transport::tcp::TcpConnector#method.connect).
    pub fn connect_timeout(mut self, time: Duration) -> Self {
        self.side.connect_timeout = time;
        self
    }

    further_settings!();
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").field("port", &self.common.port).finish_non_exhaustive()
    }
}

impl Default for ClientSide {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            source: ConnectorSource::Tcp,
            #[cfg(feature = "tls")]
            tls: None,
            reconnect: None,
        }
    }
}

//! How a client reaches a server of WebSockets.

use std::fmt;
use std::io;
use std::time::Duration;

use leads_comm::transport::tcp::TcpConnector;
use leads_comm::transport::{Connector, Stream};

use crate::opening::Wish;
use crate::{Settings, WebSocketStream};

/// The port of an address that has none.
const PORT: u16 = 80;

/// How long connecting over TCP may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens WebSockets over the streams of any other connector: over TCP, unless told otherwise.
///
/// The address that a client is started with is `ws://host:port/path?query`; `ws://`, the port (80) and the rest may be
/// missing. What is between `ws://` and the path is the address that the connector inside is given, and the `Host` of
/// the request. The query may be a secret: errors and logs are without it. There is no `wss://`: over TLS, the connector inside is one of TLS, and the address has no scheme.
///
/// The client has the framing [by length](leads_comm::codec::Framing::Length).
///
/// # Examples
///
/// ```
/// use leads_comm::codec::Framing;
/// use leads_comm::{Client, Server, Service, callback};
/// use leads_comm_websocket::{WebSocketConnector, WebSocketListener};
///
/// let server = Server::builder()
///     .transport(WebSocketListener::bind("127.0.0.1:0".parse()?)?)
///     .framing(Framing::Length)
///     .callback(callback::closures().on_connect(|_, connection| connection.send(b"welcome").unwrap()))
///     .build()?;
/// server.start(true)?;
///
/// let (callback, events) = callback::channel(1);
/// let builder = Client::builder().transport(WebSocketConnector::tcp()).framing(Framing::Length);
/// let client = builder.callback(callback).build()?;
/// client.start(&format!("ws://127.0.0.1:{}/live", server.port()), true)?;
/// let welcome = events.iter().find_map(|event| match event {
///     callback::Event::Receive { message, .. } => Some(message),
///     _ => None,
/// });
/// assert_eq!(welcome.as_deref(), Some(&b"welcome"[..]));
/// client.close();
/// server.close();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct WebSocketConnector<C = TcpConnector> {
    connector: C,
    origin: Option<String>,
    subprotocols: Vec<String>,
    settings: Settings,
}

impl WebSocketConnector {
    /// Over TCP. Connecting may take 10 s.
    pub fn tcp() -> Self {
        Self::new(TcpConnector::new(PORT, CONNECT_TIMEOUT))
    }
}

impl<C: Connector> WebSocketConnector<C> {
    /// Asks for WebSockets over what `connector` opens.
    pub fn new(connector: C) -> Self {
        Self { connector, origin: None, subprotocols: Vec::new(), settings: Settings::default() }
    }

    /// The header `Origin`, for servers that ask for one of programs as well. Default: none.
    #[must_use]
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = Some(origin.into());
        self
    }

    /// A subprotocol that is spoken, beside those that were named before. A server that speaks none of them is not
    /// connected to. Default: none is asked for.
    #[must_use]
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.subprotocols.push(name.into());
        self
    }

    /// What is text, and how long messages may be.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }
}

/// What people, and logs, are told of an address: a query may have a token in it.
fn without_query(address: &str) -> &str {
    address.split_once('?').map_or(address, |(rest, _)| rest)
}

/// Host and port, and what is asked for there.
fn split(address: &str) -> io::Result<(&str, &str)> {
    let told = without_query(address);
    let wrong = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{told:?} {what}")));
    // It goes into a request as it is.
    if !address.bytes().all(|byte| byte.is_ascii_graphic()) || address.contains('#') {
        return wrong("has something in it that is no part of an address of a WebSocket");
    }
    let rest = address.strip_prefix("ws://").unwrap_or(address);
    if rest.contains("://") {
        return wrong("has a scheme that is not ws://");
    }
    let (host, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if host.is_empty() {
        return wrong("has no host");
    }
    Ok((host, target))
}

impl<C: Connector> Connector for WebSocketConnector<C> {
    /// # Errors
    ///
    /// Those of the connector inside; `InvalidInput` when the address is none.
    fn connect(&self, address: &str) -> io::Result<Box<dyn Stream>> {
        let (host, target) = split(address)?;
        let stream = self.connector.connect(host)?;
        let wish = Wish {
            host: host.to_owned(),
            target: if target.starts_with('/') { target.to_owned() } else { format!("/{target}") },
            origin: self.origin.clone(),
            subprotocols: self.subprotocols.clone(),
        };
        Ok(Box::new(WebSocketStream::client(stream, wish, &self.settings)))
    }

    fn stop(&self) {
        self.connector.stop();
    }

    fn describe(&self, address: &str) -> String {
        match split(address) {
            Ok((host, target)) => format!("ws://{}{}", self.connector.describe(host), without_query(target)),
            Err(_) => without_query(address).to_owned(),
        }
    }
}

impl<C> fmt::Debug for WebSocketConnector<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketConnector").field("subprotocols", &self.subprotocols).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_host_and_a_target() {
        for (address, expected) in [
            ("ws://car:8765/live?x=1", Some(("car:8765", "/live?x=1"))),
            ("car:8765", Some(("car:8765", ""))),
            ("[::1]:8765/", Some(("[::1]:8765", "/"))),
            ("ws://car?token=t", Some(("car", "?token=t"))),
            ("wss://car", None),
            ("http://car", None),
            ("ws:///live", None),
            ("", None),
            ("car/a b", None),
            ("car/\r\nHost: other", None),
            ("car/#top", None),
        ] {
            assert_eq!(split(address).ok(), expected, "{address:?}");
        }
    }

    #[test]
    fn nobody_is_told_what_is_in_the_query() {
        let connector = WebSocketConnector::tcp();
        assert_eq!(connector.describe("ws://car:8765/live?token=secret"), "ws://car:8765/live");
        assert_eq!(connector.describe("car?token=secret"), "ws://car:80");
        for wrong in ["wss://car/?token=secret", "car/?token=sec ret", "car/?token=secret#top", "?token=secret"] {
            let error = connector.connect(wrong).unwrap_err().to_string();
            let told = connector.describe(wrong);
            assert!(!error.contains("sec") && !told.contains("sec"), "{error} {told}");
        }
    }
}

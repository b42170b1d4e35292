//! Where WebSockets arrive.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use leads_comm::transport::tcp::TcpListener;
use leads_comm::transport::{Listener, Stream};

use crate::opening::Entrance;
use crate::{Access, Settings, WebSocketStream};

/// Accepts WebSockets over the streams of any other listener: over TCP, unless told otherwise.
///
/// Callers are heard on threads of their own, at most for
/// [`handshake_timeout`](leads_comm::Timeouts::handshake_timeout), so that a slow one holds up nobody. The server has
/// the framing [by length](leads_comm::codec::Framing::Length).
///
/// Who is let in is said by [`Access`]: unless told otherwise, programs, and pages of the same host and port.
///
/// # Examples
///
/// ```
/// use leads_comm::codec::Framing;
/// use leads_comm::{Server, Service, callback};
/// use leads_comm_websocket::{Access, WebSocketListener};
///
/// let listener = WebSocketListener::bind("127.0.0.1:0".parse()?)?
///     .path("/telemetry")
///     .subprotocol("car.example.v1")
///     .access(Access::new().origin("https://car.example"));
/// let server = Server::builder()
///     .transport(listener)
///     .framing(Framing::Length)
///     .callback(callback::on_receive(|connection, message| println!("{connection}: {} bytes", message.len())))
///     .build()?;
/// server.start(true)?;
/// server.broadcast(br#"{"speed": 12.5}"#)?;
/// server.close();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct WebSocketListener<L = TcpListener> {
    listener: L,
    entrance: Entrance,
    settings: Settings,
}

impl WebSocketListener {
    /// Listens on a TCP address. Port 0 is one that the system chooses.
    ///
    /// # Errors
    ///
    /// What the operating system reports.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        TcpListener::bind(address).map(Self::new)
    }
}

impl<L: Listener> WebSocketListener<L> {
    /// Lets in WebSockets over what `listener` accepts.
    pub fn new(listener: L) -> Self {
        Self { listener, entrance: Entrance::default(), settings: Settings::default() }
    }

    /// Which hosts and origins are let in; others are answered with status 403. Default: see [`Access`].
    #[must_use]
    pub fn access(mut self, access: Access) -> Self {
        self.entrance.access = access;
        self
    }

    /// The path that is served, such as `/telemetry`, as it is in a request (`%20` for a space); others are answered
    /// with status 404. Default: every path.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.entrance.path = Some(path.into());
        self
    }

    /// A subprotocol that is spoken, beside those that were named before; of several that a caller speaks as well, the
    /// one that was named first is chosen. Callers that speak none of them are answered with status 400. Default: none
    /// is spoken, and none asked for.
    #[must_use]
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.entrance.subprotocols.push(name.into());
        self
    }

    /// What is text, and how long messages may be.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    fn over(&self, accepted: Option<Box<dyn Stream>>) -> Option<Box<dyn Stream>> {
        let stream = WebSocketStream::server(accepted?, self.entrance.clone(), &self.settings);
        Some(Box::new(stream))
    }
}

impl<L: Listener> Listener for WebSocketListener<L> {
    fn accept(&self) -> io::Result<Option<Box<dyn Stream>>> {
        Ok(self.over(self.listener.accept()?))
    }

    fn accept_for(&self, time: Duration) -> io::Result<Option<Box<dyn Stream>>> {
        Ok(self.over(self.listener.accept_for(time)?))
    }

    fn accept_to_refuse(&self) -> io::Result<Option<Box<dyn Stream>>> {
        Ok(self.over(self.listener.accept_to_refuse()?))
    }

    fn descriptors_per_stream(&self) -> usize {
        self.listener.descriptors_per_stream()
    }

    fn stop(&self) {
        self.listener.stop();
    }

    fn name(&self) -> String {
        self.listener.name()
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.listener.local_addr()
    }
}

impl<L: Listener> fmt::Debug for WebSocketListener<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketListener").field("listener", &self.name()).finish_non_exhaustive()
    }
}

//! Connecting to a host.

use std::io;
use std::net::{self, SocketAddr};
use std::time::Duration;

use socket2::SockRef;

use super::TcpStream;
use crate::transport::address::Target;
use crate::transport::socket::connect::StoppableConnect;
use crate::transport::{Connector, Stream};

/// Connects over TCP to a host by name or address.
#[derive(Debug)]
pub struct TcpConnector {
    port: u16,
    connect_timeout: Duration,
    connecting: StoppableConnect,
}

impl TcpConnector {
    /// A connector that takes `port` where an address names none, and gives each of a host's addresses
    /// `connect_timeout` to answer.
    pub fn new(port: u16, connect_timeout: Duration) -> Self {
        Self { port, connect_timeout, connecting: StoppableConnect::new() }
    }
}

/// Another connector with the same settings; each is [stopped](Connector::stop) by itself.
impl Clone for TcpConnector {
    fn clone(&self) -> Self {
        Self::new(self.port, self.connect_timeout)
    }
}

impl Connector for TcpConnector {
    /// Connects to `host`, `host:port`, `1.2.3.4`, `1.2.3.4:port`, `::1` or `[::1]:port`.
    ///
    /// An IPv6 address may have a zone, by name or number, as a link-local one needs: `fe80::1%eth0`,
    /// `[fe80::1%eth0]:port`.
    ///
    /// The addresses of a name are tried one after the other, in the order of the system's resolver, but of IPv6 and
    /// IPv4 in turn. One that fails, or has not answered within 250 ms, is followed by the next, beside it; the first
    /// to answer is taken, and the others are given up ([RFC 8305](https://www.rfc-editor.org/rfc/rfc8305)). A server
    /// hears nothing of that, unless it had accepted one of them already.
    ///
    /// Looking a name up takes as long as the system's resolver likes; the time-out concerns connecting.
    ///
    /// # Errors
    ///
    /// What the system reports; where several addresses were tried, that of each, as
    /// [`ConnectErrors`](super::ConnectErrors); `InvalidInput` when the address cannot be read; `ConnectionAborted` once it
    /// has been stopped.
    fn connect(&self, address: &str) -> io::Result<Box<dyn Stream>> {
        let finish = |socket| refuse_self(socket).and_then(TcpStream::own);
        let stream = self.connecting.open(&self.resolve(address)?, self.connect_timeout, finish)?;
        Ok(Box::new(stream))
    }

    /// At once, also while a name is being looked up: that cannot be interrupted, and goes on by itself, on a thread
    /// that ends with it.
    fn stop(&self) {
        self.connecting.stop();
    }

    fn describe(&self, address: &str) -> String {
        Target::parse(address, self.port).map_or_else(|_| address.to_owned(), |target| target.to_string())
    }
}

/// Refuses a socket that is connected to itself: TCP does that when nobody listens, and the system happens to give the
/// caller that very port. Who keeps trying to reach a server on its own machine gets there in time, and would keep the
/// server from its port.
fn refuse_self(socket: net::TcpStream) -> io::Result<net::TcpStream> {
    let (own, peer) = (socket.local_addr()?, socket.peer_addr());
    // One that has been reset by now has no peer any more, which its reader finds out.
    if !peer.is_ok_and(|peer| peer == own) {
        return Ok(socket);
    }
    // Without it the port would stay in use for a minute.
    SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
    Err(io::ErrorKind::ConnectionRefused.into())
}

impl TcpConnector {
    /// The socket addresses that are meant by `address`.
    fn resolve(&self, address: &str) -> io::Result<Vec<SocketAddr>> {
        match Target::parse(address, self.port)? {
            Target::Address(address) => Ok(vec![address]),
            Target::Zoned(host, port) | Target::Name(host, port) => self.connecting.resolve(host, port),
        }
    }
}

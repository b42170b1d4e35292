//! Streams that shake hands before anything else: a made-up protocol in which each side says `hi` and a line's end, and
//! hears the same. It stands for what transports such as TLS do.

use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use leads_comm::transport::memory;
use leads_comm::transport::tcp::{TcpConnector, TcpListener};
use leads_comm::transport::{Connector, Keepalive, Listener, Stream};
use leads_comm::{Client, ClientBuilder, Server, ServerBuilder};

use super::{Dial, Net, PATIENCE, Raw, Started, recorder};

/// What each side says.
pub const HELLO: &[u8] = b"hi\n";

/// What a handshake does besides, before it reads.
type Script = dyn Fn() + Send + Sync;

/// A stream with a handshake in front.
pub struct Shaking {
    stream: Box<dyn Stream>,
    script: Arc<Script>,
}

impl Stream for Shaking {
    fn needs_handshake(&self) -> bool {
        true
    }

    fn handshake(&self) -> io::Result<()> {
        (self.script)();
        let mut left = HELLO;
        while !left.is_empty() {
            let count = self.stream.write_vectored(&[IoSlice::new(left)])?;
            left = &left[count..];
        }
        for byte in HELLO {
            let mut heard = [0];
            match self.stream.read(&mut heard)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ if heard[0] != *byte => return Err(io::Error::new(io::ErrorKind::InvalidData, "no hello")),
                _ => {}
            }
        }
        Ok(())
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }

    fn wait_readable(&self, time: Duration) -> io::Result<bool> {
        self.stream.wait_readable(time)
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.stream.write_vectored(buffers)
    }

    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.stream.try_write_vectored(buffers)
    }

    #[cfg(unix)]
    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        self.stream.poll_fd()
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.stream.shutdown(how)
    }

    fn abort(&self) -> io::Result<()> {
        self.stream.abort()
    }

    fn keep_alive(&self, keepalive: Option<Keepalive>, user_timeout: Option<Duration>) -> io::Result<()> {
        self.stream.keep_alive(keepalive, user_timeout)
    }

    fn unanswered_for(&self) -> io::Result<Option<Duration>> {
        self.stream.unanswered_for()
    }

    fn peer(&self) -> String {
        self.stream.peer()
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.stream.peer_addr()
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.stream.local_addr()
    }

    /// The name by which the peer is known, in place of a certificate.
    fn peer_certificates(&self) -> Vec<Vec<u8>> {
        vec![b"leaf".to_vec(), b"issuer".to_vec()]
    }
}

/// Gives out streams with a handshake in front.
pub struct ShakingListener<L> {
    listener: L,
    script: Arc<Script>,
}

impl<L: Listener> ShakingListener<L> {
    /// Every handshake runs `script` besides.
    pub fn new(listener: L, script: Arc<Script>) -> Self {
        Self { listener, script }
    }

    fn shaking(&self, accepted: io::Result<Option<Box<dyn Stream>>>) -> io::Result<Option<Box<dyn Stream>>> {
        let shaking = |stream| Box::new(Shaking { stream, script: Arc::clone(&self.script) }) as Box<dyn Stream>;
        accepted.map(|stream| stream.map(shaking))
    }
}

impl<L: Listener> Listener for ShakingListener<L> {
    fn accept(&self) -> io::Result<Option<Box<dyn Stream>>> {
        self.shaking(self.listener.accept())
    }

    fn accept_for(&self, time: Duration) -> io::Result<Option<Box<dyn Stream>>> {
        self.shaking(self.listener.accept_for(time))
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

/// Opens streams with a handshake in front.
pub struct ShakingConnector<C>(pub C);

impl<C: Connector> Connector for ShakingConnector<C> {
    fn connect(&self, address: &str) -> io::Result<Box<dyn Stream>> {
        let stream = self.0.connect(address)?;
        Ok(Box::new(Shaking { stream, script: Arc::new(|| ()) }))
    }

    fn stop(&self) {
        self.0.stop();
    }

    fn describe(&self, address: &str) -> String {
        self.0.describe(address)
    }
}

/// How to reach a server whose streams shake hands.
enum Dialer {
    Tcp,
    Memory(memory::MemoryConnector),
}

/// A started server whose callers shake hands, over TCP or in memory, and that puts its events into a channel.
pub fn start(
    net: Net,
    script: impl Fn() + Send + Sync + 'static,
    adapt: impl FnOnce(ServerBuilder) -> ServerBuilder,
) -> Started {
    let script: Arc<Script> = Arc::new(script);
    let (callback, events) = recorder();
    let builder = adapt(Server::builder().callback(callback));
    let (builder, dial) = match net {
        Net::Memory => {
            let (listener, connector) = memory::listener();
            (builder.transport(ShakingListener::new(listener, script)), Dialer::Memory(connector))
        }
        _ => {
            let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap(), 4096, false).unwrap();
            (builder.transport(ShakingListener::new(listener, script)), Dialer::Tcp)
        }
    };
    let server = builder.build().unwrap();
    server.start(true).unwrap();
    Started { server, events, dial: Box::new(dial) }
}

impl Dial for Dialer {
    /// A client that shakes hands.
    fn client(&self, server: &Server) -> ClientBuilder {
        match self {
            Self::Memory(connector) => Client::builder().transport(ShakingConnector(connector.clone())),
            Self::Tcp => Client::builder().transport(ShakingConnector(TcpConnector::new(server.port(), PATIENCE))),
        }
    }

    /// A peer that has not shaken hands.
    fn raw(&self, server: &Server) -> Raw {
        match self {
            Self::Memory(connector) => Raw::of(Box::new(connector.open().unwrap())),
            Self::Tcp => Raw::over_tcp(std::net::TcpStream::connect(server.local_addr().unwrap()).unwrap()),
        }
    }
}

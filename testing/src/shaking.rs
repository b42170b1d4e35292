//! Streams that shake hands before anything else: a made-up protocol in which each side says `hi` and a line's end, and
//! hears the same. It stands for what transports such as TLS do.

use std::io::{self, IoSlice};
use std::sync::Arc;

use leads_comm::transport::tcp::{TcpConnector, TcpListener};
use leads_comm::transport::{Connector, Listener, Stream, memory};
use leads_comm::{Client, ClientBuilder, Server, ServerBuilder};

use super::layer::{self, Layer};
use super::{Dial, Net, PATIENCE, Raw, Started, recorder};

/// What each side says.
pub const HELLO: &[u8] = b"hi\n";

/// What a handshake does besides, before it reads.
pub type Script = dyn Fn() + Send + Sync;

/// A handshake in front of everything else.
struct Shaking(Arc<Script>);

impl Layer for Shaking {
    fn needs_handshake(&self, _: &dyn Stream) -> bool {
        true
    }

    fn handshake(&self, stream: &dyn Stream) -> io::Result<()> {
        (self.0)();
        let mut left = HELLO;
        while !left.is_empty() {
            let count = stream.write_vectored(&[IoSlice::new(left)])?;
            left = &left[count..];
        }
        for byte in HELLO {
            let mut heard = [0];
            match stream.read(&mut heard)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ if heard[0] != *byte => return Err(io::Error::new(io::ErrorKind::InvalidData, "no hello")),
                _ => {}
            }
        }
        Ok(())
    }

    /// The name by which the peer is known, in place of a certificate.
    fn peer_certificates(&self, _: &dyn Stream) -> Vec<Vec<u8>> {
        vec![b"leaf".to_vec(), b"issuer".to_vec()]
    }
}

/// Gives out streams with a handshake in front; every handshake runs `script` besides.
pub fn listener(listener: impl Listener, script: Arc<Script>) -> impl Listener {
    layer::listener(listener, &Arc::new(Shaking(script)))
}

/// Opens streams with a handshake in front.
pub fn connector(connector: impl Connector) -> impl Connector {
    layer::connector(connector, &Arc::new(Shaking(Arc::new(|| ()))))
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
            (builder.transport(self::listener(listener, script)), Dialer::Memory(connector))
        }
        _ => {
            let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
            (builder.transport(self::listener(listener, script)), Dialer::Tcp)
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
            Self::Memory(memory) => Client::builder().transport(connector(memory.clone())),
            Self::Tcp => Client::builder().transport(connector(TcpConnector::new(server.port(), PATIENCE))),
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

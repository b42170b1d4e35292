//! Two ends of a TLS stream, without services around them.

use std::io::{self, IoSlice};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

use leads_comm::transport::tcp::TcpStream;
use leads_comm::transport::tls::rustls::pki_types::ServerName;
use leads_comm::transport::tls::{ClientConfig, ServerConfig, TlsStream};
use leads_comm::transport::{Stream, memory};

use leads_comm_testing::in_time;

/// What lies below TLS.
#[derive(Debug, Clone, Copy)]
pub enum Below {
    Tcp,
    Memory,
}

pub const BELOW: [Below; 2] = [Below::Tcp, Below::Memory];

impl Below {
    /// Both ends of a stream.
    pub fn pair(self) -> (Box<dyn Stream>, Box<dyn Stream>) {
        match self {
            Below::Tcp => {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                let server = listener.accept().unwrap().0;
                (Box::new(TcpStream::new(server).unwrap()), Box::new(TcpStream::new(client).unwrap()))
            }
            Below::Memory => {
                let (server, client) = memory::pair();
                (Box::new(server), Box::new(client))
            }
        }
    }

    /// Both ends of a stream that have not shaken hands.
    pub fn tls(self, server: &ServerConfig, client: &ClientConfig) -> (Arc<TlsStream>, Arc<TlsStream>) {
        let (server_end, client_end) = self.pair();
        let name = ServerName::try_from("localhost").unwrap();
        let server = TlsStream::server(server_end, server).unwrap();
        let client = TlsStream::client(client_end, client, name).unwrap();
        (Arc::new(server), Arc::new(client))
    }

    /// Both ends of a stream that have.
    pub fn connected(self, server: &ServerConfig, client: &ClientConfig) -> (Arc<TlsStream>, Arc<TlsStream>) {
        let (server, client) = self.tls(server, client);
        let (served, connected) = shake_hands(&server, &client);
        served.unwrap();
        connected.unwrap();
        (server, client)
    }
}

/// What the handshake gives to each end.
pub fn shake_hands(server: &Arc<TlsStream>, client: &Arc<TlsStream>) -> (io::Result<()>, io::Result<()>) {
    let (server, client) = (Arc::clone(server), Arc::clone(client));
    in_time("the handshake", move || {
        let serving = thread::spawn(move || server.handshake());
        let connected = client.handshake();
        (serving.join().unwrap(), connected)
    })
}

/// Writes all of it, as a writing thread does.
pub fn write_all(stream: &dyn Stream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = stream.write_vectored(&[IoSlice::new(bytes)])?;
        stream.flush()?;
        bytes = &bytes[count..];
    }
    Ok(())
}

/// Reads as many bytes, fewer only when the stream ends before.
pub fn read_exact(stream: &dyn Stream, len: usize, chunk: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let mut filled = 0;
    while filled < len {
        let end = len.min(filled + chunk);
        match stream.read(&mut bytes[filled..end])? {
            0 => break,
            count => filled += count,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

//! A peer as LEADS is on the wire: a plain socket that reads and writes bytes, with nothing of this library in it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::SockRef;

use super::{PATIENCE, accept};

/// One end of a stream, with the time-out of a test.
#[derive(Debug)]
pub struct LeadsPeer {
    socket: TcpStream,
}

impl LeadsPeer {
    /// A client of the server at `address`.
    pub fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).unwrap())
    }

    /// The server's end of a client that has connected already.
    pub fn accept(listener: &TcpListener) -> Self {
        Self::new(accept(listener).unwrap())
    }

    fn new(socket: TcpStream) -> Self {
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { socket }
    }

    /// Writes `bytes` in one call: a few of them travel in one segment.
    pub fn write(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    /// Writes to somebody who may have hung up.
    pub fn try_write(&mut self, bytes: &[u8]) {
        let _ = self.socket.write_all(bytes);
    }

    /// Reads as many bytes as `expected` has, and compares them.
    pub fn expect(&mut self, expected: &[u8]) {
        let mut bytes = vec![0; expected.len()];
        let outcome = self.socket.read_exact(&mut bytes);
        assert!(outcome.is_ok(), "instead of {:?}: {outcome:?}", expected.escape_ascii().to_string());
        assert_eq!(bytes.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }

    /// Reads until the end of the stream, which has to be a regular one.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Err(error) = self.socket.read_to_end(&mut bytes) {
            let kind = if error.kind() == ErrorKind::WouldBlock { "nothing more" } else { "an error" };
            panic!("{kind} instead of the end of the stream, behind {} bytes: {error}", bytes.len());
        }
        bytes
    }

    /// Reads until the end of the stream and compares what comes.
    pub fn expect_to_end(&mut self, expected: &[u8]) {
        assert_eq!(self.read_to_end().escape_ascii().to_string(), expected.escape_ascii().to_string());
    }

    /// Ends this peer's half of the stream, without a goodbye unless it has been written.
    pub fn end(&mut self) {
        self.socket.shutdown(Shutdown::Write).unwrap();
    }

    /// Ends the connection as a crashed peer's system does: by a reset.
    pub fn reset(self) {
        SockRef::from(&self.socket).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

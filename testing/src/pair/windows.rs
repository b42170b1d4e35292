//! Windows polls no other pairs than those of TCP.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::windows::io::AsSocket;
use std::time::Duration;

use leads_comm::transport::Descriptor;

/// A socket that is writable until it is filled, because nobody reads the other one.
pub struct Pair {
    written: TcpStream,
    _unread: TcpStream,
}

impl Pair {
    #[allow(clippy::new_without_default, reason = "it opens sockets")]
    /// One that is writable.
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let written = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (unread, _) = listener.accept().unwrap();
        Self { written, _unread: unread }
    }

    /// From now on it takes nothing. What it has taken may still be moving to the other one, and make room behind it:
    /// so it is full when it has taken nothing for a while.
    pub fn fill(&self) {
        self.written.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
        while (&self.written).write(&[0; 4096]).is_ok() {}
    }

    /// That of the socket.
    pub fn descriptor(&self) -> Descriptor<'_> {
        self.written.as_socket()
    }
}

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::windows::io::{AsSocket, BorrowedSocket};

/// Polls readable from [`set`](Self::set) until [`clear`](Self::clear).
///
/// Windows polls sockets only, and has no pairs of them: this is one that is connected to itself, so that nobody else's
/// datagrams reach it.
#[derive(Debug)]
pub(crate) struct Wake {
    socket: UdpSocket,
}

impl Wake {
    pub(crate) fn new() -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(socket.local_addr()?)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket })
    }

    pub(crate) fn set(&self) {
        // Fails when it is full, and then it is set already.
        let _ = self.socket.send(&[0]);
    }

    pub(crate) fn clear(&self) {
        while self.socket.recv(&mut [0]).is_ok() {}
    }
}

impl AsSocket for Wake {
    fn as_socket(&self) -> BorrowedSocket<'_> {
        self.socket.as_socket()
    }
}

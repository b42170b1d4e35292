//! Each call says for itself whether it blocks, and shutting the socket wakes those that do.

use std::io::{self, IoSlice};
use std::net::{Shutdown, TcpStream};
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::SockRef;

use crate::transport::socket;

#[derive(Debug)]
pub(in crate::transport::tcp) struct TcpSocket {
    socket: TcpStream,
    /// Whether a thread may be blocked in writing.
    writing: AtomicBool,
    aborted: AtomicBool,
}

impl TcpSocket {
    /// Whether the socket blocks is left as it is, because that would concern all clones of it.
    pub(in crate::transport::tcp) fn new(socket: TcpStream) -> io::Result<Self> {
        Ok(Self { socket, writing: AtomicBool::new(false), aborted: AtomicBool::new(false) })
    }

    /// One that is nobody else's, and blocks then without being asked whether it would. Accepted sockets inherit the
    /// mode of the listener's on some systems.
    pub(in crate::transport::tcp) fn own(socket: TcpStream) -> io::Result<Self> {
        socket.set_nonblocking(false)?;
        Self::new(socket)
    }

    pub(in crate::transport::tcp) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        socket::read(&self.socket, buffer)
    }

    pub(in crate::transport::tcp) fn wait_readable(&self, time: Duration) -> io::Result<bool> {
        socket::poll::wait_readable(&self.socket, time)
    }

    /// Blocks until some of it is taken.
    pub(in crate::transport::tcp) fn write(&self, buffers: &[IoSlice<'_>], complete: bool) -> io::Result<usize> {
        // Said before looking, as `abort` does, so that one of the two sees the other.
        self.writing.store(true, Ordering::SeqCst);
        let result = if self.aborted.load(Ordering::SeqCst) {
            Err(io::ErrorKind::BrokenPipe.into())
        } else {
            socket::write(&self.socket, buffers, complete)
        };
        self.writing.store(false, Ordering::SeqCst);
        result
    }

    pub(in crate::transport::tcp) fn try_write(&self, buffers: &[IoSlice<'_>], complete: bool) -> io::Result<usize> {
        socket::try_write(&self.socket, buffers, complete)
    }

    pub(in crate::transport::tcp) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }

    /// Ends it by a reset, which the peer sees when the socket is dropped.
    pub(in crate::transport::tcp) fn abort(&self) -> io::Result<()> {
        self.aborted.store(true, Ordering::SeqCst);
        // Where a socket that has ended already takes no options, there is nobody left to reset; readers are woken
        // still.
        let _ = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
        // Shutting the writing half sends a regular end first, and a peer that has read that sees no reset; but nothing
        // else wakes a blocked write.
        let half = if self.writing.load(Ordering::SeqCst) { Shutdown::Both } else { Shutdown::Read };
        self.socket.shutdown(half)
    }
}

impl Deref for TcpSocket {
    type Target = TcpStream;

    fn deref(&self) -> &TcpStream {
        &self.socket
    }
}

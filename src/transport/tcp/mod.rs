//! TCP behind the seam, and every socket option that the library sets.

mod connector;
mod listener;
mod socket;

use std::io::{self, IoSlice};
use std::net::{self, IpAddr, Shutdown, SocketAddr};
#[cfg(any(target_os = "linux", target_os = "android"))]
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::fd::AsFd;
use rustix::io::Errno;
use socket2::SockRef;

pub use super::socket::connect::ConnectErrors;
use super::{Descriptor, Keepalive, Stream, keepalive};
pub use connector::TcpConnector;
pub use listener::{ListenOptions, TcpListener};
use socket::TcpSocket;

/// A TCP connection. `TCP_NODELAY` is on: a message never waits for another one.
///
/// On Windows it has a second socket, by which other threads wake those that wait for it.
#[derive(Debug)]
pub struct TcpStream {
    socket: TcpSocket,
    peer: SocketAddr,
    /// Whether what the system may hold unsent is limited.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    limited: AtomicBool,
}

impl TcpStream {
    /// Takes over a connected socket. On Unix, whether it blocks is left as it is, because that would concern all
    /// clones of it; on Windows it is made non-blocking, and they with it.
    ///
    /// # Errors
    ///
    /// What the operating system reports, for instance `NotConnected`.
    pub fn new(socket: net::TcpStream) -> io::Result<Self> {
        Self::of(socket, TcpSocket::new)
    }

    /// One that is nobody else's.
    fn own(socket: net::TcpStream) -> io::Result<Self> {
        Self::of(socket, TcpSocket::own)
    }

    fn of(socket: net::TcpStream, take: fn(net::TcpStream) -> io::Result<TcpSocket>) -> io::Result<Self> {
        let peer = canonical(socket.peer_addr()?);
        socket.set_nodelay(true)?;
        Ok(Self {
            socket: take(socket)?,
            peer,
            #[cfg(any(target_os = "linux", target_os = "android"))]
            limited: AtomicBool::new(false),
        })
    }

    /// Whether the system is to put nothing behind what is written in the same packet.
    fn is_complete(&self) -> bool {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        return self.limited.load(Ordering::Relaxed);
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        false
    }
}

impl Stream for TcpStream {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.read(buffer).map_err(given_up)
    }

    fn wait_readable(&self, time: Duration) -> io::Result<bool> {
        self.socket.wait_readable(time)
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.write(buffers, self.is_complete())
    }

    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.try_write(buffers, self.is_complete())
    }

    fn poll_fd(&self) -> Option<Descriptor<'_>> {
        Some(self.socket.as_fd())
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }

    /// Ends it by a reset, which the peer sees when the stream is dropped.
    fn abort(&self) -> io::Result<()> {
        self.socket.abort()
    }

    fn keep_alive(&self, keepalive: Option<Keepalive>, user_timeout: Option<Duration>) -> io::Result<()> {
        let socket = SockRef::from(&*self.socket);
        let keepalive = keepalive.map_or(Ok(()), |keepalive| keepalive.apply(&socket));
        let user_timeout = user_timeout.map_or(Ok(()), |time| keepalive::set_user_timeout(&socket, time));
        keepalive.and(user_timeout)
    }

    #[cfg(target_os = "linux")]
    fn unanswered_for(&self) -> io::Result<Option<Duration>> {
        crate::transport::socket::sock_diag::unanswered_for(&self.socket)
    }

    /// By `TCP_NOTSENT_LOWAT`. Linux looks at it for each new packet only, and fills up one of 64 KiB before, unless a
    /// write says that it is complete.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn limit_unsent(&self, bytes: Option<usize>) -> io::Result<()> {
        // 0 is for that of the system, which may have one for all sockets.
        let bytes = bytes.map_or(0, |bytes| u32::try_from(bytes).unwrap_or(u32::MAX));
        SockRef::from(&*self.socket).set_tcp_notsent_lowat(bytes)?;
        self.limited.store(bytes > 0, Ordering::Relaxed);
        Ok(())
    }

    #[cfg(target_os = "linux")]
    fn system_queued_bytes(&self) -> io::Result<u64> {
        crate::transport::socket::sock_diag::unacknowledged(&self.socket)
    }

    #[cfg(target_os = "linux")]
    fn peer_unread_bytes(&self) -> io::Result<u64> {
        crate::transport::socket::sock_diag::unread_by_peer(&self.socket)
    }

    fn peer(&self) -> String {
        self.peer.to_string()
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        Some(self.peer)
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok().map(canonical)
    }
}

/// What a failed read means: a time-out is the system's, which has given up on the peer, because reads have none.
/// Windows calls it so as well, or has a name of its own for a peer that has not answered its questions.
fn given_up(error: io::Error) -> io::Error {
    let unanswered = cfg!(windows) && error.raw_os_error() == Some(Errno::NETRESET.raw_os_error());
    if unanswered || error.kind() == io::ErrorKind::TimedOut {
        return io::Error::new(io::ErrorKind::ConnectionAborted, error);
    }
    error
}

/// Writes an IPv4 peer of a dual-stack socket as what it is: `127.0.0.1`, not `::ffff:127.0.0.1`.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::from((ip, address.port())),
        IpAddr::V6(_) => address,
    }
}

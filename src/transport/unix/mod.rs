//! Unix sockets behind the seam: programs on one machine that meet at a path.
//!
//! # Names
//!
//! A server is found by the path of a socket file. On Linux a name that begins with `@`, such as `@leads`, is
//! *abstract* instead: there is no file, nothing to clean up, and everybody on the machine (in the same network
//! namespace) may connect. A file whose path begins with `@` is called `./@…`. Paths are short: 107 bytes on Linux, 103
//! on macOS.
//!
//! # Who may connect
//!
//! Whoever may write to the socket file, on Linux and most other systems, and may search the directories on the way to
//! it. A new file has all permissions but those that the process's umask takes away, so that as a rule only its owner
//! may connect. [`ServerBuilder::unix_mode`](crate::ServerBuilder::unix_mode) says otherwise; no caller gets in before
//! it holds. The strongest restriction, on every system, is a directory that others may not enter, such as one of
//! `/run`.
//!
//! # Peers
//!
//! Most clients have no name of their own, so to the server a peer is called by what the system of Linux knows of it:
//! `pid 4242 uid 1000`, the process that connected and its user; `uid 1000` where the process cannot be seen, because
//! it is in another PID namespace; `unix` where even that is unknown, for instance because it is in another network
//! namespace as well, such as most containers have. A peer that has bound a name is called by that, `./…` where it is
//! relative, so that none can be taken for a process. To a client, its server is called by the path. There are no
//! addresses.
//!
//! # How connections end
//!
//! A peer on the same machine cannot vanish unnoticed, so keepalive is of no use here. There is no reset either:
//! after an [`abort`](Stream::abort), as after the death of its process, a peer reads all that was written and then
//! the end, as if the stream had been closed. Only one whose own bytes were still unread, or that had not been
//! accepted yet, gets an error on some systems, Linux among them: `ConnectionReset`.

mod connector;
#[cfg(target_os = "linux")]
mod diag;
mod listener;
mod lock;
mod name;
mod place;

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net;
use std::sync::OnceLock;
use std::time::Duration;

use socket2::SockRef;

use super::Stream;
pub use connector::UnixConnector;
pub use listener::UnixListener;

/// What the size of a send buffer is multiplied with that the system is asked for: Linux also counts in it what it
/// keeps beside the bytes.
const BUFFER_FACTOR: usize = if cfg!(any(target_os = "linux", target_os = "android")) { 2 } else { 1 };

/// A connection over a Unix socket.
#[derive(Debug)]
pub struct UnixStream {
    socket: net::UnixStream,
    peer: String,
    /// The send buffer that the system has given it, once it has been given another.
    send_buffer: OnceLock<usize>,
}

impl UnixStream {
    /// Takes over a connected socket. Whether it blocks is left as it is, because that would concern all
    /// clones of it.
    ///
    /// # Errors
    ///
    /// What the operating system reports.
    pub fn new(socket: net::UnixStream) -> io::Result<Self> {
        let peer = name::of_peer(&socket);
        Ok(Self { socket, peer, send_buffer: OnceLock::new() })
    }

    /// One that is nobody else's, and blocks then without being asked whether it would.
    fn own(socket: net::UnixStream, peer: String) -> io::Result<Self> {
        socket.set_nonblocking(false)?;
        Ok(Self { socket, peer, send_buffer: OnceLock::new() })
    }
}

impl Stream for UnixStream {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        super::socket::read(&self.socket, buffer)
    }

    fn wait_readable(&self, time: Duration) -> io::Result<bool> {
        super::socket::poll::wait_readable(&self.socket, time)
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        super::socket::write(&self.socket, buffers, false)
    }

    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        super::socket::try_write(&self.socket, buffers, false)
    }

    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }

    /// By its send buffer, which holds all that the peer has not read. Linux's has 4608 bytes at least, and each write
    /// takes some hundred of them beside its own.
    fn limit_unsent(&self, bytes: Option<usize>) -> io::Result<()> {
        let socket = SockRef::from(&self.socket);
        let given = match self.send_buffer.get() {
            Some(given) => *given,
            None if bytes.is_none() => return Ok(()),
            None => {
                let given = socket.send_buffer_size()?;
                *self.send_buffer.get_or_init(|| given)
            }
        };
        let most = i32::MAX as usize;
        socket.set_send_buffer_size((bytes.unwrap_or(given) / BUFFER_FACTOR).clamp(1, most))
    }

    #[cfg(target_os = "linux")]
    fn system_queued_bytes(&self) -> io::Result<u64> {
        diag::unread_by_peer(&self.socket)
    }

    fn peer(&self) -> String {
        self.peer.clone()
    }
}

//! A port that is listened on.

use std::io;
use std::net::{self, IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use super::TcpStream;
use crate::transport::socket::accept::{AcceptSocket, StoppableListener};
use crate::transport::{Listener, Stream};

/// How many callers that are gone again are passed over in one go.
const GONE: usize = 64;

/// The next caller that is still there: `peer_addr` fails for one that is not.
fn opened(mut accept: impl FnMut() -> io::Result<Option<net::TcpStream>>) -> io::Result<Option<Box<dyn Stream>>> {
    for _ in 0..GONE {
        let Some(socket) = accept()? else { return Ok(None) };
        if let Ok(stream) = TcpStream::own(socket) {
            return Ok(Some(Box::new(stream)));
        }
    }
    Err(io::ErrorKind::ConnectionAborted.into())
}

/// How a [`TcpListener`] listens, besides where; also that of
/// [`ServerBuilder::listen_options`](crate::ServerBuilder::listen_options).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct ListenOptions {
    pub(crate) backlog: u32,
    ipv6_only: bool,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self { backlog: 4096, ipv6_only: false }
    }
}

impl ListenOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many connections the system may keep for [`accept`](Listener::accept). At least 1. Default 4096; the system
    /// caps it (Linux at `net.core.somaxconn`).
    pub fn backlog(mut self, connections: u32) -> Self {
        self.backlog = connections;
        self
    }

    /// Whether `::` leaves IPv4 out. Default false.
    pub fn ipv6_only(mut self, ipv6_only: bool) -> Self {
        self.ipv6_only = ipv6_only;
        self
    }
}

/// A TCP port listened on.
///
/// On Unix it keeps one descriptor to spare, so that callers can be told when the process has no other left.
#[derive(Debug)]
pub struct TcpListener {
    accepting: StoppableListener<net::TcpListener>,
    local: SocketAddr,
}

impl TcpListener {
    /// Binds `address` and listens, with the default [options](ListenOptions).
    ///
    /// Port 0 takes a free port. The address `::` serves IPv4 as well, on every system but OpenBSD and DragonFly, which
    /// cannot; on a host without IPv6 it is taken for `0.0.0.0`. The port can be bound again at once after a server has
    /// used it: by `SO_REUSEADDR`, except on Windows, where it can be without, and that option would let two servers
    /// share a port.
    ///
    /// On Windows another program can still force its way onto the port with that option, if it runs as the same user.
    /// `SO_EXCLUSIVEADDRUSE` prevents it; a program that needs it sets it on a socket of its own, and gives that to
    /// [`new`](Self::new).
    ///
    /// # Errors
    ///
    /// What the operating system reports, for instance `AddrInUse`.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        Self::bind_with(address, ListenOptions::default())
    }

    /// Like [`bind`](Self::bind), with options of one's own.
    ///
    /// # Errors
    ///
    /// As for [`bind`](Self::bind).
    ///
    /// # Examples
    ///
    /// ```
    /// use leads_comm::transport::tcp::{ListenOptions, TcpListener};
    ///
    /// let options = ListenOptions::new().backlog(16);
    /// let listener = TcpListener::bind_with("127.0.0.1:0".parse()?, options)?;
    /// # drop(listener);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn bind_with(address: SocketAddr, options: ListenOptions) -> io::Result<Self> {
        let ListenOptions { backlog, ipv6_only } = options;
        let wildcard = address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        let socket = match listen(address, backlog, ipv6_only) {
            Err(error) if wildcard && !ipv6_only && is_without_ipv6(&error) => {
                listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())), backlog, false)?
            }
            result => result?,
        };
        let local = socket.local_addr()?;
        Ok(Self { accepting: StoppableListener::own(socket)?, local })
    }

    /// Takes over a socket that is listening already. On Unix, accepting by a clone of it does not block as long as it
    /// is used here; behind that it does, if it did before. Elsewhere it is made blocking.
    ///
    /// # Errors
    ///
    /// What the operating system reports.
    pub fn new(socket: net::TcpListener) -> io::Result<Self> {
        let local = socket.local_addr()?;
        Ok(Self { accepting: StoppableListener::given(socket)?, local })
    }
}

/// Whether a socket of IPv6 serves nothing else, and it is an error to say otherwise.
const ALWAYS_ONLY_V6: bool = cfg!(any(target_os = "openbsd", target_os = "dragonfly"));

fn listen(address: SocketAddr, backlog: u32, ipv6_only: bool) -> io::Result<net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() && (ipv6_only || !ALWAYS_ONLY_V6) {
        // Stated, because systems differ in what they do when it is not.
        socket.set_only_v6(ipv6_only)?;
    }
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

fn is_without_ipv6(error: &io::Error) -> bool {
    let unsupported = Some(Errno::AFNOSUPPORT.raw_os_error());
    error.raw_os_error() == unsupported || error.kind() == io::ErrorKind::AddrNotAvailable
}

/// What a failure to accept concerns: macOS accepts a caller of IPv6 that is gone, and leaves out its address, which the
/// standard library takes for an invalid one.
fn of_whom(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::InvalidInput if error.raw_os_error().is_none() => io::ErrorKind::ConnectionAborted.into(),
        _ => error,
    }
}

impl AcceptSocket for net::TcpListener {
    type Accepted = net::TcpStream;

    fn accept(&self) -> io::Result<net::TcpStream> {
        self.accept().map(|(socket, _)| socket).map_err(of_whom)
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.set_nonblocking(nonblocking)
    }
}

impl Listener for TcpListener {
    fn accept(&self) -> io::Result<Option<Box<dyn Stream>>> {
        opened(|| self.accepting.accept())
    }

    fn accept_for(&self, time: Duration) -> io::Result<Option<Box<dyn Stream>>> {
        // A time too far ahead for the clock is as good as for ever.
        let until = Instant::now().checked_add(time);
        opened(|| self.accepting.accept_until(until))
    }

    fn accept_to_refuse(&self) -> io::Result<Option<Box<dyn Stream>>> {
        opened(|| self.accepting.accept_to_refuse())
    }

    fn descriptors_per_stream(&self) -> usize {
        1
    }

    fn stop(&self) {
        self.accepting.stop();
    }

    fn name(&self) -> String {
        self.local.to_string()
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        Some(self.local)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_caller_without_an_address_is_gone() {
        let kind = |error| of_whom(error).kind();
        assert_eq!(kind(io::ErrorKind::InvalidInput.into()), io::ErrorKind::ConnectionAborted);
        // That of a socket that does not listen.
        let invalid = io::Error::from_raw_os_error(Errno::INVAL.raw_os_error());
        assert_eq!(kind(invalid), io::ErrorKind::InvalidInput);
    }
}

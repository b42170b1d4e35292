//! TCP behind the seam, and every socket option that the library sets.

use std::io::{self, IoSlice};
use std::net::{self, IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
#[cfg(all(unix, not(leads_comm_portable)))]
use std::time::Instant;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::address::Target;
use super::socket::accept::{AcceptSocket, StoppableListener};
pub use super::socket::connect::ConnectErrors;
use super::socket::connect::StoppableConnect;
use super::{Connector, Keepalive, Listener, Stream, keepalive};

/// A TCP connection. `TCP_NODELAY` is on: a message never waits for another one.
#[derive(Debug)]
pub struct TcpStream {
    socket: net::TcpStream,
    peer: SocketAddr,
    /// Whether a thread may be blocked in writing.
    writing: AtomicBool,
    aborted: AtomicBool,
    /// Whether what the system may hold unsent is limited.
    #[cfg(unix)]
    limited: AtomicBool,
}

impl TcpStream {
    /// Takes over a connected socket. On Unix, whether it blocks is left as it is, because that would concern all
    /// clones of it; elsewhere it is made blocking.
    ///
    /// # Errors
    ///
    /// What the operating system reports, for instance `NotConnected`.
    pub fn new(socket: net::TcpStream) -> io::Result<Self> {
        let peer = canonical(socket.peer_addr()?);
        #[cfg(any(not(unix), leads_comm_portable))]
        socket.set_nonblocking(false)?;
        socket.set_nodelay(true)?;
        // With one, Windows would report its end in the same way as that of a peer that has vanished.
        #[cfg(windows)]
        socket.set_read_timeout(None)?;
        Ok(Self {
            socket,
            peer,
            writing: AtomicBool::new(false),
            aborted: AtomicBool::new(false),
            #[cfg(unix)]
            limited: AtomicBool::new(false),
        })
    }

    /// One that is nobody else's, and blocks then without being asked whether it would. Accepted sockets inherit the
    /// mode of the listener's on some systems.
    fn own(socket: net::TcpStream) -> io::Result<Self> {
        socket.set_nonblocking(false)?;
        Self::new(socket)
    }

    #[cfg(all(unix, not(leads_comm_portable)))]
    fn write_blocking(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        super::socket::write(&self.socket, buffers, self.limited.load(Ordering::Relaxed))
    }

    #[cfg(any(not(unix), leads_comm_portable))]
    fn write_blocking(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        io::Write::write_vectored(&mut &self.socket, buffers)
    }
}

impl Stream for TcpStream {
    #[cfg(all(unix, not(leads_comm_portable)))]
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        super::socket::read(&self.socket, buffer).map_err(given_up)
    }

    #[cfg(any(not(unix), leads_comm_portable))]
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        io::Read::read(&mut &self.socket, buffer).map_err(given_up)
    }

    #[cfg(all(unix, not(leads_comm_portable)))]
    fn wait_readable(&self, time: Duration) -> io::Result<bool> {
        super::socket::poll::wait_readable(&self.socket, time)
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        // Said before looking, as `abort` does, so that one of the two sees the other.
        self.writing.store(true, Ordering::SeqCst);
        let result = if self.aborted.load(Ordering::SeqCst) {
            Err(io::ErrorKind::BrokenPipe.into())
        } else {
            self.write_blocking(buffers)
        };
        self.writing.store(false, Ordering::SeqCst);
        result
    }

    #[cfg(all(unix, not(leads_comm_portable)))]
    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        super::socket::try_write(&self.socket, buffers, self.limited.load(Ordering::Relaxed))
    }

    #[cfg(unix)]
    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }

    /// Ends it by a reset, which the peer sees when the stream is dropped.
    fn abort(&self) -> io::Result<()> {
        self.aborted.store(true, Ordering::SeqCst);
        // Where a socket that has ended already takes no options, there is nobody left to reset; readers are woken
        // still.
        let _ = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
        // Shutting the writing half sends a regular end first, and a peer that has read that sees no reset; but nothing
        // else wakes a blocked write.
        let half = if self.writing.load(Ordering::SeqCst) { Shutdown::Both } else { Shutdown::Read };
        self.socket.shutdown(half)
    }

    fn keep_alive(&self, keepalive: Option<Keepalive>, user_timeout: Option<Duration>) -> io::Result<()> {
        let socket = SockRef::from(&self.socket);
        let keepalive = keepalive.map_or(Ok(()), |keepalive| keepalive.apply(&socket));
        let user_timeout = user_timeout.map_or(Ok(()), |time| keepalive::set_user_timeout(&socket, time));
        keepalive.and(user_timeout)
    }

    #[cfg(all(target_os = "linux", not(leads_comm_portable)))]
    fn unanswered_for(&self) -> io::Result<Option<Duration>> {
        super::socket::sock_diag::unanswered_for(&self.socket)
    }

    /// By `TCP_NOTSENT_LOWAT`. Linux looks at it for each new packet only, and fills up one of 64 KiB before, unless a
    /// write says that it is complete.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn limit_unsent(&self, bytes: Option<usize>) -> io::Result<()> {
        // 0 is for that of the system, which may have one for all sockets.
        let bytes = bytes.map_or(0, |bytes| u32::try_from(bytes).unwrap_or(u32::MAX));
        SockRef::from(&self.socket).set_tcp_notsent_lowat(bytes)?;
        self.limited.store(bytes > 0, Ordering::Relaxed);
        Ok(())
    }

    #[cfg(all(target_os = "linux", not(leads_comm_portable)))]
    fn system_queued_bytes(&self) -> io::Result<u64> {
        super::socket::sock_diag::unacknowledged(&self.socket)
    }

    #[cfg(all(target_os = "linux", not(leads_comm_portable)))]
    fn peer_unread_bytes(&self) -> io::Result<u64> {
        super::socket::sock_diag::unread_by_peer(&self.socket)
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
fn given_up(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::TimedOut => io::Error::new(io::ErrorKind::ConnectionAborted, error),
        _ => error,
    }
}

/// Writes an IPv4 peer of a dual-stack socket as what it is: `127.0.0.1`, not `::ffff:127.0.0.1`.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::from((ip, address.port())),
        IpAddr::V6(_) => address,
    }
}

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
    /// Port 0 takes a free port. The address `::` serves IPv4 as well, on every system; on a host without IPv6 it is
    /// taken for `0.0.0.0`. The port can be bound again at once after a server has used it (`SO_REUSEADDR`, except on
    /// Windows, where that option means something else).
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
        Self::new(socket)
    }

    /// Takes over a socket that is listening already. On Unix, accepting by a clone of it does not block as long as it
    /// is used here; behind that it does, if it did before. Elsewhere it is made blocking.
    ///
    /// # Errors
    ///
    /// What the operating system reports.
    pub fn new(socket: net::TcpListener) -> io::Result<Self> {
        let local = socket.local_addr()?;
        Ok(Self { accepting: StoppableListener::new(socket)?, local })
    }
}

fn listen(address: SocketAddr, backlog: u32, ipv6_only: bool) -> io::Result<net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
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
    #[cfg(unix)]
    let unsupported = error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error());
    #[cfg(not(unix))]
    let unsupported = false;
    unsupported || error.kind() == io::ErrorKind::AddrNotAvailable
}

impl AcceptSocket for net::TcpListener {
    type Accepted = net::TcpStream;

    fn accept(&self) -> io::Result<net::TcpStream> {
        self.accept().map(|(socket, _)| socket)
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.set_nonblocking(nonblocking)
    }

    #[cfg(any(not(unix), leads_comm_portable))]
    fn interrupt(&self) {
        let Ok(mut local) = self.local_addr() else { return };
        match local.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => local.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => local.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        // If nothing answers, the listener is not blocked in accepting either.
        let _ = net::TcpStream::connect_timeout(&local, Duration::from_secs(1));
    }
}

impl Listener for TcpListener {
    fn accept(&self) -> io::Result<Option<Box<dyn Stream>>> {
        opened(|| self.accepting.accept())
    }

    #[cfg(all(unix, not(leads_comm_portable)))]
    fn accept_for(&self, time: Duration) -> io::Result<Option<Box<dyn Stream>>> {
        // A time too far ahead for the clock is as good as for ever.
        let until = Instant::now().checked_add(time);
        opened(|| self.accepting.accept_until(until))
    }

    #[cfg(all(unix, not(leads_comm_portable)))]
    fn accept_to_refuse(&self) -> io::Result<Option<Box<dyn Stream>>> {
        opened(|| self.accepting.accept_to_refuse())
    }

    #[cfg(unix)]
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

/// Connects over TCP to a host by name or address.
#[derive(Debug)]
pub struct TcpConnector {
    port: u16,
    connect_timeout: Duration,
    connecting: StoppableConnect,
}

impl TcpConnector {
    /// A connector that takes `port` where an address names none, and gives each of a host's addresses
    /// `connect_timeout` to answer.
    pub fn new(port: u16, connect_timeout: Duration) -> Self {
        Self { port, connect_timeout, connecting: StoppableConnect::new() }
    }
}

/// Another connector with the same settings; each is [stopped](Connector::stop) by itself.
impl Clone for TcpConnector {
    fn clone(&self) -> Self {
        Self::new(self.port, self.connect_timeout)
    }
}

impl Connector for TcpConnector {
    /// Connects to `host`, `host:port`, `1.2.3.4`, `1.2.3.4:port`, `::1` or `[::1]:port`.
    ///
    /// An IPv6 address may have a zone, by name or number, as a link-local one needs: `fe80::1%eth0`,
    /// `[fe80::1%eth0]:port`.
    ///
    /// The addresses of a name are tried one after the other, in the order of the system's resolver, but of IPv6 and
    /// IPv4 in turn. One that fails, or has not answered within 250 ms, is followed by the next, beside it; the first
    /// to answer is taken, and the others are given up ([RFC 8305](https://www.rfc-editor.org/rfc/rfc8305)). A server
    /// hears nothing of that, unless it had accepted one of them already.
    ///
    /// Looking a name up takes as long as the system's resolver likes; the time-out concerns connecting.
    ///
    /// # Errors
    ///
    /// What the system reports; where several addresses were tried, that of each, as [`ConnectErrors`]; `InvalidInput`
    /// when the address cannot be read; `ConnectionAborted` once it has been stopped.
    fn connect(&self, address: &str) -> io::Result<Box<dyn Stream>> {
        let finish = |socket| refuse_self(socket).and_then(TcpStream::own);
        let stream = self.connecting.open(&self.resolve(address)?, self.connect_timeout, finish)?;
        Ok(Box::new(stream))
    }

    /// At once, also while a name is being looked up: that cannot be interrupted, and goes on by itself, on a thread
    /// that ends with it.
    fn stop(&self) {
        self.connecting.stop();
    }

    fn describe(&self, address: &str) -> String {
        Target::parse(address, self.port).map_or_else(|_| address.to_owned(), |target| target.to_string())
    }
}

/// Refuses a socket that is connected to itself: TCP does that when nobody listens, and the system happens to give the
/// caller that very port. Who keeps trying to reach a server on its own machine gets there in time, and would keep the
/// server from its port.
fn refuse_self(socket: net::TcpStream) -> io::Result<net::TcpStream> {
    if socket.local_addr()? != socket.peer_addr()? {
        return Ok(socket);
    }
    // Without it the port would stay in use for a minute.
    SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
    Err(io::ErrorKind::ConnectionRefused.into())
}

impl TcpConnector {
    /// The socket addresses that are meant by `address`.
    fn resolve(&self, address: &str) -> io::Result<Vec<SocketAddr>> {
        match Target::parse(address, self.port)? {
            Target::Address(address) => Ok(vec![address]),
            Target::Zoned(host, port) | Target::Name(host, port) => self.connecting.resolve(host, port),
        }
    }
}

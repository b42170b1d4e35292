//! The seam between the library and whatever carries its bytes.
//!
//! A server needs a [`Listener`], a client a [`Connector`]; both give out [`Stream`]s. Nothing else in the crate knows
//! what a stream is made of, so a program can bring its own: a pipe, a compressed link, a simulation. TCP is [`tcp`];
//! `unix` joins programs on one Unix system, and [`memory`] a server and its clients inside one process.
//!
//! All methods take `&self`: one object, without a lock around it, serves one reading and one writing thread at the
//! same time, and may be shut down by a third. A stream whose halves share one mutex does not qualify, because a
//! blocked read would then hold up every write.
//!
//! This module knows streams of bytes, and nothing of messages.
//!
//! # Writing one
//!
//! A stream has to be read, written, shut down and named; a listener has to accept, be stopped and be named; a
//! connector has to connect. Every other method has a default, which stands for *cannot*, and its documentation says
//! what the library does without. Three things are easily got wrong:
//!
//! - A blocked call has to be woken by another thread: reads and writes by [`Stream::shutdown`] and [`Stream::abort`],
//!   [`Listener::accept`] by [`Listener::stop`]. Where the system offers nothing for that, short time-outs will do:
//!   a read may say that there is nothing yet.
//! - A stream that writes other bytes than it is given (encrypted, compressed) cannot always hand on all that it has
//!   taken. It keeps the rest, and [`Stream::flush`] and [`Stream::try_flush`] hand it on.
//! - A layer over another stream says which: from [`Stream::below`] all those methods have their answers in which a
//!   layer seldom has a part. What has to do with bytes it writes itself, and `poll_fd` too.
//!
//! The library gives buffers in any number, also empty ones among others, and is content with a part being taken. It
//! does not trust a transport: counts that cannot be, and panics, end the connection and nothing else.
//!
//! # What may still change
//!
//! This seam is younger than the rest of the crate, and will move with what transports turn out to need. Stable are the
//! methods that have to be written (of a stream `read`, `write_vectored`, `shutdown` and `peer`, of a listener
//! `accept`, `stop` and `name`, of a connector `connect`), what they promise, and that every other one has a default
//! with which everything works, if less well. The methods with a default may change in a minor version before 1.0, so a
//! transport that has some of them asks for one such version (`~0.1`). A program that only uses a transport, by
//! `transport` of a builder or from [`tcp`] and [`memory`], is not concerned.
//!
//! The crate `leads-comm-conformance` holds a transport against all of this. The repository's example
//! `custom_transport` is a layer that packs what goes over another one.

use std::error::Error;
use std::fmt;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

pub(crate) mod address;
mod contained;
mod keepalive;
pub mod memory;
pub(crate) mod socket;
pub mod tcp;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(unix)]
pub mod unix;

pub use keepalive::Keepalive;

/// What the system polls: a descriptor on Unix, a socket on Windows.
#[cfg(unix)]
pub type Descriptor<'a> = std::os::fd::BorrowedFd<'a>;
/// What the system polls: a descriptor on Unix, a socket on Windows.
#[cfg(windows)]
pub type Descriptor<'a> = std::os::windows::io::BorrowedSocket<'a>;

/// The error that a transport has reported, inside one that a service gives out; `None` where it is one of the
/// system's.
///
/// A service shows an error of the program's own transport as it is, but wrapped, so that its destructor runs where it
/// can do no harm.
///
/// # Examples
///
/// ```
/// use std::io;
///
/// use leads_comm::transport::{self, Stream};
/// use leads_comm::{Client, Error};
///
/// let connect = |_: &str| Err::<Box<dyn Stream>, _>(io::Error::other("no number".parse::<u8>().unwrap_err()));
/// let client = Client::builder().transport(connect).build()?;
/// let Err(Error::Connect { source, .. }) = client.start("", true) else { panic!("connected") };
/// assert!(transport::reported(&source).is_some_and(|error| error.is::<std::num::ParseIntError>()));
/// # Ok::<(), Error>(())
/// ```
pub fn reported(error: &io::Error) -> Option<&(dyn Error + Send + Sync + 'static)> {
    contained::reported(error)
}

/// An open, ordered, reliable stream of bytes to one peer.
///
/// The library calls [`read`](Self::read) from one thread at a time, and the write methods from one thread at a time;
/// reading and writing run side by side. [`shutdown`](Self::shutdown) and [`abort`](Self::abort) may come from any
/// thread at any moment, and more than once, and must not block. The stream is closed by dropping it, when the
/// connection has ended. A panic in any method counts as an error of that method.
///
/// # Layers
///
/// A stream over another one, which packs, counts or delays what goes through it, names that one by
/// [`below`](Self::below). By default it then passes on what concerns the peer and the line, and not the bytes:
///
/// | | methods |
/// |---|---|
/// | passed on | `needs_handshake`, `handshake`, `flush`, `try_flush`, `holds_part`, `has_end`, `abort`, `keep_alive`, `unanswered_for`, `limit_unsent`, `system_queued_bytes`, `peer_unread_bytes`, `peer_addr`, `local_addr`, `peer_certificates` |
/// | that of the layer, unless it writes another | `read_once` |
/// | written by each layer | `read`, `write_vectored`, `shutdown`, `peer` |
/// | not there unless the layer writes it | `try_write_vectored`, `poll_fd`, `wait_readable` |
///
/// A write that went past the layer would put bytes on the line as they were before it. A descriptor, or a wait, that
/// went past it would tell of bytes of the line, where the layer may hold some of its own: one that holds none may pass
/// them on, in a line each. A layer that does hold written bytes writes both flushes, its own part first, and ends with
/// those of the stream below.
pub trait Stream: Send + Sync + 'static {
    /// The stream over which this one is a layer, and which answers in its place what it does not answer itself; see
    /// [Layers](Self#layers). Always the same one, and never the stream itself. Default none.
    ///
    /// The library does not call it.
    fn below(&self) -> Option<&dyn Stream> {
        None
    }

    /// Whether a [`handshake`](Self::handshake) comes before everything else. Default false, or what the stream
    /// [below](Self::below) says.
    fn needs_handshake(&self) -> bool {
        self.below().is_some_and(Stream::needs_handshake)
    }

    /// Agrees with the peer on whatever the stream's protocol asks for, for instance on keys. Blocks until that is
    /// done.
    ///
    /// The default is that of the stream [below](Self::below), if there is one. A layer with a handshake of its own has
    /// that one done first, where it is needed.
    ///
    /// Where it is [needed](Self::needs_handshake), called once, before anything is read or written, on a thread that
    /// may be kept waiting; the caller sees to it that it does not last too long, by [`abort`](Self::abort).
    ///
    /// # Errors
    ///
    /// Every error ends the stream, which has never been a connection then. `Unsupported` says that the peer has
    /// spoken, and knows nothing of the handshake: what is written now goes out as it is, so that the peer can be told
    /// the goodbye.
    fn handshake(&self) -> io::Result<()> {
        self.below().map_or(Ok(()), Stream::handshake)
    }

    /// Reads some bytes into `buffer` and returns how many; blocks until there is at least one. 0 is the end of the
    /// stream, and of every read after that.
    ///
    /// # Errors
    ///
    /// `Interrupted`, `WouldBlock` and `TimedOut` mean *nothing yet*: the library reads again. Every other error ends
    /// the connection; a stream whose system says `TimedOut` when it has given up on the peer says something else
    /// instead. `UnexpectedEof` says that the stream was cut off, without the end that its protocol has
    /// ([`DisconnectCause::Truncated`](crate::DisconnectCause::Truncated)).
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Blocks until a [`read`](Self::read) would return, at most for `time`; whether it would.
    ///
    /// With it, the library keeps a large read buffer between two reads of a busy stream, and gives it back when the
    /// stream falls idle. Without it, which is the default, the buffer goes whenever a read has taken all there was.
    ///
    /// Not passed on to a stream [below](Self::below): what can be read there may not be enough for a byte here, and a
    /// byte here may need nothing from there.
    ///
    /// # Errors
    ///
    /// `Unsupported`, always, where that cannot be told. An error ends nothing; the next read shows what is wrong.
    fn wait_readable(&self, time: Duration) -> io::Result<bool> {
        let _ = time;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Writes some of the bytes of `buffers`, in order, and returns how many; blocks until at least one is taken. 0 is
    /// an error.
    ///
    /// A peer takes nothing for as long as this blocks. Where a system lets a write wait for much more room than it
    /// needs, one that returns with `Interrupted` from time to time is tried again, and takes what there is.
    ///
    /// # Errors
    ///
    /// `Interrupted` is tried again. Every other error ends the connection.
    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Hands on what [`write_vectored`](Self::write_vectored) has taken and the stream itself still holds, for instance
    /// because it writes other bytes than it is given; blocks until all is handed on.
    ///
    /// Called after each such write. The default is for streams that hold nothing themselves, also as a layer: it has
    /// the stream [below](Self::below) do it.
    ///
    /// # Errors
    ///
    /// As for [`write_vectored`](Self::write_vectored).
    fn flush(&self) -> io::Result<()> {
        self.below().map_or(Ok(()), Stream::flush)
    }

    /// Like [`write_vectored`](Self::write_vectored), but never blocks: `WouldBlock` when not one byte is taken.
    ///
    /// With it, messages are written on the thread that sends them, and callers who are refused are told the goodbye.
    /// Without it, which is the default, a thread of the library writes messages, and refused callers get no goodbye.
    /// Never passed on to a stream [below](Self::below), which would write what it is given as it is.
    ///
    /// # Errors
    ///
    /// `WouldBlock`; `Unsupported`, always, where there is no such write; `Interrupted` is tried again; every other
    /// error ends the connection.
    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let _ = buffers;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Like [`flush`](Self::flush), for what [`try_write_vectored`](Self::try_write_vectored) has taken; never blocks.
    ///
    /// Called after each such write, and again, as soon as the stream is ready for it, until all is handed on; nothing
    /// more is written before. What is held when the connection breaks counts as written, as what the system holds
    /// does. The default has the stream [below](Self::below) do it.
    ///
    /// # Errors
    ///
    /// `WouldBlock` while something is held; `Unsupported` where there is no such write, and only
    /// [`flush`](Self::flush) hands on what is held, be it the end; `Interrupted` is tried again; every other error
    /// ends the connection.
    fn try_flush(&self) -> io::Result<()> {
        self.below().map_or(Ok(()), Stream::try_flush)
    }

    /// A descriptor that polls writable when [`try_write_vectored`](Self::try_write_vectored) can go on.
    ///
    /// With it, one thread of the service serves every stream that is not taking bytes. Without it, which is the
    /// default, such a stream gets a writing thread of its own. A layer whose `try_write_vectored` waits for nothing
    /// but the stream [below](Self::below) may give the descriptor of that one; it is never passed on by itself,
    /// because for a layer that waits for something else it would be ready again and again, and no byte be taken.
    fn poll_fd(&self) -> Option<Descriptor<'_>> {
        None
    }

    /// Reads as [`read`](Self::read) does, but says `WouldBlock` when what has come is a part of something of which
    /// nothing can be handed out yet, such as a record of TLS: then [`holds_part`](Self::holds_part) is asked. What the
    /// reader of a connection calls. Default: `read`.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read).
    fn read_once(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read(buffer)
    }

    /// Whether the beginning of something has arrived of which a read can hand out nothing before all of it is there,
    /// such as a record of TLS. The peer has to finish it within
    /// [`partial_message_timeout`](crate::Timeouts::partial_message_timeout), as if it were a message. Default false,
    /// or what the stream [below](Self::below) says.
    fn holds_part(&self) -> bool {
        self.below().is_some_and(Stream::holds_part)
    }

    /// Whether a read reports that the peer has ended its writing half. Default true. Where it never does, as on a
    /// serial line, a connection is over when the peer has said its goodbye; a peer that says none is given all of
    /// [`drain_timeout`](crate::Closing::drain_timeout). By default a layer has one when the stream
    /// [below](Self::below) has; one whose own protocol has an end says so.
    fn has_end(&self) -> bool {
        self.below().is_none_or(Stream::has_end)
    }

    /// Ends the writing half, after what has been written (`Write`), or both halves (`Both`).
    ///
    /// `Both` makes a blocked read and a blocked write of this stream return soon, and every later one fail or report
    /// the end. The peer's read reports the end of the stream.
    ///
    /// # Errors
    ///
    /// Reported by the operating system; a stream that has already ended is no reason to worry. `WouldBlock` for
    /// `Write`: the end is itself something that is written, and the stream holds it; it is asked again when that has
    /// been [handed on](Self::try_flush).
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;

    /// Gives up the stream, and what has been written but not delivered: a blocked read or write returns soon, and the
    /// peer learns, if there is a way, that this is no regular end; at the latest when the stream is dropped.
    ///
    /// The default is that of the stream [below](Self::below), or [`shutdown`](Self::shutdown) of both halves where
    /// there is none. A layer whose calls may block elsewhere than in the stream below writes its own, which wakes
    /// those too.
    ///
    /// # Errors
    ///
    /// As for [`shutdown`](Self::shutdown).
    fn abort(&self) -> io::Result<()> {
        self.below().map_or_else(|| self.shutdown(Shutdown::Both), Stream::abort)
    }

    /// Has the system look after the peer, so that one that vanishes is noticed: while it is silent (`keepalive`), and
    /// while it leaves without acknowledgement what is sent to it (`user_timeout`). `None` is to leave that as it is.
    /// Called once, before anything is read or written;
    /// [`dead_peer_timeout`](crate::Timeouts::dead_peer_timeout) says what a program may expect.
    ///
    /// The default hands it on to the stream [below](Self::below), as one that is made of a
    /// [`TcpStream`](tcp::TcpStream) should; where there is none, it means nothing.
    ///
    /// # Errors
    ///
    /// `Unsupported` where it means nothing; what the system refuses. Neither ends the connection.
    fn keep_alive(&self, keepalive: Option<Keepalive>, user_timeout: Option<Duration>) -> io::Result<()> {
        self.below().map_or(Err(io::ErrorKind::Unsupported.into()), |below| below.keep_alive(keepalive, user_timeout))
    }

    /// For how long nothing at all has come from the peer's system, while something that was sent to it is not
    /// answered; `Some(Duration::ZERO)` while something waits to be sent, and all that was is answered; `None` when
    /// all is sent and answered. What the system does counts, and not the peer's program, which may be reading nothing.
    ///
    /// Asked once before anything is read or written, and from then on, by one thread at a time, while something may be
    /// unanswered; must not block. Where it can be told, the library looks at the time by itself, and gives
    /// [`keep_alive`](Self::keep_alive) no `user_timeout`. The default asks the stream [below](Self::below).
    ///
    /// # Errors
    ///
    /// Where it cannot be told, `Unsupported` or others, which is the default where there is no stream below. An error
    /// later ends nothing; it is asked again.
    fn unanswered_for(&self) -> io::Result<Option<Duration>> {
        self.below().map_or(Err(io::ErrorKind::Unsupported.into()), Stream::unanswered_for)
    }

    /// Has the system take nothing more while it holds so many bytes that it has not sent yet; `None` is for its own
    /// limit. Where nothing is sent, because the peer is on the same system, what the peer has not read counts. What is
    /// held already stays.
    ///
    /// Called where a connection has such a [limit](crate::Delivery::max_unsent_bytes), before it is written to, and
    /// when that changes; also on several threads at once. Must not block. While there is one, what has had to wait is
    /// written in parts of about half of it, because systems call a stream ready when so much is free. The default
    /// hands it on to the stream [below](Self::below); what a layer holds itself comes on top.
    ///
    /// # Errors
    ///
    /// `Unsupported` where the system has no such limit, which is the default where there is no stream below; what the
    /// system refuses. Neither ends the connection.
    fn limit_unsent(&self, bytes: Option<usize>) -> io::Result<()> {
        self.below().map_or(Err(io::ErrorKind::Unsupported.into()), |below| below.limit_unsent(bytes))
    }

    /// How many bytes the system holds for the peer: what was written, and the peer's system has not acknowledged, or,
    /// where the peer is on the same system, its program has not read.
    ///
    /// Asked by [`Connection::stats`](crate::Connection::stats), and at the end of a connection whose peer talks on; on
    /// any thread, also on several at once; must not block. The default asks the stream [below](Self::below), and counts
    /// that one's bytes.
    ///
    /// # Errors
    ///
    /// Where it cannot be told, `Unsupported` or others, which is the default where there is no stream below.
    fn system_queued_bytes(&self) -> io::Result<u64> {
        self.below().map_or(Err(io::ErrorKind::Unsupported.into()), Stream::system_queued_bytes)
    }

    /// How many bytes have arrived at the peer's system, and its program has not read: beyond what the system
    /// [holds](Self::system_queued_bytes), and where the peer is on the same system, so that this can be told.
    ///
    /// Asked by [`Connection::stats`](crate::Connection::stats), on any thread, also on several at once; must not block.
    /// The default asks the stream [below](Self::below), and counts that one's bytes.
    ///
    /// # Errors
    ///
    /// Where it cannot be told, `Unsupported` or others, which is the default where there is no stream below.
    fn peer_unread_bytes(&self) -> io::Result<u64> {
        self.below().map_or(Err(io::ErrorKind::Unsupported.into()), Stream::peer_unread_bytes)
    }

    /// What the peer is called, for people: in logs, thread names and `Display` of a connection. One line, not empty,
    /// and the same whatever becomes of the stream. For TCP `ip:port`.
    fn peer(&self) -> String;

    /// The peer's network address, where there is such a thing. Default that of the stream [below](Self::below).
    fn peer_addr(&self) -> Option<SocketAddr> {
        self.below().and_then(Stream::peer_addr)
    }

    /// The local network address, where there is such a thing. Default that of the stream [below](Self::below).
    fn local_addr(&self) -> Option<SocketAddr> {
        self.below().and_then(Stream::local_addr)
    }

    /// The certificates by which the peer has proved who it is, in DER, its own first; none where there is no such
    /// proof. Known after the [`handshake`](Self::handshake). Default those of the stream [below](Self::below).
    fn peer_certificates(&self) -> Vec<Vec<u8>> {
        self.below().map_or_else(Vec::new, Stream::peer_certificates)
    }
}

/// Where streams arrive: what a server listens on.
pub trait Listener: Send + Sync + 'static {
    /// Blocks until a stream arrives; `None` once [`stop`](Self::stop) has been called.
    ///
    /// Called by one thread at a time.
    ///
    /// # Errors
    ///
    /// `ConnectionAborted`, `ConnectionReset` and `Interrupted` concern one caller only, and so do the errors of the
    /// operating system that say as much: the server accepts again at once, unless there is no end to them. After any
    /// other error it tells `on_fail`, waits (5 ms, doubled up to 1 s while it goes on, less when one of its
    /// connections ends) and accepts again.
    fn accept(&self) -> io::Result<Option<Box<dyn Stream>>>;

    /// Like [`accept`](Self::accept), but gives up after `time`: `WouldBlock` when no stream has arrived by then.
    ///
    /// With it, the server gives callers that it refuses a moment to read its goodbye, and is never late in telling
    /// `on_fail` how many there were. Without it, which is the default, it ends their streams at once, and tells of
    /// them when the next caller comes, or the server is closed.
    ///
    /// # Errors
    ///
    /// `WouldBlock`; `Unsupported`, always, where there is no such wait; otherwise as for [`accept`](Self::accept).
    fn accept_for(&self, time: Duration) -> io::Result<Option<Box<dyn Stream>>> {
        let _ = time;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Accepts, without blocking, a stream that is only told that there is no room for it, at the cost of something
    /// that was kept for this; `None` when no stream waits, or there is nothing to spend.
    ///
    /// Called when [`accept`](Self::accept) has failed, and on the same thread. The server drops the stream before it
    /// accepts again. Without it, which is the default, callers wait until there is room for them.
    ///
    /// # Errors
    ///
    /// As for [`accept`](Self::accept); the stream waits on.
    fn accept_to_refuse(&self) -> io::Result<Option<Box<dyn Stream>>> {
        Ok(None)
    }

    /// How many of the process's descriptors an open stream takes. Where it is more than 0, the default, the server
    /// takes no more connections than there are descriptors for: see
    /// [`ServerBuilder::max_connections`](crate::ServerBuilder::max_connections).
    fn descriptors_per_stream(&self) -> usize {
        0
    }

    /// Makes a blocked [`accept`](Self::accept), and every later one, return `None` soon, and gives back what is
    /// listened on: when this returns, callers are refused at once, and the address, if there is one, can be bound
    /// anew. Any thread may call it, more than once.
    ///
    /// The accepting thread may be in the program's code then, such as a hook, and hold the listener for as long as
    /// that takes; so it is not to be waited for, but while it is in a system call of this listener's own, from which
    /// it has been woken. (The listeners of this crate lend their socket to the accepting thread for such calls only,
    /// and close it here.) A listener that cannot do this makes `accept` return; then the address is free when the
    /// server lets go of the listener, which is closed by dropping it.
    fn stop(&self);

    /// What the listener is called, for people, in one line. For TCP `ip:port`.
    fn name(&self) -> String;

    /// The network address listened on, where there is such a thing.
    fn local_addr(&self) -> Option<SocketAddr> {
        None
    }
}

/// How a client reaches its server.
///
/// Closures of the same shape are connectors.
pub trait Connector: Send + Sync + 'static {
    /// Opens a stream to `address`, which is what the program gave to [`Client::start`](crate::Client::start). Blocks
    /// until it is open.
    ///
    /// Called by one thread at a time; again after a failure, or after the end of the stream, when the client is to
    /// [reconnect](crate::ClientBuilder::reconnect).
    ///
    /// # Errors
    ///
    /// Reported to the caller of `start`, or to `on_fail` when the client connects again.
    fn connect(&self, address: &str) -> io::Result<Box<dyn Stream>>;

    /// Makes a blocked [`connect`](Self::connect), and every later one, fail soon. Any thread may call it, more than
    /// once; it must not block.
    ///
    /// With it, closing a client that is connecting takes no time. Without it, which is the default, the client ends
    /// only when `connect` has returned, and its [`close`](crate::Service::close) waits for that, at most for the
    /// [close time-out](crate::Closing::close_timeout). A connector that wraps another one passes the call on.
    fn stop(&self) {}

    /// What `address` stands for, for people: in [`Error::Connect`](crate::Error::Connect). The address itself unless
    /// written otherwise; TCP adds the port.
    fn describe(&self, address: &str) -> String {
        address.to_owned()
    }
}

impl<F> Connector for F
where
    F: Fn(&str) -> io::Result<Box<dyn Stream>> + Send + Sync + 'static,
{
    fn connect(&self, address: &str) -> io::Result<Box<dyn Stream>> {
        self(address)
    }
}

/// Whether an error of [`Stream::read`] says that there is nothing to read yet, which is not an end: `Interrupted`,
/// `WouldBlock` and `TimedOut` do.
pub fn is_nothing_yet(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Writes all of it, and hands it on; blocks until that is done.
pub(crate) fn write_all(stream: &dyn Stream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.write_vectored(&[IoSlice::new(bytes)]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    stream.flush()
}

impl fmt::Debug for dyn Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stream({})", self.peer())
    }
}

impl fmt::Debug for dyn Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({})", self.name())
    }
}

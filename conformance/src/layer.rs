//! The checks of layers: what goes past a layer reaches the stream below it.

use std::fmt::Debug;
use std::io::{self, ErrorKind, IoSlice};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use leads_comm::transport::memory::{self, MemoryStream};
use leads_comm::transport::{Keepalive, Stream};
use parking_lot::Mutex;

use crate::failure::{Failure, Outcome, broken, ensure};
use crate::run;
use crate::suite::Suite;

/// One thing that is asked of a stream over another one. [`Suite::check_layer`] runs all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LayerCheck {
    /// The [handshake](Stream::handshake) of the stream below is done where that one needs it, and its failure is told.
    /// Not for layers with a handshake of their own.
    Handshake,
    /// The addresses of both ends are those of the stream below.
    Addresses,
    /// The peer's [certificates](Stream::peer_certificates) are those of the stream below. Not for layers with
    /// certificates of their own.
    Certificates,
    /// A stream below that [has no end](Stream::has_end) has none with the layer either. Not for layers whose own
    /// protocol has one.
    HasEnd,
    /// [`keep_alive`](Stream::keep_alive) reaches the stream below as it is, and so does the answer to it.
    KeepAlive,
    /// What is [unanswered](Stream::unanswered_for) is told as the stream below tells it.
    Unanswered,
    /// A [limit](Stream::limit_unsent) on what the system holds reaches the stream below, and so does the answer to it.
    LimitUnsent,
    /// What the system [holds](Stream::system_queued_bytes), and what the peer has not
    /// [read](Stream::peer_unread_bytes), is told as the stream below tells it. Not for layers that count otherwise.
    SystemQueued,
    /// [`abort`](Stream::abort) aborts the stream below, and is no mere shutdown of it.
    Abort,
    /// Shutting both halves shuts those of the stream below.
    Shutdown,
    /// What has been written is handed on by the stream below, too, when it is [flushed](Stream::flush). Not for layers
    /// that write nothing before their handshake.
    Flush,
    /// The same without blocking, and [`try_flush`](Stream::try_flush) says so while the stream below still holds
    /// something. Only where a [write that does not block](Suite::try_write) is expected.
    TryFlush,
    /// There is no [write without blocking](Stream::try_write_vectored) over a stream that has none, and its error says
    /// so. Not for layers that write nothing before their handshake.
    TryWrite,
    /// The stream below is dropped with the layer.
    DropCloses,
}

impl LayerCheck {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Handshake,
        Self::Addresses,
        Self::Certificates,
        Self::HasEnd,
        Self::KeepAlive,
        Self::Unanswered,
        Self::LimitUnsent,
        Self::SystemQueued,
        Self::Abort,
        Self::Shutdown,
        Self::Flush,
        Self::TryFlush,
        Self::TryWrite,
        Self::DropCloses,
    ];

    /// What it is called in a [`Failure`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Addresses => "addresses",
            Self::Certificates => "certificates",
            Self::HasEnd => "has end",
            Self::KeepAlive => "keep alive",
            Self::Unanswered => "unanswered",
            Self::LimitUnsent => "limit unsent",
            Self::SystemQueued => "system queued",
            Self::Abort => "abort",
            Self::Shutdown => "shutdown",
            Self::Flush => "flush",
            Self::TryFlush => "try flush",
            Self::TryWrite => "try write",
            Self::DropCloses => "drop closes",
        }
    }

    /// Runs it by itself, on layers as [`Suite::check_layer`] takes them. Blocks until it is done, at most for a moment
    /// longer than its [time](Suite::time).
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub fn run(
        self,
        suite: &Suite,
        over: impl Fn(Box<dyn Stream>) -> Box<dyn Stream> + Clone + Send + 'static,
    ) -> Result<(), Failure> {
        let try_write = suite.try_write;
        run::check(self.name(), suite.time, move |run| {
            if self == Self::TryFlush && !try_write {
                return Ok(());
            }
            let (stream, peer) = memory::pair();
            let noted = Arc::new(Mutex::new(Noted {
                needs_handshake: self == Self::Handshake,
                blocks: self == Self::TryWrite,
                ..Noted::default()
            }));
            let below = Below { stream, _peer: peer, noted: Arc::clone(&noted) };
            let over = over.clone();
            let layer = run.call("making a layer", move |_| Ok(over(Box::new(below))))?;
            let layer = run.adopt(layer);
            run.call(self.name(), move |_| self.check(layer, &noted))
        })
    }

    fn check(self, layer: Arc<dyn Stream>, noted: &Mutex<Noted>) -> Outcome {
        let calls = || noted.lock().calls.clone();
        let reached = |call: Call| {
            ensure(calls().contains(&call), format_args!("{call:?} does not reach the stream below: {:?}", calls()))
        };
        match self {
            Self::Handshake => {
                ensure(layer.needs_handshake(), "it needs no handshake, and the stream below needs one")?;
                layer.handshake().or_else(|error| broken(format_args!("the handshake fails: {error}")))?;
                reached(Call::Handshake)?;
                noted.lock().fails = true;
                ensure(layer.handshake().is_err(), "the handshake of the stream below has failed, and this one has not")
            }
            Self::Addresses => {
                same("peer_addr", layer.peer_addr(), Some(PEER))?;
                same("local_addr", layer.local_addr(), Some(LOCAL))
            }
            Self::Certificates => same("peer_certificates", layer.peer_certificates(), vec![CERTIFICATE.to_vec()]),
            Self::HasEnd => same("has_end", layer.has_end(), false),
            Self::KeepAlive => {
                let keepalive = Keepalive { count: 7, ..Keepalive::default() };
                let time = Duration::from_secs(77);
                let answer = layer.keep_alive(Some(keepalive), Some(time)).map_err(|error| error.kind());
                same("keep_alive", answer, Ok(()))?;
                reached(Call::KeepAlive(Some(keepalive), Some(time)))?;
                noted.lock().fails = true;
                let answer = layer.keep_alive(None, None).map_err(|error| error.kind());
                same("keep_alive", answer, Err(REFUSED))
            }
            Self::Unanswered => {
                let asked = || layer.unanswered_for().map_err(|error| error.kind());
                same("unanswered_for", asked(), Ok(Some(UNANSWERED)))?;
                noted.lock().fails = true;
                same("unanswered_for", asked(), Err(REFUSED))
            }
            Self::LimitUnsent => {
                for bytes in [Some(UNSENT), None] {
                    let answer = layer.limit_unsent(bytes).map_err(|error| error.kind());
                    same("limit_unsent", answer, Ok(()))?;
                    reached(Call::LimitUnsent(bytes))?;
                }
                noted.lock().fails = true;
                let answer = layer.limit_unsent(None).map_err(|error| error.kind());
                same("limit_unsent", answer, Err(REFUSED))
            }
            Self::SystemQueued => {
                let asked = || layer.system_queued_bytes().map_err(|error| error.kind());
                let unread = || layer.peer_unread_bytes().map_err(|error| error.kind());
                same("system_queued_bytes", asked(), Ok(QUEUED))?;
                same("peer_unread_bytes", unread(), Ok(UNREAD))?;
                noted.lock().fails = true;
                same("system_queued_bytes", asked(), Err(REFUSED))?;
                same("peer_unread_bytes", unread(), Err(REFUSED))
            }
            Self::Abort => {
                // What comes of it is of no interest to anybody.
                let _ = layer.abort();
                reached(Call::Abort)
            }
            Self::Shutdown => {
                let _ = layer.shutdown(Shutdown::Both);
                reached(Call::Shutdown)
            }
            Self::Flush => {
                written("write_vectored", layer.write_vectored(&[IoSlice::new(WRITTEN)]))?;
                layer.flush().or_else(|error| broken(format_args!("flush fails: {error}")))?;
                handed_on(&calls(), &Call::Flush)
            }
            Self::TryFlush => {
                written("try_write_vectored", layer.try_write_vectored(&[IoSlice::new(WRITTEN)]))?;
                noted.lock().holds = true;
                let asked = || layer.try_flush().map_err(|error| error.kind());
                let held = "while the stream below holds something";
                ensure(
                    asked() == Err(ErrorKind::WouldBlock),
                    format_args!("try_flush does not say WouldBlock {held}"),
                )?;
                noted.lock().holds = false;
                same("try_flush", asked(), Ok(()))?;
                handed_on(&calls(), &Call::TryFlush)
            }
            Self::TryWrite => {
                let result = layer.try_write_vectored(&[IoSlice::new(WRITTEN)]).map_err(|error| error.kind());
                same("try_write_vectored", result, Err(ErrorKind::Unsupported))
            }
            Self::DropCloses => {
                drop(layer);
                reached(Call::Drop)
            }
        }
    }
}

fn same<T: PartialEq + Debug>(call: &str, says: T, expected: T) -> Outcome {
    let is_same = says == expected;
    ensure(is_same, format_args!("{call} says {says:?}, and the stream below {expected:?}"))
}

fn written(call: &str, result: io::Result<usize>) -> Outcome {
    match result {
        Ok(count) => ensure(count > 0, format_args!("{call} takes nothing")),
        Err(error) => broken(format_args!("{call} fails: {error}")),
    }
}

/// The last bytes have been written before the stream below was last told to hand on what it holds.
fn handed_on(calls: &[Call], flush: &Call) -> Outcome {
    let at = |wanted: &Call| calls.iter().rposition(|call| call == wanted);
    let (write, flushed) = (at(&Call::Write), at(flush));
    ensure(write.is_some(), "nothing is written to the stream below")?;
    ensure(flushed > write, format_args!("{flush:?} does not reach the stream below: {calls:?}"))
}

const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 1);
const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 2);
const CERTIFICATE: &[u8] = b"a certificate";
const UNANSWERED: Duration = Duration::from_millis(777);
const UNSENT: usize = 7777;
const QUEUED: u64 = 777;
const UNREAD: u64 = 77;
/// What the stream below says when it is to fail.
const REFUSED: ErrorKind = ErrorKind::PermissionDenied;
/// What is written: bytes that most layers write as they are, and some as others.
const WRITTEN: &[u8] = b"aaaaaaaabc";

#[derive(Debug, Clone, PartialEq)]
enum Call {
    Handshake,
    Write,
    Flush,
    TryFlush,
    KeepAlive(Option<Keepalive>, Option<Duration>),
    LimitUnsent(Option<usize>),
    Abort,
    Shutdown,
    Drop,
}

/// What the stream below has been asked, and how it is to answer.
#[derive(Default)]
struct Noted {
    calls: Vec<Call>,
    needs_handshake: bool,
    /// It has no write that does not block.
    blocks: bool,
    /// It holds what it was given.
    holds: bool,
    fails: bool,
}

/// The stream below: one in memory, with more to it than that.
struct Below {
    stream: MemoryStream,
    _peer: MemoryStream,
    noted: Arc<Mutex<Noted>>,
}

impl Below {
    fn note(&self, call: Call) {
        self.noted.lock().calls.push(call);
    }

    fn may_fail(&self) -> io::Result<()> {
        if self.noted.lock().fails { Err(REFUSED.into()) } else { Ok(()) }
    }
}

impl Stream for Below {
    fn needs_handshake(&self) -> bool {
        self.noted.lock().needs_handshake
    }

    fn handshake(&self) -> io::Result<()> {
        self.note(Call::Handshake);
        self.may_fail()
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.note(Call::Write);
        self.stream.write_vectored(buffers)
    }

    fn flush(&self) -> io::Result<()> {
        self.note(Call::Flush);
        Ok(())
    }

    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.noted.lock().blocks {
            return Err(ErrorKind::Unsupported.into());
        }
        self.note(Call::Write);
        self.stream.try_write_vectored(buffers)
    }

    fn try_flush(&self) -> io::Result<()> {
        if self.noted.lock().holds {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.note(Call::TryFlush);
        Ok(())
    }

    fn has_end(&self) -> bool {
        false
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how == Shutdown::Both {
            self.note(Call::Shutdown);
        }
        self.stream.shutdown(how)
    }

    fn abort(&self) -> io::Result<()> {
        self.note(Call::Abort);
        self.stream.abort()
    }

    fn keep_alive(&self, keepalive: Option<Keepalive>, user_timeout: Option<Duration>) -> io::Result<()> {
        self.note(Call::KeepAlive(keepalive, user_timeout));
        self.may_fail()
    }

    fn unanswered_for(&self) -> io::Result<Option<Duration>> {
        self.may_fail().map(|()| Some(UNANSWERED))
    }

    fn limit_unsent(&self, bytes: Option<usize>) -> io::Result<()> {
        self.note(Call::LimitUnsent(bytes));
        self.may_fail()
    }

    fn system_queued_bytes(&self) -> io::Result<u64> {
        self.may_fail().map(|()| QUEUED)
    }

    fn peer_unread_bytes(&self) -> io::Result<u64> {
        self.may_fail().map(|()| UNREAD)
    }

    fn peer(&self) -> String {
        "below".into()
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        Some(PEER)
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        Some(LOCAL)
    }

    fn peer_certificates(&self) -> Vec<Vec<u8>> {
        vec![CERTIFICATE.to_vec()]
    }
}

impl Drop for Below {
    fn drop(&mut self) {
        self.note(Call::Drop);
    }
}

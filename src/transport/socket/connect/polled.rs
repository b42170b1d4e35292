//! On Unix: non-blocking connects, polled together with a wake-up.

use std::io;
use std::mem;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::{Outcome, StoppableConnect, discard_when_dropped};
use crate::transport::socket::poll::Poller;

/// What the attempts under way wait with; only then, so that a connector holds no descriptor at other times.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    poller: Mutex<Option<Arc<Poller>>>,
}

impl Waiting {
    pub(crate) fn wake(&self) {
        if let Some(poller) = &*self.poller.lock() {
            poller.wake();
        }
    }
}

/// Attempts to connect, under way at the same time. Those that are not over are given up when this is dropped.
pub(super) struct Attempts<'a> {
    connecting: &'a StoppableConnect,
    poller: Arc<Poller>,
    /// How long each may take.
    time: Duration,
    pending: Vec<Attempt>,
    /// Those that have failed at once.
    failed: Vec<Outcome>,
}

struct Attempt {
    address: SocketAddr,
    socket: Socket,
    began: Instant,
}

impl<'a> Attempts<'a> {
    pub(super) fn new(connecting: &'a StoppableConnect, time: Duration) -> io::Result<Self> {
        let poller = Arc::new(Poller::new()?);
        *connecting.waiting.poller.lock() = Some(Arc::clone(&poller));
        Ok(Self { connecting, poller, time, pending: Vec::new(), failed: Vec::new() })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.failed.is_empty()
    }

    pub(super) fn begin(&mut self, address: SocketAddr) {
        match begin(address) {
            Ok(socket) => self.pending.push(Attempt { address, socket, began: Instant::now() }),
            Err(error) => self.failed.push((address, Err(error))),
        }
    }

    /// Waits until one is over, or this is stopped, at most for `time`; what has become of those that are over.
    pub(super) fn wait(&mut self, time: Option<Duration>) -> io::Result<Vec<Outcome>> {
        let mut over = mem::take(&mut self.failed);
        let left = self.pending.iter().map(|attempt| self.time.saturating_sub(attempt.began.elapsed()));
        let time = if over.is_empty() { left.chain(time).min() } else { Some(Duration::ZERO) };
        let ready = self.poller.wait_connected(self.pending.iter().map(|attempt| &attempt.socket), time)?;
        for (attempt, is_ready) in mem::take(&mut self.pending).into_iter().zip(ready) {
            match is_ready {
                true => over.push((attempt.address, outcome(attempt.socket))),
                false if attempt.began.elapsed() < self.time => self.pending.push(attempt),
                false => over.push((attempt.address, Err(timed_out()))),
            }
        }
        Ok(over)
    }
}

impl Drop for Attempts<'_> {
    fn drop(&mut self) {
        *self.connecting.waiting.poller.lock() = None;
    }
}

fn begin(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    discard_when_dropped(SockRef::from(&socket))?;
    loop {
        let Err(error) = socket.connect(&address.into()) else { return Ok(socket) };
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::INPROGRESS | Errno::ALREADY | Errno::ISCONN) => return Ok(socket),
            // A signal came in between.
            Some(Errno::INTR) => {}
            _ => return Err(error),
        }
    }
}

fn outcome(socket: Socket) -> io::Result<TcpStream> {
    match socket.take_error()? {
        Some(error) => Err(error),
        None => Ok(socket.into()),
    }
}

fn timed_out() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
}

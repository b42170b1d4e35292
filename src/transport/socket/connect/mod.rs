//! Connecting in such a way that another thread can stop it.

#[cfg_attr(unix, path = "polled.rs")]
#[cfg_attr(windows, path = "threads.rs")]
mod imp;

mod errors;
mod race;

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::thread;
use std::time::Duration;

#[cfg(unix)]
use crossbeam_channel::RecvTimeoutError;
use crossbeam_channel::{Receiver, Sender, bounded, select};
use parking_lot::Mutex;
use socket2::SockRef;

pub use errors::ConnectErrors;

/// The stack of a thread that looks a name up, or connects, in bytes: it runs the system's code only.
const ASIDE_STACK: usize = 512 * 1024;

/// The attempts of one connector, of which there is one at a time, and whether they have been stopped for good.
#[derive(Debug)]
pub(crate) struct StoppableConnect {
    /// Dropped by the thread that stops, which closes the channel.
    going: Mutex<Option<Sender<()>>>,
    stopped: Receiver<()>,
    waiting: imp::Waiting,
}

impl StoppableConnect {
    pub(crate) fn new() -> Self {
        let (going, stopped) = bounded(0);
        Self { going: Mutex::new(Some(going)), stopped, waiting: imp::Waiting::default() }
    }

    /// Makes the attempt under way fail soon, and every later one at once.
    pub(crate) fn stop(&self) {
        drop(self.going.lock().take());
        self.waiting.wake();
    }

    /// The addresses of a host. The system's resolver cannot be interrupted, so it runs on a thread of its own, which
    /// is left to itself when this is stopped.
    pub(crate) fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let host = host.to_owned();
        self.aside("lc-resolver", move || Ok((host, port).to_socket_addrs()?.collect()))
    }

    /// Connects to whichever of `addresses` answers first, each of which is given `time` to do so. What `finish`
    /// refuses is no connection.
    pub(crate) fn open<T>(
        &self,
        addresses: &[SocketAddr],
        time: Duration,
        finish: impl Fn(TcpStream) -> io::Result<T>,
    ) -> io::Result<T> {
        race::open(self, addresses, time, finish)
    }

    /// Fails once this has been stopped.
    pub(crate) fn go_on(&self) -> io::Result<()> {
        if self.going.lock().is_some() { Ok(()) } else { Err(stopped()) }
    }

    /// Waits for `time` before something is tried again.
    #[cfg(unix)]
    pub(crate) fn pause(&self, time: Duration) -> io::Result<()> {
        match self.stopped.recv_timeout(time) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            _ => Err(stopped()),
        }
    }

    /// Runs `work` on another thread, and waits for what comes of it unless this is stopped.
    fn aside<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let (done, result) = bounded(1);
        // Fails when nobody waits for it any more.
        start_aside(name, move || drop(done.send(work())))?;
        select! {
            recv(result) -> result => result.unwrap_or_else(|_| Err(io::Error::other("the resolver panicked"))),
            recv(self.stopped) -> _ => Err(stopped()),
        }
    }
}

fn start_aside(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).stack_size(ASIDE_STACK).spawn(work).map(drop)
}

/// What has become of an attempt to connect to an address.
type Outcome = (SocketAddr, io::Result<TcpStream>);

/// Has a socket leave by a reset, unless it is [kept](keep): a server that has not accepted it yet never sees it.
fn discard_when_dropped(socket: SockRef<'_>) -> io::Result<()> {
    socket.set_linger(Some(Duration::ZERO))
}

fn keep(socket: TcpStream) -> io::Result<TcpStream> {
    SockRef::from(&socket).set_linger(None)?;
    Ok(socket)
}

fn stopped() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "connecting was stopped")
}

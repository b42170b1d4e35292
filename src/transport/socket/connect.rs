//! Connecting in such a way that another thread can stop it.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::thread;
use std::time::Duration;

#[cfg(unix)]
use crossbeam_channel::RecvTimeoutError;
use crossbeam_channel::{Receiver, Sender, bounded, select};
use parking_lot::Mutex;

/// The stack of a thread that looks a name up, or connects, in bytes: it runs the system's code only.
const ASIDE_STACK: usize = 512 * 1024;

/// The attempts of one connector, of which there is one at a time, and whether they have been stopped for good.
#[derive(Debug)]
pub(crate) struct Connecting {
    /// Dropped by whoever stops, which closes the channel.
    going: Mutex<Option<Sender<()>>>,
    stopped: Receiver<()>,
    waiting: imp::Waiting,
}

impl Connecting {
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
        self.aside("leads-comm resolver", move || Ok((host, port).to_socket_addrs()?.collect()))
    }

    /// Connects to one address, which is given `time` to answer.
    pub(crate) fn open(&self, address: SocketAddr, time: Duration) -> io::Result<TcpStream> {
        self.go_on()?;
        imp::open(self, address, time)
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
        thread::Builder::new().name(name.to_owned()).stack_size(ASIDE_STACK).spawn(move || {
            // Fails when nobody waits for it any more.
            let _ = done.send(work());
        })?;
        select! {
            recv(result) -> result => result.unwrap_or_else(|_| Err(io::Error::other("the resolver panicked"))),
            recv(self.stopped) -> _ => Err(stopped()),
        }
    }
}

fn stopped() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "connecting was stopped")
}

/// Where descriptors can be polled: a non-blocking connect, polled together with a wake-up.
#[cfg(all(unix, not(leads_comm_portable)))]
mod imp {
    use std::io;
    use std::net::{SocketAddr, TcpStream};
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use parking_lot::Mutex;
    use rustix::io::Errno;
    use socket2::{Domain, Protocol, Socket, Type};

    use super::Connecting;
    use crate::transport::socket::poll::Poller;

    /// What the attempt under way waits with; only then, so that a connector holds no descriptor at other times.
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

    pub(crate) fn open(connecting: &Connecting, address: SocketAddr, time: Duration) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        if begin(&socket, address)? {
            return Ok(socket.into());
        }
        let poller = Arc::new(Poller::new()?);
        *connecting.waiting.poller.lock() = Some(Arc::clone(&poller));
        let waited = wait(connecting, &poller, &socket, time);
        *connecting.waiting.poller.lock() = None;
        waited?;
        match socket.take_error()? {
            Some(error) => Err(error),
            None => Ok(socket.into()),
        }
    }

    /// Begins to connect; whether it is done already.
    fn begin(socket: &Socket, address: SocketAddr) -> io::Result<bool> {
        loop {
            let Err(error) = socket.connect(&address.into()) else { return Ok(true) };
            match error.raw_os_error().map(Errno::from_raw_os_error) {
                Some(Errno::INPROGRESS | Errno::ALREADY) => return Ok(false),
                Some(Errno::ISCONN) => return Ok(true),
                // A signal came in between.
                Some(Errno::INTR) => {}
                _ => return Err(error),
            }
        }
    }

    /// Waits until the outcome is known.
    fn wait(connecting: &Connecting, poller: &Poller, socket: &Socket, time: Duration) -> io::Result<()> {
        let began = Instant::now();
        loop {
            // After the poller can be woken, so that no stop is missed.
            connecting.go_on()?;
            let left = time.saturating_sub(began.elapsed());
            if poller.wait_connected(socket, left)? {
                return Ok(());
            }
            if left.is_zero() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time"));
            }
        }
    }
}

/// Elsewhere: a connect on a thread of its own, which is left to itself, for no longer than the time-out, when stopped.
#[cfg(any(not(unix), leads_comm_portable))]
mod imp {
    use std::io;
    use std::net::{SocketAddr, TcpStream};
    use std::time::Duration;

    use super::Connecting;

    /// Nothing but the channel.
    #[derive(Debug, Default)]
    pub(crate) struct Waiting {}

    impl Waiting {
        pub(crate) fn wake(&self) {}
    }

    pub(crate) fn open(connecting: &Connecting, address: SocketAddr, time: Duration) -> io::Result<TcpStream> {
        connecting.aside("leads-comm connector", move || TcpStream::connect_timeout(&address, time))
    }
}

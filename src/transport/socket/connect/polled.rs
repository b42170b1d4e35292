//! Where descriptors can be polled: a non-blocking connect, polled together with a wake-up.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use super::StoppableConnect;
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

pub(crate) fn open(connecting: &StoppableConnect, address: SocketAddr, time: Duration) -> io::Result<TcpStream> {
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
fn wait(connecting: &StoppableConnect, poller: &Poller, socket: &Socket, time: Duration) -> io::Result<()> {
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

//! A non-blocking listener, polled together with a wake-up.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::io::Errno;

use super::{AcceptSocket, Slot};
use crate::transport::socket::poll::Poller;

/// How long the accepting thread is given to wake; it always does.
const WAKING: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct StoppableListener<S> {
    slot: Slot<S>,
    poller: Poller,
    spare: Spare,
}

impl<S: AcceptSocket + AsFd> StoppableListener<S> {
    pub(crate) fn new(socket: S) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self { slot: Slot::new(socket), poller: Poller::new()?, spare: Spare::new() })
    }

    pub(crate) fn accept(&self) -> io::Result<Option<S::Accepted>> {
        self.accept_until(None)
    }

    /// `WouldBlock` when nobody has come by then.
    pub(crate) fn accept_until(&self, until: Option<Instant>) -> io::Result<Option<S::Accepted>> {
        self.spare.keep();
        let Some(socket) = self.slot.lend() else { return Ok(None) };
        let mut has_caller = false;
        while !self.slot.is_stopped() {
            match socket.accept() {
                Ok(stream) => return Ok(Some(stream)),
                // The system looks for a descriptor before it looks for a caller.
                Err(error) if !has_caller && (is_nobody(&error) || is_out_of_descriptors(&error)) => {
                    let time = until.map(|until| until.saturating_duration_since(Instant::now()));
                    has_caller = self.poller.wait_readable(&*socket, time)?;
                    if !has_caller && time.is_some_and(|time| time.is_zero()) {
                        return Err(io::ErrorKind::WouldBlock.into());
                    }
                }
                // There was somebody a moment ago.
                Err(error) if is_nobody(&error) => return Err(io::ErrorKind::ConnectionAborted.into()),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Accepts at the cost of the spare descriptor; nobody when it has been spent, or nobody waits.
    pub(crate) fn accept_to_refuse(&self) -> io::Result<Option<S::Accepted>> {
        let Some(socket) = self.slot.lend() else { return Ok(None) };
        if !self.spare.spend() {
            return Ok(None);
        }
        match socket.accept() {
            Ok(stream) => Ok(Some(stream)),
            Err(error) => {
                self.spare.keep();
                if is_nobody(&error) { Ok(None) } else { Err(error) }
            }
        }
    }

    pub(crate) fn stop(&self) {
        self.slot.close(|_| self.poller.wake(), WAKING, u32::MAX);
    }
}

fn is_nobody(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE].into_iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// A descriptor that is of no use but to be given up for a caller when there is no other: a file of its own,
/// because it may also be files that the system has run out of.
#[derive(Debug)]
struct Spare(Mutex<Option<UnixDatagram>>);

impl Spare {
    fn new() -> Self {
        let spare = Self(Mutex::new(None));
        spare.keep();
        spare
    }

    /// Has one again, if possible.
    fn keep(&self) {
        let mut spare = self.0.lock();
        if spare.is_none() {
            *spare = UnixDatagram::unbound().ok();
        }
    }

    /// Gives it up; false when there is none, and there cannot be.
    fn spend(&self) -> bool {
        self.keep();
        self.0.lock().take().is_some()
    }
}

//! A non-blocking listener, polled together with a wake-up.

use std::io;
use std::ops::Deref;
use std::time::Instant;

use parking_lot::Mutex;
use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::net::Shutdown;
use socket2::{Domain, Socket, Type};

use super::{AcceptSocket, Slot};
use crate::transport::socket::poll::Poller;

#[derive(Debug)]
pub(crate) struct StoppableListener<S: AcceptSocket> {
    slot: Slot<Listening<S>>,
    poller: Poller,
    spare: Spare,
}

impl<S: AcceptSocket> StoppableListener<S> {
    /// Of a socket that nobody else has.
    pub(crate) fn own(socket: S) -> io::Result<Self> {
        Self::new(socket, Behind::End)
    }

    /// Of a socket that may be the program's as well, which has it back as it was. Whether accepting blocks is a
    /// property of the open socket, and not of the descriptor.
    pub(crate) fn given(socket: S) -> io::Result<Self> {
        let behind = if is_blocking(&socket)? { Behind::Block } else { Behind::Leave };
        Self::new(socket, behind)
    }

    fn new(socket: S, behind: Behind) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let socket = Listening { socket, behind };
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
            // Another service may have had the same socket, and have given it back.
            socket.set_nonblocking(true)?;
            match next_caller(&**socket) {
                Ok(stream) => return Ok(Some(stream)),
                // The system looks for a descriptor before it looks for a caller.
                Err(error) if !has_caller && (is_nobody(&error) || is_out_of_descriptors(&error)) => {
                    let time = until.map(|until| until.saturating_duration_since(Instant::now()));
                    has_caller = self.poller.wait_readable(&**socket, time)?;
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
        self.slot.close(|| self.poller.wake());
    }
}

/// Accepts. macOS takes a caller out of the queue before it looks for a descriptor, and ends it where there is none; so
/// that is looked for first.
fn next_caller<S: AcceptSocket>(socket: &S) -> io::Result<S::Accepted> {
    #[cfg(target_vendor = "apple")]
    drop(rustix::io::fcntl_dupfd_cloexec(socket, 0)?);
    socket.accept()
}

/// A socket that listens without blocking, and what becomes of it when it is not needed any more.
#[derive(Debug)]
struct Listening<S: AcceptSocket> {
    socket: S,
    behind: Behind,
}

#[derive(Debug, Clone, Copy)]
enum Behind {
    /// Listens no more, also where a process that is just being started still has it: one has every socket of its parent
    /// until it is another program.
    End,
    /// Blocks again, as it did when it was given.
    Block,
    /// Stays as it was given: it did not block.
    Leave,
}

impl<S: AcceptSocket> Deref for Listening<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.socket
    }
}

impl<S: AcceptSocket> Drop for Listening<S> {
    fn drop(&mut self) {
        // Nobody is left to be told of a failure.
        match self.behind {
            Behind::End => drop(rustix::net::shutdown(self.socket.as_fd(), Shutdown::Both)),
            Behind::Block => drop(self.socket.set_nonblocking(false)),
            Behind::Leave => {}
        }
    }
}

#[cfg(unix)]
fn is_blocking(socket: &impl AsFd) -> io::Result<bool> {
    Ok(!rustix::fs::fcntl_getfl(socket)?.contains(rustix::fs::OFlags::NONBLOCK))
}

/// Windows does not tell.
#[cfg(windows)]
fn is_blocking(_: &impl AsFd) -> io::Result<bool> {
    Ok(true)
}

fn is_nobody(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

/// Whether nothing can be accepted until the process, or the system, has a descriptor again.
pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    let errnos = [
        Errno::MFILE,
        #[cfg(unix)]
        Errno::NFILE,
    ];
    errnos.into_iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// The family of sockets that every process may have, whatever it has been forbidden.
const SPARE_FAMILY: Domain = if cfg!(unix) { Domain::UNIX } else { Domain::IPV4 };

/// A descriptor that is of no use but to be given up for a caller when there is no other: a file of its own,
/// because it may also be files that the system has run out of.
#[derive(Debug)]
struct Spare(Mutex<Option<Socket>>);

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
            *spare = Socket::new(SPARE_FAMILY, Type::DGRAM, None).ok();
        }
    }

    /// Gives it up; false when there is none, and there cannot be.
    fn spend(&self) -> bool {
        self.keep();
        self.0.lock().take().is_some()
    }
}

//! Accepting that another thread can stop.

use std::io;

pub(super) use imp::Accepting;

/// A socket that callers come to.
pub(super) trait Listening {
    type Accepted;

    fn accept(&self) -> io::Result<Self::Accepted>;

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()>;

    /// Makes a blocked `accept` return, whatever it returns.
    #[cfg(any(not(unix), leads_comm_portable))]
    fn interrupt(&self);
}

/// A non-blocking listener, polled together with a wake-up.
#[cfg(all(unix, not(leads_comm_portable)))]
mod imp {
    use std::io;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixDatagram;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Instant;

    use parking_lot::Mutex;
    use rustix::io::Errno;

    use super::Listening;
    use crate::transport::poll::Poller;

    #[derive(Debug)]
    pub(in super::super) struct Accepting<S> {
        socket: S,
        poller: Poller,
        stopped: AtomicBool,
        spare: Spare,
    }

    impl<S: Listening + AsFd> Accepting<S> {
        pub(in super::super) fn new(socket: S) -> io::Result<Self> {
            socket.set_nonblocking(true)?;
            Ok(Self { socket, poller: Poller::new()?, stopped: AtomicBool::new(false), spare: Spare::new() })
        }

        pub(in super::super) fn accept(&self) -> io::Result<Option<S::Accepted>> {
            self.accept_until(None)
        }

        /// `WouldBlock` when nobody has come by then.
        pub(in super::super) fn accept_until(&self, until: Option<Instant>) -> io::Result<Option<S::Accepted>> {
            self.spare.keep();
            let mut has_caller = false;
            while !self.stopped.load(Ordering::Acquire) {
                match self.socket.accept() {
                    Ok(stream) => return Ok(Some(stream)),
                    // The system looks for a descriptor before it looks for a caller.
                    Err(error) if !has_caller && (is_nobody(&error) || is_out_of_descriptors(&error)) => {
                        let time = until.map(|until| until.saturating_duration_since(Instant::now()));
                        has_caller = self.poller.wait_readable(&self.socket, time)?;
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
        pub(in super::super) fn accept_to_refuse(&self) -> io::Result<Option<S::Accepted>> {
            if self.stopped.load(Ordering::Acquire) || !self.spare.spend() {
                return Ok(None);
            }
            match self.socket.accept() {
                Ok(stream) => Ok(Some(stream)),
                Err(error) => {
                    self.spare.keep();
                    if is_nobody(&error) { Ok(None) } else { Err(error) }
                }
            }
        }

        pub(in super::super) fn stop(&self) {
            self.stopped.store(true, Ordering::Release);
            self.poller.wake();
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
}

/// Where descriptors cannot be polled, whoever stops it interrupts the blocked call.
#[cfg(any(not(unix), leads_comm_portable))]
mod imp {
    use std::io;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::Listening;

    #[derive(Debug)]
    pub(in super::super) struct Accepting<S> {
        socket: S,
        stopped: AtomicBool,
    }

    impl<S: Listening> Accepting<S> {
        pub(in super::super) fn new(socket: S) -> io::Result<Self> {
            socket.set_nonblocking(false)?;
            Ok(Self { socket, stopped: AtomicBool::new(false) })
        }

        pub(in super::super) fn accept(&self) -> io::Result<Option<S::Accepted>> {
            if self.stopped.load(Ordering::Acquire) {
                return Ok(None);
            }
            let accepted = self.socket.accept();
            if self.stopped.load(Ordering::Acquire) {
                return Ok(None);
            }
            accepted.map(Some)
        }

        pub(in super::super) fn stop(&self) {
            self.stopped.store(true, Ordering::Release);
            self.socket.interrupt();
        }
    }
}

//! Accepting that another thread can stop, whatever the accepting thread is doing: the socket is closed then.

use std::io;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

pub(crate) use imp::Accepting;

/// A socket that callers come to.
pub(crate) trait Listening {
    type Accepted;

    fn accept(&self) -> io::Result<Self::Accepted>;

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()>;

    /// Makes a blocked `accept` return, whatever it returns.
    #[cfg(any(not(unix), leads_comm_portable))]
    fn interrupt(&self);
}

/// A socket that is lent to the accepting thread for its system calls, in which nobody else's code runs, and that any
/// thread can close.
#[derive(Debug)]
struct Slot<S> {
    state: Mutex<State<S>>,
    given_back: Condvar,
}

#[derive(Debug)]
struct State<S> {
    socket: Option<Arc<S>>,
    is_lent: bool,
    is_stopped: bool,
}

/// A socket while it is lent.
struct Lent<'a, S> {
    slot: &'a Slot<S>,
    /// Gone only while it is given back.
    socket: Option<Arc<S>>,
}

impl<S> Slot<S> {
    fn new(socket: S) -> Self {
        let state = State { socket: Some(Arc::new(socket)), is_lent: false, is_stopped: false };
        Self { state: Mutex::new(state), given_back: Condvar::new() }
    }

    /// Lends the socket to the accepting thread, of which there is one; `None` when it has been stopped.
    fn lend(&self) -> Option<Lent<'_, S>> {
        let mut state = self.state.lock();
        let socket = state.socket.clone().filter(|_| !state.is_stopped)?;
        state.is_lent = true;
        Some(Lent { slot: self, socket: Some(socket) })
    }

    fn is_stopped(&self) -> bool {
        self.state.lock().is_stopped
    }

    /// Closes the socket, as soon as whoever blocks in its system calls has been woken by `wake`. Whoever cannot be, for
    /// so long and so often, is left to close it itself.
    fn close(&self, wake: impl Fn(&S), patience: Duration, tries: u32) {
        let mut state = self.state.lock();
        state.is_stopped = true;
        for _ in 0..tries {
            let Some(socket) = state.socket.as_deref().filter(|_| state.is_lent) else { break };
            wake(socket);
            let until = Instant::now() + patience;
            while state.is_lent && !self.given_back.wait_until(&mut state, until).timed_out() {}
        }
        if !state.is_lent {
            state.socket = None;
        }
    }
}

impl<S> Deref for Lent<'_, S> {
    type Target = S;

    fn deref(&self) -> &S {
        self.socket.as_ref().expect("nobody uses what is being given back")
    }
}

impl<S> Drop for Lent<'_, S> {
    fn drop(&mut self) {
        let mut state = self.slot.state.lock();
        self.socket = None;
        state.is_lent = false;
        if state.is_stopped {
            state.socket = None;
        }
        self.slot.given_back.notify_all();
    }
}

/// A non-blocking listener, polled together with a wake-up.
#[cfg(all(unix, not(leads_comm_portable)))]
mod imp {
    use std::io;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixDatagram;
    use std::time::{Duration, Instant};

    use parking_lot::Mutex;
    use rustix::io::Errno;

    use super::{Listening, Slot};
    use crate::transport::socket::poll::Poller;

    /// How long whoever waits is given to wake; it always does.
    const WAKING: Duration = Duration::from_secs(1);

    #[derive(Debug)]
    pub(crate) struct Accepting<S> {
        slot: Slot<S>,
        poller: Poller,
        spare: Spare,
    }

    impl<S: Listening + AsFd> Accepting<S> {
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
}

/// Where descriptors cannot be polled, whoever stops it interrupts the blocked call.
#[cfg(any(not(unix), leads_comm_portable))]
mod imp {
    use std::io;
    use std::time::Duration;

    use super::{Listening, Slot};

    /// How long the interrupted call is given to return, and how often it is interrupted: that needs descriptors, of
    /// which there may be none.
    const WAKING: Duration = Duration::from_millis(100);
    const INTERRUPTIONS: u32 = 10;

    #[derive(Debug)]
    pub(crate) struct Accepting<S> {
        slot: Slot<S>,
    }

    impl<S: Listening> Accepting<S> {
        pub(crate) fn new(socket: S) -> io::Result<Self> {
            socket.set_nonblocking(false)?;
            Ok(Self { slot: Slot::new(socket) })
        }

        pub(crate) fn accept(&self) -> io::Result<Option<S::Accepted>> {
            let Some(socket) = self.slot.lend() else { return Ok(None) };
            let accepted = socket.accept();
            // It may have been whoever stops.
            if self.slot.is_stopped() { Ok(None) } else { accepted.map(Some) }
        }

        pub(crate) fn stop(&self) {
            self.slot.close(S::interrupt, WAKING, INTERRUPTIONS);
        }
    }
}

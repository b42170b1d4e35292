//! Accepting that another thread can stop, whatever the accepting thread is doing: the socket is closed then.

mod listener;

use std::io;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rustix::fd::AsFd;

pub(crate) use listener::{StoppableListener, is_out_of_descriptors};

/// How long the accepting thread is given to wake; it always does.
const WAKING: Duration = Duration::from_secs(1);

/// A socket that callers come to.
pub(crate) trait AcceptSocket: AsFd {
    type Accepted;

    fn accept(&self) -> io::Result<Self::Accepted>;

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()>;
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

    /// Closes the socket, as soon as the thread that blocks in its system calls has been woken by `wake`.
    fn close(&self, wake: impl Fn()) {
        let mut state = self.state.lock();
        state.is_stopped = true;
        while state.is_lent {
            wake();
            self.given_back.wait_for(&mut state, WAKING);
        }
        state.socket = None;
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

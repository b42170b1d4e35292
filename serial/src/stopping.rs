use std::io;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::stream::Line;

/// Whether a connector has been stopped, and what it is waiting for.
#[derive(Default)]
pub(super) struct Stopping {
    state: Mutex<State>,
    stopped: Condvar,
}

#[derive(Default)]
struct State {
    stopped: bool,
    /// The port that is being listened to.
    line: Option<Arc<Line>>,
}

impl Stopping {
    /// Makes every wait end, now and later.
    pub(super) fn stop(&self) {
        let mut state = self.state.lock();
        state.stopped = true;
        if let Some(line) = &state.line {
            line.end();
        }
        self.stopped.notify_all();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.state.lock().stopped
    }

    /// Fails once this has been stopped.
    pub(super) fn go_on(&self) -> io::Result<()> {
        if self.is_stopped() { Err(stopped()) } else { Ok(()) }
    }

    /// Waits until then.
    pub(super) fn pause(&self, until: Instant) -> io::Result<()> {
        let mut state = self.state.lock();
        while !state.stopped {
            if self.stopped.wait_until(&mut state, until).timed_out() {
                return Ok(());
            }
        }
        Err(stopped())
    }

    /// Does something with a port whose waits end when this is stopped.
    pub(super) fn watch<T>(&self, line: &Arc<Line>, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        {
            let mut state = self.state.lock();
            if state.stopped {
                return Err(stopped());
            }
            state.line = Some(Arc::clone(line));
        }
        let _watched = Watched(self);
        let result = work();
        self.go_on()?;
        result
    }
}

struct Watched<'a>(&'a Stopping);

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        let line = self.0.state.lock().line.take();
        drop(line);
    }
}

pub(super) fn stopped() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "connecting was stopped")
}

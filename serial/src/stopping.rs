use std::io;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use crate::device::Device;

/// Whether a connector has been stopped, and what it is waiting for.
#[derive(Default)]
pub(crate) struct Stopping {
    state: Mutex<State>,
    stopped: Condvar,
}

#[derive(Default)]
struct State {
    stopped: bool,
    /// The port that is being listened to.
    device: Option<Arc<Device>>,
}

impl Stopping {
    /// Makes every wait end, now and later.
    pub(crate) fn stop(&self) {
        let mut state = self.state.lock();
        state.stopped = true;
        if let Some(device) = &state.device {
            device.end();
        }
        self.stopped.notify_all();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.state.lock().stopped
    }

    /// Fails once this has been stopped.
    pub(crate) fn go_on(&self) -> io::Result<()> {
        if self.is_stopped() { Err(stopped()) } else { Ok(()) }
    }

    /// Waits until then.
    pub(crate) fn pause(&self, until: Instant) -> io::Result<()> {
        let mut state = self.state.lock();
        while !state.stopped {
            if self.stopped.wait_until(&mut state, until).timed_out() {
                return Ok(());
            }
        }
        Err(stopped())
    }

    /// Does something with a port whose waits end when this is stopped.
    pub(crate) fn watch<T>(&self, device: &Arc<Device>, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        {
            let mut state = self.state.lock();
            if state.stopped {
                return Err(stopped());
            }
            state.device = Some(Arc::clone(device));
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
        let device = self.0.state.lock().device.take();
        drop(device);
    }
}

pub(crate) fn stopped() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "connecting was stopped")
}

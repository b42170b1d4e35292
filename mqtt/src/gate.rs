//! When a client may connect: a connector around another one, which waits for the time that the bridge has set.
//!
//! The library draws its own delays, and begins anew when anything was received; so it is told to wait for next to
//! nothing, and the waiting is done here. The first attempt fails at once, because it would be made on the thread that
//! starts the bridge; the next one is on the client's own.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use leads_comm::transport::{Connector, Stream};
use parking_lot::{Condvar, Mutex};

#[derive(Debug)]
pub(crate) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    is_first: bool,
    opens_at: Instant,
    is_stopped: bool,
}

impl Gate {
    /// One that is open, but for the first attempt.
    pub(crate) fn new() -> Self {
        let state = State { is_first: true, opens_at: Instant::now(), is_stopped: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Nobody passes before that.
    pub(crate) fn open_at(&self, at: Instant) {
        self.state.lock().opens_at = at;
    }

    /// Nobody passes any more.
    pub(crate) fn stop(&self) {
        self.state.lock().is_stopped = true;
        self.changed.notify_all();
    }

    fn pass(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        if std::mem::take(&mut state.is_first) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        while !state.is_stopped && Instant::now() < state.opens_at {
            let opens_at = state.opens_at;
            self.changed.wait_until(&mut state, opens_at);
        }
        if state.is_stopped { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

/// A connector whose attempts wait at the gate.
pub(crate) struct Gated {
    pub(crate) inner: Box<dyn Connector>,
    pub(crate) gate: Arc<Gate>,
}

impl Connector for Gated {
    fn connect(&self, address: &str) -> io::Result<Box<dyn Stream>> {
        self.gate.pass()?;
        self.inner.connect(address)
    }

    fn stop(&self) {
        self.gate.stop();
        self.inner.stop();
    }

    fn describe(&self, address: &str) -> String {
        self.inner.describe(address)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_first_fails_and_the_others_wait_for_their_time() {
        let gate = Gate::new();
        assert_eq!(gate.pass().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        gate.pass().unwrap();
        let at = Instant::now() + Duration::from_millis(30);
        gate.open_at(at);
        gate.pass().unwrap();
        assert!(Instant::now() >= at);
    }

    #[test]
    fn who_waits_is_let_go_when_it_is_stopped() {
        let gate = Arc::new(Gate::new());
        let _ = gate.pass();
        gate.open_at(Instant::now() + Duration::from_secs(3600));
        let waiting = thread::spawn({
            let gate = Arc::clone(&gate);
            move || gate.pass()
        });
        gate.stop();
        assert_eq!(waiting.join().unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    }
}

//! A transport as the library has it, listened in on: how much the library has read.
//!
//! With it a peer can send a piece when the one before has been read, so that each piece is a read of its own, whatever
//! the system joins. Bytes and errors pass through unchanged.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use leads_comm::transport::{Listener, Stream};
use leads_comm_testing::layer::{Below, Layer};

use crate::patience;

/// What the library has read from one stream.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    read: usize,
    /// Whether nothing more will be read.
    over: bool,
}

impl Progress {
    fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }

    /// Waits until the library has read as many bytes in all, or has done with the stream.
    pub(crate) fn wait_read(&self, bytes: usize) -> Result<(), String> {
        let state = self.state.lock().unwrap();
        let unread = |state: &mut State| state.read < bytes && !state.over;
        let (state, _) = self.changed.wait_timeout_while(state, patience(), unread).unwrap();
        if state.read >= bytes || state.over {
            return Ok(());
        }
        Err(format!("the library has read {} of {bytes} bytes, and reads no more", state.read))
    }
}

/// The streams that have been opened, by their peers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Taps {
    opened: Arc<Mutex<HashMap<String, Arc<Progress>>>>,
    /// Held by whoever wants that no caller is seen meanwhile.
    gate: Arc<Mutex<()>>,
}

impl Taps {
    /// Keeps whoever calls from the library until the guard is dropped.
    pub(crate) fn hold_callers(&self) -> MutexGuard<'_, ()> {
        self.gate.lock().unwrap()
    }

    /// What the library has read from the peer of that name.
    pub(crate) fn progress(&self, name: &str) -> Option<Arc<Progress>> {
        self.opened.lock().unwrap().get(name).cloned()
    }
}

impl Layer for Taps {
    fn of(&self, stream: &dyn Stream) -> Option<Arc<dyn Layer>> {
        let progress = Arc::new(Progress::default());
        self.opened.lock().unwrap().insert(stream.peer(), Arc::clone(&progress));
        Some(Arc::new(Tap { progress }))
    }

    fn accept(&self, listener: &dyn Listener) -> io::Result<Option<Box<dyn Stream>>> {
        listener.accept().inspect(|_| drop(self.hold_callers()))
    }

    fn accept_for(&self, listener: &dyn Listener, time: Duration) -> io::Result<Option<Box<dyn Stream>>> {
        listener.accept_for(time).inspect(|_| drop(self.hold_callers()))
    }
}

struct Tap {
    progress: Arc<Progress>,
}

impl Layer for Tap {
    fn read(&self, stream: &dyn Stream, buffer: &mut [u8]) -> io::Result<usize> {
        let result = stream.read(buffer);
        if let Ok(count) = result {
            self.progress.update(|state| state.read += count);
        }
        result
    }

    fn dropped(&self, _: Below<'_>) {
        self.progress.update(|state| state.over = true);
    }
}

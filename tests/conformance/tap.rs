//! A transport as the library has it, listened in on: how much the library has read.
//!
//! With it a peer can send a piece when the one before has been read, so that each piece is a read of its own, whatever
//! the system joins. Bytes and errors pass through unchanged.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use leads_comm::transport::{Listener, Stream};

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

    /// Listens in on a stream.
    pub(crate) fn tap(&self, stream: Box<dyn Stream>) -> Box<dyn Stream> {
        let progress = Arc::new(Progress::default());
        self.opened.lock().unwrap().insert(stream.peer(), Arc::clone(&progress));
        Box::new(Tap { stream, progress })
    }

    /// What the library has read from the peer of that name.
    pub(crate) fn progress(&self, name: &str) -> Option<Arc<Progress>> {
        self.opened.lock().unwrap().get(name).cloned()
    }
}

struct Tap {
    stream: Box<dyn Stream>,
    progress: Arc<Progress>,
}

impl Stream for Tap {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = self.stream.read(buffer);
        if let Ok(count) = result {
            self.progress.update(|state| state.read += count);
        }
        result
    }

    fn wait_readable(&self, time: Duration) -> io::Result<bool> {
        self.stream.wait_readable(time)
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.stream.write_vectored(buffers)
    }

    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.stream.try_write_vectored(buffers)
    }

    #[cfg(unix)]
    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        self.stream.poll_fd()
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.stream.shutdown(how)
    }

    fn abort(&self) -> io::Result<()> {
        self.stream.abort()
    }

    fn peer(&self) -> String {
        self.stream.peer()
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.stream.peer_addr()
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.stream.local_addr()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.progress.update(|state| state.over = true);
    }
}

/// A listener whose streams are listened in on.
pub(crate) struct TappedListener {
    pub(crate) listener: Box<dyn Listener>,
    pub(crate) taps: Taps,
}

impl TappedListener {
    fn tap(&self, stream: Box<dyn Stream>) -> Box<dyn Stream> {
        drop(self.taps.hold_callers());
        self.taps.tap(stream)
    }
}

impl Listener for TappedListener {
    fn accept(&self) -> io::Result<Option<Box<dyn Stream>>> {
        Ok(self.listener.accept()?.map(|stream| self.tap(stream)))
    }

    fn accept_for(&self, time: Duration) -> io::Result<Option<Box<dyn Stream>>> {
        Ok(self.listener.accept_for(time)?.map(|stream| self.tap(stream)))
    }

    fn stop(&self) {
        self.listener.stop();
    }

    fn name(&self) -> String {
        self.listener.name()
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.listener.local_addr()
    }
}

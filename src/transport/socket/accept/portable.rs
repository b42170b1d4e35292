//! Where descriptors cannot be polled, the thread that stops it interrupts the blocked call.

use std::io;
use std::time::Duration;

use super::{AcceptSocket, Slot};

/// How long the interrupted call is given to return, and how often it is interrupted: that needs descriptors, of
/// which there may be none.
const WAKING: Duration = Duration::from_millis(100);
const INTERRUPTIONS: u32 = 10;

#[derive(Debug)]
pub(crate) struct StoppableListener<S> {
    slot: Slot<S>,
}

impl<S: AcceptSocket> StoppableListener<S> {
    pub(crate) fn new(socket: S) -> io::Result<Self> {
        socket.set_nonblocking(false)?;
        Ok(Self { slot: Slot::new(socket) })
    }

    pub(crate) fn accept(&self) -> io::Result<Option<S::Accepted>> {
        let Some(socket) = self.slot.lend() else { return Ok(None) };
        let accepted = socket.accept();
        // It may have been the thread that stops.
        if self.slot.is_stopped() { Ok(None) } else { accepted.map(Some) }
    }

    pub(crate) fn stop(&self) {
        self.slot.close(S::interrupt, WAKING, INTERRUPTIONS);
    }
}

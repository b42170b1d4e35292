//! How callers that are refused are told: a goodbye, and a moment to read it.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::time::Duration;

use crate::transport::{Stream, is_nothing_yet};

/// How much of what a refused caller sends is thrown away, for the goodbye to reach it; then its stream is ended.
const DISCARDED: usize = 64 * 1024;

/// How much more of it there may be.
pub(crate) struct Patience {
    left: usize,
}

impl Patience {
    pub(crate) fn is_left(&self) -> bool {
        self.left > 0
    }

    pub(crate) fn spend(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
    }
}

/// Tells a caller that it is not let in, by a goodbye that [says so](crate::codec::Framing::refusal), and ends our
/// half of the stream. Never blocks; a stream that cannot be written without blocking gets no goodbye. How much the
/// peer may still send in the moment that it is given to end its own half; `None` when it is not worth one.
pub(crate) fn say_goodbye(stream: &dyn Stream, goodbye: &[u8]) -> Option<Patience> {
    write_goodbye(stream, goodbye);
    let mut patience = Patience { left: DISCARDED };
    (stream.shutdown(Shutdown::Write).is_ok() && !discard(stream, &mut patience)).then_some(patience)
}

/// As much of the goodbye as the stream takes without blocking.
pub(crate) fn write_goodbye(stream: &dyn Stream, goodbye: &[u8]) {
    let mut left = goodbye;
    while !left.is_empty() {
        match stream.try_write_vectored(&[IoSlice::new(left)]) {
            Ok(count @ 1..) => left = &left[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => return,
        }
        while stream.try_flush().is_err_and(|error| error.kind() == io::ErrorKind::Interrupted) {}
    }
}

/// Throws away what has arrived, without blocking: unread, it would make the system answer with a reset when the stream
/// is dropped, and that could take the goodbye with it. Whether there is nothing more to wait for, or no patience left.
pub(crate) fn discard(stream: &dyn Stream, patience: &mut Patience) -> bool {
    let mut chunk = [0; 4096];
    while patience.is_left() {
        match stream.wait_readable(Duration::ZERO) {
            Ok(true) => {}
            Ok(false) => return false,
            // One that cannot tell might block in a read.
            Err(error) => return !is_nothing_yet(&error),
        }
        match stream.read(&mut chunk) {
            Ok(count @ 1..) => patience.spend(count),
            Ok(0) => return true,
            Err(error) => return !is_nothing_yet(&error),
        }
    }
    true
}

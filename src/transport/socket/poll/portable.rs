//! Where descriptors cannot be polled, only other threads are waited for.

use std::io;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::transport::Stream;

/// Waits for other threads only: each stream that does not take bytes is served by a thread of its own.
#[derive(Debug)]
pub(crate) struct Poller {
    woken: Mutex<bool>,
    wake: Condvar,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { woken: Mutex::new(false), wake: Condvar::new() })
    }

    /// Ends the wait under way, or else the next one.
    pub(crate) fn wake(&self) {
        *self.woken.lock() = true;
        self.wake.notify_one();
    }

    /// Whether a stream can be waited for.
    pub(crate) fn can_watch(_: &dyn Stream) -> bool {
        false
    }

    /// Blocks until a wake or the end of the time.
    pub(crate) fn wait_writable(&self, streams: &[&dyn Stream], timeout: Option<Duration>) -> io::Result<Vec<bool>> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut woken = self.woken.lock();
        while !*woken {
            match deadline {
                Some(deadline) => {
                    if self.wake.wait_until(&mut woken, deadline).timed_out() {
                        break;
                    }
                }
                None => self.wake.wait(&mut woken),
            }
        }
        *woken = false;
        Ok(vec![false; streams.len()])
    }
}

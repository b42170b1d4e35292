//! What ends a command before its time.

use std::process;
use std::thread;

use crate::run::{Failure, fail};
use crate::signals::on_signals;

/// What a process ends with that is ended by a signal, as shells have it: 128, and SIGINT is 2.
const INTERRUPTED: i32 = 130;

/// Calls `stop` on Ctrl-C, SIGTERM or SIGHUP, on a thread of its own; it may block. The second time, the process ends at
/// once. On Windows: on Ctrl-C or Ctrl-Break, or when the console is closed, which leaves it some seconds.
///
/// # Errors
///
/// [`Failure::Failed`] if the system lets nobody wait for signals.
pub fn on_stop(stop: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let mut stop = Some(stop);
    let handler = move || match stop.take() {
        Some(stop) => drop(thread::spawn(stop)),
        None => process::exit(INTERRUPTED),
    };
    on_signals(handler).map_err(|error| fail(format!("cannot wait for Ctrl-C: {error}")))
}

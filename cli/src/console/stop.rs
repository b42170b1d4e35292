//! What ends a command before its time: a signal, or a stdout that is of no use any more.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::outcome::{Failure, fail};
use super::output::{self, STDERR, STDOUT};
use super::system;

/// Signals that come together are one: a terminal that goes sends several, and so do programs that pass them on.
const TOGETHER: Duration = Duration::from_millis(300);

type Stop = Box<dyn FnOnce() + Send>;

/// What the command wants to be called then, until it has been.
static STOP: Mutex<Option<Stop>> = Mutex::new(None);

/// Calls `stop`, once, when the command has to end: by Ctrl-C, SIGTERM or SIGHUP, or because stdout takes no more. From
/// then on nothing that it prints is waited for for long, and another signal ends the process at once.
///
/// It is called on a thread of its own, and may block. Before that, a signal ends the process by itself.
///
/// # Errors
///
/// [`Failure::Failed`] if the system lets nobody wait for signals.
pub(crate) fn on_stop(stop: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    *STOP.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(stop));
    output::when_stdout_fails(|| drop(thread::spawn(request)));
    let mut first = None;
    let on_signal = move || match first {
        None => {
            first = Some(Instant::now());
            // Not here, where the next signal is waited for.
            thread::spawn(request);
            false
        }
        Some(first) => first.elapsed() > TOGETHER,
    };
    system::on_signals(on_signal).map_err(|error| fail(format!("cannot wait for Ctrl-C: {error}")))
}

/// Stops the command as soon as nobody reads its stdout any more, and not only when something is printed: as `| head`
/// leaves one that may not print anything for hours. Where the system cannot see it, printing tells.
pub(crate) fn stop_when_unread() {
    thread::spawn(|| {
        if system::wait_for_hang_up() {
            STDOUT.fail(std::io::ErrorKind::BrokenPipe.into());
        }
    });
}

/// The command has to end: nothing that it prints is waited for for long from here on.
pub(crate) fn hurry() {
    STDOUT.hurry();
    STDERR.hurry();
}

fn request() {
    hurry();
    // Taken out of the lock before it is called.
    let stop = STOP.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(stop) = stop {
        stop();
    }
}

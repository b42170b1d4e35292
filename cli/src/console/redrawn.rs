//! A line about work that goes on, which is drawn again and again on the terminal at stderr.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::terminal::COLUMNS;
use super::{output, system};

/// The line, until this is dropped: then it goes.
#[derive(Debug)]
pub(crate) struct Redrawn {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Redrawn {
    /// Draws `line` now and after every such time, on a thread of its own; `None` where stderr is no terminal that can,
    /// or nobody wants to know.
    pub(crate) fn start(every: Duration, mut line: impl FnMut() -> String + Send + 'static) -> Option<Self> {
        if output::is_quiet() || !system::follows_escapes(io::stderr()) {
            return None;
        }
        let (stop, stopped) = mpsc::channel();
        let draw = move || {
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                // In the background it is somebody else's turn to write on the terminal.
                if system::is_in_background(io::stderr()) {
                    continue;
                }
                // The last column would make some terminals begin another line.
                let room = system::columns(io::stderr()).unwrap_or(COLUMNS) - 1;
                output::draw(line().chars().take(room).collect::<String>());
            }
        };
        let thread = thread::Builder::new().name("progress".into()).spawn(draw).ok()?;
        Some(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Redrawn {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        output::erase();
    }
}

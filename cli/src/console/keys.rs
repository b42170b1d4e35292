//! Single keys of the terminal at stdin, as they are struck: not a line at a time, and without being shown.
//!
//! The terminal is as it was before as soon as this is dropped, or the process is stopped or ended by a signal.

use std::io;
use std::thread;
use std::time::Duration;

use super::system;

/// Keys are being read; until this is dropped.
#[derive(Debug)]
pub(crate) struct Keys(());

impl Keys {
    /// Calls `struck` with each key, on a thread of its own, as long as this process is in the foreground. `None` where
    /// stdin is no terminal, or it is somebody else's turn.
    ///
    /// `stood_still` is called when the process goes on that somebody had stopped by Ctrl-Z, with how long that took.
    ///
    /// # Errors
    ///
    /// Whatever the system reports.
    pub(crate) fn read(
        mut struck: impl FnMut(u8) + Send + 'static,
        stood_still: impl FnMut(Duration) + Send + 'static,
    ) -> io::Result<Option<Self>> {
        if !system::take_terminal() {
            return Ok(None);
        }
        let keys = Self(());
        system::on_suspension(stood_still)?;
        let read = move || {
            let mut key = [0];
            while let Ok(1) = system::read_stdin(&mut key) {
                struck(key[0]);
            }
        };
        // Nobody waits for it: it may be blocked in reading when the command ends.
        thread::Builder::new().name("keys".into()).spawn(read)?;
        Ok(Some(keys))
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        system::give_terminal_back();
    }
}

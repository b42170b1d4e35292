//! Unix: SIGINT, SIGTERM and SIGHUP.

use std::io;

/// Calls this for each of them, on one thread.
pub(crate) fn on_signals(call: impl FnMut() + Send + 'static) -> io::Result<()> {
    ctrlc::set_handler(call).map_err(io::Error::other)
}

//! Systems that are not Unix: what std offers.

use std::io::{self, Read, Write};

pub(crate) fn read_stdin(buffer: &mut [u8]) -> io::Result<usize> {
    io::stdin().read(buffer)
}

/// Writes all of it, and blocks as long as that takes.
pub(crate) fn write_all(mut stream: impl Write, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).and_then(|()| stream.flush())
}

/// Returns at once: nothing tells before something is written.
pub(crate) fn wait_for_hang_up() -> bool {
    false
}

/// Calls `stop` for each Ctrl-C, on a thread of its own.
pub(crate) fn on_signals(stop: impl Fn() + Send + 'static) -> io::Result<()> {
    ctrlc::set_handler(stop).map_err(io::Error::other)
}

/// How wide the terminal at stdout is, which nothing tells here.
pub(crate) fn columns() -> Option<usize> {
    None
}

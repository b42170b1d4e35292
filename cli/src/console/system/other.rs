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

/// Calls `stop` for each Ctrl-C, on one thread, until it says that the process is to end.
pub(crate) fn on_signals(mut stop: impl FnMut() -> bool + Send + 'static) -> io::Result<()> {
    let handle = move || {
        if stop() {
            // What a shell reports of a program that Ctrl-C has ended.
            std::process::exit(130);
        }
    };
    ctrlc::set_handler(handle).map_err(io::Error::other)
}

/// How wide the terminal at this stream is, which nothing tells here.
pub(crate) fn columns(_: impl Sized) -> Option<usize> {
    None
}

/// How many columns and rows it has, which nothing tells here.
pub(crate) fn size(_: impl Sized) -> Option<(usize, usize)> {
    None
}

/// False: terminals have no jobs here.
pub(crate) fn is_in_background(_: impl Sized) -> bool {
    false
}

/// False: nothing sets the terminal here.
pub(crate) fn take_terminal() -> bool {
    false
}

pub(crate) fn give_terminal_back() {}

pub(crate) fn before_giving_back(_: fn()) {}

pub(crate) fn on_suspension(_: impl FnMut(std::time::Duration) + Send + 'static) -> io::Result<()> {
    Ok(())
}

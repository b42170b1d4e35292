//! Stdout and stderr.

use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::process;

/// Prints a line on stdout, and flushes it. Blocks as long as nobody reads it; that nobody does any more, as behind
/// `| head`, ends the process quietly.
pub fn say(line: impl Display) {
    show(format_args!("{line}\n"));
}

/// Prints text on stdout, as [`say`] prints a line.
pub fn show(text: impl Display) {
    let mut stdout = io::stdout().lock();
    // In one piece.
    let written = stdout.write_all(text.to_string().as_bytes()).and_then(|()| stdout.flush());
    match written.map_err(|error| error.kind()) {
        Ok(()) => {}
        Err(ErrorKind::BrokenPipe) => process::exit(0),
        Err(error) => {
            complain(format_args!("cannot write to stdout: {error}"));
            process::exit(1);
        }
    }
}

/// Whether stdout is a terminal that escapes can be written to.
pub fn follows_escapes() -> bool {
    io::stdout().is_terminal() && escapes_are_on()
}

#[cfg(unix)]
fn escapes_are_on() -> bool {
    true
}

/// A console of Windows has to be told.
#[cfg(windows)]
fn escapes_are_on() -> bool {
    use winapi_util::HandleRef;
    use winapi_util::console::{mode, set_mode};

    const ENABLE_VIRTUAL_TERMINAL_PROCESSING: u32 = 4;
    // A terminal that is no console is of another system's making.
    mode(HandleRef::stdout())
        .map_or(true, |mode| set_mode(HandleRef::stdout(), mode | ENABLE_VIRTUAL_TERMINAL_PROCESSING).is_ok())
}

/// Prints a line on stderr, as far as anybody reads it.
pub fn complain(line: impl Display) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

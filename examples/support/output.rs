//! Stdout and stderr.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
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

/// Prints a line on stderr, as far as anybody reads it.
pub fn complain(line: impl Display) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

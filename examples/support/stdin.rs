//! Lines of stdin: bytes, whatever their encoding.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::mem;

use crate::system;

/// The longest line that is taken, in bytes: the longest message that a service sends unless told otherwise.
const LONGEST_LINE: usize = 1 << 20;

/// A line without its `\n` or `\r\n`.
pub type Line<'a> = Result<&'a [u8], TooLong>;

/// A line is longer than is taken. It is told as soon as that is certain, and the rest of it is passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it is longer than {LONGEST_LINE} bytes")
    }
}

/// The lines of stdin, as they come.
#[derive(Debug)]
pub struct Lines {
    input: BufReader<Stdin>,
    line: Vec<u8>,
    /// What comes next is the rest of a line that is too long.
    passes_over: bool,
}

#[derive(Debug)]
struct Stdin;

impl Read for Stdin {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        system::read_stdin(buffer)
    }
}

impl Lines {
    /// Those that nobody has read yet. Of what is typed at a terminal, only what comes while this process is in the
    /// foreground.
    pub fn of_stdin() -> Self {
        Self { input: BufReader::new(Stdin), line: Vec::new(), passes_over: false }
    }

    /// Waits for the next line; `None` at the end.
    ///
    /// # Errors
    ///
    /// Whatever reading from stdin reports.
    pub fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        if mem::take(&mut self.passes_over) {
            self.input.skip_until(b'\n')?;
        }
        self.line.clear();
        // The longest one, with its `\r\n`.
        (&mut self.input).take(LONGEST_LINE as u64 + 2).read_until(b'\n', &mut self.line)?;
        if self.line.is_empty() {
            return Ok(None);
        }
        let (line, is_whole) = match self.line.strip_suffix(b"\n") {
            Some(line) => (line.strip_suffix(b"\r").unwrap_or(line), true),
            None => (&self.line[..], false),
        };
        if line.len() > LONGEST_LINE {
            self.passes_over = !is_whole;
            return Ok(Some(Err(TooLong)));
        }
        Ok(Some(Ok(line)))
    }
}

//! Lines of stdin: bytes, whatever their encoding.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::mem;

use super::system;

/// A line without its end.
pub(crate) type Line<'a> = Result<&'a [u8], TooLong>;

/// A line is longer than so many bytes. It is told as soon as that is certain, and the rest of it is passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLong(usize);

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it is longer than {} bytes", self.0)
    }
}

/// The lines of stdin, as they come.
#[derive(Debug)]
pub(crate) struct Lines {
    input: BufReader<Stdin>,
    line: Vec<u8>,
    longest: usize,
    /// `\n`, before which there may be `\r`, or NUL.
    end: u8,
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
    /// foreground. `longest` is how many bytes a line may have, without its end.
    pub(crate) fn of_stdin(longest: usize) -> Self {
        Self { input: BufReader::new(Stdin), line: Vec::new(), longest, end: b'\n', passes_over: false }
    }

    /// Lines that end with NUL, so that there may be newlines in them.
    pub(crate) fn ended_by_nul(mut self) -> Self {
        self.end = 0;
        self
    }

    /// Waits for the next line; `None` at the end.
    ///
    /// # Errors
    ///
    /// Whatever reading from stdin reports.
    pub(crate) fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        if mem::take(&mut self.passes_over) {
            self.input.skip_until(self.end)?;
        }
        self.line.clear();
        // The longest one, with its `\r\n`.
        let longest = (self.longest as u64).saturating_add(2);
        (&mut self.input).take(longest).read_until(self.end, &mut self.line)?;
        if self.line.is_empty() {
            return Ok(None);
        }
        let (line, is_whole) = match self.line.strip_suffix(&[self.end]) {
            Some(line) if self.end == 0 => (line, true),
            Some(line) => (line.strip_suffix(b"\r").unwrap_or(line), true),
            None => (&self.line[..], false),
        };
        if line.len() > self.longest {
            self.passes_over = !is_whole;
            return Ok(Some(Err(TooLong(self.longest))));
        }
        Ok(Some(Ok(line)))
    }
}

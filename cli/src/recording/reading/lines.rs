//! The lines of a file, each with its number.

use std::io::{self, BufRead, Read};

/// The longest line that is read, in bytes; a longer one is told, and passed over.
const LONGEST: u64 = 1 << 29;

pub(super) struct Lines<R> {
    input: R,
    line: Vec<u8>,
    /// How many have been read.
    pub(super) number: u64,
    /// How many bytes have been read.
    pub(super) position: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, line: Vec::new(), number: 0, position: 0 }
    }

    /// The next line without its end; `None` at the end of the file.
    ///
    /// # Errors
    ///
    /// Whatever reading reports.
    pub(super) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.line.clear();
        self.append()?;
        if self.line.is_empty() {
            return Ok(None);
        }
        Ok(Some(without_end(&self.line)))
    }

    /// The end of the same line with the next one behind it, for a text that has the end of a line in it.
    pub(super) fn longer(&mut self) -> io::Result<Option<&[u8]>> {
        let (before, end) = (self.line.len(), without_end(&self.line).len());
        self.append()?;
        Ok((self.line.len() > before).then(|| &without_end(&self.line)[end..]))
    }

    fn append(&mut self) -> io::Result<()> {
        let room = LONGEST.saturating_sub(self.line.len() as u64);
        let mut count = (&mut self.input).take(room).read_until(b'\n', &mut self.line)? as u64;
        if count > 0 && count == room && !self.line.ends_with(b"\n") {
            count += skip_line(&mut self.input)?;
        }
        self.number += u64::from(count > 0);
        self.position += count;
        Ok(())
    }
}

fn skip_line(input: &mut impl BufRead) -> io::Result<u64> {
    Ok(input.skip_until(b'\n')? as u64)
}

fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

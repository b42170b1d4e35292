//! Lines of bytes, whatever their encoding.

use std::io::{self, BufRead};

/// Reads the next line, without its `\n` or `\r\n`; false at the end.
pub(crate) fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    if input.read_until(b'\n', line)? == 0 {
        return Ok(false);
    }
    if line.ends_with(b"\n") {
        line.pop();
        if line.ends_with(b"\r") {
            line.pop();
        }
    }
    Ok(true)
}

//! Bytes of a file that are counted, and some of them read again.

use std::io::{self, Read};

/// Counts what is read, some of it again.
pub(super) struct Counted<R> {
    again: io::Cursor<Vec<u8>>,
    inner: R,
    /// How many bytes are before what is read next.
    pub(super) at: u64,
}

impl<R: Read> Counted<R> {
    /// So many bytes have been read before.
    pub(super) fn behind(at: u64, inner: R) -> Self {
        Self { again: io::Cursor::default(), inner, at }
    }

    /// What has been read last, all of it or an end of it, is read again.
    pub(super) fn put_back(&mut self, mut bytes: Vec<u8>) {
        self.at -= bytes.len() as u64;
        bytes.extend_from_slice(&self.again.get_ref()[self.again.position() as usize..]);
        self.again = io::Cursor::new(bytes);
    }

    /// Reads as much as there is room, or is left; how much that was.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match self.again.read(buffer)? {
            0 => self.inner.read(buffer)?,
            count => count,
        };
        self.at += count as u64;
        Ok(count)
    }
}

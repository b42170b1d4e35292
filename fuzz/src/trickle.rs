use std::io::{self, IoSlice};

use leads_comm::transport::Stream;
use leads_comm_testing::layer::{How, Layer};

/// Passes few bytes in each call.
#[derive(Debug)]
pub struct Trickle {
    /// The most that is read or written in one call, in bytes. More than 0.
    pub most: usize,
    /// Whether streams can be written without blocking.
    pub non_blocking: bool,
}

impl Layer for Trickle {
    fn is_bare(&self) -> bool {
        !self.non_blocking
    }

    fn read(&self, stream: &dyn Stream, buffer: &mut [u8]) -> io::Result<usize> {
        let len = buffer.len().min(self.most);
        stream.read(&mut buffer[..len])
    }

    fn write(&self, stream: &dyn Stream, buffers: &[IoSlice<'_>], how: How) -> io::Result<usize> {
        let first = buffers.iter().find(|buffer| !buffer.is_empty()).map_or(&[][..], |buffer| buffer);
        how.write(stream, &[IoSlice::new(&first[..first.len().min(self.most)])])
    }
}

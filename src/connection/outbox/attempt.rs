//! One attempt to write: what the stream has taken of it, and what it still holds.

use std::io::{self, IoSlice};

use crate::transport::Stream;

/// How a write behaves when the stream takes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Direct,
    Blocking,
}

/// What has come of it.
#[derive(Debug)]
pub(super) struct Attempt {
    /// How many bytes the stream has taken. It takes none before it has handed on what it held.
    pub(super) taken: usize,
    /// Whether it holds something that it has not handed on.
    pub(super) holds: bool,
    pub(super) result: io::Result<()>,
}

impl Mode {
    /// Has the stream hand on what it `holds`, and then take `slices`, of which there may be none.
    #[inline]
    pub(super) fn attempt(self, stream: &dyn Stream, holds: bool, slices: &[IoSlice<'_>]) -> Attempt {
        if holds {
            if let Err(error) = self.flush(stream) {
                return Attempt { taken: 0, holds, result: or_again(error) };
            }
        }
        if slices.is_empty() {
            return Attempt { taken: 0, holds: false, result: Ok(()) };
        }
        match self.write(stream, slices) {
            Ok(0) => Attempt { taken: 0, holds: false, result: Err(io::ErrorKind::WriteZero.into()) },
            Ok(taken) => match self.flush(stream) {
                Ok(()) => Attempt { taken, holds: false, result: Ok(()) },
                Err(error) => Attempt { taken, holds: true, result: or_again(error) },
            },
            Err(error) => Attempt { taken: 0, holds: false, result: or_again(error) },
        }
    }

    fn write(self, stream: &dyn Stream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Direct => stream.try_write_vectored(slices),
            Self::Blocking => stream.write_vectored(slices),
        }
    }

    fn flush(self, stream: &dyn Stream) -> io::Result<()> {
        match self {
            Self::Direct => stream.try_flush(),
            Self::Blocking => stream.flush(),
        }
    }
}

/// An interrupted call is made again, by the writer that goes on.
fn or_again(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) }
}

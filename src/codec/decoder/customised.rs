//! Messages that the program tells apart.

use std::mem;

use super::{DecodeError, Lent};
use crate::codec::buffer::Buffer;
use crate::codec::custom::{Custom, Frame, frame_limit};

/// Looks for frames in the remainder, into which all that arrives is copied: the program may change it there.
pub(super) struct Finder {
    framing: Custom,
    /// The first frame is not whole in so many bytes.
    seen: usize,
    /// Why it is of no use to look on.
    failed: Option<DecodeError>,
}

impl Finder {
    pub(super) fn new(framing: Custom) -> Self {
        Self { framing, seen: 0, failed: None }
    }

    pub(super) fn framing(&self) -> &Custom {
        &self.framing
    }

    /// The remainder has been dropped.
    pub(super) fn forget(&mut self) {
        self.seen = 0;
        self.failed = None;
    }

    /// The message at the remainder's front.
    pub(super) fn next<'r>(&mut self, remainder: &'r mut Buffer, max: usize) -> Result<Option<Lent<'r>>, DecodeError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if remainder.len() == self.seen {
            return Ok(None);
        }
        let seen = mem::take(&mut self.seen);
        match self.framing.decode(remainder.as_mut_slice(), seen) {
            Ok(Some(Frame { payload, len })) if payload.len() <= max && len <= frame_limit(max) => {
                Ok(Some(Lent { message: &remainder.take(len)[payload], frame_len: len }))
            }
            Ok(None) if remainder.len() < frame_limit(max) => {
                self.seen = remainder.len();
                Ok(None)
            }
            Ok(_) => Err(self.fail(DecodeError::MessageTooLong { limit: max })),
            Err(error) => Err(self.fail(DecodeError::Malformed(error))),
        }
    }

    /// The next message of a chunk.
    pub(super) fn next_of<'r>(
        &mut self,
        chunk: &mut &[u8],
        remainder: &'r mut Buffer,
        max: usize,
    ) -> Result<Option<Lent<'r>>, DecodeError> {
        let chunk = mem::take(chunk);
        if self.failed.is_none() {
            remainder.extend(chunk);
        }
        self.next(remainder, max)
    }

    fn fail(&mut self, error: DecodeError) -> DecodeError {
        self.failed = Some(error.clone());
        error
    }
}

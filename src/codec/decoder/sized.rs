//! Messages whose length comes first.

use super::DecodeError;
use crate::codec::buffer::Buffer;
use crate::codec::pieces::HEAD_LEN;

/// How many bytes are left at most when every message has been taken out, or the next one is too long.
pub(super) fn most_left(max: usize) -> usize {
    max.saturating_add(HEAD_LEN - 1)
}

/// The message at the remainder's front.
#[inline]
pub(super) fn next(remainder: &mut Buffer, max: usize) -> Result<Option<&[u8]>, DecodeError> {
    match frame_len(remainder.as_slice(), max)? {
        Some(len) if len <= remainder.len() => Ok(Some(&remainder.take(len)[HEAD_LEN..])),
        _ => Ok(None),
    }
}

/// The next message of a chunk, from which it is lent when it lies wholly in it.
#[inline]
pub(super) fn next_of<'r, 'c: 'r>(
    chunk: &mut &'c [u8],
    remainder: &'r mut Buffer,
    max: usize,
) -> Result<Option<&'r [u8]>, DecodeError> {
    if remainder.is_empty() {
        if let Ok(Some(len)) = frame_len(chunk, max) {
            if let Some((frame, rest)) = chunk.split_at_checked(len) {
                *chunk = rest;
                return Ok(Some(&frame[HEAD_LEN..]));
            }
        }
    }
    complete_remainder(chunk, remainder, max)
}

/// The next message when its beginning is left over from before, or its end has not come: what belongs to it is copied
/// together. It gets memory as it arrives, and none for what its length promises.
fn complete_remainder<'r>(
    chunk: &mut &[u8],
    remainder: &'r mut Buffer,
    max: usize,
) -> Result<Option<&'r [u8]>, DecodeError> {
    while !chunk.is_empty() {
        let known = match frame_len(remainder.as_slice(), max) {
            // As much of it as there is, so that its memory is asked for once.
            Ok(None) if remainder.is_empty() => frame_len(chunk, max).unwrap_or(None).unwrap_or(HEAD_LEN),
            Ok(len) => len.unwrap_or(HEAD_LEN),
            Err(error) => {
                *chunk = &[];
                return Err(error);
            }
        };
        let lacking = known.saturating_sub(remainder.len());
        if lacking == 0 {
            break;
        }
        let (share, rest) = chunk.split_at(lacking.min(chunk.len()));
        *chunk = rest;
        remainder.extend(share);
    }
    next(remainder, max).inspect_err(|_| *chunk = &[])
}

/// How many bytes the message at the front of these has on the wire, once its length is there.
#[inline]
fn frame_len(bytes: &[u8], max: usize) -> Result<Option<usize>, DecodeError> {
    let Some(head) = bytes.first_chunk::<HEAD_LEN>() else { return Ok(None) };
    match usize::try_from(u32::from_be_bytes(*head)) {
        Ok(len) if len <= max => Ok(Some(len.saturating_add(HEAD_LEN))),
        _ => Err(DecodeError::MessageTooLong { limit: max }),
    }
}

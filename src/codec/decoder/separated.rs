//! Messages that a separator ends.

use std::mem;

use super::DecodeError;
use crate::codec::Separator;
use crate::codec::buffer::Buffer;

/// The search for separators, which goes on where it stopped.
pub(super) struct Search {
    separator: Separator,
    /// No separator begins in this many bytes at the remainder's front.
    searched: usize,
    looked_at: LookedAt,
}

impl Search {
    pub(super) fn new(separator: Separator) -> Self {
        Self { separator, searched: 0, looked_at: LookedAt::default() }
    }

    pub(super) fn separator(&self) -> &Separator {
        &self.separator
    }

    /// How many bytes are left at most when every message has been taken out, or the next one is too long.
    pub(super) fn most_left(&self, max: usize) -> usize {
        max.saturating_add(self.separator.len() - 1)
    }

    /// The remainder has been dropped.
    pub(super) fn forget(&mut self) {
        self.searched = 0;
    }

    /// The message at the remainder's front.
    #[inline]
    pub(super) fn next<'r>(&mut self, remainder: &'r mut Buffer, max: usize) -> Result<Option<&'r [u8]>, DecodeError> {
        match self.find_end(remainder) {
            Some(len) if len <= max => {
                self.searched = 0;
                let message_and_separator = remainder.take(len + self.separator.len());
                Ok(Some(&message_and_separator[..len]))
            }
            _ => self.unfinished(remainder, max).map(|()| None),
        }
    }

    /// The next message of a chunk, from which it is lent when it lies wholly in it.
    #[inline]
    pub(super) fn next_of<'r, 'c: 'r>(
        &mut self,
        chunk: &mut &'c [u8],
        remainder: &'r mut Buffer,
        max: usize,
    ) -> Result<Option<&'r [u8]>, DecodeError> {
        if !remainder.is_empty() {
            return self.complete_remainder(chunk, remainder, max);
        }
        match self.find(chunk) {
            Some(at) if at <= max => {
                let (message, rest) = chunk.split_at(at);
                *chunk = &rest[self.separator.len()..];
                Ok(Some(message))
            }
            _ => {
                // What no separator follows within the limit.
                let rest = mem::take(chunk);
                remainder.extend(&rest[..rest.len().min(self.most_remainder(max))]);
                self.note_searched(remainder);
                self.unfinished(remainder, max).map(|()| None)
            }
        }
    }

    /// The next message when its beginning is left over from before: its end is copied behind that.
    fn complete_remainder<'r>(
        &mut self,
        chunk: &mut &[u8],
        remainder: &'r mut Buffer,
        max: usize,
    ) -> Result<Option<&'r [u8]>, DecodeError> {
        if self.find_end(remainder).is_none() && !chunk.is_empty() {
            // A message within the limit needs no more than this; with more, it is seen to be too long.
            let most = self.most_remainder(max).saturating_sub(remainder.len());
            let (share, rest) = chunk.split_at(self.share_of(remainder, chunk).min(most));
            *chunk = rest;
            remainder.extend(share);
            // The separator lies at the very end, if it is there at all.
            self.searched = remainder.len().saturating_sub(self.separator.len());
        }
        self.next(remainder, max).inspect_err(|_| *chunk = &[])
    }

    /// Where the separator first occurs; counts the bytes that were looked at.
    #[inline]
    fn find(&mut self, haystack: &[u8]) -> Option<usize> {
        let found = self.separator.find(haystack);
        self.looked_at.add(found.map_or(haystack.len(), |at| at + self.separator.len()));
        found
    }

    /// Where the message at the remainder's front ends, if its separator has arrived.
    #[inline]
    fn find_end(&mut self, remainder: &Buffer) -> Option<usize> {
        let Some(at) = self.find(&remainder.as_slice()[self.searched..]) else {
            self.note_searched(remainder);
            return None;
        };
        self.searched += at;
        Some(self.searched)
    }

    /// Says that no separator lies in the remainder: one that is cut off by its end begins in the last `len - 1` bytes.
    fn note_searched(&mut self, remainder: &Buffer) {
        self.searched = remainder.len().saturating_sub(self.separator.len() - 1);
    }

    /// When the remainder does not begin with a message: whether it needs more bytes, or has too many.
    fn unfinished(&self, remainder: &Buffer, max: usize) -> Result<(), DecodeError> {
        let too_many = remainder.len() >= self.most_remainder(max);
        if too_many { Err(DecodeError::MessageTooLong { limit: max }) } else { Ok(()) }
    }

    /// A remainder that has reached this many bytes without a separator belongs to a message over the limit.
    fn most_remainder(&self, max: usize) -> usize {
        max.saturating_add(self.separator.len())
    }

    /// How many bytes of `chunk` belong to the message that the remainder begins, its separator included; all of
    /// them when it does not end in this chunk.
    fn share_of(&mut self, remainder: &Buffer, chunk: &[u8]) -> usize {
        let len = self.separator.len();
        self.looked_at.add(2 * (len - 1));
        let remainder = remainder.as_slice();
        if let Some(at) = self.separator.find_across(remainder, chunk) {
            return at + len - remainder.len();
        }
        self.find(chunk).map_or(chunk.len(), |at| at + len)
    }

    /// How many bytes have been looked at.
    #[cfg(any(test, fuzzing))]
    pub(super) fn bytes_searched(&self) -> u64 {
        self.looked_at.bytes
    }
}

/// How many bytes have been looked at; counted only where somebody looks, in tests and by fuzzing.
#[derive(Default)]
struct LookedAt {
    #[cfg(any(test, fuzzing))]
    bytes: u64,
}

impl LookedAt {
    #[inline]
    #[cfg(any(test, fuzzing))]
    fn add(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    #[inline]
    #[cfg(not(any(test, fuzzing)))]
    fn add(&mut self, _: usize) {}
}

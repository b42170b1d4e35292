use std::io::IoSlice;

/// A message as it goes over the wire, in the pieces that it is written from: each lies where it is, and none is
/// copied.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pieces<'a> {
    /// How many bytes are in front of the body: those of its length, or none. (The bytes themselves, kept here, would
    /// be copied with every message: a store of four bytes that is read as eight holds the processor up.)
    head_len: usize,
    body: &'a [u8],
    tail: &'a [u8],
}

/// The bytes in front of a body, to be written from where they lie.
pub(crate) type Head = [u8; HEAD_LEN];

/// How many bytes a length takes on the wire.
pub(super) const HEAD_LEN: usize = size_of::<u32>();

impl<'a> Pieces<'a> {
    /// Bytes that need nothing more.
    #[inline]
    pub(crate) fn whole(body: &'a [u8]) -> Self {
        Self { head_len: 0, body, tail: &[] }
    }

    #[inline]
    pub(crate) fn with_tail(body: &'a [u8], tail: &'a [u8]) -> Self {
        Self { head_len: 0, body, tail }
    }

    /// Its length in front, which fits there.
    #[inline]
    pub(super) fn with_length(body: &'a [u8]) -> Self {
        Self { head_len: HEAD_LEN, body, tail: &[] }
    }

    #[inline]
    pub(crate) fn head(&self) -> Head {
        (self.body.len() as u32).to_be_bytes()
    }

    /// How many bytes it has on the wire.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.head_len + self.body.len() + self.tail.len()
    }

    /// For a vectored write, with its [head](Self::head): so many of these.
    #[inline]
    pub(crate) fn slices<'s>(&'s self, head: &'s Head) -> ([IoSlice<'s>; 2], usize) {
        match self.head_len {
            0 => ([IoSlice::new(self.body), IoSlice::new(self.tail)], 1 + usize::from(!self.tail.is_empty())),
            _ => ([IoSlice::new(head), IoSlice::new(self.body)], 2),
        }
    }

    #[inline]
    pub(crate) fn append_to(&self, buffer: &mut Vec<u8>) {
        if self.head_len > 0 {
            buffer.extend_from_slice(&self.head());
        }
        buffer.extend_from_slice(self.body);
        match self.tail {
            // Most separators are one byte, for which a copy of any length is a long way.
            [byte] => buffer.push(*byte),
            tail => buffer.extend_from_slice(tail),
        }
    }

    /// Copies all of it to the front of `buffer`, which is long enough.
    #[inline]
    pub(crate) fn copy_to(&self, buffer: &mut [u8]) {
        let mut buffer = buffer;
        if self.head_len > 0 {
            buffer[..HEAD_LEN].copy_from_slice(&self.head());
            buffer = &mut buffer[HEAD_LEN..];
        }
        let len = self.body.len();
        buffer[..len].copy_from_slice(self.body);
        buffer[len..][..self.tail.len()].copy_from_slice(self.tail);
    }
}

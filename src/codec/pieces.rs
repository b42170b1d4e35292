use std::io::IoSlice;

/// A message as it goes over the wire, in the pieces that it is written from: each lies where it is, and none is
/// copied.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pieces<'a> {
    /// The length, where the framing says it in front.
    head: Option<[u8; HEAD_LEN]>,
    body: &'a [u8],
    tail: &'a [u8],
}

/// How many bytes a length takes on the wire.
pub(super) const HEAD_LEN: usize = size_of::<u32>();

impl<'a> Pieces<'a> {
    /// Bytes that need nothing more.
    #[inline]
    pub(crate) fn whole(body: &'a [u8]) -> Self {
        Self { head: None, body, tail: &[] }
    }

    #[inline]
    pub(crate) fn with_tail(body: &'a [u8], tail: &'a [u8]) -> Self {
        Self { head: None, body, tail }
    }

    #[inline]
    pub(super) fn with_head(head: [u8; HEAD_LEN], body: &'a [u8]) -> Self {
        Self { head: Some(head), body, tail: &[] }
    }

    /// How many bytes it has on the wire.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.head.map_or(0, |_| HEAD_LEN) + self.body.len() + self.tail.len()
    }

    /// For a vectored write: so many of these.
    #[inline]
    pub(crate) fn slices(&self) -> ([IoSlice<'_>; 2], usize) {
        match &self.head {
            Some(head) => ([IoSlice::new(head), IoSlice::new(self.body)], 2),
            None => ([IoSlice::new(self.body), IoSlice::new(self.tail)], 1 + usize::from(!self.tail.is_empty())),
        }
    }

    #[inline]
    pub(crate) fn append_to(&self, buffer: &mut Vec<u8>) {
        if let Some(head) = &self.head {
            buffer.extend_from_slice(head);
        }
        buffer.extend_from_slice(self.body);
        buffer.extend_from_slice(self.tail);
    }

    /// Copies all of it to the front of `buffer`, which is long enough.
    #[inline]
    pub(crate) fn copy_to(&self, buffer: &mut [u8]) {
        let mut buffer = buffer;
        if let Some(head) = &self.head {
            buffer[..HEAD_LEN].copy_from_slice(head);
            buffer = &mut buffer[HEAD_LEN..];
        }
        let len = self.body.len();
        buffer[..len].copy_from_slice(self.body);
        buffer[len..][..self.tail.len()].copy_from_slice(self.tail);
    }
}

//! What the fuzz targets share.

mod trickle;

use leads_comm::codec::Separator;

pub use trickle::Trickle;

/// What a fuzzer has made up, taken from the front. When it is used up, it gives nothing, and zeros.
#[derive(Debug)]
pub struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    /// All of it.
    pub fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    /// Whether it is used up.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// One byte.
    pub fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    /// As many bytes, or as many as are left.
    pub fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (bytes, rest) = self.rest.split_at(len.min(self.rest.len()));
        self.rest = rest;
        bytes
    }

    /// A byte that says how many bytes follow, and those.
    pub fn counted(&mut self) -> &'a [u8] {
        let len = self.byte().into();
        self.bytes(len)
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        self.bytes(usize::MAX)
    }

    /// Counted bytes as a separator; none when they are refused. Which they are has to be just those that a naive look
    /// at the goodbye finds fault with.
    pub fn separator(&mut self) -> Option<Separator> {
        let bytes = self.counted();
        let separator = Separator::new(bytes);
        let carries_goodbye = first_match(&[b"disconnect", bytes].concat(), bytes) == Some(b"disconnect".len());
        assert_eq!(separator.is_ok(), (1..=64).contains(&bytes.len()) && carries_goodbye, "{bytes:?}: {separator:?}");
        separator.ok()
    }
}

/// Where the separator first occurs, found naively.
pub fn first_match(stream: &[u8], separator: &[u8]) -> Option<usize> {
    stream.windows(separator.len().max(1)).position(|window| window == separator)
}

/// Memory up to this size is never given back by [`Buffer::shrink`].
const KEPT: usize = 4 * 1024;

/// Bytes in one piece: they come in at the back and leave at the front.
pub(super) struct Buffer {
    /// Initialised throughout. What is held is `bytes[start..end]`; the rest is room.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// How many bytes it usually holds at most. It does not grow beyond that, and the room asked for, without need.
    usual_len: usize,
}

impl Buffer {
    /// An empty one, without memory.
    pub(super) fn new(usual_len: usize) -> Self {
        Self { bytes: Vec::new(), start: 0, end: 0, usual_len }
    }

    /// Forgets what is held and gives all memory back.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.usual_len);
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    #[inline]
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    /// How many bytes there is memory for.
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// How many bytes there would be memory for with [`room`](Self::room) for `len`.
    pub(super) fn capacity_with(&self, len: usize) -> usize {
        let capacity = self.bytes.capacity();
        // Where that is too little, what is held moves to the front first.
        if capacity - self.end >= len {
            capacity
        } else {
            capacity.max(self.target(self.len().saturating_add(len), len))
        }
    }

    /// Removes the first `len` bytes and lends them once more.
    #[inline]
    pub(super) fn take(&mut self, len: usize) -> &[u8] {
        let taken = &self.bytes[self.start..self.end][..len];
        self.start += len;
        taken
    }

    /// Room for `len` bytes behind those that are held; see [`filled`](Self::filled).
    pub(super) fn room(&mut self, len: usize) -> &mut [u8] {
        self.reserve(len);
        let end = self.end + len;
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        &mut self.bytes[self.end..end]
    }

    /// Counts the first `len` bytes of the last [`room`](Self::room) as held.
    pub(super) fn filled(&mut self, len: usize) {
        self.end += len;
    }

    /// Takes in a copy of `more`.
    pub(super) fn extend(&mut self, more: &[u8]) {
        if more.is_empty() {
            return;
        }
        self.reserve(more.len());
        self.bytes.truncate(self.end);
        self.bytes.extend_from_slice(more);
        self.end = self.bytes.len();
    }

    /// Gives memory back that is of little use: all but what is held, when that is less than a 64th.
    pub(super) fn shrink(&mut self) {
        let capacity = self.bytes.capacity();
        if capacity > KEPT && self.len() < capacity / 64 {
            self.bytes = self.as_slice().to_vec();
            self.start = 0;
            self.end = self.bytes.len();
        }
    }

    /// Sees to it that there is memory for `len` more bytes.
    fn reserve(&mut self, len: usize) {
        // While fewer bytes are left than have gone, moving them is cheap, and the same memory stays in use.
        let lacking = self.bytes.capacity() - self.end < len;
        if self.start > 0 && (lacking || self.len() <= self.start) {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let needed = self.end.saturating_add(len);
        if self.bytes.capacity() < needed {
            self.bytes.reserve_exact(self.target(needed, len) - self.bytes.len());
        }
    }

    /// How much memory to have when `needed` bytes are needed, `len` of them for what comes.
    fn target(&self, needed: usize, len: usize) -> usize {
        // As much again as is held keeps growth linear.
        let (ample, usual) = (needed.saturating_add(self.len()), self.usual_len.saturating_add(len));
        if needed <= usual { ample.min(usual) } else { ample }
    }
}

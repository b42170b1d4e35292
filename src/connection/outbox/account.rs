//! The account of what is sent, in bytes and in their order, by which a flush is measured.

/// Of all that has been accepted and not dropped, the first bytes are *settled*: written, or lost.
#[derive(Debug, Default)]
pub(super) struct Account {
    accepted: u64,
    settled: u64,
    /// How many have been taken by the stream, which has not handed them on.
    held: u64,
    /// Whether the stream holds something, be it only its end. Never while nobody holds the role of writing.
    holds: bool,
}

impl Account {
    #[inline]
    pub(super) fn accepted(&self) -> u64 {
        self.accepted
    }

    #[inline]
    pub(super) fn accept(&mut self, bytes: usize) {
        self.accepted += bytes as u64;
    }

    /// What was accepted is dropped before it was written.
    pub(super) fn drop(&mut self, bytes: usize) {
        self.accepted -= bytes as u64;
    }

    /// The outcome of a write.
    #[inline]
    pub(super) fn write(&mut self, taken: usize, holds: bool) {
        if taken > 0 || !holds {
            self.settled += std::mem::take(&mut self.held);
        }
        if holds {
            self.held += taken as u64;
        } else {
            self.settled += taken as u64;
        }
        self.holds = holds;
    }

    /// What is left will not be written.
    pub(super) fn lose(&mut self, bytes: usize) {
        self.settled += std::mem::take(&mut self.held) + bytes as u64;
    }

    #[inline]
    pub(super) fn holds(&self) -> bool {
        self.holds
    }

    /// The stream holds its end.
    pub(super) fn hold_end(&mut self) {
        self.holds = true;
    }

    /// How many of the first `until` bytes are not settled. What is dropped is accepted no more. As much of what came
    /// later is then waited for, unless there is less.
    pub(super) fn left(&self, until: u64) -> u64 {
        until.min(self.accepted).saturating_sub(self.settled)
    }
}

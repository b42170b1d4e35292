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
    flushes: Vec<Flush>,
}

/// What somebody waits for.
#[derive(Debug)]
struct Flush {
    /// That of the queue at its beginning.
    number: u64,
    /// How many of all bytes have to be settled.
    until: u64,
}

impl Account {
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

    /// What lies in front of the places after `number` has become longer by so much, or shorter.
    pub(super) fn shift(&mut self, number: u64, by: isize) {
        for flush in self.flushes.iter_mut().filter(|flush| flush.number > number) {
            flush.until = flush.until.saturating_add_signed(by as i64);
        }
    }

    /// Somebody waits for all that has been accepted, when the places in the queue had come to `number`.
    pub(super) fn begin_flush(&mut self, number: u64) {
        self.flushes.push(Flush { number, until: self.accepted });
    }

    /// How many bytes are left of what somebody waits for since `number`. What is dropped is accepted no more. As much
    /// of what came later is then waited for, unless there is less.
    pub(super) fn left(&self, number: u64) -> u64 {
        let flush = self.flushes.iter().find(|flush| flush.number == number);
        flush.map_or(0, |flush| flush.until.min(self.accepted).saturating_sub(self.settled))
    }

    pub(super) fn end_flush(&mut self, number: u64) {
        self.flushes.retain(|flush| flush.number != number);
    }
}

//! What one entry of a queue is: messages of a batch, which others may hold as well.

use std::mem;
use std::ops::{AddAssign, Range};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::newest::Numbered;
use crate::connection::outbox::batch::Batch;
use crate::settings::Key;
use crate::stats::Volume;

/// Messages of one batch that wait: those of a range, without the bytes that are gone.
#[derive(Debug, Clone)]
pub(super) struct Queued {
    pub(super) batch: Arc<Batch>,
    pub(super) messages: Range<usize>,
    /// Where the next byte to be written lies.
    pub(super) at: usize,
    /// Whether it was queued before there was a lifespan.
    pub(super) ageless: bool,
    /// The number of its place, of a message that may be replaced unless it has been begun.
    number: Option<u64>,
}

/// Messages, and their bytes that had not been written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

/// Which messages are too old to be lent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expiry {
    pub(crate) now: Instant,
    pub(crate) lifespan: Duration,
}

impl Expiry {
    /// How much a batch is, if it is too old.
    pub(super) fn of(self, batch: &Batch) -> Option<Amount> {
        let is_old = self.now.saturating_duration_since(batch.since()) > self.lifespan;
        is_old.then(|| Amount { messages: batch.messages(), bytes: batch.len() })
    }
}

impl Queued {
    #[inline]
    pub(super) fn new(batch: Arc<Batch>) -> Self {
        Self { messages: 0..batch.messages(), at: 0, batch, ageless: false, number: None }
    }

    /// One whose token's turn has come.
    pub(super) fn newest(Numbered { batch, number }: Numbered) -> Self {
        Self { number: Some(number), ..Self::new(batch) }
    }

    /// The message, with its key, if it may be replaced by a newer one.
    pub(super) fn replaceable(&self) -> Option<(Numbered, Key)> {
        let number = self.number.filter(|_| self.is_whole())?;
        let key = self.batch.key()?.clone();
        Some((Numbered { batch: Arc::clone(&self.batch), number }, key))
    }

    pub(super) fn end_replacing(&mut self) {
        self.number = None;
    }

    /// How much it is, if it is too old to be written.
    pub(super) fn expired(&self, expiry: Expiry) -> Option<Amount> {
        if self.ageless || self.begun() > 0 {
            return None;
        }
        expiry.of(&self.batch).map(|_| Amount { messages: self.messages.len(), bytes: self.len() })
    }

    /// Whether nothing of its batch has been written or dropped, or waits elsewhere.
    #[inline]
    pub(super) fn is_whole(&self) -> bool {
        self.at == 0 && self.messages == (0..self.batch.messages())
    }

    #[inline]
    pub(super) fn end(&self) -> usize {
        self.batch.start_of(self.messages.end)
    }

    /// How many bytes it has left.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.end() - self.at
    }

    /// How many bytes of its first message have been written.
    #[inline]
    pub(super) fn begun(&self) -> usize {
        self.at - self.batch.start_of(self.messages.start)
    }

    /// Its messages, the first one whole although a part of it may be written.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let messages = self.messages.clone();
        messages.map(|message| &self.batch.bytes()[self.batch.start_of(message)..self.batch.start_of(message + 1)])
    }

    /// Counts the next `count` bytes as written; the charge of the messages that are whole with them.
    #[inline]
    pub(super) fn pass(&mut self, count: usize) -> usize {
        self.at += count;
        let first = self.messages.start;
        self.messages.start = self.batch.done_within(first, self.at);
        self.batch.charge_of(first..self.messages.start)
    }

    /// Cuts off the first message if it has been written in part.
    pub(super) fn split_begun(&mut self) -> Option<Self> {
        let first = self.messages.start;
        if self.at == self.batch.start_of(first) {
            return None;
        }
        let begun = Self { messages: first..first + 1, ..self.clone() };
        self.messages.start = first + 1;
        self.at = self.batch.start_of(first + 1);
        Some(begun)
    }

    /// Cuts off the messages that begin behind the next `bytes`.
    pub(super) fn split_behind(&mut self, bytes: usize) -> Option<Self> {
        if bytes >= self.len() {
            return None;
        }
        let end = self.at + bytes;
        let within = self.batch.done_within(self.messages.start, end);
        let cut = within + usize::from(self.batch.start_of(within) < end);
        if cut >= self.messages.end {
            return None;
        }
        let behind = Self { messages: cut..self.messages.end, at: self.batch.start_of(cut), ..self.clone() };
        self.messages.end = cut;
        Some(behind)
    }

    pub(super) fn drop_first(&mut self) -> Amount {
        self.messages.start += 1;
        let start = mem::replace(&mut self.at, self.batch.start_of(self.messages.start));
        Amount { messages: 1, bytes: self.at - start }
    }
}

impl From<Amount> for Volume {
    fn from(Amount { messages, bytes }: Amount) -> Self {
        Self::new(messages, bytes)
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.bytes += other.bytes;
    }
}

//! Whole messages, encoded one behind the other in one buffer.

use std::ops::Range;
use std::sync::Arc;

use super::budget::{Budget, Purpose};
use crate::codec::{GOODBYE, Separator};

/// What each message is charged beyond its bytes, so that a flood of tiny ones is bounded too.
pub(crate) const OVERHEAD: usize = 64;

/// How large a batch grows by messages that are added to it, in bytes.
pub(crate) const BATCH_LEN: usize = 64 * 1024;

/// In what steps a batch that grows takes from the budget: not for each message anew.
const BUDGET_STEP: usize = 4 * 1024;

/// A batch is filled by one owner, and never changes once it is shared. It takes its room from the budget of the
/// service, once for however many outboxes it is shared by, and gives it back when it is dropped.
#[derive(Debug)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    /// Where each message ends, its separator included.
    ends: Vec<usize>,
    reserved: usize,
    budget: Arc<Budget>,
}

impl Batch {
    /// An empty one, without memory.
    pub(crate) fn new(budget: &Arc<Budget>) -> Self {
        Self { bytes: Vec::new(), ends: Vec::new(), reserved: 0, budget: Arc::clone(budget) }
    }

    /// An empty one with memory for a whole batch, where it is about to be filled.
    pub(super) fn roomy(budget: &Arc<Budget>) -> Self {
        let mut batch = Self::new(budget);
        batch.bytes.reserve_exact(BATCH_LEN);
        batch
    }

    /// One message by itself; `None` when the budget is used up.
    pub(crate) fn of(message: &[u8], separator: &[u8], budget: &Arc<Budget>, purpose: Purpose) -> Option<Self> {
        let len = message.len() + separator.len();
        if !budget.take(len + OVERHEAD, purpose) {
            return None;
        }
        let mut batch = Self::new(budget);
        batch.reserved = len + OVERHEAD;
        batch.bytes.reserve_exact(len);
        batch.ends.reserve_exact(1);
        batch.put(message, separator);
        Some(batch)
    }

    /// What is left of a message after its first `written` bytes. It is taken from the budget in any case, because it
    /// cannot be refused any more.
    pub(crate) fn rest_of(message: &[u8], separator: &[u8], written: usize, budget: &Arc<Budget>) -> Self {
        let from = written.min(message.len());
        let mut batch = Self::new(budget);
        batch.put(&message[from..], &separator[written - from..]);
        batch.reserved = batch.charge();
        budget.take_anyway(batch.reserved);
        batch
    }

    /// The goodbye, which takes nothing from the budget.
    pub(super) fn goodbye(separator: &Separator, budget: &Arc<Budget>) -> Self {
        let mut batch = Self::new(budget);
        batch.put(GOODBYE, separator.as_bytes());
        batch
    }

    /// Adds a message; false when the budget is used up.
    #[inline]
    #[must_use]
    pub(crate) fn push(&mut self, message: &[u8], separator: &[u8]) -> bool {
        let needed = self.charge() + message.len() + separator.len() + OVERHEAD;
        if needed > self.reserved {
            let missing = needed - self.reserved;
            // Where there is no more than what is needed, that is enough.
            if !self.reserve(missing.next_multiple_of(BUDGET_STEP)) && !self.reserve(missing) {
                return false;
            }
        }
        self.put(message, separator);
        true
    }

    /// Takes what new batches are charged from the budget, for all of them or for none; false when that is used up.
    #[must_use]
    pub(crate) fn reserve_all(batches: &mut [Self], budget: &Budget) -> bool {
        if !budget.take(batches.iter().map(Self::charge).sum(), Purpose::Queue) {
            return false;
        }
        batches.iter_mut().for_each(|batch| batch.reserved = batch.charge());
        true
    }

    /// Adds a message without a look at the budget.
    #[inline]
    pub(super) fn put(&mut self, message: &[u8], separator: &[u8]) {
        self.bytes.extend_from_slice(message);
        self.bytes.extend_from_slice(separator);
        self.ends.push(self.bytes.len());
    }

    #[cold]
    fn reserve(&mut self, more: usize) -> bool {
        let taken = self.budget.take(more, Purpose::Queue);
        if taken {
            self.reserved += more;
        }
        taken
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// How many messages it holds.
    pub(crate) fn messages(&self) -> usize {
        self.ends.len()
    }

    /// What all of it is charged.
    pub(crate) fn charge(&self) -> usize {
        self.bytes.len() + OVERHEAD * self.ends.len()
    }

    /// What these messages are charged.
    pub(super) fn charge_of(&self, messages: Range<usize>) -> usize {
        self.start_of(messages.end) - self.start_of(messages.start) + OVERHEAD * messages.len()
    }

    /// Where a message starts; the end of the bytes for the one behind the last.
    pub(super) fn start_of(&self, message: usize) -> usize {
        if message == 0 { 0 } else { self.ends[message - 1] }
    }

    /// How many messages, of those from `done` on, end within the first `len` bytes.
    pub(super) fn done_within(&self, done: usize, len: usize) -> usize {
        done + self.ends[done..].partition_point(|end| *end <= len)
    }

    /// Empties it, to be filled again: with its memory, and what that has taken from the budget.
    pub(super) fn emptied(mut self) -> Self {
        self.bytes.clear();
        self.ends.clear();
        self
    }

    /// Whether its memory is that of a batch, not of a message or two and not of a very long one.
    pub(super) fn is_worth_keeping(&self) -> bool {
        (BATCH_LEN / 2..=2 * BATCH_LEN).contains(&self.bytes.capacity())
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        if self.reserved > 0 {
            self.budget.give_back(self.reserved);
        }
    }
}

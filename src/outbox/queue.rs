//! What waits to be written, in order, and the account of it. Pure: no lock, no stream, no clock.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::mem;
use std::ops::{AddAssign, Range};
use std::sync::Arc;

use super::batch::{BATCH_LEN, Batch, OVERHEAD};
use super::budget::Budget;

/// How many written batches are kept to be filled again.
const MOST_SPARE: usize = 4;

/// Batches in the order of writing. The last one may be open, and takes further messages; those that are *lent* to a
/// write in flight stay in the queue, untouched, until its outcome is known.
#[derive(Debug)]
pub(crate) struct Queue {
    sealed: VecDeque<Queued>,
    /// Behind all others; never empty.
    open: Option<Batch>,
    /// How many of the sealed batches are lent.
    lent: usize,
    bytes: usize,
    charged: usize,
    /// Batches that have been written, to be filled again.
    spare: Vec<Batch>,
    /// Whether messages are never joined into batches.
    single: bool,
    budget: Arc<Budget>,
}

/// Messages of one batch that wait: those of a range, without the bytes that are gone.
#[derive(Debug, Clone)]
struct Queued {
    batch: Arc<Batch>,
    messages: Range<usize>,
    /// Where the next byte to be written lies.
    at: usize,
    /// Whether the beginning of the first message was written before it was queued.
    torn: bool,
}

/// Messages, and their bytes that had not been written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

impl Queue {
    pub(crate) fn new(single: bool, budget: &Arc<Budget>) -> Self {
        Self {
            sealed: VecDeque::new(),
            open: None,
            lent: 0,
            bytes: 0,
            charged: 0,
            spare: Vec::new(),
            single,
            budget: Arc::clone(budget),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// In how many batches it is.
    pub(crate) fn batches(&self) -> usize {
        self.sealed.len() + usize::from(self.open.is_some())
    }

    /// How many messages wait, those written in part included.
    pub(crate) fn messages(&self) -> usize {
        // Only the first can have been begun: all others have their bytes and what they are charged beyond those.
        let begun = self.sealed.front().map_or(0, Queued::begun);
        (self.charged - self.bytes - begun) / OVERHEAD
    }

    /// How many bytes wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What the messages that wait are charged, those written in part included.
    pub(crate) fn charged(&self) -> usize {
        self.charged
    }

    /// Copies a message behind the others; false when the budget is used up.
    #[inline]
    #[must_use]
    pub(crate) fn append(&mut self, message: &[u8], separator: &[u8]) -> bool {
        let len = message.len() + separator.len();
        let pushed = match &mut self.open {
            Some(open) if !self.single && open.len() + len <= BATCH_LEN => open.push(message, separator),
            _ => self.append_to_new(message, separator),
        };
        if pushed {
            self.bytes += len;
            self.charged += len + OVERHEAD;
        }
        pushed
    }

    #[inline(never)]
    fn append_to_new(&mut self, message: &[u8], separator: &[u8]) -> bool {
        self.seal();
        let is_rush = self.bytes >= BATCH_LEN / 2;
        let new = if is_rush { Batch::roomy } else { Batch::new };
        let mut open = self.spare.pop().unwrap_or_else(|| new(&self.budget));
        let pushed = open.push(message, separator);
        if pushed {
            self.open = Some(open);
        }
        pushed
    }

    /// Puts a batch behind the others.
    pub(crate) fn push(&mut self, batch: Arc<Batch>) {
        self.seal();
        self.insert(self.sealed.len(), batch, false);
    }

    /// Puts what is left of a message that has been written in part, or not at all, where it belongs: in front of
    /// everything but the first `before` batches.
    pub(crate) fn insert_rest(&mut self, before: usize, rest: Batch, torn: bool) {
        self.insert(before, Arc::new(rest), torn);
    }

    fn insert(&mut self, at: usize, batch: Arc<Batch>, torn: bool) {
        self.bytes += batch.len();
        self.charged += batch.charge();
        self.sealed.insert(at, Queued::new(batch, torn));
    }

    fn seal(&mut self) {
        if let Some(open) = self.open.take() {
            self.sealed.push_back(Queued::new(Arc::new(open), false));
        }
    }

    /// Lends the first messages for one write: those of up to `most` batches, as far as they lie within the first
    /// `bytes`. At least one unless there is none.
    pub(crate) fn lend(&mut self, most: usize, mut bytes: usize) -> Loan {
        if self.sealed.len() < most {
            self.seal();
        }
        let mut parts = Vec::with_capacity(self.sealed.len().min(most));
        while parts.len() < most && bytes > 0 {
            let at = parts.len();
            let Some(queued) = self.sealed.get_mut(at) else { break };
            // What is not lent may be dropped although it is of the same batch.
            let behind = queued.split_behind(bytes);
            bytes = bytes.saturating_sub(queued.len());
            parts.push(queued.clone());
            if let Some(behind) = behind {
                self.sealed.insert(at + 1, behind);
            }
        }
        self.lent = parts.len();
        Loan { parts }
    }

    /// Takes a loan back: the first `count` bytes of the queue have been written. How many of the lent batches are
    /// still there.
    pub(crate) fn take_back(&mut self, mut count: usize) -> usize {
        let mut left = mem::take(&mut self.lent);
        self.bytes -= count;
        while count > 0 {
            let first = self.sealed.front_mut().expect("no more is written than was lent");
            let passed = count.min(first.len());
            count -= passed;
            self.charged -= first.pass(passed);
            if first.len() > 0 {
                break;
            }
            left -= 1;
            let batch = self.sealed.pop_front().and_then(|written| Arc::into_inner(written.batch));
            if self.spare.len() < MOST_SPARE && self.budget.is_plentiful() {
                self.spare.extend(batch.filter(Batch::is_worth_keeping).map(Batch::emptied));
            }
        }
        left
    }

    /// Drops whole messages, the oldest first, until `charge` more fits into `limit`, or there are no more. Those that
    /// are being written, or have been in part, stay.
    pub(crate) fn drop_oldest(&mut self, charge: usize, limit: usize) -> Amount {
        let mut dropped = Amount::default();
        let mut at = self.lent;
        while self.charged + charge > limit {
            if at == self.sealed.len() {
                self.seal();
            }
            let Some(queued) = self.sealed.get_mut(at) else { break };
            if let Some(begun) = queued.split_begun() {
                if queued.len() == 0 {
                    *queued = begun;
                } else {
                    self.sealed.insert(at, begun);
                }
                at += 1;
                continue;
            }
            let amount = queued.drop_first();
            self.charged -= amount.bytes + OVERHEAD;
            self.bytes -= amount.bytes;
            dropped += amount;
            // At once: a loan ends at the first batch that has nothing to write.
            if queued.len() == 0 {
                self.sealed.remove(at);
            }
        }
        dropped
    }

    /// Gives back the memory that is kept for what comes next.
    pub(crate) fn shrink(&mut self) {
        self.spare = Vec::new();
    }

    /// Forgets everything: how much it was, and its memory, which the caller drops without a lock.
    pub(crate) fn clear(&mut self) -> (Amount, Queue) {
        let empty = Self::new(self.single, &self.budget);
        let mut cleared = mem::replace(self, empty);
        cleared.seal();
        let messages = cleared.sealed.iter().map(|queued| queued.messages.len()).sum();
        (Amount { messages, bytes: cleared.bytes }, cleared)
    }
}

impl Queued {
    fn new(batch: Arc<Batch>, torn: bool) -> Self {
        Self { messages: 0..batch.messages(), at: 0, batch, torn }
    }

    fn end(&self) -> usize {
        self.batch.start_of(self.messages.end)
    }

    /// How many bytes it has left.
    fn len(&self) -> usize {
        self.end() - self.at
    }

    /// How many bytes of its first message have been written.
    fn begun(&self) -> usize {
        self.at - self.batch.start_of(self.messages.start)
    }

    /// Counts the next `count` bytes as written; the charge of the messages that are whole with them.
    fn pass(&mut self, count: usize) -> usize {
        self.at += count;
        let first = self.messages.start;
        self.messages.start = self.batch.done_within(first, self.at);
        self.torn &= self.messages.start == first;
        self.batch.charge_of(first..self.messages.start)
    }

    /// Cuts off the first message if it has been written in part.
    fn split_begun(&mut self) -> Option<Self> {
        let first = self.messages.start;
        if !self.torn && self.at == self.batch.start_of(first) {
            return None;
        }
        let begun = Self { messages: first..first + 1, ..self.clone() };
        self.messages.start = first + 1;
        self.at = self.batch.start_of(first + 1);
        self.torn = false;
        Some(begun)
    }

    /// Cuts off the messages that begin behind the next `bytes`.
    fn split_behind(&mut self, bytes: usize) -> Option<Self> {
        if bytes >= self.len() {
            return None;
        }
        let end = self.at + bytes;
        let within = self.batch.done_within(self.messages.start, end);
        let cut = within + usize::from(self.batch.start_of(within) < end);
        if cut >= self.messages.end {
            return None;
        }
        let behind =
            Self { messages: cut..self.messages.end, at: self.batch.start_of(cut), torn: false, ..self.clone() };
        self.messages.end = cut;
        Some(behind)
    }

    fn drop_first(&mut self) -> Amount {
        self.messages.start += 1;
        let start = mem::replace(&mut self.at, self.batch.start_of(self.messages.start));
        Amount { messages: 1, bytes: self.at - start }
    }
}

/// What is lent for one write.
pub(crate) struct Loan {
    parts: Vec<Queued>,
}

impl Loan {
    /// Its bytes, at most `most`.
    pub(crate) fn slices(&self, mut most: usize) -> Vec<IoSlice<'_>> {
        let mut slices = Vec::with_capacity(self.parts.len() + 2);
        for part in &self.parts {
            let bytes = &part.batch.bytes()[part.at..part.end()];
            let bytes = &bytes[..bytes.len().min(most)];
            if bytes.is_empty() {
                break;
            }
            most -= bytes.len();
            slices.push(IoSlice::new(bytes));
        }
        slices
    }

    /// How many bytes it has.
    pub(crate) fn len(&self) -> usize {
        self.parts.iter().map(Queued::len).sum()
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.bytes += other.bytes;
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

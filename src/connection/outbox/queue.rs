//! What waits to be written, in order, and the account of it. Pure: no lock, no stream, no clock.

mod queued;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::IoSlice;
use std::mem;
use std::sync::Arc;

use super::batch::{BATCH_LEN, Batch};
use super::budget::{Budget, Lacking, Purpose};
use crate::settings::OVERHEAD;
pub(crate) use queued::Amount;
use queued::Queued;

/// How many written batches are kept to be filled again.
const MOST_SPARE: usize = 4;

/// For how many batches an outbox has room that does not count: as many as one that keeps up has at a time.
const FREE_ENTRIES: usize = 8;

/// What an entry takes of memory.
const ENTRY: usize = size_of::<Queued>();

/// A shared batch that is no longer than this, in bytes, is copied behind an open one: that takes less than two entries
/// more.
const SHORT: usize = 128;

/// Batches in the order of writing. The last one may be open, and takes further messages; those that are *lent* to a
/// write in flight stay in the queue, untouched, until its outcome is known. Shared ones that lie side by side are
/// [joined](Batch::joined_with), so that a queue which is not written has few entries, however many batches it was
/// given.
#[derive(Debug)]
pub(crate) struct Queue {
    sealed: VecDeque<Queued>,
    /// What has been taken from the budget for the entries, those without a batch included.
    entries_reserved: usize,
    /// Behind all others; never empty.
    open: Option<Batch>,
    /// How many of the sealed batches are lent.
    lent: usize,
    bytes: usize,
    charged: usize,
    /// Batches that have been written, to be filled again.
    spare: Vec<Batch>,
    /// Whether each write carries one message.
    single: bool,
    budget: Arc<Budget>,
}

impl Queue {
    pub(crate) fn new(single: bool, budget: &Arc<Budget>) -> Self {
        Self {
            sealed: VecDeque::new(),
            entries_reserved: 0,
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

    /// Copies a message behind the others.
    #[inline]
    pub(crate) fn append(&mut self, message: &[u8], separator: &[u8], purpose: Purpose) -> Result<(), Lacking> {
        let len = message.len() + separator.len();
        match &mut self.open {
            Some(open) if open.len() + len <= BATCH_LEN => open.push(message, separator, purpose)?,
            _ => self.append_to_new(message, separator, purpose)?,
        }
        self.bytes += len;
        self.charged += len + OVERHEAD;
        Ok(())
    }

    #[inline(never)]
    fn append_to_new(&mut self, message: &[u8], separator: &[u8], purpose: Purpose) -> Result<(), Lacking> {
        self.make_entries(2, purpose)?;
        self.seal();
        let is_rush = self.bytes >= BATCH_LEN / 2 && self.budget.is_plentiful();
        let mut open = match self.spare.pop() {
            Some(spare) => spare,
            None if is_rush => Batch::roomy(&self.budget, purpose),
            None => Batch::new(&self.budget),
        };
        open.push(message, separator, purpose)?;
        self.open = Some(open);
        Ok(())
    }

    /// Makes sure that there is room for so many entries more.
    #[inline]
    pub(crate) fn make_entries(&mut self, more: usize, purpose: Purpose) -> Result<(), Lacking> {
        let needed = self.sealed.len() + more;
        if needed <= self.sealed.capacity() {
            return Ok(());
        }
        self.grow(needed, |budget, bytes| if budget.take(bytes, purpose) { Ok(()) } else { Err(Lacking(bytes)) })
    }

    /// The same, where there is no way back.
    fn make_entries_anyway(&mut self, more: usize) {
        let needed = self.sealed.len() + more;
        if needed > self.sealed.capacity() {
            let Ok(()) = self.grow(needed, |budget, bytes| {
                budget.take_anyway(bytes);
                Ok::<_, Infallible>(())
            });
        }
    }

    #[cold]
    fn grow<E>(&mut self, needed: usize, take: impl FnOnce(&Budget, usize) -> Result<(), E>) -> Result<(), E> {
        let capacity = needed.max(2 * self.sealed.capacity()).max(FREE_ENTRIES);
        let more = Self::entries_charge(capacity) - self.entries_reserved;
        if more > 0 {
            take(&self.budget, more)?;
        }
        self.entries_reserved += more;
        self.sealed.reserve_exact(capacity - self.sealed.len());
        Ok(())
    }

    /// Gives room for entries back of which most is not used.
    fn shrink_entries(&mut self) {
        let capacity = self.sealed.capacity();
        if capacity > FREE_ENTRIES && self.sealed.len() <= capacity / 4 {
            self.sealed.shrink_to((capacity / 2).max(FREE_ENTRIES));
            let reserved = Self::entries_charge(self.sealed.capacity());
            self.budget.give_back(self.entries_reserved.saturating_sub(reserved));
            self.entries_reserved = reserved.min(self.entries_reserved);
        }
    }

    fn entries_charge(capacity: usize) -> usize {
        capacity.saturating_sub(FREE_ENTRIES) * ENTRY
    }

    /// Puts a batch behind the others. Those who can still refuse it have [made](Self::make_entries) an entry for it,
    /// and one for what is open.
    pub(crate) fn push(&mut self, batch: Arc<Batch>) {
        self.bytes += batch.len();
        self.charged += batch.charge();
        if let Some(open) = self.open.as_mut().filter(|open| open.len() + batch.len() <= BATCH_LEN) {
            let is_short = batch.len() <= SHORT && batch.messages() == 1;
            if is_short && open.push(batch.bytes(), &[], Purpose::Queue).is_ok() {
                return;
            }
        }
        self.seal();
        self.make_entries_anyway(1);
        self.sealed.push_back(Queued::new(batch, false));
        self.join_last();
    }

    /// Joins the last batch with those before it, as far as they are halves of the same wholes.
    fn join_last(&mut self) {
        let Some(mut place) = self.sealed.back().and_then(|last| last.batch.place()) else { return };
        let (mut first, mut len) = (self.sealed.len() - 1, 0);
        while let Some((half, whole)) = place.halves() {
            len += self.sealed[first].batch.len();
            let Some(before) = first.checked_sub(1).filter(|before| *before >= self.lent) else { break };
            let left = &self.sealed[before];
            let fits = len + left.batch.len() <= BATCH_LEN;
            // Of the first one a part may have been written, or dropped; all others are whole.
            let is_left = left.batch.place() == Some(half) && left.messages.end == left.batch.messages();
            if !fits || !is_left || !self.sealed[first].is_whole() {
                break;
            }
            (first, place) = (before, whole);
        }
        let behind: Vec<&Batch> = self.sealed.range(first + 1..).map(|queued| &*queued.batch).collect();
        if behind.is_empty() {
            return;
        }
        let Some(joined) = self.sealed[first].batch.joined_with(&behind, place) else { return };
        self.sealed.truncate(first + 1);
        let left = &mut self.sealed[first];
        left.messages.end = joined.messages();
        left.batch = joined;
    }

    /// Puts what is left of a message that has been written in part, or not at all, where it belongs: in front of
    /// everything but the first `before` batches.
    pub(crate) fn insert_rest(&mut self, before: usize, rest: Batch, torn: bool) {
        self.bytes += rest.len();
        self.charged += rest.charge();
        self.make_entries_anyway(1);
        self.sealed.insert(before, Queued::new(Arc::new(rest), torn));
    }

    fn seal(&mut self) {
        if let Some(mut open) = self.open.take() {
            open.trim();
            self.make_entries_anyway(1);
            self.sealed.push_back(Queued::new(Arc::new(open), false));
        }
    }

    /// Lends the first messages for one write: those of up to `most` batches, as far as they lie within the first
    /// `bytes`. At least one unless there is none, and no more where each write carries one.
    pub(crate) fn lend(&mut self, mut most: usize, mut bytes: usize) -> Loan {
        if self.single {
            (most, bytes) = (1, bytes.min(1));
        }
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
                self.make_entries_anyway(1);
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
            self.shrink_entries();
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
                    self.make_entries_anyway(1);
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

    /// Drops batches that no other queue has, the oldest first, until so much memory has come back, or there are no
    /// more. Those that are being written, or have been in part, stay.
    pub(crate) fn drop_for_memory(&mut self, memory: usize) -> Amount {
        self.seal();
        let mut dropped = Amount::default();
        let (mut at, mut freed) = (self.lent, 0);
        while freed < memory {
            let Some(queued) = self.sealed.get(at) else { break };
            let is_begun = queued.torn || queued.begun() > 0;
            if is_begun || Arc::strong_count(&queued.batch) > 1 {
                at += 1;
                continue;
            }
            freed += queued.batch.memory();
            let amount = Amount { messages: queued.messages.len(), bytes: queued.len() };
            self.charged -= amount.bytes + OVERHEAD * amount.messages;
            self.bytes -= amount.bytes;
            dropped += amount;
            self.sealed.remove(at);
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

    /// Puts batches in front of all others, of which nothing has been written or is lent.
    pub(crate) fn prepend(&mut self, batches: Vec<Arc<Batch>>) {
        self.make_entries_anyway(batches.len());
        for batch in batches.into_iter().rev() {
            self.bytes += batch.len();
            self.charged += batch.charge();
            self.sealed.push_front(Queued::new(batch, false));
        }
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

impl Drop for Queue {
    fn drop(&mut self) {
        if self.entries_reserved > 0 {
            self.budget.give_back(self.entries_reserved);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

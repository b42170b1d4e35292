//! What waits to be written, in order, and the account of it. Pure: no lock, no stream, no clock.

mod dropping;
mod entries;
mod newest;
mod queued;
mod replacing;

use std::collections::VecDeque;
use std::io::IoSlice;
use std::mem;
use std::sync::Arc;
use std::time::Instant;

use super::batch::{BATCH_LEN, Batch};
use super::budget::{Budget, Lacking, Purpose};
use crate::codec::Pieces;
use crate::settings::{Key, OVERHEAD};
use newest::Newest;
use queued::Queued;
pub(crate) use queued::{Amount, Expiry};

/// How many written batches are kept to be filled again.
const MOST_SPARE: usize = 4;

/// For how many batches an outbox has room that does not count: as many as one that keeps up has at a time.
const FREE_ENTRIES: usize = 8;

/// What an entry takes of memory.
const ENTRY: usize = size_of::<Entry>();

/// A shared batch that is no longer than this, in bytes, is copied behind an open one: that takes less than two entries
/// more.
pub(crate) const SHORT: usize = 128;

/// Batches in the order of writing. The last one may be open, and takes further messages; those that are *lent* to a
/// write in flight stay in the queue, untouched, until its outcome is known. Shared ones that lie side by side are
/// [joined](Batch::joined_with), so that a queue which is not written has few entries, however many batches it was
/// given.
///
/// Messages that may be [replaced](Self::push_newest) lie in a table by their keys; each has its turn when that of its
/// token has come, and is lent like any other then.
#[derive(Debug)]
pub(crate) struct Queue {
    sealed: VecDeque<Entry>,
    newest: Newest,
    /// The number of the next [place](Self::next_number).
    number: u64,
    /// What has been replaced, and what was too old to be lent, until [somebody asks](Self::take_gone).
    gone: Gone,
    /// What has been taken from the budget for the entries, those without a batch included.
    entries_reserved: usize,
    /// Behind all others; never empty.
    open: Option<Batch>,
    /// How many of the sealed batches are lent.
    lent: usize,
    /// Whether one of those may be [put back](Self::put_back) to be replaced.
    lent_newest: bool,
    bytes: usize,
    charged: usize,
    /// Batches that have been written, to be filled again.
    spare: Vec<Batch>,
    /// Whether each write carries one message.
    single: bool,
    budget: Arc<Budget>,
}

#[derive(Debug)]
enum Entry {
    Messages(Queued),
    /// The token of a key.
    Newest(Key),
}

/// What has gone out of a queue although nobody has written or dropped it.
#[derive(Debug, Default)]
pub(crate) struct Gone {
    pub(crate) conflated: Amount,
    pub(crate) expired: Amount,
    /// By how many bytes what lies in front of the places after this number has become longer.
    pub(crate) shifts: Vec<(u64, isize)>,
}

impl Queue {
    pub(crate) fn new(single: bool, budget: &Arc<Budget>) -> Self {
        Self {
            sealed: VecDeque::new(),
            newest: Newest::default(),
            number: 0,
            gone: Gone::default(),
            entries_reserved: 0,
            open: None,
            lent: 0,
            lent_newest: false,
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
        let begun = match self.sealed.front() {
            Some(Entry::Messages(queued)) => queued.begun(),
            _ => 0,
        };
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
    pub(crate) fn append(&mut self, message: Pieces<'_>, purpose: Purpose) -> Result<(), Lacking> {
        let len = message.len();
        match &mut self.open {
            Some(open) if open.len() + len <= BATCH_LEN => open.push(message, purpose)?,
            _ => self.append_to_new(message, purpose)?,
        }
        self.bytes += len;
        self.charged += len + OVERHEAD;
        Ok(())
    }

    /// Copies a message behind the others of the open batch, where its memory suffices; false otherwise. To be
    /// [noted](Self::note_appended) before anything is asked of the queue.
    #[inline]
    pub(super) fn append_to_open(&mut self, message: Pieces<'_>) -> bool {
        let Some(open) = self.open.as_mut().filter(|open| open.has_room(message.len())) else { return false };
        open.put(message);
        true
    }

    /// So many messages have been appended to the open batch, which are charged so much.
    pub(super) fn note_appended(&mut self, messages: usize, charge: usize) {
        self.bytes += charge - OVERHEAD * messages;
        self.charged += charge;
    }

    /// How many messages are in the open batch.
    pub(super) fn messages_in_open(&self) -> usize {
        self.open.as_ref().map_or(0, Batch::messages)
    }

    /// How many bytes more the open batch may grow by.
    pub(super) fn room_in_open(&self) -> usize {
        self.open.as_ref().map_or(0, |open| BATCH_LEN.saturating_sub(open.len()))
    }

    #[inline(never)]
    fn append_to_new(&mut self, message: Pieces<'_>, purpose: Purpose) -> Result<(), Lacking> {
        self.make_entries(2, purpose)?;
        self.seal();
        let is_rush = self.bytes >= BATCH_LEN / 2 && self.budget.is_plentiful();
        let mut open = match self.spare.pop() {
            Some(spare) => spare.begun_now(),
            None if is_rush => Batch::roomy(&self.budget, BATCH_LEN, purpose),
            None => Batch::new(&self.budget),
        };
        open.push(message, purpose)?;
        self.open = Some(open);
        Ok(())
    }

    /// Copies a message, as it is written, behind the others. It has been accepted, and so is taken from the budget in
    /// any case.
    pub(crate) fn append_anyway(&mut self, encoded: &[u8]) {
        if self.append(Pieces::whole(encoded), Purpose::Write).is_ok() {
            return;
        }
        if self.open.as_ref().is_none_or(|open| open.len() + encoded.len() > BATCH_LEN) {
            self.seal();
            self.make_entries_anyway(1);
        }
        self.open.get_or_insert_with(|| Batch::new(&self.budget)).put_anyway(encoded);
        self.bytes += encoded.len();
        self.charged += encoded.len() + OVERHEAD;
    }

    /// Puts a batch behind the others. Those who can still refuse it have [made](Self::make_entries) an entry for it,
    /// and one for what is open.
    pub(crate) fn push(&mut self, batch: Arc<Batch>) {
        self.bytes += batch.len();
        self.charged += batch.charge();
        if let Some(open) = self.open.as_mut().filter(|open| open.len() + batch.len() <= BATCH_LEN) {
            let is_short = batch.len() <= SHORT && batch.messages() == 1;
            if is_short && open.push(Pieces::whole(batch.bytes()), Purpose::Queue).is_ok() {
                return;
            }
        }
        self.seal();
        self.make_entries_anyway(1);
        self.sealed.push_back(Entry::Messages(Queued::new(batch)));
        self.join_last();
    }

    /// Joins the last batch with those before it, as far as they are halves of the same wholes.
    fn join_last(&mut self) {
        let Some(mut place) = self.sealed.back().and_then(Entry::as_messages).and_then(|last| last.batch.place())
        else {
            return;
        };
        let (mut first, mut len) = (self.sealed.len() - 1, 0);
        while let Some((half, whole)) = place.halves() {
            let Some(right) = self.sealed[first].as_messages() else { break };
            len += right.batch.len();
            let Some(before) = first.checked_sub(1).filter(|before| *before >= self.lent) else { break };
            let Some(left) = self.sealed[before].as_messages() else { break };
            let fits = len + left.batch.len() <= BATCH_LEN;
            // Of the first one a part may have been written, or dropped; all others are whole.
            let is_left = left.batch.place() == Some(half) && left.messages.end == left.batch.messages();
            if !fits || !is_left || !right.is_whole() {
                break;
            }
            (first, place) = (before, whole);
        }
        let behind = self.sealed.range(first + 1..).filter_map(Entry::as_messages);
        let behind: Vec<&Batch> = behind.map(|queued| &*queued.batch).collect();
        if behind.is_empty() {
            return;
        }
        let joined = self.sealed[first].as_messages().and_then(|left| left.batch.joined_with(&behind, place));
        let Some(joined) = joined else { return };
        self.sealed.truncate(first + 1);
        let Some(Entry::Messages(left)) = self.sealed.back_mut() else { return };
        left.messages.end = joined.messages();
        left.batch = joined;
    }

    /// Puts a message of which the first `written` bytes are out, or none, where it belongs: in front of everything but
    /// the first `before` batches.
    pub(crate) fn insert_rest(&mut self, before: usize, message: Batch, written: usize) {
        self.bytes += message.len() - written;
        self.charged += message.charge();
        self.make_entries_anyway(1);
        let mut rest = Queued::new(Arc::new(message));
        rest.at = written;
        self.sealed.insert(before, Entry::Messages(rest));
    }

    /// Seals what is open, so that what comes next has a batch of its own.
    pub(crate) fn push_alone(&mut self, batch: Arc<Batch>) {
        self.push_entry(Queued::new(batch));
    }

    /// The same with one that never expires.
    pub(crate) fn push_ageless(&mut self, batch: Arc<Batch>) {
        let mut queued = Queued::new(batch);
        queued.ageless = true;
        self.push_entry(queued);
    }

    fn push_entry(&mut self, queued: Queued) {
        self.bytes += queued.batch.len();
        self.charged += queued.batch.charge();
        self.seal();
        self.make_entries_anyway(1);
        self.sealed.push_back(Entry::Messages(queued));
    }

    /// A number that is higher than those of all places that there are, and lower than those of the ones to come.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// What has gone since the last time.
    pub(crate) fn take_gone(&mut self) -> Option<Gone> {
        let Gone { conflated, expired, shifts } = &self.gone;
        let is_gone = conflated.messages + expired.messages > 0 || !shifts.is_empty();
        is_gone.then(|| mem::take(&mut self.gone))
    }

    /// Since when the message waits that has waited longest.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        let sealed = self.sealed.iter().filter_map(Entry::as_messages).map(|queued| &*queued.batch);
        sealed.chain(&self.open).chain(self.newest.messages()).map(Batch::since).min()
    }

    fn seal(&mut self) {
        if let Some(mut open) = self.open.take() {
            open.trim();
            self.make_entries_anyway(1);
            self.sealed.push_back(Entry::Messages(Queued::new(Arc::new(open))));
        }
    }

    /// Lends the first messages for one write: those of up to `most` batches, as far as they lie within the first
    /// `bytes`. At least one unless there is none, and no more where each write carries one.
    /// Nothing that is too old.
    pub(crate) fn lend(&mut self, mut most: usize, mut bytes: usize, expiry: Option<Expiry>) -> Loan {
        if self.single {
            (most, bytes) = (1, bytes.min(1));
        }
        if self.sealed.len() < most {
            self.seal();
        }
        let mut parts = Vec::with_capacity(self.sealed.len().min(most));
        while parts.len() < most && bytes > 0 {
            let at = parts.len();
            let Some(queued) = self.messages_at(at, expiry) else { break };
            // What is not lent may be dropped although it is of the same batch.
            let behind = queued.split_behind(bytes);
            bytes = bytes.saturating_sub(queued.len());
            parts.push(queued.clone());
            if let Some(behind) = behind {
                self.make_entries_anyway(1);
                self.sealed.insert(at + 1, Entry::Messages(behind));
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
            let Some(Entry::Messages(first)) = self.sealed.front_mut() else {
                unreachable!("no more is written than lent")
            };
            let passed = count.min(first.len());
            count -= passed;
            self.charged -= first.pass(passed);
            if first.len() > 0 {
                break;
            }
            left -= 1;
            let written = self.sealed.pop_front().and_then(Entry::into_messages);
            let batch = written.and_then(|written| Arc::into_inner(written.batch));
            self.shrink_entries();
            if self.spare.len() < MOST_SPARE && self.budget.is_plentiful() {
                self.spare.extend(batch.filter(Batch::is_worth_keeping).map(Batch::emptied));
            }
        }
        self.lent_newest = false;
        for at in 0..left {
            self.put_back(at);
        }
        self.drop_empty_tokens();
        left
    }

    /// The messages of the entry at a place, if there is one: a token becomes the message it stands for. Those that
    /// stand for nothing, and messages that are too old, go.
    fn messages_at(&mut self, at: usize, expiry: Option<Expiry>) -> Option<&mut Queued> {
        loop {
            if at == self.sealed.len() {
                self.seal();
            }
            let entry = self.sealed.get_mut(at)?;
            if let Entry::Newest(key) = entry {
                match self.newest.take(key, &self.budget) {
                    Some(message) => {
                        *entry = Entry::Messages(Queued::newest(message));
                        self.lent_newest = true;
                    }
                    None => {
                        self.sealed.remove(at);
                        continue;
                    }
                }
            }
            let Some(Entry::Messages(queued)) = self.sealed.get(at) else { continue };
            let Some(expired) = expiry.and_then(|expiry| queued.expired(expiry)) else { break };
            self.bytes -= expired.bytes;
            self.charged -= expired.bytes + OVERHEAD * expired.messages;
            self.gone.expired += expired;
            self.sealed.remove(at);
        }
        match self.sealed.get_mut(at) {
            Some(Entry::Messages(queued)) => Some(queued),
            _ => None,
        }
    }

    /// Gives back the memory that is kept for what comes next.
    pub(crate) fn shrink(&mut self) {
        self.spare = Vec::new();
    }

    /// Takes every message out, in order, with all of its bytes, also where some of them are written.
    pub(crate) fn drain(&mut self, mut each: impl FnMut(&[u8])) {
        self.seal();
        (self.bytes, self.charged) = (0, 0);
        for entry in mem::take(&mut self.sealed) {
            match entry {
                Entry::Messages(queued) => queued.iter().for_each(&mut each),
                Entry::Newest(key) => {
                    let message = self.newest.take(&key, &self.budget);
                    message.iter().for_each(|message| each(message.batch.bytes()));
                }
            }
        }
    }

    /// Forgets everything: how much it was, and its memory, which the caller drops without a lock.
    pub(crate) fn clear(&mut self) -> (Amount, Queue) {
        let empty = Self::new(self.single, &self.budget);
        let mut cleared = mem::replace(self, empty);
        cleared.seal();
        let messages: usize =
            cleared.sealed.iter().filter_map(Entry::as_messages).map(|queued| queued.messages.len()).sum();
        (Amount { messages: messages + cleared.newest.live(), bytes: cleared.bytes }, cleared)
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

impl Entry {
    fn as_messages(&self) -> Option<&Queued> {
        match self {
            Self::Messages(queued) => Some(queued),
            Self::Newest(_) => None,
        }
    }

    fn into_messages(self) -> Option<Queued> {
        match self {
            Self::Messages(queued) => Some(queued),
            Self::Newest(_) => None,
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.newest.give_back(&self.budget);
        if self.entries_reserved > 0 {
            self.budget.give_back(self.entries_reserved);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

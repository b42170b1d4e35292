//! Whole messages, encoded one behind the other in one buffer.

use std::ops::Range;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use super::budget::{Budget, Lacking, Purpose};
use crate::codec::Pieces;
use crate::settings::Key;
use crate::settings::OVERHEAD;
use crate::sync::now;

/// How large a batch grows by messages that are added to it, in bytes.
pub(crate) const BATCH_LEN: usize = 64 * 1024;

/// What a batch takes of memory besides its bytes and the ends of its messages: itself, and the two counts of an `Arc`.
const HEAD: usize = size_of::<Batch>() + 2 * size_of::<usize>();

/// By how many bytes a batch grows at most unless it needs more.
const STEP: usize = 4 * 1024;

/// For how many messages more a batch has room at least when it gets its second one.
const FEW_ENDS: usize = 4;

/// A batch is filled by one owner, and never changes once it is shared. It takes what it needs of memory from the
/// budget of the service, spare room included, once for however many outboxes it is shared by, and gives it back when
/// it is dropped.
#[derive(Debug)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    /// Where the first message ends on the wire; 0 while there is none. Most batches have no other.
    first_end: usize,
    /// Where each of the others ends.
    other_ends: Vec<usize>,
    /// When its first message was accepted, or is about to be.
    since: Instant,
    /// Of a message by itself.
    key: Option<Key>,
    reserved: usize,
    budget: Arc<Budget>,
    /// For one that several outboxes share: where it lies among all of those.
    place: Option<Place>,
    /// It and the one behind it, once some outbox has joined them.
    joined: OnceLock<Weak<Batch>>,
}

/// Where a shared batch lies among all that are shared: from number `start * 2^level` on, `2^level` of them.
///
/// Two that lie side by side are joined only if they are the halves of a larger such place. So all outboxes that have
/// both join them in the same way, and share the result, whatever else they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    start: u64,
    level: u32,
}

impl Place {
    pub(super) fn of_number(number: u64) -> Self {
        Self { start: number, level: 0 }
    }

    /// For a second half: the first one, and the whole.
    pub(super) fn halves(self) -> Option<(Self, Self)> {
        (self.start % 2 == 1)
            .then(|| (Self { start: self.start - 1, ..self }, Self { start: self.start / 2, level: self.level + 1 }))
    }
}

impl Batch {
    /// An empty one, without memory.
    pub(crate) fn new(budget: &Arc<Budget>) -> Self {
        Self {
            bytes: Vec::new(),
            first_end: 0,
            other_ends: Vec::new(),
            since: now(),
            key: None,
            reserved: 0,
            budget: Arc::clone(budget),
            place: None,
            joined: OnceLock::new(),
        }
    }

    /// An empty one with memory for `len` bytes, where it is about to be filled; without, if there is not so much.
    pub(super) fn roomy(budget: &Arc<Budget>, len: usize, purpose: Purpose) -> Self {
        let mut batch = Self::new(budget);
        if batch.reserve(HEAD + len, purpose).is_ok() {
            batch.bytes.reserve_exact(len);
        }
        batch
    }

    /// One message by itself.
    pub(crate) fn of(
        message: Pieces<'_>,
        key: Option<&Key>,
        budget: &Arc<Budget>,
        purpose: Purpose,
    ) -> Result<Self, Lacking> {
        let mut batch = Self::new(budget);
        if let Some(key) = key {
            batch.reserve(key.memory(), purpose)?;
            batch.key = Some(key.clone());
        }
        batch.push(message, purpose)?;
        Ok(batch)
    }

    /// The last message of a key, to be [filled again](Self::refill).
    pub(super) fn last_value(message: Pieces<'_>, key: &Key, budget: &Arc<Budget>) -> Self {
        let mut batch = Self::new(budget);
        batch.key = Some(key.clone());
        batch.refill(message);
        batch
    }

    /// A message by itself that may have been written in part. It is taken from the budget in any case, because it
    /// cannot be refused any more.
    pub(crate) fn accepted(message: Pieces<'_>, budget: &Arc<Budget>) -> Self {
        let mut batch = Self::new(budget);
        batch.put(message);
        batch.reserved = batch.memory();
        budget.take_anyway(batch.reserved);
        batch
    }

    /// One message by itself as it is written. It is taken from the budget in any case, because it has been accepted.
    pub(super) fn encoded(encoded: &[u8], key: Option<&Key>, budget: &Arc<Budget>) -> Self {
        let mut batch = Self::new(budget);
        batch.key = key.cloned();
        batch.put_anyway(encoded);
        batch
    }

    /// The goodbye, which takes nothing from the budget.
    pub(super) fn goodbye(goodbye: &[u8], budget: &Arc<Budget>) -> Self {
        let mut batch = Self::new(budget);
        batch.put(Pieces::whole(goodbye));
        batch
    }

    /// The messages of all these, whose place is `place`; as old as the first of them. `None` when the budget is used
    /// up.
    pub(super) fn joining(parts: &[&Self], place: Place) -> Option<Self> {
        let mut joined = Self::copying(parts, Purpose::Queue)?;
        joined.since = parts.first()?.since;
        joined.set_place(place);
        Some(joined)
    }

    /// The messages of all these, as if accepted now; `None` when the budget is used up.
    pub(super) fn copying(parts: &[&Self], purpose: Purpose) -> Option<Self> {
        let mut joined = Self::new(&parts.first()?.budget);
        let (bytes, messages) =
            parts.iter().fold((0, 0), |(bytes, messages), part| (bytes + part.len(), messages + part.messages()));
        if let [alone] = parts {
            joined.key = alone.key.clone();
        }
        let key = joined.key.as_ref().map_or(0, Key::memory);
        joined.reserve(memory(bytes, messages - 1) + key, purpose).ok()?;
        joined.bytes.reserve_exact(bytes);
        joined.other_ends.reserve_exact(messages - 1);
        for part in parts {
            let start = joined.bytes.len();
            joined.bytes.extend_from_slice(&part.bytes);
            (0..part.messages()).for_each(|message| joined.note_end(start + part.start_of(message + 1)));
        }
        Some(joined)
    }

    /// It and what is `behind` it, which together have this `place`: made once for however many outboxes ask, as long
    /// as one of them holds it. `None` when the budget is used up, or nobody holds it any more.
    pub(super) fn joined_with(&self, behind: &[&Self], place: Place) -> Option<Arc<Self>> {
        let mut made = None;
        let joined = self.joined.get_or_init(|| {
            made = Self::joining(&[&[self], behind].concat(), place).map(Arc::new);
            made.as_ref().map(Arc::downgrade).unwrap_or_default()
        });
        made.clone().or_else(|| joined.upgrade())
    }

    /// Whether it has the memory for one more message of this length.
    #[inline]
    pub(super) fn has_room(&self, len: usize) -> bool {
        self.bytes.capacity() - self.bytes.len() >= len
            && (self.first_end == 0 || self.other_ends.len() < self.other_ends.capacity())
    }

    /// Adds a message.
    #[inline]
    pub(crate) fn push(&mut self, message: Pieces<'_>, purpose: Purpose) -> Result<(), Lacking> {
        if !self.has_room(message.len()) {
            self.grow(message.len(), purpose)?;
        }
        self.put(message);
        Ok(())
    }

    /// Puts one message in the place of what it holds, in the memory that it has unless that is far too much. What it
    /// needs besides is taken from the budget in any case.
    pub(crate) fn refill(&mut self, message: Pieces<'_>) {
        if self.bytes.capacity() > 2 * message.len() + OVERHEAD {
            self.bytes = Vec::new();
        }
        self.bytes.clear();
        self.other_ends.clear();
        self.first_end = 0;
        self.since = now();
        self.put(message);
        let memory = self.memory();
        if memory != self.reserved {
            self.budget.take_anyway(memory);
            self.budget.give_back(self.reserved);
            self.reserved = memory;
        }
    }

    /// Takes what new batches need of memory from the budget, for all of them or for none.
    pub(crate) fn reserve_all(batches: &mut [Self], budget: &Budget, purpose: Purpose) -> Result<(), Lacking> {
        let memory = batches.iter().map(Self::memory).sum();
        if !budget.take(memory, purpose) {
            return Err(Lacking(memory));
        }
        batches.iter_mut().for_each(|batch| batch.reserved = batch.memory());
        Ok(())
    }

    /// Adds a message without a look at the budget.
    #[inline]
    pub(super) fn put(&mut self, message: Pieces<'_>) {
        let needed = self.bytes.len() + message.len();
        if needed > self.bytes.capacity() {
            self.bytes.reserve_exact(grown(self.bytes.capacity(), needed) - self.bytes.len());
        }
        message.append_to(&mut self.bytes);
        self.note_end(self.bytes.len());
    }

    /// Adds a message as it is written, and takes what that needs from the budget in any case.
    pub(super) fn put_anyway(&mut self, encoded: &[u8]) {
        self.put(Pieces::whole(encoded));
        let more = self.memory().saturating_sub(self.reserved);
        self.reserved += more;
        self.budget.take_anyway(more);
    }

    #[inline]
    fn note_end(&mut self, end: usize) {
        if self.first_end == 0 {
            self.first_end = end;
        } else {
            self.other_ends.push(end);
        }
    }

    /// Makes room for one more message of this length, and more for what may follow where there is enough.
    #[cold]
    fn grow(&mut self, len: usize, purpose: Purpose) -> Result<(), Lacking> {
        let needed = self.bytes.len() + len;
        let bytes = grown(self.bytes.capacity(), needed);
        let ends = match self.first_end {
            0 => 0,
            _ if self.other_ends.len() < self.other_ends.capacity() => self.other_ends.capacity(),
            _ => FEW_ENDS.max(2 * self.other_ends.capacity()),
        };
        // Where there is no more than what is needed, that is enough.
        let exact = (self.bytes.capacity().max(needed), self.other_ends.capacity().max(self.messages()));
        let key = self.key.as_ref().map_or(0, Key::memory);
        let mut reserve = |(bytes, ends)| {
            self.reserve((memory(bytes, ends) + key).saturating_sub(self.reserved), purpose).map(|()| (bytes, ends))
        };
        let (bytes, ends) = reserve((bytes, ends)).or_else(|_| reserve(exact))?;
        self.bytes.reserve_exact(bytes - self.bytes.len());
        self.other_ends.reserve_exact(ends.saturating_sub(self.other_ends.len()));
        Ok(())
    }

    fn reserve(&mut self, more: usize, purpose: Purpose) -> Result<(), Lacking> {
        if !self.budget.take(more, purpose) {
            return Err(Lacking(more));
        }
        self.reserved += more;
        Ok(())
    }

    /// Gives back most of what it has not used, once nothing more is added to it.
    pub(super) fn trim(&mut self) {
        if self.bytes.capacity() > 2 * self.bytes.len() + STEP {
            self.bytes.shrink_to_fit();
            self.other_ends.shrink_to_fit();
            let memory = self.memory();
            self.budget.give_back(self.reserved.saturating_sub(memory));
            self.reserved = memory.min(self.reserved);
        }
    }

    /// What it takes of memory.
    pub(super) fn memory(&self) -> usize {
        memory(self.bytes.capacity(), self.other_ends.capacity()) + self.key.as_ref().map_or(0, Key::memory)
    }

    /// Several outboxes are about to share it.
    ///
    /// From then on it also pays for the head of what it may be [joined](Self::joined_with) into, which it keeps a weak
    /// hold on after everybody has let that go.
    pub(super) fn set_place(&mut self, place: Place) {
        self.budget.take_anyway(HEAD);
        self.reserved += HEAD;
        self.place = Some(place);
    }

    pub(super) fn place(&self) -> Option<Place> {
        self.place
    }

    /// When its first message was accepted, or is about to be.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    /// The key of a message by itself.
    pub(crate) fn key(&self) -> Option<&Key> {
        self.key.as_ref()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// How many messages it holds.
    pub(crate) fn messages(&self) -> usize {
        usize::from(self.first_end > 0) + self.other_ends.len()
    }

    /// Each message, as it goes over the wire.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.messages()).map(|message| &self.bytes[self.start_of(message)..self.start_of(message + 1)])
    }

    /// What all of it is charged in a queue.
    pub(crate) fn charge(&self) -> usize {
        self.bytes.len() + OVERHEAD * self.messages()
    }

    /// What these messages are charged.
    pub(super) fn charge_of(&self, messages: Range<usize>) -> usize {
        self.start_of(messages.end) - self.start_of(messages.start) + OVERHEAD * messages.len()
    }

    /// Where a message starts; the end of the bytes for the one behind the last.
    pub(super) fn start_of(&self, message: usize) -> usize {
        match message {
            0 => 0,
            1 => self.first_end,
            _ => self.other_ends[message - 2],
        }
    }

    /// How many messages, of those from `done` on, end within the first `len` bytes.
    pub(super) fn done_within(&self, done: usize, len: usize) -> usize {
        if done == 0 && (self.first_end == 0 || self.first_end > len) {
            return 0;
        }
        let done = done.max(1);
        done + self.other_ends[done - 1..].partition_point(|end| *end <= len)
    }

    /// One that has been [emptied](Self::emptied), and is about to be filled again.
    pub(super) fn begun_now(mut self) -> Self {
        self.since = now();
        self
    }

    /// Empties it, to be filled again: with its memory, and what that has taken from the budget.
    pub(super) fn emptied(mut self) -> Self {
        self.empty();
        self
    }

    /// See [`emptied`](Self::emptied).
    pub(super) fn empty(&mut self) {
        self.bytes.clear();
        self.first_end = 0;
        self.other_ends.clear();
        self.key = None;
        if self.place.take().is_some() {
            self.budget.give_back(HEAD);
            self.reserved -= HEAD;
        }
        self.joined = OnceLock::new();
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

/// How many bytes of room a batch gets that has room for `capacity`, and needs it for `needed`: twice as many while
/// there are few, so that each byte is not copied often, and never many that it may not use.
fn grown(capacity: usize, needed: usize) -> usize {
    needed.max((capacity + capacity.min(STEP)).min(BATCH_LEN))
}

/// What a batch with so much room takes of memory.
fn memory(bytes: usize, other_ends: usize) -> usize {
    if bytes == 0 { 0 } else { HEAD + bytes + other_ends * size_of::<usize>() }
}

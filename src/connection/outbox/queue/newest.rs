//! The newest message of each key that waits to be replaced by a newer one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use crate::connection::outbox::batch::Batch;
use crate::connection::outbox::budget::{Budget, Lacking, Purpose};
use crate::settings::Key;

/// What a key takes of memory in the table, which has one bucket in eight free at least.
const BUCKET: usize = size_of::<(Key, Waiting)>() + 1;

/// Each key has a *token* in the queue, where its newest message has its turn. A key may have a second one: while a
/// message is being written, a newer one of its key waits behind; if the first was not even begun, it gets its place
/// back and the newer message with it, so that the second token stands for nothing until the next message comes.
#[derive(Debug, Default)]
pub(super) struct Newest {
    waiting: HashMap<Key, Waiting>,
    live: usize,
    /// What has been taken from the budget for the table, and for the keys in it.
    reserved: usize,
}

#[derive(Debug)]
struct Waiting {
    /// Absent where the tokens stand for nothing.
    message: Option<Numbered>,
    tokens: u8,
    /// The number of the last one's place.
    last: u64,
}

/// Where a message has been put.
#[derive(Debug)]
pub(super) enum Put {
    /// It needs a token.
    New,
    /// In the place of this one.
    Instead(Numbered),
    /// In the place with this number, whose token stood for nothing.
    Empty(u64),
}

/// A message by itself, and the number of the place that it has in the queue.
#[derive(Debug, Clone)]
pub(super) struct Numbered {
    pub(super) batch: Arc<Batch>,
    pub(super) number: u64,
}

impl Newest {
    /// How many messages wait here.
    pub(super) fn live(&self) -> usize {
        self.live
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The message of this key that waits.
    pub(super) fn get(&self, key: &Key) -> Option<&Arc<Batch>> {
        self.waiting.get(key)?.message.as_ref().map(|message| &message.batch)
    }

    pub(super) fn messages(&self) -> impl Iterator<Item = &Batch> {
        self.waiting.values().filter_map(|waiting| waiting.message.as_ref()).map(|message| &*message.batch)
    }

    /// Makes sure that there is room for this key.
    pub(super) fn make_room(&mut self, key: &Key, budget: &Budget, purpose: Purpose) -> Result<(), Lacking> {
        if self.waiting.contains_key(key) {
            return Ok(());
        }
        let more = key.memory() + self.growth();
        if more > 0 && !budget.take(more, purpose) {
            return Err(Lacking(more));
        }
        self.reserved += more;
        self.waiting.reserve(1);
        Ok(())
    }

    /// The same where there is no way back.
    pub(super) fn make_room_anyway(&mut self, key: &Key, budget: &Budget) {
        if !self.waiting.contains_key(key) {
            let more = key.memory() + self.growth();
            budget.take_anyway(more);
            self.reserved += more;
            self.waiting.reserve(1);
        }
    }

    /// What one key more takes of memory for the table.
    fn growth(&self) -> usize {
        if self.waiting.len() < self.waiting.capacity() {
            return 0;
        }
        // It doubles, beginning with four.
        let buckets = |keys: usize| (keys * 8).div_ceil(7).next_power_of_two().max(4);
        let before = if self.waiting.capacity() == 0 { 0 } else { buckets(self.waiting.capacity()) };
        (buckets(self.waiting.capacity() + 1) - before) * BUCKET
    }

    /// A newer message; `number` is that of a new place. There is [room](Self::make_room) for it.
    pub(super) fn put(&mut self, key: &Key, batch: Arc<Batch>, number: u64) -> Put {
        match self.waiting.entry(key.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(Waiting { message: Some(Numbered { batch, number }), tokens: 1, last: number });
                self.live += 1;
                Put::New
            }
            Entry::Occupied(entry) => {
                let Waiting { message, last, .. } = entry.into_mut();
                match message {
                    Some(message) => {
                        let newer = Numbered { batch, number: message.number };
                        Put::Instead(std::mem::replace(message, newer))
                    }
                    None => {
                        *message = Some(Numbered { batch, number: *last });
                        self.live += 1;
                        Put::Empty(*last)
                    }
                }
            }
        }
    }

    /// The turn of a token has come: its message, or `None` when it stands for nothing.
    pub(super) fn take(&mut self, key: &Key, budget: &Budget) -> Option<Numbered> {
        let waiting = self.waiting.get_mut(key)?;
        let message = waiting.message.take();
        waiting.tokens -= 1;
        if waiting.tokens == 0 {
            self.waiting.remove(key);
            self.release(key, budget);
        }
        self.live -= usize::from(message.is_some());
        message
    }

    /// A message that was [taken](Self::take) gets its token back; unless a newer one waits, which gets the place of
    /// it. Then that one, with the number that it had.
    pub(super) fn put_back(&mut self, key: &Key, message: Numbered, budget: &Budget) -> Option<Numbered> {
        self.make_room_anyway(key, budget);
        let waiting =
            self.waiting.entry(key.clone()).or_insert(Waiting { message: None, tokens: 0, last: message.number });
        waiting.tokens += 1;
        match &mut waiting.message {
            Some(newer) => {
                let with_old_number = newer.clone();
                newer.number = message.number;
                Some(with_old_number)
            }
            None => {
                waiting.message = Some(message);
                self.live += 1;
                None
            }
        }
    }

    fn release(&mut self, key: &Key, budget: &Budget) {
        let mut less = key.memory();
        if self.waiting.is_empty() {
            // The table goes as well, which may be much larger than what comes next.
            self.waiting = HashMap::new();
            less = self.reserved;
        }
        budget.give_back(less);
        self.reserved -= less;
    }

    /// Gives back what it has of the budget, at its end.
    pub(super) fn give_back(&mut self, budget: &Budget) {
        if self.reserved > 0 {
            budget.give_back(std::mem::take(&mut self.reserved));
        }
    }
}

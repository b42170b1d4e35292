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
///
/// Nothing but a place for it while nothing of that kind waits.
#[derive(Debug, Default)]
pub(super) struct Newest(Option<Box<Table>>);

#[derive(Debug, Default)]
struct Table {
    waiting: HashMap<Key, Waiting>,
    live: usize,
    /// How many the table has had room for at most. It grows when it is more than half full of those, and cleans up
    /// what has gone otherwise.
    most: usize,
    /// What the keys take of memory that are in the table.
    keys: usize,
    /// What has been taken from the budget for the table, and for the keys in it or about to be.
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
        self.0.as_ref().map_or(0, |table| table.live)
    }

    /// The message of this key that waits.
    pub(super) fn get(&self, key: &Key) -> Option<&Arc<Batch>> {
        self.0.as_ref()?.waiting.get(key)?.message.as_ref().map(|message| &message.batch)
    }

    pub(super) fn messages(&self) -> impl Iterator<Item = &Batch> {
        let waiting = self.0.iter().flat_map(|table| table.waiting.values());
        waiting.filter_map(|waiting| waiting.message.as_ref()).map(|message| &*message.batch)
    }

    /// Makes sure that there is room for this key.
    pub(super) fn make_room(&mut self, key: &Key, budget: &Budget, purpose: Purpose) -> Result<(), Lacking> {
        let table = self.0.get_or_insert_default();
        let more = table.lacking(key);
        if more > 0 && !budget.take(more, purpose) {
            return Err(Lacking(more));
        }
        table.grow(more);
        Ok(())
    }

    /// The same where there is no way back.
    pub(super) fn make_room_anyway(&mut self, key: &Key, budget: &Budget) {
        self.0.get_or_insert_default().make_room_anyway(key, budget);
    }

    /// A newer message; `number` is that of a new place. There is [room](Self::make_room) for it.
    pub(super) fn put(&mut self, key: &Key, batch: Arc<Batch>, number: u64) -> Put {
        self.0.get_or_insert_default().put(key, batch, number)
    }

    /// The turn of a token has come: its message, or `None` when it stands for nothing.
    pub(super) fn take(&mut self, key: &Key, budget: &Budget) -> Option<Numbered> {
        let table = self.0.as_mut()?;
        let message = table.take(key, budget);
        if table.waiting.is_empty() {
            // It may be much larger than what comes next.
            self.give_back(budget);
        }
        message
    }

    /// A message that was [taken](Self::take) gets its token back; unless a newer one waits, which gets the place of
    /// it. Then that one, with the number that it had.
    pub(super) fn put_back(&mut self, key: &Key, message: Numbered, budget: &Budget) -> Option<Numbered> {
        self.0.get_or_insert_default().put_back(key, message, budget)
    }

    /// Gives back what it has of the budget.
    pub(super) fn give_back(&mut self, budget: &Budget) {
        if let Some(table) = self.0.take().filter(|table| table.reserved > 0) {
            budget.give_back(table.reserved);
        }
    }
}

impl Table {
    fn make_room_anyway(&mut self, key: &Key, budget: &Budget) {
        let more = self.lacking(key);
        if more > 0 {
            budget.take_anyway(more);
        }
        self.grow(more);
    }

    fn grow(&mut self, more: usize) {
        self.reserved += more;
        self.waiting.reserve(1);
        self.most = self.most.max(self.waiting.capacity());
    }

    /// What has to be taken from the budget for this key.
    fn lacking(&self, key: &Key) -> usize {
        let key = if self.waiting.contains_key(key) { 0 } else { key.memory() };
        let grows = self.waiting.len() == self.waiting.capacity() && self.waiting.len() >= self.most / 2;
        let most = self.most + usize::from(grows);
        (self.keys + key + buckets(most) * BUCKET).saturating_sub(self.reserved)
    }

    fn put(&mut self, key: &Key, batch: Arc<Batch>, number: u64) -> Put {
        match self.waiting.entry(key.clone()) {
            Entry::Vacant(entry) => {
                self.keys += key.memory();
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

    fn take(&mut self, key: &Key, budget: &Budget) -> Option<Numbered> {
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

    fn put_back(&mut self, key: &Key, message: Numbered, budget: &Budget) -> Option<Numbered> {
        self.make_room_anyway(key, budget);
        let waiting = self.waiting.entry(key.clone()).or_insert_with(|| {
            self.keys += key.memory();
            Waiting { message: None, tokens: 0, last: message.number }
        });
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
        self.keys -= key.memory();
        let needed = self.keys + buckets(self.most) * BUCKET;
        let less = self.reserved.saturating_sub(needed);
        budget.give_back(less);
        self.reserved -= less;
    }
}

/// How many buckets a table has that has room for so many.
fn buckets(most: usize) -> usize {
    if most == 0 { 0 } else { (most * 8).div_ceil(7).next_power_of_two().max(4) }
}

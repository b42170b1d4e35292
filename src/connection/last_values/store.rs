//! The last message of each key, within limits. Pure: no lock, no clock but that of the messages.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use crate::connection::outbox::{Batch, Rules};
use crate::settings::{Key, OVERHEAD, Snapshot};

/// How many entries [`Store::order`] has at most beyond two for each key.
const STALE: usize = 64;

pub(super) struct Store {
    rules: Arc<Rules>,
    limits: Snapshot,
    values: HashMap<Key, Value>,
    /// Which key was set when, in that order. Of a key that has been set again, or is gone, an entry is left behind,
    /// which is known by its number.
    order: VecDeque<(u64, Key)>,
    next_number: u64,
    /// What all of them are charged.
    charged: usize,
}

struct Value {
    /// The message by itself; nobody else's but that of those to whom it has been listed.
    batch: Arc<Batch>,
    number: u64,
}

impl Store {
    pub(super) fn new(limits: Snapshot, rules: Arc<Rules>) -> Self {
        Self { rules, limits, values: HashMap::new(), order: VecDeque::new(), next_number: 0, charged: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn charged(&self) -> usize {
        self.charged
    }

    /// All of them, with the numbers by which they are in the order of being set.
    pub(super) fn values(&self) -> Vec<(u64, Arc<Batch>)> {
        self.values.values().map(|value| (value.number, Arc::clone(&value.batch))).collect()
    }

    /// Whether a message that has been listed is still the last one of its key. The thread that asks holds it, so it
    /// has not been filled again.
    pub(super) fn has(&self, batch: &Arc<Batch>) -> bool {
        let value = batch.key().and_then(|key| self.values.get(key));
        value.is_some_and(|value| Arc::ptr_eq(&value.batch, batch))
    }

    /// Takes the place of the last message of its key. Where there is too much then, what was set first goes.
    pub(super) fn set(&mut self, key: &Key, message: &[u8]) {
        let charge = self.rules.len_of(message) + OVERHEAD + key.memory();
        if charge > self.limits.max_bytes {
            // What there was is the last one no more.
            self.remove(key);
            return;
        }
        let number = self.next_number;
        self.next_number += 1;
        match self.values.get_mut(key) {
            Some(value) => {
                self.charged -= charge_of(&value.batch);
                value.number = number;
                match Arc::get_mut(&mut value.batch) {
                    Some(batch) => batch.refill(self.rules.pieces(message)),
                    None => value.batch = self.rules.last_value(message, key),
                }
            }
            None => {
                let batch = self.rules.last_value(message, key);
                self.values.insert(key.clone(), Value { batch, number });
            }
        }
        self.charged += charge;
        self.order.push_back((number, key.clone()));
        while self.values.len() > self.limits.max_keys || self.charged > self.limits.max_bytes {
            self.pop_first();
        }
        if self.order.len() > 2 * self.values.len() + STALE {
            let Self { values, order, .. } = self;
            order.retain(|(number, key)| values.get(key).is_some_and(|value| value.number == *number));
        }
    }

    /// Removes what is older than it may be.
    pub(super) fn expire(&mut self, now: Instant) {
        let Some(max_age) = self.limits.max_age else { return };
        while let Some((number, key)) = self.order.front() {
            let value = self.values.get(key).filter(|value| value.number == *number);
            if value.is_some_and(|value| now.saturating_duration_since(value.batch.since()) <= max_age) {
                return;
            }
            self.pop_first();
        }
    }

    /// Removes the message of a key; whether there was one.
    pub(super) fn remove(&mut self, key: &Key) -> bool {
        let Some(value) = self.values.remove(key) else { return false };
        self.charged -= charge_of(&value.batch);
        true
    }

    /// Takes the first entry out of the order, and its message if that is still there.
    fn pop_first(&mut self) {
        let Some((number, key)) = self.order.pop_front() else { return };
        if self.values.get(&key).is_some_and(|value| value.number == number) {
            self.remove(&key);
        }
    }
}

/// What a message is charged: as in a queue, and for a long key.
fn charge_of(batch: &Batch) -> usize {
    batch.charge() + batch.key().map_or(0, Key::memory)
}

#[cfg(all(test, not(loom)))]
mod tests;

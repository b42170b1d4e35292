//! Messages in the place of older ones of their keys.

use std::sync::Arc;

use super::newest::{Numbered, Put};
use super::queued::Queued;
use super::{Amount, Entry, Queue};
use crate::connection::outbox::batch::Batch;
use crate::connection::outbox::budget::{Lacking, Purpose};
use crate::settings::{Key, OVERHEAD};

impl Queue {
    /// Puts a message by itself that has a key in the place of the one of its key that waits, or else behind the
    /// others. There is [room](Self::make_newest_room) for it.
    pub(crate) fn push_newest(&mut self, key: &Key, batch: Arc<Batch>) {
        let number = self.next_number();
        let (len, charge) = (batch.len(), batch.charge());
        self.bytes += len;
        self.charged += charge;
        match self.newest.put(key, batch, number) {
            Put::New => {
                self.seal();
                self.make_entries_anyway(1);
                self.sealed.push_back(Entry::Newest(key.clone()));
            }
            Put::Instead(Numbered { batch, number }) => {
                self.gone.shifts.push((number, len as isize - batch.len() as isize));
                let replaced = self.note_gone(&batch);
                self.gone.conflated += replaced;
            }
            Put::Empty(number) => self.gone.shifts.push((number, len as isize)),
        }
    }

    /// The same where it cannot be refused for the memory that its key takes.
    pub(crate) fn push_newest_anyway(&mut self, key: &Key, batch: Arc<Batch>) {
        self.newest.make_room_anyway(key, &self.budget);
        self.push_newest(key, batch);
    }

    /// Makes sure that there is room for one such message.
    pub(crate) fn make_newest_room(&mut self, key: &Key, purpose: Purpose) -> Result<(), Lacking> {
        self.make_entries(2, purpose)?;
        self.newest.make_room(key, &self.budget, purpose)
    }

    /// What the message is charged that one of this key would replace; 0 when there is none.
    pub(crate) fn charge_of_newest(&self, key: &Key) -> usize {
        self.newest.get(key).map_or(0, |batch| batch.charge())
    }

    /// Whether a message waits that a newer one of its key may replace, or might again if it is not written.
    pub(crate) fn may_replace(&self) -> bool {
        self.newest.live() > 0 || self.lent_newest
    }

    /// What waits already is not replaced any more.
    pub(crate) fn end_replacing(&mut self) {
        let (newest, budget) = (&mut self.newest, &self.budget);
        self.sealed.retain_mut(|entry| {
            let Entry::Newest(key) = entry else { return true };
            let message = newest.take(key, budget);
            message.map(|Numbered { batch, .. }| *entry = Entry::Messages(Queued::new(batch))).is_some()
        });
        for entry in &mut self.sealed {
            if let Entry::Messages(queued) = entry {
                queued.end_replacing();
            }
        }
        self.lent_newest = false;
    }

    /// What was lent and has not been begun may be replaced again, if it could be before.
    pub(super) fn put_back(&mut self, at: usize) {
        let Some(Entry::Messages(queued)) = self.sealed.get(at) else { return };
        let Some((message, key)) = queued.replaceable() else { return };
        let (len, number) = (message.batch.len(), message.number);
        self.sealed[at] = Entry::Newest(key.clone());
        let Some(newer) = self.newest.put_back(&key, message, &self.budget) else { return };
        // The newer one leaves its place for this one.
        let newer_len = newer.batch.len();
        self.gone.shifts.extend([(number, newer_len as isize - len as isize), (newer.number, -(newer_len as isize))]);
        self.bytes -= len;
        self.charged -= len + OVERHEAD;
        self.gone.conflated += Amount { messages: 1, bytes: len };
    }

    /// Drops tokens that stand for nothing as far as they come first, so that an empty queue has no entries.
    pub(super) fn drop_empty_tokens(&mut self) {
        if self.lent > 0 {
            return;
        }
        while let Some(Entry::Newest(key)) = self.sealed.front() {
            if self.newest.get(key).is_some() {
                break;
            }
            self.newest.take(key, &self.budget);
            self.sealed.pop_front();
        }
    }

    /// Puts batches in front of all others, of which nothing has been written or is lent; messages that have a key to
    /// be replaced, where that is the rule. Of those a newer one may wait already.
    pub(crate) fn prepend(&mut self, batches: Vec<Arc<Batch>>, may_replace: bool) {
        self.make_entries_anyway(batches.len());
        for batch in batches.into_iter().rev() {
            let key = batch.key().filter(|_| may_replace).cloned();
            if key.as_ref().is_some_and(|key| self.newest.get(key).is_some()) {
                self.gone.conflated += Amount { messages: 1, bytes: batch.len() };
                continue;
            }
            self.bytes += batch.len();
            self.charged += batch.charge();
            let Some(key) = key else {
                self.sealed.push_front(Entry::Messages(Queued::new(batch)));
                continue;
            };
            self.newest.make_room_anyway(&key, &self.budget);
            // Before all places.
            self.newest.put(&key, batch, 0);
            self.sealed.push_front(Entry::Newest(key));
        }
    }
}

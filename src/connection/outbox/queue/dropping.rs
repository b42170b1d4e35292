//! What leaves a queue unwritten: to make room, for its memory, or because it is too old.

use std::sync::Arc;

use super::newest::Numbered;
use super::{Amount, Entry, Expiry, Queue};
use crate::connection::outbox::batch::Batch;
use crate::settings::OVERHEAD;

impl Queue {
    /// Drops whole messages, the oldest first, until `charge` more fits into `limit`, or there are no more. Those that
    /// are being written, or have been in part, stay.
    pub(crate) fn drop_oldest(&mut self, charge: usize, limit: usize) -> Amount {
        let mut dropped = Amount::default();
        let mut at = self.lent;
        while self.charged + charge > limit {
            if at == self.sealed.len() {
                self.seal();
            }
            let queued = match self.sealed.get_mut(at) {
                None => break,
                Some(Entry::Newest(key)) => {
                    if let Some(Numbered { batch, .. }) = self.newest.take(key, &self.budget) {
                        dropped += self.note_gone(&batch);
                    }
                    self.sealed.remove(at);
                    continue;
                }
                Some(Entry::Messages(queued)) => queued,
            };
            if let Some(begun) = queued.split_begun() {
                if queued.len() == 0 {
                    *queued = begun;
                } else {
                    self.make_entries_anyway(1);
                    self.sealed.insert(at, Entry::Messages(begun));
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
        self.drop_empty_tokens();
        dropped
    }

    /// Drops batches that no other queue has, the oldest first, until so much memory has come back, or there are no
    /// more. Those that are being written, or have been in part, stay.
    pub(crate) fn drop_for_memory(&mut self, memory: usize) -> Amount {
        self.seal();
        let mut dropped = Amount::default();
        let (mut at, mut freed) = (self.lent, 0);
        while freed < memory {
            let queued = match self.sealed.get(at) {
                None => break,
                Some(Entry::Newest(key)) if self.newest.get(key).is_some_and(|batch| Arc::strong_count(batch) > 1) => {
                    at += 1;
                    continue;
                }
                Some(Entry::Newest(key)) => {
                    if let Some(Numbered { batch, .. }) = self.newest.take(key, &self.budget) {
                        freed += batch.memory();
                        dropped += self.note_gone(&batch);
                    }
                    self.sealed.remove(at);
                    continue;
                }
                Some(Entry::Messages(queued)) => queued,
            };
            let is_begun = queued.begun() > 0;
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
        self.drop_empty_tokens();
        dropped
    }

    /// Drops what is too old, as far as it comes first behind what has been begun, to make room.
    pub(crate) fn drop_expired(&mut self, expiry: Expiry) {
        let begun = match self.sealed.get(self.lent) {
            Some(Entry::Messages(queued)) => queued.begun() > 0,
            _ => false,
        };
        let at = self.lent + usize::from(begun);
        loop {
            if at == self.sealed.len() {
                self.seal();
            }
            let expired = match self.sealed.get(at) {
                Some(Entry::Messages(queued)) => queued.expired(expiry),
                Some(Entry::Newest(key)) => match self.newest.get(key) {
                    Some(batch) => expiry.of(batch),
                    None => Some(Amount::default()),
                },
                None => None,
            };
            let Some(Amount { messages, bytes }) = expired else { return };
            if let Some(Entry::Newest(key)) = self.sealed.remove(at) {
                self.newest.take(&key, &self.budget);
            }
            self.bytes -= bytes;
            self.charged -= bytes + OVERHEAD * messages;
            self.gone.expired += Amount { messages, bytes };
        }
    }

    /// What waits already never expires.
    pub(crate) fn keep_for_ever(&mut self) {
        self.seal();
        for entry in &mut self.sealed {
            if let Entry::Messages(queued) = entry {
                queued.ageless = true;
            }
        }
    }

    /// A message by itself leaves the queue.
    pub(super) fn note_gone(&mut self, batch: &Batch) -> Amount {
        self.bytes -= batch.len();
        self.charged -= batch.charge();
        Amount { messages: 1, bytes: batch.len() }
    }
}

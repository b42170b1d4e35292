//! Messages that go their own way, apart from the batches: those that a newer one may replace, that expire, or that
//! have to wait for their interval.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::batch::Batch;
use super::queue::{Amount, Gone, Loan};
use super::{Expiry, Locked, Outbox, Outgoing, Refused, Stage, State, Step, Writer};
use crate::settings::{Delivery, Key};
use crate::stats::Volume;
use crate::sync::{Ordering, now};

impl Outbox {
    /// How it is served from now on; how much might be unsent before. Senders that wait for room look again, whether
    /// they still have to.
    pub(crate) fn set_delivery(&self, delivery: Delivery) -> (Option<usize>, Step) {
        let mut state = self.lock();
        if state.stream.is_none() {
            // Retired. The last handle may be let go under some lock, and a filter is the program's code.
            drop(state);
            return (delivery.unsent_limit(), Step::Nothing);
        }
        self.filters.store(delivery.filter.is_some(), Ordering::Relaxed);
        let lets_expire = state.delivery.lifespan.is_none() && delivery.lifespan.is_some();
        if lets_expire {
            state.release_all();
        }
        if !delivery.conflate || lets_expire {
            state.queue.end_replacing();
        }
        if lets_expire {
            state.queue.keep_for_ever();
        }
        let is_paced_otherwise = state.delivery.min_interval != delivery.min_interval;
        state.goes_apart = delivery.goes_apart();
        // Its filter is the program's, and is dropped without the lock.
        let before = std::mem::replace(&mut state.delivery, self.rules.shared(delivery));
        if is_paced_otherwise {
            state.release_all();
        }
        self.room.notify_all();
        let step = match state.stage {
            Stage::Open if !state.queue.is_empty() => self.write_or_leave(state),
            _ => {
                drop(state);
                Step::Nothing
            }
        };
        (before.unsent_limit(), step)
    }

    /// Whether messages have to be pushed one by one.
    pub(crate) fn keeps_apart(&self) -> bool {
        self.state.lock().keeps_apart()
    }

    /// Pushes what is a message by itself and goes its own way; goes on with the state otherwise. What is long has been
    /// copied, where it cannot be written from where it lies.
    #[cold]
    pub(super) fn push_apart<'a>(
        &'a self,
        mut state: Locked<'a>,
        outgoing: Outgoing<'_>,
    ) -> Result<ControlFlow<Step, Locked<'a>>, Refused> {
        let Some(key) = outgoing.key_of_one() else { return Ok(ControlFlow::Continue(state)) };
        let (purpose, now) = (state.purpose(), now());
        let copy = |key| match outgoing {
            Outgoing::Batches(batches) => Ok(Arc::clone(&batches[0])),
            Outgoing::Message { message, .. } => self.rules.batch_of(message, key, purpose),
        };
        if let Some(key) = key.filter(|key| state.intervals.holds(key, now)) {
            let batch = copy(Some(key))?;
            state.tally.accepted += Volume::new(1, batch.len());
            state.park(key, batch);
            let due = state.intervals.watch();
            let step = due.map_or(Step::Nothing, |due| Step::Interval(due.saturating_duration_since(now)));
            return Ok(ControlFlow::Break(step));
        }
        let batch = if state.waits_apart() { Some(copy(key)?) } else { None };
        match key.filter(|_| state.delivery.conflate) {
            _ if batch.is_none() => {}
            Some(key) => state.queue.make_newest_room(key, purpose)?,
            None => state.queue.make_entries(2, purpose)?,
        }
        if let (Some(interval), Some(key)) = (state.delivery.min_interval, key) {
            state.intervals.begin(key, now, interval, &self.rules.budget, purpose)?;
        }
        let Some(batch) = batch else { return Ok(ControlFlow::Continue(state)) };
        state.tally.accepted += Volume::new(1, batch.len());
        state.place(batch);
        Ok(ControlFlow::Break(self.write_or_leave(state)))
    }

    /// Sends what is parked and due; how long until the next one is.
    pub(crate) fn send_due(&self) -> (Option<Duration>, Step) {
        let mut state = self.lock();
        let now = now();
        let Some(interval) = state.delivery.min_interval.filter(|_| state.stage == Stage::Open) else {
            state.intervals.looked();
            return (None, Step::Nothing);
        };
        while let Some(batch) = state.intervals.release(now, interval) {
            state.place(batch);
        }
        let next = state.intervals.looked().map(|due| due.saturating_duration_since(now));
        let step = if state.queue.is_empty() { Step::Nothing } else { self.write_or_leave(state) };
        (next, step)
    }

    /// Since when the message waits that has waited longest.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        let state = self.lock();
        [state.queue.oldest(), state.intervals.oldest()].into_iter().flatten().min()
    }
}

impl State {
    /// Whether messages have to be pushed one by one.
    #[inline]
    pub(super) fn keeps_apart(&self) -> bool {
        self.goes_apart && (self.delivery.min_interval.is_some() || self.waits_apart())
    }

    /// Whether what waits is queued by itself. While one waits that may be replaced, also what would be written at
    /// once: it must not be overtaken by what takes the place of that one.
    pub(super) fn waits_apart(&self) -> bool {
        (self.delivery.conflate || self.delivery.lifespan.is_some())
            && (self.is_behind() || self.joining || self.queue.may_replace())
    }

    /// Whether a message is written from where it lies, if at once.
    pub(super) fn takes_direct(&self, key: Option<&Key>) -> bool {
        let is_apart = || self.waits_apart() || key.is_some_and(|key| self.intervals.holds(key, now()));
        self.writer == Writer::Nobody && self.writes_directly && !(self.keeps_apart() && is_apart())
    }

    /// What a message is charged that `outgoing` would replace.
    pub(super) fn charge_of_replaced(&self, outgoing: Outgoing<'_>) -> usize {
        if !self.keeps_apart() {
            return 0;
        }
        match outgoing.key_of_one() {
            Some(Some(key)) if self.delivery.min_interval.is_some() && self.intervals.holds(key, now()) => {
                self.intervals.charge_of(key)
            }
            Some(Some(key)) if self.delivery.conflate => self.queue.charge_of_newest(key),
            _ => 0,
        }
    }

    /// Before messages are queued whose keys nobody has looked at: nothing in front of them is replaced any more, and
    /// what waits for its interval goes first.
    pub(super) fn end_apart(&mut self) {
        if !self.intervals.is_empty() {
            self.release_all();
        }
        if self.queue.may_replace() {
            self.queue.end_replacing();
        }
    }

    pub(super) fn park(&mut self, key: &Key, batch: Arc<Batch>) {
        self.note_peak();
        if let Some(Amount { messages, bytes }) = self.intervals.park(key, batch) {
            self.tally.conflated += Volume::new(messages, bytes);
        }
    }

    /// Something newer of this key goes at once: what is parked of it is replaced.
    pub(super) fn unpark(&mut self, key: &Key) {
        self.note_peak();
        if let Some(replaced) = self.intervals.unpark(key) {
            self.tally.conflated += Volume::from(replaced);
        }
    }

    /// Queues messages that somebody has waited for, as the delivery says, but for its minimum interval.
    pub(super) fn push_or_place(&mut self, batch: Arc<Batch>) {
        if batch.messages() > 1 || !self.waits_apart() {
            return self.push(batch);
        }
        self.tally.accepted += Volume::new(1, batch.len());
        self.place(batch);
    }

    /// Puts a message by itself into the queue, to be replaced by a newer one of its key where that is the rule.
    pub(super) fn place(&mut self, batch: Arc<Batch>) {
        self.note_peak();
        self.note_work();
        self.account.accept(batch.len());
        self.rush.note_queued(1);
        match batch.key().filter(|_| self.delivery.conflate && self.waits_apart()).cloned() {
            Some(key) => self.queue.push_newest_anyway(&key, batch),
            None => self.queue.push_alone(batch),
        }
        self.account_gone();
    }

    /// Puts all that is parked into the queue.
    pub(super) fn release_all(&mut self) {
        for batch in self.intervals.clear() {
            self.place(batch);
        }
    }

    /// See [`Queue::lend`](super::queue::Queue::lend).
    pub(super) fn lend(&mut self, most: usize, bytes: usize) -> Loan {
        let expiry = self.delivery.lifespan.map(|lifespan| {
            self.note_peak();
            Expiry { now: now(), lifespan }
        });
        let loan = self.queue.lend(most, bytes, expiry);
        self.account_gone();
        loan
    }

    /// Drops what is too old, as far as it comes first, to make room.
    pub(super) fn drop_expired(&mut self) {
        if let Some(lifespan) = self.delivery.lifespan {
            self.note_peak();
            self.queue.drop_expired(Expiry { now: now(), lifespan });
            self.account_gone();
        }
    }

    /// Takes over from the queue what has gone; how many messages have been replaced.
    pub(super) fn account_gone(&mut self) -> usize {
        let Some(Gone { conflated, expired, shifts }) = self.queue.take_gone() else { return 0 };
        self.account.drop(conflated.bytes + expired.bytes);
        shifts.into_iter().for_each(|(number, by)| self.account.shift(number, by));
        self.tally.conflated += Volume::new(conflated.messages, conflated.bytes);
        self.tally.expired += Volume::new(expired.messages, expired.bytes);
        conflated.messages
    }
}

impl Outgoing<'_> {
    /// The key of a message by itself, which may have none.
    pub(super) fn key_of_one(&self) -> Option<Option<&Key>> {
        match self {
            Self::Message { key, .. } => Some(*key),
            Self::Batches([batch]) if batch.messages() == 1 => Some(batch.key()),
            Self::Batches(_) => None,
        }
    }
}

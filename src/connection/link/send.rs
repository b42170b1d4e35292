//! What is sent to one peer, and what becomes of it when there is no room.

use std::sync::Arc;
use std::time::Instant;

use log::Level;

use super::Link;
use crate::connection::engine::Engine;
use crate::connection::outbox::{
    Batch, Broadcast, Flushed, Locked, Outgoing, Parts, Patience, Progress, Purpose, Refused, Step,
};
use crate::error::{DisconnectCause, Error, OutboundLimit};
use crate::settings::Delivery;
use crate::stats::Volume;
use crate::sync::later;
use crate::sync::user_code::{log_enabled, trace};

/// How often a write is tried within the stall time-out.
pub(super) const TRIES: u32 = 4;

impl Link {
    /// Sends what has been checked, behind what has been gathered.
    #[inline]
    pub(crate) fn send(&self, outgoing: Outgoing<'_>, patience: &mut Patience) -> Result<(), Error> {
        self.engine.broadcast_batch.settle();
        self.push(outgoing, patience)
    }

    /// Puts what has been checked into the outbox, and sees to what follows.
    #[inline]
    pub(crate) fn push(&self, outgoing: Outgoing<'_>, patience: &mut Patience) -> Result<(), Error> {
        // Of the many messages of a tight loop nearly all go by the lane.
        match self.outbox.push_by_lane(outgoing) {
            Ok(()) => {
                self.note_accepted(outgoing, Step::Nothing);
                Ok(())
            }
            Err(state) => self.push_locked(state, outgoing, patience),
        }
    }

    #[inline(never)]
    fn push_locked<'a>(
        &'a self,
        mut state: Locked<'a>,
        outgoing: Outgoing<'_>,
        patience: &mut Patience,
    ) -> Result<(), Error> {
        loop {
            match self.outbox.push(state, outgoing, patience) {
                Ok(step) => {
                    self.note_accepted(outgoing, step);
                    return Ok(());
                }
                Err(refused) => self.try_again(refused, outgoing, patience)?,
            }
            state = self.outbox.lock();
        }
    }

    #[inline]
    fn note_accepted(&self, outgoing: Outgoing<'_>, step: Step) {
        if log_enabled!(Level::Trace) {
            self.trace_accepted(outgoing);
        }
        self.follow(step);
    }

    /// Makes room where that is the rule; an error when it is not worth trying again.
    #[cold]
    pub(super) fn try_again(
        &self,
        refused: Refused,
        outgoing: Outgoing<'_>,
        patience: &mut Patience,
    ) -> Result<(), Error> {
        match refused {
            Refused::WriteFirst => {
                self.write_ready();
                Ok(())
            }
            Refused::SettleFirst => {
                self.engine.broadcast_batch.end();
                Ok(())
            }
            Refused::Closed => Err(Error::Disconnected),
            Refused::Full => Err(self.give_up_slow()),
            Refused::Dropped => {
                Err(Error::Dropped { limit: OutboundLimit::QueuedBytes(self.outbox.delivery().max_queued_bytes) })
            }
            Refused::OverBudget(lacking) => {
                let policy = self.outbox.slow_consumer();
                // What is left for writing at once is not for what is queued.
                let writes_at_once = patience.waits() && policy.drops() && !self.outbox.is_behind();
                if self.engine.find_budget(lacking, policy, patience)
                    || writes_at_once && self.engine.find_budget_to_write(lacking)
                {
                    return Ok(());
                }
                self.outbox.drop_outgoing(outgoing);
                Err(Error::Dropped { limit: OutboundLimit::TotalQueuedBytes(self.engine.rules.budget.limit()) })
            }
        }
    }

    /// Encodes messages, all of them before the first is sent, and sends them in parts that fit into half the queue.
    pub(crate) fn push_all<M: AsRef<[u8]>>(&self, messages: impl IntoIterator<Item = M>) -> Result<usize, Error> {
        let Engine { settings, rules, .. } = &*self.engine;
        let mut parts = Parts::new(rules, self.outbox.delivery().queue_limit());
        let mut keys = self.outbox.keeps_apart().then(Vec::new);
        for message in messages {
            parts.add(&settings.body_of(message.as_ref())?);
            if let Some(keys) = &mut keys {
                keys.push(self.engine.key_of(message.as_ref())?);
            }
        }
        let mut patience = Patience::default();
        let mut accepted = 0;
        if let Some(keys) = keys {
            let parts = parts.finish();
            for (message, key) in parts.iter().flatten().flat_map(Batch::iter).zip(keys) {
                let outgoing = Outgoing::Message { message: rules.framing.body_in(message), key: key.as_ref() };
                accepted += accepted_of(1, self.send(outgoing, &mut patience))?;
            }
            return Ok(accepted);
        }
        for mut part in parts.finish() {
            let in_budget = self.find_budget_for(&mut part, &mut patience);
            let part: Vec<_> = part.into_iter().map(Arc::new).collect();
            let outgoing = Outgoing::Batches(&part);
            accepted += match in_budget {
                true => accepted_of(outgoing.messages(), self.send(outgoing, &mut patience))?,
                false if self.outbox.is_behind() => {
                    self.outbox.drop_outgoing(outgoing);
                    0
                }
                // Nothing waits for the peer, so each message is written from where it lies.
                false => {
                    let mut accepted = 0;
                    for message in part.iter().flat_map(|batch| batch.iter()) {
                        let message = rules.framing.body_in(message);
                        accepted += accepted_of(1, self.send(Outgoing::event(message), &mut patience))?;
                    }
                    accepted
                }
            };
        }
        Ok(accepted)
    }

    /// Takes what a part needs of memory from the budget: of what is left for writing at once if that is what becomes
    /// of it; what others can be made to give, as the rule for full queues says. False when there is not so much, or it
    /// would have to be waited for although the messages can be written one by one.
    fn find_budget_for(&self, part: &mut [Batch], patience: &mut Patience) -> bool {
        let budget = &self.engine.rules.budget;
        loop {
            let Err(lacking) = Batch::reserve_all(part, budget, Purpose::Queue) else { return true };
            if !self.outbox.is_behind() {
                if Batch::reserve_all(part, budget, Purpose::Write).is_ok() {
                    return true;
                }
                if self.outbox.slow_consumer().waits() && self.outbox.writes_directly() {
                    return false;
                }
            }
            if !self.engine.find_budget(lacking, self.outbox.slow_consumer(), patience) {
                return false;
            }
        }
    }

    /// Whether the peer wants a message that is broadcast. Asks the program; its panic ends the connection.
    pub(crate) fn wants(&self, broadcast: Broadcast<'_>) -> bool {
        let Some(filter) = self.outbox.filter() else { return true };
        match filter.call(broadcast.key, broadcast.message) {
            Ok(true) => return true,
            Ok(false) => {
                let len = self.engine.rules.len_of(broadcast.body);
                self.outbox.note_filtered(Volume::new(1, len));
            }
            Err(message) => drop(self.close(DisconnectCause::CallbackPanicked { callback: "filter", message })),
        }
        false
    }

    /// How this peer is served from now on.
    pub(crate) fn set_delivery(&self, delivery: Delivery) {
        self.engine.note_delivery(&delivery);
        let (limit, step) = self.outbox.set_delivery(delivery);
        // What is broadcast from now on is not gathered as it was.
        self.engine.broadcast_batch.end();
        self.limit_unsent(limit);
        self.follow(step);
    }

    /// Ends the connection because its queue has been full for too long.
    pub(crate) fn give_up_slow(&self) -> Error {
        let limit = OutboundLimit::QueuedBytes(self.outbox.delivery().max_queued_bytes);
        self.abort_slow(limit);
        Error::SlowConsumer { limit }
    }

    /// Ends the connection because of what waits for it.
    pub(crate) fn abort_slow(&self, limit: OutboundLimit) {
        self.abort(DisconnectCause::SlowConsumer { limit });
    }

    /// Writes what has been queued, if nobody does.
    pub(crate) fn write_ready(&self) {
        let step = self.outbox.write_ready();
        self.follow(step);
    }

    /// Waits until what had been accepted before is written.
    pub(crate) fn flush(&self, deadline: Instant) -> Flushed {
        self.engine.broadcast_batch.settle();
        self.write_ready();
        self.outbox.wait_flushed(deadline)
    }

    /// For an open connection that is stuck: tries a write several times within the stall time-out, and ends the
    /// connection when the peer has taken nothing for all of it; tells when to look again.
    ///
    /// The pump waits until the system calls a socket ready, which Linux does when a third of up to 4 MiB is free. A
    /// peer that reads a few KiB a second makes a write succeed all the time, and the socket ready once in minutes.
    pub(super) fn check_stall(&self, now: Instant) -> Option<Instant> {
        let stall = self.stall_timeout();
        let pause = stall / TRIES;
        if self.is_pumped() {
            let (is_done, step) = self.outbox.try_stuck();
            if is_done {
                self.engine.pump.let_go(self.id.0);
            }
            self.follow(step);
        }
        let Progress { since, looks } = self.outbox.look_whether_stuck()?;
        let left = stall.saturating_sub(since.elapsed());
        // It is looked in live time, so that a standstill, in which the peer may have had its own, counts for one
        // pause.
        if !left.is_zero() || looks < TRIES {
            return Some(later(now, left.clamp(pause / 4, pause)));
        }
        self.abort_slow(OutboundLimit::Stalled(stall));
        None
    }

    #[cold]
    pub(super) fn trace_accepted(&self, outgoing: Outgoing<'_>) {
        let (messages, bytes) = (outgoing.messages(), outgoing.len(&self.engine.rules));
        if messages == 1 {
            trace!("connection {} {}: {bytes} bytes accepted", self.id, self.peer);
        } else {
            trace!("connection {} {}: {bytes} bytes in {messages} messages accepted", self.id, self.peer);
        }
    }
}

/// How many of so many messages were accepted, where dropping them is no error.
fn accepted_of(messages: usize, sent: Result<(), Error>) -> Result<usize, Error> {
    match sent {
        Ok(()) => Ok(messages),
        Err(Error::Dropped { .. }) => Ok(0),
        Err(error) => Err(error),
    }
}

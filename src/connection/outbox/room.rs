//! Room in an outbox: who gets it, who waits for it, and who goes without.

use std::time::Duration;

use super::queue::{Amount, Queue};
use super::{Locked, Outbox, Outgoing, Patience, Refused, Rules, Stage, State, Writer};
use crate::settings::SlowConsumer;

/// How long a sender that finds the queue full waits for the outcome of a write that is under way. Such a write never
/// blocks, but its thread may have lost the processor, which is not the peer's fault.
pub(super) const OUTCOME_PATIENCE: Duration = Duration::from_millis(100);

impl Outbox {
    /// Whether a sender of so much would have to wait.
    pub(crate) fn would_block(&self, outgoing: Outgoing<'_>) -> bool {
        let state = self.lock();
        state.stage == Stage::Open && state.delivery.slow_consumer.waits() && !state.has_room_for(outgoing, &self.rules)
    }

    /// Waits for the outcome of a write that a sender has under way; false when there is none, or it takes too long.
    #[cold]
    pub(super) fn await_outcome(&self) -> bool {
        let mut state = self.state.lock();
        let mut patience = Patience::default();
        while state.writer == Writer::Caller && state.in_flight {
            if !self.wait_for_outcome(&mut state, &mut patience) {
                return false;
            }
        }
        state.stage == Stage::Open && state.writer == Writer::Nobody
    }

    /// Waits for something to come of a write under way; false when patience is over.
    fn wait_for_outcome(&self, state: &mut Locked<'_>, patience: &mut Patience) -> bool {
        state.awaiting_outcome += 1;
        let timed_out = state.wait_until(&self.room, patience.until(OUTCOME_PATIENCE));
        state.awaiting_outcome -= 1;
        !timed_out || !patience.is_over(OUTCOME_PATIENCE)
    }

    /// Promises so much room to a batch that is being gathered; false when there is not so much, or this peer gets each
    /// message by itself.
    pub(super) fn promise(&self, charge: usize) -> bool {
        let mut state = self.lock();
        let takes_batches = !state.keeps_apart() && state.delivery.filter.is_none();
        let has_room = state.stage == Stage::Open
            && takes_batches
            && state.charged() + state.intake_room + charge <= state.delivery.queue_limit();
        if has_room {
            state.promised = charge;
        }
        has_room
    }

    /// Takes a [promise](Self::promise) back.
    pub(super) fn release(&self) {
        self.state.lock().promised = 0;
    }

    /// The state of an open outbox that has room.
    #[inline]
    pub(super) fn with_room_for<'a>(
        &'a self,
        state: Locked<'a>,
        outgoing: Outgoing<'_>,
        patience: &mut Patience,
    ) -> Result<Locked<'a>, Refused> {
        if state.stage == Stage::Open && state.has_room_for(outgoing, &self.rules) {
            return Ok(state);
        }
        self.find_room(state, outgoing, patience)
    }

    /// Room in an outbox that has none, made or waited for as the rule for full queues says.
    #[cold]
    fn find_room<'a>(
        &'a self,
        mut state: Locked<'a>,
        outgoing: Outgoing<'_>,
        patience: &mut Patience,
    ) -> Result<Locked<'a>, Refused> {
        state.drop_expired();
        let mut outcome = Patience::default();
        let mut out_of_patience = false;
        loop {
            if state.stage != Stage::Open {
                return Err(Refused::Closed);
            }
            if state.has_room_for(outgoing, &self.rules) {
                return Ok(state);
            }
            if state.intake_room > 0 {
                self.end_intake(&mut state);
                continue;
            }
            if state.promised > 0 {
                return Err(Refused::SettleFirst);
            }
            if state.writer == Writer::Nobody && !state.queue.is_empty() {
                return Err(Refused::WriteFirst);
            }
            let is_due = state.is_left_to_thread();
            if is_due {
                self.changed.notify_all();
            }
            let outcome_follows = match is_due {
                true => state.delivery.slow_consumer == SlowConsumer::Disconnect,
                false => state.in_flight && !state.background.has_thread,
            };
            if outcome_follows && patience.waits() && self.wait_for_outcome(&mut state, &mut outcome) {
                continue;
            }
            match state.delivery.slow_consumer {
                // Nobody can tell whether the peer is slow, before the outcome of the write that is under way.
                SlowConsumer::Disconnect if outcome_follows && !patience.waits() => {
                    return Err(state.refuse(outgoing, &self.rules));
                }
                SlowConsumer::Block(_) if !patience.waits() => return Err(state.refuse(outgoing, &self.rules)),
                SlowConsumer::Disconnect => return Err(Refused::Full),
                SlowConsumer::Block(time) if time.is_zero() || out_of_patience => return Err(Refused::Full),
                SlowConsumer::Block(time) => {
                    let timed_out = state.wait_until(&self.room, patience.until(time));
                    out_of_patience = timed_out && patience.is_over(time);
                }
                SlowConsumer::DropNewest => return Err(state.refuse(outgoing, &self.rules)),
                SlowConsumer::DropOldest => {
                    let limit = state.delivery.queue_limit();
                    let charge = state.charge_of(outgoing, &self.rules);
                    let needed = charge + state.charged() - state.queue.charged();
                    state.note_peak();
                    let dropped = state.queue.drop_oldest(needed, limit);
                    self.account_dropped(&mut state, dropped);
                    if dropped.messages == 0 {
                        return Err(state.refuse(outgoing, &self.rules));
                    }
                }
            }
        }
    }

    /// Drops the oldest of what waits here and nowhere else, in favour of another peer, until so much memory has come
    /// back; false when there is nothing to drop, or this peer loses none.
    pub(crate) fn drop_for_another(&self, memory: usize) -> bool {
        self.drop_if_it_may(|queue| queue.drop_for_memory(memory))
    }

    /// The same for all that waits here, elsewhere or not.
    pub(crate) fn drop_shared_for_another(&self) {
        self.drop_if_it_may(|queue| queue.drop_oldest(0, 0));
    }

    fn drop_if_it_may(&self, drop: impl FnOnce(&mut Queue) -> Amount) -> bool {
        let mut state = self.state.lock();
        if state.stage != Stage::Open || !state.delivery.slow_consumer.drops() {
            return false;
        }
        state.note_peak();
        let dropped = drop(&mut state.queue);
        self.account_dropped(&mut state, dropped);
        dropped.messages > 0
    }

    fn account_dropped(&self, state: &mut State, dropped: Amount) {
        state.account.drop(dropped.bytes);
        state.count_dropped(dropped);
        self.changed.notify_all();
    }

    /// Counts what has been rejected for want of room elsewhere; not by an outbox that would take nothing in any case.
    pub(crate) fn drop_outgoing(&self, outgoing: Outgoing<'_>) {
        let mut state = self.state.lock();
        if state.stage == Stage::Open {
            state.reject(outgoing, &self.rules);
        }
    }
}

impl State {
    /// Whether something waits for a thread of the connection's own that does not write: it has just been started or
    /// woken, or has to be told yet of what was queued.
    fn is_left_to_thread(&self) -> bool {
        !self.writes_directly && !self.in_flight && self.has_work()
    }

    pub(super) fn has_room_for(&self, outgoing: Outgoing<'_>, rules: &Rules) -> bool {
        let left = self.delivery.queue_limit().saturating_sub(self.charged() + self.promised + self.intake_room);
        outgoing.charge(rules) <= left || self.goes_apart && self.charge_of(outgoing, rules) <= left
    }

    /// Does not accept it, for want of room, and counts that.
    fn refuse(&mut self, outgoing: Outgoing<'_>, rules: &Rules) -> Refused {
        self.reject(outgoing, rules);
        Refused::Dropped
    }

    /// What it is charged beyond what it would replace.
    fn charge_of(&self, outgoing: Outgoing<'_>, rules: &Rules) -> usize {
        outgoing.charge(rules).saturating_sub(self.charge_of_replaced(outgoing))
    }
}

//! What a newcomer is given before anything else.
//!
//! It is chosen without a lock, when others may send to the newcomer already. Meanwhile its outbox is *joining*: the
//! role of writing is taken, as if a write were under way, so that whatever is sent waits behind what is about to come.

use std::sync::Arc;

use super::attempt::Mode;
use super::batch::{BATCH_LEN, Batch};
use super::budget::Purpose;
use super::writing::WRITES_PER_SENDER;
use super::{Outbox, Outgoing, Patience, Refused, Stage, Step, Writer};
use crate::settings::Delivery;
use crate::stats::Volume;

/// How many batches go into the first write to a newcomer, and how many bytes: more than into others, so that it is
/// woken once for all of them.
const FIRST_BATCHES: usize = 1024;
const FIRST_BYTES: usize = 1024 * 1024;

impl Outbox {
    /// Keeps a new outbox from writing, and room for messages that will be charged so much at most, until
    /// [`end_joining`](Self::end_joining).
    pub(crate) fn begin_joining(&self, charge: usize) {
        let mut state = self.state.lock();
        state.writer = Writer::Caller;
        state.in_flight = true;
        state.joining = true;
        state.direct_charge = charge;
        // Now, because a flush that begins meanwhile goes by the order in which bytes are accepted.
        state.account.accept(charge);
    }

    /// Puts these in front of what has been sent meanwhile, and has all of it written. If the outbox has been given up,
    /// they are lost.
    pub(crate) fn end_joining(&self, values: Vec<Arc<Batch>>) -> Step {
        let accepted = Outgoing::Batches(&values);
        let (messages, bytes) = (accepted.messages(), accepted.len(&self.rules));
        let mut state = self.state.lock();
        let conflates = state.delivery.conflate;
        state.joining = false;
        state.in_flight = false;
        let charge = std::mem::take(&mut state.direct_charge);
        state.account.drop(charge);
        state.account.accept(bytes);
        state.tally.accepted += Volume::new(messages, bytes);
        state.queue.prepend(values, conflates);
        state.account_gone();
        self.give_up_queue(&mut state);
        self.room.notify_all();
        self.changed.notify_all();
        if state.has_work() {
            if let Err(error) = self.write_at_most(&mut state, Mode::Direct, FIRST_BATCHES, FIRST_BYTES) {
                return self.stop(state, error);
            }
        }
        self.go_on(state, WRITES_PER_SENDER)
    }

    /// Waits for room, or makes it, as the rule for full queues says. Somebody else may take it.
    pub(crate) fn find_room_for(&self, outgoing: Outgoing<'_>, patience: &mut Patience) -> Result<(), Refused> {
        self.with_room_for(self.lock(), outgoing, patience).map(drop)
    }

    /// Leaves batches in the queue, to be written by the thread that calls [`write_ready`](Self::write_ready) next.
    /// What waits for the interval of one's key is older, and must not come behind it: it is replaced. Never waits:
    /// [`Refused::Full`] where there is no room now.
    pub(crate) fn leave(&self, batches: &[Arc<Batch>]) -> Result<(), Refused> {
        let mut state = self.lock();
        if state.stage != Stage::Open {
            return Err(Refused::Closed);
        }
        if !state.has_room_for(Outgoing::Batches(batches), &self.rules) {
            return Err(Refused::Full);
        }
        let purpose = state.purpose();
        state.queue.make_entries(batches.len() + 1, purpose)?;
        for batch in batches {
            batch.key().into_iter().for_each(|key| state.unpark(key));
            state.push_or_place(Arc::clone(batch));
        }
        // Who flushes may have waited for what was replaced.
        self.changed.notify_all();
        Ok(())
    }

    /// Counts what the filter has kept back.
    pub(crate) fn note_filtered(&self, filtered: Volume) {
        self.state.lock().tally.filtered += filtered;
    }

    /// Messages that many outboxes may share, as they are best for one that is served like this: joined where none
    /// replaces another, and as new as all that is just being accepted where that counts.
    pub(crate) fn adapted(&self, messages: Vec<Arc<Batch>>, delivery: &Delivery) -> Vec<Arc<Batch>> {
        let one_by_one = delivery.conflate || delivery.min_interval.is_some();
        let mut adapted = Vec::new();
        let mut left = &messages[..];
        while !left.is_empty() {
            let mut len = 0;
            let fitting = left.iter().take_while(|message| {
                len += message.len();
                len <= BATCH_LEN
            });
            let most = if one_by_one { 1 } else { fitting.count().max(1) };
            let (group, behind) = left.split_at(most);
            let is_shared = group.len() == 1 && delivery.lifespan.is_none();
            let parts: Vec<&Batch> = group.iter().map(|message| &**message).collect();
            match (!is_shared).then(|| Batch::copying(&parts, Purpose::Write)).flatten() {
                Some(copy) => adapted.push(Arc::new(copy)),
                // Also where memory has run out: what is shared has been taken from the budget already.
                None => adapted.extend_from_slice(group),
            }
            left = behind;
        }
        adapted
    }
}

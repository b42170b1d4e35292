//! Broadcasts that come in a tight loop, gathered into one batch for many outboxes.
//!
//! A gathered message has been accepted for each of the outboxes, and is in none of their queues yet. So three
//! threads [settle](BroadcastBatch::settle) first, because what they do to an outbox must come behind it: a sender, who
//! may be the broadcaster itself, the thread that closes the connection, and the reader that counts what it lost.

use std::mem;
use std::sync::Arc;

use super::batch::{BATCH_LEN, Batch};
use super::budget::Purpose;
use super::{Outbox, Rules};
use crate::settings::OVERHEAD;
use crate::sync::{AtomicBool, Mutex, Ordering};

/// How large a gathered batch grows, in bytes. It is longer than others: it is copied once, and each peer costs a call.
pub(crate) const GATHERED_LEN: usize = 2 * BATCH_LEN;

/// What a gathered batch is charged at most, each of its messages as in an outbox.
pub(crate) const GATHERED_CHARGE: usize = 2 * GATHERED_LEN;

pub(crate) struct BroadcastBatch {
    rules: Arc<Rules>,
    /// Whether the batch has messages; looked at without the lock.
    pending: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    batch: Option<Batch>,
    outboxes: Vec<Arc<Outbox>>,
    /// Which state of the connection table the outboxes are from.
    generation: u64,
    /// Whether a batch has been queued by somebody who does not write it.
    unwritten: bool,
    /// The batch that was queued last, and the one before if everyone has written it, to be filled again.
    last: Option<Arc<Batch>>,
    spare: Option<Batch>,
}

/// What became of a message to be gathered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum GatherOutcome {
    /// It is in the batch, and accepted for all of the outboxes.
    Gathered,
    /// There is no batch for this generation that has room for it.
    NoBatch,
    /// All outboxes of the service together are full.
    OverBudget,
}

impl BroadcastBatch {
    pub(crate) fn new(rules: Arc<Rules>) -> Self {
        Self { rules, pending: AtomicBool::new(false), state: Mutex::default() }
    }

    /// Puts a message into the batch that has been begun for `generation`.
    pub(crate) fn gather(&self, generation: u64, message: &[u8]) -> GatherOutcome {
        let message = self.rules.pieces(message);
        let len = message.len();
        let has_room = |batch: &Batch| {
            let fits = batch.len() + len <= GATHERED_LEN && batch.charge() + len + OVERHEAD <= GATHERED_CHARGE;
            fits || batch.messages() == 0
        };
        let mut state = self.state.lock();
        let is_current = state.generation == generation;
        let Some(batch) = state.batch.as_mut().filter(|batch| is_current && has_room(batch)) else {
            return GatherOutcome::NoBatch;
        };
        if batch.push(message, Purpose::Queue).is_err() {
            return GatherOutcome::OverBudget;
        }
        self.pending.store(true, Ordering::Release);
        GatherOutcome::Gathered
    }

    /// Begins a batch for those of `outboxes` that have room for [`GATHERED_CHARGE`]; the positions of the others.
    pub(crate) fn begin<'a>(&self, generation: u64, outboxes: impl Iterator<Item = &'a Arc<Outbox>>) -> Vec<usize> {
        let mut state = self.state.lock();
        self.queue(&mut state);
        let mut others = Vec::new();
        for (position, outbox) in outboxes.enumerate() {
            // Under the lock, so that an outbox that closes is not taken for an open one: see `end`.
            if outbox.promise(GATHERED_CHARGE) {
                state.outboxes.push(Arc::clone(outbox));
            } else {
                others.push(position);
            }
        }
        let spare = state.spare.take().map(Batch::begun_now);
        state.batch = Some(spare.unwrap_or_else(|| Batch::roomy(&self.rules.budget, GATHERED_LEN, Purpose::Queue)));
        state.generation = generation;
        others
    }

    /// Queues what has been gathered in each of its outboxes, and leaves the writing to the thread that gathers.
    #[inline]
    pub(crate) fn settle(&self) {
        if self.pending.load(Ordering::Acquire) {
            self.queue(&mut self.state.lock());
        }
    }

    /// Settles, and forgets the outboxes: for one that has closed no batch is begun any more, and none is under way
    /// when this returns. Nor is room promised to any.
    pub(crate) fn end(&self) {
        let mut state = self.state.lock();
        self.queue(&mut state);
        state.last = None;
        state.spare = None;
    }

    /// Whether something was queued and not written since the last time.
    pub(crate) fn take_unwritten(&self) -> bool {
        mem::take(&mut self.state.lock().unwritten)
    }

    /// The lock stays held, so that nobody who settles goes on before every outbox has the batch.
    fn queue(&self, state: &mut State) {
        let outboxes = mem::take(&mut state.outboxes);
        let batch = state.batch.take().filter(|batch| batch.messages() > 0 && !outboxes.is_empty());
        let Some(mut batch) = batch else {
            self.pending.store(false, Ordering::Release);
            return outboxes.iter().for_each(|outbox| outbox.release());
        };
        batch.trim();
        batch.set_place(self.rules.next_gathered());
        let batch = Arc::new(batch);
        for outbox in &outboxes {
            outbox.enqueue(&batch);
        }
        state.spare = state.last.replace(batch).and_then(Arc::into_inner).map(Batch::emptied);
        state.unwritten = true;
        self.pending.store(false, Ordering::Release);
    }
}

//! The lock of an outbox, and the *lane*, a short way in.
//!
//! While messages are left in the queue for a moment, or another thread writes, there is nothing to do for one more but
//! to copy it behind the last. The lane says how much may still come in so, before anything else has to be looked at. A
//! thread that takes the lock for more than that closes it, so that nothing it depends on changes while it is open.

use std::ops::{Deref, DerefMut};
use std::time::Instant;

use super::batch::BATCH_LEN;
use super::{Rules, Stage, State, Writer};
use crate::codec::Pieces;
use crate::settings::OVERHEAD;
use crate::stats::Volume;
use crate::sync::{Condvar, Mutex, MutexGuard};

pub(super) struct Lock(Mutex<Guarded>);

struct Guarded {
    /// How much may come in, as messages are charged; 0 while the lane is closed.
    lane: usize,
    state: State,
}

/// The state of an outbox, with the lane closed.
pub(crate) struct Locked<'a>(MutexGuard<'a, Guarded>);

impl Lock {
    pub(super) fn new(state: State) -> Self {
        Self(Mutex::new(Guarded { lane: 0, state }))
    }

    #[inline]
    pub(super) fn lock(&self) -> Locked<'_> {
        Locked::closing(self.0.lock())
    }

    /// Copies a message behind the others, if the lane has room for it; the state otherwise.
    #[inline]
    pub(super) fn by_lane(&self, message: Pieces<'_>) -> Result<(), Locked<'_>> {
        let mut guarded = self.0.lock();
        let charge = message.len() + OVERHEAD;
        if charge <= guarded.lane && guarded.state.append_to_open(message) {
            guarded.lane -= charge;
            return Ok(());
        }
        Err(Locked::closing(guarded))
    }
}

impl<'a> Locked<'a> {
    #[inline]
    fn closing(mut guarded: MutexGuard<'a, Guarded>) -> Self {
        guarded.lane = 0;
        Self(guarded)
    }

    /// Lets the lock go, behind a message that was left in the queue.
    #[inline]
    pub(super) fn open_lane(mut self, rules: &Rules) {
        self.0.lane = self.room_of_lane(rules);
    }

    pub(super) fn unlocked<R>(&mut self, work: impl FnOnce() -> R) -> R {
        let result = MutexGuard::unlocked(&mut self.0, work);
        self.0.lane = 0;
        result
    }

    pub(super) fn wait(&mut self, condvar: &Condvar) {
        condvar.wait(&mut self.0);
        self.0.lane = 0;
    }

    /// Whether it has timed out.
    pub(super) fn wait_until(&mut self, condvar: &Condvar, deadline: Instant) -> bool {
        let timed_out = condvar.wait_until(&mut self.0, deadline).timed_out();
        self.0.lane = 0;
        timed_out
    }
}

impl Deref for Locked<'_> {
    type Target = State;

    #[inline]
    fn deref(&self) -> &State {
        &self.0.state
    }
}

impl DerefMut for Locked<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut State {
        &mut self.0.state
    }
}

impl State {
    /// How much may be queued, as messages are charged, with nothing to see to but the copy.
    fn room_of_lane(&self, rules: &Rules) -> usize {
        if self.stage != Stage::Open || self.goes_apart || self.is_looked_after {
            return 0;
        }
        let limit = self.delivery.queue_limit();
        // Until it would have to be written here.
        let before_writing = match self.writer {
            Writer::Caller => usize::MAX,
            Writer::Background if self.background.watched && !self.background.has_thread => usize::MAX,
            Writer::Nobody if rules.coalesce && self.rush.is_on() => {
                (BATCH_LEN - 1).saturating_sub(self.queue.bytes()).min((limit / 2).saturating_sub(self.queue.charged()))
            }
            Writer::Background | Writer::Nobody => 0,
        };
        let in_queue = limit.saturating_sub(self.charged() + self.promised + self.intake_room);
        in_queue.min(before_writing).min(self.queue.room_in_open())
    }

    /// Copies a message behind the others in the open batch, if that has the memory; false otherwise.
    #[inline]
    fn append_to_open(&mut self, message: Pieces<'_>) -> bool {
        let is_in = self.queue.append_to_open(message);
        if is_in {
            self.note_appended(message.len());
        }
        is_in
    }

    /// The account of a message that has been copied into the queue.
    #[inline]
    pub(super) fn note_appended(&mut self, len: usize) {
        self.account.accept(len);
        self.tally.accepted += Volume::new(1, len);
        self.rush.note_queued(1);
    }
}

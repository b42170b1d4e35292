//! The lock of an outbox, and the *lane*, a short way in.
//!
//! While messages are left in the queue for a moment, or another thread writes, there is nothing to do for one more but
//! to copy it behind the last. The lane says how much may still come in so, before anything else has to be looked at. A
//! thread that takes the lock for more than that closes it, so that nothing it depends on changes while it is open.

use std::mem;
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
    lane: Lane,
    state: State,
}

/// Nothing that depends on what comes in by it is looked at while it is open: so that is accounted for when it is
/// closed, all together.
#[derive(Default)]
struct Lane {
    /// How much may still come in, as messages are charged; 0 while it is closed.
    room: usize,
    /// How much might when it was opened, and how many messages were in the open batch.
    room_before: usize,
    messages_before: usize,
}

/// The state of an outbox, with the lane closed.
pub(crate) struct Locked<'a>(MutexGuard<'a, Guarded>);

impl Lock {
    pub(super) fn new(state: State) -> Self {
        Self(Mutex::new(Guarded { lane: Lane::default(), state }))
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
        if charge <= guarded.lane.room && guarded.state.queue.append_to_open(message) {
            guarded.lane.room -= charge;
            return Ok(());
        }
        Err(Locked::closing(guarded))
    }
}

impl<'a> Locked<'a> {
    #[inline]
    fn closing(mut guarded: MutexGuard<'a, Guarded>) -> Self {
        guarded.close_lane();
        Self(guarded)
    }

    /// Lets the lock go, behind a message that was left in the queue.
    #[inline]
    pub(super) fn open_lane(mut self, rules: &Rules) {
        let room = self.room_of_lane(rules);
        self.0.lane = Lane { room, room_before: room, messages_before: self.queue.messages_in_open() };
    }

    pub(super) fn unlocked<R>(&mut self, work: impl FnOnce() -> R) -> R {
        let result = MutexGuard::unlocked(&mut self.0, work);
        self.0.close_lane();
        result
    }

    pub(super) fn wait(&mut self, condvar: &Condvar) {
        condvar.wait(&mut self.0);
        self.0.close_lane();
    }

    /// Whether it has timed out.
    pub(super) fn wait_until(&mut self, condvar: &Condvar, deadline: Instant) -> bool {
        let timed_out = condvar.wait_until(&mut self.0, deadline).timed_out();
        self.0.close_lane();
        timed_out
    }
}

impl Guarded {
    #[inline]
    fn close_lane(&mut self) {
        if self.lane.room_before > 0 {
            self.account_for_lane();
        }
    }

    #[inline(never)]
    fn account_for_lane(&mut self) {
        let Lane { room, room_before, messages_before } = mem::take(&mut self.lane);
        let (charge, messages) = (room_before - room, self.state.queue.messages_in_open() - messages_before);
        if messages > 0 {
            self.state.queue.note_appended(messages, charge);
            self.state.note_appended(messages, charge - OVERHEAD * messages);
        }
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

    /// The account of messages that have been copied into the queue.
    #[inline]
    pub(super) fn note_appended(&mut self, messages: usize, len: usize) {
        self.account.accept(len);
        self.tally.accepted += Volume::new(messages, len);
        self.rush.note_queued(messages);
    }
}

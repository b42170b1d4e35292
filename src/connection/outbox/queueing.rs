//! Messages that are queued, and written by the pump: the thread that queues them makes no call of the system.
//!
//! They are put into the [intake](super::intake), and are in the queue when a thread [locks](Outbox::lock) the outbox
//! next: it takes them in before it does anything else, so nobody finds the one without the other. The pump looks every
//! [`TICK`], as long as messages are queued now and then, and writes.

use std::mem;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::batch::{BATCH_LEN, Batch};
use super::intake::{Intake, Taken};
use super::{Locked, Outbox, Outgoing, Patience, Refused, Rules, State, Step};
use crate::stats::Volume;
use crate::sync::now;

/// How often the pump looks whether something has been queued, and how often when nothing has been for [`A_WHILE`].
pub(crate) const TICK: Duration = Duration::from_millis(1);
const LONG_TICK: Duration = Duration::from_millis(10);

/// After so much time without a message the pump looks less often.
const A_WHILE: Duration = Duration::from_secs(1);

/// After so much time without a message the pump looks no more, and the next message wakes it.
const FOR_LONG: Duration = Duration::from_secs(60);

/// How much may be queued between two looks without a lock, as messages are charged. More is queued with it.
const ROOM: usize = 2 * BATCH_LEN;

/// What follows from the pump's look.
pub(crate) struct Look {
    /// When to look again; not at all before somebody [asks for it](Step::Queued).
    pub(crate) next: Option<Duration>,
    /// When a message that waits for its interval is [due](Outbox::send_due).
    pub(crate) due: Option<Duration>,
    pub(crate) step: Step,
}

/// That of an outbox to which nothing has been queued. In models there is one: the checker does not see the order that
/// a `OnceLock` makes.
pub(super) fn no_intake(rules: &Rules) -> OnceLock<Box<Intake>> {
    let intake = OnceLock::new();
    if cfg!(loom) {
        intake.get_or_init(|| Box::new(Intake::new(&rules.budget, now())));
    }
    intake
}

impl Outbox {
    /// Accepts what is to be written by the pump, all of it or nothing; never waits for room.
    #[inline]
    pub(crate) fn queue(&self, outgoing: Outgoing<'_>) -> Result<Step, Refused> {
        match self.intake.get() {
            Some(intake) if !outgoing.is_long() && intake.offer(outgoing, &self.rules) => Ok(Step::Nothing),
            _ => self.queue_locked(outgoing),
        }
    }

    /// The same where the intake has no room: there is none as long as nobody looks after it.
    #[cold]
    fn queue_locked(&self, outgoing: Outgoing<'_>) -> Result<Step, Refused> {
        let mut state = self.with_room_for(self.lock(), outgoing, &mut Patience::none())?;
        if let (Outgoing::Message { message, key }, true) = (outgoing, outgoing.is_long()) {
            let purpose = state.purpose();
            drop(state);
            let copy = self.rules.batch_of(message, key, purpose)?;
            return self.queue_locked(Outgoing::Batches(&[copy]));
        }
        let intake = self.intake.get_or_init(|| Box::new(Intake::new(&self.rules.budget, now())));
        let charge = outgoing.charge(&self.rules);
        let room = state.room_for_intake(charge, &self.rules);
        self.turn(&mut state, intake, room, Some(outgoing))?;
        state.intake_room += charge;
        let is_looked_after = mem::replace(&mut state.is_looked_after, true);
        Ok(if is_looked_after { Step::Nothing } else { Step::Queued })
    }

    /// The state, with what has been queued.
    #[inline]
    pub(crate) fn lock(&self) -> Locked<'_> {
        self.taken_in(self.state.lock())
    }

    #[inline]
    pub(super) fn taken_in<'a>(&self, mut state: Locked<'a>) -> Locked<'a> {
        if state.is_looked_after {
            self.take_in(&mut state);
        }
        state
    }

    #[cold]
    fn take_in(&self, state: &mut State) {
        if let Some(intake) = self.intake.get().filter(|intake| intake.is_filled()) {
            self.turn_now(state, intake);
        }
    }

    fn turn_now(&self, state: &mut State, intake: &Intake) {
        let room = state.room_for_intake(0, &self.rules);
        let _ = self.turn(state, intake, room, None);
    }

    /// Takes in what has been queued. From now on the intake has no room.
    pub(super) fn end_intake(&self, state: &mut State) {
        if let Some(intake) = self.intake.get() {
            let _ = self.turn(state, intake, 0, None);
        }
    }

    /// The same when nothing more is accepted.
    pub(super) fn close_intake(&self, state: &mut State) {
        if let Some(intake) = self.intake.get().filter(|_| state.is_looked_after) {
            self.end_intake(state);
            intake.shrink();
            // Nobody gives it room again.
            state.is_looked_after = false;
        }
    }

    fn turn(
        &self,
        state: &mut State,
        intake: &Intake,
        room: usize,
        first: Option<Outgoing<'_>>,
    ) -> Result<(), Refused> {
        intake.turn(room, first, &self.rules, |taken| state.take(taken, &self.rules))?;
        state.intake_room = room;
        Ok(())
    }

    /// The pump's look, every [`TICK`] or so: writes what has been queued, unless somebody else does. Takes no lock
    /// when there is nothing.
    pub(crate) fn look_after_intake(&self) -> Look {
        let nothing = |next| Look { next, due: None, step: Step::Nothing };
        let Some(intake) = self.intake.get() else { return nothing(None) };
        let Err(quiet) = intake.look(now()) else { return self.write_queued(intake) };
        if quiet < FOR_LONG {
            return nothing(Some(if quiet < A_WHILE { TICK } else { LONG_TICK }));
        }
        let mut state = self.state.lock();
        self.end_intake(&mut state);
        if intake.is_touched() {
            // At the last moment.
            return nothing(Some(TICK));
        }
        intake.shrink();
        state.is_looked_after = false;
        nothing(None)
    }

    fn write_queued(&self, intake: &Intake) -> Look {
        let mut state = self.state.lock();
        if state.is_looked_after {
            // Whatever the pump knows of it: of several threads that have queued it may have heard only one.
            self.turn_now(&mut state, intake);
        }
        // What senders do one after the other is not measured by what the pump does in between.
        state.rush.pace.interrupt();
        let due = state.intervals.watch().map(|due| due.saturating_duration_since(now()));
        let step = if state.queue.is_empty() { Step::Nothing } else { self.write_or_leave(state) };
        Look { next: Some(TICK), due, step }
    }
}

impl State {
    /// How much room the intake may have next when something of this `charge` needs its part: half of what there is,
    /// because all of what it has now may have been used. None where memory is not plentiful.
    fn room_for_intake(&self, charge: usize, rules: &Rules) -> usize {
        if !rules.budget.is_plentiful() {
            return 0;
        }
        let taken = self.charged() + self.promised + self.intake_room + charge;
        ROOM.min(self.delivery.queue_limit().saturating_sub(taken) / 2)
    }

    /// Puts what has been queued where it belongs. It has been accepted, so there is memory for it in any case.
    fn take(&mut self, taken: Taken<'_>, rules: &Rules) {
        let (encoded, key) = match taken {
            Taken::Message { encoded, key } => (encoded, key),
            Taken::Batch(batch) => return self.take_batch(batch, rules),
        };
        if self.keeps_apart() {
            let batch = Batch::encoded(encoded, key, &rules.budget);
            return self.take_batch(Arc::new(batch), rules);
        }
        self.note_work();
        self.queue.append_anyway(encoded);
        self.account.accept(encoded.len());
        self.tally.accepted += Volume::new(1, encoded.len());
    }

    fn take_batch(&mut self, batch: Arc<Batch>, rules: &Rules) {
        if let (Some(interval), Some(key), 1) = (self.delivery.min_interval, batch.key().cloned(), batch.messages()) {
            let now = now();
            if self.intervals.holds(&key, now) {
                self.tally.accepted += Volume::new(1, batch.len());
                return self.park(&key, batch);
            }
            let purpose = self.purpose();
            // Where there is no memory to keep the key in, the next message of it does not wait.
            let _ = self.intervals.begin(&key, now, interval, &rules.budget, purpose);
        }
        self.push_or_place(batch);
    }
}

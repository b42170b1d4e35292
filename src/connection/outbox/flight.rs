//! One write: what it carries, without the lock; its account; and what the last one leaves behind.

use std::io::{self, IoSlice};
use std::mem;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Instant;

use super::attempt::{Attempt, Mode};
use super::batch::Batch;
use super::budget::{Lacking, Purpose};
use super::unsent::bodies;
use super::writing::WRITES_PER_SENDER;
use super::{Locked, Outbox, Refused, Stage, State, Step, Writer};
use crate::codec::Pieces;
use crate::settings::OVERHEAD;
use crate::stats::Volume;
use crate::sync::now;
use crate::transport::Stream;

/// How many batches go into one write, and how many bytes; a blocking write is kept short, because its progress can
/// only be seen when it returns.
const BATCHES_PER_WRITE: usize = 64;
const BYTES_PER_DIRECT_WRITE: usize = 256 * 1024;
const BYTES_PER_BLOCKING_WRITE: usize = 16 * 1024;

/// So many bytes go into one write at least, however little the system may hold.
const BYTES_PER_WRITE: usize = 1024;

/// A message that is no longer than this on the wire is put there in one piece, which is quicker to write than two.
const SHORT: usize = 256;

/// A message that is no longer than this on the wire is written although the budget is used up: what the
/// stream does not take of it waits all the same, one such message for each connection.
const ALWAYS: usize = 4 * 1024;

impl Outbox {
    /// Writes a message from where it lies, behind whatever waits; what the stream does not take of it is copied into
    /// the queue. `time` is about now.
    pub(super) fn write_direct(&self, mut state: Locked<'_>, message: &[u8], time: Instant) -> Result<Step, Refused> {
        let pieces = self.rules.pieces(message);
        let len = pieces.len();
        let budget = &self.rules.budget;
        let is_much = state.queue.bytes() > BYTES_PER_DIRECT_WRITE || state.queue.batches() > BATCHES_PER_WRITE;
        if is_much || !self.rules.coalesce && !state.queue.is_empty() {
            return match state.append(&self.rules, message, Purpose::Write) {
                Ok(()) => Ok(self.take_role(state)),
                Err(_) => Err(Refused::WriteFirst),
            };
        }
        let budgeted = len > ALWAYS;
        if budgeted && !budget.take(len + OVERHEAD, Purpose::Write) {
            return Err(Refused::OverBudget(Lacking(len + OVERHEAD)));
        }
        let loan = state.lend(BATCHES_PER_WRITE, BYTES_PER_DIRECT_WRITE);
        let queued = loan.len();
        state.writer = Writer::Caller;
        state.rush.note_written();
        state.rush.note_queued(1);
        state.account.accept(len);
        state.tally.accepted += Volume::new(1, len);
        state.direct_charge = len + OVERHEAD;
        let attempt = with_stream(&mut state, |stream, holds| {
            let short = Short::of(pieces);
            let head = pieces.head();
            let (own, count) = short.as_ref().map_or_else(|| pieces.slices(&head), Short::slices);
            if queued == 0 {
                return Mode::Direct.attempt(stream, holds, &own[..count]);
            }
            let mut slices = loan.slices(BYTES_PER_DIRECT_WRITE);
            slices.extend(&own[..count]);
            let attempt = Mode::Direct.attempt(stream, holds, &slices);
            drop(slices);
            drop(loan);
            attempt
        });
        state.direct_charge = 0;
        let written = attempt.taken;
        let before = state.take_back(written.min(queued));
        let written_of_it = written.saturating_sub(queued);
        if written_of_it == len {
            state.tally.written.messages += 1;
        } else {
            state.queue.insert_rest(before, Batch::accepted(pieces, budget), written_of_it);
        }
        if budgeted {
            budget.give_back(len + OVERHEAD);
        }
        self.account(&mut state, &attempt, time);
        Ok(match attempt.result {
            Ok(()) => self.go_on(state, WRITES_PER_SENDER - 1),
            Err(error) => self.stop(state, error),
        })
    }

    /// One write of what is held and queued, without the lock, and its account. There must be something.
    pub(super) fn write_once(&self, state: &mut Locked<'_>, mode: Mode) -> io::Result<()> {
        let most = match mode {
            Mode::Direct => BYTES_PER_DIRECT_WRITE,
            Mode::Blocking => BYTES_PER_BLOCKING_WRITE,
        };
        let most = if state.writer == Writer::Background { most.min(state.bytes_when_ready()) } else { most };
        self.write_at_most(state, mode, BATCHES_PER_WRITE, most)
    }

    /// The same with limits of its own: so many batches, so many bytes.
    pub(super) fn write_at_most(
        &self,
        state: &mut Locked<'_>,
        mode: Mode,
        batches: usize,
        most: usize,
    ) -> io::Result<()> {
        let loan = state.lend(batches, most);
        let attempt = with_stream(state, |stream, holds| {
            let slices = loan.slices(most);
            let attempt = mode.attempt(stream, holds, &slices);
            drop(slices);
            drop(loan);
            attempt
        });
        state.take_back(attempt.taken);
        self.account(state, &attempt, now());
        attempt.result
    }

    /// Notes the outcome of a write, at about `time`.
    fn account(&self, state: &mut Locked<'_>, attempt: &Attempt, time: Instant) {
        let &Attempt { taken, holds, .. } = attempt;
        // Who is asked to hand something on in the background has been found ready for it.
        if state.writer == Writer::Background && (taken > 0 || state.account.holds()) {
            state.background.note_progress(time);
        }
        if taken > 0 {
            state.tally.written.bytes += taken as u64;
            state.tally.writes += 1;
            state.tally.last_written = Some(time);
        }
        state.account.write(taken, holds);
        self.give_up_queue(state);
        // Waiting senders are woken when there is much room, not for every bit of it; or as much as comes by writing.
        let has_much = state.charged() <= state.delivery.queue_limit() / 2 || state.queue.is_empty();
        if has_much || state.awaiting_outcome > 0 {
            self.room.notify_all();
        }
        self.changed.notify_all();
    }

    /// Everything is out: shuts the writing half. False when the stream holds its end, which has to be handed on first.
    pub(super) fn finish(&self, state: &mut Locked<'_>) -> bool {
        let stream = state.stream.clone();
        // Still holding the role, so that nobody writes in between.
        let shut = state.unlocked(|| match stream {
            Some(stream) => stream.shutdown(Shutdown::Write),
            None => Ok(()),
        });
        // Otherwise it fails only when the peer is gone already, which the reader is about to see.
        if state.stage == Stage::Closing && shut.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            state.account.hold_end();
            return false;
        }
        state.writer = Writer::Nobody;
        state.queue.shrink();
        if state.stage == Stage::Closing {
            state.stage = Stage::Finished;
        }
        self.changed.notify_all();
        true
    }

    pub(super) fn fail(&self, mut state: Locked<'_>, error: io::Error) -> Step {
        state.writer = Writer::Nobody;
        if state.stage == Stage::Dead {
            // Aborted meanwhile: that is why the write failed.
            return Step::Nothing;
        }
        self.close_intake(&mut state);
        state.stage = Stage::Dead;
        state.failure = Some(Arc::new(error));
        self.give_up_queue(&mut state);
        Step::Failed
    }

    /// If the outbox is dead and no write is under way: counts what is queued as lost, and drops it, without the lock.
    /// The outbox is not over before that is done, so that a thread which waits for it finds the budget given back.
    pub(super) fn give_up_queue(&self, state: &mut Locked<'_>) {
        if state.stage != Stage::Dead || state.in_flight {
            return;
        }
        state.note_peak();
        let goodbye = self.rules.framing.goodbye().len();
        let left = state.goodbye_left(goodbye);
        let (mut amount, mut cleared) = state.queue.clear();
        let parked_amount = state.intervals.amount();
        let parked = state.intervals.clear();
        state.account.lose(amount.bytes);
        let goodbye_queued = mem::take(&mut state.goodbye_queued);
        if goodbye_queued {
            state.tally.written.messages -= u64::from(left == 0);
            state.tally.written.bytes -= (goodbye - left) as u64;
            amount.messages -= usize::from(left > 0);
            amount.bytes -= left;
        }
        state.count_unsent(amount);
        state.count_unsent(parked_amount);
        state.in_flight = true;
        let unsent = state.unlocked(|| {
            let keeps = self.rules.keep_unsent;
            let mut unsent = if keeps { bodies(&mut cleared, &parked, &self.rules) } else { Vec::new() };
            if goodbye_queued && left > 0 {
                unsent.pop();
            }
            drop((cleared, parked));
            unsent
        });
        state.unsent.keep(unsent);
        state.in_flight = false;
        self.room.notify_all();
        self.changed.notify_all();
    }
}

/// The pieces of a message, side by side.
struct Short {
    bytes: [u8; SHORT],
    len: usize,
}

impl Short {
    /// `None` where they are too long for that.
    #[inline]
    fn of(message: Pieces<'_>) -> Option<Self> {
        let len = message.len();
        if len > SHORT {
            return None;
        }
        let mut bytes = [0; SHORT];
        message.copy_to(&mut bytes);
        Some(Self { bytes, len })
    }

    #[inline]
    fn slices(&self) -> ([IoSlice<'_>; 2], usize) {
        ([IoSlice::new(&self.bytes[..self.len]), IoSlice::new(&[])], 1)
    }
}

/// Writes without the lock, as the holder of the role.
fn with_stream(state: &mut Locked<'_>, write: impl FnOnce(&dyn Stream, bool) -> Attempt) -> Attempt {
    // Taken out and put back: that is quicker than counting one owner more for every message.
    let stream = state.writers_stream.take().expect("one writes at a time, and only until the connection is gone");
    state.in_flight = true;
    let holds = state.account.holds();
    let (stream, attempt) = state.unlocked(|| {
        let attempt = write(&*stream, holds);
        (stream, attempt)
    });
    state.writers_stream = Some(stream);
    state.in_flight = false;
    state.note_peak();
    attempt
}

impl State {
    /// How much is free in the system at least when it says that it takes bytes again: half of what it may hold.
    fn bytes_when_ready(&self) -> usize {
        self.delivery.unsent_limit().map_or(usize::MAX, |limit| (limit / 2).max(BYTES_PER_WRITE))
    }

    /// Takes back what was lent of the queue: see [`Queue::take_back`](super::queue::Queue::take_back).
    fn take_back(&mut self, count: usize) -> usize {
        if count == 0 {
            let left = self.queue.take_back(0);
            self.account_gone();
            return left;
        }
        let before = self.queue.messages();
        let left = self.queue.take_back(count);
        let gone = before - self.queue.messages();
        self.tally.written.messages += (gone - self.account_gone()) as u64;
        left
    }
}

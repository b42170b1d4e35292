//! Writing: who does it, how much at once, and what follows.

use std::io::{self, IoSlice};
use std::mem;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use super::batch::{Batch, OVERHEAD};
use super::budget::Purpose;
use super::{Outbox, Refused, Stage, State, Step, Writer};
use crate::sync::{MutexGuard, Ordering, now};
use crate::transport::Stream;

/// How many batches go into one write, and how many bytes; a blocking write is kept short, because its progress can
/// only be seen when it returns.
const BATCHES_PER_WRITE: usize = 64;
const BYTES_PER_DIRECT_WRITE: usize = 256 * 1024;
const BYTES_PER_BLOCKING_WRITE: usize = 16 * 1024;

/// A message and its separator that are no longer than this are put side by side for a write: one piece is quicker to
/// write than two.
const SHORT: usize = 256;

/// How many writes a sender makes for others before it leaves the rest to them, or to the background.
const WRITES_PER_SENDER: usize = 8;

/// How many messages in one tick keep the cork in.
pub(crate) const RUSH: usize = 8;

/// When the pump is to look again after something that is corked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tick {
    /// As soon as it can without disturbing.
    Soon,
    /// Not so soon: those who send do the writing.
    Later,
    /// It is no longer corked.
    Done,
}

/// How a write behaves when the stream takes nothing.
#[derive(Debug, Clone, Copy)]
enum Mode {
    Direct,
    Blocking,
}

impl Outbox {
    /// Writes what waits if nobody does, corked or not.
    pub(crate) fn write_ready(&self) -> Step {
        let state = self.state.lock();
        if state.queue.is_empty() { Step::Nothing } else { self.write_here_or_leave(state) }
    }

    /// One write of the pump's, which holds the role; whether the stream takes no more and the pump has to go on.
    pub(crate) fn pump_turn(&self) -> (bool, Step) {
        match self.write_on(self.state.lock(), 1) {
            Step::HandOver { .. } if self.writes_directly() => (true, Step::Nothing),
            step => (false, step),
        }
    }

    /// The pump's look at a corked outbox: writes what has been left for a tick.
    pub(crate) fn tick(&self) -> (Tick, Step) {
        let mut state = self.state.lock();
        let queued = mem::take(&mut state.queued_in_tick);
        let written = mem::take(&mut state.written_in_tick);
        if state.stage != Stage::Open || !state.corked {
            state.ticking = false;
            return (Tick::Done, Step::Nothing);
        }
        if state.writer != Writer::Nobody {
            return (Tick::Later, Step::Nothing);
        }
        let rush = queued >= RUSH;
        if !rush {
            state.uncork();
        }
        // What waits after a write in this tick has been waiting for less than one.
        if rush && written > 0 {
            return (Tick::Later, Step::Nothing);
        }
        let tick = if rush { Tick::Soon } else { Tick::Done };
        if state.queue.is_empty() {
            return (tick, Step::Nothing);
        }
        state.writer = Writer::Caller;
        (tick, self.write_on(state, WRITES_PER_SENDER))
    }

    /// The writing thread of a stream that cannot be polled, which holds the role from its first need to the end.
    pub(crate) fn write_blocking(&self) -> Step {
        let mut state = self.state.lock();
        // Its writes block, so that nobody may wait for their outcome.
        state.writes_directly = false;
        loop {
            match state.stage {
                Stage::Finished | Stage::Dead => return Step::Nothing,
                Stage::Closing if state.queue.is_empty() => return self.finish(state),
                Stage::Open if state.queue.is_empty() => self.changed.wait(&mut state),
                Stage::Open | Stage::Closing => {
                    if let Err(error) = self.write_once(&mut state, Mode::Blocking) {
                        return self.fail(state, error);
                    }
                }
            }
        }
    }

    /// When the background will have been stuck for `stall`; `None` when it has nothing to do.
    pub(crate) fn stalled_at(&self, stall: Duration) -> Option<Instant> {
        let mut state = self.state.lock();
        if state.writer == Writer::Background && !state.queue.is_empty() && state.stage == Stage::Open {
            return state.progress.checked_add(stall);
        }
        state.watched = false;
        None
    }

    /// Sends a message when nobody writes: at once, or together with others in a rush.
    #[inline]
    pub(super) fn write_or_cork(&self, mut state: MutexGuard<'_, State>, message: &[u8]) -> Result<Step, Refused> {
        let len = message.len() + self.rules.separator.len();
        let (bytes, charged) = (state.queue.bytes() + len, state.queue.charged() + len + OVERHEAD);
        let may_wait = self.rules.coalesce && !self.rules.is_much(bytes, charged);
        if may_wait && state.corked {
            state.append(&self.rules, message)?;
            return Ok(Step::Nothing);
        }
        self.write_alone(state, message, may_wait)
    }

    #[inline(never)]
    fn write_alone(&self, mut state: MutexGuard<'_, State>, message: &[u8], may_wait: bool) -> Result<Step, Refused> {
        if self.heard.load(Ordering::Relaxed) {
            self.heard.store(false, Ordering::Relaxed);
            state.pace.answers();
        } else if may_wait && state.pace.is_tight(now()) {
            state.append(&self.rules, message)?;
            return Ok(state.cork());
        }
        self.write_through(state, message)
    }

    /// After something was queued: writes it here if nobody else does, and it need not wait for more.
    #[inline]
    pub(super) fn write_or_leave(&self, state: MutexGuard<'_, State>) -> Step {
        match state.writer {
            Writer::Caller => Step::Nothing,
            Writer::Nobody if self.may_wait(&state) => Step::Nothing,
            _ => self.write_here_or_leave(state),
        }
    }

    /// Whether what is queued is left there for a while.
    fn may_wait(&self, state: &State) -> bool {
        let much = self.rules.is_much(state.queue.bytes(), state.queue.charged());
        state.corked && state.stage == Stage::Open && !much
    }

    fn write_here_or_leave(&self, mut state: MutexGuard<'_, State>) -> Step {
        match state.writer {
            Writer::Caller => Step::Nothing,
            Writer::Background => {
                self.changed.notify_all();
                let watched = mem::replace(&mut state.watched, true);
                if watched { Step::Nothing } else { Step::Watch }
            }
            Writer::Nobody if state.writes_directly => {
                state.writer = Writer::Caller;
                state.written_in_tick += 1;
                self.write_on(state, WRITES_PER_SENDER)
            }
            Writer::Nobody => state.hand_over(),
        }
    }

    /// Writes a message from where it lies, behind whatever waits; what the stream does not take of it is copied into
    /// the queue.
    fn write_through(&self, mut state: MutexGuard<'_, State>, message: &[u8]) -> Result<Step, Refused> {
        let separator = self.rules.separator.as_bytes();
        let len = message.len() + separator.len();
        let budget = &self.rules.budget;
        if state.queue.bytes() > BYTES_PER_DIRECT_WRITE || state.queue.batches() > BATCHES_PER_WRITE {
            state.append(&self.rules, message)?;
            return Ok(self.write_here_or_leave(state));
        }
        // A short one is not worth it: what is not written of it is taken from the budget in any case.
        let budgeted = len > SHORT;
        if budgeted && !budget.take(len + OVERHEAD, Purpose::Write) {
            return Err(Refused::OverBudget);
        }
        let loan = state.queue.lend(BATCHES_PER_WRITE, BYTES_PER_DIRECT_WRITE);
        let queued = loan.len();
        state.writer = Writer::Caller;
        state.written_in_tick += 1;
        state.queued_in_tick += 1;
        state.direct_len = len;
        let result = with_stream(&mut state, |stream| {
            let mut short = [0; SHORT];
            let (all, parts);
            let it = if len <= SHORT {
                short[..message.len()].copy_from_slice(message);
                short[message.len()..len].copy_from_slice(separator);
                all = [IoSlice::new(&short[..len])];
                &all[..]
            } else {
                parts = [IoSlice::new(message), IoSlice::new(separator)];
                &parts[..]
            };
            if queued == 0 {
                return stream.try_write_vectored(it);
            }
            let mut slices = loan.slices(BYTES_PER_DIRECT_WRITE);
            slices.extend(it);
            let result = stream.try_write_vectored(&slices);
            drop(slices);
            drop(loan);
            result
        });
        state.direct_len = 0;
        let (written, outcome) = match result {
            Ok(0) => (0, Err(io::ErrorKind::WriteZero.into())),
            Ok(written) => (written, Ok(())),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (0, Ok(())),
            Err(error) => (0, Err(error)),
        };
        let before = state.queue.take_back(written.min(queued));
        let written_of_it = written.saturating_sub(queued);
        if written_of_it < len {
            let rest = Batch::rest_of(message, separator, written_of_it, budget);
            state.queue.insert_rest(before, rest, written_of_it > 0);
        }
        if budgeted {
            budget.give_back(len + OVERHEAD);
        }
        self.account(&mut state, written);
        Ok(match outcome {
            Ok(()) => self.go_on(state, WRITES_PER_SENDER - 1),
            Err(error) => self.stop(state, error),
        })
    }

    /// Writes without blocking, as the holder of the role, until nothing is left that should be written now, the stream
    /// takes no more, or `writes` are used up. Writes at least once if there is anything.
    fn write_on(&self, mut state: MutexGuard<'_, State>, writes: usize) -> Step {
        if state.has_work() {
            if let Err(error) = self.write_once(&mut state, Mode::Direct) {
                return self.stop(state, error);
            }
        }
        self.go_on(state, writes - 1)
    }

    /// After a write: [goes on](Self::write_on), or lays the role down.
    fn go_on(&self, mut state: MutexGuard<'_, State>, writes: usize) -> Step {
        if !state.has_work() {
            return match state.stage {
                Stage::Closing => self.finish(state),
                _ => state.lay_down(self.rules.coalesce),
            };
        }
        if state.writer == Writer::Caller && self.may_wait(&state) {
            state.writer = Writer::Nobody;
            return Step::Nothing;
        }
        if writes > 0 {
            return self.write_on(state, writes);
        }
        match state.writer {
            // Others send without a pause: they will carry it on.
            Writer::Caller if self.rules.coalesce && state.stage == Stage::Open => {
                state.writer = Writer::Nobody;
                state.cork()
            }
            _ => state.hand_over(),
        }
    }

    /// After a write without blocking that did not succeed.
    fn stop(&self, mut state: MutexGuard<'_, State>, error: io::Error) -> Step {
        match error.kind() {
            io::ErrorKind::WouldBlock => state.hand_over(),
            io::ErrorKind::Unsupported => {
                state.writes_directly = false;
                state.hand_over()
            }
            _ => self.fail(state, error),
        }
    }

    /// One write of what is queued, without the lock, and its account. The queue must not be empty.
    fn write_once(&self, state: &mut MutexGuard<'_, State>, mode: Mode) -> io::Result<()> {
        let batches = if self.rules.coalesce { BATCHES_PER_WRITE } else { 1 };
        let bytes = match mode {
            Mode::Direct => BYTES_PER_DIRECT_WRITE,
            Mode::Blocking => BYTES_PER_BLOCKING_WRITE,
        };
        let loan = state.queue.lend(batches, bytes);
        let result = with_stream(state, |stream| {
            let slices = loan.slices(bytes);
            let result = match mode {
                Mode::Direct => stream.try_write_vectored(&slices),
                Mode::Blocking => stream.write_vectored(&slices),
            };
            drop(slices);
            drop(loan);
            result
        });
        let written = *result.as_ref().unwrap_or(&0);
        state.queue.take_back(written);
        self.account(state, written);
        match result {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    /// Notes the outcome of a write.
    fn account(&self, state: &mut MutexGuard<'_, State>, written: usize) {
        state.settle(0..written);
        if written > 0 && state.writer == Writer::Background {
            state.progress = now();
        }
        self.bury(state);
        // Waiting senders are woken when there is much room, not for every bit of it.
        if state.charged() <= self.rules.limit / 2 || state.awaiting_outcome > 0 {
            self.room.notify_all();
        }
        self.changed.notify_all();
    }

    /// Everything is out: shuts the writing half.
    fn finish(&self, mut state: MutexGuard<'_, State>) -> Step {
        let stream = state.stream.clone();
        // Still holding the role, so that nobody writes in between.
        MutexGuard::unlocked(&mut state, || {
            if let Some(stream) = stream {
                // Fails when the peer is gone already, which the reader is about to see.
                let _ = stream.shutdown(Shutdown::Write);
            }
        });
        state.writer = Writer::Nobody;
        if state.stage == Stage::Closing {
            state.stage = Stage::Finished;
        }
        self.changed.notify_all();
        Step::Finished
    }

    fn fail(&self, mut state: MutexGuard<'_, State>, error: io::Error) -> Step {
        state.writer = Writer::Nobody;
        if state.stage == Stage::Dead {
            // Killed meanwhile: that is why the write failed.
            return Step::Nothing;
        }
        state.stage = Stage::Dead;
        self.bury(&mut state);
        Step::Failed(error)
    }

    /// If the outbox is dead and no write is under way: counts what is queued as lost, and drops it, without the lock.
    /// The outbox is not over before that is done, so that whoever waits for it finds the budget given back.
    pub(super) fn bury(&self, state: &mut MutexGuard<'_, State>) {
        if state.stage != Stage::Dead || state.in_flight {
            return;
        }
        let (mut amount, dropped) = state.queue.clear();
        state.settle(0..amount.bytes);
        if mem::take(&mut state.goodbye_queued) && amount.messages > 0 {
            let goodbye = self.rules.separator.goodbye().len().min(amount.bytes);
            amount.messages -= 1;
            amount.bytes -= goodbye;
        }
        state.lose(amount);
        state.in_flight = true;
        MutexGuard::unlocked(state, || drop(dropped));
        state.in_flight = false;
        self.room.notify_all();
        self.changed.notify_all();
    }
}

/// Writes without the lock, as the holder of the role.
fn with_stream(
    state: &mut MutexGuard<'_, State>,
    write: impl FnOnce(&dyn Stream) -> io::Result<usize>,
) -> io::Result<usize> {
    // Taken out and put back: that is quicker than counting one owner more for every message.
    let stream = state.writers_stream.take().expect("one writes at a time, and only until the connection is gone");
    state.in_flight = true;
    let (stream, result) = MutexGuard::unlocked(state, || {
        let result = write(&*stream);
        (stream, result)
    });
    state.writers_stream = Some(stream);
    state.in_flight = false;
    result
}

impl State {
    /// Whether there is something to write for an outbox that is not over.
    fn has_work(&self) -> bool {
        matches!(self.stage, Stage::Open | Stage::Closing) && !self.queue.is_empty()
    }

    /// Leaves messages in the queue from now on.
    fn cork(&mut self) -> Step {
        self.queued_in_tick = 0;
        self.written_in_tick = 0;
        self.corked = true;
        if mem::replace(&mut self.ticking, true) { Step::Nothing } else { Step::Tick }
    }

    fn uncork(&mut self) {
        self.corked = false;
        self.ticking = false;
        self.pace.reset();
        self.queue.shrink();
    }

    /// Gives the role up when there is nothing more to write.
    fn lay_down(&mut self, coalesce: bool) -> Step {
        let from_background = mem::replace(&mut self.writer, Writer::Nobody) == Writer::Background;
        if from_background && coalesce && self.stage == Stage::Open && self.queued_in_tick >= RUSH {
            // The rush has gone on while the stream was slow.
            return self.cork();
        }
        if !self.corked {
            if self.pace.is_measuring() {
                self.pace.wrote(now());
            }
            self.queue.shrink();
        }
        Step::Nothing
    }

    /// Passes the role to the background; the caller of the outbox starts it.
    fn hand_over(&mut self) -> Step {
        if self.writer != Writer::Background {
            self.writer = Writer::Background;
            self.progress = now();
            self.queued_in_tick = 0;
            // The background writes all there is, so nothing is left for a tick.
            self.corked = false;
        }
        Step::HandOver { watched: mem::replace(&mut self.watched, true) }
    }
}

//! The role of writing: who takes it, how it passes on, and when messages are left to be joined.
//!
//! ```text
//! a message, nobody writes ─▶ write_or_cork ─▶ write_unless_tight ─▶ write_direct ─┐
//! something was queued ─────▶ write_or_leave ─┐                                    ▼
//! write_ready ────────────────────────────────┴▶ take_role ─▶ write_rounds ───▶ go_on ─▶ lay_down, finish, hand_over
//! pump_turn, tick ──────────────────────────────────────────▶ │         ▲          │
//!                                                             ▼         └──────────┘
//! try_stuck, write_blocking ─────────────────────────────▶ write_once
//! ```

use std::io;
use std::mem;

use super::attempt::Mode;
use super::background::Progress;
use super::budget::Purpose;
use super::{Locked, Outbox, Refused, Stage, State, Step, Writer};
use crate::connection::pump::Tick;
use crate::settings::OVERHEAD;
use crate::stats::time_of;
use crate::sync::{Ordering, now};

/// How many writes a sender makes for others before it leaves the rest to them, or to the background.
pub(super) const WRITES_PER_SENDER: usize = 8;

impl Outbox {
    /// Writes what waits if nobody does, corked or not.
    pub(crate) fn write_ready(&self) -> Step {
        let state = self.lock();
        if state.queue.is_empty() { Step::Nothing } else { self.take_role(state) }
    }

    /// One write of the pump's; whether the stream takes no more and the pump has to go on. Not when the role has been
    /// laid down before the pump was given the stream, by [`try_stuck`](Self::try_stuck).
    pub(crate) fn pump_turn(&self) -> (bool, Step) {
        let state = self.lock();
        if state.writer != Writer::Background {
            return (false, Step::Nothing);
        }
        match self.write_rounds(state, 1) {
            Step::HandOver { .. } if self.writes_directly() => (true, Step::Nothing),
            step => (false, step),
        }
    }

    /// The pump's look at a corked outbox: writes what has been left for a tick.
    pub(crate) fn tick(&self) -> (Tick, Step) {
        let mut state = self.lock();
        if state.stage != Stage::Open || !state.rush.is_on() {
            state.rush.end();
            state.rush.forget_tick();
            return (Tick::Done, Step::Nothing);
        }
        if state.writer != Writer::Nobody {
            state.rush.forget_tick();
            return (Tick::Later, Step::Nothing);
        }
        let tick = state.rush.tick();
        if tick == Tick::Done {
            state.queue.shrink();
        }
        if tick == Tick::Later || state.queue.is_empty() {
            return (tick, Step::Nothing);
        }
        state.writer = Writer::Caller;
        (tick, self.write_rounds(state, WRITES_PER_SENDER))
    }

    /// The writing thread of a stream that cannot be polled, which holds the role from its first need to the end.
    pub(crate) fn write_blocking(&self) -> Step {
        let mut state = self.state.lock();
        state.background.has_thread = true;
        loop {
            match state.stage {
                Stage::Finished | Stage::Dead => return Step::Nothing,
                Stage::Open | Stage::Closing if state.has_work() => {
                    if let Err(error) = self.write_once(&mut state, Mode::Blocking) {
                        return self.fail(state, error);
                    }
                }
                Stage::Open => {
                    state.queue.shrink();
                    state.wait(&self.changed);
                }
                Stage::Closing => {
                    if self.finish(&mut state) {
                        return Step::Finished;
                    }
                }
            }
        }
    }

    /// Since when the background has been stuck, and how often that has been asked, this time included; `None` when it
    /// has nothing to do.
    pub(crate) fn look_whether_stuck(&self) -> Option<Progress> {
        let mut state = self.state.lock();
        if state.is_stuck() {
            return Some(state.background.note_look());
        }
        state.background.watched = false;
        None
    }

    /// Writes of the pump's to a stream that is not known to be ready: systems call one ready long after it takes bytes
    /// again. Several, so that all that was free is used, and what is taken the next time has been made free by the
    /// peer. Whether the pump has to wait for it no longer, because all is written.
    pub(crate) fn try_stuck(&self) -> (bool, Step) {
        let mut state = self.state.lock();
        let before = (state.account.holds(), state.tally.written.bytes);
        let progress = state.background.progress();
        let mut result = Ok(());
        let mut tries = 0;
        while tries < WRITES_PER_SENDER && result.is_ok() && state.is_stuck() {
            result = self.write_once(&mut state, Mode::Direct);
            tries += 1;
        }
        if before == (state.account.holds(), state.tally.written.bytes) {
            state.background.take_back(progress);
        }
        match result {
            Err(error) if !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Unsupported) => {
                (false, self.fail(state, error))
            }
            // What is sent next is not left to the system's word either.
            _ if tries > 0 && state.stage == Stage::Open && !state.has_work() => {
                (true, state.lay_down(self.rules.coalesce))
            }
            // What follows is left to the background's turn.
            _ => (false, Step::Nothing),
        }
    }

    /// Sends a message when nobody writes: at once, or together with others in a rush.
    #[inline]
    pub(super) fn write_or_cork(&self, mut state: Locked<'_>, message: &[u8]) -> Result<Step, Refused> {
        let len = self.rules.len_of(message);
        let (bytes, charged) = (state.queue.bytes() + len, state.queue.charged() + len + OVERHEAD);
        let may_wait = self.rules.coalesce && !state.is_much(bytes, charged);
        // Where there is no memory for it to wait in, it is written like a lone one.
        if may_wait && state.rush.is_on() && state.append(&self.rules, message, Purpose::Queue).is_ok() {
            state.open_lane(&self.rules);
            return Ok(Step::Nothing);
        }
        self.write_unless_tight(state, message, may_wait)
    }

    #[inline(never)]
    fn write_unless_tight(&self, mut state: Locked<'_>, message: &[u8], may_wait: bool) -> Result<Step, Refused> {
        let heard = time_of(self.since, self.heard.load(Ordering::Relaxed));
        let time = heard.unwrap_or_else(now);
        if heard.is_some() {
            self.heard.store(0, Ordering::Relaxed);
            state.rush.pace.answers();
        } else if may_wait
            && state.rush.pace.is_tight(time)
            && state.append(&self.rules, message, Purpose::Queue).is_ok()
        {
            return Ok(state.cork());
        }
        self.write_direct(state, message, time)
    }

    /// After something was queued: writes it here if nobody else does, and it need not wait for more.
    #[inline]
    pub(super) fn write_or_leave(&self, state: Locked<'_>) -> Step {
        let is_left = match state.writer {
            Writer::Caller => true,
            // The pump carries on, and its progress is watched.
            Writer::Background => state.background.watched && !state.background.has_thread,
            Writer::Nobody => self.may_wait(&state),
        };
        if !is_left {
            return self.take_role(state);
        }
        state.open_lane(&self.rules);
        Step::Nothing
    }

    /// Whether what is queued is left there for a while.
    fn may_wait(&self, state: &State) -> bool {
        let much = state.is_much(state.queue.bytes(), state.queue.charged());
        state.rush.is_on() && state.stage == Stage::Open && !much
    }

    pub(super) fn take_role(&self, mut state: Locked<'_>) -> Step {
        match state.writer {
            Writer::Caller => Step::Nothing,
            Writer::Background => {
                self.changed.notify_all();
                let watched = mem::replace(&mut state.background.watched, true);
                if watched { Step::Nothing } else { Step::Watch }
            }
            Writer::Nobody if state.writes_directly => {
                state.writer = Writer::Caller;
                state.rush.note_written();
                self.write_rounds(state, WRITES_PER_SENDER)
            }
            Writer::Nobody => state.hand_over(),
        }
    }

    /// Writes without blocking, as the holder of the role, until nothing is left that should be written now, the stream
    /// takes no more, or `writes` are used up. Writes at least once if there is anything.
    fn write_rounds(&self, mut state: Locked<'_>, writes: usize) -> Step {
        if state.has_work() {
            if let Err(error) = self.write_once(&mut state, Mode::Direct) {
                return self.stop(state, error);
            }
        }
        self.go_on(state, writes - 1)
    }

    /// After a write: [goes on](Self::write_rounds), or lays the role down.
    pub(super) fn go_on(&self, mut state: Locked<'_>, writes: usize) -> Step {
        if !state.has_work() {
            if state.stage != Stage::Closing {
                return state.lay_down(self.rules.coalesce);
            }
            return if self.finish(&mut state) { Step::Finished } else { state.hand_over() };
        }
        if state.account.holds() {
            return state.hand_over();
        }
        if state.writer == Writer::Caller && self.may_wait(&state) {
            state.writer = Writer::Nobody;
            return Step::Nothing;
        }
        if writes > 0 {
            return self.write_rounds(state, writes);
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
    pub(super) fn stop(&self, mut state: Locked<'_>, error: io::Error) -> Step {
        match error.kind() {
            io::ErrorKind::WouldBlock => state.hand_over(),
            io::ErrorKind::Unsupported => {
                state.writes_directly = false;
                state.hand_over()
            }
            _ => self.fail(state, error),
        }
    }
}

impl State {
    /// Whether there is something to write, or to be handed on by the stream, for an outbox that is not over.
    pub(super) fn has_work(&self) -> bool {
        matches!(self.stage, Stage::Open | Stage::Closing) && (self.account.holds() || !self.queue.is_empty())
    }

    /// Whether the background has something to write for an outbox that takes more.
    fn is_stuck(&self) -> bool {
        self.writer == Writer::Background && self.stage == Stage::Open && self.has_work()
    }

    /// Leaves messages in the queue from now on.
    fn cork(&mut self) -> Step {
        if self.rush.begin() { Step::Tick } else { Step::Nothing }
    }

    /// Gives the role up when there is nothing more to write.
    fn lay_down(&mut self, coalesce: bool) -> Step {
        let from_background = mem::replace(&mut self.writer, Writer::Nobody) == Writer::Background;
        if from_background && coalesce && self.stage == Stage::Open && self.rush.goes_on() {
            // The rush has gone on while the stream was slow.
            return self.cork();
        }
        if !self.rush.is_on() {
            if self.rush.pace.is_measuring() {
                self.rush.pace.wrote(now());
            }
            self.queue.shrink();
        }
        Step::Nothing
    }

    /// Passes the role to the background; the caller of the outbox starts it.
    fn hand_over(&mut self) -> Step {
        if self.writer != Writer::Background {
            self.writer = Writer::Background;
            self.background.note_progress(now());
            // The background writes all there is, so nothing is left for a tick.
            self.rush.pause();
        }
        Step::HandOver { watched: mem::replace(&mut self.background.watched, true) }
    }
}

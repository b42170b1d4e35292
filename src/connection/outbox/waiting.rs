//! Who waits for what becomes of an outbox.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::room::OUTCOME_PATIENCE;
use super::{Flushed, Outbox, Stage, State};
use crate::sync::now;

impl Outbox {
    /// Blocks until all that had been accepted before is written, or dropped by the rule for full queues; at most until
    /// `deadline`. The caller has seen to it that [somebody writes](Self::write_ready).
    pub(crate) fn wait_flushed(&self, deadline: Instant) -> Flushed {
        let mut state = self.lock();
        let last = state.intervals.last_due();
        let parked = |state: &State| last.map_or(0, |last| state.intervals.parked_until(last));
        while parked(&state) > 0 {
            if state.wait_until(&self.changed, deadline) && parked(&state) > 0 {
                let left = parked(&state) + state.queue.bytes();
                return Flushed::TimedOut { left };
            }
        }
        let number = state.queue.next_number();
        state.account.begin_flush(number);
        let left = |state: &State| if state.stage == Stage::Dead { 0 } else { state.account.left(number) };
        let mut timed_out = false;
        while left(&state) > 0 && !timed_out {
            timed_out = state.wait_until(&self.changed, deadline);
        }
        let left = left(&state);
        state.account.end_flush(number);
        match left {
            0 if state.stage == Stage::Dead => Flushed::Lost,
            0 => Flushed::Written,
            left => Flushed::TimedOut { left: usize::try_from(left).unwrap_or(usize::MAX) },
        }
    }

    /// What a write has failed with. Waits for the outcome of one under way, unless it may block.
    pub(crate) fn failure(&self) -> Option<Arc<io::Error>> {
        let mut state = self.state.lock();
        while state.in_flight && !state.background.has_thread {
            state.wait(&self.changed);
        }
        state.failure.clone()
    }

    /// Blocks until nothing more will be written.
    pub(crate) fn wait_until_over(&self) {
        let mut state = self.state.lock();
        while !state.is_over() {
            state.wait(&self.changed);
        }
    }

    /// Blocks until nothing more will be written, and what waited is given back; not for long, because no more than a
    /// write under way can be in between.
    pub(crate) fn wait_until_given_up(&self) {
        let mut state = self.state.lock();
        let deadline = now() + OUTCOME_PATIENCE;
        while !state.is_over() && !state.wait_until(&self.changed, deadline) {}
    }
}

//! Rushes: what is sent one right after the other is left for a moment, to be joined.

use std::time::Duration;

use super::pace::Pace;
use crate::connection::pump::Tick;

/// How many messages in one tick keep a rush up.
pub(crate) const RUSH: usize = 8;

/// Whether there is one, and what came of it since the last tick of the pump's. Pure: no lock, no clock.
#[derive(Debug)]
pub(crate) struct Rush {
    pub(crate) pace: Pace,
    is_on: bool,
    /// Whether the pump ticks: while the rush is on, and up to one tick longer.
    ticks: bool,
    /// Messages queued, and batches written by those who queue, since the last tick.
    queued: usize,
    written: usize,
}

impl Rush {
    /// `tight` and `long`: as for [`Pace::new`].
    pub(crate) fn new(tight: u32, long: Duration) -> Self {
        Self { pace: Pace::new(tight, long), is_on: false, ticks: false, queued: 0, written: 0 }
    }

    /// Whether messages are left for a moment.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.is_on
    }

    /// Leaves messages from now on; whether somebody has to let the pump tick.
    #[must_use]
    pub(crate) fn begin(&mut self) -> bool {
        self.forget_tick();
        self.is_on = true;
        !std::mem::replace(&mut self.ticks, true)
    }

    #[inline]
    pub(crate) fn note_queued(&mut self, messages: usize) {
        self.queued += messages;
    }

    #[inline]
    pub(crate) fn note_written(&mut self) {
        self.written += 1;
    }

    /// Whether so much was queued since the last tick, or since [`pause`](Self::pause), that it would go on.
    #[inline]
    pub(crate) fn goes_on(&self) -> bool {
        self.queued >= RUSH
    }

    /// Leaves nothing any more, for a writer that writes all there is. What is queued meanwhile is counted.
    pub(crate) fn pause(&mut self) {
        self.queued = 0;
        self.is_on = false;
    }

    /// At a tick that has nothing to say.
    #[inline]
    pub(crate) fn forget_tick(&mut self) {
        self.queued = 0;
        self.written = 0;
    }

    /// At a tick: ends a rush that does not go on. Of one that does, there is nothing to write when those who queue
    /// have written: what waits has been waiting for less than a tick.
    pub(crate) fn tick(&mut self) -> Tick {
        let tick = match (self.goes_on(), self.written) {
            (false, _) => Tick::Done,
            (true, 0) => Tick::Soon,
            (true, _) => Tick::Later,
        };
        self.forget_tick();
        if tick == Tick::Done {
            self.end();
            self.pace.reset();
        }
        tick
    }

    /// Nothing is left any more, and the pump ticks no more.
    pub(crate) fn end(&mut self) {
        self.is_on = false;
        self.ticks = false;
    }
}

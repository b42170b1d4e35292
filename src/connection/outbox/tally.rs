//! What has gone through an outbox, in numbers, under its lock.

use std::time::Instant;

use super::queue::Amount;
use super::{Outbox, Stage, State};
use crate::settings::OVERHEAD;
use crate::stats::{Traffic, Volume};

/// What was accepted and could not be written any more, and what was dropped for want of room, so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lost {
    pub(crate) unsent: Volume,
    pub(crate) dropped: Volume,
}

/// What else is counted than what is [lost](Lost). Without the goodbye, but for `written`, which counts what has
/// been written of it until the queue is given up.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) accepted: Volume,
    pub(super) written: Volume,
    pub(super) rejected: Volume,
    pub(super) conflated: Volume,
    pub(super) expired: Volume,
    pub(super) filtered: Volume,
    pub(super) writes: u64,
    pub(super) last_written: Option<Instant>,
    /// The most that has been charged at once, as far as [noted](State::note_peak).
    peak: usize,
}

impl Outbox {
    /// The numbers of this moment: those of sending.
    pub(crate) fn traffic(&self) -> Traffic {
        let state = self.lock();
        let goodbye = self.rules.framing.goodbye().len();
        let Tally { accepted, rejected, conflated, expired, filtered, writes, last_written, .. } = state.tally;
        let Lost { unsent, dropped } = state.lost;
        let mut written = state.tally.written;
        let mut waiting = state.waiting();
        if state.goodbye_queued {
            let left = state.goodbye_left(goodbye);
            waiting.messages -= u64::from(left > 0);
            waiting.bytes -= left as u64;
            written.messages -= u64::from(left == 0);
            written.bytes -= (goodbye - left) as u64;
        }
        Traffic {
            accepted,
            written,
            waiting,
            unsent,
            dropped,
            rejected,
            conflated,
            expired,
            filtered,
            writes,
            queued_bytes: if state.stage == Stage::Dead { 0 } else { state.charged() },
            peak_queued_bytes: state.tally.peak.max(state.charged()),
            last_written,
            ..Traffic::default()
        }
    }
}

impl State {
    /// Before something leaves the queue: the one moment at which there may have been more than ever.
    pub(super) fn note_peak(&mut self) {
        self.tally.peak = self.tally.peak.max(self.charged());
    }

    /// How much of the goodbye that was queued, behind everything else, is not written.
    pub(super) fn goodbye_left(&self, goodbye: usize) -> usize {
        goodbye.min(self.queue.bytes())
    }

    /// What is in the queue, the goodbye included, and what is being written besides.
    fn waiting(&self) -> Volume {
        let Amount { messages, bytes } = self.intervals.amount();
        let waiting = Volume::new(self.queue.messages() + messages, self.queue.bytes() + bytes);
        match self.direct_charge.checked_sub(OVERHEAD) {
            // What a newcomer is about to get has not been accepted yet.
            Some(direct) if !self.joining => waiting + Volume::new(1, direct),
            _ => waiting,
        }
    }
}

//! How long the peer may keep the reader waiting, for a message that has begun or for anything at all, and how much of
//! a message it has sent.

use std::time::{Duration, Instant};

use super::Link;
use crate::connection::pump::Deadline;
use crate::error::DisconnectCause;
use crate::sync::later;
use crate::transport::socket::poll::has_unread;

/// What the reader is waiting for. While a callback runs it is not waiting, and no time counts. Times are in [live
/// time](crate::connection::pump::Pump::live).
///
/// A peer whose time is over is looked at a second time [a moment later](TURN), and is not ended while the reader has
/// not had its turn: what ends the silence may have arrived long ago.
#[derive(Debug, Default)]
pub(super) struct Receiving {
    /// Since when there has been an unfinished message.
    begun: Option<Instant>,
    /// How many bytes of it there are.
    unfinished: usize,
    /// How many chunks have left something unfinished.
    chunks: u64,
    /// Once its time is over: how many there were by then.
    overdue: Option<u64>,
    /// Whether the pump has an alarm that will look at `begun`.
    watched: bool,
    /// Since when nothing has arrived. Only while the idle time-out is on.
    silent_since: Option<Instant>,
    /// Whether that has been for too long.
    silent_for_too_long: bool,
}

/// How long the reader has for its turn before a silent peer is looked at again. Long beside what it takes a thread to
/// get the processor, and short beside any time-out.
pub(crate) const TURN: Duration = Duration::from_millis(50);

impl Link {
    /// A chunk has left `len` bytes of an unfinished message behind. Its time runs from the first chunk that did.
    pub(crate) fn note_unfinished(&self, len: usize) {
        let mut receiving = self.receiving.lock();
        receiving.unfinished = len;
        receiving.chunks += 1;
        if receiving.begun.is_some() {
            return;
        }
        receiving.begun = Some(self.engine.pump.live());
        let watched = std::mem::replace(&mut receiving.watched, true);
        drop(receiving);
        if !watched {
            self.watch_for(Deadline::PartialMessage, self.engine.settings.timeouts.partial_message_timeout);
        }
    }

    /// What was unfinished is whole now, or of no interest any more.
    pub(crate) fn note_finished(&self) {
        let mut receiving = self.receiving.lock();
        receiving.begun = None;
        receiving.overdue = None;
        receiving.unfinished = 0;
    }

    /// How many bytes of an unfinished message there are.
    pub(crate) fn unfinished(&self) -> usize {
        self.receiving.lock().unfinished
    }

    /// The idle time-out, where it is on, begins to run.
    pub(crate) fn watch_idle(&self) {
        if let Some(timeout) = self.engine.settings.idle_timeout {
            self.receiving.lock().silent_since = Some(self.engine.pump.live());
            self.watch_for(Deadline::Idle, timeout);
        }
    }

    /// Something has arrived, and is about to be delivered.
    pub(crate) fn note_arrival(&self) {
        if self.engine.settings.idle_timeout.is_some() {
            let mut receiving = self.receiving.lock();
            receiving.silent_since = None;
            receiving.silent_for_too_long = false;
        }
    }

    /// All that has arrived is delivered.
    pub(crate) fn note_silence(&self) {
        if self.engine.settings.idle_timeout.is_some() {
            self.receiving.lock().silent_since = Some(self.engine.pump.live());
        }
    }

    /// For a message that has begun: ends the connection when its time is over, or tells when that will be.
    pub(super) fn check_partial_message(&self, now: Instant) -> Option<Instant> {
        let timeout = self.engine.settings.timeouts.partial_message_timeout;
        let is_unread = self.has_unread();
        {
            let mut receiving = self.receiving.lock();
            let Some(begun) = receiving.begun else {
                receiving.watched = false;
                return None;
            };
            let at = later(begun, timeout);
            if at > now {
                return Some(at);
            }
            let chunks = receiving.chunks;
            // Reading more of the same message is no reason to wait on.
            if receiving.overdue.replace(chunks).is_none_or(|before| before == chunks && is_unread) {
                return Some(later(now, TURN));
            }
        }
        self.close(DisconnectCause::PartialMessageTimeout { timeout });
        None
    }

    /// Ends the connection when nothing has arrived for too long, or tells when to look again.
    pub(super) fn check_idle(&self, now: Instant) -> Option<Instant> {
        let timeout = self.engine.settings.idle_timeout?;
        if self.is_discarding() {
            return None;
        }
        let is_unread = self.has_unread();
        {
            let mut receiving = self.receiving.lock();
            // While something is being delivered, silence begins later than now.
            let at = later(receiving.silent_since.unwrap_or(now), timeout);
            if at > now {
                return Some(at);
            }
            if !std::mem::replace(&mut receiving.silent_for_too_long, true) || is_unread {
                return Some(later(now, TURN));
            }
        }
        self.close(DisconnectCause::IdleTimeout { timeout });
        None
    }

    /// Whether something has arrived that the reader has not taken, as far as the stream can tell.
    pub(super) fn has_unread(&self) -> bool {
        self.outbox.stream().is_some_and(|stream| has_unread(&*stream))
    }
}

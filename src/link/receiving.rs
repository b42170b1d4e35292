//! How long the peer may keep the reader waiting, for a message that has begun or for anything at all, and how much of
//! a message it has sent.

use std::time::Instant;

use super::Link;
use crate::config::later;
use crate::disconnect::{DisconnectReason, Undelivered};
use crate::pump::Deadline;

/// What the reader is waiting for. While a callback runs it is not waiting, and no time counts.
#[derive(Debug, Default)]
pub(super) struct Receiving {
    /// Since when there has been an unfinished message.
    begun: Option<Instant>,
    /// How many bytes of it there are.
    unfinished: usize,
    /// Whether the pump has an alarm that will look at `begun`.
    watched: bool,
    /// Since when nothing has arrived. Only while the idle time-out is on.
    silent_since: Option<Instant>,
}

impl Link {
    /// A chunk has left `len` bytes of an unfinished message behind. Its time runs from the first chunk that did.
    pub(crate) fn note_unfinished(&self, len: usize) {
        let mut receiving = self.receiving.lock();
        receiving.unfinished = len;
        if receiving.begun.is_some() {
            return;
        }
        let now = Instant::now();
        receiving.begun = Some(now);
        let watched = std::mem::replace(&mut receiving.watched, true);
        drop(receiving);
        if !watched {
            self.watch_for(Deadline::PartialMessage, later(now, self.context.settings.partial_message_timeout));
        }
    }

    /// What was unfinished is whole now, or of no interest any more.
    pub(crate) fn note_finished(&self) {
        let mut receiving = self.receiving.lock();
        receiving.begun = None;
        receiving.unfinished = 0;
    }

    /// How many bytes of an unfinished message there are.
    pub(crate) fn unfinished(&self) -> usize {
        self.receiving.lock().unfinished
    }

    /// The idle time-out, where it is on, begins to run.
    pub(crate) fn watch_idle(&self) {
        if let Some(timeout) = self.context.settings.idle_timeout {
            let now = Instant::now();
            self.receiving.lock().silent_since = Some(now);
            self.watch_for(Deadline::Idle, later(now, timeout));
        }
    }

    /// Something has arrived, and is about to be delivered.
    pub(crate) fn note_arrival(&self) {
        if self.context.settings.idle_timeout.is_some() {
            self.receiving.lock().silent_since = None;
        }
    }

    /// All that has arrived is delivered.
    pub(crate) fn note_silence(&self) {
        if self.context.settings.idle_timeout.is_some() {
            self.receiving.lock().silent_since = Some(Instant::now());
        }
    }

    /// For a message that has begun: ends the connection when its time is over, or tells when that will be.
    pub(super) fn check_partial_message(&self, now: Instant) -> Option<Instant> {
        let timeout = self.context.settings.partial_message_timeout;
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
        }
        self.end(DisconnectReason::PartialMessageTimeout { timeout, undelivered: Undelivered::default() });
        None
    }

    /// Ends the connection when nothing has arrived for too long, or tells when to look again.
    pub(super) fn check_idle(&self, now: Instant) -> Option<Instant> {
        let timeout = self.context.settings.idle_timeout?;
        if self.is_discarding() {
            return None;
        }
        // While something is being delivered, silence begins later than now.
        let at = later(self.receiving.lock().silent_since.unwrap_or(now), timeout);
        if at > now {
            return Some(at);
        }
        self.end(DisconnectReason::IdleTimeout { timeout, undelivered: Undelivered::default() });
        None
    }
}

//! Whether the peer's system answers what is written to it, as far as the stream can tell.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Link;
use crate::connection::pump::Deadline;
use crate::error::DisconnectCause;
use crate::sync::{Mutex, later};

/// How often it is asked within the time that the peer has.
const LOOKS: u32 = 4;

/// What is known of the answers. Atomics of the standard library, also in models: nothing is decided by them there.
#[derive(Debug)]
pub(super) struct Answering {
    /// Whether the pump has an alarm that will ask, or there is none to be had.
    watched: AtomicBool,
    /// When the last answer came, or later, in live time; not before something was written that had to be answered.
    since: Mutex<Instant>,
}

impl Answering {
    pub(super) fn new(timeout: Option<Duration>, since: Instant) -> Self {
        Self { watched: AtomicBool::new(timeout.is_none()), since: Mutex::new(since) }
    }
}

impl Link {
    /// Something may have been written, which has to be answered.
    #[inline]
    pub(super) fn await_answer(&self) {
        if !self.answering.watched.load(Ordering::SeqCst) {
            self.watch_answer();
        }
    }

    #[cold]
    fn watch_answer(&self) {
        let Some(timeout) = self.engine.settings.timeouts.dead_peer_timeout else { return };
        if !self.answering.watched.swap(true, Ordering::SeqCst) {
            *self.answering.since.lock() = self.engine.pump.live();
            self.watch_for(Deadline::Answer, timeout / LOOKS);
        }
    }

    /// Ends the connection when its peer's system has not answered for too long, or tells when to ask again: only
    /// while something is unanswered.
    pub(super) fn check_answer(&self, now: Instant) -> Option<Instant> {
        let timeout = self.engine.settings.timeouts.dead_peer_timeout?;
        if self.is_closed() {
            return None;
        }
        let stream = self.outbox.stream()?;
        let again = later(now, timeout / LOOKS);
        // Before it is asked: what is written from now on has an alarm of its own.
        self.answering.watched.store(false, Ordering::SeqCst);
        let unanswered = match stream.unanswered_for() {
            Ok(None) => return None,
            Ok(Some(time)) => Some(time),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                self.answering.watched.store(true, Ordering::SeqCst);
                return None;
            }
            Err(_) => None,
        };
        if self.answering.watched.swap(true, Ordering::SeqCst) {
            return None;
        }
        let Some(unanswered) = unanswered else { return Some(again) };
        let mut since = self.answering.since.lock();
        if now.checked_sub(unanswered).is_some_and(|answered| answered > *since) {
            *since = now;
        }
        let gone_at = later(*since, timeout);
        drop(since);
        if gone_at > now {
            return Some(gone_at.min(again));
        }
        let message = format!("the peer's system has not answered for {timeout:?}");
        self.abort(DisconnectCause::io(io::Error::new(io::ErrorKind::TimedOut, message)));
        None
    }
}

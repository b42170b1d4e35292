//! How a connection ends: its causes, its steps, and until when each may last.

use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Instant;

use log::Level;

use super::{Link, TURN};
use crate::connection::log_limits::Topic;
use crate::connection::outbox::Lost;
use crate::connection::pump::Deadline;
use crate::error::{DisconnectCause, DisconnectReason, Undelivered};
use crate::sync::user_code::log;
use crate::sync::{Ordering, later};

/// How much of what comes behind a message that is too long, or not finished in time, or behind the goodbye, is thrown
/// away for the goodbye to reach the peer: as much as one message may have, but no less than this, in bytes.
const LEAST_DISCARDED: usize = 64 * 1024;

/// An end under way: why, and until when each step may last, in [live time](crate::connection::pump::Pump::live).
pub(super) struct Ending {
    cause: DisconnectCause,
    /// When it began.
    since: Instant,
    /// Whether it was a failed write: a goodbye that the peer had sent before explains it better.
    write_failed: bool,
    flush_by: Instant,
    /// Set when everything is written: how long the peer is given to close its side.
    drain_by: Option<Instant>,
    close_by: Instant,
    /// How many bytes have arrived since, and were thrown away.
    discarded: usize,
    /// Everything is written, and the time is over that the peer had to close its side.
    is_overdue: bool,
    /// It had not said all by then.
    talks_on: bool,
}

impl Link {
    /// Begins a regular end for `cause`: what is queued, the goodbye, the end of the stream. False when there was a
    /// cause already.
    pub(crate) fn close(&self, cause: DisconnectCause) -> bool {
        if !self.begin_end(cause, false) {
            return false;
        }
        self.engine.broadcast_batch.settle();
        let step = self.outbox.close();
        self.watch_for(Deadline::Sending, self.engine.settings.closing.flush_timeout);
        self.follow(step);
        true
    }

    /// Ends the connection at once for `cause`.
    pub(crate) fn abort(&self, cause: DisconnectCause) {
        self.begin_end(cause, false);
        // Also when a regular end is under way: it is over now.
        self.give_up();
    }

    /// When the end began.
    pub(crate) fn ended_since(&self) -> Option<Instant> {
        self.ending.lock().as_ref().map(|ending| ending.since)
    }

    /// Whether what still arrives is to be thrown away.
    pub(crate) fn is_discarding(&self) -> bool {
        self.discarding.load(Ordering::Acquire)
    }

    /// Whether the end began because of a message that is not whole, so that its reason tells how much of it there was.
    pub(crate) fn ends_for_unfinished(&self) -> bool {
        self.ending.lock().as_ref().is_some_and(|ending| ending.cause.is_unfinished_message())
    }

    /// Whether nothing more will be written although not everything was: there is no point in reading on.
    pub(crate) fn is_given_up(&self) -> bool {
        self.outbox.is_over() && !self.outbox.is_finished()
    }

    /// Tells that a closing peer has sent so many bytes more, which were thrown away. It is still there, and so gets
    /// more time to read what was sent to it, unless it is closed because it sends without end. One that is closed for
    /// what it sends is given up when there is much more of it; then this is false.
    pub(crate) fn note_discarded(&self, count: usize) -> bool {
        let settings = &self.engine.settings;
        if let Some(Ending { cause, drain_by, close_by, discarded, is_overdue, talks_on, .. }) =
            &mut *self.ending.lock()
        {
            *talks_on |= *is_overdue;
            *discarded = discarded.saturating_add(count);
            if !cause.is_what_came() || *discarded <= settings.max_received_len.max(LEAST_DISCARDED) {
                if let Some(drain_by) = drain_by.as_mut().filter(|_| !cause.is_unfinished_message()) {
                    *drain_by = later(self.engine.pump.live(), settings.closing.drain_timeout).min(*close_by);
                }
                return true;
            }
        }
        self.give_up();
        false
    }

    /// The server has said that it refuses this client, which explains every end that is nobody's fault.
    pub(crate) fn note_refusal(&self, refusal: DisconnectCause) {
        use DisconnectCause::{LocalClose, PeerGoodbye, ServiceClosed};
        if let Some(Ending { cause, write_failed, .. }) = &mut *self.ending.lock() {
            if *write_failed || matches!(cause, PeerGoodbye | LocalClose | ServiceClosed) {
                *cause = refusal;
            }
        }
    }

    /// The reader's last step: waits until nothing more is written, lets the stream go, and settles the reason.
    pub(crate) fn retire(&self, unfinished_bytes: usize) -> &DisconnectReason {
        self.calls.end();
        self.outbox.wait_until_over();
        if self.outbox.is_finished() {
            self.part();
        }
        self.engine.broadcast_batch.end();
        let Lost { mut unsent, dropped } = self.outbox.retire();
        let cause = self.ending.lock().as_ref().map(|ending| ending.cause.clone());
        let cause = cause.expect("the reader stops only after an end has begun");
        if matches!(cause, DisconnectCause::NotLetIn) {
            // It was thrown away there.
            unsent += self.outbox.traffic().written;
        }
        let reason = DisconnectReason::new(cause, Undelivered { unfinished_bytes, unsent, dropped });
        let is_fault = reason.cause.is_fault();
        let level = if is_fault && self.engine.may_log(Topic::Dropped) { Level::Warn } else { Level::Debug };
        let fate = if is_fault { "dropped" } else { "ended" };
        log!(level, "connection {} {} {fate}: {reason:#}", self.id, self.peer);
        self.reason.get_or_init(|| reason)
    }

    /// Notes the cause of the end; false when there was one already.
    fn begin_end(&self, cause: DisconnectCause, write_failed: bool) -> bool {
        let settings = &self.engine.settings;
        let now = self.engine.pump.live();
        let mut ending = self.ending.lock();
        let is_first = match &mut *ending {
            None => {
                *ending = Some(Ending {
                    cause,
                    since: Instant::now(),
                    write_failed,
                    flush_by: later(now, settings.closing.flush_timeout),
                    drain_by: None,
                    close_by: later(now, settings.closing.close_timeout),
                    discarded: 0,
                    is_overdue: false,
                    talks_on: false,
                });
                self.discarding.store(!write_failed, Ordering::Release);
                true
            }
            Some(ending) => {
                if ending.write_failed && matches!(cause, DisconnectCause::PeerGoodbye) {
                    ending.cause = cause;
                }
                // What arrives after a failed write is delivered, but nothing behind a second cause.
                if !write_failed {
                    self.discarding.store(true, Ordering::Release);
                }
                false
            }
        };
        drop(ending);
        if self.is_discarding() {
            self.calls.end();
        }
        is_first
    }

    /// Gives up what is queued, and the stream with it.
    fn give_up(&self) {
        if !self.outbox.abort() {
            if let Some(ending) = &mut *self.ending.lock() {
                ending.is_overdue = true;
            }
            return self.shut_down();
        }
        if let Some(stream) = self.outbox.stream() {
            // Fails when the stream is broken already; the reader is about to see that.
            let _ = stream.abort();
        }
        // The pump may be waiting for this stream, and hold it.
        self.engine.pump.let_go(self.id.0);
    }

    /// The end of a stream to which everything is written. A peer that still talks when its time is over may be waiting
    /// for room, and systems neither tell it that there is some again nor, for a minute, that this is the end. Where its
    /// system has got all that was written, a reset tells it, the same that meets anything more that it sends.
    fn part(&self) {
        let talks_on = self.ending.lock().as_ref().is_some_and(|ending| ending.talks_on);
        match self.outbox.stream().filter(|stream| talks_on && stream.system_queued_bytes().is_ok_and(|len| len == 0)) {
            Some(stream) => drop(stream.abort()),
            None => self.shut_down(),
        }
    }

    /// Ends both halves of the stream, behind what was written.
    fn shut_down(&self) {
        if let Some(stream) = self.outbox.stream() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// For a connection that ends: acts on its deadline, and tells when to ask again.
    pub(super) fn check_ending(&self, now: Instant) -> Option<Option<Instant>> {
        let (at, close_by) = {
            let ending = self.ending.lock();
            let ending = ending.as_ref()?;
            // Until everything is written, what the peer sends is no reason to wait.
            (ending.drain_by.unwrap_or(ending.flush_by), ending.drain_by.map_or(now, |_| ending.close_by))
        };
        if at > now {
            return Some(Some(at));
        }
        // What ends it may be there already.
        if close_by > now && self.has_unread() {
            return Some(Some(later(now, TURN)));
        }
        self.give_up();
        Some(None)
    }

    /// Everything is written: the peer has a little time to close its side, unless it was ended for its silence. Of
    /// such a peer nothing is on its way that could cost it the goodbye, and waiting would only tell of its end later.
    pub(super) fn begin_drain(&self) {
        let time = self.engine.settings.closing.drain_timeout;
        let drain_by = later(self.engine.pump.live(), time);
        let mut is_silent = false;
        if let Some(ending) = &mut *self.ending.lock() {
            ending.drain_by = Some(drain_by.min(ending.close_by));
            is_silent = ending.cause.is_silence();
        }
        if is_silent {
            return self.shut_down();
        }
        self.watch_for(Deadline::Sending, time);
    }

    /// The stream has ended without a goodbye.
    pub(crate) fn end_with_stream(&self) {
        // Of a reset the system tells one call only: where that was a write, it tells the reader of an end.
        if !self.fail_with_write() {
            self.close(DisconnectCause::PeerClosed);
        }
    }

    /// A read has failed; what looks cut off may be reset, as in [`end_with_stream`](Self::end_with_stream).
    pub(crate) fn fail_with_read(&self, error: Arc<io::Error>) {
        if error.kind() != io::ErrorKind::UnexpectedEof {
            self.abort(DisconnectCause::io(error));
        } else if !self.fail_with_write() {
            self.abort(DisconnectCause::Truncated);
        }
    }

    /// Ends the connection if a write has failed; whether one has.
    pub(super) fn fail_with_write(&self) -> bool {
        self.outbox.failure().map(|error| self.fail(error)).is_some()
    }

    pub(super) fn fail(&self, error: impl Into<Arc<io::Error>>) {
        self.begin_end(DisconnectCause::io(error), true);
        self.give_up();
    }
}

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Traffic, Volume};
use crate::sync::wide::AtomicU64;

/// What one connection's reader has received. Only the reader counts, so that storing is enough; anybody may look.
///
/// On a cache line of its own, because those who send read what lies beside it.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Received {
    since: Instant,
    messages: AtomicU64,
    bytes: AtomicU64,
    /// Nanoseconds after `since`; 0 before the first read.
    last: AtomicU64,
}

impl Received {
    pub(crate) fn new(since: Instant) -> Self {
        Self { since, messages: AtomicU64::new(0), bytes: AtomicU64::new(0), last: AtomicU64::new(0) }
    }

    /// A message of `len` bytes, separator included, is about to be delivered.
    #[inline]
    pub(crate) fn count(&self, len: usize) {
        // The bytes first, so that nobody sees a message without them.
        self.bytes.store(self.bytes.load(Ordering::Relaxed) + len as u64, Ordering::Relaxed);
        self.messages.store(self.messages.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    /// Whether there has been no message.
    pub(crate) fn is_empty(&self) -> bool {
        self.messages.load(Ordering::Relaxed) == 0
    }

    /// A read has brought something, at `now`.
    pub(crate) fn note_read(&self, now: Instant) {
        self.last.store(nanos_since(self.since, now), Ordering::Relaxed);
    }

    /// Fills in what this knows.
    pub(crate) fn add_to(&self, traffic: &mut Traffic) {
        let messages = self.messages.load(Ordering::Acquire);
        traffic.received += Volume { messages, bytes: self.bytes.load(Ordering::Relaxed) };
        traffic.last_received = time_of(self.since, self.last.load(Ordering::Relaxed));
    }
}

/// A time as it fits into an atomic: nanoseconds, at least 1, so that 0 can stand for none.
pub(crate) fn nanos_since(since: Instant, time: Instant) -> u64 {
    let nanos = time.saturating_duration_since(since).as_nanos();
    u64::try_from(nanos).unwrap_or(u64::MAX).max(1)
}

/// The time that [`nanos_since`] has made `nanos` of; `None` for 0.
pub(crate) fn time_of(since: Instant, nanos: u64) -> Option<Instant> {
    if nanos == 0 { None } else { since.checked_add(Duration::from_nanos(nanos)) }
}

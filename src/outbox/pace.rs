//! Whether sends come one right after the other.

use std::time::{Duration, Instant};

/// A pause between two writes that is shorter than this is none: whoever sends does nothing else. An answer that waits
/// for its question never follows so closely, because the question has to cross the wire.
const NO_PAUSE: Duration = Duration::from_micros(5);

/// After how many writes without a pause they are better joined. Until then each is written at once, which is the
/// quickest for a few.
const TIGHT: u32 = 16;

/// Follows the writes of one sender, or of several as if they were one.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    last: Option<Instant>,
    streak: u32,
}

impl Pace {
    /// Before a write: whether it comes at the end of a tight loop's worth of others.
    pub(crate) fn is_tight(&mut self, now: Instant) -> bool {
        let follows = self.last.is_some_and(|last| now.saturating_duration_since(last) < NO_PAUSE);
        self.streak = if follows { self.streak + 1 } else { 0 };
        self.streak >= TIGHT
    }

    /// After a write.
    pub(crate) fn wrote(&mut self, now: Instant) {
        self.last = Some(now);
    }

    /// Begins anew.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }
}

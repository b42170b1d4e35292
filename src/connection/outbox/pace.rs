//! Whether sends come one right after the other.

use std::time::{Duration, Instant};

/// A pause between two writes that is shorter than this is none: the sender does nothing else. An answer that waits
/// for its question does not follow so closely, because the question has to cross the wire.
const NO_PAUSE: Duration = Duration::from_micros(2);

/// A pause that is no longer than this may be the scheduler's doing, now and then.
const SHORT_PAUSE: Duration = Duration::from_micros(100);

/// A pause that is shorter than this part of the time that writing takes is none either, because writing is what the
/// sender's time goes into.
const PART_OF_WRITE: u32 = 16;

/// Follows the writes of one sender, or of several as if they were one.
#[derive(Debug)]
pub(crate) struct Pace {
    /// After how many writes without a pause they are better joined. Until then each is written at once, which is the
    /// quickest for a few.
    tight: u32,
    /// How long one has to take to be as good as all of these.
    long: Duration,
    streak: u32,
    begun: Option<Instant>,
    ended: Option<Instant>,
}

impl Pace {
    pub(crate) fn new(tight: u32, long: Duration) -> Self {
        Self { tight, long, streak: 0, begun: None, ended: None }
    }

    /// Before a write: whether it comes at the end of a tight loop's worth of others.
    pub(crate) fn is_tight(&mut self, now: Instant) -> bool {
        if let (Some(begun), Some(ended)) = (self.begun, self.ended) {
            let writing = ended.saturating_duration_since(begun);
            let pause = now.saturating_duration_since(ended);
            if pause < NO_PAUSE.max(writing / PART_OF_WRITE) {
                self.streak += 1;
                if writing >= self.long {
                    self.streak = self.streak.max(self.tight);
                }
            } else if pause < SHORT_PAUSE {
                self.streak = self.streak.saturating_sub(1);
            } else {
                self.streak = 0;
            }
        }
        self.begun = Some(now);
        self.ended = None;
        self.streak >= self.tight
    }

    /// Before a write that comes behind something received: that is no loop, and nothing is measured.
    pub(crate) fn answers(&mut self) {
        self.streak = self.streak.saturating_sub(1);
        self.begun = None;
    }

    /// Somebody else is about to write in between: that is not measured.
    pub(crate) fn interrupt(&mut self) {
        self.begun = None;
    }

    /// Whether the time at which the write ends is of interest.
    pub(crate) fn is_measuring(&self) -> bool {
        self.begun.is_some()
    }

    /// After a write.
    pub(crate) fn wrote(&mut self, now: Instant) {
        self.ended = Some(now);
    }

    /// Begins anew.
    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.tight, self.long);
    }
}

#[cfg(test)]
mod tests;

//! When each message is due: a place in the recording, and the moment at which it is reached.
//!
//! ```text
//!   due = anchor + (position - position at the anchor) / rate
//! ```
//!
//! Deadlines are counted from the anchor, so that no wait adds to the next one's error. A pause, or another rate, sets
//! another anchor.

use std::time::{Duration, Instant};

/// A moment that nobody will see, for what would be later than the clock can tell.
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Positions are nanoseconds from the beginning of what is played.
#[derive(Debug)]
pub(crate) struct Schedule {
    anchor: Instant,
    position: u64,
    rate: f64,
    is_paused: bool,
}

impl Schedule {
    /// At this position now, and going on at so many seconds a second.
    pub(crate) fn new(now: Instant, position: u64, rate: f64) -> Self {
        Self { anchor: now, position, rate, is_paused: false }
    }

    /// When a position is reached; `None` while it is paused.
    pub(crate) fn due(&self, position: u64) -> Option<Instant> {
        if self.is_paused {
            return None;
        }
        let nanoseconds = position.saturating_sub(self.position) as f64 / self.rate;
        // Whole nanoseconds as far as they are exact, which is for a hundred days.
        let ahead = if nanoseconds < 1e18 { Duration::from_nanos(nanoseconds as u64) } else { NEVER };
        self.anchor.checked_add(ahead).or_else(|| self.anchor.checked_add(NEVER))
    }

    /// Where it is at this moment.
    pub(crate) fn position(&self, now: Instant) -> u64 {
        if self.is_paused {
            return self.position;
        }
        let passed = now.saturating_duration_since(self.anchor).as_nanos() as f64 * self.rate;
        // Saturates.
        self.position.saturating_add(passed as u64)
    }

    pub(crate) fn rate(&self) -> f64 {
        self.rate
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.is_paused
    }

    pub(crate) fn set_rate(&mut self, now: Instant, rate: f64) {
        self.set_anchor(now);
        self.rate = rate;
    }

    pub(crate) fn pause(&mut self, now: Instant) {
        self.set_anchor(now);
        self.is_paused = true;
    }

    pub(crate) fn go_on(&mut self, now: Instant) {
        self.set_anchor(now);
        self.is_paused = false;
    }

    /// Is at another position now.
    pub(crate) fn jump(&mut self, now: Instant, position: u64) {
        self.anchor = now;
        self.position = position;
    }

    /// For so long nothing went on, without anybody having paused it.
    pub(crate) fn stood_still(&mut self, time: Duration) {
        self.anchor = self.anchor.checked_add(time).unwrap_or(self.anchor);
    }

    fn set_anchor(&mut self, now: Instant) {
        self.position = self.position(now);
        self.anchor = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn deadlines_are_counted_from_the_beginning() {
        let start = Instant::now();
        let schedule = Schedule::new(start, 5 * SECOND, 2.0);
        assert_eq!(schedule.due(5 * SECOND), Some(start));
        assert_eq!(schedule.due(0), Some(start));
        assert_eq!(schedule.due(7 * SECOND), Some(start + seconds(1.0)));
        // A week of messages at 1 kHz is not a nanosecond off.
        let week = 7 * 24 * 3600;
        assert_eq!(schedule.due((5 + 2 * week) * SECOND + 2), Some(start + Duration::from_nanos(week * SECOND + 1)));
        assert_eq!(schedule.position(start + seconds(1.5)), 8 * SECOND);
    }

    #[test]
    fn a_pause_moves_what_is_behind_it() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, 0, 1.0);
        schedule.pause(start + seconds(2.0));
        assert_eq!(schedule.due(3 * SECOND), None);
        assert_eq!(schedule.position(start + seconds(9.0)), 2 * SECOND);
        schedule.go_on(start + seconds(10.0));
        assert_eq!(schedule.due(3 * SECOND), Some(start + seconds(11.0)));
        schedule.stood_still(seconds(5.0));
        assert_eq!(schedule.due(3 * SECOND), Some(start + seconds(16.0)));
    }

    #[test]
    fn another_rate_holds_from_here_on() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, 0, 1.0);
        schedule.set_rate(start + seconds(4.0), 0.5);
        assert_eq!(schedule.due(5 * SECOND), Some(start + seconds(6.0)));
        schedule.pause(start + seconds(6.0));
        schedule.jump(start + seconds(7.0), 8 * SECOND);
        schedule.set_rate(start + seconds(8.0), 4.0);
        schedule.go_on(start + seconds(9.0));
        assert_eq!(schedule.due(12 * SECOND), Some(start + seconds(10.0)));
    }

    #[test]
    fn what_is_too_far_is_never_due() {
        let start = Instant::now();
        let schedule = Schedule::new(start, 0, 0.001);
        assert_eq!(schedule.due(u64::MAX), Some(start + NEVER));
        assert_eq!(Schedule::new(start, u64::MAX, 1000.0).position(start + NEVER), u64::MAX);
    }
}

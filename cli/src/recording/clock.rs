//! The clock of a recording, which never jumps.
//!
//! A vehicle's computer has often no clock of its own, and learns the time from the network in the middle of a drive.
//! So the wall clock is read once, at the beginning, and from there on time goes on as it does for the processor. Where
//! the wall clock goes another way is noted.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How far the wall clock may be from where it was last noted to be: more than a network corrects in a minute.
const TOLERANCE: Duration = Duration::from_millis(100);

/// Times in nanoseconds since 1970.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    start: u64,
    since: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { start: nanos(SystemTime::now()), since: Instant::now() }
    }

    /// When it was started.
    pub(crate) fn started(&self) -> u64 {
        self.start
    }

    pub(crate) fn now(&self) -> u64 {
        self.start + self.since.elapsed().as_nanos() as u64
    }
}

fn nanos(time: SystemTime) -> u64 {
    // A clock before 1970 was never set.
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64
}

/// Notices where the wall clock goes another way.
#[derive(Debug, Default)]
pub(crate) struct Drift {
    noted: i64,
}

impl Drift {
    /// How far the wall clock is before the time of a recording, in nanoseconds, if that has changed.
    pub(crate) fn check(&mut self, time: u64, wall: SystemTime) -> Option<i64> {
        let offset = nanos(wall) as i64 - time as i64;
        if offset.abs_diff(self.noted) < TOLERANCE.as_nanos() as u64 {
            return None;
        }
        self.noted = offset;
        Some(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_with_the_wall_clock_and_never_goes_back() {
        let clock = Clock::start();
        let mut last = clock.started();
        assert!(nanos(SystemTime::now()).abs_diff(last) < 60_000_000_000);
        for _ in 0..1000 {
            let now = clock.now();
            assert!(now >= last);
            last = now;
        }
    }

    #[test]
    fn each_step_of_the_wall_clock_is_noted_once() {
        const SECOND: u64 = 1_000_000_000;
        let wall = |millis: i64| UNIX_EPOCH + Duration::from_millis((1_795_897_762_000 + millis) as u64);
        let time = |seconds| 1_795_897_762 * SECOND + seconds * SECOND;
        let mut drift = Drift::default();
        assert_eq!(drift.check(time(0), wall(0)), None);
        assert_eq!(drift.check(time(1), wall(1_099)), None);
        assert_eq!(drift.check(time(1), wall(1_100)), Some(100_000_000));
        assert_eq!(drift.check(time(2), wall(2_150)), None);
        // An hour back.
        assert_eq!(drift.check(time(3), wall(3_000 - 3_600_000)), Some(-3_600_000_000_000));
        assert_eq!(drift.check(time(4), wall(4_000 - 3_600_000)), None);
        assert_eq!(drift.check(time(5), wall(5_000)), Some(0));
        assert_eq!(drift.check(time(6), UNIX_EPOCH - Duration::from_secs(1)), Some(-(time(6) as i64)));
    }
}

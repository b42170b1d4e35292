//! Live time, by the clock of the pump's that knows when the process has stood still.

use std::time::{Duration, Instant};

use crate::sync::later;

/// How much later than it meant to the pump may wake before the process is taken to have stood still.
const LATE: Duration = Duration::from_millis(50);

/// By what live time is behind.
#[derive(Default)]
pub(super) struct Clock {
    /// For how long the process has stood still since the start.
    stood_still: Duration,
    /// Until when the pump sleeps, unless it is woken.
    sleeps_until: Option<Instant>,
}

impl Clock {
    /// How much later it is than the pump would sleep if the process had not stood still since it fell asleep.
    fn late(&self, now: Instant) -> Duration {
        let late = self.sleeps_until.map_or(Duration::ZERO, |until| now.saturating_duration_since(until));
        if late > LATE { late } else { Duration::ZERO }
    }

    pub(super) fn live(&self, now: Instant) -> Instant {
        now.checked_sub(self.stood_still + self.late(now)).unwrap_or(now)
    }

    pub(super) fn fall_asleep(&mut self, timeout: Option<Duration>) {
        self.sleeps_until = timeout.map(|timeout| later(Instant::now(), timeout));
    }

    /// Notes for how long the process has stood still meanwhile; what time it is.
    pub(super) fn wake_up(&mut self) -> (Instant, Instant) {
        let now = Instant::now();
        self.stood_still += self.late(now);
        self.sleeps_until = None;
        (now, self.live(now))
    }
}

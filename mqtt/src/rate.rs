//! How fast the backlog may go. Is handed the time, and has no clock.

use std::time::{Duration, Instant};

/// So much of a second's share may go at once, after nothing has gone for as long.
const BURST: f64 = 0.25;

/// Lets so many bytes through in a second. What goes is known only when it has gone, so the next one waits for it.
#[derive(Debug)]
pub(crate) struct Rate {
    per_second: f64,
    /// How many bytes may go now; less than 0 where more have gone.
    open: f64,
    at: Instant,
}

impl Rate {
    pub(crate) fn new(per_second: u64, now: Instant) -> Self {
        let per_second = per_second as f64;
        Self { per_second, open: per_second * BURST, at: now }
    }

    /// When the next bytes may go: now, or later.
    pub(crate) fn opens_at(&mut self, now: Instant) -> Instant {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.open = (self.open + passed * self.per_second).min(self.per_second * BURST);
        self.at = self.at.max(now);
        if self.open > 0.0 {
            return now;
        }
        // Some more, so that it is open then, however times are rounded.
        let wait = Duration::try_from_secs_f64(-self.open / self.per_second).unwrap_or(Duration::from_secs(3600));
        now + wait.min(Duration::from_secs(3600)) + Duration::from_micros(100)
    }

    /// So many bytes have gone.
    pub(crate) fn take(&mut self, bytes: usize) {
        self.open -= bytes as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_bytes_go_in_a_second_however_long_each_message_is() {
        for len in [1, 100, 1000, 5000] {
            let begin = Instant::now();
            let (mut rate, mut now, mut sent) = (Rate::new(1000, begin), begin, 0);
            while now < begin + Duration::from_secs(100) {
                match rate.opens_at(now) {
                    at if at > now => now = at,
                    _ => {
                        rate.take(len);
                        sent += len;
                    }
                }
            }
            assert!((99_000..=100_250 + len).contains(&sent), "{len}: {sent}");
        }
    }

    #[test]
    fn what_has_not_gone_for_long_does_not_go_at_once() {
        let begin = Instant::now();
        let mut rate = Rate::new(1000, begin);
        let later = begin + Duration::from_secs(1000);
        assert_eq!(rate.opens_at(later), later);
        rate.take(250);
        assert!(rate.opens_at(later) > later);
    }
}

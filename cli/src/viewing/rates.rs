//! How many a second, over the last two.

use std::collections::VecDeque;

/// Over how long, in nanoseconds.
const WINDOW: u64 = 2_000_000_000;

/// Counters, as they were at some moments.
#[derive(Debug, Default)]
pub(super) struct Rates<const N: usize> {
    seen: VecDeque<(u64, [u64; N])>,
}

impl<const N: usize> Rates<N> {
    /// How many a second each has risen, now that they are so high.
    pub(super) fn see(&mut self, now: u64, counters: [u64; N]) -> [f64; N] {
        // The last one that is older than the window is where it begins.
        while self.seen.get(1).is_some_and(|(time, _)| now.saturating_sub(*time) >= WINDOW) {
            self.seen.pop_front();
        }
        let (since, before) = self.seen.front().copied().unwrap_or((now, counters));
        if self.seen.back().is_none_or(|(time, _)| *time < now) {
            self.seen.push_back((now, counters));
        }
        let seconds = now.saturating_sub(since) as f64 / 1e9;
        let mut rates = [0.0; N];
        for ((rate, now), before) in rates.iter_mut().zip(counters).zip(before) {
            if seconds > 0.0 {
                *rate = now.saturating_sub(before) as f64 / seconds;
            }
        }
        rates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_those_of_the_last_two_seconds() {
        const QUARTER: u64 = 250_000_000;
        let mut rates = Rates::default();
        assert_eq!(rates.see(0, [0]), [0.0]);
        assert_eq!(rates.see(QUARTER, [25]), [100.0]);
        for quarter in 2..40 {
            assert_eq!(rates.see(quarter * QUARTER, [quarter * 25]), [100.0]);
        }
        assert!(rates.seen.len() <= 10);
        let last: Vec<_> = (40..50).map(|quarter| rates.see(quarter * QUARTER, [39 * 25])[0]).collect();
        assert!(last.windows(2).all(|pair| pair[0] >= pair[1]), "{last:?}");
        assert_eq!(last[9], 0.0);
        // A clock that stands still, or goes back.
        assert_eq!(rates.see(49 * QUARTER, [39 * 25]), [0.0]);
        assert_eq!(rates.see(0, [0]), [0.0]);
    }
}

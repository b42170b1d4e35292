//! How long to wait before connecting again: pure arithmetic, and a little chance.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use crate::service::callback::Attempt;

/// Delays that are drawn from 0 to a cap, which doubles each time until it is the longest: *full jitter*, so that many
/// clients of one server do not come back at the same moment, however they lost it.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    /// Attempts since the last reset.
    made: u32,
    chance: Chance,
}

impl Backoff {
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, made: 0, chance: Chance::new() }
    }

    /// How many attempts there were since the last reset.
    pub(crate) fn made(&self) -> u32 {
        self.made
    }

    pub(crate) fn next_attempt(&mut self) -> Attempt {
        let delay = share(cap(self.first, self.longest, self.made), self.chance.draw());
        self.made = self.made.saturating_add(1);
        Attempt { number: self.made, delay }
    }

    /// Begins anew, with the first delay.
    pub(crate) fn reset(&mut self) {
        self.made = 0;
    }
}

/// The longest delay of the attempt that comes after `made` others.
fn cap(first: Duration, longest: Duration, made: u32) -> Duration {
    let doubled = 2_u32.checked_pow(made).and_then(|factor| first.checked_mul(factor));
    doubled.map_or(longest, |cap| cap.min(longest))
}

/// As large a share of 0 to `cap`, both included, as `drawn` is of all numbers.
fn share(cap: Duration, drawn: u64) -> Duration {
    // A cap of more than 584 years is as good as that.
    let steps = u128::from(u64::try_from(cap.as_nanos()).unwrap_or(u64::MAX)) + 1;
    let nanos = (u128::from(drawn) * steps) >> 64;
    Duration::from_nanos(u64::try_from(nanos).expect("less than the steps, which are at most 2^64"))
}

/// Numbers that differ from client to client: SplitMix64, from a seed that the standard library draws for its hash
/// maps.
#[derive(Debug)]
struct Chance {
    state: u64,
}

impl Chance {
    fn new() -> Self {
        Self { state: RandomState::new().hash_one(()) }
    }

    /// Steele, Lea and Flood: Fast splittable pseudorandom number generators, 2014.
    fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(250);
    const LONGEST: Duration = Duration::from_secs(30);

    #[test]
    fn the_cap_doubles_up_to_the_longest() {
        let caps: Vec<_> = (0..9).map(|made| cap(FIRST, LONGEST, made).as_millis()).collect();
        assert_eq!(caps, [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
        for made in [31, 32, 33, u32::MAX] {
            assert_eq!(cap(FIRST, LONGEST, made), LONGEST);
            assert_eq!(cap(Duration::MAX, Duration::MAX, made), Duration::MAX);
            assert_eq!(
                cap(Duration::from_nanos(1), Duration::MAX, made.min(31)),
                Duration::from_nanos(1 << made.min(31))
            );
        }
        assert_eq!(cap(LONGEST, LONGEST, 0), LONGEST);
    }

    #[test]
    fn a_share_reaches_both_ends_and_never_leaves_them() {
        for cap in [Duration::ZERO, Duration::from_nanos(1), FIRST, LONGEST, Duration::from_nanos(u64::MAX)] {
            assert_eq!(share(cap, 0), Duration::ZERO);
            assert_eq!(share(cap, u64::MAX), cap);
        }
        assert_eq!(share(LONGEST, 1 << 63), LONGEST / 2);
        assert_eq!(share(Duration::MAX, u64::MAX), Duration::from_nanos(u64::MAX));
    }

    #[test]
    fn attempts_are_counted_from_one_and_anew_after_a_reset() {
        let mut backoff = Backoff::new(FIRST, LONGEST);
        for _ in 0..2 {
            for number in 1..=20 {
                let attempt = backoff.next_attempt();
                assert_eq!(attempt.number, number);
                assert!(attempt.delay <= cap(FIRST, LONGEST, number - 1), "{attempt:?}");
                assert_eq!(backoff.made(), number);
            }
            backoff.reset();
        }
    }

    /// Of 100,000 delays each tenth of the range gets its tenth, within 5 %: some 18 standard deviations.
    #[test]
    fn delays_are_spread_evenly_over_the_whole_range() {
        let mut tenths = [0_u32; 10];
        // From many clients, of which each draws its first delay, and from one that draws them all.
        let mut one = Chance::new();
        let many = (0..50_000).map(|_| Chance::new().draw());
        for drawn in many.chain((0..50_000).map(|_| one.draw())) {
            let delay = share(FIRST, drawn);
            let tenth = delay.as_nanos() * 10 / (FIRST.as_nanos() + 1);
            tenths[usize::try_from(tenth).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|count| count.abs_diff(10_000) < 500), "{tenths:?}");
    }

    #[test]
    fn clients_draw_differently() {
        let mut first: Vec<_> = (0..1_000).map(|_| Backoff::new(FIRST, LONGEST).next_attempt().delay).collect();
        first.sort();
        first.dedup();
        assert!(first.len() > 990, "{} different delays of 1,000", first.len());
    }
}

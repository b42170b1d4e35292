//! How late messages were, in little memory however many there are.

use std::time::Duration;

/// Buckets for each power of two, so that a figure is at most 3% too high.
const FINE: u32 = 5;
const BUCKETS: usize = 64 << FINE;

/// Lateness of all messages, by size.
#[derive(Debug)]
pub(crate) struct Lateness {
    counts: Box<[u64]>,
    count: u64,
    max: Duration,
}

impl Default for Lateness {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS].into(), count: 0, max: Duration::ZERO }
    }
}

impl Lateness {
    pub(crate) fn add(&mut self, late: Duration) {
        self.counts[bucket(u64::try_from(late.as_nanos()).unwrap_or(u64::MAX))] += 1;
        self.count += 1;
        self.max = self.max.max(late);
    }

    pub(crate) fn max(&self) -> Duration {
        self.max
    }

    /// What so many of a hundred messages were not later than; `None` where there are none.
    pub(crate) fn percentile(&self, percent: u64) -> Option<Duration> {
        let rank = (self.count * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        found.map(|bucket| Duration::from_nanos(highest(bucket)).min(self.max))
    }
}

/// The bucket of so many nanoseconds: one for each of the smallest numbers, then the power of two and the bits behind.
fn bucket(nanoseconds: u64) -> usize {
    let bits = u64::BITS - nanoseconds.leading_zeros();
    let shift = bits.saturating_sub(FINE + 1);
    ((shift as usize) << FINE) + (nanoseconds >> shift) as usize
}

/// The largest number of a bucket.
fn highest(bucket: usize) -> u64 {
    let shift = (bucket >> FINE).saturating_sub(1) as u32;
    let low = (bucket - ((shift as usize) << FINE)) as u64;
    ((u128::from(low) + 1) << shift).wrapping_sub(1).min(u64::MAX.into()) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn percentiles_are_those_of_the_messages() {
        let mut lateness = Lateness::default();
        assert_eq!(lateness.percentile(50), None);
        (1..=1000).for_each(|micros| lateness.add(Duration::from_micros(micros)));
        let near = |percent, micros: f64| {
            let found = lateness.percentile(percent).unwrap().as_secs_f64() * 1e6;
            assert!((micros..micros * 1.04).contains(&found), "{percent}: {found}");
        };
        near(50, 500.0);
        near(99, 990.0);
        assert_eq!(lateness.percentile(100), Some(Duration::from_millis(1)));
        assert_eq!(lateness.max(), Duration::from_millis(1));
    }

    proptest! {
        #[test]
        fn a_bucket_holds_what_is_alike(nanoseconds in prop_oneof![any::<u64>(), 0_u64..5000, Just(u64::MAX)]) {
            let bucket = bucket(nanoseconds);
            prop_assert!(bucket < BUCKETS);
            prop_assert!(highest(bucket) >= nanoseconds);
            prop_assert!(highest(bucket) as f64 <= nanoseconds as f64 * 1.04);
            prop_assert!(bucket == 0 || highest(bucket - 1) < nanoseconds);
        }
    }
}

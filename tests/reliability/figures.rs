//! What a figure is made of: times.

use std::fmt;
use std::time::Duration;

/// Times that something took.
#[derive(Debug, Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub(crate) fn merge(&mut self, other: Times) {
        self.0.extend(other.0);
    }

    /// The time within which so many of a thousand stayed.
    pub(crate) fn per_mille(&self, count: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = (sorted.len() * count).div_ceil(1000).max(1) - 1;
        sorted.get(at).copied().unwrap_or_default()
    }
}

/// As `p50 1.2ms, p99 3.4ms, longest 5.6ms of 100`.
impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, most, longest] = [500, 990, 1000].map(|count| self.per_mille(count));
        write!(f, "p50 {median:.1?}, p99 {most:.1?}, longest {longest:.1?} of {}", self.0.len())
    }
}

//! What a figure is made of: times, random choices that can be repeated, and what the system counts of this process.

use std::fmt;
use std::fs;
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

/// Numbers that look random, the same in every run (xorshift64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Less than `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 33) % limit as u64).unwrap()
    }
}

/// Threads and descriptors of this process.
pub(crate) fn threads_and_descriptors() -> (usize, usize) {
    // The folder that is being read is a descriptor too.
    let count = |folder| fs::read_dir(folder).unwrap().count();
    (count("/proc/self/task"), count("/proc/self/fd") - 1)
}

/// The memory of this process that is resident, in KiB.
pub(crate) fn resident_kib() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

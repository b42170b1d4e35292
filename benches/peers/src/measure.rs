//! Clocks, memory, and what many samples come to.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// Nanoseconds on a clock that all processes of a host share.
pub(crate) fn now() -> u64 {
    nanoseconds(ClockId::Monotonic)
}

fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Raises the limit of open descriptors as far as the system lets it be raised: idle connections take many.
pub(crate) fn lift_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// What this process has used so far.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// User and system time of all threads, those that have ended included, in nanoseconds.
    pub(crate) cpu: u64,
    /// Resident memory, and the most of it since the last [`Usage::begin`], in bytes.
    pub(crate) resident: u64,
    pub(crate) peak: u64,
    pub(crate) threads: u64,
}

impl Usage {
    pub(crate) fn read() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
        };
        Self {
            cpu: nanoseconds(ClockId::ProcessCPUTime),
            resident: field("VmRSS:") * 1024,
            peak: field("VmHWM:") * 1024,
            threads: field("Threads:"),
        }
    }

    /// Forgets earlier peaks of memory, and reads.
    pub(crate) fn begin() -> Self {
        // Where the system refuses, the peak includes what came before: held memory reads too high, never too low.
        let _ = fs::write("/proc/self/clear_refs", "5");
        Self::read()
    }
}

/// What many durations come to, in nanoseconds.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) samples: u64,
    pub(crate) p50: u64,
    pub(crate) p99: u64,
    pub(crate) p999: u64,
    pub(crate) max: u64,
}

impl Spread {
    pub(crate) fn of(mut samples: Vec<u64>) -> Option<Self> {
        samples.sort_unstable();
        let last = *samples.last()?;
        // The smallest sample that is not exceeded by more than the rest.
        let at = |part: f64| samples[((samples.len() as f64 * part).ceil() as usize).clamp(1, samples.len()) - 1];
        Some(Self { samples: samples.len() as u64, p50: at(0.5), p99: at(0.99), p999: at(0.999), max: last })
    }
}

/// The middle one; of an even number, the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        len if len % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

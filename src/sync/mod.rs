//! Locks and atomics, and the clock, as the outbound path uses them: those of `parking_lot` and `std`, or with
//! `--cfg loom` those of a model checker. The only place that knows of the difference.

#[cfg(all(test, loom))]
pub(crate) mod explore;
#[cfg_attr(loom, path = "modelled.rs")]
#[cfg_attr(not(loom), path = "real.rs")]
mod imp;
pub(crate) mod threads;
pub(crate) mod user_code;

use std::time::{Duration, Instant};

pub(crate) use imp::*;

/// `time` after `now`; a time too far ahead for the clock is as good as a year.
pub(crate) fn later(now: Instant, time: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365);
    now.checked_add(time).unwrap_or_else(|| now + FAR)
}

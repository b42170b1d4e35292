//! Locks and atomics, and the clock, as the outbound path uses them: those of `parking_lot` and `std`, or with
//! `--cfg loom` those of a model checker. The only place that knows of the difference.

#[cfg(all(test, loom))]
pub(crate) mod explore;
#[cfg_attr(loom, path = "modelled.rs")]
#[cfg_attr(not(loom), path = "real.rs")]
mod imp;
pub(crate) mod threads;
pub(crate) mod user_code;
pub(crate) mod wide;

use std::time::{Duration, Instant};

pub(crate) use imp::*;

/// Before something is tried again that another thread keeps for a moment only: lets some time pass, and more the more
/// often it has been tried. Not by a call of the system, unless that thread seems to have lost the processor.
#[cfg(not(loom))]
pub(crate) fn pause(tries: &mut u32) {
    const SPINS: u32 = 64;
    const REST: Duration = Duration::from_micros(50);
    if *tries < SPINS {
        (0..1 << (*tries).min(5)).for_each(|_| std::hint::spin_loop());
    } else {
        std::thread::sleep(REST);
    }
    *tries = tries.saturating_add(1);
}

#[cfg(loom)]
pub(crate) fn pause(_: &mut u32) {
    loom::thread::yield_now();
}

/// `time` after `now`; a time too far ahead for the clock, or to add anything to it, is as good as a year.
pub(crate) fn later(now: Instant, time: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365);
    now.checked_add(time).filter(|then| then.checked_add(FAR).is_some()).unwrap_or_else(|| now + FAR)
}

//! The locks, atomics and the clock of every program.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};

pub(crate) fn now() -> std::time::Instant {
    std::time::Instant::now()
}

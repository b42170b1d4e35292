//! The locks, atomics and the clock of every program.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};

pub(crate) use super::wide::AtomicU64;

pub(crate) fn now() -> std::time::Instant {
    std::time::Instant::now()
}

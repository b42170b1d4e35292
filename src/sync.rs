//! Locks and atomics, and the clock, as the outbound path uses them: those of `parking_lot` and `std`, or with
//! `--cfg loom` those of a model checker. The only place that knows of the difference.

pub(crate) use imp::*;

#[cfg(not(loom))]
mod imp {
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};

    pub(crate) fn now() -> std::time::Instant {
        std::time::Instant::now()
    }
}

/// The interface of `parking_lot` over the model checker's locks.
#[cfg(loom)]
mod imp {
    use std::ops::{Deref, DerefMut};
    use std::sync::OnceLock;
    use std::time::Instant;

    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    /// Time stands still: what depends on it would make executions differ from one run to the next.
    pub(crate) fn now() -> Instant {
        static NOW: OnceLock<Instant> = OnceLock::new();
        *NOW.get_or_init(Instant::now)
    }

    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            MutexGuard { mutex: self, guard: Some(self.0.lock().expect("no model goes on after a panic")) }
        }
    }

    pub(crate) struct MutexGuard<'a, T> {
        mutex: &'a Mutex<T>,
        /// Absent only while its holder waits, or works unlocked.
        guard: Option<loom::sync::MutexGuard<'a, T>>,
    }

    impl<T> MutexGuard<'_, T> {
        pub(crate) fn unlocked<R>(this: &mut Self, work: impl FnOnce() -> R) -> R {
            this.guard = None;
            let result = work();
            this.guard = this.mutex.lock().guard.take();
            result
        }
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.guard.as_ref().expect("the guard is used by its holder only")
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.guard.as_mut().expect("the guard is used by its holder only")
        }
    }

    #[derive(Debug, Default)]
    pub(crate) struct Condvar(loom::sync::Condvar);

    impl Condvar {
        pub(crate) fn new() -> Self {
            Self(loom::sync::Condvar::new())
        }

        pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
            let held = guard.guard.take().expect("the guard is used by its holder only");
            guard.guard = Some(self.0.wait(held).expect("no model goes on after a panic"));
        }

        /// Without the deadline: in a model nothing is ever late.
        pub(crate) fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, _: Instant) -> WaitResult {
            self.wait(guard);
            WaitResult
        }

        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }
    }

    pub(crate) struct WaitResult;

    impl WaitResult {
        pub(crate) fn timed_out(&self) -> bool {
            false
        }
    }
}

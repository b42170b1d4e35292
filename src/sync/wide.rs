//! A number of 64 bits that threads share: an atomic where the processor has one, and behind a lock elsewhere, as on
//! 32-bit MIPS and PowerPC, and on ARM before version 7.

#[cfg(not(target_has_atomic = "64"))]
pub(crate) use locked::AtomicU64;
#[cfg(target_has_atomic = "64")]
pub(crate) use std::sync::atomic::AtomicU64;

#[cfg(any(all(test, not(loom)), not(target_has_atomic = "64")))]
mod locked {
    use std::sync::atomic::Ordering;

    use parking_lot::Mutex;

    /// What is used of the atomic of this name. A lock orders more than any `Ordering` asks for.
    #[derive(Debug, Default)]
    pub(crate) struct AtomicU64(Mutex<u64>);

    impl AtomicU64 {
        pub(crate) const fn new(value: u64) -> Self {
            Self(Mutex::new(value))
        }

        pub(crate) fn load(&self, _: Ordering) -> u64 {
            *self.0.lock()
        }

        pub(crate) fn store(&self, value: u64, _: Ordering) {
            *self.0.lock() = value;
        }

        pub(crate) fn fetch_add(&self, value: u64, _: Ordering) -> u64 {
            let mut held = self.0.lock();
            let before = *held;
            *held = before.wrapping_add(value);
            before
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;
    use std::thread;

    use super::locked::AtomicU64;

    #[test]
    fn behind_a_lock_it_counts_like_an_atomic() {
        static NUMBER: AtomicU64 = AtomicU64::new(u64::MAX);
        assert_eq!((NUMBER.fetch_add(1, Relaxed), NUMBER.load(Relaxed)), (u64::MAX, 0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        NUMBER.fetch_add(1 << 32, Relaxed);
                    }
                });
            }
        });
        assert_eq!(NUMBER.load(Relaxed), 4000 << 32);
        NUMBER.store(7, Relaxed);
        assert_eq!(NUMBER.load(Relaxed), 7);
    }
}

//! How much all outboxes of a service may hold together.

use std::time::Instant;

use crate::sync::{AtomicUsize, Condvar, Mutex, Ordering};

/// A sum of bytes that is exceeded by little more than an eighth, and only for what is being written. What is shared by
/// several outboxes counts once.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    used: AtomicUsize,
    waiting: AtomicUsize,
    lock: Mutex<()>,
    room: Condvar,
}

/// What bytes are taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To wait in a queue.
    Queue,
    /// To be written at once. There is a little more room for that, so that a peer that takes what it is sent is served
    /// also while others have used everything up.
    Write,
}

/// How many bytes there were not: with that many, what asked for them would have gone on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lacking(pub(crate) usize);

impl Budget {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            used: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            lock: Mutex::new(()),
            room: Condvar::new(),
        }
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Takes `bytes`, to be given back; false when there are not so many left.
    #[must_use]
    pub(crate) fn take(&self, bytes: usize, purpose: Purpose) -> bool {
        let limit = self.limit_for(purpose);
        // Not added on trial: meanwhile others would be refused what there is room for.
        let with_it = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= limit);
        self.used.fetch_update(Ordering::SeqCst, Ordering::SeqCst, with_it).is_ok()
    }

    /// Whether `bytes` could be taken to wait in a queue.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.has_room_for(bytes, Purpose::Queue)
    }

    /// Whether `bytes` could be taken.
    pub(crate) fn has_room_for(&self, bytes: usize, purpose: Purpose) -> bool {
        self.used.load(Ordering::SeqCst).saturating_add(bytes) <= self.limit_for(purpose)
    }

    fn limit_for(&self, purpose: Purpose) -> usize {
        match purpose {
            Purpose::Queue => self.limit,
            Purpose::Write => self.limit.saturating_add(self.limit / 8),
        }
    }

    #[cfg(all(test, not(loom)))]
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::SeqCst)
    }

    /// Whether so little is used that there is some to keep for later.
    pub(crate) fn is_plentiful(&self) -> bool {
        self.used.load(Ordering::SeqCst) <= self.limit / 4
    }

    /// Takes `bytes` although there may not be so many left.
    pub(crate) fn take_anyway(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::SeqCst);
    }

    pub(crate) fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            drop(self.lock.lock());
            self.room.notify_all();
        }
    }

    /// Blocks until `bytes` could be taken, at most until `deadline`; whether they could.
    pub(crate) fn wait(&self, bytes: usize, deadline: Instant) -> bool {
        let mut lock = self.lock.lock();
        // Said before looking, as `give_back` gives before it looks, so that one of the two sees the other.
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let mut found = self.has_room(bytes);
        while !found && !self.room.wait_until(&mut lock, deadline).timed_out() {
            found = self.has_room(bytes);
        }
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        found || self.has_room(bytes)
    }
}

//! What the decoders of all connections of a service may hold together: unfinished messages, and the buffers that they
//! are read into.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::connection::Connection;
use crate::disconnect::{DisconnectReason, Undelivered};
use crate::link::Link;
use crate::outbox::{Budget, Purpose};

/// What each connection may hold besides, in bytes: enough for small messages, and for one read onto the stack behind
/// the longest message that the budget has room for.
const FREE: usize = 4 * 1024;

/// How long a connection waits for memory for its message when there is none, before it goes itself.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often it looks meanwhile whether it is ended for another reason.
const LOOK: Duration = Duration::from_millis(10);

pub(crate) struct Buffered {
    budget: Budget,
    /// Held by whoever ends a connection to make room.
    evicting: Mutex<()>,
}

impl Buffered {
    pub(crate) fn new(limit: usize) -> Self {
        Self { budget: Budget::new(limit), evicting: Mutex::new(()) }
    }

    /// When a connection that needs memory now has waited for long enough.
    pub(crate) fn deadline() -> Instant {
        Instant::now() + PATIENCE
    }

    /// Waits until there may be room for `bytes` more of the unfinished message of `asker`, and ends the connections
    /// that `longest` gives, one after the other; at `deadline` that of `asker`, and then it is false.
    pub(crate) fn find_room(
        &self,
        bytes: usize,
        asker: &Link,
        mut deadline: Instant,
        longest: impl Fn() -> Option<Connection>,
    ) -> bool {
        while !self.budget.has_room(bytes) {
            if asker.is_discarding() {
                return false;
            }
            if Instant::now() >= deadline {
                self.end(asker);
                return false;
            }
            if !self.evict(bytes, asker, deadline, &longest) {
                let before = Instant::now();
                self.budget.wait(bytes, before + LOOK);
                // The process has stood still, and whoever was to make room with it.
                if before.elapsed() > PATIENCE / 2 {
                    deadline = Self::deadline();
                }
            }
        }
        true
    }

    /// Ends the connection with the longest unfinished message, unless that is `asker`, and waits until its memory has
    /// come back; one at a time, so that no more have to go than it takes. Whether it is worth looking again at once.
    fn evict(&self, bytes: usize, asker: &Link, deadline: Instant, longest: impl Fn() -> Option<Connection>) -> bool {
        let Some(_turn) = self.evicting.try_lock() else { return false };
        if self.budget.has_room(bytes) {
            return true;
        }
        let Some(longest) = longest().filter(|longest| longest.id() != asker.id()) else { return false };
        self.end(longest.link());
        // Its reader gives the memory back before it settles the reason.
        while longest.disconnect_reason().is_none() && !asker.is_discarding() && Instant::now() < deadline {
            if self.budget.wait(bytes, Instant::now() + LOOK) {
                break;
            }
        }
        true
    }

    /// At once, because the memory comes back only when the end is over.
    fn end(&self, link: &Link) {
        let limit = self.budget.limit();
        link.cut(DisconnectReason::TotalUnfinishedBytes { limit, undelivered: Undelivered::default() });
    }
}

/// One decoder's share of the budget; given back when it is dropped. It follows the decoder's capacity, and costs
/// nothing while that does not change.
pub(crate) struct Held<'a> {
    budget: &'a Budget,
    /// What has been taken of it.
    charged: usize,
}

impl<'a> Held<'a> {
    pub(crate) fn new(buffered: &'a Buffered) -> Self {
        Self { budget: &buffered.budget, charged: 0 }
    }

    /// Takes what a decoder of this capacity needs, before it grows; false when there is not so much.
    pub(crate) fn cover(&mut self, capacity: usize) -> bool {
        let lacking = self.lacking(capacity);
        let covered = lacking == 0 || self.budget.take(lacking, Purpose::Queue);
        self.charged += if covered { lacking } else { 0 };
        covered
    }

    /// Like [`cover`](Self::cover), for a capacity that could be smaller: it leaves half the budget to those that could
    /// not.
    pub(crate) fn cover_ample(&mut self, capacity: usize) -> bool {
        let lacking = self.lacking(capacity);
        lacking == 0 || (self.budget.has_room(lacking.saturating_add(self.budget.limit() / 2)) && self.cover(capacity))
    }

    /// How much a decoder of this capacity needs more than has been taken.
    pub(crate) fn lacking(&self, capacity: usize) -> usize {
        capacity.saturating_sub(FREE).saturating_sub(self.charged)
    }

    /// The decoder has this capacity now: gives back what it does not need.
    pub(crate) fn settle(&mut self, capacity: usize) {
        let needed = capacity.saturating_sub(FREE);
        if needed < self.charged {
            self.budget.give_back(self.charged - needed);
        } else if needed > self.charged {
            // The allocator gave a little more than it was asked for.
            self.budget.take_anyway(needed - self.charged);
        }
        self.charged = needed;
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.settle(0);
    }
}

//! What the decoders of all connections of a service may hold together: unfinished messages, and the buffers that they
//! are read into.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::connection::outbox::{Budget, Purpose};

/// What each connection may hold besides, in bytes: enough for small messages, and for one read onto the stack behind
/// the longest message that the budget has room for.
const FREE: usize = 4 * 1024;

pub(crate) struct InboundBudget {
    pub(crate) budget: Budget,
    /// Whether a reader ends a connection to make room. No lock, because the stream may be the program's.
    evicting: AtomicBool,
}

impl InboundBudget {
    pub(crate) fn new(limit: usize) -> Self {
        Self { budget: Budget::new(limit), evicting: AtomicBool::new(false) }
    }

    /// A reader's turn to end a connection to make room; `None` while another has it.
    pub(crate) fn begin_evicting(&self) -> Option<Turn<'_>> {
        (!self.evicting.swap(true, Ordering::Acquire)).then_some(Turn(&self.evicting))
    }
}

/// Over when it is dropped.
pub(crate) struct Turn<'a>(&'a AtomicBool);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// One decoder's share of the budget; given back when it is dropped. It follows the decoder's capacity, and costs
/// nothing while that does not change.
pub(crate) struct InboundShare<'a> {
    budget: &'a Budget,
    /// What has been taken of it.
    charged: usize,
}

impl<'a> InboundShare<'a> {
    pub(crate) fn new(budget: &'a InboundBudget) -> Self {
        Self { budget: &budget.budget, charged: 0 }
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

impl Drop for InboundShare<'_> {
    fn drop(&mut self) {
        self.settle(0);
    }
}

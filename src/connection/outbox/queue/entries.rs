//! Room for the entries of a queue, which is taken from the budget like that of the messages.

use std::convert::Infallible;

use super::{ENTRY, FREE_ENTRIES, Queue};
use crate::connection::outbox::budget::{Budget, Lacking, Purpose};

impl Queue {
    /// Makes sure that there is room for so many entries more.
    #[inline]
    pub(crate) fn make_entries(&mut self, more: usize, purpose: Purpose) -> Result<(), Lacking> {
        let needed = self.sealed.len() + more;
        if needed <= self.sealed.capacity() {
            return Ok(());
        }
        self.grow(needed, |budget, bytes| if budget.take(bytes, purpose) { Ok(()) } else { Err(Lacking(bytes)) })
    }

    /// The same, where there is no way back.
    pub(super) fn make_entries_anyway(&mut self, more: usize) {
        let needed = self.sealed.len() + more;
        if needed > self.sealed.capacity() {
            let Ok(()) = self.grow(needed, |budget, bytes| {
                budget.take_anyway(bytes);
                Ok::<_, Infallible>(())
            });
        }
    }

    #[cold]
    fn grow<E>(&mut self, needed: usize, take: impl FnOnce(&Budget, usize) -> Result<(), E>) -> Result<(), E> {
        let capacity = needed.max(2 * self.sealed.capacity()).max(FREE_ENTRIES);
        let more = Self::entries_charge(capacity) - self.entries_reserved;
        if more > 0 {
            take(&self.budget, more)?;
        }
        self.entries_reserved += more;
        self.sealed.reserve_exact(capacity - self.sealed.len());
        Ok(())
    }

    /// Gives room for entries back of which most is not used.
    pub(super) fn shrink_entries(&mut self) {
        let capacity = self.sealed.capacity();
        if capacity > FREE_ENTRIES && self.sealed.len() <= capacity / 4 {
            self.sealed.shrink_to((capacity / 2).max(FREE_ENTRIES));
            let reserved = Self::entries_charge(self.sealed.capacity());
            self.budget.give_back(self.entries_reserved.saturating_sub(reserved));
            self.entries_reserved = reserved.min(self.entries_reserved);
        }
    }

    fn entries_charge(capacity: usize) -> usize {
        capacity.saturating_sub(FREE_ENTRIES) * ENTRY
    }
}

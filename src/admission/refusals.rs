//! Callers that are refused: how many, and why.

use parking_lot::Mutex;

use crate::error::RefusalCause;
use crate::stats::{Counts, RefusalKind};

/// How many callers have been refused since the start, by kind. Its lock is held for no more than that.
#[derive(Debug, Default)]
pub(crate) struct RefusalCounts {
    callers: Mutex<Counts<RefusalKind>>,
}

impl RefusalCounts {
    pub(crate) fn count(&self, kind: RefusalKind) {
        *self.callers.lock() += kind;
    }

    pub(crate) fn counts(&self) -> Counts<RefusalKind> {
        *self.callers.lock()
    }
}

/// For which causes callers have been refused: of each kind the last one, which has the facts.
#[derive(Debug, Default)]
pub(crate) struct LastCauses {
    last: [Option<RefusalCause>; RefusalKind::ALL.len()],
}

impl LastCauses {
    /// Returns the one before, to be dropped where no lock is held: what it holds may be the program's.
    #[must_use]
    pub(crate) fn note(&mut self, cause: RefusalCause) -> Option<RefusalCause> {
        let kind = cause.kind();
        self.last[kind as usize].replace(cause)
    }

    pub(crate) fn into_causes(self) -> impl Iterator<Item = RefusalCause> {
        self.last.into_iter().flatten()
    }
}

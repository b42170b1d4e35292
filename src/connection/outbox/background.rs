//! What there is to know of the background while it has the role of writing.

use std::time::Instant;

#[derive(Debug)]
pub(super) struct Background {
    /// Whether it is a thread of the connection's own, which has to be woken, and may block in writing.
    pub(super) has_thread: bool,
    /// Whether the pump has been asked to watch its progress.
    pub(super) watched: bool,
    progress: Progress,
}

/// When bytes last moved in the background, or had reason to, and how often it has been looked since.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    pub(crate) since: Instant,
    pub(crate) looks: u32,
}

impl Background {
    pub(super) fn new(time: Instant) -> Self {
        Self { has_thread: false, watched: false, progress: Progress { since: time, looks: 0 } }
    }

    #[inline]
    pub(super) fn note_progress(&mut self, time: Instant) {
        self.progress = Progress { since: time, looks: 0 };
    }

    pub(super) fn note_look(&mut self) -> Progress {
        self.progress.looks = self.progress.looks.saturating_add(1);
        self.progress
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress
    }

    /// What was noted since then was none.
    pub(super) fn take_back(&mut self, progress: Progress) {
        self.progress = progress;
    }
}

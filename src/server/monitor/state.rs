//! Whether a peer keeps up: judged from what is seen of its connection, one look after the other.

use std::time::{Duration, Instant};

/// How long the peer may take nothing of what there is for it: more than one interval, so that at least two looks have
/// seen no progress.
const STOPPED_AFTER: Duration = Duration::from_millis(1500);

/// How long a message may wait for a peer that keeps up.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// How a peer is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// There is something for it, and it has taken nothing for a while.
    Stopped,
    /// It takes less than it is sent.
    Slow,
    Live,
}

impl State {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Slow => "slow",
            Self::Live => "live",
        }
    }
}

/// What one look sees of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sight {
    pub(super) at: Instant,
    /// Bytes handed to the system so far, and how many of them it still holds, where it tells.
    pub(super) written: u64,
    pub(super) system_queued: Option<u64>,
    /// How many have arrived there, and are not read, where that is known.
    pub(super) peer_unread: Option<u64>,
    /// Messages that wait here.
    pub(super) waiting: u64,
    /// How long the oldest of them has waited.
    pub(super) oldest: Option<Duration>,
    pub(super) queued_bytes: usize,
    pub(super) max_queued_bytes: usize,
    /// How many messages have been dropped, replaced, or let expire so far.
    pub(super) dropped: u64,
    pub(super) conflated: u64,
    pub(super) expired: u64,
    /// Whether messages wait for their interval, and are replaced meanwhile, also for a peer that keeps up.
    pub(super) is_paced: bool,
}

impl Sight {
    /// How many bytes the peer has taken. Over TLS less than that, because the system counts what is added; but it does
    /// not grow while the peer takes nothing.
    fn taken(&self) -> u64 {
        self.written.saturating_sub(self.untaken())
    }

    fn untaken(&self) -> u64 {
        self.system_queued.unwrap_or(0) + self.peer_unread.unwrap_or(0)
    }

    /// Whether there is something that the peer could take.
    fn has_some(&self) -> bool {
        self.untaken() > 0 || self.system_queued.is_none() && self.waiting > 0 && !self.is_paced
    }

    /// How many messages did not go as they were sent, for want of a peer that takes them.
    fn lost(&self) -> u64 {
        self.dropped + self.expired + if self.is_paced { 0 } else { self.conflated }
    }

    fn is_behind(&self) -> bool {
        let waits = !self.is_paced && self.oldest.is_some_and(|oldest| oldest > MAX_WAIT);
        waits || self.queued_bytes > self.max_queued_bytes / 2
    }
}

/// What is known of a connection from the looks before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// The most that the peer is known to have taken, and when it was last seen to take something, or to have all.
    taken: u64,
    moved: Instant,
    last: Sight,
}

impl Known {
    /// From a first look.
    pub(super) fn new(sight: Sight) -> Self {
        Self { taken: sight.taken(), moved: sight.at, last: sight }
    }

    /// Whether the peer had taken everything the last time, and nothing has been written since.
    pub(super) fn took_all_of(&self, written: u64) -> bool {
        self.last.system_queued.is_some() && self.last.untaken() == 0 && self.last.written == written
    }

    /// What the system held for the peer the last time, and what the peer had not read.
    pub(super) fn untaken(&self) -> (Option<u64>, Option<u64>) {
        (self.last.system_queued, self.last.peer_unread)
    }

    /// How the peer is doing at this look.
    pub(super) fn judge(&mut self, sight: Sight) -> State {
        if !sight.has_some() || sight.taken() > self.taken {
            self.moved = sight.at;
        }
        self.taken = self.taken.max(sight.taken());
        let loses = sight.lost() > self.last.lost();
        self.last = sight;
        if sight.at.saturating_duration_since(self.moved) >= STOPPED_AFTER {
            State::Stopped
        } else if loses || sight.is_behind() {
            State::Slow
        } else {
            State::Live
        }
    }
}

//! What holds for every outbox of a service.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::batch::{Batch, Place};
use super::budget::{Budget, Lacking, Purpose};
use super::queue::Queue;
use crate::codec::{Framing, Pieces};
use crate::settings::Key;
use crate::settings::{Delivery, Settings};
use crate::sync::wide::AtomicU64;
use crate::sync::{later, now};

/// From which number on the places of gathered batches lie, far from those of messages.
const GATHERED: u64 = 1 << 63;

#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) framing: Framing,
    /// How many bytes a body has on the wire besides its own.
    pub(super) overhead: usize,
    /// How an outbox is served that is not told otherwise.
    pub(crate) delivery: Arc<Delivery>,
    /// Whether messages may be joined into one write.
    pub(crate) coalesce: bool,
    /// Whether what an end leaves unsent is kept for the program.
    pub(crate) keep_unsent: bool,
    pub(crate) budget: Arc<Budget>,
    /// How many messages, and how many gathered batches, there have been for several outboxes to share: apart, because
    /// an outbox gets either the one or the others.
    pub(crate) shared: AtomicU64,
    pub(crate) gathered: AtomicU64,
}

impl Rules {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            framing: settings.framing.clone(),
            overhead: settings.framing.overhead(),
            delivery: Arc::new(settings.delivery.clone()),
            coalesce: settings.coalesce,
            keep_unsent: settings.keep_unsent,
            budget: Arc::new(Budget::new(settings.memory_limits.max_total_queued_bytes)),
            shared: AtomicU64::new(0),
            gathered: AtomicU64::new(0),
        }
    }

    /// How an outbox is served, in memory that it shares with all that are served like that by default.
    pub(super) fn shared(&self, delivery: Delivery) -> Arc<Delivery> {
        if delivery == *self.delivery { Arc::clone(&self.delivery) } else { Arc::new(delivery) }
    }

    /// A queue of nothing.
    pub(crate) fn empty_queue(&self) -> Queue {
        Queue::new(!self.coalesce, &self.budget)
    }

    /// A message that has been checked, as it goes over the wire.
    #[inline]
    pub(crate) fn pieces<'a>(&'a self, message: &'a [u8]) -> Pieces<'a> {
        self.framing.pieces(message)
    }

    /// How many bytes a message has on the wire.
    #[inline]
    pub(crate) fn len_of(&self, message: &[u8]) -> usize {
        message.len() + self.overhead
    }

    /// One message.
    pub(crate) fn batch_of(&self, message: &[u8], key: Option<&Key>, purpose: Purpose) -> Result<Arc<Batch>, Lacking> {
        Batch::of(self.pieces(message), key, &self.budget, purpose).map(Arc::new)
    }

    /// One message for several outboxes to share.
    pub(crate) fn shared_batch_of(&self, message: &[u8], key: Option<&Key>) -> Result<Arc<Batch>, Lacking> {
        let mut batch = Batch::of(self.pieces(message), key, &self.budget, Purpose::Queue)?;
        batch.set_place(Place::of_number(self.shared.fetch_add(1, Ordering::Relaxed)));
        Ok(Arc::new(batch))
    }

    /// The last message of a key, to be kept, and [filled](Batch::refill) with the next one. It is taken from the
    /// budget in any case; so much of that is used for a moment only, because the broadcast that it is kept of needs as
    /// much.
    pub(crate) fn last_value(&self, message: &[u8], key: &Key) -> Arc<Batch> {
        Arc::new(Batch::last_value(self.pieces(message), key, &self.budget))
    }

    /// The place of the next batch that is gathered.
    pub(super) fn next_gathered(&self) -> Place {
        Place::of_number(GATHERED + self.gathered.fetch_add(1, Ordering::Relaxed))
    }

    /// The goodbye. It takes nothing from the budget, because it must not fail.
    pub(super) fn goodbye(&self) -> Arc<Batch> {
        Arc::new(Batch::goodbye(self.framing.goodbye(), &self.budget))
    }
}

/// By how much a wait takes longer than it should when the process has stood still.
const STANDSTILL: Duration = Duration::from_millis(500);

/// How long a sender has been waiting for room: counted from the first time that it has to, for all that it sends to.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    since: Option<Instant>,
    /// When the last wait began.
    began: Option<Instant>,
    /// Whether there is none from the beginning.
    none: bool,
}

impl Patience {
    /// That of a sender which never waits.
    pub(crate) fn none() -> Self {
        Self { none: true, ..Self::default() }
    }

    /// Whether there is any.
    pub(crate) fn waits(&self) -> bool {
        !self.none
    }

    /// Until when it waits that has `time` for it.
    pub(crate) fn until(&mut self, time: Duration) -> Instant {
        let now = now();
        self.began = Some(now);
        later(*self.since.get_or_insert(now), time)
    }

    /// After a wait for as long as that, which was in vain: whether it is over. Not where the wait took much longer,
    /// because the process stood still, and the peer that makes room has had no chance.
    pub(crate) fn is_over(&mut self, time: Duration) -> bool {
        let (Some(since), Some(began)) = (self.since, self.began) else { return true };
        let is_over = now().saturating_duration_since(later(since, time).max(began)) <= STANDSTILL;
        if !is_over {
            self.since = None;
        }
        is_over
    }
}

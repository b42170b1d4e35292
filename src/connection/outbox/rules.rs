//! What holds for every outbox of a service.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::batch::{BATCH_LEN, Batch, Place};
use super::budget::{Budget, Lacking, Purpose};
use crate::codec::Separator;
use crate::settings::{Settings, SlowConsumer};
use crate::sync::{later, now};

/// From which number on the places of gathered batches lie, far from those of messages.
const GATHERED: u64 = 1 << 63;

#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) separator: Separator,
    /// What the messages of one outbox may be charged, each its length, the separator's, and
    /// [`OVERHEAD`](crate::settings::OVERHEAD).
    pub(crate) limit: usize,
    pub(crate) slow_consumer: SlowConsumer,
    /// Whether messages may be joined into one write.
    pub(crate) coalesce: bool,
    pub(crate) budget: Arc<Budget>,
    /// How many messages, and how many gathered batches, there have been for several outboxes to share: apart, because
    /// an outbox gets either the one or the others.
    pub(crate) shared: AtomicU64,
    pub(crate) gathered: AtomicU64,
}

impl Rules {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            separator: settings.separator.clone(),
            limit: settings.max_queued_bytes,
            slow_consumer: settings.slow_consumer,
            coalesce: settings.coalesce,
            budget: Arc::new(Budget::new(settings.memory_limits.max_total_queued_bytes)),
            shared: AtomicU64::new(0),
            gathered: AtomicU64::new(0),
        }
    }

    /// How long a sender that begins now waits for room.
    pub(crate) fn patience(&self) -> Patience {
        match self.slow_consumer {
            SlowConsumer::Block(time) => Patience::of(time),
            _ => Patience::NONE,
        }
    }

    /// One message.
    pub(super) fn batch_of(&self, message: &[u8], purpose: Purpose) -> Result<Arc<Batch>, Lacking> {
        Batch::of(message, self.separator.as_bytes(), &self.budget, purpose).map(Arc::new)
    }

    /// One message for several outboxes to share.
    pub(crate) fn shared_batch_of(&self, message: &[u8]) -> Result<Arc<Batch>, Lacking> {
        let mut batch = Batch::of(message, self.separator.as_bytes(), &self.budget, Purpose::Queue)?;
        batch.set_place(Place::of_number(self.shared.fetch_add(1, Ordering::Relaxed)));
        Ok(Arc::new(batch))
    }

    /// The place of the next batch that is gathered.
    pub(super) fn next_gathered(&self) -> Place {
        Place::of_number(GATHERED + self.gathered.fetch_add(1, Ordering::Relaxed))
    }

    /// The goodbye. It takes nothing from the budget, because it must not fail.
    pub(super) fn goodbye(&self) -> Arc<Batch> {
        Arc::new(Batch::goodbye(&self.separator, &self.budget))
    }

    /// Whether a corked outbox is written when so much waits.
    pub(super) fn is_much(&self, bytes: usize, charged: usize) -> bool {
        bytes >= BATCH_LEN || charged > self.limit / 2
    }
}

/// By how much a wait takes longer than it should when the process has stood still.
const STANDSTILL: Duration = Duration::from_millis(500);

/// How long a sender waits for room: counted from the first time that it has to, for all that it sends to.
#[derive(Debug)]
pub(crate) struct Patience {
    time: Duration,
    until: Option<Instant>,
    is_over: bool,
}

impl Patience {
    /// For a sender that does not wait.
    pub(crate) const NONE: Self = Self { time: Duration::ZERO, until: None, is_over: false };

    pub(super) fn of(time: Duration) -> Self {
        Self { time, until: None, is_over: false }
    }

    pub(crate) fn is_none(&self) -> bool {
        self.time.is_zero()
    }

    pub(crate) fn until(&mut self) -> Instant {
        *self.until.get_or_insert_with(|| later(now(), self.time))
    }

    /// After a wait until then that was in vain: whether it is over. Not where the wait took much longer, because the
    /// process stood still, and the peer that makes room has had no chance.
    pub(crate) fn is_over(&mut self) -> bool {
        let late = self.until.map(|until| now().saturating_duration_since(until));
        self.is_over |= late.is_none_or(|late| late <= STANDSTILL);
        if !self.is_over {
            self.until = None;
        }
        self.is_over
    }
}

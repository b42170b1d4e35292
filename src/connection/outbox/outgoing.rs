//! What is sent, and what becomes of it.

use std::sync::Arc;
use std::time::Duration;

use super::batch::Batch;
use super::budget::Lacking;
use super::rules::Rules;
use crate::settings::Key;
use crate::settings::OVERHEAD;

/// How long a message is that is copied without a lock.
const LONG_COPY: usize = 64 * 1024;

/// What is sent: a message, to be written from where it lies or else copied, as its
/// [body](crate::codec::Framing::body); or batches, which may be shared.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Outgoing<'a> {
    Message { message: &'a [u8], key: Option<&'a Key> },
    Batches(&'a [Arc<Batch>]),
}

/// A message that is broadcast.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Broadcast<'a> {
    /// As the program gave it, and its filters see it.
    pub(crate) message: &'a [u8],
    /// What is [written](crate::codec::Framing::body) of it.
    pub(crate) body: &'a [u8],
    pub(crate) key: Option<&'a Key>,
}

impl<'a> Broadcast<'a> {
    /// For one outbox.
    pub(crate) fn outgoing(&self) -> Outgoing<'a> {
        Outgoing::Message { message: self.body, key: self.key }
    }
}

/// What the thread that touched the outbox has to see to next.
#[must_use]
pub(crate) enum Step {
    Nothing,
    /// The outbox has been corked: somebody has to let the pump tick.
    Tick,
    /// The background holds the role now: somebody has to start it, and to watch over its progress if nobody does.
    HandOver {
        watched: bool,
    },
    /// A message waits for its interval: somebody has to let the pump [send](super::Outbox::send_due) it after
    /// this time.
    Interval(Duration),
    /// Something is queued: somebody has to let the pump [look after it](super::Outbox::look_after_intake).
    Queued,
    /// The background has work again, and nobody watches over its progress.
    Watch,
    /// The goodbye is out, and the writing half shut.
    Finished,
    /// Writing [failed](super::Outbox::failure); the outbox is dead.
    Failed,
}

/// Why something was not accepted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The outbox is closing, or past it.
    Closed,
    /// The queue is full, and stayed so for as long as the sender waited.
    Full,
    /// The queue is full, and the message is dropped for it, and counted.
    Dropped,
    /// All outboxes of the service together are full.
    OverBudget(Lacking),
    /// What waits in the corked outbox has to be [written](super::Outbox::write_ready) first.
    WriteFirst,
    /// There is no room but that promised to what is being gathered, which has to be
    /// [settled](super::BroadcastBatch::end) first.
    SettleFirst,
}

impl From<Lacking> for Refused {
    fn from(lacking: Lacking) -> Self {
        Self::OverBudget(lacking)
    }
}

/// What became of a flush.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    Written,
    /// The outbox died first.
    Lost,
    /// The time was over with so many bytes left.
    TimedOut {
        left: usize,
    },
}

impl<'a> Outgoing<'a> {
    /// An event.
    pub(crate) fn event(message: &'a [u8]) -> Self {
        Self::Message { message, key: None }
    }

    pub(crate) fn charge(&self, rules: &Rules) -> usize {
        self.len(rules) + OVERHEAD * self.messages()
    }

    /// Whether it is a message that is copied without a lock, because others would wait for it.
    pub(crate) fn is_long(&self) -> bool {
        matches!(self, Self::Message { message, .. } if message.len() >= LONG_COPY)
    }

    /// How many bytes it has on the wire.
    pub(crate) fn len(&self, rules: &Rules) -> usize {
        match self {
            Self::Message { message, .. } => rules.len_of(message),
            Self::Batches(batches) => batches.iter().map(|batch| batch.len()).sum(),
        }
    }

    pub(crate) fn messages(&self) -> usize {
        match self {
            Self::Message { .. } => 1,
            Self::Batches(batches) => batches.iter().map(|batch| batch.messages()).sum(),
        }
    }
}

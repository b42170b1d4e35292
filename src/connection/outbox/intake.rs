//! What is *queued*: accepted although no thread holds the outbox for it, until one that does takes it in.
//!
//! ```text
//!            ┌ one side, open ─┐   turn   ┌ one side ───────┐
//!  queue ──▶ │ messages        │ ───────▶ │ messages        │ ──▶ the queue of the outbox
//!            └─────────────────┘          └─────────────────┘
//!            ┌ the other ──────┐          ┌ the other, open ┐
//!            │ empty           │ ───────▶ │                 │ ◀── queue
//!            └─────────────────┘          └─────────────────┘
//! ```
//!
//! A thread that takes in opens the empty side first, and then empties the other one. So a thread that queues never
//! waits for it, and nobody is ever woken: each side has a lock that is only tried. What waits for one another are
//! threads that queue on the same outbox at the same moment, by trying again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::batch::Batch;
use super::budget::{Budget, Lacking, Purpose};
use super::{Outgoing, Rules};
use crate::settings::Key;
use crate::stats::nanos_since;
use crate::sync::{AtomicBool, AtomicU64, Mutex, MutexGuard, Ordering, pause};

#[derive(Debug)]
pub(super) struct Intake {
    /// Which side is open. Turned only by the thread that has the outbox.
    second: AtomicBool,
    sides: [Mutex<Side>; 2],
    /// Whether there is something to be taken in.
    filled: AtomicBool,
    /// Whether something was queued since the [pump has looked](Self::look).
    touched: AtomicBool,
    /// When the pump has found that last, in nanoseconds after `since`.
    last: AtomicU64,
    since: Instant,
    budget: Arc<Budget>,
}

#[derive(Debug)]
struct Side {
    /// How much more may be put here, as messages are charged.
    room: usize,
    messages: Batch,
    /// The keys of those of the messages that have one.
    keys: Vec<(usize, Key)>,
    /// Batches, and how many of the messages are in front of each.
    batches: Vec<(usize, Arc<Batch>)>,
}

/// What is taken in, in the order in which it was queued.
pub(super) enum Taken<'a> {
    /// A message as it is written.
    Message {
        encoded: &'a [u8],
        key: Option<&'a Key>,
    },
    Batch(Arc<Batch>),
}

impl Intake {
    pub(super) fn new(budget: &Arc<Budget>, now: Instant) -> Self {
        Self {
            second: AtomicBool::new(false),
            sides: [(); 2].map(|()| Mutex::new(Side::new(budget))),
            filled: AtomicBool::new(false),
            touched: AtomicBool::new(false),
            last: AtomicU64::new(0),
            since: now,
            budget: Arc::clone(budget),
        }
    }

    /// Puts something on the open side; false where it is not known to have room, or there is no memory.
    #[inline]
    pub(super) fn offer(&self, outgoing: Outgoing<'_>, rules: &Rules) -> bool {
        let mut tries = 0;
        loop {
            let second = self.second.load(Ordering::Acquire);
            if let Some(mut side) = self.sides[usize::from(second)].try_lock() {
                // Otherwise the sides have been turned, and this one has been, or is about to be, emptied.
                if self.second.load(Ordering::Acquire) == second {
                    let fits = side.put(outgoing, rules).is_ok_and(|fits| fits);
                    if fits {
                        self.filled.store(true, Ordering::Release);
                        // By a swap, so that the pump hears of each thread's message by the last one's word.
                        self.touched.swap(true, Ordering::AcqRel);
                    }
                    return fits;
                }
            }
            pause(&mut tries);
        }
    }

    /// Whether there is something to be taken in: all that this thread has queued, or has heard of.
    pub(super) fn is_filled(&self) -> bool {
        self.filled.load(Ordering::Acquire)
    }

    /// Opens the other side, with so much room, and has everything taken that was on this one. `first` is the first on
    /// the side that opens, whatever its room.
    ///
    /// # Errors
    ///
    /// There is no memory for `first`, and nothing has changed.
    pub(super) fn turn(
        &self,
        room: usize,
        first: Option<Outgoing<'_>>,
        rules: &Rules,
        take: impl FnMut(Taken<'_>),
    ) -> Result<(), Lacking> {
        let second = self.second.load(Ordering::Relaxed);
        let mut next = self.side(!second);
        if let Some(first) = first {
            next.room = usize::MAX;
            next.put(first, rules)?;
        }
        next.room = room;
        drop(next);
        self.filled.store(first.is_some(), Ordering::Relaxed);
        if first.is_some() {
            self.touched.swap(true, Ordering::AcqRel);
        }
        self.second.store(!second, Ordering::Release);
        self.side(second).empty(&self.budget, take);
        Ok(())
    }

    /// A side, for the thread that has the outbox: a thread that queues has it for a moment at most.
    fn side(&self, second: bool) -> MutexGuard<'_, Side> {
        let mut tries = 0;
        loop {
            match self.sides[usize::from(second)].try_lock() {
                Some(side) => return side,
                None => pause(&mut tries),
            }
        }
    }

    /// The pump's look: whether something was queued since the last one, or else for how long nothing has been.
    pub(super) fn look(&self, now: Instant) -> Result<(), Duration> {
        let elapsed = nanos_since(self.since, now);
        if self.touched.swap(false, Ordering::AcqRel) {
            self.last.store(elapsed, Ordering::Relaxed);
            return Ok(());
        }
        Err(Duration::from_nanos(elapsed.saturating_sub(self.last.load(Ordering::Relaxed))))
    }

    /// Whether something was queued since the pump has looked.
    pub(super) fn is_touched(&self) -> bool {
        self.touched.load(Ordering::Acquire)
    }

    /// Gives back the memory that is kept for what comes next, of sides without room.
    pub(super) fn shrink(&self) {
        for second in [false, true] {
            *self.side(second) = Side::new(&self.budget);
        }
    }
}

impl Side {
    fn new(budget: &Arc<Budget>) -> Self {
        Self { room: 0, messages: Batch::new(budget), keys: Vec::new(), batches: Vec::new() }
    }

    /// Puts something behind the rest; false where there is no room.
    #[inline]
    fn put(&mut self, outgoing: Outgoing<'_>, rules: &Rules) -> Result<bool, Lacking> {
        let Some(left) = self.room.checked_sub(outgoing.charge(rules)) else { return Ok(false) };
        let at = self.messages.messages();
        match outgoing {
            Outgoing::Message { message, key } => {
                self.messages.push(rules.pieces(message), Purpose::Queue)?;
                self.keys.extend(key.map(|key| (at, key.clone())));
            }
            Outgoing::Batches(batches) => self.batches.extend(batches.iter().map(|batch| (at, Arc::clone(batch)))),
        }
        self.room = left;
        Ok(true)
    }

    /// Has everything taken. The memory stays for what comes next, where it is plentiful.
    fn empty(&mut self, budget: &Arc<Budget>, mut take: impl FnMut(Taken<'_>)) {
        self.room = 0;
        let mut keys = self.keys.drain(..).peekable();
        let mut batches = self.batches.drain(..).peekable();
        for (at, encoded) in self.messages.iter().enumerate() {
            while let Some((_, batch)) = batches.next_if(|(before, _)| *before == at) {
                take(Taken::Batch(batch));
            }
            let key = keys.next_if(|(place, _)| *place == at).map(|(_, key)| key);
            take(Taken::Message { encoded, key: key.as_ref() });
        }
        batches.for_each(|(_, batch)| take(Taken::Batch(batch)));
        drop(keys);
        if !budget.is_plentiful() {
            *self = Self::new(budget);
        } else if self.messages.messages() > 0 {
            self.messages.empty();
        }
    }
}

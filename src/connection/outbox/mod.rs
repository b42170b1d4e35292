//! What waits to be written to one peer, and who writes it.
//!
//! One short mutex guards a [queue] of messages and a *role*: who writes now. A sender that finds the role free takes
//! it and writes on its own thread without blocking, its own message straight from where it lies; if somebody is
//! writing, it leaves a copy, which that thread carries with its own. When the stream takes no more, the role passes to
//! the background: to the pump, or to a thread of the connection's own where the stream cannot be polled. Only the
//! holder of the role writes, so messages never mix; the mutex is never held while bytes move.
//!
//! ```text
//!            send                     would block
//!  Nobody ─────────▶ Caller ───────────────────────▶ Background
//!    ▲                 │ queue empty                     │ queue empty
//!    └─────────────────┴─────────────────────────────────┘
//! ```
//!
//! When sends come in a tight loop, or from several threads at once, the outbox is *corked*: messages are left in the
//! queue although nobody writes, and the sender that fills a batch writes it, so that one write carries hundreds of
//! them. The pump looks after a corked outbox in short [ticks](Outbox::tick): it writes what has been left for one
//! tick, and takes the cork out when the rush is over. A message that has only to be copied comes in by the
//! [lane](lock).

mod account;
mod apart;
mod attempt;
mod background;
mod batch;
mod broadcast_batch;
mod budget;
mod flight;
mod intake;
mod intervals;
mod joining;
mod lock;
#[cfg(all(test, loom))]
mod model;
mod outgoing;
mod pace;
mod parts;
mod queue;
mod queueing;
mod room;
mod rules;
mod rush;
mod tally;
mod unsent;
mod waiting;
mod writing;

use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

pub(crate) use background::Progress;
pub(crate) use batch::{BATCH_LEN, Batch};
pub(crate) use broadcast_batch::{BroadcastBatch, GATHERED_CHARGE, GatherOutcome};
pub(crate) use budget::{Budget, Lacking, Purpose};
pub(crate) use lock::Locked;
pub(crate) use outgoing::{Broadcast, Flushed, Outgoing, Refused, Step};
pub(crate) use parts::Parts;
pub(crate) use queueing::{Look, TICK};
pub(crate) use rules::{Patience, Rules};
#[cfg(all(test, loom))]
pub(crate) use rush::RUSH;
pub(crate) use rush::Rush;
pub(crate) use tally::Lost;
pub(crate) use unsent::bodies;

use crate::settings::{Delivery, Filter, SlowConsumer};
use crate::stats::{Volume, nanos_since};
use crate::sync::{AtomicBool, AtomicU64, Condvar, Ordering, now};
use crate::transport::Stream;
use account::Account;
use background::Background;
use intake::Intake;
use intervals::Intervals;
use lock::Lock;
use queue::Amount;
pub(crate) use queue::{Expiry, Queue, SHORT};
use tally::Tally;
use unsent::Unsent;

/// How many messages are written one by one, at once, before a tight loop is taken for one.
const TIGHT: u32 = 16;

pub(crate) struct Outbox {
    rules: Arc<Rules>,
    /// When it was made.
    since: Instant,
    /// When something was received since the last message was sent, in nanoseconds after `since`; 0 when nothing was.
    /// No more than a hint.
    heard: AtomicU64,
    /// Whether its delivery has a filter.
    filters: AtomicBool,
    /// What is queued, once something has been.
    intake: OnceLock<Box<Intake>>,
    state: Lock,
    /// Much room in the queue, the outcome of a write that somebody waits for, or the end.
    room: Condvar,
    /// Progress, work for a writing thread, or the end.
    changed: Condvar,
}

pub(crate) struct State {
    /// Given up when the connection is gone, so that its descriptor does not depend on who keeps a handle.
    stream: Option<Arc<dyn Stream>>,
    /// The same for the writer; absent while a write is under way.
    writers_stream: Option<Arc<dyn Stream>>,
    queue: Queue,
    intervals: Intervals,
    /// That of the service, unless it has one of its own.
    delivery: Arc<Delivery>,
    /// Whether there are messages that go by themselves: the one thing to look at where there are none.
    goes_apart: bool,
    writer: Writer,
    stage: Stage,
    /// Whether a write is under way, or what was given up is being dropped.
    in_flight: bool,
    /// What a message is charged that is being written from where it lies, and is in no queue; or, of a newcomer that
    /// is *joining*, what the messages may be that it is about to get.
    direct_charge: usize,
    /// Whether it is a newcomer's that is [kept](Outbox::begin_joining) from writing, as if a write were under way.
    joining: bool,
    /// What has been [promised](Outbox::promise) to a batch that is being gathered.
    promised: usize,
    /// What is kept for what is queued and not taken in.
    intake_room: usize,
    /// Whether the pump looks after what is queued.
    is_looked_after: bool,
    /// How many senders wait for the outcome of a write under way.
    awaiting_outcome: usize,
    /// Whether the last message of the queue is the goodbye, which is no message of the program's.
    goodbye_queued: bool,
    /// False once the stream has said that it has no non-blocking write.
    writes_directly: bool,
    background: Background,
    /// While it is on, the outbox is *corked*: messages are left in the queue for a while.
    rush: Rush,
    account: Account,
    lost: Lost,
    unsent: Unsent,
    tally: Tally,
    /// What a write has failed with.
    failure: Option<Arc<io::Error>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    Nobody,
    Caller,
    Background,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    /// The goodbye is queued; nothing may follow it.
    Closing,
    /// Everything is written, and the writing half shut.
    Finished,
    /// Nothing more will be written. What was left is counted in `lost`, once no write is under way.
    Dead,
}

impl Outbox {
    pub(crate) fn new(stream: Arc<dyn Stream>, rules: Arc<Rules>, delivery: Delivery) -> Self {
        let queue = rules.empty_queue();
        let since = now();
        Self {
            since,
            heard: AtomicU64::new(0),
            filters: AtomicBool::new(delivery.filter.is_some()),
            state: Lock::new(State {
                writers_stream: Some(Arc::clone(&stream)),
                stream: Some(stream),
                queue,
                intervals: Intervals::default(),
                goes_apart: delivery.goes_apart(),
                delivery: rules.shared(delivery),
                writer: Writer::Nobody,
                stage: Stage::Open,
                in_flight: false,
                direct_charge: 0,
                joining: false,
                promised: 0,
                intake_room: 0,
                is_looked_after: false,
                awaiting_outcome: 0,
                goodbye_queued: false,
                writes_directly: true,
                background: Background::new(since),
                rush: Rush::new(TIGHT, Duration::MAX),
                account: Account::default(),
                lost: Lost::default(),
                unsent: Unsent::default(),
                failure: None,
                tally: Tally::default(),
            }),
            intake: queueing::no_intake(&rules),
            room: Condvar::new(),
            changed: Condvar::new(),
            rules,
        }
    }

    /// How it is served.
    pub(crate) fn delivery(&self) -> Delivery {
        Delivery::clone(&self.state.lock().delivery)
    }

    /// Which of what is broadcast it wants.
    pub(crate) fn filter(&self) -> Option<Filter> {
        if !self.filters.load(Ordering::Relaxed) {
            return None;
        }
        self.state.lock().delivery.filter.clone()
    }

    /// How much may be unsent in the system.
    pub(crate) fn unsent_limit(&self) -> Option<usize> {
        self.state.lock().delivery.unsent_limit()
    }

    /// What happens when it is full.
    pub(crate) fn slow_consumer(&self) -> SlowConsumer {
        self.state.lock().delivery.slow_consumer
    }

    /// Accepts a message where that takes no more than to copy it; otherwise the state that it is to be
    /// [pushed](Self::push) into.
    #[inline]
    pub(crate) fn push_by_lane(&self, outgoing: Outgoing<'_>) -> Result<(), Locked<'_>> {
        match outgoing {
            Outgoing::Message { message, .. } => self.state.by_lane(self.rules.pieces(message)),
            Outgoing::Batches(_) => Err(self.state.lock()),
        }
    }

    /// Accepts what is sent, all of it or nothing; waits for room if that is the rule, and `patience` has any.
    pub(crate) fn push<'a>(
        &'a self,
        state: Locked<'a>,
        outgoing: Outgoing<'_>,
        patience: &mut Patience,
    ) -> Result<Step, Refused> {
        match self.push_once(state, outgoing, patience) {
            // Nothing waits for this peer: it is only being written to, and then there is a way without memory.
            Err(Refused::OverBudget(_)) if self.await_outcome() => {
                self.push_once(self.state.lock(), outgoing, patience)
            }
            pushed => pushed,
        }
    }

    fn push_once<'a>(
        &'a self,
        state: Locked<'a>,
        outgoing: Outgoing<'_>,
        patience: &mut Patience,
    ) -> Result<Step, Refused> {
        let mut state = self.with_room_for(self.taken_in(state), outgoing, patience)?;
        if let Outgoing::Message { message, key } = outgoing {
            if outgoing.is_long() && !state.takes_direct(key) {
                let purpose = state.purpose();
                drop(state);
                let copy = self.rules.batch_of(message, key, purpose)?;
                return self.push_once(self.state.lock(), Outgoing::Batches(&[copy]), patience);
            }
        }
        if state.keeps_apart() {
            state = match self.push_apart(state, outgoing)? {
                ControlFlow::Break(step) => return Ok(step),
                ControlFlow::Continue(state) => state,
            };
        }
        match outgoing {
            Outgoing::Message { message, .. } if state.writer == Writer::Nobody && state.writes_directly => {
                return self.write_or_cork(state, message);
            }
            Outgoing::Message { message, .. } => {
                let purpose = state.purpose();
                state.append(&self.rules, message, purpose)?;
            }
            Outgoing::Batches(batches) => {
                let purpose = state.purpose();
                state.queue.make_entries(batches.len() + 1, purpose)?;
                if outgoing.key_of_one().is_none() {
                    state.end_apart();
                }
                batches.iter().for_each(|batch| state.push(Arc::clone(batch)));
            }
        }
        Ok(self.write_or_leave(state))
    }

    /// Begins a connection with what has been kept for it, to be written by the thread that calls
    /// [`write_ready`](Self::write_ready) next.
    pub(crate) fn begin_with(&self, mut kept: Queue) {
        // What was replaced meanwhile nobody had accepted.
        kept.take_gone();
        let mut state = self.state.lock();
        state.account.accept(kept.bytes());
        state.tally.accepted += Volume::new(kept.messages(), kept.bytes());
        state.rush.note_queued(kept.messages());
        state.queue = kept;
    }

    /// Puts a batch into the queue for which room was [promised](Self::promise), to be written by the thread that calls
    /// [`write_ready`](Self::write_ready) next. If the outbox has closed meanwhile, its messages are lost.
    pub(crate) fn enqueue(&self, batch: &Arc<Batch>) {
        let mut state = self.lock();
        state.promised = 0;
        if state.stage == Stage::Open {
            state.end_apart();
            state.push(Arc::clone(batch));
        } else {
            state.tally.accepted += Volume::new(batch.messages(), batch.len());
            state.count_unsent(Amount { messages: batch.messages(), bytes: batch.len() });
            if self.rules.keep_unsent {
                state.unsent.keep_late(batch, &self.rules);
            }
        }
    }

    /// Queues the goodbye behind everything accepted before; refuses whatever comes later.
    pub(crate) fn close(&self) -> Step {
        let mut state = self.state.lock();
        if state.stage != Stage::Open {
            return Step::Nothing;
        }
        self.close_intake(&mut state);
        state.stage = Stage::Closing;
        state.release_all();
        state.goodbye_queued = true;
        state.push_goodbye(&self.rules);
        // Senders that wait for room have nothing to wait for any more.
        self.room.notify_all();
        self.write_or_leave(state)
    }

    /// Drops what is queued and counts it as lost. Nothing is written from now on but what is under way. False when
    /// the goodbye was out already, so that there is nothing to give up.
    pub(crate) fn abort(&self) -> bool {
        let mut state = self.state.lock();
        match state.stage {
            Stage::Open | Stage::Closing => {}
            // Given up already, or about to be by the writer: once it is over, it stays so.
            Stage::Dead => return true,
            Stage::Finished => return false,
        }
        self.close_intake(&mut state);
        state.stage = Stage::Dead;
        self.give_up_queue(&mut state);
        true
    }

    /// Says that something was received, at `time`: what is sent next is probably an answer.
    pub(crate) fn note_heard(&self, time: Instant) {
        self.heard.store(nanos_since(self.since, time), Ordering::Relaxed);
    }

    /// When it was made.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    /// The stream, until the connection is gone.
    pub(crate) fn stream(&self) -> Option<Arc<dyn Stream>> {
        self.state.lock().stream.clone()
    }

    /// Whether something waits because the stream takes no more.
    pub(crate) fn is_behind(&self) -> bool {
        self.state.lock().is_behind()
    }

    /// False when the stream needs a writing thread even where descriptors can be polled.
    pub(crate) fn writes_directly(&self) -> bool {
        self.state.lock().writes_directly
    }

    /// From now on the stream gets a writing thread when it takes no more; whether that is so now.
    pub(crate) fn write_with_thread(&self) -> bool {
        let mut state = self.state.lock();
        state.writes_directly = false;
        state.writer == Writer::Background
    }

    /// What waits, in bytes, overhead included; nothing any more once it is given up.
    pub(crate) fn charged(&self) -> usize {
        let state = self.lock();
        if state.stage == Stage::Dead { 0 } else { state.charged() }
    }

    /// What was lost, or dropped for want of room, so far.
    pub(crate) fn lost(&self) -> Lost {
        self.state.lock().lost
    }

    /// Whether everything was written, and the writing half shut.
    pub(crate) fn is_finished(&self) -> bool {
        self.state.lock().stage == Stage::Finished
    }

    /// Whether nothing more will be written.
    pub(crate) fn is_over(&self) -> bool {
        self.state.lock().is_over()
    }

    /// Gives up the stream, whose connection is over, and the filter, and tells what was lost.
    pub(crate) fn retire(&self) -> Lost {
        let mut state = self.state.lock();
        let stream = (state.stream.take(), state.writers_stream.take());
        // The last handle may be let go under some lock, and a filter is the program's code.
        let filter = match state.delivery.filter {
            Some(_) => Arc::make_mut(&mut state.delivery).filter.take(),
            None => None,
        };
        let lost = state.lost;
        drop(state);
        drop((stream, filter));
        lost
    }
}

impl State {
    /// Copies a message into the queue.
    fn append(&mut self, rules: &Rules, message: &[u8], purpose: Purpose) -> Result<(), Refused> {
        self.note_work();
        let message = rules.pieces(message);
        let len = message.len();
        self.queue.append(message, purpose)?;
        self.note_appended(1, len);
        Ok(())
    }

    fn push(&mut self, batch: Arc<Batch>) {
        self.note_work();
        self.tally.accepted += Volume::new(batch.messages(), batch.len());
        self.account.accept(batch.len());
        self.rush.note_queued(batch.messages());
        self.queue.push(batch);
    }

    /// Puts the goodbye behind everything else.
    fn push_goodbye(&mut self, rules: &Rules) {
        let goodbye = rules.goodbye();
        self.note_work();
        self.account.accept(goodbye.len());
        match self.delivery.lifespan {
            Some(_) => self.queue.push_ageless(goodbye),
            None => self.queue.push(goodbye),
        }
    }

    /// Before something is queued: the background's time to make progress begins anew when it had nothing to do.
    fn note_work(&mut self) {
        if self.writer == Writer::Background && !self.has_work() {
            self.background.note_progress(now());
        }
    }

    /// What waits, and what is being written besides.
    fn charged(&self) -> usize {
        self.queue.charged() + self.direct_charge + self.intervals.charged()
    }

    /// What memory is for that somebody else is to write: he does so at once, unless the stream takes no more.
    fn purpose(&self) -> Purpose {
        if self.is_behind() { Purpose::Queue } else { Purpose::Write }
    }

    /// Whether something waits because the stream takes no more. A writing thread keeps the role also when it has
    /// nothing to do.
    fn is_behind(&self) -> bool {
        self.writer == Writer::Background && self.has_work()
    }

    /// Whether a corked outbox is written when so much waits.
    fn is_much(&self, bytes: usize, charged: usize) -> bool {
        bytes >= BATCH_LEN || charged > self.delivery.queue_limit() / 2
    }

    fn count_unsent(&mut self, Amount { messages, bytes }: Amount) {
        self.lost.unsent += Volume::new(messages, bytes);
    }

    /// Counts what is not accepted for want of room.
    fn reject(&mut self, outgoing: Outgoing<'_>, rules: &Rules) {
        let rejected = Volume::new(outgoing.messages(), outgoing.len(rules));
        self.tally.rejected += rejected;
        self.lost.dropped += rejected;
    }

    fn count_dropped(&mut self, Amount { messages, bytes }: Amount) {
        self.lost.dropped += Volume::new(messages, bytes);
    }

    /// Whether nothing more will be written, and what was lost is counted.
    fn is_over(&self) -> bool {
        self.stage == Stage::Finished || self.stage == Stage::Dead && !self.in_flight
    }
}

//! One outbox with what surrounds it: those who send, the pump, and the account in the end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use loom::thread::{self, JoinHandle};

use super::wire::{Take, Wire};
use crate::codec::{Framing, GOODBYE};
use crate::connection::outbox::{
    Batch, Budget, Flushed, Lost, Outbox, Outgoing, Patience, Purpose, Refused, Rules, Rush, Step,
};
use crate::connection::pump::Tick;
use crate::settings::{Delivery, Key, SlowConsumer};
use crate::stats::Traffic;
use crate::sync::wide::AtomicU64;
use crate::sync::{Condvar, Mutex, now};
use crate::transport::Stream;

/// What the messages of all outboxes of a model may take together.
const BUDGET: usize = 4 * 1024 * 1024;

/// What differs from one model to the next.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) take: Take,
    /// How many bytes the peer reads before each of the pump's turns.
    pub(crate) reads: usize,
    pub(crate) limit: usize,
    pub(crate) slow_consumer: SlowConsumer,
    pub(crate) coalesce: bool,
    /// Whether a message replaces another that begins with the same letter.
    pub(crate) conflates: bool,
    /// Whether the pump tries writes to a stream that is not known to be ready.
    pub(crate) tries: bool,
    /// After how many writes senders are taken for a tight loop.
    pub(crate) tight: u32,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            take: Take::ALL,
            reads: 4,
            limit: 1024 * 1024,
            slow_consumer: SlowConsumer::Disconnect,
            coalesce: true,
            conflates: false,
            tries: false,
            tight: u32::MAX,
        }
    }
}

impl Setup {
    pub(crate) fn rules(&self) -> Arc<Rules> {
        Arc::new(Rules {
            overhead: 1,
            framing: Framing::default(),
            delivery: Arc::new(
                Delivery::new().max_queued_bytes(self.limit).slow_consumer(self.slow_consumer).conflate(self.conflates),
            ),
            coalesce: self.coalesce,
            keep_unsent: false,
            budget: Arc::new(Budget::new(BUDGET)),
            shared: AtomicU64::new(0),
            gathered: AtomicU64::new(0),
        })
    }
}

/// An outbox, its stream, and what looks after both.
pub(crate) struct Peer {
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) wire: Arc<Wire>,
    rules: Arc<Rules>,
    setup: Setup,
    pump: Pump,
    /// Whether somebody has been asked to watch over the background's progress.
    watched: AtomicBool,
    /// What was lost, as it was told when the connection was over.
    retired: OnceLock<Lost>,
}

/// What the pump is to do.
#[derive(Default)]
struct Pump {
    inbox: Mutex<Inbox>,
    changed: Condvar,
}

#[derive(Default)]
struct Inbox {
    handed_over: bool,
    ticks: bool,
    /// Whether it looks after what is queued, and is to look.
    looks_after: bool,
    looks: bool,
    stopped: bool,
}

enum Job {
    Write,
    Tick,
    Look,
}

/// A message, and whether it was accepted.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) message: Vec<u8>,
    pub(crate) outcome: Result<(), Refused>,
}

impl Peer {
    pub(crate) fn new(setup: Setup) -> Arc<Self> {
        Self::with_rules(setup, setup.rules())
    }

    pub(crate) fn with_rules(setup: Setup, rules: Arc<Rules>) -> Arc<Self> {
        let wire = Arc::new(Wire::new(setup.take));
        let outbox =
            Arc::new(Outbox::new(Arc::<Wire>::clone(&wire), Arc::clone(&rules), Delivery::clone(&rules.delivery)));
        outbox.state.lock().rush = Rush::new(setup.tight, Duration::MAX);
        let (watched, retired) = (AtomicBool::new(false), OnceLock::new());
        Arc::new(Self { outbox, wire, rules, setup, pump: Pump::default(), watched, retired })
    }

    /// A thread that does `work` for this peer.
    pub(crate) fn spawn<T: 'static>(self: &Arc<Self>, work: impl FnOnce(&Self) -> T + 'static) -> JoinHandle<T> {
        let peer = Arc::clone(self);
        thread::spawn(move || work(&peer))
    }

    /// A thread that sends `count` numbered messages.
    pub(crate) fn spawn_sender(self: &Arc<Self>, name: char, count: usize) -> JoinHandle<Vec<Sent>> {
        self.spawn(move |peer| (1..=count).map(|number| peer.send(format!("{name}{number}"))).collect())
    }

    pub(crate) fn spawn_pump(self: &Arc<Self>) -> JoinHandle<()> {
        self.spawn(Self::run_pump)
    }

    /// Sends as a connection does, but ends nothing when it is refused.
    pub(crate) fn send(&self, message: impl Into<Vec<u8>>) -> Sent {
        let message = message.into();
        let key = self.setup.conflates.then(|| Key::new(&message[..1]));
        let outcome = self.push(Outgoing::Message { message: &message, key: key.as_ref() });
        Sent { message, outcome }
    }

    /// Queues as a connection does, but ends nothing when it is refused. The pump's next look comes some time later.
    pub(crate) fn queue(&self, message: impl Into<Vec<u8>>) -> Sent {
        let message = message.into();
        let key = self.setup.conflates.then(|| Key::new(&message[..1]));
        let outcome = loop {
            match self.outbox.queue(Outgoing::Message { message: &message, key: key.as_ref() }) {
                Ok(step) => {
                    self.follow(step);
                    break Ok(());
                }
                Err(Refused::WriteFirst) => self.write_ready(),
                Err(refused) => break Err(refused),
            }
        };
        self.ask_pump(|inbox| inbox.looks |= inbox.looks_after);
        Sent { message, outcome }
    }

    /// A thread that queues `count` numbered messages.
    pub(crate) fn spawn_queuer(self: &Arc<Self>, name: char, count: usize) -> JoinHandle<Vec<Sent>> {
        self.spawn(move |peer| (1..=count).map(|number| peer.queue(format!("{name}{number}"))).collect())
    }

    /// Sends messages in one batch.
    pub(crate) fn send_all(&self, messages: &[String]) -> Vec<Sent> {
        let batch = self.batch(messages);
        let accepted = self.push(Outgoing::Batches(&[batch])).is_ok();
        let outcome = || if accepted { Ok(()) } else { Err(Refused::Closed) };
        messages.iter().map(|message| Sent { message: message.clone().into(), outcome: outcome() }).collect()
    }

    /// Gives a newcomer what it gets before anything else.
    pub(crate) fn end_joining(&self, values: &[&str]) -> Vec<Sent> {
        let batches = values.iter().map(|value| self.batch(&[(*value).to_owned()])).collect();
        self.follow(self.outbox.end_joining(batches));
        values.iter().map(|value| Sent { message: (*value).into(), outcome: Ok(()) }).collect()
    }

    pub(crate) fn batch(&self, messages: &[String]) -> Arc<Batch> {
        let mut batch = Batch::new(&self.rules.budget);
        for message in messages {
            let message = self.rules.pieces(message.as_bytes());
            batch.push(message, Purpose::Queue).expect("the budget suffices");
        }
        Arc::new(batch)
    }

    fn push(&self, outgoing: Outgoing<'_>) -> Result<(), Refused> {
        let mut patience = Patience::default();
        let Err(mut state) = self.outbox.push_by_lane(outgoing) else { return Ok(()) };
        loop {
            match self.outbox.push(state, outgoing, &mut patience) {
                Ok(step) => {
                    self.follow(step);
                    return Ok(());
                }
                Err(Refused::WriteFirst) => self.write_ready(),
                Err(refused) => return Err(refused),
            }
            state = self.outbox.lock();
        }
    }

    pub(crate) fn write_ready(&self) {
        self.follow(self.outbox.write_ready());
    }

    pub(crate) fn flush(&self) -> Flushed {
        self.write_ready();
        self.outbox.wait_flushed(now())
    }

    pub(crate) fn close(&self) {
        self.follow(self.outbox.close());
    }

    pub(crate) fn abort(&self) {
        if self.outbox.abort() {
            let _ = self.wire.abort();
        }
    }

    /// Waits until nothing more is written, which must hold from then on, and sends the pump home.
    pub(crate) fn wait_until_over(&self) {
        self.outbox.wait_until_over();
        self.wire.declare_over();
        self.pump.inbox.lock().stopped = true;
        self.pump.changed.notify_all();
    }

    /// What the reader does in the end, with its last look at what was lost.
    pub(crate) fn retire(&self) -> Lost {
        *self.retired.get_or_init(|| self.outbox.retire())
    }

    fn follow(&self, step: Step) {
        match step {
            Step::Nothing | Step::Finished => {}
            Step::Interval(_) => unreachable!("no delivery of a model has an interval"),
            Step::Tick => self.ask_pump(|inbox| {
                inbox.ticks = true;
            }),
            Step::Queued => self.ask_pump(|inbox| {
                assert!(!inbox.looks_after, "the pump is asked twice to look");
                (inbox.looks_after, inbox.looks) = (true, true);
            }),
            Step::Watch => self.watched.store(true, Ordering::Relaxed),
            Step::HandOver { watched } => {
                if !watched {
                    self.watched.store(true, Ordering::Relaxed);
                }
                self.ask_pump(|inbox| {
                    // After a try, who has handed it over before may say so later.
                    assert!(!inbox.handed_over || self.setup.tries, "two hold the background's role");
                    inbox.handed_over = true;
                });
            }
            Step::Failed => self.abort(),
        }
    }

    fn ask_pump(&self, ask: impl FnOnce(&mut Inbox)) {
        ask(&mut self.pump.inbox.lock());
        self.pump.changed.notify_all();
    }

    /// The pump's part, and that of a writing thread where the stream needs one.
    fn run_pump(&self) {
        self.try_stuck();
        while let Some(job) = self.next_job() {
            match job {
                Job::Write if self.try_stuck() => {}
                Job::Write if self.setup.take.directly => while self.pump_turn() {},
                Job::Write => self.follow(self.outbox.write_blocking()),
                Job::Tick => while self.tick() {},
                Job::Look => self.follow(self.outbox.look_after_intake().step),
            }
        }
    }

    fn next_job(&self) -> Option<Job> {
        let mut inbox = self.pump.inbox.lock();
        loop {
            if std::mem::take(&mut inbox.handed_over) {
                return Some(Job::Write);
            }
            if std::mem::take(&mut inbox.ticks) {
                return Some(Job::Tick);
            }
            if std::mem::take(&mut inbox.looks) {
                return Some(Job::Look);
            }
            if inbox.stopped {
                return None;
            }
            self.pump.changed.wait(&mut inbox);
        }
    }

    /// Whether the role of writing has been laid down with it.
    fn try_stuck(&self) -> bool {
        if !self.setup.tries {
            return false;
        }
        self.wire.make_room(self.setup.reads);
        let (is_done, step) = self.outbox.try_stuck();
        self.follow(step);
        is_done
    }

    fn pump_turn(&self) -> bool {
        self.wire.make_room(self.setup.reads);
        let (blocked, step) = self.outbox.pump_turn();
        self.follow(step);
        assert!(!blocked || self.watched.load(Ordering::Relaxed), "nobody watches over the background");
        blocked
    }

    fn tick(&self) -> bool {
        let (tick, step) = self.outbox.tick();
        self.follow(step);
        let again = tick != Tick::Done;
        if again {
            thread::yield_now();
        }
        again
    }

    /// The account of all that was sent by each thread, when all threads have ended: what was accepted was written
    /// whole, in order and once, or is counted as dropped, replaced or lost. Returns the messages written.
    pub(crate) fn settle_accounts(&self, senders: &[Vec<Sent>]) -> Vec<Vec<u8>> {
        let separator = self.rules.framing.empty();
        let bytes = self.wire.taken();
        let text = bytes.escape_ascii().to_string();
        let finished = self.outbox.is_finished();
        assert_eq!(self.outbox.charged(), 0, "something is charged that does not wait");
        let lost = self.retire();
        assert!(self.outbox.stream().is_none());

        let mut written: Vec<_> = bytes.split(|byte| [*byte] == *separator).map(<[u8]>::to_vec).collect();
        let mut torn = written.pop().expect("a split has a last part");
        if finished {
            assert!(self.wire.is_shut(), "finished, and the writing half is open");
            assert!(torn.is_empty(), "ends within a message: {text}");
            assert_eq!(written.pop().as_deref(), Some(GOODBYE), "ends without the goodbye: {text}");
        } else if written.last().is_some_and(|last| last == GOODBYE) {
            written.pop();
        }
        if GOODBYE.starts_with(&torn) {
            torn.clear();
        }

        let accepted: Vec<Vec<&[u8]>> = senders
            .iter()
            .map(|sent| sent.iter().filter(|sent| sent.outcome.is_ok()).map(|sent| &sent.message[..]).collect())
            .collect();
        for messages in &accepted {
            let mut following = messages.iter();
            for message in written.iter().filter(|message| message.first() == messages.first().map(|first| &first[0])) {
                let in_order = following.any(|next| next == message);
                assert!(in_order, "written twice, out of order or not accepted: {text} of {senders:?}");
            }
        }
        let is_accepted = |message: &[u8]| accepted.iter().flatten().any(|accepted| accepted.starts_with(message));
        assert!(written.iter().all(|message| is_accepted(message)), "mixed: {text} of {senders:?}");
        assert!(torn.is_empty() || is_accepted(&torn), "mixed: {text} of {senders:?}");

        let counts = |sent: &&Sent| matches!(sent.outcome, Ok(()) | Err(Refused::Dropped));
        let counted: Vec<_> = senders.iter().flatten().filter(counts).collect();
        let traffic = self.outbox.traffic();
        let Traffic { written: told, waiting, unsent, dropped, conflated, expired, .. } = traffic;
        let became = told + waiting + unsent + dropped + conflated + expired;
        assert_eq!(traffic.accepted + traffic.rejected, became, "the numbers of {senders:?}");
        let messages = written.len() as u64 + lost.unsent.messages + lost.dropped.messages + conflated.messages;
        assert_eq!(counted.len() as u64, messages, "messages: {text} and {lost:?} of {senders:?}");
        let len = |message: &[u8]| message.len() + separator.len();
        let sent_bytes: usize = counted.iter().map(|sent| len(&sent.message)).sum();
        let written_bytes = written.iter().map(|message| len(message)).sum::<usize>() + torn.len();
        let bytes = written_bytes as u64 + lost.unsent.bytes + lost.dropped.bytes + conflated.bytes;
        assert_eq!(sent_bytes as u64, bytes, "bytes: {text} and {lost:?} of {senders:?}");
        written
    }

    /// The account of a peer that was told goodbye behind all that was accepted, if it was, and that of the service.
    pub(crate) fn settle(&self, senders: &[Vec<Sent>]) -> Vec<Vec<u8>> {
        let written = self.settle_accounts(senders);
        assert!(!self.outbox.is_finished() || self.retire().unsent.messages == 0, "lost in a regular end");
        self.settle_budget();
        written
    }

    /// Checks that the account of the service comes out too.
    pub(crate) fn settle_budget(&self) {
        assert!(self.rules.budget.take(BUDGET, Purpose::Queue), "the budget has not been given back");
    }
}

//! The pump: one thread per service that writes what sockets would not take at once, and keeps every deadline. It runs
//! no callback, and blocks only in waiting for something to do.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::mem;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::outbox::Tick;
use crate::transport::Stream;
use crate::transport::poll::Poller;
use crate::user_code::warn;

/// How long the pump rests when the system refuses to poll, so that it does not spin.
const POLL_FAILURE_PAUSE: Duration = Duration::from_millis(10);

/// How often the pump looks after what is corked. Short, because a message may wait for two looks; and not shorter,
/// because each look takes the processor from whoever is sending in a rush. It becomes longer while they do the
/// writing.
const SHORT_TICK: Duration = Duration::from_micros(50);
const LONG_TICK: Duration = Duration::from_micros(200);

/// Up to how many alarms there may be before those of what is gone are looked for.
const FEW_ALARMS: usize = 1024;

/// What the pump looks after in short ticks.
pub(crate) trait Ticked: Send + Sync {
    /// Writes what has been left for a tick, without blocking.
    fn tick(&self) -> Tick;
}

/// What the pump does for a connection.
pub(crate) trait Pumped: Send + Sync {
    /// Writes once, without blocking, to a stream that is ready for it; whether there is more to come.
    fn pump_turn(&self) -> bool;

    /// Whether there is nothing more to write, and never will be.
    fn is_over(&self) -> bool;
}

/// What has deadlines that the pump keeps.
pub(crate) trait Watched: Send + Sync {
    /// Acts on this deadline if it is due at `now`; when to ask again.
    fn check_deadline(&self, deadline: Deadline, now: Instant) -> Option<Instant>;
}

/// What is watched for. Of a connection there is at most one alarm for an unfinished message, and one for silence,
/// however many messages come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deadline {
    /// That the peer takes what it is sent; and the steps of an end.
    Sending,
    /// That a message which has begun to arrive becomes whole.
    PartialMessage,
    /// That anything arrives at all.
    Idle,
    /// That a caller becomes a connection, or is gone.
    Entrance,
    /// That there is room in the log to say what was left out of it.
    LogRoom,
}

/// The pump's side that others see: they leave things in its inbox and wake it.
#[derive(Default)]
pub(crate) struct Pump {
    inbox: Mutex<Inbox>,
}

#[derive(Default)]
struct Inbox {
    /// Only while the pump runs: a service that is only built, or closed, holds no descriptor.
    poller: Option<Arc<Poller>>,
    backlogged: Vec<Backlogged>,
    alarms: Vec<Alarm>,
    ticked: Vec<Weak<dyn Ticked>>,
    /// When the pump wakes by itself; `None` while it is awake, since it looks here before it waits again.
    wakes_at: Option<WakesAt>,
    stopped: bool,
}

#[derive(Clone, Copy)]
enum WakesAt {
    Never,
    At(Instant),
}

/// A connection whose stream did not take everything. Holding the stream keeps its descriptor from being reused.
struct Backlogged {
    connection: Arc<dyn Pumped>,
    stream: Arc<dyn Stream>,
}

struct Alarm {
    at: Instant,
    deadline: Deadline,
    /// Weak, so that a deadline far ahead does not keep what is gone.
    watched: Weak<dyn Watched>,
}

impl Pump {
    /// Prepares for [`run`](Self::run), which may follow once.
    pub(crate) fn open(&self) -> io::Result<()> {
        self.inbox.lock().poller = Some(Arc::new(Poller::new()?));
        Ok(())
    }

    /// Whether [`adopt`](Self::adopt) can serve this stream.
    pub(crate) fn can_adopt(stream: &dyn Stream) -> bool {
        Poller::can_watch(stream)
    }

    /// Takes over writing to `stream` until `connection` has nothing more for it.
    pub(crate) fn adopt(&self, connection: Arc<dyn Pumped>, stream: Arc<dyn Stream>) {
        let mut inbox = self.inbox.lock();
        if inbox.stopped {
            return;
        }
        inbox.backlogged.push(Backlogged { connection, stream });
        inbox.wake_if_asleep();
    }

    /// Looks after `ticked` in short ticks, until it says that it is enough.
    pub(crate) fn tick(&self, ticked: Weak<dyn Ticked>) {
        let mut inbox = self.inbox.lock();
        if inbox.stopped {
            return;
        }
        inbox.ticked.push(ticked);
        inbox.wake_if_asleep();
    }

    /// Asks `watched` to check its `deadline` at `at`.
    pub(crate) fn watch(&self, watched: Weak<dyn Watched>, deadline: Deadline, at: Instant) {
        let mut inbox = self.inbox.lock();
        if inbox.stopped {
            return;
        }
        inbox.alarms.push(Alarm { at, deadline, watched });
        if !matches!(inbox.wakes_at, Some(WakesAt::At(wakes_at)) if wakes_at <= at) {
            inbox.wake_if_asleep();
        }
    }

    /// Takes [`open`](Self::open) back.
    pub(crate) fn shut(&self) {
        let poller = self.inbox.lock().poller.take();
        drop(poller);
    }

    /// Makes [`run`](Self::run) return soon, and takes nothing more in.
    pub(crate) fn stop(&self) {
        let poller = self.inbox.lock().poller.clone();
        let left = mem::replace(&mut *self.inbox.lock(), Inbox { stopped: true, ..Inbox::default() });
        drop(left);
        if let Some(poller) = poller {
            poller.wake();
        }
    }

    /// Makes the pump look at everything again.
    pub(crate) fn wake(&self) {
        let poller = self.inbox.lock().poller.clone();
        if let Some(poller) = poller {
            poller.wake();
        }
    }

    /// The pump's thread.
    pub(crate) fn run(&self) {
        let Some(poller) = self.inbox.lock().poller.clone() else { return };
        let mut work = Work::new();
        while self.collect(&mut work) {
            let timeout = work.timeout();
            write_when_ready(&poller, &mut work.backlog, timeout);
            self.inbox.lock().wakes_at = None;
            let now = Instant::now();
            ring(&mut work.alarms, now);
            work.tick(now);
        }
        // What came in meanwhile is of connections that have been cut off.
        self.stop();
    }

    /// Empties the inbox; false when it is time to stop.
    fn collect(&self, work: &mut Work) -> bool {
        // Before it is said when the pump wakes.
        work.drop_stale_alarms();
        let mut inbox = self.inbox.lock();
        work.backlog.append(&mut inbox.backlogged);
        work.alarms.extend(mem::take(&mut inbox.alarms).into_iter().map(Reverse));
        work.ticked.append(&mut inbox.ticked);
        inbox.wakes_at = Some(match work.alarms.peek() {
            Some(Reverse(alarm)) => WakesAt::At(alarm.at),
            None => WakesAt::Never,
        });
        let goes_on = !inbox.stopped;
        drop(inbox);
        // A stream that was given up may never become ready, and must not be held.
        work.backlog.retain(|backlogged| !backlogged.connection.is_over());
        goes_on
    }
}

impl Inbox {
    /// While the pump is awake it needs no waking: it looks here before it waits again.
    fn wake_if_asleep(&self) {
        if let (Some(poller), Some(_)) = (&self.poller, self.wakes_at) {
            poller.wake();
        }
    }
}

/// What the pump has to do, in its own hands.
struct Work {
    backlog: Vec<Backlogged>,
    alarms: BinaryHeap<Reverse<Alarm>>,
    /// How many alarms there have to be for those of what is gone to be looked for.
    many_alarms: usize,
    ticked: Vec<Weak<dyn Ticked>>,
    /// When to tick next, and how long after the last time.
    tick_at: Option<Instant>,
    interval: Duration,
}

impl Work {
    fn new() -> Self {
        Self {
            backlog: Vec::new(),
            alarms: BinaryHeap::new(),
            many_alarms: FEW_ALARMS,
            ticked: Vec::new(),
            tick_at: None,
            interval: SHORT_TICK,
        }
    }

    /// When there are twice as many alarms as the last time: drops those of what is gone, whose memory they hold. With
    /// a deadline far ahead, those of connections that come and go would pile up until then.
    fn drop_stale_alarms(&mut self) {
        if self.alarms.len() >= self.many_alarms {
            self.alarms.retain(|Reverse(alarm)| alarm.watched.strong_count() > 0);
            self.many_alarms = FEW_ALARMS.max(2 * self.alarms.len());
        }
    }

    /// How long there is nothing to do unless a stream becomes ready.
    fn timeout(&mut self) -> Option<Duration> {
        let now = Instant::now();
        if self.ticked.is_empty() {
            self.tick_at = None;
        } else {
            self.tick_at.get_or_insert(now + self.interval);
        }
        let alarm_at = self.alarms.peek().map(|Reverse(alarm)| alarm.at);
        let next = [alarm_at, self.tick_at].into_iter().flatten().min();
        next.map(|at| at.saturating_duration_since(now))
    }

    fn tick(&mut self, now: Instant) {
        if self.tick_at.take_if(|at| *at <= now).is_none() {
            return;
        }
        let mut soon = false;
        self.ticked.retain(|ticked| {
            let tick = ticked.upgrade().map_or(Tick::Done, |ticked| ticked.tick());
            soon |= tick == Tick::Soon;
            tick != Tick::Done
        });
        self.interval = if soon || self.ticked.is_empty() { SHORT_TICK } else { LONG_TICK.min(2 * self.interval) };
    }
}

/// Waits until a stream takes bytes, or the time is over, or somebody wakes the pump; writes one turn to each
/// stream that is ready.
fn write_when_ready(poller: &Poller, backlog: &mut Vec<Backlogged>, timeout: Option<Duration>) {
    let streams: Vec<&dyn Stream> = backlog.iter().map(|backlogged| &*backlogged.stream).collect();
    let ready = poller.wait_writable(&streams, timeout).unwrap_or_else(|error| {
        warn!("waiting for {} streams failed: {error}", streams.len());
        thread::sleep(POLL_FAILURE_PAUSE);
        vec![false; streams.len()]
    });
    let mut ready = ready.into_iter();
    backlog.retain(|backlogged| ready.next() != Some(true) || backlogged.connection.pump_turn());
}

/// Lets everyone whose alarm is due look at the deadline.
fn ring(alarms: &mut BinaryHeap<Reverse<Alarm>>, now: Instant) {
    while alarms.peek().is_some_and(|Reverse(alarm)| alarm.at <= now) {
        let Some(Reverse(Alarm { watched, deadline, .. })) = alarms.pop() else { return };
        let next = watched.upgrade().and_then(|watched| watched.check_deadline(deadline, now));
        if let Some(at) = next {
            alarms.push(Reverse(Alarm { at, deadline, watched }));
        }
    }
}

impl PartialEq for Alarm {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Alarm {}

impl PartialOrd for Alarm {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Alarm {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    struct Patient;

    impl Watched for Patient {
        fn check_deadline(&self, _: Deadline, _: Instant) -> Option<Instant> {
            None
        }
    }

    #[test]
    fn alarms_of_what_is_gone_do_not_pile_up() {
        for live in [0, 3000] {
            do_not_pile_up(live);
        }
    }

    fn do_not_pile_up(live: usize) {
        let pump = Pump::default();
        let mut work = Work::new();
        let at = Instant::now() + Duration::from_secs(60 * 60);
        let kept: Vec<Arc<dyn Watched>> = (0..live).map(|_| Arc::new(Patient) as _).collect();
        kept.iter().for_each(|watched| pump.watch(Arc::downgrade(watched), Deadline::Idle, at));
        for _ in 0..100_000 {
            let gone: Arc<dyn Watched> = Arc::new(Patient);
            pump.watch(Arc::downgrade(&gone), Deadline::Idle, at);
            drop(gone);
            assert!(pump.collect(&mut work));
            assert!(work.alarms.len() <= 2 * live + FEW_ALARMS, "{} alarms", work.alarms.len());
            // Whoever leaves an alarm relies on it that the pump wakes when it has said.
            let says = pump.inbox.lock().wakes_at;
            let wakes = work.alarms.peek().map(|Reverse(alarm)| alarm.at);
            assert!(matches!((says, wakes), (Some(WakesAt::At(says)), Some(wakes)) if says == wakes));
        }
        let left = work.alarms.iter().filter(|Reverse(alarm)| alarm.watched.strong_count() > 0).count();
        assert_eq!(left, kept.len());
    }
}

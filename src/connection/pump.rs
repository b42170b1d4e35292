//! The pump: one thread per service that writes what sockets would not take at once, and keeps every deadline. It runs
//! no callback, and blocks only in waiting for something to do.
//!
//! What a wake costs depends on who is ready, not on who is behind.
//!
//! Deadlines are kept in *live time*, which stands still while the process does, because it was stopped, or its machine
//! suspended: a peer that had no chance to be heard meanwhile has it then. The pump notices by waking much later than it
//! meant to, so it sleeps no longer than a part of the shortest time-out that is running.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::io;
use std::mem;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::sync::later;
use crate::sync::user_code::warn;
use crate::transport::Stream;
use crate::transport::socket::writable::Writable;

/// How long the pump rests when the system cannot tell who is ready, so that it does not spin: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// For how long that may go on before it is taken for lasting.
const PASSING: Duration = Duration::from_secs(5);

/// The pump sleeps no longer than this part of the shortest time-out, so that no standstill counts for more.
const SLEEPS: u32 = 4;
/// But not for less than this because of it.
const SHORTEST_SLEEP: Duration = Duration::from_millis(10);

/// How much later than it meant to the pump may wake before the process is taken to have stood still.
const LATE: Duration = Duration::from_millis(50);

/// How often the pump looks after what is corked. Short, because a message may wait for two looks; and not shorter,
/// because each look takes the processor from those who send in a rush. It becomes longer while they do the
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

/// When the pump is to look again after something that is corked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tick {
    /// As soon as it can without disturbing.
    Soon,
    /// Not so soon: those who send do the writing.
    Later,
    /// It is no longer corked.
    Done,
}

/// What the pump does for a connection.
pub(crate) trait Pumped: Send + Sync {
    /// Writes once, without blocking, to a stream that is ready for it; whether there is more to come.
    fn pump_turn(&self) -> bool;

    /// Whether there is nothing more to write, and never will be.
    fn is_over(&self) -> bool;

    /// The pump cannot wait for this stream: somebody else has to write to it.
    fn go_without_pump(&self);
}

/// What has deadlines that the pump keeps.
pub(crate) trait Watched: Send + Sync {
    /// Acts on this deadline if it is due at `now`; when to ask again. Both are in [live time](Pump::live).
    fn check_deadline(&self, deadline: Deadline, now: Instant) -> Option<Instant>;
}

/// What is watched for. Of a connection there is at most one alarm for an unfinished message, and one for silence,
/// however many messages come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deadline {
    /// That the peer takes what it is sent; and the steps of an end.
    Sending,
    /// That the peer's system answers what it is sent.
    Answer,
    /// That a message which has begun to arrive becomes whole.
    PartialMessage,
    /// That anything arrives at all.
    Idle,
    /// That a caller becomes a connection, or is gone.
    Handshake,
    /// That there is room in the log to say what was left out of it.
    LogRoom,
}

/// The pump's side that others see: they leave things in its inbox and wake it.
#[derive(Default)]
pub(crate) struct Pump {
    inbox: Mutex<Inbox>,
    clock: Mutex<Clock>,
}

/// By what live time is behind.
#[derive(Default)]
struct Clock {
    /// For how long the process has stood still since the start.
    stood_still: Duration,
    /// Until when the pump sleeps, unless it is woken.
    sleeps_until: Option<Instant>,
}

impl Clock {
    /// How much later it is than the pump would sleep if the process had not stood still since it fell asleep.
    fn late(&self, now: Instant) -> Duration {
        let late = self.sleeps_until.map_or(Duration::ZERO, |until| now.saturating_duration_since(until));
        if late > LATE { late } else { Duration::ZERO }
    }

    fn live(&self, now: Instant) -> Instant {
        now.checked_sub(self.stood_still + self.late(now)).unwrap_or(now)
    }

    fn fall_asleep(&mut self, timeout: Option<Duration>) {
        self.sleeps_until = timeout.map(|timeout| later(Instant::now(), timeout));
    }

    /// Notes for how long the process has stood still meanwhile; what time it is.
    fn wake_up(&mut self) -> (Instant, Instant) {
        let now = Instant::now();
        self.stood_still += self.late(now);
        self.sleeps_until = None;
        (now, self.live(now))
    }
}

#[derive(Default)]
struct Inbox {
    /// Only while the pump runs: a service that is only built, or closed, holds no descriptor.
    writable: Option<Arc<Writable>>,
    /// Those who need no more, by their numbers; before those who do.
    let_go: Vec<u64>,
    backlogged: Vec<(u64, Backlogged)>,
    alarms: Vec<Alarm>,
    ticked: Vec<Weak<dyn Ticked>>,
    /// When the pump wakes by itself; `None` while it is awake, since it looks here before it waits again.
    wakes_at: Option<WakesAt>,
    stopped: bool,
}

/// In live time.
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
    /// In live time.
    at: Instant,
    /// The time-out of which it is the end.
    timeout: Duration,
    deadline: Deadline,
    /// Weak, so that a deadline far ahead does not keep what is gone.
    watched: Weak<dyn Watched>,
}

impl Pump {
    /// Prepares for [`run`](Self::run), which may follow once.
    pub(crate) fn open(&self) -> io::Result<()> {
        self.inbox.lock().writable = Some(Arc::new(Writable::new()?));
        Ok(())
    }

    /// The time that deadlines are kept in, now: it stands still while the process does.
    pub(crate) fn live(&self) -> Instant {
        let clock = self.clock.lock();
        clock.live(Instant::now())
    }

    /// Whether [`adopt`](Self::adopt) can serve this stream.
    pub(crate) fn can_adopt(stream: &dyn Stream) -> bool {
        Writable::can_watch(stream)
    }

    /// Takes over writing to `stream` until `connection`, which has this `number` in its service, has nothing more for
    /// it.
    pub(crate) fn adopt(&self, number: u64, connection: Arc<dyn Pumped>, stream: Arc<dyn Stream>) {
        let mut inbox = self.inbox.lock();
        if inbox.stopped {
            return;
        }
        inbox.backlogged.push((number, Backlogged { connection, stream }));
        inbox.wake_if_asleep();
    }

    /// Lets the stream of a connection go, if the pump has it, for which there is nothing to write: it may never become
    /// ready. To be adopted again, unless the connection [is over](Pumped::is_over).
    pub(crate) fn let_go(&self, number: u64) {
        let mut inbox = self.inbox.lock();
        if inbox.stopped {
            return;
        }
        inbox.let_go.push(number);
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

    /// Asks `watched` to check its `deadline` after `timeout`.
    pub(crate) fn watch(&self, watched: Weak<dyn Watched>, deadline: Deadline, timeout: Duration) {
        let live = self.live();
        let at = later(live, timeout);
        let mut inbox = self.inbox.lock();
        if inbox.stopped {
            return;
        }
        inbox.alarms.push(Alarm { at, timeout, deadline, watched });
        let by = at.min(later(live, (timeout / SLEEPS).max(SHORTEST_SLEEP)));
        if !matches!(inbox.wakes_at, Some(WakesAt::At(wakes_at)) if wakes_at <= by) {
            inbox.wake_if_asleep();
        }
    }

    /// Takes [`open`](Self::open) back.
    pub(crate) fn shut(&self) {
        let writable = self.inbox.lock().writable.take();
        drop(writable);
    }

    /// Makes [`run`](Self::run) return soon, and takes nothing more in.
    pub(crate) fn stop(&self) {
        let writable = self.inbox.lock().writable.clone();
        let left = mem::replace(&mut *self.inbox.lock(), Inbox { stopped: true, ..Inbox::default() });
        drop(left);
        if let Some(writable) = writable {
            writable.wake();
        }
    }

    /// The pump's thread, until it is [stopped](Self::stop).
    ///
    /// # Errors
    ///
    /// The system does not tell any more who is ready.
    pub(crate) fn run(&self) -> io::Result<()> {
        let Some(writable) = self.inbox.lock().writable.clone() else { return Ok(()) };
        let mut work = Work::new();
        let mut failing = Failing::default();
        while self.collect(&mut work, &writable) {
            let timeout = work.timeout(self.live());
            self.clock.lock().fall_asleep(timeout);
            let ready = work.wait(&writable, timeout);
            let (now, live) = self.clock.lock().wake_up();
            match ready {
                Ok(ready) => {
                    failing = Failing::default();
                    work.write_to(&writable, ready);
                }
                Err(error) => failing.survive(error)?,
            }
            self.inbox.lock().wakes_at = None;
            work.ring(live);
            work.tick(now);
        }
        // What came in meanwhile is of connections that have been cut off.
        self.stop();
        Ok(())
    }

    /// Empties the inbox; false when it is time to stop.
    fn collect(&self, work: &mut Work, writable: &Writable) -> bool {
        // Before it is said when the pump wakes.
        work.drop_stale_alarms();
        let mut inbox = self.inbox.lock();
        let (let_go, backlogged) = (mem::take(&mut inbox.let_go), mem::take(&mut inbox.backlogged));
        mem::take(&mut inbox.alarms).into_iter().for_each(|alarm| work.add_alarm(alarm));
        work.ticked.append(&mut inbox.ticked);
        inbox.wakes_at = Some(match work.wakes_by(self.live()) {
            Some(at) => WakesAt::At(at),
            None => WakesAt::Never,
        });
        let goes_on = !inbox.stopped;
        drop(inbox);
        let_go.into_iter().for_each(|number| work.let_go(writable, number));
        backlogged.into_iter().for_each(|(number, backlogged)| work.adopt(writable, number, backlogged));
        goes_on
    }
}

impl Inbox {
    /// While the pump is awake it needs no waking: it looks here before it waits again.
    fn wake_if_asleep(&self) {
        if let (Some(writable), Some(_)) = (&self.writable, self.wakes_at) {
            writable.wake();
        }
    }
}

/// How long the system has not been able to tell who is ready.
#[derive(Default)]
struct Failing {
    since: Option<Instant>,
    pause: Duration,
}

impl Failing {
    /// Rests a little before the pump tries again.
    ///
    /// # Errors
    ///
    /// What will not pass, or has not for a while, comes back.
    fn survive(&mut self, error: io::Error) -> io::Result<()> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let may_pass = matches!(error.kind(), io::ErrorKind::OutOfMemory | io::ErrorKind::WouldBlock);
        if !may_pass || since.elapsed() >= PASSING {
            return Err(error);
        }
        if self.pause.is_zero() {
            warn!("the system cannot tell which streams take bytes, and is asked again: {error}");
        }
        self.pause = (2 * self.pause).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        thread::sleep(self.pause);
        Ok(())
    }
}

/// What the pump has to do, in its own hands.
struct Work {
    /// By the numbers of the connections.
    backlog: HashMap<u64, Backlogged>,
    alarms: BinaryHeap<Reverse<Alarm>>,
    /// The time-outs of the alarms, and how many have each: there are few different ones.
    timeouts: BTreeMap<Duration, usize>,
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
            backlog: HashMap::new(),
            alarms: BinaryHeap::new(),
            timeouts: BTreeMap::new(),
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
            let alarms = mem::take(&mut self.alarms);
            self.timeouts.clear();
            alarms
                .into_iter()
                .filter(|Reverse(alarm)| alarm.watched.strong_count() > 0)
                .for_each(|Reverse(alarm)| self.add_alarm(alarm));
            self.many_alarms = FEW_ALARMS.max(2 * self.alarms.len());
        }
    }

    fn add_alarm(&mut self, alarm: Alarm) {
        *self.timeouts.entry(alarm.timeout).or_default() += 1;
        self.alarms.push(Reverse(alarm));
    }

    /// The next alarm that is due.
    fn take_alarm(&mut self, now: Instant) -> Option<Alarm> {
        if self.alarms.peek().is_none_or(|Reverse(alarm)| alarm.at > now) {
            return None;
        }
        let Reverse(alarm) = self.alarms.pop()?;
        if let Some(count) = self.timeouts.get_mut(&alarm.timeout) {
            *count -= 1;
            if *count == 0 {
                self.timeouts.remove(&alarm.timeout);
            }
        }
        Some(alarm)
    }

    /// When the pump wakes at the latest, in live time, because of its alarms.
    fn wakes_by(&self, live: Instant) -> Option<Instant> {
        let Reverse(alarm) = self.alarms.peek()?;
        let (shortest, _) = self.timeouts.first_key_value()?;
        Some(alarm.at.min(later(live, (*shortest / SLEEPS).max(SHORTEST_SLEEP))))
    }

    /// How long there is nothing to do unless a stream becomes ready.
    fn timeout(&mut self, live: Instant) -> Option<Duration> {
        let now = Instant::now();
        if self.ticked.is_empty() {
            self.tick_at = None;
        } else {
            self.tick_at.get_or_insert(now + self.interval);
        }
        let alarm = self.wakes_by(live).map(|at| at.saturating_duration_since(live));
        let tick = self.tick_at.map(|at| at.saturating_duration_since(now));
        [alarm, tick].into_iter().flatten().min()
    }

    /// Takes a connection in, whose stream took no more a moment ago.
    fn adopt(&mut self, writable: &Writable, number: u64, backlogged: Backlogged) {
        // Aborted meanwhile: its stream may never become ready, and must not be held.
        if backlogged.connection.is_over() {
            return;
        }
        // It is here already when it has been handed over twice in a moment.
        let watched = match self.backlog.contains_key(&number) {
            true => writable.watch_again(number, &*backlogged.stream),
            false => writable.watch(number, &*backlogged.stream),
        };
        match watched {
            Ok(()) => drop(self.backlog.insert(number, backlogged)),
            Err(_) => {
                self.let_go(writable, number);
                backlogged.connection.go_without_pump();
            }
        }
    }

    fn let_go(&mut self, writable: &Writable, number: u64) {
        if let Some(backlogged) = self.backlog.remove(&number) {
            writable.forget(&*backlogged.stream);
        }
    }

    /// Waits until a stream takes bytes, or the time is over, or somebody wakes the pump; who is ready.
    fn wait(&self, writable: &Writable, timeout: Option<Duration>) -> io::Result<Vec<u64>> {
        let watched = self.backlog.iter().map(|(number, backlogged)| (*number, &*backlogged.stream));
        writable.wait(watched, timeout)
    }

    /// Writes one turn to each of those who are ready.
    fn write_to(&mut self, writable: &Writable, ready: Vec<u64>) {
        for number in ready {
            let Some(Backlogged { connection, stream }) = self.backlog.get(&number) else { continue };
            if !connection.pump_turn() {
                self.let_go(writable, number);
            } else if writable.watch_again(number, &**stream).is_err() {
                let connection = Arc::clone(connection);
                self.let_go(writable, number);
                connection.go_without_pump();
            }
        }
    }

    /// Lets everyone whose alarm is due look at the deadline.
    fn ring(&mut self, now: Instant) {
        while let Some(Alarm { watched, deadline, timeout, .. }) = self.take_alarm(now) {
            let next = watched.upgrade().and_then(|watched| watched.check_deadline(deadline, now));
            if let Some(at) = next {
                self.add_alarm(Alarm { at, timeout, deadline, watched });
            }
        }
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
        let writable = Writable::new().unwrap();
        let mut work = Work::new();
        let hour = Duration::from_secs(60 * 60);
        let kept: Vec<Arc<dyn Watched>> = (0..live).map(|_| Arc::new(Patient) as _).collect();
        kept.iter().for_each(|watched| pump.watch(Arc::downgrade(watched), Deadline::Idle, hour));
        for _ in 0..100_000 {
            let gone: Arc<dyn Watched> = Arc::new(Patient);
            pump.watch(Arc::downgrade(&gone), Deadline::Idle, hour);
            drop(gone);
            assert!(pump.collect(&mut work, &writable));
            assert!(work.alarms.len() <= 2 * live + FEW_ALARMS, "{} alarms", work.alarms.len());
            // A thread that leaves an alarm relies on it that the pump wakes when it has said.
            let says = pump.inbox.lock().wakes_at;
            let wakes = work.alarms.peek().map(|Reverse(alarm)| alarm.at);
            assert!(matches!((says, wakes), (Some(WakesAt::At(says)), Some(wakes)) if says <= wakes));
            assert_eq!(work.timeouts.get(&hour), Some(&work.alarms.len()));
        }
        let left = work.alarms.iter().filter(|Reverse(alarm)| alarm.watched.strong_count() > 0).count();
        assert_eq!(left, kept.len());
    }
}

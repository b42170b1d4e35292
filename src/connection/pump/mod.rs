//! The pump: one thread per service that writes what sockets would not take at once, and keeps every deadline. It runs
//! no callback, and blocks only in waiting for something to do.
//!
//! What a wake costs depends on who is ready, not on who is behind.
//!
//! Deadlines are kept in *live time*, which stands still while the process does, because it was stopped, or its machine
//! suspended: a peer that had no chance to be heard meanwhile has it then. The pump notices by waking much later than
//! it meant to, so it sleeps no longer than a part of the shortest time-out that is running.

mod alarms;
mod clock;
mod work;

use std::io;
use std::mem;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::sync::later;
use crate::transport::Stream;
use crate::transport::socket::writable::Writable;
use alarms::{Alarm, SHORTEST_SLEEP, SLEEPS};
use clock::Clock;
use work::{Failing, Work};

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
    /// That what is queued is written.
    Queued,
    /// That a message is sent which waits for its interval.
    Interval,
    /// That a message which has begun to arrive becomes whole.
    PartialMessage,
    /// That anything arrives at all.
    Idle,
    /// That a caller becomes a connection, or is gone.
    Handshake,
    /// That there is room in the log to say what was left out of it.
    LogRoom,
    /// That a service's numbers are said again.
    Numbers,
}

/// The pump's side that others see: they leave things in its inbox and wake it.
#[derive(Default)]
pub(crate) struct Pump {
    inbox: Mutex<Inbox>,
    clock: Mutex<Clock>,
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
        work.alarms.drop_stale();
        let mut inbox = self.inbox.lock();
        let (let_go, backlogged) = (mem::take(&mut inbox.let_go), mem::take(&mut inbox.backlogged));
        mem::take(&mut inbox.alarms).into_iter().for_each(|alarm| work.alarms.add(alarm));
        work.ticked.append(&mut inbox.ticked);
        inbox.wakes_at = Some(match work.alarms.wakes_by(self.live()) {
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

#[cfg(all(test, not(loom)))]
mod tests {
    use std::cmp::Reverse;

    use super::alarms::FEW_ALARMS;
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
            assert!(work.alarms.heap.len() <= 2 * live + FEW_ALARMS, "{} alarms", work.alarms.heap.len());
            // A thread that leaves an alarm relies on it that the pump wakes when it has said.
            let says = pump.inbox.lock().wakes_at;
            let wakes = work.alarms.heap.peek().map(|Reverse(alarm)| alarm.at);
            assert!(matches!((says, wakes), (Some(WakesAt::At(says)), Some(wakes)) if says <= wakes));
            assert_eq!(work.alarms.timeouts.get(&hour), Some(&work.alarms.heap.len()));
        }
        let left = work.alarms.heap.iter().filter(|Reverse(alarm)| alarm.watched.strong_count() > 0).count();
        assert_eq!(left, kept.len());
    }
}

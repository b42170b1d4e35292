//! What the pump has to do, and how it does it.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::alarms::{Alarm, Alarms};
use super::{Backlogged, Tick, Ticked};
use crate::sync::user_code::warn;
use crate::transport::socket::writable::Writable;

/// How long the pump rests when the system cannot tell who is ready, so that it does not spin: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// For how long that may go on before it is taken for lasting.
const PASSING: Duration = Duration::from_secs(5);

/// How often the pump looks after what is corked. Short, because a message may wait for two looks; and not shorter,
/// because each look takes the processor from those who send in a rush. It becomes longer while they do the
/// writing.
const SHORT_TICK: Duration = Duration::from_micros(50);
const LONG_TICK: Duration = Duration::from_micros(200);

/// What the pump has to do, in its own hands.
pub(super) struct Work {
    /// By the numbers of the connections.
    backlog: HashMap<u64, Backlogged>,
    pub(super) alarms: Alarms,
    pub(super) ticked: Vec<Weak<dyn Ticked>>,
    /// When to tick next, and how long after the last time.
    tick_at: Option<Instant>,
    interval: Duration,
}

impl Work {
    pub(super) fn new() -> Self {
        Self { backlog: HashMap::new(), alarms: Alarms::new(), ticked: Vec::new(), tick_at: None, interval: SHORT_TICK }
    }

    /// How long there is nothing to do unless a stream becomes ready.
    pub(super) fn timeout(&mut self, live: Instant) -> Option<Duration> {
        let now = Instant::now();
        if self.ticked.is_empty() {
            self.tick_at = None;
        } else {
            self.tick_at.get_or_insert(now + self.interval);
        }
        let alarm = self.alarms.wakes_by(live).map(|at| at.saturating_duration_since(live));
        let tick = self.tick_at.map(|at| at.saturating_duration_since(now));
        [alarm, tick].into_iter().flatten().min()
    }

    /// Takes a connection in, whose stream took no more a moment ago.
    pub(super) fn adopt(&mut self, writable: &Writable, number: u64, backlogged: Backlogged) {
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

    pub(super) fn let_go(&mut self, writable: &Writable, number: u64) {
        if let Some(backlogged) = self.backlog.remove(&number) {
            writable.forget(&*backlogged.stream);
        }
    }

    /// Waits until a stream takes bytes, or the time is over, or somebody wakes the pump; who is ready.
    pub(super) fn wait(&self, writable: &Writable, timeout: Option<Duration>) -> io::Result<Vec<u64>> {
        let watched = self.backlog.iter().map(|(number, backlogged)| (*number, &*backlogged.stream));
        writable.wait(watched, timeout)
    }

    /// Writes one turn to each of those who are ready.
    pub(super) fn write_to(&mut self, writable: &Writable, ready: Vec<u64>) {
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
    pub(super) fn ring(&mut self, now: Instant) {
        while let Some(Alarm { watched, deadline, timeout, .. }) = self.alarms.take(now) {
            let next = watched.upgrade().and_then(|watched| watched.check_deadline(deadline, now));
            if let Some(at) = next {
                self.alarms.add(Alarm { at, timeout, deadline, watched });
            }
        }
    }

    pub(super) fn tick(&mut self, now: Instant) {
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

/// How long the system has not been able to tell who is ready.
#[derive(Default)]
pub(super) struct Failing {
    since: Option<Instant>,
    pause: Duration,
}

impl Failing {
    /// Rests a little before the pump tries again.
    ///
    /// # Errors
    ///
    /// What will not pass, or has not for a while, comes back.
    pub(super) fn survive(&mut self, error: io::Error) -> io::Result<()> {
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

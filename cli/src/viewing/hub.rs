//! The hub: the one thread that looks at each message, and tells those who view it.
//!
//! ```text
//!   queue, or a recording ──▶ take ──┬─▶ board: what is known by now ──▶ viewers, at their times
//!                                    └─▶ sinks: each message
//! ```

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::vec;

use super::Sink;
use super::board::Board;
use super::link::Link;
use super::monitor::Monitor;
use super::playback::{Playback, Played};
use super::protocol::{self, State, Subject, Timeline};
use super::viewers::Viewers;
use crate::console::{Failure, fail};
use crate::recording::queue::{Entry, Queue, Received};

/// How often samples are told.
const TICK: Duration = Duration::from_millis(50);

/// After how many ticks the state is, and after how many whatever is of no hurry.
const STATE: u64 = 5;
const NO_HURRY: u64 = 20;

/// Where messages come from.
pub(crate) enum Feed {
    Vehicle {
        queue: Arc<Queue>,
        /// What was taken from it, and has not been looked at yet.
        taken: vec::IntoIter<Entry>,
        link: Arc<Link>,
        monitor: Option<Arc<Monitor>>,
    },
    Recording(Box<Playback>),
}

pub(crate) struct Hub {
    pub(crate) feed: Feed,
    pub(super) board: Board,
    pub(crate) subject: Subject,
    pub(crate) viewers: Arc<Viewers>,
    pub(crate) sinks: Vec<Box<dyn Sink>>,
    has_to_end: Arc<AtomicBool>,
    /// The moment that rates are counted from.
    begun: Instant,
    rates: [f64; 3],
}

/// A hub that runs.
pub(crate) struct Running {
    has_to_end: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Running {
    /// Ends it, and waits for that.
    ///
    /// # Errors
    ///
    /// [`Failure::Failed`] if it has panicked.
    pub(crate) fn end(self) -> Result<(), Failure> {
        self.has_to_end.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| fail("what came could not be looked at any more, by a fault of leads-comm"))
    }
}

impl Feed {
    /// Gives `each` what comes until the deadline, or earlier.
    fn take(&mut self, deadline: Instant, each: impl FnMut(Played)) {
        match self {
            Self::Vehicle { queue, taken, .. } => take(queue, taken, deadline, each),
            Self::Recording(playback) => playback.take(deadline, each),
        }
    }

    /// Fills in what only this knows of a state.
    fn complete(&self, state: &mut State) {
        match self {
            Self::Vehicle { queue, link, .. } => {
                state.now = queue.clock().now();
                (state.is_connected, state.since, state.status) = link.told();
                state.left_out = queue.volumes().1.messages;
            }
            Self::Recording(playback) => {
                state.now = playback.now();
                (state.is_connected, state.status) = (true, playback.status());
                // The clock of a recording says nothing about ours.
                state.skew = None;
            }
        }
    }

    fn timeline(&self) -> Option<Timeline> {
        match self {
            Self::Vehicle { .. } => None,
            Self::Recording(playback) => Some(playback.timeline()),
        }
    }

    fn monitor(&self) -> Option<&Monitor> {
        match self {
            Self::Vehicle { monitor, .. } => monitor.as_deref(),
            Self::Recording(_) => None,
        }
    }
}

/// Gives `each` what has been taken from the queue, until the deadline: a flood may fill it for seconds, and who looks is
/// told meanwhile.
fn take(queue: &Queue, taken: &mut vec::IntoIter<Entry>, deadline: Instant, mut each: impl FnMut(Played)) {
    if taken.len() == 0 {
        *taken = queue.take(deadline).entries.into_iter();
    }
    for entry in taken {
        // What was left out is counted by the queue.
        if let Entry::Message(received) = entry {
            let len = received.message.len();
            each(Played::Message(received));
            queue.release(len);
        }
        if Instant::now() >= deadline {
            return;
        }
    }
}

impl Hub {
    pub(crate) fn new(feed: Feed, board: Board, subject: Subject, viewers: Arc<Viewers>) -> Self {
        let (sinks, has_to_end) = (Vec::new(), Arc::default());
        Self { feed, board, subject, viewers, sinks, has_to_end, begun: Instant::now(), rates: [0.0; 3] }
    }

    /// Begins to look. Where that ends by a panic, `on_panic` is called: a page that stands still is worse than none.
    pub(crate) fn start(mut self, on_panic: impl FnOnce() + Send + 'static) -> Result<Running, Failure> {
        let has_to_end = Arc::clone(&self.has_to_end);
        let run = move || {
            if let Err(panic) = panic::catch_unwind(AssertUnwindSafe(|| self.run())) {
                on_panic();
                panic::resume_unwind(panic);
            }
        };
        let thread = thread::Builder::new().name("hub".into()).spawn(run);
        let thread = thread.map_err(|error| fail(format!("there is no thread to look with: {error}")))?;
        Ok(Running { has_to_end, thread })
    }

    fn run(&mut self) {
        let (mut next, mut ticks) = (Instant::now() + TICK, 0);
        while !self.has_to_end.load(Ordering::Relaxed) {
            self.look(next);
            let now = Instant::now();
            if now >= next {
                self.tick(ticks);
                ticks += 1;
                // What could not be done in time is not made up for.
                next = now.max(next + TICK);
            }
        }
    }

    /// Looks at what comes until the deadline, or earlier.
    fn look(&mut self, deadline: Instant) {
        let (board, sinks, viewers) = (&mut self.board, &mut self.sinks, &self.viewers);
        self.feed.take(deadline, |played| match played {
            Played::Message(received) => {
                let Received { time, message, .. } = &received;
                sinks.iter_mut().for_each(|sink| sink.message(message, *time));
                board.add(received);
            }
            Played::Jump => {
                board.reset();
                sinks.iter_mut().for_each(|sink| sink.jump());
                viewers.tell(protocol::RESET);
            }
        });
        if self.viewers.are_there() {
            // At once, and each only once, however many have come together.
            self.board.changed_pictures().iter().for_each(|picture| self.viewers.tell(picture));
        }
    }

    /// Tells what there is to tell, at this tick.
    fn tick(&mut self, number: u64) {
        let is_time = |every| number % every == 0;
        if is_time(STATE) {
            self.rates = self.board.see_rates(self.begun.elapsed().as_nanos() as u64);
        }
        if !self.viewers.are_there() {
            // For those who come, and ask for it.
            return self.board.pass_rows(|_, _| {});
        }
        self.viewers.greet(|| self.everything());
        let viewers = &self.viewers;
        if let Some(fields) = self.board.changed_fields(is_time(NO_HURRY)) {
            viewers.tell(fields);
        }
        self.board.pass_rows(|seq, rows| viewers.tell_samples(&protocol::samples(seq, rows)));
        if is_time(STATE) {
            viewers.tell(self.state().text());
            self.board.changed_raw().into_iter().for_each(|raw| viewers.tell(raw));
            self.feed.timeline().into_iter().for_each(|timeline| viewers.tell(timeline.text()));
        }
        if is_time(NO_HURRY) {
            self.feed.monitor().and_then(Monitor::news).into_iter().for_each(|news| viewers.tell(news));
        }
    }

    fn state(&self) -> State {
        let mut state = self.board.state(self.rates);
        self.feed.complete(&mut state);
        state
    }

    /// What a newcomer is told.
    fn everything(&self) -> Vec<Vec<u8>> {
        let texts = [
            Some(protocol::hello(&self.subject)),
            Some(self.board.fields()),
            Some(self.state().text()),
            self.feed.timeline().map(|timeline| timeline.text()),
            self.feed.monitor().and_then(Monitor::told),
            Some(self.board.raw()),
        ];
        texts.into_iter().flatten().map(String::into_bytes).chain(self.board.pictures()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::mpsc;

    use leads_comm_testing::PATIENCE;
    use leads_comm_testing::folder::Folder;
    use parking_lot::Mutex;

    use super::super::desk::{Controls, Desk};
    use super::super::history::History;
    use super::super::saving;
    use super::*;
    use crate::recording::channels::Origin;
    use crate::recording::clock::Clock;
    use crate::web;

    /// One who looks, and fails at the first message.
    struct Faulty;

    impl Sink for Faulty {
        fn message(&mut self, _: &[u8], _: u64) {
            panic!("as it should");
        }
    }

    #[test]
    fn a_fault_ends_it_and_is_told() {
        let folder = Folder::new("hub");
        let origin = Arc::new(Origin { role: "client", peer: "10.0.0.4".into(), separator: ";".into() });
        let message = Arc::new(Received { time: 1, sequence: 0, origin, message: b"x".to_vec() });
        let file = folder.path().join("one.mcap");
        fs::write(&file, saving::file(saving::Format::Mcap, &[message]).unwrap().unwrap()).unwrap();
        let controls = Arc::new(Controls::default());
        let playback = Playback::start(vec![file], Arc::clone(&controls)).unwrap();
        let (_door, listener) = web::door(&[protocol::SUBPROTOCOL]);
        let viewers = Arc::new(Viewers::start(listener, Arc::new(Desk::Player(controls))).unwrap());
        let subject = Subject {
            source: String::new(),
            is_live: false,
            commands: Vec::new(),
            keep_s: 1.0,
            monitor: None,
            files: None,
        };
        let board = Board::new(Arc::new(Mutex::new(History::new(Duration::from_secs(1), 1000))));
        let mut hub = Hub::new(Feed::Recording(Box::new(playback)), board, subject, Arc::clone(&viewers));
        hub.sinks.push(Box::new(Faulty));
        let (ended, ends) = mpsc::channel();
        let running = hub.start(move || ended.send(()).unwrap()).unwrap();
        ends.recv_timeout(PATIENCE).unwrap();
        assert!(matches!(running.end(), Err(Failure::Failed(_))));
        viewers.close();
    }

    #[test]
    fn what_waits_is_looked_at_until_the_deadline_and_the_rest_later() {
        let queue = Queue::new(1 << 20, Some(Duration::ZERO), Clock::start()).at_once();
        let origin = Arc::new(Origin { role: "client", peer: "10.0.0.4".into(), separator: ";".into() });
        let (mut taken, mut seen) = (Vec::new().into_iter(), Vec::new());
        let mut look = |queue: &Queue, deadline| {
            let before = seen.len();
            take(queue, &mut taken, deadline, |played| {
                if let Played::Message(received) = played {
                    seen.push(received.sequence);
                }
            });
            seen[before..].to_vec()
        };
        (0..5).for_each(|_| assert!(!queue.push(&origin, b"x")));
        let past = Instant::now();
        assert_eq!((look(&queue, past), look(&queue, past)), (vec![0], vec![1]));
        queue.push(&origin, b"x");
        let later = Instant::now() + Duration::from_secs(3600);
        assert_eq!((look(&queue, later), look(&queue, later)), (vec![2, 3, 4], vec![5]));
    }
}

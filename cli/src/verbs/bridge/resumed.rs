//! `--resume`: a vehicle that keeps what it says is asked for what has not been passed on, and a file tells where that
//! begins.
//!
//! ```text
//!   vehicle ─ messages ─▶ subscriber ─▶ bridge ─ settled ─▶ FILE
//!           ◀─ all behind that ─────────────────────────────┘
//! ```
//!
//! What is in memory here when the process ends is still with the vehicle, which is asked for it again: so none is lost,
//! and some may come twice.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use leads_comm_mqtt::{Bridge, Error};
use leads_comm_resume::{Gap, Position, PositionFile, Subscriber, Subscription};
use parking_lot::Mutex;

use crate::console::{Failure, Sparing, complain, fail};

/// How often the file is written, at most: what has come since comes twice when the process is killed.
const INTERVAL: Duration = Duration::from_millis(100);

/// How long a vehicle has to say where it goes on before it is taken for one that keeps nothing.
const ANSWER: Duration = Duration::from_secs(5);

const UNANSWERED: &str = "leads-comm: nothing is taken from the vehicle, which does not say where it goes on: \
                          --resume is for one that keeps a history";

/// The file with the position of the last message that is settled.
pub(super) struct SettledFile {
    file: PositionFile,
    name: String,
    /// What is not written yet.
    due: Option<Position>,
    failed: Sparing,
}

impl SettledFile {
    /// The file, and the last message that the vehicle need not send again; none where the file is new or empty.
    pub(super) fn open(path: &Path) -> Result<(Self, Option<Position>), Failure> {
        let name = path.display().to_string();
        let (file, last) = PositionFile::open(path).map_err(|error| fail(format!("--resume: {name}: {error}")))?;
        Ok((Self { file, name, due: None, failed: Sparing::default() }, last))
    }

    /// Writes down this position, or one that could not be written before.
    fn put(&mut self, position: Option<Position>) {
        self.due = position.or(self.due);
        let Some(position) = self.due else { return };
        match self.file.put(position) {
            Ok(()) => self.due = None,
            Err(error) => self.failed.complain(&format!("--resume: {}: {error}", self.name)),
        }
    }
}

/// How far a vehicle's messages have been passed on.
pub(super) struct Resumed {
    bridge: Bridge,
    /// What the bridge was given and is not known to be settled: its number, and where it is in what the vehicle keeps.
    given: Mutex<VecDeque<(u64, Position)>>,
    unfit: Sparing,
}

impl Resumed {
    /// By this bridge.
    pub(super) fn new(bridge: Bridge) -> Arc<Self> {
        Arc::new(Self { bridge, given: Mutex::default(), unfit: Sparing::default() })
    }

    /// Keeps the file, on a thread of its own.
    pub(super) fn keep(self: Arc<Self>, mut file: SettledFile, subscriber: Subscriber) -> Keeper {
        let (end, ended) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            let mut unanswered = Unanswered::default();
            while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                file.put(self.settled());
                unanswered.look(&subscriber);
            }
            file.put(self.settled());
        });
        Keeper { end, thread }
    }

    /// How far messages are settled, where that is farther than before.
    fn settled(&self) -> Option<Position> {
        let settled = self.bridge.stats().settled;
        let mut given = self.given.lock();
        let so_many = given.partition_point(|(number, _)| *number <= settled);
        given.drain(..so_many).next_back().map(|(_, position)| position)
    }
}

impl Subscription for Resumed {
    fn on_message(&self, position: Position, message: &[u8]) {
        match self.bridge.publish_blocking(message) {
            Ok(number) => self.given.lock().push_back((number, position)),
            // It comes again.
            Err(Error::NotStarted | Error::Closed) => {}
            Err(error) => {
                self.unfit.complain(&format!("a message was not published: {error}"));
                // It is settled with the one before it.
                let mut given = self.given.lock();
                let number = given.back().map_or(0, |(number, _)| *number);
                given.push_back((number, position));
            }
        }
    }

    fn on_gap(&self, gap: &Gap) {
        complain(format_args!("leads-comm: the vehicle has not kept all: {gap}"));
    }
}

/// Who keeps the file until it is closed.
pub(super) struct Keeper {
    /// Dropped for the end.
    end: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Keeper {
    /// Has it write down what is settled in the end.
    pub(super) fn close(self) {
        drop(self.end);
        self.thread.join().expect("it does not panic");
    }
}

/// How long a vehicle has not said where it goes on.
#[derive(Default)]
struct Unanswered {
    since: Option<Instant>,
    is_told: bool,
}

impl Unanswered {
    fn look(&mut self, subscriber: &Subscriber) {
        if subscriber.is_resumed() || subscriber.client().num_connections() == 0 {
            self.since = None;
        } else if self.since.get_or_insert_with(Instant::now).elapsed() >= ANSWER && !self.is_told {
            self.is_told = true;
            complain(UNANSWERED);
        }
    }
}

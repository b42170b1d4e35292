//! Counting what arrives, and waiting for it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex};

use crate::measure;
use crate::task::{Content, Job, Task, sent_at};

/// Counts up; others wait until it has come far enough.
#[derive(Debug, Default)]
pub(crate) struct Latch {
    count: Mutex<u64>,
    changed: Condvar,
    /// When it counted last.
    last: AtomicU64,
    /// Connections, of those counted, that this side has ended.
    ended: AtomicU64,
}

impl Latch {
    pub(crate) fn add(&self) {
        self.last.store(measure::now(), Relaxed);
        *self.count.lock().unwrap() += 1;
        self.changed.notify_all();
    }

    /// Waits without a limit of its own: the runner ends the process when it takes too long.
    pub(crate) fn wait(&self, count: u64) {
        drop(self.changed.wait_while(self.count.lock().unwrap(), |reached| *reached < count).unwrap());
    }

    pub(crate) fn count(&self) -> u64 {
        *self.count.lock().unwrap()
    }

    /// One of the connections counted was ended.
    pub(crate) fn end(&self) {
        self.ended.fetch_add(1, Relaxed);
    }

    pub(crate) fn ended(&self) -> u64 {
        self.ended.load(Relaxed)
    }

    pub(crate) fn last(&self) -> u64 {
        self.last.load(Relaxed)
    }
}

/// Counts the messages of one connection, and reports to a latch whenever a round of them is complete.
#[derive(Debug)]
pub(crate) struct Tally {
    messages: AtomicU64,
    bytes: AtomicU64,
    /// At how many messages, and at how many bytes on the wire, the current round is complete.
    messages_due: AtomicU64,
    bytes_due: AtomicU64,
    messages_per_round: u64,
    bytes_per_round: u64,
    /// Whether several threads count at the same time. One alone is spared the locked instructions.
    shared: bool,
    latencies: Option<Mutex<Vec<u64>>>,
    latch: Arc<Latch>,
}

impl Tally {
    pub(crate) fn new(task: &Task, latch: &Arc<Latch>) -> Self {
        let (messages_per_round, bytes_per_round) = (task.round(), task.wire(task.round()));
        Self {
            messages: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            messages_due: AtomicU64::new(messages_per_round),
            bytes_due: AtomicU64::new(bytes_per_round),
            messages_per_round,
            bytes_per_round,
            shared: task.job == Job::Churn,
            latencies: (task.content == Content::Stamped).then(|| Mutex::new(Vec::with_capacity(task.count as usize))),
            latch: Arc::clone(latch),
        }
    }

    /// Counts one message.
    pub(crate) fn add(&self, message: &[u8]) {
        self.raise(&self.bytes, message.len() as u64);
        let messages = self.raise(&self.messages, 1);
        if let Some(latencies) = &self.latencies {
            let now = measure::now();
            latencies.lock().unwrap().extend(sent_at(message).map(|sent| now.saturating_sub(sent)));
        }
        if messages == self.messages_due.load(Relaxed) {
            self.messages_due.store(messages + self.messages_per_round, Relaxed);
            self.latch.add();
        }
    }

    /// Counts bytes as they come from the wire, separators included, for a peer that does not tell messages apart.
    pub(crate) fn add_bytes(&self, chunk: &[u8]) {
        let bytes = self.raise(&self.bytes, chunk.len() as u64);
        while bytes >= self.bytes_due.load(Relaxed) {
            self.messages.fetch_add(self.messages_per_round, Relaxed);
            self.bytes_due.fetch_add(self.bytes_per_round, Relaxed);
            self.latch.add();
        }
    }

    fn raise(&self, counter: &AtomicU64, by: u64) -> u64 {
        if self.shared {
            return counter.fetch_add(by, Relaxed) + by;
        }
        let raised = counter.load(Relaxed) + by;
        counter.store(raised, Relaxed);
        raised
    }

    pub(crate) fn messages(&self) -> u64 {
        self.messages.load(Relaxed)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    pub(crate) fn take_latencies(&self) -> Vec<u64> {
        self.latencies.as_ref().map(|latencies| std::mem::take(&mut *latencies.lock().unwrap())).unwrap_or_default()
    }
}

/// The round trips of one connection.
#[derive(Debug)]
pub(crate) struct Trips {
    pub(crate) message: Vec<u8>,
    count: usize,
    started: AtomicU64,
    samples: Mutex<Vec<u64>>,
    done: Latch,
}

impl Trips {
    pub(crate) fn new(task: &Task) -> Self {
        let message = task.messages(1).advance().unwrap_or_default().to_vec();
        let count = task.count as usize;
        let samples = Mutex::new(Vec::with_capacity(count));
        Self { message, count, started: AtomicU64::new(0), samples, done: Latch::default() }
    }

    /// The first message is about to go out.
    pub(crate) fn begin(&self) {
        self.started.store(measure::now(), Relaxed);
    }

    /// A message has come back. Whether another is wanted, whose time begins now.
    pub(crate) fn again(&self, message: &[u8]) -> bool {
        assert_eq!(message.len(), self.message.len(), "what comes back is what was sent");
        let now = measure::now();
        let mut samples = self.samples.lock().unwrap();
        samples.push(now - self.started.load(Relaxed));
        let again = samples.len() < self.count;
        drop(samples);
        if again {
            self.started.store(now, Relaxed);
        } else {
            self.done.add();
        }
        again
    }

    /// Waits until the last has come back.
    pub(crate) fn wait(&self) {
        self.done.wait(1);
    }

    pub(crate) fn ended(&self) -> u64 {
        self.done.last()
    }

    pub(crate) fn missing(&self) -> u64 {
        (self.count - self.samples.lock().unwrap().len()) as u64
    }

    pub(crate) fn take_samples(&self) -> Vec<u64> {
        std::mem::take(&mut *self.samples.lock().unwrap())
    }
}

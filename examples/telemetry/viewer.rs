//! The pit's side: a client that receives the messages, and checks every one.

use std::collections::BTreeMap;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use leads_comm::{Client, Error, callback};

use crate::Note;
use crate::message::{self, Message};
use crate::publisher::micros;

/// After which message a viewer sends its commands: any would do, and an early one is seen in a short run.
const COMMANDS_AFTER: u64 = 5;

/// What a viewer compares the time in the messages with.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Clock {
    /// The publisher's own clock: both are in this process, and the difference is the latency.
    Shared(Instant),
    /// Another machine's clock cannot be compared with ours, but two messages can: by how much the time between them
    /// changed on the way is the jitter. Neither an offset of the clocks nor their drift matters.
    Foreign,
}

pub(crate) struct Viewer {
    pub(crate) client: Client,
    record: Arc<Mutex<Record>>,
}

impl Viewer {
    /// Connects to `address`; sends `commands` after a few messages, and notes of events and of the connection's end.
    pub(crate) fn connect(
        address: &str,
        clock: Clock,
        commands: Vec<&'static str>,
        notes: Option<SyncSender<Note>>,
    ) -> Result<Self, Error> {
        let record = Arc::new(Mutex::new(Record::new(clock)));
        let (taking, events) = (Arc::clone(&record), notes.clone());
        let callback = callback::on_receive(move |connection, message| {
            let arrived = Instant::now();
            if let Some(event) = message::event_from_json(message) {
                lock(&taking).events += 1;
                events
                    .iter()
                    .for_each(|notes| drop(notes.send(Note::Line(format!("event: {}", event.escape_debug())))));
                return;
            }
            // Unlocked again before anything is sent.
            let (received, is_publisher) = {
                let mut record = lock(&taking);
                (record.take(message, arrived), record.received + record.events > 0)
            };
            if !is_publisher {
                // A peer that begins with something else is none.
                connection.close();
            }
            if received == Some(COMMANDS_AFTER) {
                // If that fails, the connection is ending, and the messages that follow are missed anyway.
                commands.iter().for_each(|command| drop(connection.send(command.as_bytes())));
            }
        });
        let callback = callback.on_disconnect(move |_, _, reason| {
            notes.iter().for_each(|notes| drop(notes.send(Note::Disconnected(reason.clone()))));
        });
        let client = Client::builder().callback(callback).build()?;
        client.start(address, true)?;
        Ok(Self { client, record })
    }

    pub(crate) fn record(&self) -> MutexGuard<'_, Record> {
        lock(&self.record)
    }
}

fn lock(record: &Mutex<Record>) -> MutexGuard<'_, Record> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a viewer has seen.
pub(crate) struct Record {
    clock: Clock,
    pub(crate) received: u64,
    pub(crate) events: u64,
    /// Messages that a gap in the sequence tells of.
    pub(crate) missing: u64,
    /// Messages that could not be read, or came out of order.
    pub(crate) wrong: u64,
    pub(crate) newest: Message,
    newest_arrived: Option<Instant>,
    /// How many messages took how many microseconds: every value, in little memory however long it goes on.
    delays: BTreeMap<u64, u64>,
}

impl Record {
    fn new(clock: Clock) -> Self {
        let newest = Message::default();
        Self {
            clock,
            received: 0,
            events: 0,
            missing: 0,
            wrong: 0,
            newest,
            newest_arrived: None,
            delays: BTreeMap::new(),
        }
    }

    /// Checks a message; as which one it is counted, if there is nothing wrong with it.
    fn take(&mut self, message: &[u8], arrived: Instant) -> Option<u64> {
        let read = Message::from_json(message).filter(|message| message.sequence > self.newest.sequence);
        let Some(message) = read else {
            self.wrong += 1;
            return None;
        };
        let travelled = |since: Instant| micros(arrived.saturating_duration_since(since));
        match (self.clock, self.newest_arrived) {
            (Clock::Shared(epoch), _) => {
                self.missing += message.sequence - self.newest.sequence - 1;
                self.count_delay(travelled(epoch).saturating_sub(message.sent_us));
            }
            (Clock::Foreign, Some(before)) => {
                self.missing += message.sequence - self.newest.sequence - 1;
                self.count_delay(travelled(before).abs_diff(message.sent_us.saturating_sub(self.newest.sent_us)));
            }
            // A viewer that joins a publisher under way begins with what comes.
            (Clock::Foreign, None) => {}
        }
        (self.newest, self.newest_arrived) = (message, Some(arrived));
        self.received += 1;
        Some(self.received)
    }

    fn count_delay(&mut self, micros: u64) {
        *self.delays.entry(micros).or_default() += 1;
    }

    /// What went wrong, as far as a viewer can tell by itself.
    pub(crate) fn lost(&self) -> u64 {
        self.missing + self.wrong
    }

    /// The delays in microseconds that 50 and 99 % of the messages did not exceed, as text.
    pub(crate) fn percentiles(&self) -> (String, String) {
        (self.percentile(50), self.percentile(99))
    }

    fn percentile(&self, percent: u64) -> String {
        let all: u64 = self.delays.values().sum();
        let mut left = (all * percent).div_ceil(100);
        for (micros, count) in &self.delays {
            if *count >= left {
                return micros.to_string();
            }
            left -= count;
        }
        "-".into()
    }
}

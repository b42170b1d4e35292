//! What came in the last minutes: the messages as they came, to be saved, and their numbers, for plots.
//! Bounded in time, and in bytes; where there is more, the oldest goes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::fields::Row;
use crate::recording::queue::Received;

/// What part of the bytes is for numbers; the rest is for messages.
const NUMBERS: usize = 4;

/// What a message takes in memory beside its bytes, about.
const OVERHEAD: usize = 150;

#[derive(Debug)]
pub(crate) struct History {
    /// For how long, in nanoseconds.
    keep: u64,
    rows: Bounded<Row>,
    messages: Bounded<Received>,
    /// The number of the last samples that are in it.
    seq: u64,
}

impl History {
    /// Keeps what is not older than `keep`, and takes at most so many bytes.
    pub(crate) fn new(keep: Duration, bytes: usize) -> Self {
        let keep = u64::try_from(keep.as_nanos()).unwrap_or(u64::MAX);
        let rows = Bounded::new(bytes / NUMBERS);
        Self { keep, rows, messages: Bounded::new(bytes - bytes / NUMBERS), seq: 0 }
    }

    pub(super) fn add_message(&mut self, message: Arc<Received>) {
        let (time, bytes) = (message.time, message.message.capacity() + OVERHEAD);
        self.messages.add(message, bytes);
        let oldest = time.saturating_sub(self.keep);
        self.messages.trim(|message| message.time < oldest, |message| message.message.capacity() + OVERHEAD);
    }

    /// Adds the rows of some samples, and says which ones these are.
    pub(super) fn add_rows(&mut self, rows: &[Arc<Row>]) -> u64 {
        for row in rows {
            self.rows.add(Arc::clone(row), row.memory());
        }
        if let Some(row) = rows.last() {
            let oldest = row.time.saturating_sub(self.keep);
            self.rows.trim(|row| row.time < oldest, Row::memory);
        }
        self.seq += 1;
        self.seq
    }

    /// The numbers, and which samples were the last ones in them.
    pub(super) fn rows(&self) -> (u64, Vec<Arc<Row>>) {
        (self.seq, self.rows.all.iter().cloned().collect())
    }

    pub(super) fn messages(&self) -> Vec<Arc<Received>> {
        self.messages.all.iter().cloned().collect()
    }

    /// Forgets everything, but not how many samples there were.
    pub(super) fn clear(&mut self) {
        self.rows.clear();
        self.messages.clear();
    }

    /// How many bytes it takes.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.rows.bytes + self.messages.bytes
    }
}

#[derive(Debug)]
struct Bounded<T> {
    all: VecDeque<Arc<T>>,
    bytes: usize,
    most: usize,
}

impl<T> Bounded<T> {
    fn new(most: usize) -> Self {
        Self { all: VecDeque::new(), bytes: 0, most }
    }

    fn add(&mut self, one: Arc<T>, bytes: usize) {
        self.all.push_back(one);
        self.bytes += bytes;
    }

    fn trim(&mut self, is_old: impl Fn(&T) -> bool, bytes: impl Fn(&T) -> usize) {
        while let Some(oldest) = self.all.front().filter(|oldest| self.bytes > self.most || is_old(oldest)) {
            self.bytes -= bytes(oldest);
            self.all.pop_front();
        }
    }

    fn clear(&mut self) {
        self.all = VecDeque::new();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fields::Fields;
    use super::*;
    use crate::recording::channels::Origin;

    const SECOND: u64 = 1_000_000_000;

    fn received(time: u64, len: usize) -> Arc<Received> {
        let origin = Arc::new(Origin { role: "client", peer: "10.0.0.4".into(), separator: ";".into() });
        Arc::new(Received { time, sequence: 0, origin, message: vec![b'x'; len] })
    }

    fn row(fields: &mut Fields, time: u64) -> Arc<Row> {
        let object = json!({ "a": time, "b": 1, "c": 2 });
        Arc::new(fields.add(object.as_object().unwrap(), time, &mut |_, _| {}).row.unwrap())
    }

    #[test]
    fn what_is_older_goes() {
        let mut history = History::new(Duration::from_secs(10), 1 << 20);
        let mut fields = Fields::default();
        for second in 0..30 {
            history.add_message(received(second * SECOND, 100));
            assert_eq!(history.add_rows(&[row(&mut fields, second * SECOND)]), second + 1);
        }
        let times: Vec<_> = history.messages().iter().map(|message| message.time / SECOND).collect();
        assert_eq!(times, (19..30).collect::<Vec<_>>());
        let (seq, rows) = history.rows();
        assert_eq!((seq, rows.len(), rows[0].time), (30, 11, 19 * SECOND));
        history.clear();
        assert_eq!((history.bytes(), history.rows().0), (0, 30));
    }

    #[test]
    fn one_that_is_larger_than_all_there_may_be_is_not_kept() {
        let mut history = History::new(Duration::from_secs(10), 4000);
        history.add_message(received(SECOND, 1000));
        history.add_message(received(2 * SECOND, 5000));
        assert_eq!((history.messages().len(), history.bytes()), (0, 0));
        history.add_message(received(3 * SECOND, 1000));
        assert_eq!(history.messages().len(), 1);
    }
}

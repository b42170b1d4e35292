//! Messages that replace one another, among others that do not: what is written of every sequence of operations.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use super::super::{Expiry, Gone, Queue};
use super::{Chance, SEPARATOR, Seed, joined};
use crate::codec::Pieces;
use crate::connection::outbox::batch::Batch;
use crate::connection::outbox::budget::{Budget, Purpose};
use crate::settings::{Key, OVERHEAD};
use crate::sync::now;

/// So many that some have to be dropped, and so few that they come again and again.
const KEYS: usize = 5;

/// What has been accepted: `key:number:padding`, an event with an empty key. All have numbers, in order.
struct Test {
    queue: Queue,
    budget: Arc<Budget>,
    next: usize,
    /// How many bytes have been accepted, and gone in each way.
    accepted: usize,
    written: Vec<u8>,
    dropped: usize,
    conflated: usize,
    expired: usize,
    events_dropped: bool,
    /// The number of the newest of each key.
    newest: HashMap<usize, usize>,
    /// How many of the events are in the queue, or have been written.
    events: Vec<usize>,
}

impl Test {
    fn new(single: bool) -> Self {
        let budget = Arc::new(Budget::new(usize::MAX / 2));
        Self {
            queue: Queue::new(single, &budget),
            budget,
            next: 0,
            accepted: 0,
            written: Vec::new(),
            dropped: 0,
            conflated: 0,
            expired: 0,
            events_dropped: false,
            newest: HashMap::new(),
            events: Vec::new(),
        }
    }

    fn push(&mut self, chance: &mut Chance) {
        let (len, number) = (chance.within(0..60), self.next);
        self.next += 1;
        let padding = "x".repeat(len);
        match chance.within(0..KEYS + 2) {
            key if key < KEYS => {
                // Those of 23 bytes and more have memory of their own.
                let text = "k".repeat(10 * key) + &key.to_string();
                let message = format!("{key}:{number}:{padding}");
                let key_of = Key::new(text);
                let batch = Batch::of(
                    Pieces::with_tail(message.as_bytes(), SEPARATOR),
                    Some(&key_of),
                    &self.budget,
                    Purpose::Queue,
                );
                self.queue.make_newest_room(&key_of, Purpose::Queue).unwrap();
                self.queue.push_newest(&key_of, Arc::new(batch.unwrap()));
                self.accepted += message.len() + SEPARATOR.len();
                self.newest.insert(key, number);
            }
            kind => {
                let message = format!(":{number}:{padding}");
                self.accepted += message.len() + SEPARATOR.len();
                self.events.push(number);
                if kind == KEYS {
                    self.queue.append(Pieces::with_tail(message.as_bytes(), SEPARATOR), Purpose::Queue).unwrap();
                } else {
                    let batch =
                        Batch::of(Pieces::with_tail(message.as_bytes(), SEPARATOR), None, &self.budget, Purpose::Queue);
                    self.queue.push_alone(Arc::new(batch.unwrap()));
                }
            }
        }
        self.note_gone();
    }

    fn note_gone(&mut self) {
        if let Some(Gone { conflated, expired, .. }) = self.queue.take_gone() {
            self.conflated += conflated.bytes;
            self.expired += expired.bytes;
        }
    }

    fn write(&mut self, chance: &mut Chance) {
        let loan = self.queue.lend(chance.within(1..6), chance.within(1..400), None);
        let lent = joined(&loan, usize::MAX);
        assert_eq!(lent.is_empty(), self.queue.is_empty(), "there is something to write");
        for _ in 0..chance.within(0..6) {
            self.push(chance);
        }
        if chance.within(0..4) == 0 {
            self.drop_oldest(chance);
        }
        assert_eq!(joined(&loan, usize::MAX), lent, "what is lent has changed");
        drop(loan);
        let taken = match chance.within(0..3) {
            0 => 0,
            1 => chance.within(0..200).min(lent.len()),
            _ => lent.len(),
        };
        self.queue.take_back(taken);
        self.written.extend(&lent[..taken]);
        self.note_gone();
    }

    fn drop_oldest(&mut self, chance: &mut Chance) {
        let dropped = match chance.is_heads() {
            true => self.queue.drop_oldest(chance.within(0..200), chance.within(200..2000)),
            false => self.queue.drop_for_memory(chance.within(0..1000)),
        };
        self.dropped += dropped.bytes;
        self.events_dropped |= dropped.messages > 0;
    }

    fn step(&mut self, chance: &mut Chance) {
        match chance.within(0..20) {
            0..12 => self.push(chance),
            12..18 => self.write(chance),
            18 if chance.is_heads() => self.drop_oldest(chance),
            18 => self.queue.end_replacing(),
            _ => self.queue.shrink(),
        }
        self.check();
    }

    fn check(&self) {
        let gone = self.written.len() + self.dropped + self.conflated + self.expired;
        assert_eq!(self.accepted, gone + self.queue.bytes());
        assert!(self.queue.charged() >= self.queue.bytes() + OVERHEAD * usize::from(!self.queue.is_empty()));
        assert_eq!(self.queue.is_empty(), self.queue.messages() == 0);
        let entries = self.queue.sealed.len();
        assert!(!self.queue.is_empty() || entries == 0, "{entries} entries of an empty queue");
        // Each key has up to two tokens, and one message that may not be replaced.
        assert!(self.queue.newest.live() <= KEYS && entries <= self.queue.messages() + 2 * KEYS);
    }

    /// Writes the rest, and looks at all that has been written.
    fn end(mut self) {
        while !self.queue.is_empty() {
            let loan = self.queue.lend(usize::MAX, usize::MAX, None);
            self.written.extend(joined(&loan, usize::MAX));
            let len = loan.len();
            drop(loan);
            self.queue.take_back(len);
        }
        self.check();
        let text = String::from_utf8(self.written).unwrap();
        let mut events = Vec::new();
        let mut last: HashMap<usize, usize> = HashMap::new();
        for message in text.split_terminator(';') {
            let mut fields = message.split(':');
            let (key, number) = (fields.next().unwrap(), fields.next().unwrap().parse().unwrap());
            match key.parse() {
                Err(_) => events.push(number),
                Ok(key) => {
                    let before = last.insert(key, number);
                    assert!(before < Some(number), "the key {key} goes back in time: {before:?}, {number}");
                }
            }
        }
        assert!(events.is_sorted());
        if !self.events_dropped {
            assert_eq!(events, self.events, "no event is lost");
            assert_eq!(last, self.newest, "the newest of each key is written");
        }
        drop(self.queue);
        assert!(self.budget.take(self.budget.limit(), Purpose::Queue), "the budget leaks");
    }
}

#[test]
fn the_newest_of_each_key_is_written_and_every_event() {
    const SEQUENCES: u64 = 4096;
    let first = RandomState::new().hash_one("seed") >> 16;
    for seed in first..first + SEQUENCES {
        let seed = Seed(seed);
        let mut chance = Chance { state: seed.0 };
        let mut test = Test::new(chance.within(0..4) == 0);
        for _ in 0..chance.within(0..80) {
            test.step(&mut chance);
        }
        test.end();
    }
}

/// What has waited for longer than its time is not lent, whatever it lies between; what is younger is.
#[test]
fn only_what_is_too_old_expires() {
    let lifespan = Duration::from_secs(10);
    let budget = Arc::new(Budget::new(usize::MAX / 2));
    let mut queue = Queue::new(false, &budget);
    let of = |message: &str, key: Option<&Key>| {
        Arc::new(Batch::of(Pieces::with_tail(message.as_bytes(), SEPARATOR), key, &budget, Purpose::Queue).unwrap())
    };
    let key = Key::new("key");
    queue.push_alone(of("before", None));
    queue.keep_for_ever();
    queue.push_newest(&key, of("old state", Some(&key)));
    queue.push_alone(of("old event", None));
    let old = now();
    while now() == old {}
    queue.push_newest(&key, of("state", Some(&key)));
    queue.push_alone(of("event", None));
    let loan = queue.lend(usize::MAX, usize::MAX, Some(Expiry { now: old + lifespan, lifespan }));
    assert_eq!(joined(&loan, usize::MAX), b"before;state;event;");
    let Gone { conflated, expired, .. } = queue.take_gone().unwrap();
    assert_eq!((conflated.messages, conflated.bytes), (1, "old state;".len()));
    assert_eq!((expired.messages, expired.bytes), (1, "old event;".len()));
    assert_eq!(queue.bytes(), "before;state;event;".len());
    queue.take_back(3);
    // One that has been begun is finished, and one more is too old by now.
    let later = Expiry { now: now() + 2 * lifespan, lifespan };
    queue.drop_expired(later);
    let loan = queue.lend(usize::MAX, usize::MAX, Some(later));
    assert_eq!(joined(&loan, usize::MAX), b"ore;");
    assert_eq!(queue.take_gone().unwrap().expired.messages, 2);
    queue.take_back(4);
    assert!(queue.is_empty());
}

/// Also of a queue that is never empty, and where the place that was made for a key is not used.
#[test]
fn the_memory_of_keys_comes_back() {
    let budget = Arc::new(Budget::new(usize::MAX / 2));
    let mut queue = Queue::new(false, &budget);
    let key_of = |number: usize| Key::new(format!("{number:040}"));
    let mut most = 0;
    for number in 0..20_000 {
        let key = key_of(number);
        let batch = Batch::of(Pieces::with_tail(b"message", SEPARATOR), Some(&key), &budget, Purpose::Queue).unwrap();
        queue.make_newest_room(&key_of(number + 1_000_000), Purpose::Queue).unwrap();
        queue.make_newest_room(&key, Purpose::Queue).unwrap();
        queue.push_newest_anyway(&key, Arc::new(batch));
        if number >= 28 {
            let len = { queue.lend(1, 1, None).len() };
            queue.take_back(len);
        }
        if number < 1000 {
            most = most.max(budget.used());
        }
        assert!(budget.used() <= 2 * most, "{} bytes with {} messages", budget.used(), queue.messages());
    }
    let key = key_of(0);
    let used = {
        queue.make_newest_room(&key, Purpose::Queue).unwrap();
        budget.used()
    };
    (0..100).for_each(|_| queue.make_newest_room(&key, Purpose::Queue).unwrap());
    assert_eq!(budget.used(), used);
}

/// What is put into a batch that has been written, and emptied, is not as old as what was in it.
#[test]
fn what_is_queued_is_not_older_than_it_is() {
    let budget = Arc::new(Budget::new(usize::MAX / 2));
    let mut queue = Queue::new(false, &budget);
    let message = [b'x'; 1000];
    (0..150).for_each(|_| queue.append(Pieces::with_tail(&message, SEPARATOR), Purpose::Write).unwrap());
    while !queue.is_empty() {
        let len = { queue.lend(usize::MAX, usize::MAX, None).len() };
        queue.take_back(len);
    }
    assert!(!queue.spare.is_empty());
    let since = now();
    queue.append(Pieces::with_tail(&message, SEPARATOR), Purpose::Write).unwrap();
    assert!(queue.oldest().is_some_and(|oldest| oldest >= since));
}

//! Every sequence of operations against a naive model: a list of messages.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::Arc;
use std::{mem, thread};

use super::{Amount, Loan, Queue};
use crate::codec::Pieces;
use crate::connection::outbox::batch::{BATCH_LEN, Batch, Place};
use crate::connection::outbox::budget::{Budget, Purpose};
use crate::settings::OVERHEAD;

mod replacing;

const SEPARATOR: &[u8] = b";";

/// Numbers by chance, the same ones for the same seed: SplitMix64.
struct Chance {
    state: u64,
}

impl Chance {
    fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn within(&mut self, range: Range<usize>) -> usize {
        range.start + (self.number() % range.len() as u64) as usize
    }

    /// The length of a message: short, or once in a while about that of a batch.
    fn len(&mut self) -> usize {
        match self.within(0..21) {
            0 => self.within(BATCH_LEN - 50..BATCH_LEN + 50),
            _ => self.within(0..40),
        }
    }

    fn lens(&mut self, how_many: Range<usize>) -> Vec<usize> {
        (0..self.within(how_many)).map(|_| self.len()).collect()
    }

    /// How much a write takes.
    fn taken(&mut self) -> usize {
        match self.within(0..4) {
            0 | 1 => self.within(0..100),
            2 => self.within(0..2 * BATCH_LEN),
            _ => usize::MAX,
        }
    }

    fn is_heads(&mut self) -> bool {
        self.within(0..2) == 0
    }
}

/// Says how to repeat what has failed.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the seed is {}", self.0);
        }
    }
}

/// What is left of one message.
#[derive(Debug, Clone)]
struct Left {
    bytes: Vec<u8>,
    begun: bool,
    /// What it is charged until it has been written whole.
    charge: usize,
}

struct Test {
    single: bool,
    queue: Queue,
    /// The number of the next batch that is shared.
    number: u64,
    model: Vec<Left>,
    budget: Arc<Budget>,
    next: u8,
    /// Batches that others hold.
    held: Vec<Arc<Batch>>,
}

impl Test {
    fn new(single: bool) -> Self {
        let budget = Arc::new(Budget::new(usize::MAX / 2));
        let queue = Queue::new(single, &budget);
        Self { single, queue, number: 0, model: Vec::new(), budget, next: 0, held: Vec::new() }
    }

    /// A message unlike the ones before it.
    fn message(&mut self, len: usize) -> Vec<u8> {
        self.next = self.next.wrapping_add(1);
        vec![self.next; len]
    }

    fn left(message: &[u8]) -> Left {
        let bytes = [message, SEPARATOR].concat();
        Left { charge: bytes.len() + OVERHEAD, bytes, begun: false }
    }

    /// One operation.
    fn step(&mut self, chance: &mut Chance) {
        match chance.within(0..26) {
            0..6 => self.append(chance.len()),
            6..9 => {
                let lens = chance.lens(1..5);
                self.push(&lens, chance.is_heads().then(|| chance.number() % 2));
            }
            9..15 => self.push(&[chance.len()], Some(0)),
            15..17 => self.write_direct(chance.len(), chance.taken(), &chance.lens(0..3)),
            17..21 => {
                let (most, bytes) = (chance.within(1..5), chance.within(1..300));
                let (taken, meanwhile) = (chance.taken(), chance.lens(0..3));
                let dropping = chance.is_heads().then(|| chance.within(0..1000));
                self.write(most, bytes, taken, &meanwhile, dropping);
            }
            21..24 => self.drop_oldest(chance.within(0..500), chance.within(500..1500), 0),
            24 => self.clear(),
            _ => self.queue.shrink(),
        }
    }

    fn append(&mut self, len: usize) {
        let message = self.message(len);
        self.queue.append(Pieces::with_tail(&message, SEPARATOR), Purpose::Queue).unwrap();
        self.model.push(Self::left(&message));
    }

    /// A batch of messages; a shared one is held by somebody else as well, and has so many between it and the last.
    fn push(&mut self, lens: &[usize], shared: Option<u64>) {
        let mut batch = Batch::new(&self.budget);
        for len in lens {
            let message = self.message(*len);
            batch.push(Pieces::with_tail(&message, SEPARATOR), Purpose::Queue).unwrap();
            self.model.push(Self::left(&message));
        }
        if let Some(between) = shared {
            self.number += between;
            batch.set_place(Place::of_number(self.number));
            self.number += 1;
        }
        let batch = Arc::new(batch);
        if shared.is_some() {
            self.held.push(Arc::clone(&batch));
        }
        self.queue.push(batch);
    }

    /// A write of what is queued and one message more from where it lies, of which so much is taken.
    fn write_direct(&mut self, len: usize, taken: usize, meanwhile: &[usize]) {
        if self.single && !self.model.is_empty() {
            return self.append(len);
        }
        let loan = self.queue.lend(usize::MAX, usize::MAX, None);
        let (queued, lent) = (loan.len(), self.model.len());
        assert_eq!(queued, self.queue.bytes());
        let bytes = joined(&loan, usize::MAX);
        assert_eq!(bytes, self.model_bytes(lent));
        drop(loan);
        let message = self.message(len);
        meanwhile.iter().for_each(|len| self.append(*len));

        let written = taken.min(queued + len + SEPARATOR.len());
        let before = self.queue.take_back(written.min(queued));
        let mut left = Self::left(&message);
        let written_of_it = written.saturating_sub(queued);
        if written_of_it < left.bytes.len() {
            let message = Batch::accepted(Pieces::with_tail(&message, SEPARATOR), &self.budget);
            self.queue.insert_rest(before, message, written_of_it);
            left.bytes.drain(..written_of_it);
            left.begun = written_of_it > 0;
            self.model.insert(lent, left);
        }
        self.model_write(written.min(queued));
    }

    /// A write of what is queued, of which so much is taken, while more is queued and dropped.
    fn write(&mut self, most: usize, bytes: usize, taken: usize, meanwhile: &[usize], dropping: Option<usize>) {
        let loan = self.queue.lend(most, bytes, None);
        let lent = joined(&loan, usize::MAX);
        assert_eq!(lent.len(), loan.len(), "empty parts are in the way");
        assert_eq!(lent.is_empty(), self.model.is_empty(), "there is something to write");
        assert_eq!(lent, self.model.iter().flat_map(|left| left.bytes.clone()).take(lent.len()).collect::<Vec<_>>());
        if self.single {
            assert_eq!(
                lent.len(),
                self.model.first().map_or(0, |first| first.bytes.len()),
                "a write carries one message"
            );
        }
        let short = bytes.min(lent.len());
        assert_eq!(joined(&loan, bytes), lent[..short]);
        // No message is lent that lies behind those bytes.
        assert!(self.start_of_last(lent.len()) <= self.start_of_last(bytes), "more is lent than is written");
        meanwhile.iter().for_each(|len| self.append(*len));
        if let Some(limit) = dropping {
            // Nothing of what is lent may be dropped: as if it had been begun.
            self.drop_oldest(0, limit, lent.len());
        }
        assert_eq!(joined(&loan, usize::MAX), lent, "what is lent has changed");
        drop(loan);
        let written = taken.min(lent.len());
        self.queue.take_back(written);
        self.model_write(written);
    }

    fn drop_oldest(&mut self, charge: usize, limit: usize, lent_bytes: usize) {
        let dropped = self.queue.drop_oldest(charge, limit);
        let mut expected = Amount::default();
        let mut at = 0;
        let mut start = 0;
        while self.model_charge() + charge > limit && at < self.model.len() {
            let left = &self.model[at];
            if left.begun || start < lent_bytes {
                start += left.bytes.len();
                at += 1;
            } else {
                expected += Amount { messages: 1, bytes: left.bytes.len() };
                self.model.remove(at);
            }
        }
        assert_eq!(dropped, expected);
    }

    fn clear(&mut self) {
        let (amount, cleared) = self.queue.clear();
        let bytes = self.model.iter().map(|left| left.bytes.len()).sum();
        assert_eq!(amount, Amount { messages: self.model.len(), bytes });
        drop(cleared);
        self.model.clear();
    }

    fn model_write(&mut self, mut count: usize) {
        while count > 0 {
            let first = &mut self.model[0];
            let passed = count.min(first.bytes.len());
            first.bytes.drain(..passed);
            first.begun = true;
            count -= passed;
            if first.bytes.is_empty() {
                self.model.remove(0);
            }
        }
    }

    /// Where the last message begins that lies, whole or in part, within the first `len` bytes.
    fn start_of_last(&self, len: usize) -> Option<usize> {
        let starts = self.model.iter().scan(0, |start, left| Some(mem::replace(start, *start + left.bytes.len())));
        starts.take_while(|start| *start < len).last()
    }

    fn model_bytes(&self, messages: usize) -> Vec<u8> {
        self.model[..messages].iter().flat_map(|left| left.bytes.clone()).collect()
    }

    /// What the bytes that are left are charged, and what has been written of messages that are not whole.
    fn model_charge(&self) -> usize {
        self.model.iter().map(|left| left.charge).sum()
    }

    fn check(&self) {
        let bytes: usize = self.model.iter().map(|left| left.bytes.len()).sum();
        assert_eq!(self.queue.bytes(), bytes);
        assert_eq!(self.queue.is_empty(), self.model.is_empty());
        assert_eq!(self.queue.charged(), self.model_charge());
    }

    /// Nothing is left of the budget's use when nothing waits and nobody holds anything.
    fn end(mut self) {
        self.clear();
        self.held.clear();
        let Self { queue, budget, .. } = self;
        drop(queue);
        assert!(budget.take(budget.limit(), Purpose::Queue), "the budget leaks");
    }
}

fn joined(loan: &Loan, most: usize) -> Vec<u8> {
    loan.slices(most).iter().flat_map(|slice| slice.to_vec()).collect()
}

#[test]
fn every_sequence_of_operations_is_that_of_a_list_of_messages() {
    const SEQUENCES: u64 = 512;
    let first = RandomState::new().hash_one("seed") >> 16;
    for seed in first..first + SEQUENCES {
        let seed = Seed(seed);
        let mut chance = Chance { state: seed.0 };
        let mut test = Test::new(chance.is_heads());
        for _ in 0..chance.within(0..60) {
            test.step(&mut chance);
            test.check();
        }
        test.end();
    }
}

/// What is shared by queues that nobody writes, however many batches they are given, is joined in the same places: in
/// the memory of a few although some have not every batch, and so hold a part in smaller pieces than the others.
#[test]
fn shared_batches_are_joined_and_still_shared() {
    const QUEUES: usize = 100;
    const BATCHES: u64 = 3000;
    let budget = Arc::new(Budget::new(usize::MAX / 2));
    let mut queues: Vec<_> = (0..QUEUES).map(|_| Queue::new(false, &budget)).collect();
    for number in 0..BATCHES {
        let mut batch = Batch::of(Pieces::with_tail(&[b'x'; 20], SEPARATOR), None, &budget, Purpose::Queue).unwrap();
        batch.set_place(Place::of_number(number));
        let batch = Arc::new(batch);
        for (at, queue) in queues.iter_mut().enumerate() {
            // Some come later than the others, and two miss one here and there.
            let comes = number >= at as u64 && (at > 1 || number % 701 != 17 + at as u64);
            if comes {
                queue.push(Arc::clone(&batch));
            }
        }
    }
    let most = queues.iter().map(|queue| queue.sealed.len()).max().unwrap();
    assert!(most <= 64, "{most} entries");
    let used = budget.used();
    let of_one = BATCHES as usize * (21 + size_of::<usize>());
    assert!(used <= 4 * of_one, "{used} bytes for {QUEUES} queues, {of_one} for what is in each of them");
    for (at, queue) in queues.iter_mut().enumerate() {
        let missed = (0..BATCHES).filter(|number| at <= 1 && number % 701 == 17 + at as u64).count();
        assert_eq!(queue.messages(), BATCHES as usize - at - missed);
    }
    queues.clear();
    assert_eq!(budget.used(), 0, "the budget leaks");
}

/// Nothing is joined with what is being written, and what was written in part goes on behind it.
#[test]
fn what_is_lent_is_not_joined() {
    let budget = Arc::new(Budget::new(usize::MAX / 2));
    let mut queue = Queue::new(false, &budget);
    let push = |queue: &mut Queue, number: u64| {
        let mut batch =
            Batch::of(Pieces::with_tail(number.to_string().as_bytes(), SEPARATOR), None, &budget, Purpose::Queue)
                .unwrap();
        batch.set_place(Place::of_number(number));
        queue.push(Arc::new(batch));
    };
    push(&mut queue, 0);
    let loan = queue.lend(usize::MAX, usize::MAX, None);
    (1..4).for_each(|number| push(&mut queue, number));
    assert_eq!(joined(&loan, usize::MAX), b"0;");
    drop(loan);
    queue.take_back(1);
    (4..8).for_each(|number| push(&mut queue, number));
    assert_eq!(joined(&queue.lend(usize::MAX, usize::MAX, None), usize::MAX), b";1;2;3;4;5;6;7;");
}

/// What is dropped for its memory gives that back: it is no part of a batch that stays, or that others have.
#[test]
fn what_is_dropped_for_memory_gives_it_back() {
    let budget = Arc::new(Budget::new(usize::MAX / 2));
    let mut queue = Queue::new(false, &budget);
    let shared =
        Arc::new(Batch::of(Pieces::with_tail(&[b'y'; 1000], SEPARATOR), None, &budget, Purpose::Queue).unwrap());
    let fill = |queue: &mut Queue| {
        (0..200).for_each(|_| queue.append(Pieces::with_tail(&[b'x'; 1000], SEPARATOR), Purpose::Queue).unwrap());
    };
    fill(&mut queue);
    queue.push(Arc::clone(&shared));
    fill(&mut queue);
    // The first message has been begun, and the second batch is being written.
    drop(queue.lend(1, usize::MAX, None));
    queue.take_back(10);
    let loan = queue.lend(2, usize::MAX, None);
    let (before, messages) = (budget.used(), queue.messages());
    let dropped = queue.drop_for_memory(1);
    assert!(dropped.messages > 0 && before - budget.used() >= dropped.bytes);
    let dropped = dropped.messages + queue.drop_for_memory(usize::MAX).messages;
    assert_eq!(queue.messages(), messages - dropped);
    assert_eq!(queue.drop_for_memory(1), Amount::default());
    // What is lent is still there, and what is shared.
    let lent = loan.len();
    assert_eq!(queue.bytes(), lent + shared.len());
    drop(loan);
    queue.take_back(lent);
    assert_eq!(joined(&queue.lend(9, usize::MAX, None), usize::MAX), shared.bytes());
}

/// Room for messages that may not come is taken only while there is plenty of memory: else each peer that is behind
/// would keep a batch of it from the others.
#[test]
fn room_is_taken_ahead_only_while_there_is_plenty() {
    const LEN: usize = 10_000;
    let budget = Arc::new(Budget::new(400_000));
    let used_by_one_more = || {
        let mut queue = Queue::new(false, &budget);
        (0..4).for_each(|_| queue.append(Pieces::with_tail(&[b'x'; LEN], SEPARATOR), Purpose::Queue).unwrap());
        // What has been lent takes no further message.
        drop(queue.lend(usize::MAX, usize::MAX, None));
        let before = budget.used();
        queue.append(Pieces::with_tail(&[b'x'; LEN], SEPARATOR), Purpose::Queue).unwrap();
        budget.used() - before
    };
    assert!(used_by_one_more() >= BATCH_LEN);
    assert!(budget.take(100_000, Purpose::Queue));
    assert!(used_by_one_more() < LEN + 1000);
}

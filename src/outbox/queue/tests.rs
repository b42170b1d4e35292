//! Every sequence of operations against a naive model: a list of messages.

use std::mem;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;

use super::{Amount, Loan, Queue};
use crate::outbox::batch::{BATCH_LEN, Batch, OVERHEAD};
use crate::outbox::budget::{Budget, Purpose};

const SEPARATOR: &[u8] = b";";

#[derive(Debug, Clone)]
enum Operation {
    Append(usize),
    /// A batch of messages, which somebody else may hold too.
    Push {
        lens: Vec<usize>,
        shared: bool,
    },
    /// A write of what is queued and one message more from where it lies, of which so much is taken.
    WriteThrough {
        len: usize,
        taken: usize,
        meanwhile: Vec<usize>,
    },
    /// A write of what is queued, of which so much is taken, while more is queued and dropped.
    Write {
        most: usize,
        bytes: usize,
        taken: usize,
        meanwhile: Vec<usize>,
        dropping: Option<usize>,
    },
    DropOldest {
        charge: usize,
        limit: usize,
    },
    Clear,
    Shrink,
}

fn operation() -> impl Strategy<Value = Operation> {
    let len = || prop_oneof![20 => 0..40usize, 1 => BATCH_LEN - 50..BATCH_LEN + 50];
    let taken = || prop_oneof![2 => 0..100usize, 1 => 0..2 * BATCH_LEN, 1 => Just(usize::MAX)];
    prop_oneof![
        6 => len().prop_map(Operation::Append),
        3 => (vec(len(), 1..5), any::<bool>()).prop_map(|(lens, shared)| Operation::Push { lens, shared }),
        2 => (len(), taken(), vec(len(), 0..3))
            .prop_map(|(len, taken, meanwhile)| Operation::WriteThrough { len, taken, meanwhile }),
        4 => (1..5usize, 1..300usize, taken(), vec(len(), 0..3), proptest::option::of(0..1000usize)).prop_map(
            |(most, bytes, taken, meanwhile, dropping)| Operation::Write { most, bytes, taken, meanwhile, dropping }
        ),
        3 => (0..500usize, 500..1500usize).prop_map(|(charge, limit)| Operation::DropOldest { charge, limit }),
        1 => Just(Operation::Clear),
        1 => Just(Operation::Shrink),
    ]
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
    queue: Queue,
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
        Self { queue, model: Vec::new(), budget, next: 0, held: Vec::new() }
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

    fn append(&mut self, len: usize) {
        let message = self.message(len);
        assert!(self.queue.append(&message, SEPARATOR));
        self.model.push(Self::left(&message));
    }

    fn push(&mut self, lens: &[usize], shared: bool) {
        let mut batch = Batch::new(&self.budget);
        for len in lens {
            let message = self.message(*len);
            assert!(batch.push(&message, SEPARATOR));
            self.model.push(Self::left(&message));
        }
        let batch = Arc::new(batch);
        if shared {
            self.held.push(Arc::clone(&batch));
        }
        self.queue.push(batch);
    }

    fn write_through(&mut self, len: usize, taken: usize, meanwhile: &[usize]) {
        let loan = self.queue.lend(usize::MAX, usize::MAX);
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
            let rest = Batch::rest_of(&message, SEPARATOR, written_of_it, &self.budget);
            self.queue.insert_rest(before, rest, written_of_it > 0);
            left.bytes.drain(..written_of_it);
            left.begun = written_of_it > 0;
            // Only what is left of it is charged.
            left.charge = left.bytes.len() + OVERHEAD;
            self.model.insert(lent, left);
        }
        self.model_write(written.min(queued));
    }

    fn write(&mut self, most: usize, bytes: usize, taken: usize, meanwhile: &[usize], dropping: Option<usize>) {
        let loan = self.queue.lend(most, bytes);
        let lent = joined(&loan, usize::MAX);
        assert_eq!(lent.len(), loan.len(), "empty parts are in the way");
        assert_eq!(lent.is_empty(), self.model.is_empty(), "there is something to write");
        assert_eq!(lent, self.model.iter().flat_map(|left| left.bytes.clone()).take(lent.len()).collect::<Vec<_>>());
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

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_sequence_of_operations_is_that_of_a_list_of_messages(
        single: bool,
        operations in vec(operation(), 0..60),
    ) {
        let mut test = Test::new(single);
        for operation in operations {
            match operation {
                Operation::Append(len) => test.append(len),
                Operation::Push { lens, shared } => test.push(&lens, shared),
                Operation::WriteThrough { len, taken, meanwhile } => test.write_through(len, taken, &meanwhile),
                Operation::Write { most, bytes, taken, meanwhile, dropping } => {
                    test.write(most, bytes, taken, &meanwhile, dropping);
                }
                Operation::DropOldest { charge, limit } => test.drop_oldest(charge, limit, 0),
                Operation::Clear => test.clear(),
                Operation::Shrink => test.queue.shrink(),
            }
            test.check();
        }
        test.end();
    }
}

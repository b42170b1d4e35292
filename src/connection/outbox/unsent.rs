//! What was accepted and could not be written any more, for a program that wants it back.

use std::mem;
use std::sync::Arc;

use super::batch::Batch;
use super::queue::Queue;
use super::{Outbox, Rules};

/// Bodies in the order of sending. They are the program's already, and so in no budget.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    /// What waited when the outbox died.
    waited: Vec<Vec<u8>>,
    /// What had been accepted and was not queued before the end.
    late: Vec<Vec<u8>>,
}

impl Unsent {
    pub(super) fn keep(&mut self, bodies: Vec<Vec<u8>>) {
        self.waited.extend(bodies);
    }

    pub(super) fn keep_late(&mut self, batch: &Batch, rules: &Rules) {
        self.late.extend(batch.iter().map(|message| rules.framing.body_in(message).to_vec()));
    }
}

impl Outbox {
    /// The bodies of what was accepted and not written, whole, once the outbox is over, for a service that keeps it;
    /// only once.
    pub(crate) fn take_unsent(&self) -> Vec<Vec<u8>> {
        let mut state = self.state.lock();
        if !state.is_over() {
            return Vec::new();
        }
        let Unsent { mut waited, late } = mem::take(&mut state.unsent);
        drop(state);
        waited.extend(late);
        waited
    }
}

/// The bodies of what a queue was [cleared](Queue::clear) of and of what was parked behind it, those written in part
/// included.
pub(crate) fn bodies(cleared: &mut Queue, parked: &[Arc<Batch>], rules: &Rules) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    let mut keep = |message: &[u8]| bodies.push(rules.framing.body_in(message).to_vec());
    cleared.drain(&mut keep);
    parked.iter().flat_map(|batch| batch.iter()).for_each(keep);
    bodies
}

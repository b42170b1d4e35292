//! Many messages of one sender, to be sent in one go.

use std::mem;

use super::Rules;
use super::batch::{BATCH_LEN, Batch};
use crate::settings::OVERHEAD;

/// Joins messages into batches, and those into parts of at most half a queue, so that a part finds room once the queue
/// is half empty. A message that is longer makes a part by itself.
///
/// The memory is not taken from the budget yet: the sender does that for each part when its turn has come.
pub(crate) struct Parts<'a> {
    rules: &'a Rules,
    /// What a queue may be charged.
    limit: usize,
    parts: Vec<Vec<Batch>>,
    part: Vec<Batch>,
    batch: Batch,
    /// What the part is charged so far, its open batch included.
    charged: usize,
}

impl<'a> Parts<'a> {
    pub(crate) fn new(rules: &'a Rules, limit: usize) -> Self {
        let batch = Batch::new(&rules.budget);
        Self { rules, limit, parts: Vec::new(), part: Vec::new(), batch, charged: 0 }
    }

    /// Adds a message that has been checked.
    pub(crate) fn add(&mut self, message: &[u8]) {
        let message = self.rules.pieces(message);
        let len = message.len();
        let is_full = self.charged > 0 && self.charged + len + OVERHEAD > self.limit / 2;
        if is_full {
            self.end_part();
        } else if self.batch.len() + len > BATCH_LEN {
            self.end_batch();
        }
        self.charged += len + OVERHEAD;
        self.batch.put(message);
    }

    pub(crate) fn finish(mut self) -> Vec<Vec<Batch>> {
        self.end_part();
        self.parts
    }

    fn end_batch(&mut self) {
        if self.batch.messages() > 0 {
            let next = Batch::new(&self.rules.budget);
            self.part.push(mem::replace(&mut self.batch, next));
        }
    }

    fn end_part(&mut self) {
        self.end_batch();
        if !self.part.is_empty() {
            self.parts.push(mem::take(&mut self.part));
        }
        self.charged = 0;
    }
}

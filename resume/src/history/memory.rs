//! A history in memory.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Bounds;

/// What a message takes besides its payload, in bytes: its place in the queue, two counts, and the allocator's part.
const OVERHEAD: u64 = 48;

#[derive(Debug)]
pub(super) struct Memory {
    messages: VecDeque<Arc<[u8]>>,
    bytes: u64,
    bounds: Bounds,
}

impl Memory {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { messages: VecDeque::new(), bytes: 0, bounds }
    }

    /// Adds the message with this number; the oldest number that is kept.
    pub(super) fn append(&mut self, number: u64, payload: &[u8]) -> u64 {
        self.messages.push_back(payload.into());
        self.bytes += charge(payload);
        while self.messages.len() > 1 && self.is_over() {
            let gone = self.messages.pop_front();
            self.bytes -= gone.map_or(0, |gone| charge(&gone));
        }
        number + 1 - self.messages.len() as u64
    }

    fn is_over(&self) -> bool {
        self.messages.len() as u64 > self.bounds.max_messages || self.bytes > self.bounds.max_bytes
    }

    /// Lets go so many of the oldest messages.
    pub(super) fn forget(&mut self, messages: u64) {
        let count = usize::try_from(messages).unwrap_or(usize::MAX).min(self.messages.len());
        self.bytes -= self.messages.drain(..count).map(|gone| charge(&gone)).sum::<u64>();
    }

    /// What all of them are charged.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The messages from this place on, up to about so many bytes, and at least one.
    pub(super) fn read(&self, from: u64, bytes: usize) -> Vec<Arc<[u8]>> {
        let (mut payloads, mut read) = (Vec::new(), 0);
        let from = usize::try_from(from).unwrap_or(usize::MAX).min(self.messages.len());
        for payload in self.messages.range(from..) {
            read += payload.len() + 1;
            payloads.push(Arc::clone(payload));
            if read >= bytes {
                break;
            }
        }
        payloads
    }
}

fn charge(payload: &[u8]) -> u64 {
    payload.len() as u64 + OVERHEAD
}

//! What waits between the threads that publish and the one that sends: bounded, and never a reason to wait.
//!
//! ```text
//!   publish ──▶ │ excess │ live │ ──▶ the sender ──▶ broker
//!                   └──────────────▶ the backlog, or nowhere
//! ```
//!
//! There is room for so many bytes that are live. Without a backlog the oldest go where there are more. With one there
//! is as much room again, for the sender to fetch the excess from; where even that is used up, because a disk is slow,
//! the oldest are lost.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use leads_comm::Key;

/// What each message is charged beyond its bytes.
const OVERHEAD: usize = 64;

/// A message of the vehicle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// When it was published, in milliseconds since 1970.
    pub(crate) at: u64,
    pub(crate) key: Option<Key>,
    pub(crate) payload: Arc<[u8]>,
}

impl Message {
    pub(crate) fn charge(&self) -> usize {
        self.payload.len() + self.key.as_ref().map_or(0, |key| key.as_bytes().len()) + OVERHEAD
    }
}

#[derive(Debug)]
pub(crate) struct Waiting {
    messages: VecDeque<Message>,
    /// The number of the last message that is not here any more. They are counted from 1, in their order.
    gone: u64,
    charged: usize,
    /// How much of it is live.
    live_limit: usize,
    /// How much there may be.
    limit: usize,
}

impl Waiting {
    pub(crate) fn new(live_limit: usize, has_backlog: bool) -> Self {
        let limit = if has_backlog { live_limit.saturating_mul(2) } else { live_limit };
        Self { messages: VecDeque::new(), gone: 0, charged: 0, live_limit, limit }
    }

    /// Adds a message; how many of the oldest had to go for it. It stays itself, however long it is. What goes is not
    /// retained by the broker either: to keep the newest of each key is more than the thread that publishes waits for.
    pub(crate) fn push(&mut self, message: Message) -> u64 {
        self.charged += message.charge();
        self.messages.push_back(message);
        let before = self.messages.len();
        while self.charged > self.limit && self.messages.len() > 1 {
            self.pop();
        }
        (before - self.messages.len()) as u64
    }

    /// Whether none had to go for this message.
    pub(crate) fn has_room(&self, message: &Message) -> bool {
        self.messages.is_empty() || self.charged.saturating_add(message.charge()) <= self.limit
    }

    /// The number of the message that was pushed last.
    pub(crate) fn newest(&self) -> u64 {
        self.gone + self.messages.len() as u64
    }

    /// The number of the message that was taken last, or had to go.
    pub(crate) fn gone(&self) -> u64 {
        self.gone
    }

    /// The oldest messages, up to about so many bytes, and so many of them.
    pub(crate) fn take(&mut self, bytes: usize, most: usize) -> Vec<Message> {
        self.take_while(bytes, most, |_| true)
    }

    /// The oldest of those for which there is no room among what is live, up to about so many bytes.
    pub(crate) fn take_excess(&mut self, bytes: usize) -> Vec<Message> {
        self.take_while(bytes, usize::MAX, Self::has_excess)
    }

    /// Whether there is more than is live.
    pub(crate) fn has_excess(&self) -> bool {
        self.charged > self.live_limit && self.messages.len() > 1
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(crate) fn charged(&self) -> usize {
        self.charged
    }

    fn take_while(&mut self, bytes: usize, most: usize, wanted: impl Fn(&Self) -> bool) -> Vec<Message> {
        let (mut taken, mut charged) = (Vec::new(), 0);
        while charged < bytes && taken.len() < most && wanted(self) {
            let Some(message) = self.pop() else { break };
            charged += message.charge();
            taken.push(message);
        }
        taken
    }

    fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.gone += 1;
        self.charged -= message.charge();
        Some(message)
    }
}

/// The time, in milliseconds since 1970; 0 for a clock that is before that.
pub(crate) fn now_ms() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(number: u64, len: usize) -> Message {
        Message { at: number, key: (number % 2 == 0).then(|| Key::new("k")), payload: vec![0; len].into() }
    }

    #[test]
    fn without_a_backlog_the_oldest_go() {
        let mut waiting = Waiting::new(1000, false);
        assert_eq!((1..=8).map(|number| waiting.push(message(number, 60))).sum::<u64>(), 0);
        assert_eq!(waiting.push(message(9, 60)), 1);
        assert_eq!(waiting.push(message(10, 5000)), 8);
        assert!(!waiting.has_excess(), "a message that is too long by itself is no excess");
        assert_eq!(waiting.take(1, 9).iter().map(|message| message.at).collect::<Vec<_>>(), [10]);
        assert!(waiting.is_empty());
        assert_eq!(waiting.charged(), 0);
    }

    #[test]
    fn with_a_backlog_the_excess_is_fetched() {
        let mut waiting = Waiting::new(1000, true);
        let dropped: u64 = (1..=20).map(|number| waiting.push(message(number, 60))).sum();
        assert_eq!(dropped, 4);
        let excess = waiting.take_excess(usize::MAX);
        assert_eq!(excess.first().map(|message| message.at), Some(5));
        assert!(!waiting.has_excess() && waiting.charged() <= 1000);
        assert_eq!(waiting.take(usize::MAX, usize::MAX).last().map(|message| message.at), Some(20));
    }

    proptest! {
        #[test]
        fn nothing_is_uncounted_or_out_of_order(
            has_backlog: bool,
            steps in prop::collection::vec((0_usize..500, prop::option::of(0_usize..800)), 0..100),
        ) {
            let mut waiting = Waiting::new(2000, has_backlog);
            let (mut dropped, mut seen, mut last, mut pushed) = (0, 0, 0, 0);
            for (len, take) in steps {
                pushed += 1;
                let had_room = waiting.has_room(&message(pushed, len));
                let before = dropped;
                dropped += waiting.push(message(pushed, len));
                prop_assert_eq!(had_room, dropped == before);
                prop_assert_eq!(waiting.newest(), pushed);
                prop_assert!(waiting.charged() <= 4000);
                let taken = take.map_or(Vec::new(), |bytes| match bytes % 2 {
                    0 => waiting.take(bytes, 3),
                    _ => waiting.take_excess(bytes),
                });
                for message in taken {
                    prop_assert!(message.at > last);
                    last = message.at;
                    seen += 1;
                }
                prop_assert_eq!(waiting.gone(), dropped + seen);
                prop_assert_eq!(pushed, dropped + seen + waiting.len() as u64);
            }
            let rest: usize = waiting.messages.iter().map(Message::charge).sum();
            prop_assert_eq!(waiting.charged(), rest);
        }
    }
}

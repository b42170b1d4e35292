//! Viewers: clients that are served in other ways than the rest, and what each of them may miss.

use std::time::Duration;

use leads_comm::{Delivery, Key, SlowConsumer};

use crate::settings::{MAX_MESSAGE_LEN, PATIENCE};
use crate::words;

/// How a viewer is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Viewer {
    /// The newest of each state, when it is behind.
    Newest,
    /// Each state now and then.
    Seldom,
    /// No states.
    Events,
    /// Nothing that is old.
    Fresh,
    /// The oldest of what it is behind with is dropped.
    Display,
    /// What comes while it is behind is dropped.
    Patchy,
    /// It is waited for.
    Recorder,
}

pub const VIEWERS: [Viewer; 7] =
    [Viewer::Newest, Viewer::Seldom, Viewer::Events, Viewer::Fresh, Viewer::Display, Viewer::Patchy, Viewer::Recorder];

impl Viewer {
    /// Asks the server to be served like this.
    pub fn wish(self) -> Vec<u8> {
        words::numbers(words::WANT, [self as u64])
    }

    pub fn of_wish(number: u64) -> Option<Self> {
        VIEWERS.into_iter().find(|viewer| *viewer as u64 == number)
    }

    pub fn delivery(self) -> Delivery {
        let narrow = Delivery::new().max_queued_bytes(MAX_MESSAGE_LEN + 1024).max_unsent_bytes(16 * 1024);
        match self {
            Self::Newest => Delivery::new().conflate(true),
            Self::Seldom => Delivery::new().min_interval(Duration::from_millis(300)),
            Self::Events => Delivery::new().filter(|key, _| key.is_none()),
            Self::Fresh => Delivery::new().lifespan(Duration::from_millis(200)).max_unsent_bytes(16 * 1024),
            Self::Display => narrow.slow_consumer(SlowConsumer::DropOldest).conflate(true),
            Self::Patchy => narrow.slow_consumer(SlowConsumer::DropNewest),
            Self::Recorder => narrow.slow_consumer(SlowConsumer::Block(PATIENCE)),
        }
    }

    /// Whether it may miss messages of a kind.
    pub fn may_miss(self, kind: u8) -> bool {
        match self {
            Self::Newest | Self::Seldom | Self::Events => kind == words::STATE,
            Self::Fresh | Self::Display | Self::Patchy => true,
            Self::Recorder => false,
        }
    }

    /// Whether the last message of each state comes in any case.
    pub fn gets_the_last(self) -> bool {
        matches!(self, Self::Newest | Self::Seldom)
    }

    /// Whether a word to it may be lost as well, unless it is served like everybody before.
    pub fn loses_words(self) -> bool {
        self.may_miss(words::BROADCAST)
    }
}

/// The state that a message is of.
pub fn key_of(message: &[u8]) -> Option<Key> {
    let (kind, rest) = message.split_first()?;
    let end = rest.iter().position(|byte| *byte == b'.')?;
    (*kind == words::STATE).then(|| Key::new(&rest[..end]))
}

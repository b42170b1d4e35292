//! What a viewer asks for by a message, and how it is served then.

use std::time::Duration;

use leads_comm::{Delivery, SlowConsumer};

/// What a request begins with.
const REQUEST: &str = "want ";

/// How long a recorder that is behind is waited for, and by how many bytes it may be behind before.
const PATIENCE: Duration = Duration::from_secs(5);
const BEHIND: usize = 16 * 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// The newest state, however slowly it reads, and the events.
    Newest,
    /// Every state and every event: it is waited for.
    Everything,
    /// Events alone.
    Events,
}

impl Want {
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "newest" => Some(Self::Newest),
            "everything" => Some(Self::Everything),
            "events" => Some(Self::Events),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Newest => "newest",
            Self::Everything => "everything",
            Self::Events => "events",
        }
    }

    /// What a viewer sends to be served like this.
    pub(crate) fn request(self) -> String {
        format!("{REQUEST}{}", self.name())
    }

    /// What a request asks for, if that can be had; `None` for anything that is no request.
    pub(crate) fn requested(message: &[u8]) -> Option<Option<Self>> {
        let name = message.strip_prefix(REQUEST.as_bytes())?;
        Some(std::str::from_utf8(name).ok().and_then(Self::named))
    }

    pub(crate) fn delivery(self) -> Delivery {
        match self {
            Self::Newest => Delivery::new().slow_consumer(SlowConsumer::DropOldest).conflate(true),
            Self::Everything => Delivery::new().slow_consumer(SlowConsumer::Block(PATIENCE)).max_queued_bytes(BEHIND),
            Self::Events => Delivery::new().filter(|key, _| key.is_none()),
        }
    }

    /// How those are served who ask for nothing: as those who know of no events.
    pub(crate) fn nothing() -> Delivery {
        Delivery::new().filter(|key, _| key.is_some())
    }
}

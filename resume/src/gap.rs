use std::fmt;

use crate::Position;

/// Messages that a subscriber will never get: what comes next does not follow what it has.
///
/// Either the publisher's history had let them go before the subscriber asked for them, or was read more slowly than it
/// was written; or the publisher has lost its history, or the last of it, and its numbers begin anew; or its server is
/// set otherwise than when they were published, and cannot send them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// The last message that the subscriber has; `None` when it has none.
    pub last: Option<Position>,
    /// The next message that it gets.
    pub next: Position,
}

impl Gap {
    /// How many messages are missing; `None` where the publisher cannot tell, because it has begun anew since.
    pub fn missing(&self) -> Option<u64> {
        let last = self.last.filter(|last| last.epoch == self.next.epoch)?;
        self.next.number.checked_sub(last.number)?.checked_sub(1)
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.missing(), self.last) {
            (Some(1), _) => write!(f, "1 message is missing before {}", self.next),
            (Some(missing), _) => write!(f, "{missing} messages are missing before {}", self.next),
            (None, Some(last)) => write!(f, "messages may be missing between {last} and {}", self.next),
            (None, None) => write!(f, "messages are missing before {}", self.next),
        }
    }
}

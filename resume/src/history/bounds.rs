use super::HistoryError;

/// How much of a history is kept. What is older goes, and who still needed it is told of a [`Gap`](crate::Gap).
///
/// In files whole ones go at a time, which hold an eighth each: so it is between seven eighths and all of it that is
/// kept. The newest file stays in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Bounds {
    pub(super) max_messages: u64,
    pub(super) max_bytes: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { max_messages: 1_000_000, max_bytes: 64 * 1024 * 1024 }
    }
}

impl Bounds {
    /// The default bounds.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many messages are kept. At least 1. Default a million.
    pub fn max_messages(mut self, messages: u64) -> Self {
        self.max_messages = messages;
        self
    }

    /// How many bytes are kept: of payloads and what comes with each, which is 48 bytes in memory and 8 in a file; and
    /// a file counts for no less than 4 KiB. At least 64 KiB. Default 64 MiB.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    pub(super) fn check(self) -> Result<(), HistoryError> {
        if self.max_messages == 0 {
            return Err(HistoryError::Bounds { requirement: "max_messages must not be 0" });
        }
        if self.max_bytes < 64 * 1024 {
            return Err(HistoryError::Bounds { requirement: "max_bytes must be at least 64 KiB" });
        }
        Ok(())
    }
}

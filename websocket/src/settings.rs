//! What both ends of a WebSocket are told.

use std::fmt;
use std::sync::Arc;

use crate::outgoing::IsText;

/// The longest message that is received unless told otherwise, in bytes: that of a service of `leads_comm`.
const MAX_RECEIVED_LEN: usize = 1024 * 1024;

/// How messages are made frames, and frames messages.
///
/// # Examples
///
/// ```
/// use leads_comm_websocket::Settings;
///
/// // Everything is text, and nothing that is received is long.
/// let settings = Settings::new().text(|_| true).max_received_len(4096);
/// ```
#[derive(Clone)]
pub struct Settings {
    pub(crate) is_text: IsText,
    pub(crate) max_received_len: usize,
}

impl Settings {
    /// Those that are described with each setting.
    pub fn new() -> Self {
        Self { is_text: Arc::new(|first| matches!(first, b'{' | b'[')), max_received_len: MAX_RECEIVED_LEN }
    }

    /// Which messages are sent as text, told by their first byte; the others are binary, and so are empty ones. A
    /// browser shows text as a string, and ends the connection when it is not UTF-8. What is received may be either.
    /// Called on the thread that writes. Default: those that begin with `{` or `[`, as JSON does.
    #[must_use]
    pub fn text(mut self, is_text: impl Fn(u8) -> bool + Send + Sync + 'static) -> Self {
        self.is_text = Arc::new(is_text);
        self
    }

    /// The longest message that is received, in bytes; longer ones end the connection, with Close 1009. A message is
    /// held until all of it has arrived, so this is also what one peer can make a connection hold, beside the limits of
    /// the service, which has one like it: [`max_received_len`](leads_comm::ServerBuilder::max_received_len). The lower
    /// one counts. At most 4 GiB less a byte. Default 1 MiB.
    #[must_use]
    pub fn max_received_len(mut self, bytes: usize) -> Self {
        self.max_received_len = bytes.min(u32::MAX as usize);
        self
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("max_received_len", &self.max_received_len).finish_non_exhaustive()
    }
}

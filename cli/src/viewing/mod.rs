//! What is seen of a vehicle, or of a recording: what the page, Foxglove and others are fed.

pub(crate) mod analyst;
pub(crate) mod foxglove;
pub(crate) mod udp;

use std::sync::Arc;

/// What sends the vehicle a command that is allowed, or says why not.
pub(crate) type Commands = Arc<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// Somebody who is shown every message as it came, beside the page. Called on the thread of the hub, which nobody may
/// hold up: what cannot be handed on at once is dropped and counted.
pub(crate) trait Sink: Send {
    /// A message, and when it came, in nanoseconds since 1970.
    fn message(&mut self, message: &[u8], time: u64);

    /// From here on it is another time: somebody has moved along the time line of a recording.
    fn jump(&mut self) {}
}

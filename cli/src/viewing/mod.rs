//! What is seen of a vehicle, or of a recording: what the page, Foxglove and others are fed.
//!
//! ```text
//!   vehicle ──▶ link ──▶ queue ──┐               ┌─▶ board ──▶ viewers, by the protocol ──▶ browsers
//!   files ─────────▶ playback ───┴─▶ hub thread ─┤     └─▶ history ──▶ site: plots, downloads
//!   monitor ──▶ who else is connected ──▶        └─▶ sinks: guests
//!
//!   look        what a message is; fields, the numbers in it; pictures, raw
//!   desk        what a page may ask for
//!   guests      those who look beside the page: foxglove, udp, analyst
//!   site        what HTTP is answered; saving, a download; page, its files
//!   opener      opens a browser
//! ```

mod analyst;
pub(crate) mod board;
pub(crate) mod desk;
mod fields;
mod foxglove;
pub(crate) mod guests;
pub(crate) mod history;
pub(crate) mod hub;
pub(crate) mod link;
mod look;
pub(crate) mod monitor;
pub(crate) mod opener;
pub(crate) mod page;
mod pictures;
pub(crate) mod playback;
pub(crate) mod protocol;
mod rates;
mod raw;
mod saving;
pub(crate) mod site;
mod udp;
pub(crate) mod viewers;

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

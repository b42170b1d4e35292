//! How one connection is served.

use super::{OVERHEAD, SlowConsumer, require};
use crate::error::Error;

/// How a connection is served: how much may wait for its peer, and what happens when more does.
///
/// A service has one for all of its connections ([`ServerBuilder::delivery`](crate::ServerBuilder::delivery)), and each
/// connection may have another ([`Connection::set_delivery`](crate::Connection::set_delivery)).
///
/// | For | Delivery |
/// |---|---|
/// | a recorder, which must lose nothing | `SlowConsumer::Block`, a long queue |
/// | a display, for which the newest counts | `SlowConsumer::DropOldest`, a short queue |
/// | a log, whose past must have no gap | `SlowConsumer::DropNewest` |
/// | a peer that connects again | `SlowConsumer::Disconnect`, the default |
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use leads_comm::{Delivery, Server, SlowConsumer, callback};
///
/// // Displays lose what they do not take in time. A recorder says that it is one, and is waited for.
/// let recorder = Delivery::new().slow_consumer(SlowConsumer::Block(Duration::from_secs(5))).max_queued_bytes(16 << 20);
/// let display = Delivery::new().slow_consumer(SlowConsumer::DropOldest).max_queued_bytes(2 << 20);
/// let server = Server::builder().delivery(display).callback(callback::on_receive(move |connection, message| {
///     if message == b"want everything" {
///         connection.set_delivery(recorder.clone()).expect("such a queue holds any message");
///     }
/// }));
/// # drop(server.build()?);
/// # Ok::<(), leads_comm::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Delivery {
    pub(crate) slow_consumer: SlowConsumer,
    pub(crate) max_queued_bytes: usize,
}

impl Default for Delivery {
    fn default() -> Self {
        Self { slow_consumer: SlowConsumer::default(), max_queued_bytes: 4 * 1024 * 1024 }
    }
}

impl Delivery {
    /// The default delivery.
    pub fn new() -> Self {
        Self::default()
    }

    /// What happens when as much waits as may, for this peer or for all of them. Default
    /// [`SlowConsumer::Disconnect`].
    pub fn slow_consumer(mut self, policy: SlowConsumer) -> Self {
        self.slow_consumer = policy;
        self
    }

    /// How much may wait to be written to the peer: in bytes, each message charged its length, the separator's, and 64.
    /// Must hold a message of [`max_sent_len`](crate::ServerBuilder::max_sent_len), and be no more than all connections
    /// [may have together](crate::MemoryLimits::max_total_queued_bytes). Default 4 MiB.
    pub fn max_queued_bytes(mut self, bytes: usize) -> Self {
        self.max_queued_bytes = bytes;
        self
    }

    /// Refuses what does not fit into a service whose messages have up to so many bytes, separator included, and which
    /// may hold so much in all.
    pub(crate) fn check(&self, longest: usize, max_total_queued_bytes: usize) -> Result<(), Error> {
        require(
            self.max_queued_bytes >= longest.saturating_add(OVERHEAD),
            "max_queued_bytes",
            "must hold one message of max_sent_len, with its separator and 64 bytes more",
        )?;
        require(
            self.max_queued_bytes <= max_total_queued_bytes,
            "max_queued_bytes",
            "must not be more than max_total_queued_bytes",
        )
    }
}

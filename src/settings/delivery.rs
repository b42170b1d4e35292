//! How one connection is served.

use std::time::Duration;

use super::{Filter, Key, OVERHEAD, SlowConsumer, countable, require};
use crate::error::Error;

/// How much may be unsent in the system for a connection that conflates, unless it is told otherwise.
const CONFLATED_UNSENT: usize = 16 * 1024;

/// How a connection is served: how much may wait for its peer, and what happens when more does.
///
/// A service has one for all of its connections ([`ServerBuilder::delivery`](crate::ServerBuilder::delivery)), and each
/// connection may have another ([`Connection::set_delivery`](crate::Connection::set_delivery)).
///
/// Which delivery for whom is told in the [guide](crate#to-each-viewer-what-it-needs).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use leads_comm::{Delivery, Server, SlowConsumer, callback, key};
///
/// // Displays that are behind get the newest of each key. A recorder says that it is one, and is waited for.
/// let recorder = Delivery::new().slow_consumer(SlowConsumer::Block(Duration::from_secs(5))).max_queued_bytes(16 << 20);
/// let display = Delivery::new().slow_consumer(SlowConsumer::DropOldest).conflate(true);
/// let server = Server::builder().key(key::prefix(b':')).delivery(display).callback(callback::on_receive(move |connection, message| {
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
    /// `None` until it is set.
    max_unsent_bytes: Option<Option<usize>>,
    pub(crate) conflate: bool,
    pub(crate) lifespan: Option<Duration>,
    pub(crate) min_interval: Option<Duration>,
    pub(crate) filter: Option<Filter>,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            slow_consumer: SlowConsumer::default(),
            max_queued_bytes: 4 * 1024 * 1024,
            max_unsent_bytes: None,
            conflate: false,
            lifespan: None,
            min_interval: None,
            filter: None,
        }
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

    /// Whether, for a peer that is behind, only the newest message of each [key](crate::ServerBuilder::key) waits, in
    /// the place of the one before. Default false.
    ///
    /// Messages without a key are events: they are neither replaced nor overtaken by another event. A key never goes
    /// back in time. Nothing changes for a peer that keeps up. What has been replaced is counted as
    /// [`conflated`](crate::stats::Traffic::conflated).
    pub fn conflate(mut self, conflate: bool) -> Self {
        self.conflate = conflate;
        self
    }

    /// How old a message may become while it waits; then it is not sent any more, and counted as
    /// [`expired`](crate::stats::Traffic::expired). More than 0. Default `None`: for ever.
    ///
    /// Only what waits here expires, not what the system or the peer's has taken already: see
    /// [`max_unsent_bytes`](Self::max_unsent_bytes).
    pub fn lifespan(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.lifespan = time.into();
        self
    }

    /// How much time passes at least between two messages of a key: of those that come sooner the newest waits, and is
    /// sent when the time has come. More than 0. Default `None`.
    ///
    /// What waits for that is charged as everything else that waits ([`max_queued_bytes`](Self::max_queued_bytes)), and
    /// is not dropped to make room.
    ///
    /// Events, and the first message of a key, are sent at once; the last one is never lost. What was replaced is
    /// counted as [`conflated`](crate::stats::Traffic::conflated).
    pub fn min_interval(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.min_interval = time.into();
        self
    }

    /// How much the system may hold for the peer that it has not sent yet, in bytes; the rest waits here, where it is
    /// still conflated, dropped and let expire. `None` is for as much as the system likes, up to some MiB. More than 0;
    /// less than some KiB makes little difference. Default `None`, with [`conflate`](Self::conflate) 16 KiB.
    ///
    /// Over TCP on Linux and Android it is what is neither sent nor on its way; over Unix sockets all that the peer has
    /// not read, of which small messages take several times their length. What is written while there is room, a
    /// message or several that are joined, is written at once, and may exceed it by up to 64 KiB. TLS, and layers that
    /// hand it on, have the limit of what is below. On other systems, and over other transports, it has no effect. What
    /// is on its way, and what the peer's system has taken, nobody can limit here.
    ///
    /// A peer that keeps up is sent the same at the same time. Floods are written in smaller pieces: with 16 KiB they
    /// take up to three times as long, to a Unix socket with long messages four times.
    pub fn max_unsent_bytes(mut self, bytes: impl Into<Option<usize>>) -> Self {
        self.max_unsent_bytes = Some(bytes.into());
        self
    }

    /// Which messages the peer wants of those that are broadcast, by their key and their bytes. Default: all of them.
    ///
    /// Asked once for each message on the thread that broadcasts, which waits for it, without any lock of the
    /// library's. What is not wanted is counted as [`filtered`](crate::stats::Traffic::filtered), and not by the
    /// broadcast. What is sent to the peer alone is not asked about. Where it panics the connection is ended.
    ///
    /// A connection lets its filter go at its end, and a service that of its default delivery when nobody has a handle
    /// of it any more: it should not hold one itself.
    pub fn filter(mut self, wanted: impl Fn(Option<&Key>, &[u8]) -> bool + Send + Sync + 'static) -> Self {
        self.filter = Some(Filter::new(wanted));
        self
    }

    /// What happens when as much waits as may: what [`slow_consumer`](Self::slow_consumer) has set.
    pub fn policy(&self) -> SlowConsumer {
        self.slow_consumer
    }

    /// Whether it has messages go by themselves.
    pub(crate) fn goes_apart(&self) -> bool {
        self.conflate || self.lifespan.is_some() || self.min_interval.is_some()
    }

    /// What a queue may be charged.
    #[inline]
    pub(crate) fn queue_limit(&self) -> usize {
        countable(self.max_queued_bytes)
    }

    /// How much may be unsent in the system.
    pub(crate) fn unsent_limit(&self) -> Option<usize> {
        self.max_unsent_bytes.unwrap_or(self.conflate.then_some(CONFLATED_UNSENT))
    }

    /// Refuses what does not fit into a service whose messages have up to so many bytes, separator included, and which
    /// may hold so much in all.
    pub(crate) fn check(&self, longest: usize, max_total_queued_bytes: usize, has_keys: bool) -> Result<(), Error> {
        require(has_keys || !self.conflate, "conflate", "needs a key function, by which messages replace one another")?;
        require(has_keys || self.min_interval.is_none(), "min_interval", "needs a key function")?;
        require(self.min_interval != Some(Duration::ZERO), "min_interval", "must not be 0")?;
        require(self.lifespan != Some(Duration::ZERO), "lifespan", "must not be 0")?;
        require(self.unsent_limit() != Some(0), "max_unsent_bytes", "must not be 0")?;
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

//! What a service is told: limits and time-outs, with their defaults, checked once.

mod delivery;
mod framing;
pub mod key;
mod key_function;
mod memory_limits;
mod reconnect;
mod snapshot;
mod timeouts;
mod token;

use std::borrow::Cow;
use std::time::{Duration, Instant};

use crate::codec::{self, Framing};
use crate::error::Error;
use crate::sync::later;
pub use delivery::Delivery;
pub(crate) use framing::contained;
pub(crate) use key::Key;
pub(crate) use key_function::{Filter, KeyFunction};
pub use memory_limits::MemoryLimits;
pub use reconnect::Reconnect;
pub use snapshot::Snapshot;
pub use timeouts::Timeouts;
pub(crate) use token::{MAX_FIRST_LEN, Token};

/// What each message is charged beyond its bytes, so that a flood of tiny ones is bounded too.
pub(crate) const OVERHEAD: usize = 64;

/// What a queue may be charged that may be charged `limit`: so much less than all that can be counted that one message
/// more, and what is promised, are counted as well. Messages are charged more than they take of memory, and so their sum
/// may come near to that where an address has 32 bits.
#[inline]
pub(crate) fn countable(limit: usize) -> usize {
    limit.min(usize::MAX / 2 - 1024 * 1024)
}

/// The longest message, in payload bytes, unless another is chosen.
pub(crate) const DEFAULT_MAX_LEN: usize = 1024 * 1024;

/// The port of LEADS, used where no other is chosen.
pub const DEFAULT_PORT: u16 = 16900;

/// What happens when more is sent to a peer than it reads, and its queue is full
/// ([`max_queued_bytes`](crate::ServerBuilder::max_queued_bytes)), or those of all peers together are
/// ([`max_total_queued_bytes`](crate::MemoryLimits::max_total_queued_bytes)).
///
/// | Policy | When the queue is full | `send` returns | `broadcast` | Choose it for |
/// |---|---|---|---|---|
/// | `Disconnect`, the default | the peer is disconnected | [`Error::SlowConsumer`] | does not count it | peers that connect again, and must not get gaps unnoticed |
/// | `DropOldest` | the oldest messages that wait make room | `Ok` | counts it | displays: what is new matters |
/// | `DropNewest` | the new message is dropped | [`Error::Dropped`] | does not count it | logs: what began goes on without a gap in its past |
/// | `Block(time)` | the sender waits for room; when the time is over, as `Disconnect` | `Ok`, later | waits once for all | recorders and files: everything matters |
///
/// Messages are dropped whole, never one that has been written in part, and counted.
///
/// [`queue`](crate::Connection::queue) never waits. When the queue is full it writes what waits, if nobody does, and
/// then goes by the policy, but that under `Block` the new message is dropped, as under `DropNewest`. So it is under
/// `Disconnect`, and the peer stays, where a write is under way that may make room, or is about to be, and under every
/// policy where all queues together are full.
///
/// Whatever the policy, a peer that takes nothing at all for [`stall_timeout`](crate::Timeouts::stall_timeout)
/// while something waits for it is disconnected. One that reads, however much less than it is sent, is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SlowConsumer {
    /// The peer is disconnected, and nobody waits for it. Where all queues together are full, those
    /// whose messages may be dropped lose some first, and then it is the peer with the longest queue, to whichever peer
    /// is being sent.
    #[default]
    Disconnect,
    /// The oldest messages that wait for the peer are dropped to make room. Where all queues together are full, it is
    /// the new message that is dropped, because the old ones of this peer may be in the queues of others as well.
    DropOldest,
    /// The new message is dropped.
    DropNewest,
    /// `send` and `broadcast` wait for room, so that nothing is lost to a peer that is merely slow; at most this long,
    /// then the peer is disconnected. A broadcast waits once for all its peers together, not for each in turn, and
    /// those that have room do not wait with it. Also in a callback; a peer that does the same in turn is waited for
    /// no longer than this.
    Block(Duration),
}

impl SlowConsumer {
    /// Its name in numbers: `disconnect`, `drop_oldest`, `drop_newest` or `block`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disconnect => "disconnect",
            Self::DropOldest => "drop_oldest",
            Self::DropNewest => "drop_newest",
            Self::Block(_) => "block",
        }
    }

    /// Whether a sender waits for room.
    pub(crate) fn waits(self) -> bool {
        matches!(self, Self::Block(time) if !time.is_zero())
    }

    /// Whether messages are dropped, and the peer stays.
    pub(crate) fn drops(self) -> bool {
        matches!(self, Self::DropOldest | Self::DropNewest)
    }
}

/// How long the end of a connection may take: see [`ServerBuilder::closing`](crate::ServerBuilder::closing).
///
/// A regular end has two steps, each with its time: what had been accepted is written, with the goodbye behind it; then
/// the peer is waited for, until it closes its side. There is a time for both together as well, which is that of a
/// whole service, too. A peer for which one of them is over is cut off.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use leads_comm::{Closing, Server};
///
/// // Peers on a slow line get their messages to the end.
/// let second = Duration::from_secs(1);
/// let closing = Closing::new().flush_timeout(20 * second).drain_timeout(5 * second).close_timeout(30 * second);
/// let server = Server::builder().closing(closing).build()?;
/// # drop(server);
/// # Ok::<(), leads_comm::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Closing {
    pub(crate) flush_timeout: Duration,
    pub(crate) drain_timeout: Duration,
    pub(crate) close_timeout: Duration,
}

impl Default for Closing {
    fn default() -> Self {
        Self {
            flush_timeout: Duration::from_secs(2),
            drain_timeout: Duration::from_millis(500),
            close_timeout: Duration::from_secs(3),
        }
    }
}

impl Closing {
    /// The default times.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long a connection that closes may take to write what had been accepted. Default 2 s.
    pub fn flush_timeout(mut self, time: Duration) -> Self {
        self.flush_timeout = time;
        self
    }

    /// How long, after everything is written, a closing connection waits for the peer to close its side; starts anew
    /// with whatever still arrives from it, within [`close_timeout`](Self::close_timeout). Default 0.5 s.
    ///
    /// It comes on top of what a connection was ended for, but not where that was silence
    /// ([`idle_timeout`](crate::ServerBuilder::idle_timeout)), or that the peer took nothing
    /// ([`stall_timeout`](crate::Timeouts::stall_timeout)) or was gone
    /// ([`dead_peer_timeout`](crate::Timeouts::dead_peer_timeout)).
    pub fn drain_timeout(mut self, time: Duration) -> Self {
        self.drain_timeout = time;
        self
    }

    /// How long closing may take in all, for one connection and for the service. Not shorter than
    /// [`flush_timeout`](Self::flush_timeout). Default 3 s.
    pub fn close_timeout(mut self, time: Duration) -> Self {
        self.close_timeout = time;
        self
    }
}

/// What both kinds of service are told; the builder's methods say what each is.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) framing: Framing,
    pub(crate) token: Option<Token>,
    pub(crate) max_received_len: usize,
    pub(crate) max_sent_len: usize,
    /// Which messages replace one another, where the program says so.
    pub(crate) key: Option<KeyFunction>,
    /// What a server keeps for those who connect later.
    pub(crate) snapshot: Option<Snapshot>,
    pub(crate) delivery: Delivery,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) coalesce: bool,
    pub(crate) keep_unsent: bool,
    pub(crate) timeouts: Timeouts,
    pub(crate) closing: Closing,
    pub(crate) memory_limits: MemoryLimits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            framing: Framing::default(),
            token: None,
            max_received_len: DEFAULT_MAX_LEN,
            max_sent_len: DEFAULT_MAX_LEN,
            key: None,
            snapshot: None,
            delivery: Delivery::default(),
            idle_timeout: None,
            coalesce: true,
            keep_unsent: false,
            timeouts: Timeouts::default(),
            closing: Closing::default(),
            memory_limits: MemoryLimits::default(),
        }
    }
}

impl Settings {
    /// Refuses settings that are out of range or do not fit together.
    pub(crate) fn check(&self) -> Result<(), Error> {
        require(self.max_received_len >= codec::GOODBYE.len(), "max_received_len", "must hold the goodbye, 10 bytes")?;
        for (setting, max) in [("max_received_len", self.max_received_len), ("max_sent_len", self.max_sent_len)] {
            require(self.framing.can_say(max), setting, "must fit into the 4 bytes of a message's length")?;
        }
        require(self.idle_timeout != Some(Duration::ZERO), "idle_timeout", "must not be 0")?;
        let unfinished = self.framing.frame_limit(self.max_received_len);
        self.memory_limits.check(self.delivery.max_queued_bytes, unfinished)?;
        self.snapshot.map_or(Ok(()), |snapshot| snapshot.check(self.key.is_some()))?;
        self.check_delivery(&self.delivery)?;
        self.timeouts.check()?;
        require(
            self.closing.close_timeout >= self.closing.flush_timeout,
            "closing",
            "must have a close_timeout that is not shorter than its flush_timeout",
        )
    }

    /// Whether a message can be sent, and nothing has to be made of it before: neither a [body](Self::body_of) nor a
    /// key.
    #[inline]
    pub(crate) fn is_plain(&self, message: &[u8]) -> bool {
        self.key.is_none() && message.len() <= self.max_sent_len && self.framing.is_plain(message)
    }

    #[inline]
    fn check_len(&self, message: &[u8]) -> Result<(), Error> {
        if message.len() > self.max_sent_len {
            return Err(Error::MessageTooLong { len: message.len(), limit: self.max_sent_len });
        }
        Ok(())
    }

    /// What has to be written of a message; an error for one that cannot be sent. May call the program's code.
    #[inline]
    pub(crate) fn body_of<'a>(&self, message: &'a [u8]) -> Result<Cow<'a, [u8]>, Error> {
        self.check_len(message)?;
        Ok(self.framing.body(message)?)
    }

    /// Refuses a delivery that a connection of this service cannot have.
    pub(crate) fn check_delivery(&self, delivery: &Delivery) -> Result<(), Error> {
        let longest = self.framing.frame_limit(self.max_sent_len);
        delivery.check(longest, self.memory_limits.max_total_queued_bytes, self.key.is_some())?;
        require(
            self.snapshot.is_none_or(|snapshot| snapshot.max_bytes <= delivery.max_queued_bytes / 2),
            "snapshot",
            "must have a max_bytes that is at most half of max_queued_bytes",
        )
    }

    /// When an end that begins now is to be over.
    pub(crate) fn close_deadline(&self) -> Instant {
        later(Instant::now(), self.closing.close_timeout)
    }
}

pub(crate) fn require(holds: bool, setting: &'static str, requirement: &'static str) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::InvalidSetting { setting, requirement }) }
}

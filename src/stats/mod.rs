//! What has gone through a connection, or through all of a service's, in numbers.
//!
//! [`Connection::stats`](crate::Connection::stats) and [`Service::stats`](crate::Service::stats) take a snapshot; that
//! is cheap, does not block, and may be done from any thread and in any callback. (What the system holds for a peer
//! costs some system calls, for one connection on Linux only.) A connection's numbers can be read
//! also after its end. Each `Display` is one line, for people; `to_json` is for programs.
//!
//! # What is counted
//!
//! Messages are counted whole, bytes with their separators; goodbyes are not counted in either. A message that is sent
//! is *accepted* or *rejected*, and what was accepted is at any moment *written*, *waiting*, *unsent*, *dropped*,
//! *conflated* or *expired*. Nothing is in two places, nothing in none:
//!
//! ```text
//! accepted + rejected  =  written + waiting + unsent + dropped + conflated + expired
//! ```
//!
//! This holds in every snapshot of a [`Traffic`], for messages and for bytes. (What is rejected is also counted as
//! dropped, because it was dropped in place of something older; so it is on both sides.)
//!
//! What a client [keeps](crate::Reconnect::keep_bytes) while it has no connection is in none of these numbers: it is
//! accepted when a connection takes it, and what none has taken when the client ends is in
//! [`Error::Unsent`](crate::Error::Unsent) only.
//!
//! ```
//! use leads_comm::{Client, Server, Service};
//!
//! let server = Server::builder().port(0).build()?;
//! server.start(true)?;
//! let client = Client::builder().port(server.port()).build()?;
//! client.start("127.0.0.1", true)?;
//! client.send(b"m1")?;
//! client.send(b"hazard")?;
//! client.close();
//!
//! let stats = client.stats();
//! println!("{stats}");
//! assert_eq!((stats.opened, stats.connections, stats.ended.total()), (1, 0, 1));
//! let traffic = stats.traffic;
//! assert_eq!((traffic.accepted.messages, traffic.accepted.bytes), (2, 10));
//! let lost = traffic.unsent + traffic.dropped + traffic.conflated + traffic.expired;
//! let became = traffic.written + traffic.waiting + lost;
//! assert_eq!(traffic.accepted + traffic.rejected, became);
//! # server.close();
//! # Ok::<(), leads_comm::Error>(())
//! ```
//!
//! # What it costs
//!
//! No lock and no atomic read-modify-write for a message: sent ones are counted in the outbox, whose lock is held
//! anyway, received ones by the only thread that counts them. The clock is looked at no more than once for each read
//! and each write, and those carry many messages when there are many.

mod counts;
mod display;
pub(crate) mod json;
pub(crate) mod kind;
mod received;

use std::ops::{Add, AddAssign};
use std::time::Instant;

pub use counts::Counts;
pub use kind::Kind;
pub(crate) use kind::{DisconnectKind, RefusalKind};
pub(crate) use received::{Received, nanos_since, time_of};

/// Messages, and their bytes on the wire: with their separators, or what else their framing adds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Volume {
    /// How many messages.
    pub messages: u64,
    /// How many bytes they have, each with its separator.
    pub bytes: u64,
}

/// What has gone through a connection, or through several: see [what is counted](self#what-is-counted).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// What was given to [`on_receive`](crate::Callback::on_receive); counted just before it is.
    pub received: Volume,
    /// What was accepted: `send` returned `Ok`, or a broadcast counted this peer.
    pub accepted: Volume,
    /// What was handed to the operating system: messages when the last of their bytes was, and bytes one by one.
    pub written: Volume,
    /// What waits for that now, with what is just being written: messages that are not whole with the system, and those
    /// of their bytes that are not there yet.
    pub waiting: Volume,
    /// What was accepted, and could not be written any more when the connection ended: as
    /// [`Undelivered::unsent`](crate::Undelivered::unsent).
    pub unsent: Volume,
    /// What was dropped for want of room, whether it had been accepted before or not: as
    /// [`Undelivered::dropped`](crate::Undelivered::dropped).
    pub dropped: Volume,
    /// Of what was dropped, that which had not been accepted: `send` returned
    /// [`Error::Dropped`](crate::Error::Dropped), or a broadcast did not count this peer. Sends that failed for another
    /// reason are counted nowhere.
    pub rejected: Volume,
    /// What was accepted, and replaced by a newer message of its key before it was written: see
    /// [`Delivery::conflate`](crate::Delivery::conflate) and [`min_interval`](crate::Delivery::min_interval).
    pub conflated: Volume,
    /// What was accepted, and waited for longer than its [lifespan](crate::Delivery::lifespan).
    pub expired: Volume,
    /// What a [filter](crate::Delivery::filter) kept back. It was not accepted, and is in none of the other numbers.
    pub filtered: Volume,
    /// How many writes the operating system took bytes in. `written.messages` divided by this tells how well messages
    /// were joined.
    pub writes: u64,
    /// What waits now as the limits count it, in bytes: each message charged 64 more, a goodbye too. See
    /// [`ServerBuilder::max_queued_bytes`](crate::ServerBuilder::max_queued_bytes).
    pub queued_bytes: usize,
    /// The most that `queued_bytes` has been; for several connections, of any one of them.
    pub peak_queued_bytes: usize,
    /// When a read last brought something, whole message or not.
    pub last_received: Option<Instant>,
    /// When bytes were last handed to the operating system: just before or after that write. Where it was of a message
    /// that followed on one received, as an answer does, this is when that one was read, because the clock is not
    /// looked at again.
    pub last_written: Option<Instant>,
}

/// The numbers of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionStats {
    /// When it was opened.
    pub connected_since: Instant,
    /// When the message was accepted that has waited longest of those that wait now, for the system or for its
    /// [interval](crate::Delivery::min_interval); `None` when none does. One that has been replaced does not count,
    /// only the newer one in its place.
    pub waiting_since: Option<Instant>,
    /// What has gone through it.
    pub traffic: Traffic,
    /// How many bytes the system holds for the peer: what was written, and the peer's system has not acknowledged; over
    /// a Unix socket, what the peer has not read. `None` where that cannot be told, as everywhere but on Linux, and
    /// once the connection has ended. Over TLS, of encrypted bytes.
    pub system_queued_bytes: Option<u64>,
    /// How many bytes have arrived at the peer's system, and its program has not read. `None` where that cannot be told:
    /// it is over TCP on Linux, to a peer on the same system, and as long as the connection lasts. (Over a Unix socket
    /// it is in `system_queued_bytes`.)
    pub peer_unread_bytes: Option<u64>,
}

/// The numbers of a service: of all connections that it has, and of all that it has had.
///
/// A connection that ends passes from the ones to the others in one step, so that it is in each snapshot once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceStats {
    /// When the service was started; `None` until it has been.
    pub started: Option<Instant>,
    /// How many connections there are now: as [`Service::num_connections`](crate::Service::num_connections).
    pub connections: usize,
    /// How many have been opened so far.
    pub opened: u64,
    /// How many have ended so far, by kind. In every snapshot, `ended.total() + connections == opened`.
    pub ended: Counts<DisconnectKind>,
    /// How many callers were refused, by kind; they have never been connections. Always 0 for a client.
    pub callers_refused: Counts<RefusalKind>,
    /// What has gone through all of them. The parts of different connections are not of the very same moment, but no
    /// sum is ever less than it was before (except for `waiting` and `queued_bytes`, which are of now).
    pub traffic: Traffic,
}

impl Volume {
    pub(crate) fn new(messages: usize, bytes: usize) -> Self {
        Self { messages: messages as u64, bytes: bytes as u64 }
    }
}

impl Add for Volume {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl AddAssign for Volume {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.bytes += other.bytes;
    }
}

/// Adds what went through another connection.
impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.received += other.received;
        self.accepted += other.accepted;
        self.written += other.written;
        self.waiting += other.waiting;
        self.unsent += other.unsent;
        self.dropped += other.dropped;
        self.rejected += other.rejected;
        self.conflated += other.conflated;
        self.expired += other.expired;
        self.filtered += other.filtered;
        self.writes += other.writes;
        // What several queues share counts in each of them: that may be more than there is memory.
        self.queued_bytes = self.queued_bytes.saturating_add(other.queued_bytes);
        self.peak_queued_bytes = self.peak_queued_bytes.max(other.peak_queued_bytes);
        // `None` is less than any time.
        self.last_received = self.last_received.max(other.last_received);
        self.last_written = self.last_written.max(other.last_written);
    }
}

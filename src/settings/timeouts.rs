//! Times of which only a program with unusual peers sets one.

use std::time::Duration;

use super::{SlowConsumer, require};
use crate::error::Error;

/// How long a peer may leave undone what it has to do: see [`ServerBuilder::timeouts`](crate::ServerBuilder::timeouts).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use leads_comm::{Server, Timeouts};
///
/// // Peers behind a radio link that is gone for minutes.
/// let minute = Duration::from_secs(60);
/// let timeouts = Timeouts::new().stall_timeout(5 * minute).dead_peer_timeout(10 * minute);
/// let server = Server::builder().timeouts(timeouts).build()?;
/// # drop(server);
/// # Ok::<(), leads_comm::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Timeouts {
    /// `None`: as the policy for slow consumers has it.
    stall_timeout: Option<Duration>,
    pub(crate) partial_message_timeout: Duration,
    pub(crate) handshake_timeout: Duration,
    pub(crate) dead_peer_timeout: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            stall_timeout: None,
            partial_message_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(5),
            dead_peer_timeout: Some(Duration::from_secs(30)),
        }
    }
}

impl Timeouts {
    /// The default times.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long a peer may take nothing of what waits for it in its outbox before it is disconnected, with
    /// [`OutboundLimit::Stalled`](crate::OutboundLimit::Stalled). More than 0. Default 30 s with
    /// [`SlowConsumer::Disconnect`] and
    /// [`SlowConsumer::Block`], and 10 minutes with the policies that drop: they hold
    /// up nobody, and have no reason to end a peer that is alive.
    ///
    /// This is for peers whose system answers and whose program reads nothing. A write is tried four times in that
    /// time, so that a peer which reads slowly, and is never ended for it, is seen to read. Systems open the way
    /// for more in steps, which are what the slowest peer has to read in that time: over TCP on one machine 128
    /// KiB, or a sixteenth of the peer's receive buffer where that is more; over Unix sockets on Linux what was
    /// written at once, up to some 36 KiB. What the system still has room for is taken first, by the next try.
    /// `docs/peers.md` has the whole table.
    ///
    /// `on_disconnect` comes after this time, or up to a quarter of it later; the end itself takes none, because
    /// such a peer is neither flushed to nor waited for.
    pub fn stall_timeout(mut self, time: Duration) -> Self {
        self.stall_timeout = Some(time);
        self
    }

    /// How long a peer may take to finish a message that it has begun: from the time at which its first bytes were
    /// read to the arrival of its separator, however many bytes come in between. Then the connection is ended, with
    /// [`DisconnectCause::PartialMessageTimeout`](crate::DisconnectCause::PartialMessageTimeout). More than 0.
    /// Default 30 s.
    ///
    /// Over TLS, a record that has begun has to be whole in that time, too, whatever is in it.
    ///
    /// It is counted anew for each message, so that it does not concern a peer that sends many. Nor does the time
    /// that callbacks take count against the peer: while one is running, the connection is not being read, and a
    /// message that has begun to arrive behind the one that it was given counts from its return.
    ///
    /// `on_disconnect` comes after this time and what the regular end takes: nothing, when the peer closes its side
    /// upon the goodbye, and otherwise up to [`drain_timeout`](crate::Closing::drain_timeout), so that what it is
    /// still sending does not cost it the goodbye; with the defaults 30.5 s.
    pub fn partial_message_timeout(mut self, time: Duration) -> Self {
        self.partial_message_timeout = time;
        self
    }

    /// How long the handshake of a stream that [needs](crate::transport::Stream::needs_handshake) one may take, and
    /// what [authenticates](crate::ServerBuilder::token) a caller, together. More than 0. Default 5 s.
    ///
    /// A server counts from the moment at which it has accepted the stream; when the time is over the caller is
    /// refused ([`RefusalCause::HandshakeTimeout`](crate::RefusalCause::HandshakeTimeout)). A client
    /// [fails to connect](crate::Error::Connect), with a source of the kind `TimedOut`.
    pub fn handshake_timeout(mut self, time: Duration) -> Self {
        self.handshake_timeout = time;
        self
    }

    /// How long, over TCP, no sign of life may come from a peer's *system* before the peer is taken for gone: its
    /// machine has lost its power, or the network between. Then the connection ends, with
    /// [`DisconnectCause::Io`](crate::DisconnectCause::Io), whatever the
    /// [stall time-out](Self::stall_timeout). More than 0. Default 30 s. `None` leaves the sockets as they are,
    /// and it to the system: hours, or a quarter of an hour where something is on its way to the peer.
    ///
    /// - While nothing that was sent is unanswered, the system asks the peer's (keepalive), from half of the time
    ///   on, three times, so that the last answer is missing when it is over: with 30 s after 15 s of silence, then
    ///   every 5 s. That goes by whole seconds, and takes 2 s at least; the first question comes after 32,767 s of
    ///   silence at the latest. See [`Keepalive::within`](crate::transport::Keepalive::within).
    /// - While something is unanswered, data or the system's questions whether there is room again, nothing at all
    ///   may come for that time; this is noticed a quarter of it later at most. Of a peer that has no room, the
    ///   system asks at intervals which double, up to 2 minutes, and two questions have to be unanswered.
    ///
    /// A peer whose system answers stays, also when its program reads nothing for hours: that is a matter of
    /// [`stall_timeout`](Self::stall_timeout). A system that refuses to do this, or a part of it, is no error; what
    /// it refuses is logged, at debug, once for each service. Transports of the program's own do what their
    /// [`Stream::keep_alive`](crate::transport::Stream::keep_alive) and
    /// [`unanswered_for`](crate::transport::Stream::unanswered_for) say.
    ///
    /// What is unanswered, the service asks the system on Linux, four times within the time and only while
    /// something may be, over a socket of the family `AF_NETLINK` (`NETLINK_SOCK_DIAG`), which takes a descriptor
    /// for that moment. Where a sandbox denies such sockets, and on Android and Fuchsia, the socket is given
    /// `TCP_USER_TIMEOUT` instead, which also ends a peer that answers but has had no room for so long. Elsewhere
    /// the system's own patience ends it, within minutes.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use leads_comm::{Server, Timeouts};
    ///
    /// // Somebody pays for every packet: asked after 75 s of silence, and noticed after two and a half minutes.
    /// let timeouts = Timeouts::new().dead_peer_timeout(Duration::from_secs(150));
    /// let server = Server::builder().timeouts(timeouts).build()?;
    /// # drop(server);
    /// # Ok::<(), leads_comm::Error>(())
    /// ```
    pub fn dead_peer_timeout(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.dead_peer_timeout = time.into();
        self
    }

    /// The one for stalled peers, which depends on the policy: a peer that loses what it does not take in time holds up
    /// nobody, and there is no reason to end it while it is alive.
    pub(crate) fn stall_timeout_under(&self, policy: SlowConsumer) -> Duration {
        self.stall_timeout.unwrap_or(match policy {
            SlowConsumer::Disconnect | SlowConsumer::Block(_) => Duration::from_secs(30),
            SlowConsumer::DropOldest | SlowConsumer::DropNewest => Duration::from_secs(600),
        })
    }

    /// Refuses times that are out of range.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let more_than_0 =
            |time: Option<Duration>, requirement| require(time != Some(Duration::ZERO), "timeouts", requirement);
        more_than_0(self.stall_timeout, "must have a stall_timeout of more than 0")?;
        more_than_0(Some(self.partial_message_timeout), "must have a partial_message_timeout of more than 0")?;
        more_than_0(Some(self.handshake_timeout), "must have a handshake_timeout of more than 0")?;
        more_than_0(self.dead_peer_timeout, "must have a dead_peer_timeout of more than 0")
    }
}

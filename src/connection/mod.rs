//! One connection, and what it shares with its siblings: the handle, [`link`] and [`outbox`] behind it, and the
//! [`engine`] that all of them run on.

pub mod answer;
mod call;
pub(crate) mod calls;
pub(crate) mod engine;
mod id;
pub(crate) mod inbound_budget;
pub(crate) mod last_values;
pub(crate) mod link;
pub(crate) mod log_limits;
pub(crate) mod outbox;
pub(crate) mod pump;
mod values;

use std::any::Any;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::connection::engine::Engine;
use crate::connection::link::Link;
use crate::connection::outbox::{Flushed, Outgoing, Patience};
use crate::error::{DisconnectCause, DisconnectReason, Error};
use crate::settings::Delivery;
use crate::stats::ConnectionStats;
use crate::sync::{later, now};
use crate::transport::Stream;
pub use id::{ConnectionId, ServiceId};

/// A handle to one peer.
///
/// Clones are cheap, stand for the same connection, and may be kept and used from any thread, also after the
/// connection has ended; a kept handle holds no descriptor then. Displayed as the peer's name, for TCP `ip:port`.
#[derive(Clone)]
pub struct Connection {
    link: Arc<Link>,
}

impl Connection {
    pub(crate) fn new(id: ConnectionId, stream: Arc<dyn Stream>, delivery: Delivery, engine: Arc<Engine>) -> Self {
        Self { link: Link::new(id, stream, delivery, engine) }
    }

    /// The connection itself.
    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    /// Which connection of its service this is.
    pub fn id(&self) -> ConnectionId {
        self.link.id()
    }

    /// Of which service this is a connection: its [`id`](crate::Service::id).
    pub fn service(&self) -> ServiceId {
        self.link.engine().id
    }

    /// What the peer is called, for people, as [`Display`](fmt::Display) shows it: for TCP `ip:port`.
    pub fn peer(&self) -> &str {
        self.link.peer()
    }

    /// The peer's network address; `None` on a transport that has none.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.link.peer_addr()
    }

    /// The certificates by which the peer has proved who it is, each in DER, its own first and then those that vouch
    /// for it; none on a transport without such proofs, or where the peer was not asked for one.
    pub fn peer_certificates(&self) -> &[Vec<u8>] {
        self.link.peer_certificates()
    }

    /// This end's network address; `None` on a transport that has none.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.link.local_addr()
    }

    /// Sends one message to this peer.
    ///
    /// `Ok` says that the message was accepted: it is sent in order behind what was accepted before, unless the
    /// connection breaks first, or [`SlowConsumer::DropOldest`](crate::SlowConsumer::DropOldest) drops it, and then it
    /// is counted in the [`DisconnectReason`]. The calling thread writes it unless another one is writing already, or
    /// messages come so fast that they are joined: then at the latest a fraction of a millisecond later. It does not
    /// wait for a peer that reads slowly, unless [`SlowConsumer::Block`](crate::SlowConsumer::Block) says so. May be
    /// called from any thread and in any callback.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidMessage`] when the message cannot be framed, [`Error::MessageTooLong`] when it is longer than
    /// [`max_sent_len`](crate::ServerBuilder::max_sent_len), [`Error::Disconnected`] when the connection has ended or
    /// is closing, [`Error::SlowConsumer`] when the peer reads so slowly that the queue is full, which ends the
    /// connection, and [`Error::Dropped`] when the message was dropped for it. Nothing of the message is written then.
    pub fn send(&self, message: &[u8]) -> Result<(), Error> {
        if !self.link.engine().settings.is_plain(message) {
            return self.send_otherwise(message);
        }
        self.link.send(Outgoing::event(message), &mut Patience::default())
    }

    /// What the program encodes, or has a key, or cannot be sent.
    #[inline(never)]
    fn send_otherwise(&self, message: &[u8]) -> Result<(), Error> {
        let engine = self.link.engine();
        let body = engine.settings.body_of(message)?;
        let key = engine.key_of(message)?;
        self.link.send(Outgoing::Message { message: &body, key: key.as_ref() }, &mut Patience::default())
    }

    /// Sends one message to this peer without a call of the system on the calling thread: the pump writes it, at most
    /// about a millisecond later, or ten behind a second in which nothing was queued. For a loop that must not be late.
    ///
    /// `Ok` says what it says of [`send`](Self::send), and what is sent and what is queued goes in one order. It
    /// never waits: not for the peer, nor for the pump, nor for a thread that sends. It copies the message, which takes
    /// a fraction of a microsecond. Messages that are queued between two looks of the pump's are written together, with
    /// one call. [`flush`](Self::flush) writes what is queued at once. May be called from any thread and in any
    /// callback.
    ///
    /// The pump looks after a connection for a minute after the last message that was queued to it: every millisecond,
    /// or every ten after a second without one. So the first message wakes it, with a call of the system, and so does
    /// one after a minute of silence. There may also be calls in these cases: the queue is full, or a quarter of the
    /// memory of all queues is used, or more than about 128 KiB are queued within one look, or 64 KiB in one message;
    /// the allocator asks the system for memory, as at first, or for keys of more than 22 bytes; another thread that
    /// queues to this peer loses the processor in the middle of it; broadcasts are in a tight loop at the same moment;
    /// the logger takes lines of the level `trace`. The program's own [key function](crate::ServerBuilder::key) is
    /// called here.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send), but nobody waits: [`Error::Dropped`] takes the place of the wait that
    /// [`SlowConsumer::Block`](crate::SlowConsumer::Block) says, and of what else is done for the message when all
    /// queues together are full. Such a message is counted as rejected.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::thread;
    /// use std::time::{Duration, Instant};
    ///
    /// use leads_comm::{Client, Server};
    ///
    /// let server = Server::builder().port(0).build()?;
    /// server.start(true)?;
    /// let client = Client::builder().port(server.port()).build()?;
    /// client.start("127.0.0.1", true)?;
    /// let connection = client.connection().expect("it has just connected");
    ///
    /// // A thousand times a second: measure, act, tell.
    /// let mut next = Instant::now();
    /// for step in 0..10 {
    ///     connection.queue(format!("torque:{step}").as_bytes())?;
    ///     next += Duration::from_millis(1);
    ///     thread::sleep(next.saturating_duration_since(Instant::now()));
    /// }
    /// # client.close();
    /// # server.close();
    /// # Ok::<(), leads_comm::Error>(())
    /// ```
    pub fn queue(&self, message: &[u8]) -> Result<(), Error> {
        let engine = self.link.engine();
        let body = engine.settings.body_of(message)?;
        let key = engine.key_of(message)?;
        self.link.queue(Outgoing::Message { message: &body, key: key.as_ref() })
    }

    /// Sends several messages to this peer in one go, and tells how many were accepted.
    ///
    /// They are checked and encoded before the first one is accepted, so one that cannot be sent keeps back all of
    /// them; until they are queued, that memory is in none of the limits. They are sent in their order, with nothing of
    /// other senders in between, as far as they take no more than half of
    /// [`max_queued_bytes`](crate::ServerBuilder::max_queued_bytes); longer batches go in parts of that size. For the
    /// rest they are as if [sent](Self::send) one by one, except that the slow-consumer policy is applied to each part
    /// as a whole.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send), but for [`Error::Dropped`]: messages that were dropped are not counted in the
    /// number that is returned, which is that of all messages otherwise. An error in a later part does not tell how
    /// many were accepted before it.
    ///
    /// # Examples
    ///
    /// ```
    /// use leads_comm::{Client, Server};
    ///
    /// let server = Server::builder().port(0).build()?;
    /// server.start(true)?;
    /// let client = Client::builder().port(server.port()).build()?;
    /// client.start("127.0.0.1", true)?;
    /// assert_eq!(client.send_all(["m1", "m3", "hazard"])?, 3);
    /// assert!(client.send_all(["m1", "a;b"]).is_err(), "the second holds the separator, so neither is sent");
    /// # client.close();
    /// # server.close();
    /// # Ok::<(), leads_comm::Error>(())
    /// ```
    pub fn send_all<M: AsRef<[u8]>>(&self, messages: impl IntoIterator<Item = M>) -> Result<usize, Error> {
        self.link.push_all(messages)
    }

    /// Blocks until all that was accepted before has been handed to the operating system, at most for `time`.
    ///
    /// That the system has it does not mean that the peer has. What the slow-consumer policy drops meanwhile is not
    /// waited for. May be called from any thread and in any callback.
    ///
    /// # Errors
    ///
    /// [`Error::NotFlushed`] when the time was over first; nothing is lost then, and more is on its way.
    /// [`Error::Disconnected`] when the connection ended first, with what it lost in its [`DisconnectReason`].
    pub fn flush(&self, time: Duration) -> Result<(), Error> {
        match self.link.flush(later(now(), time)) {
            Flushed::Written => Ok(()),
            Flushed::Lost => Err(Error::Disconnected),
            Flushed::TimedOut { left } => Err(Error::NotFlushed { bytes: left }),
        }
    }

    /// Keeps a value of the program's with this connection: who the peer is, what it has asked for, when it was last
    /// seen. There is one of each type; the one that was there before is returned.
    ///
    /// It is let go when [`on_disconnect`](crate::Callback::on_disconnect) has returned, or when another takes its
    /// place; nothing is kept after that. What changes wants a lock or an atomic of its own. May be called from any
    /// thread and in any callback.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// use leads_comm::Server;
    /// use leads_comm::callback::closures;
    ///
    /// /// How many laps a viewer has asked for.
    /// #[derive(Default)]
    /// struct Laps(AtomicU64);
    ///
    /// let callback = closures()
    ///     .on_connect(|_, connection| drop(connection.insert(Laps::default())))
    ///     .on_receive(|connection, _| {
    ///         let laps = connection.get::<Laps>().expect("there since it has connected");
    ///         laps.0.fetch_add(1, Ordering::Relaxed);
    ///     })
    ///     .on_disconnect(|_, connection, _| {
    ///         println!("{connection}: {} laps", connection.get::<Laps>().map_or(0, |laps| laps.0.load(Ordering::Relaxed)));
    ///     });
    /// let server = Server::builder().port(0).callback(callback).build()?;
    /// # drop(server);
    /// # Ok::<(), leads_comm::Error>(())
    /// ```
    pub fn insert<T: Any + Send + Sync>(&self, value: T) -> Option<Arc<T>> {
        self.link.values().insert(value)
    }

    /// The value of this type that the program keeps [with this connection](Self::insert).
    pub fn get<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.link.values().get()
    }

    /// How this peer is served.
    pub fn delivery(&self) -> Delivery {
        self.link.outbox().delivery()
    }

    /// How this peer is served from now on, whatever the others are. What waits for it stays, here and in the system,
    /// also where that is more than may wait from now on. A sender that waits for room in this queue goes by the new
    /// policy; one that waits for memory, because the queues of all peers together are full, has the old one's time.
    /// May be called from any thread and in any callback.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] when such a queue could not hold the longest message, or a
    /// [snapshot](crate::Snapshot::max_bytes) twice, would be longer than all of the service's
    /// [together](crate::MemoryLimits::max_total_queued_bytes), or needs a key function that there is none of. The peer
    /// is served as before then.
    pub fn set_delivery(&self, delivery: Delivery) -> Result<(), Error> {
        self.link.engine().settings.check_delivery(&delivery)?;
        self.link.set_delivery(delivery);
        Ok(())
    }

    /// Sends the last message of each key to this peer, now, as far as its [filter](Delivery::filter) wants them, and
    /// tells how many were accepted: what the server keeps for newcomers, who get it by themselves. For a peer that
    /// asks for it, or wants other keys than before.
    ///
    /// Each message is in its place among what is broadcast: no key goes back in time. What is broadcast meanwhile may
    /// come in place of the message before it, or behind it. Blocks as [`send`](Self::send) does, and for as long as
    /// the filter takes. May be called from any thread and in any callback.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] where the service keeps no [snapshot](crate::ServerBuilder::snapshot),
    /// [`Error::CallbackPanicked`] when the filter panics, which ends the connection, and those of
    /// [`send`](Self::send), but for [`Error::Dropped`]: messages that were dropped are not counted in the number that
    /// is returned. An error may come after some were accepted.
    ///
    /// # Examples
    ///
    /// ```
    /// use leads_comm::{Server, Snapshot, callback, key};
    ///
    /// let callback = callback::on_receive(|connection, message| {
    ///     if message == b"refresh" {
    ///         // An error means that the peer has left.
    ///         let _ = connection.send_snapshot();
    ///     }
    /// });
    /// let server = Server::builder().key(key::prefix(b':')).snapshot(Snapshot::new()).callback(callback).build()?;
    /// # drop(server);
    /// # Ok::<(), leads_comm::Error>(())
    /// ```
    pub fn send_snapshot(&self) -> Result<usize, Error> {
        let Some(last_values) = &self.link.engine().last_values else {
            return Err(Error::InvalidSetting { setting: "snapshot", requirement: "must be set, for it to be sent" });
        };
        if self.is_closed() {
            return Err(Error::Disconnected);
        }
        self.link.push_last_values(last_values)
    }

    /// Takes what was accepted and not written when the connection ended, for a service that
    /// [keeps](crate::ServerBuilder::keep_unsent) it: whole payloads, in the order of sending, without the goodbye.
    ///
    /// They are those that [`unsent`](crate::Undelivered::unsent) counts in the [`DisconnectReason`], a message that
    /// was written in part among them: of such a one the peer has got less than the whole. Not among them is what had
    /// been written: whether the peer has read that nobody knows here, also of a client that was [not let
    /// in](DisconnectCause::NotLetIn), where it is counted as unsent. What the queue had [dropped](crate::SlowConsumer)
    /// or [replaced](Delivery::conflate) is gone.
    ///
    /// All of it is there from `on_disconnect` on, on any thread and as long as there is a handle; nothing before the
    /// end, nothing the second time. Never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// use leads_comm::callback::closures;
    /// use leads_comm::{Client, Server};
    ///
    /// let server = Server::builder().port(0).build()?;
    /// server.start(true)?;
    /// let callback = closures().on_disconnect(|_, connection, reason| {
    ///     let unsent = connection.take_unsent();
    ///     assert_eq!(unsent.len() as u64, reason.undelivered.unsent.messages);
    ///     // Into a file, or to another server.
    /// });
    /// let client = Client::builder().port(server.port()).keep_unsent(true).callback(callback).build()?;
    /// client.start("127.0.0.1", true)?;
    /// # client.close();
    /// # server.close();
    /// # Ok::<(), leads_comm::Error>(())
    /// ```
    pub fn take_unsent(&self) -> Vec<Vec<u8>> {
        self.link.engine().rules.framing.messages_of(self.link.outbox().take_unsent())
    }

    /// How much waits to be written to this peer now, in bytes, each message charged 64 more.
    pub fn queued_bytes(&self) -> usize {
        self.link.outbox().charged()
    }

    /// How many messages to this peer have been dropped because its queue was full, by
    /// [`SlowConsumer::DropOldest`](crate::SlowConsumer::DropOldest) or
    /// [`SlowConsumer::DropNewest`](crate::SlowConsumer::DropNewest).
    pub fn dropped_messages(&self) -> u64 {
        self.link.outbox().lost().dropped.messages
    }

    /// What has gone through this connection so far, in numbers; all of it once it has ended. Never blocks. On Linux
    /// the system is asked as well, which takes some microseconds and, for that moment, a descriptor.
    ///
    /// # Examples
    ///
    /// ```
    /// use leads_comm::Connection;
    ///
    /// /// How well messages to a peer are joined, for instance 12.5 to each write.
    /// fn messages_per_write(connection: &Connection) -> f64 {
    ///     let traffic = connection.stats().traffic;
    ///     traffic.written.messages as f64 / traffic.writes.max(1) as f64
    /// }
    /// ```
    pub fn stats(&self) -> ConnectionStats {
        self.link.stats()
    }

    /// Says goodbye and ends the connection once everything accepted before has been sent; does not wait for it.
    ///
    /// Messages from the peer are no longer delivered; `on_disconnect` follows, on the reader thread. A peer that takes
    /// too long is cut off (see [`Closing::close_timeout`](crate::Closing::close_timeout)). Closing twice,
    /// or when the connection has ended, does nothing.
    pub fn close(&self) {
        self.link.close(DisconnectCause::LocalClose);
    }

    /// Ends the connection at once, without goodbye; what was not written yet is lost and counted in the
    /// [`DisconnectReason`].
    ///
    /// `on_disconnect` follows, on the reader thread: after the callback that is running there, if one is. Then, over
    /// TCP, the peer sees a reset, or a regular end if the goodbye was out already.
    pub fn abort(&self) {
        self.link.abort(DisconnectCause::LocalAbort);
    }

    /// Whether the connection has ended or is closing, so that [`send`](Self::send) refuses.
    pub fn is_closed(&self) -> bool {
        self.link.is_closed()
    }

    /// Why the connection has ended; `None` until it has. Set before `on_disconnect` is called.
    pub fn disconnect_reason(&self) -> Option<&DisconnectReason> {
        self.link.reason()
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.link.peer())
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("id", &self.id().0)
            .field("peer", &self.link.peer())
            .field("reason", &self.disconnect_reason())
            .finish_non_exhaustive()
    }
}

impl PartialEq for Connection {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.link, &other.link)
    }
}

impl Eq for Connection {}

impl Hash for Connection {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

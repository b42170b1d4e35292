use std::fmt;
use std::hash::{Hash, Hasher};
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use log::{debug, trace, warn};
use parking_lot::Mutex;

use crate::config::{Settings, later};
use crate::disconnect::{DisconnectReason, OutboundLimit, Undelivered};
use crate::error::Error;
use crate::outbox::{Frame, Outbox, Refused, Step};
use crate::pump::{Pump, Pumped};
use crate::threads::Threads;
use crate::transport::Stream;

/// The stack of a thread that only writes, in bytes: it runs no user code.
const WRITER_STACK: usize = 128 * 1024;

/// Which connection of its service: counted from 1, never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub(crate) u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A handle to one peer.
///
/// Clones are cheap, stand for the same connection, and may be kept and used from any thread, also after the
/// connection has ended; a kept handle holds no descriptor then. Displayed as the peer's name, for TCP `ip:port`.
#[derive(Clone)]
pub struct Connection {
    link: Arc<Link>,
}

/// The connection itself.
struct Link {
    id: ConnectionId,
    peer: String,
    peer_addr: Option<SocketAddr>,
    local_addr: Option<SocketAddr>,
    outbox: Outbox,
    /// Set by the first cause of the end.
    ending: Mutex<Option<Ending>>,
    /// Whether what still arrives is thrown away.
    discarding: AtomicBool,
    reason: OnceLock<DisconnectReason>,
    context: Arc<Context>,
    this: Weak<Link>,
}

/// What the connections of a service share.
pub(crate) struct Context {
    pub(crate) settings: Settings,
    pub(crate) pump: Pump,
    /// The readers of a server, and the writers of streams that cannot be polled.
    pub(crate) threads: Threads,
}

/// An end under way: why, and until when each step may last.
struct Ending {
    reason: DisconnectReason,
    /// Whether the cause was a failed write: a goodbye that the peer had sent before explains it better.
    write_failed: bool,
    flush_by: Instant,
    /// Set when everything is written: how long the peer is given to close its side.
    drain_by: Option<Instant>,
    close_by: Instant,
}

impl Connection {
    pub(crate) fn new(id: ConnectionId, stream: Arc<dyn Stream>, context: Arc<Context>) -> Self {
        let link = Arc::new_cyclic(|this| Link {
            id,
            peer: stream.peer(),
            peer_addr: stream.peer_addr(),
            local_addr: stream.local_addr(),
            outbox: Outbox::new(stream, context.settings.max_queued_bytes),
            ending: Mutex::new(None),
            discarding: AtomicBool::new(false),
            reason: OnceLock::new(),
            context,
            this: Weak::clone(this),
        });
        Self { link }
    }

    /// Which connection of its service this is.
    pub fn id(&self) -> ConnectionId {
        self.link.id
    }

    /// The peer's network address; `None` on a transport that has none.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.link.peer_addr
    }

    /// This end's network address; `None` on a transport that has none.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.link.local_addr
    }

    /// Sends one message to this peer.
    ///
    /// `Ok` says that the message was accepted: it is sent in order behind what was accepted before, unless the
    /// connection breaks first, and then it is counted in the [`DisconnectReason`]. The calling thread writes it
    /// unless another one is writing already. It does not wait for a peer that reads slowly, unless
    /// [`SlowConsumer::Block`](crate::SlowConsumer::Block) says so. May be called from any thread and in any callback.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidMessage`] when the message cannot be framed, [`Error::MessageTooLong`] when it is longer
    /// than [`max_sent_len`](crate::Builder::max_sent_len), [`Error::Disconnected`] when the connection has ended or is closing, and [`Error::SlowConsumer`] when the
    /// peer reads so slowly that the queue is full, which ends the connection. Nothing of the message is written then.
    pub fn send(&self, message: &[u8]) -> Result<(), Error> {
        let frame = self.link.context.settings.frame(message)?;
        self.push(frame, self.link.context.settings.send_deadline())
    }

    /// Says goodbye and ends the connection once everything accepted before has been sent; does not wait for it.
    ///
    /// Messages from the peer are no longer delivered; `on_disconnect` follows, on the reader thread. A peer that takes
    /// too long is cut off (see [`Builder::close_timeout`](crate::Builder::close_timeout)). Closing twice, or when the
    /// connection has ended, does nothing.
    pub fn close(&self) {
        self.link.close(DisconnectReason::LocalClose { undelivered: Undelivered::default() });
    }

    /// Ends the connection at once, without goodbye; what was not written yet is lost and counted in the
    /// [`DisconnectReason`].
    ///
    /// `on_disconnect` follows, on the reader thread: after the callback that is running there, if one is. Then, over
    /// TCP, the peer sees a reset, or a regular end if the goodbye was out already.
    pub fn abort(&self) {
        self.link.cut(DisconnectReason::LocalAbort { undelivered: Undelivered::default() });
    }

    /// Whether the connection has ended or is closing, so that [`send`](Self::send) refuses.
    pub fn is_closed(&self) -> bool {
        self.link.ending.lock().is_some()
    }

    /// Why the connection has ended; `None` until it has. Set before `on_disconnect` is called.
    pub fn disconnect_reason(&self) -> Option<&DisconnectReason> {
        self.link.reason.get()
    }

    /// Queues an encoded message.
    pub(crate) fn push(&self, frame: Frame, deadline: Option<Instant>) -> Result<(), Error> {
        let link = &self.link;
        let len = frame.len();
        match link.outbox.push(frame, deadline) {
            Ok(step) => {
                trace!("connection {} {}: {len} bytes accepted", link.id, link.peer);
                link.follow(step);
                Ok(())
            }
            Err(Refused::Closed) => Err(Error::Disconnected),
            Err(Refused::Full) => {
                let limit = OutboundLimit::QueuedBytes(link.context.settings.max_queued_bytes);
                link.cut(DisconnectReason::SlowConsumer { limit, undelivered: Undelivered::default() });
                Err(Error::SlowConsumer { limit })
            }
        }
    }

    /// Begins a regular end for `reason`: what is queued, the goodbye, the end of the stream. False when there was a
    /// reason already.
    pub(crate) fn end(&self, reason: DisconnectReason) -> bool {
        self.link.close(reason)
    }

    /// Ends the connection at once for `reason`.
    pub(crate) fn cut(&self, reason: DisconnectReason) {
        self.link.cut(reason);
    }

    /// Whether what still arrives is to be thrown away.
    pub(crate) fn is_discarding(&self) -> bool {
        self.link.discarding.load(Ordering::Acquire)
    }

    /// Whether nothing more will be written although not everything was: there is no point in reading on.
    pub(crate) fn is_given_up(&self) -> bool {
        self.link.outbox.is_over() && !self.link.outbox.is_finished()
    }

    /// Tells that a closing peer is still sending, and so gets more time to read what was sent to it.
    pub(crate) fn note_drained(&self) {
        if let Some(Ending { drain_by: Some(drain_by), close_by, .. }) = &mut *self.link.ending.lock() {
            *drain_by = later(Instant::now(), self.link.context.settings.drain_timeout).min(*close_by);
        }
    }

    /// The reader's last step: waits until nothing more is written, lets the stream go, and settles the reason.
    pub(crate) fn retire(&self, received_bytes: usize) -> &DisconnectReason {
        let link = &self.link;
        link.outbox.wait_until_over();
        if link.outbox.is_finished() {
            link.shut_down();
        }
        let undelivered = Undelivered { received_bytes, ..link.outbox.retire() };
        let ending = link.ending.lock().as_ref().map(|ending| ending.reason.clone());
        let mut reason = ending.expect("the reader stops only after an end has begun");
        reason.set_undelivered(undelivered);
        if reason.is_for_cause() {
            warn!("connection {} {} dropped: {reason}", link.id, link.peer);
        } else {
            debug!("connection {} {} ended: {reason}", link.id, link.peer);
        }
        link.reason.get_or_init(|| reason)
    }
}

impl Link {
    fn close(&self, reason: DisconnectReason) -> bool {
        if !self.begin_end(reason, false) {
            return false;
        }
        let goodbye = Frame::new(self.context.settings.separator.goodbye().to_vec());
        let step = self.outbox.close(goodbye);
        self.watch(later(Instant::now(), self.context.settings.flush_timeout));
        self.follow(step);
        true
    }

    fn cut(&self, reason: DisconnectReason) {
        self.begin_end(reason, false);
        // Also when a regular end is under way: it is over now.
        self.kill();
    }

    /// Notes the cause of the end; false when there was one already.
    fn begin_end(&self, reason: DisconnectReason, write_failed: bool) -> bool {
        let settings = &self.context.settings;
        let now = Instant::now();
        let mut ending = self.ending.lock();
        match &mut *ending {
            None => {
                *ending = Some(Ending {
                    reason,
                    write_failed,
                    flush_by: later(now, settings.flush_timeout),
                    drain_by: None,
                    close_by: later(now, settings.close_timeout),
                });
                self.discarding.store(!write_failed, Ordering::Release);
                true
            }
            Some(ending) => {
                if ending.write_failed && matches!(reason, DisconnectReason::PeerGoodbye { .. }) {
                    ending.reason = reason;
                }
                // What arrives after a failed write is delivered, but nothing behind a second cause.
                if !write_failed {
                    self.discarding.store(true, Ordering::Release);
                }
                false
            }
        }
    }

    /// Gives up what is queued, and the stream with it.
    fn kill(&self) {
        if !self.outbox.kill() {
            return self.shut_down();
        }
        if let Some(stream) = self.outbox.stream() {
            // Fails when the stream is broken already; the reader is about to see that.
            let _ = stream.abort();
        }
        // The pump may be waiting for this stream, and hold it.
        self.context.pump.wake();
    }

    /// Ends both halves of the stream, behind what was written.
    fn shut_down(&self) {
        if let Some(stream) = self.outbox.stream() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Sees to what the outbox asks for.
    fn follow(&self, step: Step) {
        match step {
            Step::Nothing => {}
            Step::Watch => self.watch_stall(),
            Step::HandOver { watched } => {
                if !watched {
                    self.watch_stall();
                }
                self.hand_over();
            }
            Step::Finished => self.begin_drain(),
            Step::Failed(error) => self.fail(error),
        }
    }

    /// Starts the background that has been given the role of writing.
    fn hand_over(&self) {
        let Some(this) = self.this.upgrade() else { return };
        let Some(stream) = self.outbox.stream() else { return };
        if self.outbox.writes_directly() && Pump::can_adopt(&*stream) {
            self.context.pump.adopt(this, stream);
            return;
        }
        let name = format!("leads-comm writer {} {}", self.id, self.peer);
        let started = self.context.threads.spawn(name, WRITER_STACK, move || this.follow(this.outbox.write_blocking()));
        if let Err(error) = started {
            self.fail(io::Error::other(error));
        }
    }

    /// Everything is written: the peer has a little time to close its side.
    fn begin_drain(&self) {
        let drain_by = later(Instant::now(), self.context.settings.drain_timeout);
        if let Some(ending) = &mut *self.ending.lock() {
            ending.drain_by = Some(drain_by.min(ending.close_by));
        }
        self.watch(drain_by);
    }

    fn fail(&self, error: io::Error) {
        self.begin_end(DisconnectReason::io(error), true);
        self.kill();
    }

    fn watch_stall(&self) {
        self.watch(later(Instant::now(), self.context.settings.stall_timeout));
    }

    fn watch(&self, at: Instant) {
        let this: Weak<dyn Pumped> = self.this.clone();
        self.context.pump.watch(this, at);
    }

    /// When an open connection will have been stuck for too long.
    fn check_stall(&self, now: Instant) -> Option<Instant> {
        let stall = self.context.settings.stall_timeout;
        let at = self.outbox.stalled_at(stall)?;
        if at > now {
            return Some(at);
        }
        let limit = OutboundLimit::Stalled(stall);
        self.cut(DisconnectReason::SlowConsumer { limit, undelivered: Undelivered::default() });
        None
    }
}

impl Pumped for Link {
    fn pump_turn(&self) -> bool {
        let (blocked, step) = self.outbox.pump_turn();
        self.follow(step);
        blocked
    }

    fn is_over(&self) -> bool {
        self.outbox.is_over()
    }

    fn check_deadlines(&self, now: Instant) -> Option<Instant> {
        let Some((flush_by, drain_by)) = self.ending.lock().as_ref().map(|ending| (ending.flush_by, ending.drain_by))
        else {
            return self.check_stall(now);
        };
        let at = drain_by.unwrap_or(flush_by);
        if at > now {
            return Some(at);
        }
        self.kill();
        None
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.link.peer)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("id", &self.link.id.0)
            .field("peer", &self.link.peer)
            .field("reason", &self.link.reason.get())
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
        self.link.id.hash(state);
    }
}

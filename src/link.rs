//! One connection behind its handle: what is sent to it, and the one way in which it ends.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use log::{Level, debug, log_enabled, trace, warn};
use parking_lot::Mutex;

use crate::config::later;
use crate::connection::ConnectionId;
use crate::context::Context;
use crate::disconnect::{DisconnectReason, OutboundLimit, Undelivered};
use crate::error::Error;
use crate::outbox::{Batch, Flushed, Outbox, Outgoing, Parts, Patience, Refused, Step, Tick};
use crate::pump::{Pump, Pumped, Ticked};
use crate::transport::Stream;

/// The stack of a thread that only writes, in bytes: it runs no user code.
const WRITER_STACK: usize = 128 * 1024;

pub(crate) struct Link {
    id: ConnectionId,
    peer: String,
    peer_addr: Option<SocketAddr>,
    local_addr: Option<SocketAddr>,
    outbox: Arc<Outbox>,
    /// Set by the first cause of the end.
    ending: Mutex<Option<Ending>>,
    /// Whether what still arrives is thrown away.
    discarding: AtomicBool,
    reason: OnceLock<DisconnectReason>,
    context: Arc<Context>,
    this: Weak<Link>,
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

impl Link {
    pub(crate) fn new(id: ConnectionId, stream: Arc<dyn Stream>, context: Arc<Context>) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            id,
            peer: stream.peer(),
            peer_addr: stream.peer_addr(),
            local_addr: stream.local_addr(),
            outbox: Arc::new(Outbox::new(stream, Arc::clone(&context.rules))),
            ending: Mutex::new(None),
            discarding: AtomicBool::new(false),
            reason: OnceLock::new(),
            context,
            this: Weak::clone(this),
        })
    }

    pub(crate) fn id(&self) -> ConnectionId {
        self.id
    }

    pub(crate) fn peer(&self) -> &str {
        &self.peer
    }

    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer_addr
    }

    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        self.local_addr
    }

    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    pub(crate) fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.ending.lock().is_some()
    }

    pub(crate) fn reason(&self) -> Option<&DisconnectReason> {
        self.reason.get()
    }

    /// Sends what has been checked, behind what has been gathered.
    #[inline]
    pub(crate) fn send(&self, outgoing: Outgoing<'_>, patience: &mut Patience) -> Result<(), Error> {
        self.context.gathered.settle();
        self.push(outgoing, patience)
    }

    /// Puts what has been checked into the outbox, and sees to what follows.
    #[inline]
    pub(crate) fn push(&self, outgoing: Outgoing<'_>, patience: &mut Patience) -> Result<(), Error> {
        loop {
            match self.outbox.push(outgoing, patience) {
                Ok(step) => {
                    if log_enabled!(Level::Trace) {
                        self.trace_accepted(outgoing);
                    }
                    self.follow(step);
                    return Ok(());
                }
                Err(refused) => self.try_again(refused, outgoing, patience)?,
            }
        }
    }

    /// Makes room where that is the rule; an error when it is not worth trying again.
    #[cold]
    fn try_again(&self, refused: Refused, outgoing: Outgoing<'_>, patience: &mut Patience) -> Result<(), Error> {
        match refused {
            Refused::WriteFirst => {
                self.write_ready();
                Ok(())
            }
            Refused::Closed => Err(Error::Disconnected),
            Refused::Full => Err(self.give_up_slow()),
            Refused::Dropped => Err(Error::Dropped { limit: OutboundLimit::QueuedBytes(self.context.rules.limit) }),
            Refused::OverBudget => {
                let charge = outgoing.charge(&self.context.rules);
                if self.context.find_budget(charge, patience) {
                    return Ok(());
                }
                self.outbox.drop_outgoing(outgoing);
                Err(Error::Dropped { limit: OutboundLimit::TotalQueuedBytes(self.context.rules.budget.limit()) })
            }
        }
    }

    /// Encodes messages, all of them before the first is sent, and sends them in parts that fit into half the queue.
    pub(crate) fn push_all<M: AsRef<[u8]>>(&self, messages: impl IntoIterator<Item = M>) -> Result<usize, Error> {
        let Context { settings, rules, .. } = &*self.context;
        let mut parts = Parts::new(rules);
        for message in messages {
            settings.check_message(message.as_ref())?;
            parts.add(message.as_ref());
        }
        let mut patience = rules.patience();
        let mut accepted = 0;
        for mut part in parts.finish() {
            let charge = part.iter().map(Batch::charge).sum();
            let in_budget = loop {
                if Batch::reserve_all(&mut part, &rules.budget) {
                    break true;
                }
                if !self.context.find_budget(charge, &mut patience) {
                    break false;
                }
            };
            let part: Vec<_> = part.into_iter().map(Arc::new).collect();
            let outgoing = Outgoing::Batches(&part);
            if !in_budget {
                self.outbox.drop_outgoing(outgoing);
                continue;
            }
            match self.send(outgoing, &mut patience) {
                Ok(()) => accepted += outgoing.messages(),
                Err(Error::Dropped { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(accepted)
    }

    /// Ends the connection because its queue has been full for too long.
    pub(crate) fn give_up_slow(&self) -> Error {
        let limit = OutboundLimit::QueuedBytes(self.context.rules.limit);
        self.cut_slow(limit);
        Error::SlowConsumer { limit }
    }

    /// Ends the connection because of what waits for it.
    pub(crate) fn cut_slow(&self, limit: OutboundLimit) {
        self.cut(DisconnectReason::SlowConsumer { limit, undelivered: Undelivered::default() });
    }

    /// Writes what has been queued, if nobody does.
    pub(crate) fn write_ready(&self) {
        let step = self.outbox.write_ready();
        self.follow(step);
    }

    /// Waits until what had been accepted before is written.
    pub(crate) fn flush(&self, deadline: Instant) -> Flushed {
        self.context.gathered.settle();
        self.write_ready();
        self.outbox.wait_flushed(deadline)
    }

    /// Begins a regular end for `reason`: what is queued, the goodbye, the end of the stream. False when there was a
    /// reason already.
    pub(crate) fn end(&self, reason: DisconnectReason) -> bool {
        if !self.begin_end(reason, false) {
            return false;
        }
        self.context.gathered.settle();
        let step = self.outbox.close();
        self.watch(later(Instant::now(), self.context.settings.flush_timeout));
        self.follow(step);
        true
    }

    /// Ends the connection at once for `reason`.
    pub(crate) fn cut(&self, reason: DisconnectReason) {
        self.begin_end(reason, false);
        // Also when a regular end is under way: it is over now.
        self.kill();
    }

    /// Whether what still arrives is to be thrown away.
    pub(crate) fn is_discarding(&self) -> bool {
        self.discarding.load(Ordering::Acquire)
    }

    /// Whether nothing more will be written although not everything was: there is no point in reading on.
    pub(crate) fn is_given_up(&self) -> bool {
        self.outbox.is_over() && !self.outbox.is_finished()
    }

    /// Tells that a closing peer is still sending, and so gets more time to read what was sent to it.
    pub(crate) fn note_drained(&self) {
        if let Some(Ending { drain_by: Some(drain_by), close_by, .. }) = &mut *self.ending.lock() {
            *drain_by = later(Instant::now(), self.context.settings.drain_timeout).min(*close_by);
        }
    }

    /// The reader's last step: waits until nothing more is written, lets the stream go, and settles the reason.
    pub(crate) fn retire(&self, received_bytes: usize) -> &DisconnectReason {
        self.outbox.wait_until_over();
        if self.outbox.is_finished() {
            self.shut_down();
        }
        self.context.gathered.end();
        let undelivered = Undelivered { received_bytes, ..self.outbox.retire() };
        let ending = self.ending.lock().as_ref().map(|ending| ending.reason.clone());
        let mut reason = ending.expect("the reader stops only after an end has begun");
        reason.set_undelivered(undelivered);
        if reason.is_for_cause() {
            warn!("connection {} {} dropped: {reason}", self.id, self.peer);
        } else {
            debug!("connection {} {} ended: {reason}", self.id, self.peer);
        }
        self.reason.get_or_init(|| reason)
    }

    #[cold]
    fn trace_accepted(&self, outgoing: Outgoing<'_>) {
        let (messages, bytes) = (outgoing.messages(), outgoing.len(&self.context.rules));
        if messages == 1 {
            trace!("connection {} {}: {bytes} bytes accepted", self.id, self.peer);
        } else {
            trace!("connection {} {}: {bytes} bytes in {messages} messages accepted", self.id, self.peer);
        }
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
    #[inline]
    fn follow(&self, step: Step) {
        if !matches!(step, Step::Nothing) {
            self.take_step(step);
        }
    }

    #[inline(never)]
    fn take_step(&self, step: Step) {
        match step {
            Step::Nothing => {}
            Step::Tick => self.context.pump.tick(self.this.clone()),
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
        self.cut_slow(OutboundLimit::Stalled(stall));
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

impl Ticked for Link {
    fn tick(&self) -> Tick {
        let (tick, step) = self.outbox.tick();
        self.follow(step);
        tick
    }
}

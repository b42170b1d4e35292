//! One connection behind its handle: its outbox, and who sees to what the outbox asks for.
//!
//! [`send`] has what goes into the outbox, [`queue`] what the pump is left to write, [`last_values`] what a newcomer
//! gets of it, [`answers`] whether the peer's system answers it, [`receive`] how long the peer may keep the reader
//! waiting, [`close`] the one way in which a connection ends.

mod answers;
mod close;
mod last_values;
mod queue;
mod receive;
mod send;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use crate::connection::ConnectionId;
use crate::connection::calls::Calls;
use crate::connection::engine::Engine;
use crate::connection::outbox::{Outbox, Step, TICK};
use crate::connection::pump::{Deadline, Pump, Pumped, Tick, Ticked, Watched};
use crate::connection::values::Values;
use crate::error::DisconnectReason;
use crate::settings::Delivery;
use crate::stats::{ConnectionStats, Received, Traffic};
use crate::sync::later;
use crate::sync::user_code::{self, trace};
use crate::sync::{AtomicBool, Mutex};
use crate::transport::Stream;
use answers::Answering;
use close::Ending;
use receive::Receiving;
pub(crate) use receive::TURN;
use send::TRIES;

/// The stack of a thread that only writes, in bytes: it runs no user code.
const WRITER_STACK: usize = 128 * 1024;

/// A connection's own end of what its [handles](crate::Connection) share.
pub(crate) struct Link {
    id: ConnectionId,
    peer: String,
    peer_addr: Option<SocketAddr>,
    local_addr: Option<SocketAddr>,
    peer_certificates: Vec<Vec<u8>>,
    outbox: Arc<Outbox>,
    answering: Answering,
    receiving: Mutex<Receiving>,
    received: Received,
    /// Set by the first cause of the end.
    ending: Mutex<Option<Ending>>,
    /// Whether what still arrives is thrown away.
    discarding: AtomicBool,
    reason: OnceLock<DisconnectReason>,
    values: Values,
    calls: Calls,
    engine: Arc<Engine>,
    this: Weak<Link>,
}

impl Link {
    pub(crate) fn new(id: ConnectionId, stream: Arc<dyn Stream>, delivery: Delivery, engine: Arc<Engine>) -> Arc<Self> {
        let (peer, peer_addr, local_addr) = (stream.peer(), stream.peer_addr(), stream.local_addr());
        let peer_certificates = stream.peer_certificates();
        engine.note_delivery(&delivery);
        let outbox = Arc::new(Outbox::new(stream, Arc::clone(&engine.rules), delivery));
        let link = Arc::new_cyclic(|this| Self {
            id,
            peer,
            peer_addr,
            local_addr,
            peer_certificates,
            received: Received::new(outbox.since()),
            answering: Answering::new(engine.settings.timeouts.dead_peer_timeout, outbox.since()),
            outbox,
            receiving: Mutex::default(),
            ending: Mutex::new(None),
            discarding: AtomicBool::new(false),
            reason: OnceLock::new(),
            values: Values::default(),
            calls: Calls::default(),
            engine,
            this: Weak::clone(this),
        });
        link.limit_unsent(None);
        link
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

    pub(crate) fn peer_certificates(&self) -> &[Vec<u8>] {
        &self.peer_certificates
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    /// What the program keeps with it.
    pub(crate) fn values(&self) -> &Values {
        &self.values
    }

    /// Who waits for an answer of the peer's.
    pub(crate) fn calls(&self) -> &Calls {
        &self.calls
    }

    /// When it was opened.
    pub(crate) fn since(&self) -> Instant {
        self.outbox.since()
    }

    pub(crate) fn received(&self) -> &Received {
        &self.received
    }

    /// What has gone through it, but for what is just being gathered.
    pub(crate) fn traffic(&self) -> Traffic {
        let mut traffic = self.outbox.traffic();
        self.received.add_to(&mut traffic);
        traffic
    }

    pub(crate) fn stats(&self) -> ConnectionStats {
        self.engine.broadcast_batch.settle();
        ConnectionStats {
            connected_since: self.outbox.since(),
            waiting_since: self.outbox.oldest(),
            traffic: self.traffic(),
            system_queued_bytes: self.system_queued_bytes(),
            peer_unread_bytes: self.peer_unread_bytes(),
        }
    }

    /// How much the system holds for the peer, as far as that can be told.
    pub(crate) fn system_queued_bytes(&self) -> Option<u64> {
        self.outbox.stream().and_then(|stream| stream.system_queued_bytes().ok())
    }

    /// What the peer's program has not read, as far as that can be told.
    pub(crate) fn peer_unread_bytes(&self) -> Option<u64> {
        self.outbox.stream().and_then(|stream| stream.peer_unread_bytes().ok())
    }

    /// Has the system hold as much as the delivery says, after it was told `limit`.
    fn limit_unsent(&self, mut limit: Option<usize>) {
        loop {
            // Another thread may say otherwise meanwhile. The thread that tells the system last looks again after that.
            let wanted = self.outbox.unsent_limit();
            if wanted == limit {
                return;
            }
            let Some(stream) = self.outbox.stream() else { return };
            self.engine.limit_unsent(&*stream, wanted);
            limit = wanted;
        }
    }

    /// A read has brought something.
    pub(crate) fn note_read(&self) {
        let now = Instant::now();
        self.received.note_read(now);
        self.outbox.note_heard(now);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.ending.lock().is_some()
    }

    pub(crate) fn reason(&self) -> Option<&DisconnectReason> {
        self.reason.get()
    }

    /// Sees to what the outbox asks for.
    #[inline]
    fn follow(&self, step: Step) {
        self.await_answer();
        if !matches!(step, Step::Nothing) {
            self.take_step(step);
        }
    }

    #[inline(never)]
    fn take_step(&self, step: Step) {
        match step {
            Step::Nothing => {}
            Step::Tick => self.engine.pump.tick(self.this.clone()),
            Step::Queued => self.watch_for(Deadline::Queued, TICK),
            Step::Watch => self.watch_stall(),
            Step::Interval(time) => self.watch_for(Deadline::Interval, time),
            Step::HandOver { watched } => {
                if !watched {
                    self.watch_stall();
                }
                self.hand_over();
            }
            Step::Finished => self.begin_drain(),
            Step::Failed => {
                self.fail_with_write();
            }
        }
    }

    /// Starts the background that has been given the role of writing.
    fn hand_over(&self) {
        let Some(this) = self.this.upgrade() else { return };
        let Some(stream) = self.outbox.stream() else { return };
        if self.is_pumped() {
            self.engine.pump.adopt(self.id.0, this, stream);
            return;
        }
        let name = self.engine.thread_name(format_args!("wr-{} {}", self.id, self.peer));
        let started = self.engine.threads.spawn(name, WRITER_STACK, move || {
            if let Err(message) = user_code::survive(|| this.follow(this.outbox.write_blocking())) {
                this.fail(io::Error::other(format!("the writing thread panicked: {message}")));
            }
        });
        if let Err(error) = started {
            self.fail(io::Error::other(error));
        }
    }

    /// Whether it is the pump that writes in the background, and not a thread of the connection's own.
    fn is_pumped(&self) -> bool {
        self.outbox.writes_directly() && self.outbox.stream().is_some_and(|stream| Pump::can_adopt(&*stream))
    }

    fn watch_stall(&self) {
        self.watch_for(Deadline::Sending, self.stall_timeout() / TRIES);
    }

    /// How long the peer may take nothing of what waits for it.
    fn stall_timeout(&self) -> Duration {
        self.engine.settings.timeouts.stall_timeout_under(self.outbox.slow_consumer())
    }

    /// Has a deadline checked after `time`.
    fn watch_for(&self, deadline: Deadline, time: Duration) {
        let this: Weak<dyn Watched> = self.this.clone();
        self.engine.pump.watch(this, deadline, time);
    }
}

impl Pumped for Link {
    fn pump_turn(&self) -> bool {
        let (blocked, step) = self.outbox.pump_turn();
        self.follow(step);
        trace!("connection {} {}: {} bytes wait", self.id, self.peer, self.outbox.charged());
        blocked
    }

    fn is_over(&self) -> bool {
        self.outbox.is_over()
    }

    fn go_without_pump(&self) {
        if self.outbox.write_with_thread() {
            self.hand_over();
        }
    }
}

impl Watched for Link {
    fn check_deadline(&self, deadline: Deadline, now: Instant) -> Option<Instant> {
        match deadline {
            Deadline::Sending => self.check_ending(now).unwrap_or_else(|| self.check_stall(now)),
            Deadline::Answer => self.check_answer(now),
            Deadline::PartialMessage => self.check_partial_message(now),
            Deadline::Idle => self.check_idle(now),
            Deadline::Queued => self.check_queued(now),
            Deadline::Interval => {
                let (time, step) = self.outbox.send_due();
                self.follow(step);
                time.map(|time| later(now, time))
            }
            Deadline::Handshake | Deadline::LogRoom | Deadline::Numbers => None,
        }
    }
}

impl Ticked for Link {
    fn tick(&self) -> Tick {
        let (tick, step) = self.outbox.tick();
        self.follow(step);
        tick
    }
}

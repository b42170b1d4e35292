//! One connection behind its handle: its outbox, and who sees to what the outbox asks for.
//!
//! [`sending`] has what goes into the outbox, [`ending`] the one way in which a connection ends.

mod ending;
#[cfg(all(test, loom))]
mod model;
mod sending;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use log::{Level, log_enabled, trace};

use crate::config::later;
use crate::context::Context;
use crate::disconnect::DisconnectReason;
use crate::outbox::{Outbox, Step, Tick};
use crate::pump::{Pump, Pumped, Ticked};
use crate::sync::{AtomicBool, Mutex};
use crate::transport::Stream;
use ending::Ending;

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

/// A connection's own end of what its [handles](crate::Connection) share.
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

    fn watch_stall(&self) {
        self.watch(later(Instant::now(), self.context.settings.stall_timeout));
    }

    fn watch(&self, at: Instant) {
        let this: Weak<dyn Pumped> = self.this.clone();
        self.context.pump.watch(this, at);
    }
}

impl Pumped for Link {
    fn pump_turn(&self) -> bool {
        let (blocked, step) = self.outbox.pump_turn();
        if log_enabled!(Level::Trace) {
            trace!("connection {} {}: {} bytes wait", self.id, self.peer, self.outbox.charged());
        }
        self.follow(step);
        blocked
    }

    fn is_over(&self) -> bool {
        self.outbox.is_over()
    }

    fn check_deadlines(&self, now: Instant) -> Option<Instant> {
        self.check_ending(now).unwrap_or_else(|| self.check_stall(now))
    }
}

impl Ticked for Link {
    fn tick(&self) -> Tick {
        let (tick, step) = self.outbox.tick();
        self.follow(step);
        tick
    }
}

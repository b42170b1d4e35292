//! What a server and a client have in common: their callbacks, their connections, and how they begin and end.
//!
//! [`notify`] has what goes to the callbacks, [`relief`] what is done when memory runs out,
//! [`close`] the one way in which a service ends.

mod close;
mod notify;
mod relief;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::RwLock;

use crate::admission::handshakes::{Handshakes, Pending};
use crate::admission::{Admission, Caller, Policy, Refusal};
use crate::connection::engine::Context;
use crate::connection::outbox::Flushed;
use crate::connection::pump::{Tick, Ticked};
use crate::connection::{Connection, ConnectionId};
use crate::error::{DisconnectReason, Error};
use crate::service::Service;
use crate::service::broadcast::{self, Broadcaster};
use crate::service::callback::Chain;
use crate::service::lifecycle::Life;
use crate::service::offline_queue::Line;
use crate::service::sealed::Sealed;
use crate::service::table::ConnectionTable;
use crate::settings::Settings;
use crate::stats::ServiceStats;
use crate::sync::later;
use crate::sync::threads::{Threads, spawn_error};
use crate::transport::{Listener, Stream};
use close::CLOSE_GRACE;

/// The pump's stack, in bytes: it runs no user code.
const PUMP_STACK: usize = 256 * 1024;

/// The shared part of a service.
pub(crate) struct Core {
    callback: RwLock<Arc<Chain>>,
    table: ConnectionTable,
    context: Arc<Context>,
    admission: Arc<Admission>,
    handshakes: Arc<Handshakes>,
    broadcaster: Broadcaster,
    next_connection: AtomicU64,
    life: Life,
    /// What a client that connects again sends on.
    line: Option<Line>,
    started: OnceLock<Instant>,
    /// The pump's own thread.
    pump_thread: Threads,
    this: Weak<Core>,
}

/// What only a server has, or only a client.
pub(crate) enum Role {
    Server {
        /// What the program has given it to listen on.
        listener: Option<Arc<dyn Listener>>,
        policy: Policy,
    },
    Client {
        /// For one that connects again: how much it may keep meanwhile.
        keep_bytes: Option<usize>,
    },
}

impl Core {
    pub(crate) fn new(role: Role, port: u16, callback: Chain, settings: Settings) -> Arc<Self> {
        let (kind, listener, policy, keep_bytes) = match role {
            Role::Server { listener, policy } => ("server", listener, policy, None),
            Role::Client { keep_bytes } => ("client", None, Policy::default(), keep_bytes),
        };
        Arc::new_cyclic(|this: &Weak<Self>| {
            let context = Arc::new(Context::new(settings, this.clone()));
            let (max_handshakes, authenticator) = (policy.max_handshakes, policy.authenticator.clone());
            let admission = Arc::new(Admission::new(policy));
            let (who, engine) = (Arc::clone(&admission), Arc::clone(&context));
            let handshakes = Handshakes::new(who, engine, max_handshakes, authenticator);
            Self {
                callback: RwLock::new(Arc::new(callback)),
                table: ConnectionTable::new(),
                line: keep_bytes.map(|bytes| Line::new(Arc::clone(&context), bytes)),
                context,
                handshakes: Arc::new(handshakes),
                admission,
                broadcaster: Broadcaster::new(),
                next_connection: AtomicU64::new(1),
                life: Life::new(kind, port, listener),
                started: OnceLock::new(),
                pump_thread: Threads::default(),
                this: this.clone(),
            }
        })
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.context.settings
    }

    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    pub(crate) fn threads(&self) -> &Threads {
        &self.context.threads
    }

    pub(crate) fn life(&self) -> &Life {
        &self.life
    }

    pub(crate) fn line(&self) -> Option<&Line> {
        self.line.as_ref()
    }

    /// Who is admitted, and how many were refused.
    pub(crate) fn admission(&self) -> &Admission {
        &self.admission
    }

    /// Who is on the way to become a connection.
    pub(crate) fn handshakes(&self) -> &Arc<Handshakes> {
        &self.handshakes
    }

    /// Whether a caller is admitted, who becomes a connection at once, or `enters` first.
    pub(crate) fn admit(&self, peer: &str, peer_addr: Option<SocketAddr>, enters: bool) -> Result<(), Refusal> {
        let num_connections = self.handshakes.count_with(|| self.table.len());
        let may_enter = || if enters { self.handshakes.check(peer_addr) } else { Ok(()) };
        self.admission.check(peer, peer_addr, num_connections, may_enter)
    }

    /// Who asks, on the way in, to be let in.
    pub(crate) fn pending_caller<'a>(
        &self,
        peer: &'a str,
        peer_addr: Option<SocketAddr>,
        peer_certificates: &'a [Vec<u8>],
    ) -> Caller<'a> {
        let num = self.handshakes.count_with(|| self.table.len());
        self.admission.pending_caller(peer, peer_addr, num, peer_certificates)
    }

    /// Whether callers have to say who they are.
    pub(crate) fn authenticates(&self) -> bool {
        self.settings().token.is_some() || self.handshakes.has_authenticator()
    }

    /// The service is bound, or connected: starts the pump, and says so. Refused when it was closed meanwhile.
    pub(crate) fn run(
        self: &Arc<Self>,
        name: String,
        port: Option<u16>,
        local_addr: Option<SocketAddr>,
        listener: Option<Arc<dyn Listener>>,
    ) -> Result<(), Error> {
        let thread = format!("leads-comm pump {}", port.unwrap_or(self.port()));
        self.context.pump.open().map_err(|source| spawn_error(thread.clone(), source))?;
        let core = Arc::clone(self);
        self.pump_thread
            .spawn(thread, PUMP_STACK, move || {
                core.rely_on(|| {
                    if let Err(error) = core.context.pump.run() {
                        core.break_down(&format!(
                            "the system does not tell any more which streams take bytes: {error}"
                        ));
                    }
                });
                // When it has failed there is nobody left to do what it is asked for.
                core.context.pump.stop();
            })
            .inspect_err(|_| self.context.pump.shut())?;
        self.context.log_limits.set_name(&name);
        self.life.run(name, port, local_addr, listener).inspect_err(|_| self.context.pump.stop())?;
        let _ = self.started.set(Instant::now());
        if let Some(line) = &self.line {
            line.open();
        }
        Ok(())
    }

    /// The number of the next connection.
    pub(crate) fn next_id(&self) -> ConnectionId {
        ConnectionId(self.next_connection.fetch_add(1, Ordering::Relaxed))
    }

    /// Makes a connection of an open stream, which may have been `pending`, and puts it into the table; `None` when
    /// the service is closing, or what was pending has been given up.
    pub(crate) fn open(
        &self,
        id: ConnectionId,
        stream: Arc<dyn Stream>,
        pending: Option<&Pending>,
    ) -> Option<Connection> {
        let connection = Connection::new(id, Arc::clone(&stream), Arc::clone(&self.context));
        let insert = || self.table.insert(connection.clone());
        let join = || match pending {
            Some(pending) => self.handshakes.let_through(pending, insert),
            None => insert(),
        };
        let joined = match &self.line {
            Some(line) => line.change_to(&connection, join),
            None => join(),
        };
        if !joined {
            let _ = stream.abort();
            return None;
        }
        if pending.is_none() {
            self.admission.enter(connection.peer_addr());
        }
        if self.line.is_some() {
            connection.link().write_ready();
        }
        Some(connection)
    }

    /// Takes a connection that has been retired out of the table: before its `on_disconnect`, and when its stream has
    /// been let go.
    pub(crate) fn forget(&self, connection: &Connection, reason: &DisconnectReason) {
        self.table.remove(connection.id(), reason.kind(), connection.link().traffic());
        if let Some(line) = &self.line {
            line.give_up(connection);
        }
        self.admission.leave(connection.peer_addr());
        self.life.stir();
    }
}

impl Sealed for Core {}

impl Service for Core {
    fn port(&self) -> u16 {
        self.life.port()
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.life.local_addr()
    }

    fn num_connections(&self) -> usize {
        self.table.len()
    }

    fn connections(&self) -> Vec<Connection> {
        self.table.snapshot().connections.to_vec()
    }

    fn connection(&self, id: ConnectionId) -> Option<Connection> {
        self.table.get(id)
    }

    fn broadcast(&self, message: &[u8]) -> Result<usize, Error> {
        self.broadcaster.broadcast(&self.context, &self.table, message, || self.context.pump.tick(self.this.clone()))
    }

    fn broadcast_where(&self, message: &[u8], wanted: &mut dyn FnMut(&Connection) -> bool) -> Result<usize, Error> {
        self.settings().check_message(message)?;
        let connections = self.table.snapshot().connections;
        Ok(broadcast::send_to(&self.context, message, connections.iter().filter(|connection| wanted(connection))))
    }

    fn flush(&self, time: Duration) -> Result<(), Error> {
        let deadline = later(Instant::now(), time);
        let mut left = self.line.as_ref().map_or(0, |line| line.wait_until_empty(deadline));
        let connections = self.table.snapshot().connections;
        for connection in connections.iter() {
            // What a connection that has ended lost, its reason tells.
            if let Flushed::TimedOut { left: bytes } = connection.link().flush(deadline) {
                left += bytes;
            }
        }
        if left == 0 { Ok(()) } else { Err(Error::NotFlushed { bytes: left }) }
    }

    fn stats(&self) -> ServiceStats {
        self.context.gathered.settle();
        ServiceStats {
            started: self.started.get().copied(),
            callers_refused: self.admission.refusals().counts(),
            ..self.table.stats()
        }
    }

    fn close(&self) {
        self.begin_close();
        if let Some(by) = self.life.closing_by() {
            self.wait(Some(by + 3 * CLOSE_GRACE));
        }
    }
}

impl Ticked for Core {
    fn tick(&self) -> Tick {
        self.broadcaster.tick(&self.context, &self.table)
    }
}

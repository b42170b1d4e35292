//! What a server and a client have in common: their callbacks, their connections, and how they begin and end.
//!
//! [`telling`] has what goes to the callbacks, [`ending`] the one way in which a service ends.

mod ending;
mod telling;

use std::cmp::Reverse;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::RwLock;

use crate::admission::{Admission, Caller, Policy, Refusal};
use crate::broadcast::{self, Broadcaster};
use crate::callback::Chain;
use crate::config::{Settings, later};
use crate::connection::Connection;
use crate::context::{Context, Relief};
use crate::disconnect::{DisconnectReason, OutboundLimit};
use crate::entrance::{Entrance, Entrant};
use crate::error::Error;
use crate::life::Life;
use crate::line::Line;
use crate::link::ConnectionId;
use crate::outbox::{Flushed, Tick};
use crate::pump::Ticked;
use crate::stats::ServiceStats;
use crate::table::ConnectionTable;
use crate::threads::{Threads, spawn_error};
use crate::transport::{Listener, Stream};
use ending::CLOSE_GRACE;
use sealed::Sealed;

/// The pump's stack, in bytes: it runs no user code.
const PUMP_STACK: usize = 256 * 1024;

/// What a [`Server`](crate::Server) and a [`Client`](crate::Client) share; the form in which callbacks see them. Only
/// this crate implements it, so that it may grow.
pub trait Service: Sealed + Send + Sync {
    /// The port a server listens on, or a client's server has: as configured, and once the service has been started
    /// the real one, also where 0 was asked for. On transports without ports it stays as configured, and means nothing.
    fn port(&self) -> u16;

    /// The address a server listens on, or a client's own, that of its newest connection; `None` before the start, and
    /// on transports without addresses.
    fn local_addr(&self) -> Option<SocketAddr>;

    /// How many connections there are now.
    fn num_connections(&self) -> usize;

    /// The connections there are now, in the order of connecting.
    fn connections(&self) -> Vec<Connection>;

    /// The connection with this [id](Connection::id); `None` when it has ended, or never was one of this service.
    fn connection(&self, id: ConnectionId) -> Option<Connection>;

    /// Sends one message to every connection and tells by how many it was accepted; it is encoded once.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidMessage`] and [`Error::MessageTooLong`], before anything is written to anyone. A connection that
    /// is closing, or that reads too slowly, is not an error here: it is not counted.
    fn broadcast(&self, message: &[u8]) -> Result<usize, Error>;

    /// Like [`broadcast`](Self::broadcast), to the connections for which `wanted` is true, for instance all but one.
    ///
    /// # Errors
    ///
    /// As for [`broadcast`](Self::broadcast).
    fn broadcast_where(&self, message: &[u8], wanted: &mut dyn FnMut(&Connection) -> bool) -> Result<usize, Error>;

    /// Blocks until all that was accepted before, for every connection, has been handed to the operating system, at
    /// most for `time`. A connection that has ended, or ends meanwhile, is not waited for: its [`DisconnectReason`]
    /// tells what it lost, and `Ok` does not say that nothing was. What a client
    /// [keeps](crate::Reconnect::keep_bytes) for its next connection is waited for.
    ///
    /// # Errors
    ///
    /// [`Error::NotFlushed`] when the time was over first.
    fn flush(&self, time: Duration) -> Result<(), Error>;

    /// The service's numbers: those of all its connections, now and before. Does not block; takes longer the more
    /// connections there are: a fraction of a microsecond for each.
    fn stats(&self) -> ServiceStats;

    /// Ends the service: no more connections, a goodbye to every peer behind all that was accepted for it, and the
    /// end of every thread.
    ///
    /// Blocks until that is done, at most for the [close time-out](crate::Closing::close_timeout) and a moment,
    /// after which the peers that are left are cut off. Inside a callback, a hook, an authenticator, a transport or the
    /// logger, of whatever service, and on every other thread that a service might be waiting for, it only starts all
    /// this and returns at once: also where it is called by a destructor that happens to run there. May be called from
    /// any thread, more than once, at the same time.
    ///
    /// When it returns, in every case, a server's port is free, and whoever calls it then is refused by the system; a
    /// caller whom a hook is still being asked about is ended when that returns. (A transport of the program's own
    /// [gives back](crate::transport::Listener::stop) what it can.)
    ///
    /// A callback that is still running at the time-out is not interrupted: its connection's `on_disconnect` follows
    /// when it returns. Once the service has ended, its callbacks are dropped.
    fn close(&self);
}

/// The shared part of a service.
pub(crate) struct Core {
    callback: RwLock<Arc<Chain>>,
    table: ConnectionTable,
    context: Arc<Context>,
    admission: Admission,
    entrance: Entrance,
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
            Self {
                callback: RwLock::new(Arc::new(callback)),
                table: ConnectionTable::new(),
                line: keep_bytes.map(|bytes| Line::new(Arc::clone(&context), bytes)),
                context,
                entrance: Entrance::new(policy.max_handshakes, policy.authenticator.clone()),
                admission: Admission::new(policy),
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
    pub(crate) fn entrance(&self) -> &Entrance {
        &self.entrance
    }

    /// Whether a caller is admitted, who becomes a connection at once, or `enters` first.
    pub(crate) fn admit(&self, peer: &str, peer_addr: Option<SocketAddr>, enters: bool) -> Result<(), Refusal> {
        let num_connections = self.entrance.count_with(|| self.table.len());
        let may_enter = || if enters { self.entrance.check(peer_addr) } else { Ok(()) };
        self.admission.check(peer, peer_addr, num_connections, may_enter)
    }

    /// Who asks, on the way in, to be let in.
    pub(crate) fn caller_inside<'a>(
        &self,
        peer: &'a str,
        peer_addr: Option<SocketAddr>,
        peer_certificates: &'a [Vec<u8>],
    ) -> Caller<'a> {
        let num = self.entrance.count_with(|| self.table.len());
        self.admission.caller_inside(peer, peer_addr, num, peer_certificates)
    }

    /// Whether callers have to say who they are.
    pub(crate) fn authenticates(&self) -> bool {
        self.settings().token.is_some() || self.entrance.has_authenticator()
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

    /// Makes a connection of an open stream, which may be an `entrant`, and puts it into the table; `None` when the
    /// service is closing, or the entrant has been given up.
    pub(crate) fn open(
        &self,
        id: ConnectionId,
        stream: Arc<dyn Stream>,
        entrant: Option<&Entrant>,
    ) -> Option<Connection> {
        let connection = Connection::new(id, Arc::clone(&stream), Arc::clone(&self.context));
        let insert = || self.table.insert(connection.clone());
        let join = || match entrant {
            Some(entrant) => self.entrance.let_through(entrant, insert),
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
        if entrant.is_none() {
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

/// Keeps [`Service`] to this crate.
pub(crate) mod sealed {
    pub trait Sealed {}
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
            callers_refused: self.admission.refusals().stats(),
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

impl Relief for Core {
    fn disconnect_slowest(&self) -> bool {
        let connections = self.table.snapshot().connections;
        let queued = connections.iter().map(|connection| (connection.queued_bytes(), connection));
        let Some((1.., slowest)) = queued.max_by_key(|(bytes, _)| *bytes) else { return false };
        slowest.link().cut_slow(OutboundLimit::TotalQueuedBytes(self.context.rules.budget.limit()));
        slowest.link().outbox().wait_until_buried();
        true
    }

    fn drop_from_longest(&self, charge: usize) -> bool {
        let connections = self.table.snapshot().connections;
        let mut queued: Vec<_> = connections.iter().map(|connection| (connection.queued_bytes(), connection)).collect();
        queued.sort_unstable_by_key(|(bytes, _)| Reverse(*bytes));
        queued.iter().any(|(_, connection)| connection.link().outbox().drop_for_another(charge))
    }

    fn longest_unfinished(&self) -> Option<Connection> {
        let connections = self.table.snapshot().connections;
        let open = connections.iter().filter(|connection| !connection.is_closed());
        let unfinished = open.map(|connection| (connection.link().unfinished(), connection));
        let (_, longest) = unfinished.filter(|(len, _)| *len > 0).max_by_key(|(len, _)| *len)?;
        Some(longest.clone())
    }
}

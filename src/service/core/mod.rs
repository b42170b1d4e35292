//! What a server and a client have in common: their callbacks, their connections, and how they begin and end.
//!
//! [`notify`] has what goes to the callbacks, [`relief`] what is done when memory runs out, [`close`] the one way in
//! which a service ends.

mod close;
mod notify;
mod relief;

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};

use crate::admission::handshakes::{Handshakes, Pending};
use crate::admission::{Admission, AdmissionSettings, Caller, Refusal};
use crate::connection::engine::Engine;
use crate::connection::last_values::LastValues;
use crate::connection::outbox::{Batch, Broadcast, Flushed};
use crate::connection::pump::{Tick, Ticked};
use crate::connection::{Connection, ConnectionId, ServiceId};
use crate::error::{DisconnectCause, DisconnectReason, Error};
use crate::service::Service;
use crate::service::broadcast::{self, Broadcaster};
use crate::service::callback::Chain;
use crate::service::departures::Departure;
use crate::service::joining;
use crate::service::lifecycle::Lifecycle;
use crate::service::offline_queue::OfflineQueue;
use crate::service::sealed::{Sealed, WeakCore};
use crate::service::table::{ConnectionTable, Snapshot};
use crate::settings::{Delivery, Key, Settings};
use crate::stats::ServiceStats;
use crate::sync::later;
use crate::sync::threads::{Threads, spawn_error};
use crate::sync::user_code;
use crate::sync::wide::AtomicU64;
use crate::transport::{Listener, Stream};
use close::CLOSE_GRACE;

/// The pump's stack, in bytes: it runs no user code.
const PUMP_STACK: usize = 256 * 1024;

/// The shared part of a service.
pub(crate) struct Core {
    callback: RwLock<Arc<Chain>>,
    table: ConnectionTable,
    engine: Arc<Engine>,
    admission: Arc<Admission>,
    handshakes: Arc<Handshakes>,
    broadcaster: Broadcaster,
    next_connection: AtomicU64,
    lifecycle: Lifecycle,
    is_client: bool,
    /// What a client that connects again sends on.
    offline_queue: Option<OfflineQueue>,
    /// Whom a sender disconnects at this moment to make room for what is sent.
    giving_room: Mutex<Option<Connection>>,
    started: OnceLock<Instant>,
    /// Let go when the service ends, by which they are told.
    told_of_end: Mutex<Vec<TellsOfEnd>>,
    /// The pump's own thread.
    pump_thread: Threads,
    this: Weak<Core>,
}

/// What only a server has, or only a client.
pub(crate) enum Role {
    Server {
        /// What the program has given it to listen on.
        listener: Option<Arc<dyn Listener>>,
        admission: AdmissionSettings,
    },
    Client {
        /// For one that connects again: how much it may keep meanwhile.
        keep_bytes: Option<usize>,
    },
}

/// Who is told when a service ends.
pub(crate) trait ToldOfEnd: Send + Sync {
    /// The last connection is gone, and the service is about to be over, or goes without ever having run. Does not
    /// block.
    fn service_ends(&self);
}

/// Tells when it is dropped.
struct TellsOfEnd(Weak<dyn ToldOfEnd>);

impl TellsOfEnd {
    fn is_of_use(&self) -> bool {
        self.0.strong_count() > 0
    }
}

impl Drop for TellsOfEnd {
    fn drop(&mut self) {
        if let Some(told) = self.0.upgrade() {
            told.service_ends();
        }
    }
}

impl Core {
    pub(crate) fn new(role: Role, port: u16, callback: Chain, settings: Settings) -> Arc<Self> {
        let is_client = matches!(role, Role::Client { .. });
        let (kind, listener, admission, keep_bytes) = match role {
            Role::Server { listener, admission } => ("server", listener, admission, None),
            Role::Client { keep_bytes } => ("client", None, AdmissionSettings::default(), keep_bytes),
        };
        Arc::new_cyclic(|this: &Weak<Self>| {
            let engine = Arc::new(Engine::new(settings, this.clone()));
            let (max_handshakes, authenticator) = (admission.max_handshakes, admission.authenticator.clone());
            let admission = Arc::new(Admission::new(admission));
            let handshakes =
                Handshakes::new(Arc::clone(&admission), Arc::clone(&engine), max_handshakes, authenticator);
            Self {
                callback: RwLock::new(Arc::new(callback)),
                table: ConnectionTable::new(),
                offline_queue: keep_bytes.map(|bytes| OfflineQueue::new(Arc::clone(&engine), bytes)),
                engine,
                handshakes: Arc::new(handshakes),
                admission,
                broadcaster: Broadcaster::new(),
                next_connection: AtomicU64::new(1),
                lifecycle: Lifecycle::new(kind, port, listener),
                is_client,
                giving_room: Mutex::new(None),
                started: OnceLock::new(),
                told_of_end: Mutex::default(),
                pump_thread: Threads::default(),
                this: this.clone(),
            }
        })
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.engine.settings
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn threads(&self) -> &Threads {
        &self.engine.threads
    }

    pub(crate) fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    pub(crate) fn is_client(&self) -> bool {
        self.is_client
    }

    /// Who is connected now.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.table.snapshot()
    }

    /// Has somebody told of the service's end.
    pub(crate) fn tell_of_end(&self, told: Weak<dyn ToldOfEnd>) {
        let mut all = self.told_of_end.lock();
        all.retain(TellsOfEnd::is_of_use);
        all.push(TellsOfEnd(told));
    }

    pub(crate) fn offline_queue(&self) -> Option<&OfflineQueue> {
        self.offline_queue.as_ref()
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

    /// Runs `ask` with who calls on a stream, which may be pending.
    pub(crate) fn with_caller<T>(
        &self,
        stream: &dyn Stream,
        is_pending: bool,
        ask: impl FnOnce(&Caller<'_>) -> T,
    ) -> T {
        let (peer, certificates) = (stream.peer(), stream.peer_certificates());
        let num = self.handshakes.count_with(|| self.table.len());
        ask(&self.admission.caller(&peer, stream.peer_addr(), num, is_pending, &certificates))
    }

    /// How a newcomer is served, who may have been pending.
    pub(crate) fn delivery_for(&self, stream: &dyn Stream, is_pending: bool) -> Result<Delivery, Refusal> {
        let Some(hook) = self.admission.delivery_for() else { return Ok(self.settings().delivery.clone()) };
        let delivery = self
            .with_caller(stream, is_pending, |caller| user_code::call(|| hook(caller)))
            .map_err(|message| Refusal::by_panic("delivery_for", message))?;
        self.settings().check_delivery(&delivery).map_err(Refusal::by_error)?;
        Ok(delivery)
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
        let thread = self.engine.thread_name(format_args!("pump {}", port.unwrap_or(self.port())));
        self.engine.pump.open().map_err(|source| spawn_error(thread.clone(), source))?;
        let core = Arc::clone(self);
        self.pump_thread
            .spawn(thread, PUMP_STACK, move || {
                core.rely_on(|| {
                    if let Err(error) = core.engine.pump.run() {
                        core.break_down(&format!(
                            "the system does not tell any more which streams take bytes: {error}"
                        ));
                    }
                });
                // When it has failed there is nobody left to do what it is asked for.
                core.engine.pump.stop();
            })
            .inspect_err(|_| self.engine.pump.shut())?;
        self.engine.log_limits.set_name(&name);
        self.lifecycle.run(name, port, local_addr, listener).inspect_err(|_| self.engine.pump.stop())?;
        let _ = self.started.set(Instant::now());
        if let Some(offline_queue) = &self.offline_queue {
            offline_queue.open();
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
        delivery: Delivery,
        pending: Option<&Pending>,
    ) -> Option<Connection> {
        let connection = Connection::new(id, Arc::clone(&stream), delivery, Arc::clone(&self.engine));
        let mut last_values = Vec::new();
        let mut insert = || {
            let joined = joining::join(&self.engine, &self.table, &connection);
            joined.map(|values| last_values = values).is_some()
        };
        let join = || match pending {
            Some(pending) => self.handshakes.let_through(pending, insert),
            None => insert(),
        };
        let joined = match &self.offline_queue {
            Some(offline_queue) => offline_queue.attach(&connection, join),
            None => join(),
        };
        if !joined {
            let _ = stream.abort();
            return None;
        }
        if pending.is_none() {
            self.admission.enter(connection.peer_addr());
        }
        if self.offline_queue.is_some() {
            connection.link().write_ready();
        }
        if !last_values.is_empty() {
            self.welcome(&connection, last_values);
        }
        Some(connection)
    }

    /// Gives a newcomer what it wants of the last values; one whose filter panics is ended.
    fn welcome(&self, newcomer: &Connection, last_values: Vec<Arc<Batch>>) {
        let Err(message) = newcomer.link().welcome(last_values) else { return };
        let callback = "filter";
        if !newcomer.link().close(DisconnectCause::CallbackPanicked { callback, message: message.clone() }) {
            // It ends for another reason, which does not tell of this.
            self.fail(&*self.callback(), &Error::CallbackPanicked { callback, message });
        }
    }

    /// Forgets the last message of a key; whether there was one.
    pub(crate) fn forget(&self, key: &Key) -> bool {
        self.engine.last_values.as_ref().is_some_and(|last_values| last_values.forget(key))
    }

    /// Of how many keys the last message is kept.
    pub(crate) fn snapshot_len(&self) -> usize {
        self.engine.last_values.as_ref().map_or(0, LastValues::len)
    }

    /// Takes a connection that has been retired out of the table: before its `on_disconnect`, and when its stream has
    /// been let go.
    pub(crate) fn remove(&self, connection: &Connection, reason: &DisconnectReason) {
        self.table.remove(Departure::new(connection, reason), connection.link().traffic());
        if let Some(offline_queue) = &self.offline_queue {
            offline_queue.detach(connection);
        }
        self.admission.leave(connection.peer_addr());
        self.lifecycle.wake();
    }
}

impl Sealed for Core {
    fn weak_core(&self) -> WeakCore {
        WeakCore(self.this.clone())
    }
}

impl Service for Core {
    fn id(&self) -> ServiceId {
        self.engine.id
    }

    fn port(&self) -> u16 {
        self.lifecycle.port()
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.lifecycle.local_addr()
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

    fn check_message(&self, message: &[u8]) -> Result<(), Error> {
        self.settings().body_of(message).map(drop)
    }

    fn broadcast(&self, message: &[u8]) -> Result<usize, Error> {
        let body = self.settings().body_of(message)?;
        let key = self.engine.key_of(message)?;
        let broadcast = Broadcast { message, body: &body, key: key.as_ref() };
        let start_ticks = || self.engine.pump.tick(self.this.clone());
        Ok(self.broadcaster.broadcast(&self.engine, &self.table, broadcast, start_ticks))
    }

    fn queue_broadcast(&self, message: &[u8]) -> Result<usize, Error> {
        let body = self.settings().body_of(message)?;
        let key = self.engine.key_of(message)?;
        let broadcast = Broadcast { message, body: &body, key: key.as_ref() };
        let noted = joining::recipients(&self.engine, &self.table, broadcast);
        let connections = noted.unwrap_or_else(|| self.table.snapshot()).connections;
        Ok(broadcast::queue_to(&self.engine, broadcast, connections.iter()))
    }

    fn broadcast_where(&self, message: &[u8], wanted: &mut dyn FnMut(&Connection) -> bool) -> Result<usize, Error> {
        let body = self.settings().body_of(message)?;
        let key = self.engine.key_of(message)?;
        let broadcast = Broadcast { message, body: &body, key: key.as_ref() };
        let connections = self.table.snapshot().connections;
        let wanted = connections.iter().filter(|connection| wanted(connection));
        Ok(broadcast::send_to(&self.engine, broadcast, wanted))
    }

    fn flush(&self, time: Duration) -> Result<(), Error> {
        let deadline = later(Instant::now(), time);
        let mut left = self.offline_queue.as_ref().map_or(0, |queue| queue.wait_until_empty(deadline));
        let connections = self.table.snapshot().connections;
        for connection in connections.iter() {
            // What a connection that has ended lost, its reason tells.
            if let Flushed::TimedOut { left: bytes } = connection.link().flush(deadline) {
                // What several queues share counts in each of them: that may be more than there is memory.
                left = usize::saturating_add(left, bytes);
            }
        }
        if left == 0 { Ok(()) } else { Err(Error::NotFlushed { bytes: left }) }
    }

    fn stats(&self) -> ServiceStats {
        self.engine.broadcast_batch.settle();
        ServiceStats {
            started: self.started.get().copied(),
            callers_refused: self.admission.refusals().counts(),
            ..self.table.stats()
        }
    }

    fn departures(&self) -> Vec<Departure> {
        self.table.departures()
    }

    fn close(&self) {
        self.begin_close();
        if let Some(by) = self.lifecycle.closing_by() {
            self.wait(Some(by + 3 * CLOSE_GRACE));
        }
    }
}

impl Ticked for Core {
    fn tick(&self) -> Tick {
        self.broadcaster.tick(&self.engine, &self.table)
    }
}

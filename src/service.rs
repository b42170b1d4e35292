//! What a server and a client have in common: their callbacks, their connections, and how they begin and end.

use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use log::{error, info, warn};
use parking_lot::{Condvar, Mutex, RwLock};

use crate::callback::{self, Callback};
use crate::config::Settings;
use crate::connection::{Connection, ConnectionId, Context};
use crate::disconnect::{DisconnectReason, Undelivered};
use crate::error::Error;
use crate::pump::Pump;
use crate::table::ConnectionTable;
use crate::threads::{Threads, spawn_error};
use crate::transport::{Listener, Stream};

/// The pump's stack, in bytes: it runs no user code.
const PUMP_STACK: usize = 256 * 1024;

/// What each step past the close time-out may take: cutting connections off, ending the pump, telling the closer.
const CLOSE_GRACE: Duration = Duration::from_millis(30);

/// What a [`Server`](crate::Server) and a [`Client`](crate::Client) share; the form in which callbacks see them.
pub trait Service: Send + Sync {
    /// The port a server listens on, or a client's server has: as configured, and once the service has been started
    /// the real one, also where 0 was asked for.
    fn port(&self) -> u16;

    /// The address a server listens on, or a client's own; `None` before the start, and on transports without addresses.
    fn local_addr(&self) -> Option<SocketAddr>;

    /// How many connections there are now.
    fn num_connections(&self) -> usize;

    /// The connections there are now, in the order of connecting.
    fn connections(&self) -> Vec<Connection>;

    /// Sends one message to every connection and tells by how many it was accepted; it is encoded once.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidMessage`] and [`Error::MessageTooLong`], before anything is written to anyone. A connection that
    /// is closing, or that reads too slowly, is not an error here: it is not counted.
    fn broadcast(&self, message: &[u8]) -> Result<usize, Error>;

    /// Ends the service: no more connections, a goodbye to every peer behind all that was accepted for it, and the
    /// end of every thread.
    ///
    /// Blocks until that is done, at most for the [close time-out](crate::Builder::close_timeout), after which the peers
    /// that are left are cut off. Inside a callback, of whatever service, it only starts all this and returns at once.
    /// May be called from any thread, more than once, at the same time.
    ///
    /// A callback that is still running at the time-out is not interrupted: its connection's `on_disconnect` follows
    /// when it returns.
    fn close(&self);
}

/// The shared part of a service.
pub(crate) struct Core {
    /// "server" or "client", for logs.
    kind: &'static str,
    callback: RwLock<Arc<dyn Callback>>,
    table: ConnectionTable,
    context: Arc<Context>,
    next_connection: AtomicU64,
    life: Mutex<Life>,
    life_changed: Condvar,
    /// The pump's own thread.
    pump_thread: Threads,
}

struct Life {
    phase: Phase,
    started: bool,
    port: u16,
    local_addr: Option<SocketAddr>,
    /// What a server's accepting thread waits in; taken by whoever closes.
    listener: Option<Arc<dyn Listener>>,
    /// Whether somebody is stopping the listener, and still holds it.
    stopping: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    New,
    Starting,
    Running,
    Closing { by: Instant },
    Closed,
}

impl Core {
    pub(crate) fn new(kind: &'static str, port: u16, callback: Arc<dyn Callback>, settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            kind,
            callback: RwLock::new(callback),
            table: ConnectionTable::new(),
            context: Arc::new(Context { settings, pump: Pump::default(), threads: Threads::default() }),
            next_connection: AtomicU64::new(1),
            life: Mutex::new(Life {
                phase: Phase::New,
                started: false,
                port,
                local_addr: None,
                listener: None,
                stopping: false,
            }),
            life_changed: Condvar::new(),
            pump_thread: Threads::default(),
        })
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.context.settings
    }

    pub(crate) fn threads(&self) -> &Threads {
        &self.context.threads
    }

    // Beginning.

    /// The right to start, given once. Whoever has it calls [`started`](Self::started) or
    /// [`start_failed`](Self::start_failed).
    pub(crate) fn begin_start(&self) -> Result<(), Error> {
        let mut life = self.life.lock();
        match life.phase {
            _ if life.started => Err(Error::AlreadyStarted),
            Phase::New => {
                life.phase = Phase::Starting;
                life.started = true;
                Ok(())
            }
            _ => Err(Error::Closed),
        }
    }

    /// The start did not work: it may be tried again.
    pub(crate) fn start_failed(&self) {
        let mut life = self.life.lock();
        if life.phase == Phase::Starting {
            life.phase = Phase::New;
            life.started = false;
        }
    }

    /// The service is bound, or connected. Starts the pump; refuses when the service was closed meanwhile.
    pub(crate) fn started(
        self: &Arc<Self>,
        port: Option<u16>,
        local_addr: Option<SocketAddr>,
        listener: Option<Arc<dyn Listener>>,
    ) -> Result<(), Error> {
        let mut life = self.life.lock();
        if life.phase != Phase::Starting {
            return Err(Error::Closed);
        }
        let core = Arc::clone(self);
        life.port = port.unwrap_or(life.port);
        let name = format!("leads-comm pump {}", life.port);
        core.context.pump.open().map_err(|source| spawn_error(name.clone(), source))?;
        self.pump_thread.spawn(name, PUMP_STACK, move || core.context.pump.run())?;
        life.phase = Phase::Running;
        life.local_addr = local_addr;
        life.listener = listener;
        Ok(())
    }

    /// Makes a connection of an open stream and puts it into the table; `None` when the service is closing.
    pub(crate) fn open(&self, stream: Box<dyn Stream>) -> Option<(Connection, Arc<dyn Stream>)> {
        let id = ConnectionId(self.next_connection.fetch_add(1, Ordering::Relaxed));
        let stream: Arc<dyn Stream> = stream.into();
        let connection = Connection::new(id, Arc::clone(&stream), Arc::clone(&self.context));
        if self.table.insert(connection.clone()) {
            return Some((connection, stream));
        }
        let _ = stream.abort();
        None
    }

    /// A client's connection.
    pub(crate) fn first_connection(&self) -> Option<Connection> {
        self.table.snapshot().first().cloned()
    }

    /// Takes a connection out of the table: before its `on_disconnect`.
    pub(crate) fn forget(&self, connection: &Connection) {
        self.table.remove(connection.id());
    }

    // Callbacks.

    pub(crate) fn callback(&self) -> Arc<dyn Callback> {
        Arc::clone(&self.callback.read())
    }

    /// Puts `callback` behind those that are there.
    pub(crate) fn set_callback(&self, callback: Arc<dyn Callback>) {
        let mut chain = self.callback.write();
        *chain = Arc::new((Arc::clone(&chain), callback));
    }

    pub(crate) fn replace_callback(&self, callback: Arc<dyn Callback>) {
        let replaced = std::mem::replace(&mut *self.callback.write(), callback);
        // Without the lock: its drop is the program's code.
        drop(replaced);
    }

    pub(crate) fn initialize(&self) {
        let callback = self.callback();
        if let Err(message) = callback::call(|| callback.on_initialize(self)) {
            self.fail(&Error::CallbackPanicked { callback: "on_initialize", message });
        }
    }

    /// Tells `on_fail`.
    pub(crate) fn fail(&self, error: &Error) {
        warn!("{} {}: {error}", self.kind, self.port());
        let callback = self.callback();
        if let Err(message) = callback::call(|| callback.on_fail(self, error)) {
            error!("{} {}: the callback on_fail panicked: {message}", self.kind, self.port());
        }
    }

    // Sending.

    /// Sends one message to the connections that are `wanted`.
    pub(crate) fn broadcast_where(
        &self,
        message: &[u8],
        mut wanted: impl FnMut(&Connection) -> bool,
    ) -> Result<usize, Error> {
        let frame = self.settings().frame(message)?;
        let deadline = self.settings().send_deadline();
        let mut accepted = 0;
        for connection in self.table.snapshot().iter() {
            if wanted(connection) && connection.push(Arc::clone(&frame), deadline).is_ok() {
                accepted += 1;
            }
        }
        Ok(accepted)
    }

    // Ending.

    /// Begins the end: from now on no connection is added, and those that are there say goodbye.
    fn begin_close(&self) {
        let listener = {
            let mut life = self.life.lock();
            match life.phase {
                Phase::New | Phase::Starting => life.phase = Phase::Closed,
                Phase::Running => life.phase = Phase::Closing { by: self.settings().close_deadline() },
                Phase::Closing { .. } | Phase::Closed => return,
            }
            self.life_changed.notify_all();
            life.stopping = life.listener.is_some();
            life.listener.take()
        };
        if let Some(listener) = listener {
            listener.stop();
            drop(listener);
            self.life.lock().stopping = false;
            self.life_changed.notify_all();
        }
        for connection in self.table.close().iter() {
            connection.end(DisconnectReason::ServiceClosed { undelivered: Undelivered::default() });
        }
    }

    /// The last act of the service's own thread: sees every other thread out, by force when the time is over.
    pub(crate) fn finish(&self) {
        self.begin_close();
        let by = match self.life.lock().phase {
            Phase::Closing { by } => by,
            _ => Instant::now(),
        };
        if !self.threads().wait_for_end(by) {
            let left = self.table.snapshot();
            warn!("{} {}: {} connections are cut off", self.kind, self.port(), left.len());
            for connection in left.iter() {
                connection.abort();
            }
            // Those whose callback is still running end when it returns.
            self.threads().wait_for_end(by + CLOSE_GRACE);
        }
        self.context.pump.stop();
        self.pump_thread.wait_for_end(by + 2 * CLOSE_GRACE);
        info!("{} {} closed", self.kind, self.port());
        let mut life = self.life.lock();
        while life.stopping {
            self.life_changed.wait(&mut life);
        }
        life.phase = Phase::Closed;
        self.life_changed.notify_all();
    }

    /// Waits until the service is closing, at most for `time`; whether it is.
    pub(crate) fn pause(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut life = self.life.lock();
        while life.phase == Phase::Running {
            if self.life_changed.wait_until(&mut life, until).timed_out() {
                break;
            }
        }
        life.phase != Phase::Running
    }

    /// Waits until the service has ended, at most until `deadline`. True when it has ended, or never begun; inside a
    /// callback, that is all that is looked at.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> bool {
        let mut life = self.life.lock();
        while life.started && life.phase != Phase::Closed {
            if callback::is_inside() {
                return false;
            }
            match deadline {
                Some(deadline) => {
                    if self.life_changed.wait_until(&mut life, deadline).timed_out() {
                        return life.phase == Phase::Closed;
                    }
                }
                None => self.life_changed.wait(&mut life),
            }
        }
        true
    }
}

impl Service for Core {
    fn port(&self) -> u16 {
        self.life.lock().port
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.life.lock().local_addr
    }

    fn num_connections(&self) -> usize {
        self.table.len()
    }

    fn connections(&self) -> Vec<Connection> {
        self.table.snapshot().to_vec()
    }

    fn broadcast(&self, message: &[u8]) -> Result<usize, Error> {
        self.broadcast_where(message, |_| true)
    }

    fn close(&self) {
        self.begin_close();
        let phase = self.life.lock().phase;
        if let Phase::Closing { by } = phase {
            self.wait(Some(by + 3 * CLOSE_GRACE));
        }
    }
}

/// Gives a handle with a `core` what every service has, as methods of its own and as a [`Service`].
macro_rules! impl_service {
    ($handle:ident) => {
        impl $handle {
            /// See [`Service::port`].
            pub fn port(&self) -> u16 {
                self.core().port()
            }

            /// See [`Service::local_addr`].
            pub fn local_addr(&self) -> Option<std::net::SocketAddr> {
                self.core().local_addr()
            }

            /// See [`Service::num_connections`].
            pub fn num_connections(&self) -> usize {
                self.core().num_connections()
            }

            /// See [`Service::connections`].
            pub fn connections(&self) -> Vec<Connection> {
                self.core().connections()
            }

            /// Adds a callback: those set before are called first, then this one.
            ///
            /// A connection keeps the callbacks that it began with, so that whoever is told of its beginning is told of
            /// its end.
            pub fn set_callback(&self, callback: impl Callback) {
                self.core().set_callback(Arc::new(callback));
            }

            /// Replaces all callbacks set before; connections keep those that they began with.
            pub fn replace_callback(&self, callback: impl Callback) {
                self.core().replace_callback(Arc::new(callback));
            }

            /// See [`Service::close`].
            pub fn close(&self) {
                self.core().close();
            }

            /// Blocks until the service has ended; returns at once when it has not been started, or inside a callback.
            pub fn wait(&self) {
                self.core().wait(None);
            }

            /// Like [`wait`](Self::wait), but no longer than `time`; whether the service has ended.
            pub fn wait_timeout(&self, time: std::time::Duration) -> bool {
                self.core().wait(std::time::Instant::now().checked_add(time))
            }
        }

        impl Service for $handle {
            fn port(&self) -> u16 {
                self.core().port()
            }

            fn local_addr(&self) -> Option<std::net::SocketAddr> {
                self.core().local_addr()
            }

            fn num_connections(&self) -> usize {
                self.core().num_connections()
            }

            fn connections(&self) -> Vec<Connection> {
                self.core().connections()
            }

            fn broadcast(&self, message: &[u8]) -> Result<usize, Error> {
                self.core().broadcast(message)
            }

            fn close(&self) {
                self.core().close();
            }
        }
    };
}

pub(crate) use impl_service;

/// Closes a service when it is dropped; otherwise it is used as the service itself.
///
/// Dropping the handles of a service does not stop it. Where a scope should, put one of them into this guard. The drop
/// blocks as [`Service::close`] does: at most for the close time-out, and not at all inside a callback.
///
/// # Examples
///
/// ```
/// use leads_comm::{CloseOnDrop, Server, Service};
///
/// let port = {
///     let server = CloseOnDrop::new(Server::builder().port(0).build()?);
///     server.start(true)?;
///     server.port()
/// };
/// // Closed by now: the port is free again.
/// std::net::TcpListener::bind(("127.0.0.1", port))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct CloseOnDrop<S: Service> {
    service: S,
}

impl<S: Service> CloseOnDrop<S> {
    /// Puts a service under guard.
    pub fn new(service: S) -> Self {
        Self { service }
    }
}

impl<S: Service> Deref for CloseOnDrop<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.service
    }
}

impl<S: Service> Drop for CloseOnDrop<S> {
    fn drop(&mut self) {
        self.service.close();
    }
}

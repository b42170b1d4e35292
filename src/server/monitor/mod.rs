//! A service's numbers, said once a second to those who look: `leads-comm top`, a page, `nc`, or a program.
//!
//! A [`Monitor`] is a small server of its own, on an address of its own, beside the service that it watches. It speaks
//! the library's protocol with the separator `\n`, so that each message is a line: a JSON object with the numbers of the
//! service and of each of its connections, and who has left last. The repository's `docs/monitor.md` has the format,
//! field by field.
//!
//! ```text
//!   service ◀── counts ── messages          looks once a second, while somebody is connected
//!      ▲                                              │
//!      └───────────────── Monitor ◀───────────────────┘ ──▶ top, the page, nc
//! ```

mod message;
mod state;

use std::fmt;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::codec::Separator;
use crate::connection::Connection;
use crate::connection::pump::{Deadline, Watched};
use crate::error::Error;
use crate::server::{BindAddress, Server, ServerBuilder};
use crate::service::callback::Callback;
use crate::service::{Core, Service, ToldOfEnd};
use crate::settings::{Delivery, Key, SlowConsumer, require};
use crate::stats::ServiceStats;
use crate::sync::later;
use crate::sync::user_code::Inside;
use message::Look;

/// How often the numbers are said.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long the end of the service waits for a look that is under way.
const LOOKING: Duration = Duration::from_secs(1);

/// How many may look at once, unless it is told otherwise.
const MOST_READERS: usize = 16;

/// How much the system may hold for one who looks, in bytes: a few hundred connections at once, and old numbers not for
/// long.
const UNSENT: usize = 128 * 1024;

/// How much those who look may say, in bytes; none of it is wanted.
const MAX_RECEIVED_LEN: usize = 4096;

/// Says a service's numbers once a second to those who connect: a small server of its own, on an address of its own,
/// beside the service that it watches.
///
/// It speaks the library's protocol with the separator `\n`, so that each message is a line: a JSON object with the numbers
/// of the service and of each of its connections, and who has left last. The repository's `docs/monitor.md` has the
/// format, field by field.
///
/// A cheap handle: clones stand for the same monitor, and dropping them does not stop it. It ends with the service: when
/// that has seen its last connection out, the monitor says the numbers a last time, says goodbye, and its port is free
/// before [`Service::close`] returns. It does not keep the service alive. [`close`](Self::close) ends it earlier.
///
/// # What it costs
///
/// Nothing while nobody looks: no thread wakes. While somebody does, the pump of the monitor's own server takes the
/// numbers once a second, as [`Service::stats`] does; for each connection to which something was written since then, the
/// system is asked as well what it holds. No callback of the service is called, and no lock is held for longer than a
/// copy of one connection's numbers.
///
/// One who looks and reads slowly gets the newest numbers, and misses some. There may be 16 at once. What they send is
/// not looked at.
///
/// # Examples
///
/// ```
/// use leads_comm::{Client, Monitor, Server, callback::{self, Event}};
///
/// let server = Server::builder().port(0).build()?;
/// server.start(true)?;
/// let monitor = Monitor::builder(&server).port(0).name("vehicle").start()?;
///
/// // What `nc 127.0.0.1 PORT` shows:
/// let (callback, events) = callback::channel(16);
/// let reader = Client::builder().port(monitor.port()).separator("\n").callback(callback).build()?;
/// reader.start("127.0.0.1", true)?;
/// let numbers = events.iter().find_map(|event| match event {
///     Event::Receive { message, .. } => Some(message),
///     _ => None,
/// });
/// assert!(String::from_utf8(numbers.unwrap()).unwrap().contains(r#""name":"vehicle","role":"server""#));
/// # reader.close();
/// server.close();
/// assert!(monitor.wait_timeout(std::time::Duration::from_secs(10)), "it ends with the service");
/// # Ok::<(), leads_comm::Error>(())
/// ```
#[derive(Clone)]
pub struct Monitor {
    server: Server,
}

impl Monitor {
    /// By how much its port is above that of the service, unless it is told otherwise.
    pub const PORT_OFFSET: u16 = 9;

    /// Begins to build a monitor of a server or a client, which may have been started or not. It listens on
    /// `127.0.0.1`, on the [port](MonitorBuilder::port) that is 9 above the service's, unless it is told otherwise.
    pub fn builder(service: &(impl Service + ?Sized)) -> MonitorBuilder {
        MonitorBuilder {
            service: service.weak_core().0,
            name: None,
            port: None,
            server: Server::builder().max_connections(MOST_READERS).max_received_len(MAX_RECEIVED_LEN),
        }
    }

    /// The port that it listens on; means nothing on a Unix socket.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// The address that it listens on; `None` on a Unix socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.server.local_addr()
    }

    /// The numbers of the monitor itself: how many look, and what they have got.
    pub fn stats(&self) -> ServiceStats {
        self.server.stats()
    }

    /// Ends the monitor, and nothing else; blocks as [`Service::close`] does.
    pub fn close(&self) {
        self.server.close();
    }

    /// Blocks until the monitor has ended, at most for `time`; false when it has not by then.
    pub fn wait_timeout(&self, time: Duration) -> bool {
        self.server.wait_timeout(time)
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor").field("port", &self.port()).finish_non_exhaustive()
    }
}

/// Builds a [`Monitor`]: see [`Monitor::builder`].
#[must_use]
pub struct MonitorBuilder {
    service: Weak<Core>,
    name: Option<String>,
    port: Option<u16>,
    server: ServerBuilder,
}

impl MonitorBuilder {
    /// What the service is called in its numbers, for people. Default where it listens, or to whom it is a client, for
    /// instance `127.0.0.1:16900`. Cut to its first 200 characters.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The port: 0 is a free one. Default the service's port and 9, so 16909 for 16900; a free one where the service has
    /// no port yet, because it is to have a free one. (A client has the port of its server, so that its monitor needs
    /// another one where the server's is on the same machine.)
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// The address to listen on: as [`ServerBuilder::bind`], with which everybody who reaches it may look, unless there
    /// is a [token](Self::token). The numbers name the peers. Default `127.0.0.1`.
    pub fn bind(self, address: impl Into<BindAddress>) -> Self {
        self.server(|server| server.bind(address))
    }

    /// Listens on a Unix socket instead of TCP: as [`ServerBuilder::unix`].
    #[cfg(unix)]
    pub fn unix(self, path: impl Into<PathBuf>) -> Self {
        self.server(|server| server.unix(path))
    }

    /// A secret that those who look have to say first: as [`ServerBuilder::token`]. With `nc` that is the first line.
    pub fn token(self, secret: impl AsRef<[u8]>) -> Self {
        self.server(|server| server.token(secret))
    }

    /// Sets what else a server can be told, for instance TLS, or who may connect. Framing, keys, delivery and port are
    /// the monitor's own.
    ///
    /// # Examples
    ///
    /// ```
    /// use leads_comm::{Monitor, Server};
    ///
    /// let server = Server::builder().port(0).build()?;
    /// let monitor = Monitor::builder(&server).server(|numbers| numbers.max_connections(2));
    /// # drop(monitor);
    /// # Ok::<(), leads_comm::Error>(())
    /// ```
    pub fn server(mut self, set: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Self {
        self.server = set(self.server);
        self
    }

    /// Starts the monitor, on threads of its own; those who look are served from now on.
    ///
    /// # Errors
    ///
    /// [`Error::Bind`] where the address is taken; [`Error::Closed`] when the service has been closed, or is gone;
    /// [`Error::InvalidSetting`] for what the server is told, and where 9 more than the service's port is none; the
    /// others of [`Server::start`].
    pub fn start(self) -> Result<Monitor, Error> {
        let Self { service, name, port, server } = self;
        let core = service.upgrade().ok_or(Error::Closed)?;
        let port = match (port, core.port()) {
            (Some(port), _) => port,
            (None, 0) => 0,
            (None, port) => {
                let above = port.checked_add(Monitor::PORT_OFFSET);
                require(above.is_some(), "port", "must be set, because there is none 9 above that of the service")?;
                above.unwrap_or_default()
            }
        };
        let numbers = Arc::new(Numbers {
            service,
            name,
            server: OnceLock::new(),
            look: Mutex::new(Some(Look::default())),
            given_back: Condvar::new(),
            last: Mutex::new(None),
            is_watched: AtomicBool::new(false),
        });
        let key = Key::new("numbers");
        let delivery = Delivery::new().slow_consumer(SlowConsumer::DropOldest).conflate(true).max_unsent_bytes(UNSENT);
        let mut server = server
            .port(port)
            .framing(Separator::new("\n").expect("a newline is a separator"))
            .key(move |_| Some(key.clone()))
            .delivery(delivery);
        server.common.callback.add(Reader(Arc::clone(&numbers)));
        let server = server.build()?;
        let _ = numbers.server.set(Arc::downgrade(server.core()));
        server.start(true)?;
        let told: Arc<dyn ToldOfEnd> = numbers;
        core.tell_of_end(Arc::downgrade(&told));
        // Nobody would tell it any more.
        if core.lifecycle().is_closed() {
            server.close();
            return Err(Error::Closed);
        }
        Ok(Monitor { server })
    }
}

impl fmt::Debug for MonitorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MonitorBuilder").field("port", &self.port).finish_non_exhaustive()
    }
}

/// What looks at a service, and says what it sees. Belongs to the monitor's server, which lets its callbacks go when it
/// has ended; holds neither service.
struct Numbers {
    service: Weak<Core>,
    name: Option<String>,
    /// The monitor's own.
    server: OnceLock<Weak<Core>>,
    /// None while a thread looks with it, which is done without the lock.
    look: Mutex<Option<Look>>,
    given_back: Condvar,
    /// What was seen last, and when.
    last: Mutex<Option<(Instant, Arc<[u8]>)>>,
    /// Whether the pump has an alarm that will look again.
    is_watched: AtomicBool,
}

impl Numbers {
    fn server(&self) -> Option<Arc<Core>> {
        self.server.get()?.upgrade()
    }

    /// Looks, and says what there is to be seen; not while another thread does.
    fn publish(&self) {
        let (Some(service), Some(server)) = (self.service.upgrade(), self.server()) else { return };
        let Some(mut look) = self.look.lock().take() else { return };
        let message: Arc<[u8]> = look.at(&service, self.name.as_deref()).into_bytes().into();
        // It holds no newline, and is no longer than what may be sent.
        let _ = server.broadcast(&message);
        *self.last.lock() = Some((Instant::now(), message));
        *self.look.lock() = Some(look);
        self.given_back.notify_all();
    }

    /// The same when nobody will look any more: what another thread sees just now is not the last.
    fn publish_last(&self) {
        let by = Instant::now() + LOOKING;
        let mut look = self.look.lock();
        while look.is_none() && !self.given_back.wait_until(&mut look, by).timed_out() {}
        drop(look);
        self.publish();
    }

    /// What was said less than an interval ago.
    fn fresh(&self) -> Option<Arc<[u8]>> {
        let last = self.last.lock();
        last.as_ref().filter(|(at, _)| at.elapsed() < INTERVAL).map(|(_, message)| Arc::clone(message))
    }
}

impl Watched for Numbers {
    fn check_deadline(&self, _: Deadline, now: Instant) -> Option<Instant> {
        let server = self.server()?;
        if server.num_connections() == 0 {
            self.is_watched.store(false, Ordering::SeqCst);
            // One who has come meanwhile relies on the alarm, unless it has seen that there is none.
            if server.num_connections() == 0 || self.is_watched.swap(true, Ordering::SeqCst) {
                return None;
            }
        }
        self.publish();
        Some(later(now, INTERVAL))
    }
}

impl ToldOfEnd for Numbers {
    fn service_ends(&self) {
        self.publish_last();
        if let Some(server) = self.server() {
            // Whichever thread it is, it is not to wait.
            let _inside = Inside::enter();
            server.close();
        }
    }
}

/// What the monitor's server calls.
struct Reader(Arc<Numbers>);

impl Callback for Reader {
    fn on_connect(&self, service: &dyn Service, connection: &Connection) {
        let Self(numbers) = self;
        match numbers.fresh() {
            // An error means that it has left.
            Some(message) => drop(connection.send(&message)),
            None => numbers.publish(),
        }
        if !numbers.is_watched.swap(true, Ordering::SeqCst) {
            let Some(server) = service.weak_core().0.upgrade() else { return };
            let watched: Arc<dyn Watched> = Arc::<Numbers>::clone(numbers);
            server.engine().pump.watch(Arc::downgrade(&watched), Deadline::Numbers, INTERVAL);
        }
    }
}

//! Servers, and how they begin to accept.

mod accept;
mod bind;
mod builder;
mod exposure;
mod first_message;
mod handshake;
mod monitor;

use std::fmt;
use std::io;
#[cfg(unix)]
use std::path::PathBuf;
use std::sync::Arc;

use crate::connection::{Connection, ConnectionId};
use crate::error::Error;
use crate::service::callback::Callback;
use crate::service::handle::impl_service;
use crate::service::{Core, Role, Service};
use crate::settings::{Key, require};
use crate::sync::threads;
#[cfg(feature = "tls")]
use crate::sync::user_code::Foreign;
use crate::sync::user_code::{Inside, info};
use crate::transport::Listener;
use crate::transport::tcp::{ListenOptions, TcpListener};
#[cfg(feature = "tls")]
use crate::transport::tls;
#[cfg(unix)]
use crate::transport::unix::UnixListener;
pub use bind::BindAddress;
use bind::Host;
use builder::ListenerSource;
pub use builder::ServerBuilder;
pub use monitor::{Monitor, MonitorBuilder};

/// The accepting thread's stack, in bytes; `on_initialize`, `on_fail` and `admit` run on it.
const ACCEPT_STACK: usize = 2 * 1024 * 1024;

/// Accepts connections and serves all of them at the same time.
///
/// A cheap handle: clones stand for the same server, and dropping them does not stop it; [`close`](Self::close) does.
///
/// # Examples
///
/// ```
/// use leads_comm::{Callback, Connection, Server, Service};
///
/// struct Echo;
///
/// impl Callback for Echo {
///     fn on_receive(&self, _service: &dyn Service, connection: &Connection, message: &[u8]) {
///         // An error means that the peer has left.
///         let _ = connection.send(message);
///     }
/// }
///
/// let server = Server::builder().port(0).callback(Echo).build()?;
/// server.start(true)?;
/// println!("listening on port {}", server.port());
/// server.close();
/// # Ok::<(), leads_comm::Error>(())
/// ```
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

struct Shared {
    core: Arc<Core>,
    place: Place,
    lets_everybody_in: bool,
    #[cfg(feature = "tls")]
    tls: Option<tls::ServerConfig>,
}

/// What a server binds at its start, unless it is given something bound.
enum Place {
    Address {
        host: Host,
        port: u16,
        options: ListenOptions,
    },
    #[cfg(unix)]
    Path {
        path: PathBuf,
        backlog: u32,
        mode: Option<u32>,
    },
}

impl ServerBuilder {
    /// Builds the server. Nothing is bound before [`Server::start`].
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSeparator`], [`Error::InvalidSetting`]; [`Error::Bind`] when a given socket cannot be used.
    pub fn build(self) -> Result<Server, Error> {
        let settings = self.common.settings()?;
        let options = self.side.listen_options;
        require(options.backlog > 0, "listen_options", "must have a backlog of at least 1")?;
        self.side.admission.check()?;
        let asks_twice = settings.token.is_some() && self.side.admission.authenticator.is_some();
        require(!asks_twice, "authenticate", "must not be combined with token")?;
        #[cfg(unix)]
        {
            let has_path = matches!(self.side.source, ListenerSource::Path(_));
            require(has_path || self.side.unix_mode.is_none(), "unix_mode", "is only for a server with a path")?;
        }
        let lets_everybody_in = exposure::lets_everybody_in(&settings, &self.side);
        let place = Place::Address { host: self.side.bind.host()?, port: self.common.port, options };
        #[cfg(unix)]
        let mut place = place;
        let given: Option<Arc<dyn Listener>> = match self.side.source {
            ListenerSource::Address => None,
            #[cfg(unix)]
            ListenerSource::Path(path) => {
                place = Place::Path { path, backlog: options.backlog, mode: self.side.unix_mode };
                None
            }
            ListenerSource::Transport(listener) => Some(Arc::new(listener)),
            ListenerSource::Socket(socket) => {
                Some(Arc::new(TcpListener::new(socket).map_err(|source| bind_error("the given socket", source))?))
            }
        };
        let port = given
            .as_ref()
            .and_then(|listener| listener.local_addr())
            .map_or(self.common.port, |address| address.port());
        let role = Role::Server { listener: given, admission: self.side.admission };
        Ok(Server {
            shared: Arc::new(Shared {
                core: Core::new(role, port, self.common.callback, settings),
                place,
                lets_everybody_in,
                #[cfg(feature = "tls")]
                tls: self.side.tls,
            }),
        })
    }
}

impl Server {
    /// Begins to build a server, on `127.0.0.1` port 16900 unless told otherwise.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::new()
    }

    /// Listens, and serves until the server is closed.
    ///
    /// Binding takes place on the calling thread either way. With `parallel`, a new thread accepts, and this returns as
    /// soon as the server can be reached. Without, the calling thread accepts, and this returns when the server has
    /// been closed.
    ///
    /// # Errors
    ///
    /// [`Error::Bind`], after which the start may be tried again; [`Error::SpawnThread`] when the system has no thread
    /// left, or no descriptor to wake one with; [`Error::AlreadyStarted`]; [`Error::Closed`] when the server was closed
    /// before or meanwhile.
    pub fn start(&self, parallel: bool) -> Result<(), Error> {
        let core = self.core();
        core.lifecycle().begin_start(true)?;
        let listener = self.listen().inspect_err(|_| core.lifecycle().start_failed())?;
        let local_addr = listener.local_addr();
        let name = format!("server {}", listener.name());
        let port = local_addr.map(|address| address.port());
        if let Err(error) = core.run(name, port, local_addr, Some(Arc::clone(&listener))) {
            // First, because the port is free when the start is said to be over.
            drop(listener);
            core.lifecycle().start_failed();
            return Err(error);
        }
        info!("server listens on {}", listener.name());
        if self.shared.lets_everybody_in {
            exposure::warn_if_everywhere(&core.lifecycle().name(), local_addr);
        }
        core.admission().fit(&core.lifecycle().name(), listener.descriptors_per_stream());
        let (accepting, callback) = (Arc::clone(core), core.callback());
        if !parallel {
            let _inside = Inside::enter();
            accept::run(&accepting, callback, listener);
            return Ok(());
        }
        let place = local_addr.map_or(listener.name(), |address| address.port().to_string());
        let name = core.engine().thread_name(format_args!("acc {place}"));
        threads::start(name, ACCEPT_STACK, move || accept::run(&accepting, callback, listener))
            .inspect_err(|_| core.finish())
    }

    fn listen(&self) -> Result<Arc<dyn Listener>, Error> {
        let listener = self.listen_in_plain()?;
        #[cfg(feature = "tls")]
        if let Some(config) = &self.shared.tls {
            // What looks for certificates and checks them may be the program's own.
            let listener = tls::TlsListener::over(listener, config.clone());
            return Ok(Arc::new(Foreign::<dyn Listener>::new("the listener", Box::new(listener))));
        }
        Ok(listener)
    }

    fn listen_in_plain(&self) -> Result<Arc<dyn Listener>, Error> {
        let Shared { core, place, .. } = &*self.shared;
        if let Some(given) = core.lifecycle().listener() {
            return Ok(given);
        }
        match place {
            Place::Address { host, port, options } => {
                match host.resolve(*port).and_then(|address| TcpListener::bind_with(address, *options)) {
                    Ok(listener) => Ok(Arc::new(listener)),
                    Err(source) => Err(bind_error(&host.describe(*port), source)),
                }
            }
            #[cfg(unix)]
            Place::Path { path, backlog, mode } => match UnixListener::bind(path, *backlog, *mode) {
                Ok(listener) => Ok(Arc::new(listener)),
                Err(source) => Err(bind_error(&path.display().to_string(), source)),
            },
        }
    }

    fn core(&self) -> &Arc<Core> {
        &self.shared.core
    }

    /// See [`Service::connection`].
    pub fn connection(&self, id: ConnectionId) -> Option<Connection> {
        self.core().connection(id)
    }

    /// Sends one message to every connection; to how many it was accepted. See [`Service::broadcast`].
    ///
    /// # Errors
    ///
    /// [`Error::InvalidMessage`] and [`Error::MessageTooLong`], before anything is written to anyone.
    pub fn broadcast(&self, message: &[u8]) -> Result<usize, Error> {
        self.core().broadcast(message)
    }

    /// Sends one message to every connection without a call of the system on the calling thread; to how many it was
    /// accepted. See [`Service::queue_broadcast`].
    ///
    /// # Errors
    ///
    /// As for [`broadcast`](Self::broadcast).
    pub fn queue_broadcast(&self, message: &[u8]) -> Result<usize, Error> {
        self.core().queue_broadcast(message)
    }

    /// Sends one message to every connection for which `wanted` is true, for instance to all but one; to how many it
    /// was accepted.
    ///
    /// # Errors
    ///
    /// As for [`broadcast`](Self::broadcast).
    pub fn broadcast_where(&self, message: &[u8], mut wanted: impl FnMut(&Connection) -> bool) -> Result<usize, Error> {
        self.core().broadcast_where(message, &mut wanted)
    }

    /// Forgets the last message of a key, so that newcomers do not get it any more; whether there was one. False where
    /// no [snapshot](ServerBuilder::snapshot) is kept. What has been sent is not taken back.
    pub fn forget(&self, key: &Key) -> bool {
        self.core().forget(key)
    }

    /// Of how many keys the last message is kept, for newcomers: see [`ServerBuilder::snapshot`]. 0 where no snapshot
    /// is.
    pub fn snapshot_len(&self) -> usize {
        self.core().snapshot_len()
    }
}

impl_service!(Server);

fn bind_error(address: &str, source: io::Error) -> Error {
    Error::Bind { address: address.to_owned(), source: Arc::new(source) }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("port", &self.port())
            .field("num_connections", &self.num_connections())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::error::DisconnectCause;
    use crate::service::callback::{self, Event};
    use crate::transport::memory;

    /// No program can bring it about; a defect of the library would.
    #[test]
    fn a_thread_that_the_server_relies_on_and_that_fails_ends_it_and_is_told() {
        const PATIENCE: Duration = Duration::from_secs(20);
        let (listener, connector) = memory::listener();
        let (callback, events) = callback::channel(100);
        let server = Server::builder().transport(listener).callback(callback).build().unwrap();
        server.start(true).unwrap();
        let _peer = connector.open().unwrap();
        let (failing, (done, is_done)) = (server.clone(), mpsc::channel());
        threads::start("lc-test".into(), ACCEPT_STACK, move || {
            failing.core().rely_on(|| panic!("boom"));
            let _ = done.send(());
        })
        .unwrap();
        is_done.recv_timeout(PATIENCE).expect("the panic is not contained");
        assert!(server.wait_timeout(PATIENCE));
        let events: Vec<_> = events.try_iter().collect();
        let failed = events.iter().filter(|event| {
            matches!(event, Event::Fail { error: Error::ServiceFailed { name, message }, .. }
                if name == "lc-test" && message == "boom")
        });
        assert_eq!(failed.count(), 1, "{events:?}");
        let is_ended = |event: &Event| {
            let Event::Disconnect { reason, .. } = event else { return true };
            matches!(reason.cause, DisconnectCause::ServiceFailed { .. })
        };
        assert!(events.iter().all(is_ended), "{events:?}");
        assert!(connector.open().is_err(), "it listens still");
    }
}

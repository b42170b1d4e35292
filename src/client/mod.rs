//! Clients, and how they connect, once or again.

mod backoff;
mod builder;
mod connect_loop;
mod entry;
mod handshake;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::connection::Connection;
use crate::error::Error;
use crate::service::callback::Callback;
use crate::service::handle::impl_service;
use crate::service::offline_queue::OfflineQueue;
use crate::service::{Core, Role, Service};
use crate::settings::{Reconnect, require};
#[cfg(feature = "tls")]
use crate::sync::user_code::Foreign;
use crate::transport::Connector;
use crate::transport::tcp::TcpConnector;
#[cfg(feature = "tls")]
use crate::transport::tls::TlsConnector;
#[cfg(unix)]
use crate::transport::unix::UnixConnector;
pub use builder::ClientBuilder;
use builder::ConnectorSource;
use connect_loop::ConnectLoop;

/// Connects to one server.
///
/// A cheap handle: clones stand for the same client, and dropping them does not stop it; [`close`](Self::close) does.
/// A client ends with its connection, unless it is told to [reconnect](crate::ClientBuilder::reconnect).
///
/// # Examples
///
/// ```
/// use leads_comm::{Client, Server, Service, callback};
///
/// let server = Server::builder().port(0).callback(callback::on_receive(|connection, message| {
///     let _ = connection.send(message);
/// }));
/// let server = server.build()?;
/// server.start(true)?;
///
/// let (answers, received) = std::sync::mpsc::channel();
/// let client = Client::builder()
///     .port(server.port())
///     .callback(callback::on_receive(move |_, message| answers.send(message.to_vec()).unwrap()))
///     .build()?;
/// client.start("127.0.0.1", true)?;
/// client.send(b"hazard")?;
/// assert_eq!(received.recv()?, b"hazard");
/// client.close();
/// # server.close();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    core: Arc<Core>,
    connector: Arc<dyn Connector>,
    reconnect: Option<Reconnect>,
    /// The connection of a client that does not reconnect, also after its end.
    only: OnceLock<Connection>,
}

impl ClientBuilder {
    /// Builds the client. Nothing is connected before [`Client::start`].
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSeparator`] and [`Error::InvalidSetting`].
    pub fn build(self) -> Result<Client, Error> {
        let settings = self.common.settings()?;
        let connect_timeout = self.side.connect_timeout;
        require(!connect_timeout.is_zero(), "connect_timeout", "must not be 0")?;
        let reconnect = self.side.reconnect;
        if let Some(reconnect) = &reconnect {
            reconnect.check(settings.delivery.max_queued_bytes)?;
        }
        let port = self.common.port;
        let connector: Arc<dyn Connector> = match self.side.source {
            ConnectorSource::Tcp => Arc::new(TcpConnector::new(port, connect_timeout)),
            #[cfg(unix)]
            ConnectorSource::Unix => Arc::new(UnixConnector::new().connect_timeout(connect_timeout)),
            ConnectorSource::Transport(connector) => Arc::new(connector),
        };
        #[cfg(feature = "tls")]
        let connector = match self.side.tls {
            // What checks certificates may be the program's own.
            Some(config) => {
                let connector = TlsConnector::over(connector, config);
                Arc::new(Foreign::<dyn Connector>::new("the connector", Box::new(connector)))
            }
            None => connector,
        };
        let keep_bytes = reconnect.as_ref().map(|reconnect| reconnect.keep_bytes);
        let core = Core::new(Role::Client { keep_bytes }, port, self.common.callback, settings);
        core.lifecycle().connects_with(Arc::clone(&connector));
        Ok(Client { shared: Arc::new(Shared { core, connector, reconnect, only: OnceLock::new() }) })
    }
}

impl Client {
    /// Begins to build a client, for port 16900 unless told otherwise.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    /// Connects to a server over TCP, and receives in a new thread: a client with the settings that its
    /// [builder](Self::builder) begins with, built and [started](Self::start).
    ///
    /// `address` is a host name or an IP address, with a port unless that is 16900. Blocks until messages can be sent.
    ///
    /// # Errors
    ///
    /// Those of [`start`](Self::start).
    ///
    /// # Examples
    ///
    /// ```
    /// use leads_comm::{Client, Server, callback};
    ///
    /// let server = Server::builder().port(0).build()?;
    /// server.start(true)?;
    /// let address = format!("127.0.0.1:{}", server.port());
    ///
    /// let print = callback::on_receive(|_, message| println!("{}", message.escape_ascii()));
    /// let client = Client::connect(&address, print)?;
    /// client.send(b"time_lap")?;
    /// # client.close();
    /// # server.close();
    /// # Ok::<(), leads_comm::Error>(())
    /// ```
    pub fn connect(address: &str, callback: impl Callback) -> Result<Self, Error> {
        let client = Self::builder().callback(callback).build()?;
        client.start(address, true)?;
        Ok(client)
    }

    /// Connects to a server, and receives until the connection ends; with [`ClientBuilder::reconnect`], until the
    /// client is closed or gives up.
    ///
    /// `address` is a host name or an IP address, if need be with a port (`vehicle.local`, `10.0.0.7:16901`,
    /// `[::1]:16901`, `[fe80::1%eth0]:16901`); over Unix sockets a path; for another transport, whatever its connector
    /// understands. Connecting takes place on the calling thread either way. With `parallel`, a new thread receives,
    /// and this returns as soon as messages can be sent. Without, the calling thread receives, and this returns when
    /// the client has ended.
    ///
    /// [`close`](Self::close) from another thread stops the connecting at once.
    ///
    /// # Errors
    ///
    /// [`Error::Connect`] and [`Error::NotLetIn`], after which the start may be tried again, but not with
    /// [`Reconnect::at_start`];
    /// [`Error::SpawnThread`] when the system has no thread left, or no descriptor to wake one with;
    /// [`Error::AlreadyStarted`]; [`Error::Closed`] when the client was closed before or meanwhile.
    pub fn start(&self, address: &str, parallel: bool) -> Result<(), Error> {
        let core = self.core();
        core.lifecycle().begin_start(false)?;
        let Shared { connector, reconnect, .. } = &*self.shared;
        let connect_loop = ConnectLoop::new(Arc::clone(core), Arc::clone(connector), address, reconnect.as_ref());
        let first = connect_loop.begin()?;
        if let (Ok(opened), None) = (&first, core.offline_queue()) {
            let _ = self.shared.only.set(opened.connection().clone());
        }
        connect_loop.start(first, parallel)
    }

    /// Sends one message to the server: see [`Connection::send`].
    ///
    /// A client that [reconnects](crate::ClientBuilder::reconnect) may [keep](Reconnect::keep_bytes) it while there
    /// is no connection.
    ///
    /// # Errors
    ///
    /// [`Error::NotConnected`] before the start, after the end, and while there is no connection;
    /// [`Error::KeptFull`] instead, where messages are kept meanwhile; otherwise those of [`Connection::send`].
    pub fn send(&self, message: &[u8]) -> Result<(), Error> {
        match self.core().offline_queue() {
            None => self.with_only(|connection| connection.send(message)),
            Some(offline_queue) => offline_queue.send_by(message, |connection| connection.send(message)),
        }
    }

    /// Sends one message to the server without a call of the system on the calling thread: see [`Connection::queue`].
    ///
    /// A client that [reconnects](crate::ClientBuilder::reconnect) may [keep](Reconnect::keep_bytes) it while there is
    /// no connection. Then, and when another thread sends by this client at the same moment, a lock may be waited for
    /// that is held for a microsecond or so; on its [`connection`](Self::connection) it is not.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send), with those of [`Connection::queue`].
    pub fn queue(&self, message: &[u8]) -> Result<(), Error> {
        match self.core().offline_queue() {
            None => self.with_only(|connection| connection.queue(message)),
            Some(offline_queue) => offline_queue.send_by(message, |connection| connection.queue(message)),
        }
    }

    /// Sends several messages to the server in one go, and tells how many were accepted: see [`Connection::send_all`].
    ///
    /// While there is no connection they are kept, if at all, all or none.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send), and of [`Connection::send_all`]; [`Error::Disconnected`] is that of a connection
    /// that ended meanwhile.
    pub fn send_all<M: AsRef<[u8]>>(&self, messages: impl IntoIterator<Item = M>) -> Result<usize, Error> {
        match self.core().offline_queue() {
            None => self.with_only(|connection| connection.send_all(messages)),
            Some(offline_queue) => offline_queue.send_all(messages),
        }
    }

    /// Sends a request to the server, and blocks until a message comes that answers it, at most for `timeout`: see
    /// [`Connection::call`].
    ///
    /// It belongs to the connection that there is now: a client that [reconnects](crate::ClientBuilder::reconnect)
    /// neither keeps a request for the next one, nor waits there for an answer.
    ///
    /// # Errors
    ///
    /// [`Error::NotConnected`] before the start, after the end, and while there is no connection; otherwise those of
    /// [`Connection::call`], among them [`Error::WouldDeadlock`] in the client's own callbacks.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use leads_comm::{Client, Error, Server, answer, callback};
    ///
    /// let server = Server::builder().port(0).callback(callback::on_receive(|connection, message| {
    ///     if message == b"lap?" {
    ///         connection.send(b"lap:12").unwrap();
    ///     }
    /// }));
    /// let server = server.build()?;
    /// server.start(true)?;
    /// let client = Client::connect(&format!("127.0.0.1:{}", server.port()), ())?;
    /// let time = Duration::from_secs(10);
    /// assert_eq!(client.call(b"lap?", answer::prefix("lap:"), time)?, b"lap:12");
    ///
    /// let unanswered = client.call(b"fuel?", answer::prefix("fuel:"), Duration::from_millis(10));
    /// assert!(matches!(unanswered, Err(Error::TimedOut { .. })));
    /// client.close();
    /// assert!(matches!(client.call(b"lap?", answer::prefix("lap:"), time), Err(Error::NotConnected)));
    /// # server.close();
    /// # Ok::<(), Error>(())
    /// ```
    pub fn call(
        &self,
        request: &[u8],
        is_answer: impl FnMut(&[u8]) -> bool + Send + 'static,
        timeout: Duration,
    ) -> Result<Vec<u8>, Error> {
        let connection = self.connection().ok_or(Error::NotConnected)?;
        connection.call(request, is_answer, timeout)
    }

    /// Takes what was [kept](Reconnect::keep_bytes) for a connection that did not come before the client ended, where
    /// the client [keeps](ClientBuilder::keep_unsent) that, too: whole payloads, in the order of sending.
    ///
    /// They are those that [`Error::Unsent`] counts, and are there when `on_fail` is told of it, until they are taken
    /// or the last handle of the client goes. What a connection left unsent is [its own](Connection::take_unsent).
    /// Never blocks.
    pub fn take_unsent(&self) -> Vec<Vec<u8>> {
        self.core().offline_queue().map(OfflineQueue::take_unsent).unwrap_or_default()
    }

    /// The connection to the server; `None` before the start, after the end, and while there is none. (One of a certain
    /// id is [`Service::connection`].)
    pub fn connection(&self) -> Option<Connection> {
        self.connections().pop().filter(|connection| connection.disconnect_reason().is_none())
    }

    /// Does something with the connection of a client that has only one.
    fn with_only<T>(&self, send: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, Error> {
        let connection = self.shared.only.get().ok_or(Error::NotConnected)?;
        // Only an error is moved: to copy what has just been written of the result holds up each message.
        send(connection).map_err(|error| match error {
            Error::Disconnected if connection.disconnect_reason().is_some() => Error::NotConnected,
            error => error,
        })
    }

    fn core(&self) -> &Arc<Core> {
        &self.shared.core
    }
}

impl_service!(Client);

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("port", &self.port())
            .field("connection", &self.connection())
            .finish_non_exhaustive()
    }
}

use std::fmt;
use std::sync::{Arc, OnceLock};

use log::info;

use crate::admission::Admission;
use crate::builder::{Builder, ClientSide};
use crate::callback::Callback;
use crate::config::require;
use crate::connection::Connection;
use crate::error::Error;
use crate::handle::impl_service;
use crate::reader;
use crate::service::{Core, Service};
use crate::threads;
use crate::transport::Connector;
use crate::transport::contained::Contained;
use crate::transport::tcp::TcpConnector;

/// Connects to one server.
///
/// A cheap handle: clones stand for the same client, and dropping them does not stop it; [`close`](Self::close) does.
/// A client ends with its connection: to connect again, build another.
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
    connector: Box<dyn Connector>,
    /// The one connection, also after its end.
    connection: OnceLock<Connection>,
}

impl Builder<ClientSide> {
    /// Builds the client. Nothing is connected before [`Client::start`].
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSeparator`] and [`Error::InvalidSetting`].
    pub fn build(self) -> Result<Client, Error> {
        let settings = self.settings()?;
        let connect_timeout = self.side.connect_timeout;
        require(!connect_timeout.is_zero(), "connect_timeout", "must not be 0")?;
        let port = self.port;
        let connector: Box<dyn Connector> = match self.side.connector {
            Some(connector) => Box::new(Contained::new(connector)),
            None => Box::new(TcpConnector::new(port, connect_timeout)),
        };
        let core = Core::new("client", port, None, self.callback, settings, Admission::default());
        Ok(Client { shared: Arc::new(Shared { core, connector, connection: OnceLock::new() }) })
    }
}

impl Client {
    /// Begins to build a client, for port 16900 unless told otherwise.
    pub fn builder() -> Builder<ClientSide> {
        Builder::new(ClientSide::default())
    }

    /// Connects to a server, and receives until the connection ends.
    ///
    /// `address` is a host name or an IP address, if need be with a port (`vehicle.local`, `10.0.0.7:16901`,
    /// `[::1]:16901`); for another transport, whatever its connector understands. Connecting takes place on the calling
    /// thread either way. With `parallel`, a new thread receives, and this returns as soon as messages can be sent.
    /// Without, the calling thread receives, and this returns when the connection has ended.
    ///
    /// # Errors
    ///
    /// [`Error::Connect`], after which the start may be tried again; [`Error::SpawnThread`] when the system has no thread
    /// left, or no descriptor to wake one with; [`Error::AlreadyStarted`]; [`Error::Closed`] when the client was closed
    /// before or meanwhile.
    pub fn start(&self, address: &str, parallel: bool) -> Result<(), Error> {
        let core = self.core();
        core.life().begin_start()?;
        let connector = &self.shared.connector;
        let stream = connector.connect(address).map_err(|source| {
            core.life().start_failed();
            Error::Connect { address: connector.describe(address), source: Arc::new(source) }
        })?;
        let port = stream.peer_addr().map(|address| address.port());
        core.run(format!("client of {}", stream.peer()), port, stream.local_addr(), None)
            .inspect_err(|_| core.life().start_failed())?;
        let Some((connection, stream)) = core.open(core.next_id(), stream) else {
            core.finish();
            return Err(Error::Closed);
        };
        let _ = self.shared.connection.set(connection.clone());
        info!("client is connected to {connection}");
        let name = format!("leads-comm reader {} {connection}", connection.id());
        let receive = {
            let (core, connection, callback) = (Arc::clone(core), connection.clone(), core.callback());
            move || {
                core.initialize(&*callback);
                reader::run(&core, &connection, &*callback, stream);
                drop(callback);
                core.finish();
            }
        };
        if !parallel {
            receive();
            return Ok(());
        }
        threads::start(name, core.settings().reader_stack, receive).inspect_err(|_| {
            core.turn_away(&connection);
            core.finish();
        })
    }

    /// Sends one message to the server: see [`Connection::send`].
    ///
    /// # Errors
    ///
    /// [`Error::NotConnected`] before the start and after the end; otherwise those of [`Connection::send`].
    pub fn send(&self, message: &[u8]) -> Result<(), Error> {
        self.current(|connection| connection.send(message))
    }

    /// Sends several messages to the server in one go, and tells how many were accepted: see [`Connection::send_all`].
    ///
    /// # Errors
    ///
    /// [`Error::NotConnected`] before the start and after the end; otherwise those of [`Connection::send_all`].
    pub fn send_all<M: AsRef<[u8]>>(&self, messages: impl IntoIterator<Item = M>) -> Result<usize, Error> {
        self.current(|connection| connection.send_all(messages))
    }

    /// The connection to the server; `None` before the start and after the end.
    pub fn connection(&self) -> Option<Connection> {
        self.shared.connection.get().filter(|connection| connection.disconnect_reason().is_none()).cloned()
    }

    /// Does something with the connection while there is one.
    fn current<T>(&self, send: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, Error> {
        let connection = self.shared.connection.get().ok_or(Error::NotConnected)?;
        match send(connection) {
            Err(Error::Disconnected) if connection.disconnect_reason().is_some() => Err(Error::NotConnected),
            result => result,
        }
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

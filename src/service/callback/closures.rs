use std::fmt;

use super::Callback;
use crate::connection::Connection;
use crate::error::{DisconnectReason, Error};
use crate::service::Service;
use crate::service::callback::Attempt;

type OnInitialize = dyn Fn(&dyn Service) + Send + Sync;
type OnConnect = dyn Fn(&dyn Service, &Connection) + Send + Sync;
type OnReceive = dyn Fn(&Connection, &[u8]) + Send + Sync;
type OnDisconnect = dyn Fn(&dyn Service, &Connection, &DisconnectReason) + Send + Sync;
type OnReconnect = dyn Fn(&dyn Service, &Attempt) + Send + Sync;
type OnFail = dyn Fn(&dyn Service, &Error) + Send + Sync;

/// A callback made of closures, one for each event that is of interest.
///
/// Made by [`closures`] or [`on_receive`]. Setting the same event twice keeps the later closure.
///
/// # Examples
///
/// ```
/// use leads_comm::{Server, callback};
///
/// let callback = callback::on_receive(|connection, message| {
///     println!("{connection}: {}", String::from_utf8_lossy(message));
/// })
/// .on_connect(|_service, connection| println!("{connection} is here"))
/// .on_disconnect(|service, connection, reason| {
///     println!("{connection} has left ({reason:#}), {} remain", service.num_connections());
/// });
/// let server = Server::builder().port(0).callback(callback).build()?;
/// # drop(server);
/// # Ok::<(), leads_comm::Error>(())
/// ```
#[derive(Default)]
pub struct Closures {
    initialize: Option<Box<OnInitialize>>,
    connect: Option<Box<OnConnect>>,
    receive: Option<Box<OnReceive>>,
    disconnect: Option<Box<OnDisconnect>>,
    reconnect: Option<Box<OnReconnect>>,
    fail: Option<Box<OnFail>>,
}

/// No closures yet: add them with the methods of [`Closures`].
pub fn closures() -> Closures {
    Closures::default()
}

/// A callback that calls `receive` with each message and who sent it.
pub fn on_receive(receive: impl Fn(&Connection, &[u8]) + Send + Sync + 'static) -> Closures {
    closures().on_receive(receive)
}

impl Closures {
    /// Serves [`Callback::on_initialize`].
    #[must_use]
    pub fn on_initialize(mut self, initialize: impl Fn(&dyn Service) + Send + Sync + 'static) -> Self {
        self.initialize = Some(Box::new(initialize));
        self
    }

    /// Serves [`Callback::on_connect`].
    #[must_use]
    pub fn on_connect(mut self, connect: impl Fn(&dyn Service, &Connection) + Send + Sync + 'static) -> Self {
        self.connect = Some(Box::new(connect));
        self
    }

    /// Serves [`Callback::on_receive`], without the service.
    #[must_use]
    pub fn on_receive(mut self, receive: impl Fn(&Connection, &[u8]) + Send + Sync + 'static) -> Self {
        self.receive = Some(Box::new(receive));
        self
    }

    /// Serves [`Callback::on_disconnect`].
    #[must_use]
    pub fn on_disconnect(
        mut self,
        disconnect: impl Fn(&dyn Service, &Connection, &DisconnectReason) + Send + Sync + 'static,
    ) -> Self {
        self.disconnect = Some(Box::new(disconnect));
        self
    }

    /// Serves [`Callback::on_reconnect`].
    #[must_use]
    pub fn on_reconnect(mut self, reconnect: impl Fn(&dyn Service, &Attempt) + Send + Sync + 'static) -> Self {
        self.reconnect = Some(Box::new(reconnect));
        self
    }

    /// Serves [`Callback::on_fail`].
    #[must_use]
    pub fn on_fail(mut self, fail: impl Fn(&dyn Service, &Error) + Send + Sync + 'static) -> Self {
        self.fail = Some(Box::new(fail));
        self
    }
}

impl Callback for Closures {
    fn on_initialize(&self, service: &dyn Service) {
        if let Some(initialize) = &self.initialize {
            initialize(service);
        }
    }

    fn on_connect(&self, service: &dyn Service, connection: &Connection) {
        if let Some(connect) = &self.connect {
            connect(service, connection);
        }
    }

    fn on_receive(&self, _: &dyn Service, connection: &Connection, message: &[u8]) {
        if let Some(receive) = &self.receive {
            receive(connection, message);
        }
    }

    fn on_disconnect(&self, service: &dyn Service, connection: &Connection, reason: &DisconnectReason) {
        if let Some(disconnect) = &self.disconnect {
            disconnect(service, connection, reason);
        }
    }

    fn on_reconnect(&self, service: &dyn Service, attempt: &Attempt) {
        if let Some(reconnect) = &self.reconnect {
            reconnect(service, attempt);
        }
    }

    fn on_fail(&self, service: &dyn Service, error: &Error) {
        if let Some(fail) = &self.fail {
            fail(service, error);
        }
    }
}

impl fmt::Debug for Closures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closures").finish_non_exhaustive()
    }
}

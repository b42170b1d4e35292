//! The connection to the vehicle: what comes on it goes into the queue, and commands go out on it.

use std::sync::Arc;

use leads_comm::{Attempt, Callback, Client, Connection, DisconnectReason, Error, Service};
use parking_lot::Mutex;

use crate::console::{Failure, complain};
use crate::endpoint::{self, Endpoint, Status};
use crate::recording::channels::{Origin, escape};
use crate::recording::queue::Queue;

/// A client's connection, or one after the other.
pub(crate) struct Link {
    queue: Arc<Queue>,
    origin: Arc<Origin>,
    status: Status,
    address: String,
    now: Mutex<Now>,
}

/// How it is at this moment.
#[derive(Debug, Clone, Default)]
struct Now {
    connection: Option<Connection>,
    /// Since when there is one, or none; in nanoseconds since 1970.
    since: Option<u64>,
    /// Whether it has been said that messages are left out.
    has_complained: bool,
}

/// Why a command did not go out.
#[derive(Debug)]
pub(crate) enum NotSent {
    NotConnected,
    Failed(Error),
}

impl Link {
    pub(crate) fn new(endpoint: &Endpoint, queue: Arc<Queue>) -> Self {
        let address = endpoint.address.to_string();
        Self { queue, origin: origin(endpoint), status: endpoint.status(), address, now: Mutex::default() }
    }

    /// Whether it is connected, since when that is so, and a line about it.
    pub(super) fn told(&self) -> (bool, Option<u64>, String) {
        let Now { connection, since, .. } = self.now.lock().clone();
        let line = match (&connection, self.status.cause()) {
            (Some(connection), _) => format!("connected to {connection}"),
            (None, cause) if cause.is_empty() => format!("connecting to {}", self.address),
            (None, cause) => cause,
        };
        (connection.is_some(), since, line)
    }

    /// Sends a message, unless there is no connection.
    pub(super) fn send(&self, message: &[u8]) -> Result<(), NotSent> {
        let connection = self.now.lock().connection.clone().ok_or(NotSent::NotConnected)?;
        connection.send(message).map_err(|error| match error {
            Error::Disconnected | Error::NotConnected | Error::Closed => NotSent::NotConnected,
            error => NotSent::Failed(error),
        })
    }
}

impl Link {
    fn note(&self, connection: Option<Connection>) {
        let mut now = self.now.lock();
        (now.connection, now.since) = (connection, Some(self.queue.clock().now()));
    }
}

impl Callback for Link {
    fn on_connect(&self, service: &dyn Service, connection: &Connection) {
        // Once it is said that it is connected, commands can be sent.
        self.note(Some(connection.clone()));
        self.status.on_connect(service, connection);
    }

    fn on_receive(&self, _: &dyn Service, _: &Connection, message: &[u8]) {
        // The page shows how many these are.
        if self.queue.push(&self.origin, message) && !std::mem::replace(&mut self.now.lock().has_complained, true) {
            complain("leads-comm: messages are left out: they come faster than they can be looked at");
        }
    }

    fn on_disconnect(&self, service: &dyn Service, connection: &Connection, reason: &DisconnectReason) {
        // Once it is known that there is no connection, so is why.
        self.status.on_disconnect(service, connection, reason);
        self.note(None);
    }

    fn on_reconnect(&self, service: &dyn Service, attempt: &Attempt) {
        self.status.on_reconnect(service, attempt);
    }

    fn on_fail(&self, service: &dyn Service, error: &Error) {
        self.status.on_fail(service, error);
    }
}

/// What a client is sent goes into the queue, and nothing is said of how it fares.
struct Quiet {
    queue: Arc<Queue>,
    origin: Arc<Origin>,
}

impl Callback for Quiet {
    fn on_receive(&self, _: &dyn Service, _: &Connection, message: &[u8]) {
        // What is left out is counted there.
        self.queue.push(&self.origin, message);
    }
}

/// Where messages of an endpoint come from.
fn origin(endpoint: &Endpoint) -> Arc<Origin> {
    let (peer, separator) = (endpoint.address.to_string(), escape(&endpoint.separator));
    Arc::new(Origin { role: "client", peer, separator })
}

/// Begins to look for the pictures of a LEADS vehicle, which has them or has not.
pub(crate) fn pictures(endpoint: &Endpoint, queue: &Arc<Queue>) -> Result<Client, Failure> {
    let (builder, place) = endpoint.client()?;
    let builder = builder.closing(endpoint::closing()).reconnect(endpoint::reconnect());
    let client = builder.callback(Quiet { queue: Arc::clone(queue), origin: origin(endpoint) }).build()?;
    client.start(&place, true)?;
    Ok(client)
}

/// A client of the vehicle that feeds this, and connects again for as long as it takes; and what its `start` is given.
pub(crate) fn client(endpoint: &Endpoint, link: &Arc<Link>) -> Result<(Client, String), Failure> {
    let (builder, place) = endpoint.client()?;
    let builder = builder.closing(endpoint::closing()).reconnect(endpoint::reconnect());
    Ok((builder.callback((endpoint.watch(), Arc::clone(link))).build()?, place))
}

//! What happens on the connections of `record`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use leads_comm::{Callback, Connection, DisconnectCause, DisconnectReason, Error, Service};
use parking_lot::Mutex;

use crate::console::{Failure, Sparing, fail, tell};
use crate::endpoint::{Endpoint, Status};
use crate::recording::channels::{Origin, escape};
use crate::recording::queue::Queue;
use crate::show::Until;

/// Puts what is received into the queue.
pub(super) struct Receiver {
    endpoint: Arc<Endpoint>,
    /// Whether it is that of a server.
    serves: bool,
    queue: Arc<Queue>,
    until: Arc<Until>,
    /// Says that messages are being lost, which they may be several times a second.
    said_lost: Sparing,
    /// How a client's connection goes.
    status: Status,
    /// Why the last connection has ended.
    reason: Mutex<Option<DisconnectReason>>,
    /// How many bytes of messages came of which the rest did not.
    unfinished: AtomicU64,
}

impl Receiver {
    pub(super) fn new(endpoint: Arc<Endpoint>, serves: bool, queue: Arc<Queue>, until: Arc<Until>) -> Self {
        let status = endpoint.status();
        Self {
            endpoint,
            serves,
            queue,
            until,
            said_lost: Sparing::default(),
            status,
            reason: Mutex::default(),
            unfinished: AtomicU64::default(),
        }
    }

    /// Goes in front of this, for a client.
    pub(super) fn status(&self) -> Status {
        self.status.clone()
    }

    pub(super) fn role(&self) -> &'static str {
        if self.serves { "server" } else { "client" }
    }

    /// How many bytes were received that became no message.
    pub(super) fn unfinished(&self) -> u64 {
        self.unfinished.load(Ordering::Relaxed)
    }

    fn origin(&self, connection: &Connection) -> Origin {
        let peer = match (self.serves, connection.peer_addr()) {
            (false, _) => self.endpoint.address.to_string(),
            (true, Some(peer)) => peer.ip().to_canonical().to_string(),
            (true, None) => "unix".into(),
        };
        Origin { role: self.role(), peer, separator: escape(&self.endpoint.separator) }
    }

    /// What it is worth that a client's connection has ended by itself.
    pub(super) fn outcome(&self) -> Result<(), Failure> {
        let cause = self.status.cause();
        match (&*self.reason.lock(), self.until.missing()) {
            (Some(DisconnectReason { cause: DisconnectCause::PeerGoodbye, .. }), None) => Ok(()),
            (_, None) => Err(fail(cause)),
            (_, Some((come, count))) => Err(fail(format!("{come} of {count} messages came; {cause}"))),
        }
    }
}

impl Callback for Receiver {
    fn on_initialize(&self, service: &dyn Service) {
        if self.serves {
            self.endpoint.tell_listening(service);
        }
    }

    fn on_connect(&self, _: &dyn Service, connection: &Connection) {
        connection.insert(self.origin(connection));
        if self.serves {
            tell(format_args!("#{} {connection} connected", connection.id()));
        }
    }

    fn on_receive(&self, _: &dyn Service, connection: &Connection, message: &[u8]) {
        let Some(origin) = connection.get::<Origin>() else { return };
        self.until.count(|| {
            if self.queue.push(&origin, message) {
                self.said_lost.complain("messages are being lost: they come faster than they can be written");
            }
        });
    }

    fn on_disconnect(&self, _: &dyn Service, connection: &Connection, reason: &DisconnectReason) {
        if self.serves {
            tell(format_args!("#{} {connection} disconnected: {reason:#}", connection.id()));
        }
        self.unfinished.fetch_add(reason.undelivered.unfinished_bytes as u64, Ordering::Relaxed);
        *self.reason.lock() = Some(reason.clone());
    }

    fn on_fail(&self, _: &dyn Service, error: &Error) {
        if self.serves {
            tell(format_args!("{error:#}"));
        }
    }
}

//! The side that sends: numbers what is published, keeps it, and serves everybody who comes.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use leads_comm::codec::{EncodeError, GOODBYE};
use leads_comm::{
    Attempt, Callback, Connection, ConnectionId, DisconnectReason, Error, Server, ServerBuilder, Service, SlowConsumer,
};
use parking_lot::Mutex;

use crate::feed::{Feed, Source};
use crate::in_flight::InFlight;
use crate::wire::{self, Answer};
use crate::{History, Position, PublishError};

/// How long what is sent to a subscriber waits for memory, where the queues of all peers together are full.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server whose broadcasts have numbers and are kept, so that subscribers get all of them, whatever happens in
/// between.
///
/// A cheap handle, as a [`Server`] is: clones stand for the same publisher.
///
/// # Who gets what
///
/// A peer that asks for it, as a [`Subscriber`](crate::Subscriber) does, gets what the [`History`] has behind the last
/// message that it names, and then whatever is published, each message with its number: at its own speed, read from the
/// history by a thread of its own. Nobody waits for it, and none of its messages waits in a queue for long; a
/// subscriber that is slower than the history is long is told of a [`Gap`](crate::Gap). While it takes nothing at all,
/// it is [disconnected](leads_comm::Timeouts::stall_timeout) as every peer.
///
/// Every other peer gets what is published from the moment on that it connects, as by [`Server::broadcast`]: the same
/// bytes, under the server's [delivery](leads_comm::Delivery).
///
/// # Examples
///
/// ```
/// use leads_comm::Server;
/// use leads_comm_resume::{Bounds, History, Publisher};
///
/// let publisher = Publisher::new(Server::builder().port(0), History::in_memory(Bounds::new())?, ())?;
/// publisher.start(true)?;
/// let position = publisher.publish(b"speed:42")?;
/// assert_eq!(position.number, 1);
/// # publisher.close();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Publisher {
    server: Server,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    source: Arc<Source>,
    feeds: Mutex<HashMap<ConnectionId, (Feed, JoinHandle<()>)>>,
}

impl Publisher {
    /// A publisher on a server that this builds. `callback` is told what the server's callback is told, but for what
    /// subscribers ask; it takes the place of one that the builder has.
    ///
    /// # Errors
    ///
    /// Those of [`ServerBuilder::build`].
    pub fn new(builder: ServerBuilder, history: History, callback: impl Callback) -> Result<Self, Error> {
        let source = Arc::new(Source { history, in_flight: InFlight::new() });
        let shared = Arc::new(Shared { source, feeds: Mutex::default() });
        let server = builder.callback(Serving { shared: Arc::clone(&shared), callback }).build()?;
        Ok(Self { server, shared })
    }

    /// Starts the server: see [`Server::start`].
    ///
    /// # Errors
    ///
    /// Those of [`Server::start`].
    pub fn start(&self, parallel: bool) -> Result<(), Error> {
        self.server.start(parallel)
    }

    /// Adds a message to the history, and sends it to everybody who is connected.
    ///
    /// Blocks as [`Server::broadcast`] does, and for as long as the history takes to write it. Messages that several
    /// threads publish at once have the order of their numbers for every subscriber; for the other peers, any order.
    /// May be called from any thread, in any callback, and before the start.
    ///
    /// # Errors
    ///
    /// See [`PublishError`]; but for [`PublishError::NotBroadcast`], nothing was published.
    pub fn publish(&self, message: &[u8]) -> Result<Position, PublishError> {
        self.check(message)?;
        let flight = self.shared.source.in_flight.begin();
        let position = self.shared.source.history.append(message)?;
        let broadcast = self.server.broadcast(message);
        drop(flight);
        broadcast.map(|_| position).map_err(|source| PublishError::NotBroadcast { position, source })
    }

    /// Refuses what could not be sent to everybody.
    fn check(&self, message: &[u8]) -> Result<(), PublishError> {
        if message == GOODBYE {
            return Err(PublishError::Message(Error::InvalidMessage(EncodeError::IsGoodbye)));
        }
        if Answer::parse(message).is_some() {
            return Err(PublishError::Reserved);
        }
        // What can be sent with its number, can without it.
        let longest = [wire::LONGEST_NUMBER.as_bytes(), message].concat();
        self.server.check_message(&longest).map_err(PublishError::Message)
    }

    /// The position of the last message in the history; `None` when there has never been one.
    pub fn last(&self) -> Option<Position> {
        self.shared.source.history.last()
    }

    /// How many subscribers are connected.
    pub fn num_subscribers(&self) -> usize {
        self.shared.feeds.lock().len()
    }

    /// The server, for everything else. What is sent by itself has no number and is not kept: what is
    /// [broadcast](Server::broadcast) does not reach subscribers at all, and what is [sent](Connection::send) to one is
    /// told to its callback, unless it looks like a message of the [protocol](crate#protocol). A callback that
    /// [replaces](Server::replace_callback) those of the server takes the place of what serves subscribers.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Ends the server, and the history: see [`Service::close`]. From then on nothing is published, and the folder of
    /// the history may be opened again. What a subscriber has not got by then it gets the next time, if the history
    /// survives.
    pub fn close(&self) {
        self.server.close();
        self.shared.source.history.close();
    }
}

impl Shared {
    /// Serves a peer from now on as it asks, unless it has asked before.
    fn subscribe(&self, connection: &Connection, last: Option<Position>) {
        // On this connection's thread alone, so that nobody is in between.
        if self.feeds.lock().contains_key(&connection.id()) {
            return;
        }
        // Only what its feed sends, all of that, and in order.
        let delivery = connection.delivery().conflate(false).lifespan(None).min_interval(None);
        let delivery = delivery.slow_consumer(SlowConsumer::Block(PATIENCE)).filter(|_, _| false);
        let started = connection.set_delivery(delivery).map_err(|error| error.to_string()).and_then(|()| {
            let feed = Feed::new(connection.clone());
            let thread = feed.start(Arc::clone(&self.source), last).map_err(|error| error.to_string())?;
            Ok((feed, thread))
        });
        match started {
            Ok(feed) => drop(self.feeds.lock().insert(connection.id(), feed)),
            Err(error) => {
                log::warn!("subscriber {connection} cannot be served: {error}");
                connection.abort();
            }
        }
    }

    /// Waits for the end of the thread of a peer that is gone.
    fn unsubscribe(&self, connection: &Connection) {
        let Some((feed, thread)) = self.feeds.lock().remove(&connection.id()) else { return };
        feed.end(&self.source.history);
        // One that panics has told so itself.
        let _ = thread.join();
    }
}

/// The callback of the server: takes what subscribers ask, and passes the rest on.
struct Serving<C> {
    shared: Arc<Shared>,
    callback: C,
}

impl<C: Callback> Callback for Serving<C> {
    fn on_initialize(&self, service: &dyn Service) {
        self.callback.on_initialize(service);
    }

    fn on_connect(&self, service: &dyn Service, connection: &Connection) {
        self.callback.on_connect(service, connection);
    }

    fn on_receive(&self, service: &dyn Service, connection: &Connection, message: &[u8]) {
        match wire::parse_request(message) {
            Some(last) => self.shared.subscribe(connection, last),
            None => self.callback.on_receive(service, connection, message),
        }
    }

    fn on_disconnect(&self, service: &dyn Service, connection: &Connection, reason: &DisconnectReason) {
        self.shared.unsubscribe(connection);
        self.callback.on_disconnect(service, connection, reason);
    }

    fn on_reconnect(&self, service: &dyn Service, attempt: &Attempt) {
        self.callback.on_reconnect(service, attempt);
    }

    fn on_fail(&self, service: &dyn Service, error: &Error) {
        self.callback.on_fail(service, error);
    }
}

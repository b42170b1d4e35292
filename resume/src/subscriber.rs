//! The side that receives: goes on where it was, on every connection.

use std::fmt;
use std::sync::Arc;

use leads_comm::{Attempt, Callback, Client, ClientBuilder, Connection, DisconnectReason, Error, Service};
use parking_lot::Mutex;

use crate::progress::{Progress, Received};
use crate::{Gap, Position};

/// What a program makes of the messages that it has subscribed to.
pub trait Subscription: Send + Sync + 'static {
    /// The next message, and where it is. Called once for each, in order, on the connection's reader thread.
    ///
    /// When it returns the program has the message, and stores it together with its position; if it panics, the
    /// connection ends, as for [`Callback::on_receive`], and the message comes again on the next one.
    fn on_message(&self, position: Position, message: &[u8]);

    /// Messages are missing that this program will never get; the next one follows. On the same thread. Told again on
    /// the next connection if that ends before the next message.
    fn on_gap(&self, gap: &Gap);
}

/// A subscription of two functions: what each [message](Subscription::on_message) is given to, and each
/// [gap](Subscription::on_gap).
pub fn subscription(
    on_message: impl Fn(Position, &[u8]) + Send + Sync + 'static,
    on_gap: impl Fn(&Gap) + Send + Sync + 'static,
) -> impl Subscription {
    Functions { on_message, on_gap }
}

struct Functions<M, G> {
    on_message: M,
    on_gap: G,
}

impl<M, G> Subscription for Functions<M, G>
where
    M: Fn(Position, &[u8]) + Send + Sync + 'static,
    G: Fn(&Gap) + Send + Sync + 'static,
{
    fn on_message(&self, position: Position, message: &[u8]) {
        (self.on_message)(position, message);
    }

    fn on_gap(&self, gap: &Gap) {
        (self.on_gap)(gap);
    }
}

impl<T: Subscription + ?Sized> Subscription for Arc<T> {
    fn on_message(&self, position: Position, message: &[u8]) {
        (**self).on_message(position, message);
    }

    fn on_gap(&self, gap: &Gap) {
        (**self).on_gap(gap);
    }
}

/// A client that gets every message of a [`Publisher`](crate::Publisher), once and in order, over however many
/// connections.
///
/// It says on each connection which message it has last, and the publisher goes on behind that. Give its builder a
/// [`reconnect`](ClientBuilder::reconnect). Over restarts of this program it goes by the position that the program
/// stored last, and gives it here; stored in one step with the message itself, nothing is lost and nothing comes twice.
///
/// A cheap handle, as a [`Client`] is.
#[derive(Clone)]
pub struct Subscriber {
    client: Client,
    progress: Arc<Mutex<Progress>>,
}

impl Subscriber {
    /// A subscriber of a client that this builds, for a program that has everything up to `last`. Without that, it gets
    /// all that the publisher has kept. `callback` is told what the client's callback is told, but for those messages;
    /// it takes the place of one that the builder has. Its `on_receive` gets what the publisher sends to this peer
    /// alone, once it has answered.
    ///
    /// # Errors
    ///
    /// Those of [`ClientBuilder::build`].
    pub fn new(
        builder: ClientBuilder,
        last: Option<Position>,
        subscription: impl Subscription,
        callback: impl Callback,
    ) -> Result<Self, Error> {
        let progress = Arc::new(Mutex::new(Progress::new(last)));
        let receiving = Receiving { progress: Arc::clone(&progress), subscription, callback };
        Ok(Self { client: builder.callback(receiving).build()?, progress })
    }

    /// Connects, and receives: see [`Client::start`].
    ///
    /// # Errors
    ///
    /// Those of [`Client::start`].
    pub fn start(&self, address: &str, parallel: bool) -> Result<(), Error> {
        self.client.start(address, parallel)
    }

    /// The last message that the program has; `None` when it has none.
    pub fn last(&self) -> Option<Position> {
        self.progress.lock().last()
    }

    /// Whether the server has said where it goes on. One that is no publisher never does, and nothing is received from
    /// it.
    pub fn is_resumed(&self) -> bool {
        self.progress.lock().is_resumed()
    }

    /// The client, for everything else. A [call](Client::call) is offered each message first, with its number in front:
    /// one that it takes for its answer is a [`Gap`] to the subscription. A callback that
    /// [replaces](Client::replace_callback) those of the client takes the place of the subscription.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Ends the client: see [`Service::close`].
    pub fn close(&self) {
        self.client.close();
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber").field("client", &self.client).field("last", &self.last()).finish_non_exhaustive()
    }
}

/// The callback of the client: takes what the publisher says, and passes the rest on.
struct Receiving<S, C> {
    progress: Arc<Mutex<Progress>>,
    subscription: S,
    callback: C,
}

impl<S: Subscription, C: Callback> Callback for Receiving<S, C> {
    fn on_initialize(&self, service: &dyn Service) {
        self.callback.on_initialize(service);
    }

    fn on_connect(&self, service: &dyn Service, connection: &Connection) {
        let request = self.progress.lock().begin();
        // An error means that it has ended, which is told to the callback, or that the separator is a part of this,
        // and then nothing ever comes.
        if let Err(error) = connection.send(request.as_bytes()) {
            log::warn!("{connection} cannot be asked: {error:#}");
        }
        self.callback.on_connect(service, connection);
    }

    fn on_receive(&self, service: &dyn Service, connection: &Connection, message: &[u8]) {
        loop {
            // Not locked while the program is called.
            let received = self.progress.lock().receive(message);
            match received {
                Received::Nothing => {}
                Received::Gap { gap, again } => {
                    self.subscription.on_gap(&gap);
                    if again {
                        continue;
                    }
                }
                Received::Message(position, payload) => {
                    self.subscription.on_message(position, payload);
                    self.progress.lock().done(position);
                }
                Received::Unnumbered(message) => self.callback.on_receive(service, connection, message),
            }
            return;
        }
    }

    fn on_disconnect(&self, service: &dyn Service, connection: &Connection, reason: &DisconnectReason) {
        self.progress.lock().end();
        self.callback.on_disconnect(service, connection, reason);
    }

    fn on_reconnect(&self, service: &dyn Service, attempt: &Attempt) {
        self.callback.on_reconnect(service, attempt);
    }

    fn on_fail(&self, service: &dyn Service, error: &Error) {
        self.callback.on_fail(service, error);
    }
}

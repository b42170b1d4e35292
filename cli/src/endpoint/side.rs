//! A client with the place that it connects to, or a server: for verbs that may be either.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use leads_comm::{Callback, Client, ClientBuilder, Error, Server, Service, SlowConsumer};
use leads_comm_resume::{Position, Subscriber, Subscription};

use super::{Endpoint, Telling, closing, reconnect};
use crate::console::Failure;

/// Either side of a connection.
#[derive(Clone)]
pub(crate) enum Side {
    /// With what its `start` is given.
    Client(Client, String),
    Server(Server),
}

impl Side {
    /// Has a server listen. A client connects when it [goes on](Self::go_on).
    ///
    /// # Errors
    ///
    /// Those of the server's start, but for [`Error::Closed`]: when it was closed that early, it goes on for no time.
    pub(crate) fn begin(&self) -> Result<(), Error> {
        match self {
            Self::Client(..) => Ok(()),
            Self::Server(server) => ended(server.start(true)),
        }
    }

    /// The side of a vehicle, which is waited for by nobody: one to connect to, for as long as it takes, or a server
    /// that several may connect to.
    pub(crate) fn of_vehicle(
        endpoint: &Arc<Endpoint>,
        is_server: bool,
        callback: impl Callback,
    ) -> Result<Self, Failure> {
        if is_server {
            let telling = Telling::of_server(endpoint, "vehicle");
            let builder = endpoint.server()?.slow_consumer(COMMANDS);
            return Ok(Self::Server(builder.callback((endpoint.watch(), (telling, callback))).build()?));
        }
        let (builder, place) = vehicle_client(endpoint)?;
        let callback = (endpoint.watch(), (Telling::of_client(endpoint), callback));
        Ok(Self::Client(builder.callback(callback).build()?, place))
    }

    /// The side of a vehicle that keeps what it says, and is asked for all behind `last`.
    pub(crate) fn of_resumed(
        endpoint: &Arc<Endpoint>,
        last: Option<Position>,
        subscription: impl Subscription,
    ) -> Result<(Self, Subscriber), Failure> {
        let (builder, place) = vehicle_client(endpoint)?;
        let callback = (endpoint.watch(), Telling::of_client(endpoint));
        let subscriber = Subscriber::new(builder, last, subscription, callback)?;
        Ok((Self::Client(subscriber.client().clone(), place), subscriber))
    }

    /// Says something to all that are connected, for the pump to send; to how many.
    ///
    /// # Errors
    ///
    /// Those of the library's `queue`, and of its `queue_broadcast`.
    pub(crate) fn queue(&self, message: &[u8]) -> Result<usize, Error> {
        match self {
            Self::Client(client, _) => client.queue(message).map(|()| 1),
            Self::Server(server) => server.queue_broadcast(message),
        }
    }

    /// Goes on, on a thread of its own, which tells when it has ended.
    pub(crate) fn go_on_beside(&self, ended: impl FnOnce(Result<(), Error>) + Send + 'static) -> JoinHandle<()> {
        let side = self.clone();
        thread::spawn(move || ended(side.go_on()))
    }

    /// Blocks until it has ended.
    ///
    /// # Errors
    ///
    /// Those of the client's start, but for [`Error::Closed`].
    pub(crate) fn go_on(&self) -> Result<(), Error> {
        match self {
            Self::Client(client, place) => ended(client.start(place, false)),
            Self::Server(server) => {
                server.wait();
                Ok(())
            }
        }
    }

    pub(crate) fn close(&self) {
        self.service().close();
    }

    pub(crate) fn service(&self) -> &dyn Service {
        match self {
            Self::Client(client, _) => client,
            Self::Server(server) => server,
        }
    }
}

/// Of commands that a vehicle does not read, the first ones are enough.
const COMMANDS: SlowConsumer = SlowConsumer::DropNewest;

/// A client of a vehicle, for as long as it takes; and what its `start` is given.
fn vehicle_client(endpoint: &Endpoint) -> Result<(ClientBuilder, String), Failure> {
    let (builder, place) = endpoint.client()?;
    Ok((builder.slow_consumer(COMMANDS).closing(closing()).reconnect(reconnect()), place))
}

/// That it was closed first is no failure.
fn ended(outcome: Result<(), Error>) -> Result<(), Error> {
    match outcome {
        Err(Error::Closed) => Ok(()),
        outcome => outcome,
    }
}

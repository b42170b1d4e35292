//! Where a recording is played to: the viewers of a server, or the server that a client is connected to.

use std::time::Duration;

use leads_comm::crossbeam_channel::Sender;
use leads_comm::{Callback, Client, Connection, DisconnectReason, Error, Server, Service, SlowConsumer, callback};

use super::control::Control;
use crate::console::{Failure, tell};
use crate::endpoint::{self, Endpoint, Status};

/// How long a viewer may read nothing, where all of it has to arrive.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Who is played to.
#[derive(Clone)]
pub(crate) enum Stage {
    Server(Server),
    /// With where it connects to.
    Client(Client, String),
}

/// What becomes of viewers that are slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// A vehicle waits for nobody: they lose the oldest messages.
    Live,
    /// Nobody loses anything.
    Fast,
}

impl Stage {
    /// A server for viewers, as the vehicle is one.
    pub(crate) fn server(endpoint: &Endpoint, pace: Pace, control: Sender<Control>) -> Result<Self, Failure> {
        let told = callback::on_receive(|_, _| {})
            .on_connect(|_, connection| tell(format_args!("#{} {connection} connected", connection.id())))
            .on_disconnect(|_, connection, reason| {
                tell(format_args!("#{} {connection} disconnected: {reason:#}", connection.id()));
            })
            .on_fail(|_, error| tell(format_args!("{error:#}")));
        let builder = endpoint.server()?.slow_consumer(slow_consumer(pace)).coalesce(pace == Pace::Fast);
        Ok(Self::Server(builder.callback((told, Audience(control))).build()?))
    }

    /// A client of a server that wants to be told; it connects again for as long as it takes.
    pub(crate) fn client(endpoint: &Endpoint, pace: Pace, control: Sender<Control>) -> Result<Self, Failure> {
        let (builder, place) = endpoint.client()?;
        let builder = builder.slow_consumer(slow_consumer(pace)).coalesce(pace == Pace::Fast);
        let builder = builder.reconnect(endpoint::reconnect());
        Ok(Self::Client(builder.callback((Status::default(), Audience(control))).build()?, place))
    }

    /// Begins to listen, or to connect.
    pub(crate) fn open(&self) -> Result<(), Error> {
        match self {
            Self::Server(server) => server.start(true),
            Self::Client(client, place) => client.start(place, true),
        }
    }

    /// Sends a message to all who are there; how many these are.
    pub(crate) fn send(&self, message: &[u8]) -> Result<usize, Error> {
        match self {
            Self::Server(server) => server.broadcast(message),
            Self::Client(client, _) => client.send(message).map(|()| 1),
        }
    }

    pub(crate) fn service(&self) -> &dyn Service {
        match self {
            Self::Server(server) => server,
            Self::Client(client, _) => client,
        }
    }
}

fn slow_consumer(pace: Pace) -> SlowConsumer {
    match pace {
        Pace::Live => SlowConsumer::DropOldest,
        Pace::Fast => SlowConsumer::Block(PATIENCE),
    }
}

/// Tells the player who is there.
struct Audience(Sender<Control>);

impl Callback for Audience {
    fn on_connect(&self, _: &dyn Service, _: &Connection) {
        let _ = self.0.send(Control::Audience);
    }

    fn on_disconnect(&self, _: &dyn Service, _: &Connection, _: &DisconnectReason) {
        let _ = self.0.send(Control::Audience);
    }
}

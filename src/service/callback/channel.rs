use std::fmt;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use super::Callback;
use crate::connection::{Connection, ServiceId};
use crate::error::{DisconnectReason, Error};
use crate::service::Service;
use crate::service::callback::Attempt;

/// One call of a [`Callback`], as a value. Of which service, [`service`](Self::service) tells.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// [`Callback::on_initialize`].
    Initialize {
        /// What has started.
        service: ServiceId,
    },
    /// [`Callback::on_connect`].
    Connect {
        /// Who has connected.
        connection: Connection,
    },
    /// [`Callback::on_receive`].
    Receive {
        /// Who sent it.
        connection: Connection,
        /// The message, without its separator.
        message: Vec<u8>,
    },
    /// [`Callback::on_disconnect`].
    Disconnect {
        /// Who has left.
        connection: Connection,
        /// Why.
        reason: DisconnectReason,
    },
    /// [`Callback::on_reconnect`].
    Reconnect {
        /// The client that does.
        service: ServiceId,
        /// What is about to be tried.
        attempt: Attempt,
    },
    /// [`Callback::on_fail`].
    Fail {
        /// Of which a thread has met the failure.
        service: ServiceId,
        /// What went wrong.
        error: Error,
    },
}

impl Event {
    /// Which service told it: its [`id`](Service::id).
    pub fn service(&self) -> ServiceId {
        match self {
            Self::Initialize { service } | Self::Reconnect { service, .. } | Self::Fail { service, .. } => *service,
            Self::Connect { connection } | Self::Receive { connection, .. } | Self::Disconnect { connection, .. } => {
                connection.service()
            }
        }
    }
}

/// A callback that puts every event into a channel, and the channel's receiving end: for programs that would rather
/// wait with `select!` than be called.
///
/// `capacity` is how many events may wait; at least 1. When the channel is full, every thread that has another one
/// waits for room: nothing is dropped, each connection's events stay in order, and each peer that sends is slowed down
/// by its own stream. Sending, broadcasting and accepting go on, unless the accepting thread itself has something to
/// tell (`on_initialize`, `on_fail`). A program that stops receiving should drop the receiver; events are thrown away
/// from then on. Closing a service while its channel is full takes the whole [close
/// time-out](crate::Closing::close_timeout) unless somebody keeps receiving. Once every service that feeds it has
/// ended, the channel ends behind the last event.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use leads_comm::{Client, Server, callback::{self, Event}, crossbeam_channel};
///
/// let (callback, events) = callback::channel(256);
/// let server = Server::builder().port(0).callback(callback).build()?;
/// server.start(true)?;
///
/// let client = Client::builder().port(server.port()).build()?;
/// client.start("127.0.0.1", true)?;
/// client.send(b"m1")?;
///
/// let (closed, stop) = crossbeam_channel::bounded::<()>(1);
/// loop {
///     crossbeam_channel::select! {
///         recv(events) -> event => match event {
///             Ok(Event::Receive { message, .. }) => {
///                 assert_eq!(message, b"m1");
///                 closed.send(())?;
///             }
///             Ok(_) => {}
///             Err(_) => break,
///         },
///         recv(stop) -> _ => break,
///         default(Duration::from_secs(5)) => panic!("nothing has arrived"),
///     }
/// }
/// # client.close();
/// # drop(events);
/// # server.close();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn channel(capacity: usize) -> (ChannelCallback, Receiver<Event>) {
    let (events, receiver) = crossbeam_channel::bounded(capacity.max(1));
    (ChannelCallback::new(events, |event| event), receiver)
}

/// The callback of [`channel`], [`latest`](super::latest()) and [`newest`](super::newest), or of a channel of the
/// program's own.
///
/// Clones feed the same channel, so that several services can share one: [`Event::service`] tells whose an event is.
/// Where a name says more than an id, each service gets a callback of its own, which puts its events into a type of the
/// program's.
///
/// # Examples
///
/// ```
/// use leads_comm::callback::{ChannelCallback, Event};
/// use leads_comm::{Client, Server, crossbeam_channel};
///
/// /// What the program's one loop waits for.
/// enum Input {
///     Vehicle(Event),
///     Pit(Event),
///     Quit,
/// }
///
/// let (inputs, receiver) = crossbeam_channel::bounded(256);
/// let vehicle = Server::builder().port(0).callback(ChannelCallback::new(inputs.clone(), Input::Vehicle)).build()?;
/// vehicle.start(true)?;
/// let address = format!("127.0.0.1:{}", vehicle.port());
/// let pit = Client::connect(&address, ChannelCallback::new(inputs.clone(), Input::Pit))?;
/// pit.send(b"m1")?;
/// for input in receiver {
///     match input {
///         Input::Vehicle(Event::Receive { message, .. }) => {
///             assert_eq!(message, b"m1");
///             inputs.send(Input::Quit)?;
///         }
///         Input::Pit(Event::Receive { .. }) => unreachable!("the vehicle has said nothing"),
///         Input::Vehicle(_) | Input::Pit(_) => {}
///         Input::Quit => break,
///     }
/// }
/// # pit.close();
/// # vehicle.close();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ChannelCallback<T = Event> {
    events: Sender<T>,
    /// What goes into the channel for an event, if anything does.
    wrap: Arc<dyn Fn(Event) -> Option<T> + Send + Sync>,
}

impl<T: Send + 'static> ChannelCallback<T> {
    /// Puts what `wrap` makes of each event into a channel of the program's own, which others may feed as well. What
    /// happens when it is full, or nobody receives any more, is as with [`channel`].
    ///
    /// `wrap` runs where the callback does, and may do what that may.
    pub fn new(events: Sender<T>, wrap: impl Fn(Event) -> T + Send + Sync + 'static) -> Self {
        Self::sparing(events, move |event| Some(wrap(event)))
    }

    /// One that puts in nothing for some events.
    pub(super) fn sparing(events: Sender<T>, wrap: impl Fn(Event) -> Option<T> + Send + Sync + 'static) -> Self {
        Self { events, wrap: Arc::new(wrap) }
    }

    fn put(&self, event: Event) {
        if let Some(item) = (self.wrap)(event) {
            // Fails when the receiver is gone: nobody wants to know.
            let _ = self.events.send(item);
        }
    }
}

impl<T> Clone for ChannelCallback<T> {
    fn clone(&self) -> Self {
        Self { events: self.events.clone(), wrap: Arc::clone(&self.wrap) }
    }
}

impl<T> fmt::Debug for ChannelCallback<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelCallback").field("events", &self.events).finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Callback for ChannelCallback<T> {
    fn on_initialize(&self, service: &dyn Service) {
        self.put(Event::Initialize { service: service.id() });
    }

    fn on_connect(&self, _: &dyn Service, connection: &Connection) {
        self.put(Event::Connect { connection: connection.clone() });
    }

    fn on_receive(&self, _: &dyn Service, connection: &Connection, message: &[u8]) {
        self.put(Event::Receive { connection: connection.clone(), message: message.to_vec() });
    }

    fn on_disconnect(&self, _: &dyn Service, connection: &Connection, reason: &DisconnectReason) {
        self.put(Event::Disconnect { connection: connection.clone(), reason: reason.clone() });
    }

    fn on_reconnect(&self, service: &dyn Service, attempt: &Attempt) {
        self.put(Event::Reconnect { service: service.id(), attempt: *attempt });
    }

    fn on_fail(&self, service: &dyn Service, error: &Error) {
        self.put(Event::Fail { service: service.id(), error: error.clone() });
    }
}

use crossbeam_channel::{Receiver, Sender};

use super::Callback;
use crate::backoff::Attempt;
use crate::connection::Connection;
use crate::disconnect::DisconnectReason;
use crate::error::Error;
use crate::service::Service;

/// One call of a [`Callback`], as a value.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// [`Callback::on_initialize`].
    Initialize,
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
        /// What is about to be tried.
        attempt: Attempt,
    },
    /// [`Callback::on_fail`].
    Fail {
        /// What went wrong.
        error: Error,
    },
}

/// A callback that puts every event into a channel, and the channel's receiving end: for programs that would rather
/// wait with `select!` than be called.
///
/// `capacity` is how many events may wait; at least 1. When the channel is full, every thread that has another one
/// waits for room: nothing is dropped, each connection's events stay in order, and each peer that sends is slowed down
/// by its own stream. Sending, broadcasting and accepting go on, unless the accepting thread itself has something to
/// tell (`on_initialize`, `on_fail`). A program that stops receiving should drop the receiver; events are thrown away
/// from then on. Closing a service while its channel is full takes the whole [close
/// time-out](crate::ServerBuilder::close_timeout) unless somebody keeps receiving. Once every service that feeds it has
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
    (ChannelCallback { events }, receiver)
}

/// The callback of [`channel`]. Clones feed the same channel, so that several services can share one; their events can
/// then be told apart by the connection's addresses only.
#[derive(Debug, Clone)]
pub struct ChannelCallback {
    events: Sender<Event>,
}

impl ChannelCallback {
    fn put(&self, event: Event) {
        // Fails when the receiver is gone: nobody wants to know.
        let _ = self.events.send(event);
    }
}

impl Callback for ChannelCallback {
    fn on_initialize(&self, _: &dyn Service) {
        self.put(Event::Initialize);
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

    fn on_reconnect(&self, _: &dyn Service, attempt: &Attempt) {
        self.put(Event::Reconnect { attempt: *attempt });
    }

    fn on_fail(&self, _: &dyn Service, error: &Error) {
        self.put(Event::Fail { error: error.clone() });
    }
}

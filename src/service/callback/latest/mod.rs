//! A channel for programs that take their time: what has become worthless while it waited is not waited for.
//!
//! ```text
//!   reader threads ──▶ Waiting      what waits, in its order; a newer state is put in the place of the older
//!                 └──▶ channel      a `Ready` for each that waits ──▶ the program, which takes what is first by then
//! ```
//!
//! So waiting, time-outs, `select!` and the end are those of every channel.

#[cfg(test)]
mod tests;
mod waiting;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvError, RecvTimeoutError, TryRecvError};
use parking_lot::{Condvar, Mutex};

use super::{ChannelCallback, Event};
use crate::connection::Connection;
use crate::settings::Key;
use waiting::{Kind, Waiting};

/// How many messages without a key may wait, and of how many keys one, unless it is set.
const MAX_WAITING: usize = 1024;

/// How many connects and disconnects may wait before newcomers have to.
const MAX_LASTING: usize = 1024;

/// A callback for a program that takes its time, and what it receives from: of the messages that wait, only the newest
/// of each key and connection, in the place of the one before.
///
/// Each connection is read at full speed, however long the program takes, so what it is given of a key is the newest
/// that has arrived by then. Messages for which `key` gives `None` are kept all, up to a limit, in their order; so are
/// connects, disconnects and whatever else an [`Event`] is. A key never goes back in time, and the last message of each
/// is never lost.
///
/// What waits is limited, without slowing any peer down:
///
/// - Up to 1024 messages without a key ([`set_max_events`](LatestReceiver::set_max_events)). When there are more, the
///   oldest is [dropped](LatestReceiver::dropped). Failures and attempts to connect again count as such messages.
/// - Up to 1024 messages with a key, one of each key of each connection
///   ([`set_max_keys`](LatestReceiver::set_max_keys)). Beyond, a message counts as one without a key.
/// - Each of them has up to [`max_received_len`](crate::ServerBuilder::max_received_len) bytes.
/// - Connects and disconnects are never dropped: when 1024 of them wait, newcomers wait in `on_connect`, on their own
///   threads, and are not read meanwhile. Closing a service then takes the whole [close
///   time-out](crate::Closing::close_timeout).
///
/// `key` runs on the reader threads, outside of locks, and may do what a callback may. If it panics, the connection
/// ends as by a panic in `on_receive`. A program that stops receiving should drop the receiver; events are thrown away
/// from then on. Once every service that the callback has been given to has ended, and the callback's clones are gone,
/// the receiver ends behind the last event.
///
/// # Examples
///
/// ```
/// use leads_comm::{Client, Server, callback::{self, Event}, key};
///
/// let (callback, events) = callback::latest(key::prefix(b':'));
/// let display = Server::builder().port(0).callback(callback).build()?;
/// display.start(true)?;
/// let vehicle = Client::connect(&format!("127.0.0.1:{}", display.port()), ())?;
/// for message in ["speed:38.5", "lap finished", "speed:38.7", "bye"] {
///     vehicle.send(message.as_bytes())?;
/// }
/// for event in events.iter() {
///     match event {
///         Event::Receive { message, .. } if message == b"bye" => break,
///         // May take its time: if it comes too late for the first speed, it is given the second in its place.
///         Event::Receive { message, .. } => println!("{}", message.escape_ascii()),
///         _ => {}
///     }
/// }
/// # vehicle.close();
/// # display.close();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn latest(key: impl Fn(&[u8]) -> Option<Key> + Send + Sync + 'static) -> (ChannelCallback<Ready>, LatestReceiver) {
    let (sender, ready) = crossbeam_channel::unbounded();
    let queue = Arc::new(Queue { waiting: Mutex::new(Waiting::new(MAX_WAITING, MAX_WAITING)), room: Condvar::new() });
    let receiver = LatestReceiver { ready, queue: Arc::clone(&queue) };
    let callback = ChannelCallback::sparing(sender, move |event| {
        let kind = match &event {
            Event::Receive { connection, message } => match key(message) {
                Some(key) => Kind::State((connection.clone(), key)),
                None => Kind::Event,
            },
            Event::Reconnect { .. } | Event::Fail { .. } => Kind::Event,
            Event::Initialize { .. } | Event::Connect { .. } | Event::Disconnect { .. } => Kind::Lasting,
        };
        queue.put(kind, event).then(|| Ready { queue: Some(Arc::clone(&queue)) })
    });
    (callback, receiver)
}

/// As [`channel`](super::channel()), but no peer is slowed down: when `capacity` messages wait, at least 1, the oldest
/// is dropped for a newer one, and [counted](LatestReceiver::dropped).
///
/// It is [`latest`] without keys: for messages each of which says something of its own, such as a log, of which the
/// program wants the end.
///
/// # Examples
///
/// ```
/// use leads_comm::{Server, callback::{self, Event}};
///
/// let (callback, events) = callback::newest(100);
/// let server = Server::builder().port(0).callback(callback).build()?;
/// server.start(true)?;
/// assert!(matches!(events.recv()?, Event::Initialize { .. }));
/// server.close();
/// println!("{} messages came too fast", events.dropped());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn newest(capacity: usize) -> (ChannelCallback<Ready>, LatestReceiver) {
    let (callback, receiver) = latest(|_| None);
    receiver.set_max_events(capacity);
    (callback, receiver)
}

/// The receiving end of [`latest`] and [`newest`].
///
/// Clones receive from the same queue, each event once.
#[derive(Clone)]
pub struct LatestReceiver {
    ready: Receiver<Ready>,
    queue: Arc<Queue>,
}

impl LatestReceiver {
    /// Blocks until there is an event.
    ///
    /// # Errors
    ///
    /// When none waits, and none will come any more.
    pub fn recv(&self) -> Result<Event, RecvError> {
        self.ready.recv().map(Ready::event)
    }

    /// Blocks until there is an event, at most for `time`.
    ///
    /// # Errors
    ///
    /// `Timeout` when the time is over, `Disconnected` when none waits and none will come any more.
    pub fn recv_timeout(&self, time: Duration) -> Result<Event, RecvTimeoutError> {
        self.ready.recv_timeout(time).map(Ready::event)
    }

    /// An event if there is one.
    ///
    /// # Errors
    ///
    /// `Empty` when none waits, `Disconnected` when none will come any more either.
    pub fn try_recv(&self) -> Result<Event, TryRecvError> {
        self.ready.try_recv().map(Ready::event)
    }

    /// Every event, until none will come any more. Blocks in between.
    pub fn iter(&self) -> impl Iterator<Item = Event> + '_ {
        self.ready.iter().map(Ready::event)
    }

    /// Every event that waits. Does not block.
    pub fn try_iter(&self) -> impl Iterator<Item = Event> + '_ {
        self.ready.try_iter().map(Ready::event)
    }

    /// A channel with a [`Ready`] for each event that waits, to wait for events and something else at once with
    /// [`select!`](crossbeam_channel::select).
    ///
    /// # Examples
    ///
    /// ```
    /// use leads_comm::{Client, Server, callback::{self, Event}, crossbeam_channel, key};
    ///
    /// let (callback, states) = callback::latest(key::all());
    /// let server = Server::builder().port(0).callback(callback).build()?;
    /// server.start(true)?;
    /// let client = Client::connect(&format!("127.0.0.1:{}", server.port()), ())?;
    /// client.send(b"38.5")?;
    ///
    /// let (stop, stopped) = crossbeam_channel::bounded(1);
    /// loop {
    ///     crossbeam_channel::select! {
    ///         recv(states.ready()) -> ready => match ready?.event() {
    ///             Event::Receive { message, .. } => {
    ///                 assert_eq!(message, b"38.5");
    ///                 stop.send(())?;
    ///             }
    ///             _ => {}
    ///         },
    ///         recv(stopped) -> _ => break,
    ///     }
    /// }
    /// # client.close();
    /// # server.close();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ready(&self) -> &Receiver<Ready> {
        &self.ready
    }

    /// How many messages without a key may wait, of all connections together; at least 1. Default 1024, with [`newest`]
    /// its capacity.
    ///
    /// While more than that wait already, each that comes costs the oldest.
    pub fn set_max_events(&self, count: usize) {
        self.queue.waiting.lock().max_events = count.max(1);
    }

    /// How many messages with a key may wait, one of each key of each connection. Default 1024.
    ///
    /// A message of one more key counts as a message without. What waits already stays.
    pub fn set_max_keys(&self, count: usize) {
        self.queue.waiting.lock().max_keys = count;
    }

    /// How many messages have been replaced by a newer one of their key.
    pub fn conflated(&self) -> u64 {
        self.queue.waiting.lock().conflated
    }

    /// How many messages without a key, failures and attempts have been dropped because too many waited.
    pub fn dropped(&self) -> u64 {
        self.queue.waiting.lock().dropped
    }

    /// How many events wait.
    pub fn len(&self) -> usize {
        self.ready.len()
    }

    /// Whether no event waits.
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }
}

impl fmt::Debug for LatestReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LatestReceiver").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// Stands for one event that waits: from [`LatestReceiver::ready`].
///
/// Dropped, it throws that event away.
pub struct Ready {
    /// Gone when the event has been taken.
    queue: Option<Arc<Queue>>,
}

impl Ready {
    /// The event: which one, is decided now. Does not block.
    pub fn event(mut self) -> Event {
        self.queue.take().expect("only this and the drop take it").take()
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        if let Some(queue) = self.queue.take() {
            drop(queue.take());
        }
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready").finish_non_exhaustive()
    }
}

/// At any time, at least as many events wait in it as there are `Ready`s.
struct Queue {
    waiting: Mutex<Waiting<(Connection, Key), Event>>,
    /// Something has been taken.
    room: Condvar,
}

impl Queue {
    /// Puts an event in; whether one more waits than before. Blocks while newcomers have to wait.
    fn put(&self, kind: Kind<(Connection, Key)>, event: Event) -> bool {
        let mut waiting = self.waiting.lock();
        if let Event::Connect { .. } = event {
            // Only newcomers: so disconnects are as many as connections can be, and none waits.
            while waiting.lasting() >= MAX_LASTING {
                self.room.wait(&mut waiting);
            }
        }
        let replaced = waiting.put(kind, event);
        drop(waiting);
        // It may hold the last handle of a connection, which is not let go under the lock.
        replaced.is_none()
    }

    fn take(&self) -> Event {
        let event = self.waiting.lock().take().expect("there is an event for each `Ready`");
        self.room.notify_one();
        event
    }
}

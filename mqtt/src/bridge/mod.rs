mod builder;

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::{Callback, Connection, Service};
use parking_lot::Mutex;

use crate::error::Error;
use crate::foreign;
use crate::sender::{Parts, Sender};
use crate::settings::MAX_KEY_LEN;
use crate::shared::Shared;
use crate::stats::Stats;
use crate::topics::Topics;
use crate::waiting::{Message, now_ms};
pub use builder::BridgeBuilder;

/// How much longer than [`close_timeout`](BridgeBuilder::close_timeout) the end of all threads may take.
const GRACE: Duration = Duration::from_secs(2);

/// Publishes the messages of one stream of a vehicle at an MQTT broker, and takes commands from there.
///
/// A cheap handle: clones stand for the same bridge, and dropping them does not stop it; [`close`](Self::close) does.
/// It is a [`Callback`] that publishes what its service receives, and may be told of several services, or be one of two
/// callbacks, as in `(bridge.clone(), other)`.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use leads_comm::{Client, Reconnect, key};
/// use leads_comm_mqtt::{Bridge, Offline};
///
/// let bridge = Bridge::builder("car-7", "telemetry")
///     .key(key::prefix(b':'))
///     .retain(true)
///     .offline(Offline::Memory(8 << 20))
///     .events(|event| println!("{event}"))
///     .build()?;
/// // No broker is there yet; what comes meanwhile waits.
/// bridge.start("127.0.0.1:1")?;
///
/// // The vehicle, and everything that it sends.
/// let vehicle = Client::builder().reconnect(Reconnect::new().at_start(true)).callback(bridge.clone()).build()?;
/// vehicle.start("127.0.0.1:1", true)?;
/// bridge.publish(b"speed:38.5")?;
/// assert_eq!(bridge.stats().accepted, 1);
/// # vehicle.close();
/// # bridge.close();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Bridge {
    shared: Arc<Shared>,
    /// What it takes to start, until it is.
    parts: Arc<Mutex<Option<Parts>>>,
}

impl Bridge {
    /// Begins to build a bridge for a stream of a vehicle. Both names are levels of its topics, and may be any 1 to
    /// 1024 bytes; what a level cannot have is [escaped](crate::escape).
    pub fn builder(vehicle: impl AsRef<[u8]>, stream: impl AsRef<[u8]>) -> BridgeBuilder {
        BridgeBuilder::new(vehicle.as_ref(), stream.as_ref())
    }

    pub(crate) fn new(shared: Arc<Shared>, parts: Parts) -> Self {
        Self { shared, parts: Arc::new(Mutex::new(Some(parts))) }
    }

    /// Starts the bridge, which connects to the broker, and goes on trying where it cannot. Does not wait for that:
    /// what becomes of it is told as an [`Event`](crate::Event).
    ///
    /// `address` is a host name or an IP address, if need be with a port; for another
    /// [transport](BridgeBuilder::transport), whatever its connector understands.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyStarted`], [`Error::Closed`]; [`Error::Client`] and [`Error::SpawnThread`] when the system has
    /// no thread left, after which the bridge is over.
    pub fn start(&self, address: &str) -> Result<(), Error> {
        self.shared.start()?;
        // There are none where it is closed at this very moment.
        let parts = self.parts.lock().take().ok_or(Error::Closed).inspect_err(|_| self.shared.end())?;
        let client = parts.client.clone();
        let started = client.start(address, true).map_err(Error::Client).and_then(|()| {
            let sender = Sender::new(Arc::clone(&self.shared), parts);
            let spawned = thread::Builder::new().name("lc-mqtt".to_owned()).spawn(move || sender.run());
            spawned.map(drop).map_err(|error| Error::SpawnThread { source: Arc::new(error) })
        });
        started.inspect_err(|_| {
            client.close();
            self.shared.end();
        })
    }

    /// Publishes a message. Never waits, whatever the broker does: it takes a lock for a moment, and copies the
    /// message.
    ///
    /// `Ok` says that it was taken, and which number it has: they are counted from 1, and [`Stats::settled`] tells up to
    /// which it is settled what has become of them. It goes to the broker as soon as that takes it, behind what was
    /// taken before; where there is no session it goes where [`offline`](BridgeBuilder::offline) says. May be called
    /// from any thread and in any callback.
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`] and [`Error::KeyTooLong`]; [`Error::NotStarted`] and [`Error::Closed`].
    pub fn publish(&self, message: &[u8]) -> Result<u64, Error> {
        self.shared.publish(self.message(message)?, false)
    }

    /// Publishes a message as [`publish`](Self::publish) does, but where there is no room for it, it waits until there
    /// is, or the bridge is closed: for a program that has its messages from a disk, or from a sender who keeps them.
    ///
    /// What may wait is [`max_live_bytes`](BridgeBuilder::max_live_bytes); where there is a backlog, as much again, but no
    /// more than half of the backlog with all that waits there or is on its way: so that it has room when the session
    /// ends. In a function that the bridge has called (commands, events, the logger) it does not wait.
    ///
    /// # Errors
    ///
    /// Those of [`publish`](Self::publish).
    pub fn publish_blocking(&self, message: &[u8]) -> Result<u64, Error> {
        self.shared.publish(self.message(message)?, !foreign::is_inside())
    }

    fn message(&self, message: &[u8]) -> Result<Message, Error> {
        let key = self.shared.settings.key.as_ref().and_then(|key| key(message));
        let key_len = key.as_ref().map_or(0, |key| key.as_bytes().len());
        if key_len > MAX_KEY_LEN {
            return Err(Error::KeyTooLong { len: key_len, limit: MAX_KEY_LEN });
        }
        let limit = self.shared.settings.longest_message(&self.shared.topics, key_len);
        if message.len() > limit {
            return Err(Error::TooLong { len: message.len(), limit });
        }
        Ok(Message { at: now_ms(), key, payload: message.into() })
    }

    /// The topics of the bridge.
    pub fn topics(&self) -> &Topics {
        &self.shared.topics
    }

    /// What the bridge is called by the broker.
    pub fn client_id(&self) -> String {
        self.shared.settings.hello(&self.shared.topics).client_id
    }

    /// What has gone through the bridge so far, in numbers. Takes a lock for a moment, and waits for nothing else.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Ends the bridge in order, as far as the broker is there: hands over what waits to go live, takes back what is
    /// retained, says that it is offline, and parts. What waits in the backlog stays there; nothing is taken any more.
    ///
    /// Blocks until that is done and its threads have ended, at most for the [time-out](BridgeBuilder::close_timeout)
    /// and two seconds. In a function that the bridge has called (commands, events, the logger) it only starts all
    /// this, and returns at once; in a callback of a service it holds that up so long. May be called from any thread,
    /// and more than once.
    pub fn close(&self) {
        let by = Instant::now() + self.shared.settings.close_timeout;
        self.shared.begin_close(by);
        // Of one that was never started nothing else remains.
        drop(self.parts.lock().take());
        if !foreign::is_inside() {
            self.shared.wait_over(by + GRACE);
        }
    }
}

/// Publishes what is received, and cares for nothing else. What cannot be published, because it is too long, or the
/// bridge is not started or is over, is counted as [`dropped`](Stats::dropped).
impl Callback for Bridge {
    fn on_receive(&self, _service: &dyn Service, _connection: &Connection, message: &[u8]) {
        if self.publish(message).is_err() {
            self.shared.count_refused();
        }
    }
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge")
            .field("topics", &self.shared.topics.to_string())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

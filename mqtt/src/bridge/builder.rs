use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use leads_comm::codec::Framing;
use leads_comm::transport::Connector;
use leads_comm::transport::tcp::TcpConnector;
use leads_comm::{Client, Closing, Delivery, Key, MemoryLimits, Reconnect, Timeouts};

use super::Bridge;
use crate::backlog::{Backlog, Offline};
use crate::commands::Commands;
use crate::error::Error;
use crate::event::Event;
use crate::framing::Packets;
use crate::gate::{Gate, Gated};
use crate::receiving::Receiving;
use crate::sender::{Parts, WINDOW};
use crate::settings::Settings;
use crate::shared::Shared;
use crate::topics::Topics;

/// Builds a [`Bridge`]: see [`Bridge::builder`].
///
/// Every setting has a default, named at its method. What does not fit together is refused by [`build`](Self::build).
#[must_use]
pub struct BridgeBuilder {
    vehicle: Vec<u8>,
    stream: Vec<u8>,
    settings: Settings,
    port: Option<u16>,
    transport: Option<Box<dyn Connector>>,
    #[cfg(feature = "tls")]
    tls: Option<leads_comm::transport::tls::ClientConfig>,
}

/// How long the library waits between two attempts. The bridge has its own delays.
const NEXT_TO_NOTHING: Duration = Duration::from_millis(1);

/// How much may wait in the client besides the longest packet: what goes while the window is open, and the little that
/// is said in between.
const BESIDES: usize = 1024 * 1024;

impl BridgeBuilder {
    pub(crate) fn new(vehicle: &[u8], stream: &[u8]) -> Self {
        Self {
            vehicle: vehicle.to_vec(),
            stream: stream.to_vec(),
            settings: Settings::default(),
            port: None,
            transport: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// A user of the broker, and the password. It goes over the wire as it is: over a network that takes
    /// TLS. No log line, event or `Debug` has it. Default: none.
    pub fn credentials(mut self, user: impl Into<String>, password: impl AsRef<[u8]>) -> Self {
        self.settings.credentials = Some((user.into(), password.as_ref().to_vec()));
        self
    }

    /// Speaks TLS with the broker, on port 8883 unless the address has another. The certificate has to be for the host
    /// in the address given to [`Bridge::start`]; all else is told in [`leads_comm::transport::tls`]. A broker whose
    /// certificate is refused is asked again as seldom as one that refuses. Default: no TLS.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, config: impl Into<leads_comm::transport::tls::ClientConfig>) -> Self {
        self.tls = Some(config.into());
        self
    }

    /// What the key of a message is, which gives it a topic of its own. `None` is for an event. Default: there are no
    /// keys. [`leads_comm::key`](mod@leads_comm::key) has functions for common cases.
    ///
    /// Called once for each message on the thread that publishes it, without any lock of the bridge's. A panic is that
    /// thread's.
    pub fn key(mut self, key: impl Fn(&[u8]) -> Option<Key> + Send + Sync + 'static) -> Self {
        self.settings.key = Some(Arc::new(key));
        self
    }

    /// Whether the broker retains the newest message of each [key](Self::key), for those who come later. Default false.
    ///
    /// They are given to the broker anew in each session, so that one which has started again without them has them;
    /// and taken back, by an empty message that is retained, when the bridge is [closed](Bridge::close). A process that
    /// is killed takes nothing back. At most 4096 keys; what comes with others is published, and not retained. Of their
    /// messages 4 MiB are given anew.
    ///
    /// What is set aside in a session, because the broker takes less than comes, is retained as well. What is dropped
    /// because more comes than there is room for, without an [`Offline`] that keeps or where a disk is too slow, is
    /// not: then the broker goes on with the message before, until another one of that key comes.
    pub fn retain(mut self, retain: bool) -> Self {
        self.settings.retain = retain;
        self
    }

    /// Whether the numbers in messages that are JSON objects are published besides, each to a topic of its own: those
    /// of the object itself, at most 256 of a message, as they are written. Default false.
    ///
    /// For programs that plot a number and do not read JSON. They go as the live message goes, with QoS 0, and are not
    /// retained; of what has waited none are, nor of what goes while the broker takes less than comes.
    pub fn split_fields(mut self, split: bool) -> Self {
        self.settings.split_fields = split;
        self
    }

    /// What becomes of messages while there is no session with the broker. Default [`Offline::Drop`].
    pub fn offline(mut self, offline: Offline) -> Self {
        self.settings.offline = offline;
        self
    }

    /// How fast what has waited goes at most, in bytes of payload in a second. Not 0. Default 256 KiB.
    ///
    /// It goes only while nothing live waits. It should be more than what the vehicle publishes, or it never catches
    /// up after an uplink that was too slow; and less than what the uplink has to spare.
    pub fn catch_up(mut self, bytes_per_second: u64) -> Self {
        self.settings.catch_up = bytes_per_second;
        self
    }

    /// Whether live messages go with QoS 1 as well, so that the broker says that it has them, and those of which it has
    /// not said so wait when the session ends. Default false: they go with QoS 0.
    ///
    /// With it, and with an [`Offline`] that keeps, nothing is lost between the bridge and the broker, whatever becomes
    /// of the uplink and the broker; some messages come twice, at most [`max_in_flight`](Self::max_in_flight) for each
    /// session. It costs an answer for each message, and on a link with a long way no more go than that in one round
    /// trip.
    pub fn acknowledged(mut self, acknowledged: bool) -> Self {
        self.settings.acknowledged = acknowledged;
        self
    }

    /// What may come down, and who gets it. Default: nothing may, and nothing is subscribed to.
    pub fn commands(mut self, commands: Commands) -> Self {
        self.settings.commands = Some(commands);
        self
    }

    /// Who is told of what happens. Default: nobody; all of it is logged in any case.
    ///
    /// On the thread that sends, which sends nothing meanwhile: what is published then waits, as for a broker that is
    /// slow. A panic is contained.
    pub fn events(mut self, events: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.settings.events = Some(Arc::new(events));
        self
    }

    /// What the bridge is called by the broker. Default: the topic that all others begin with, `-` in place of `/`: the
    /// same in every session, and another for each stream of each vehicle.
    ///
    /// Of two clients with one id the broker throws out the one that it has had. Two bridges that do it to each other
    /// go on about once in [`longest_delay`](Self::reconnect).
    pub fn client_id(mut self, client_id: impl Into<String>) -> Self {
        self.settings.client_id = Some(client_id.into());
        self
    }
}

/// What few bridges set.
impl BridgeBuilder {
    /// What all topics begin with: one level, or several with `/` between them. Default `leads`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.settings.prefix = prefix.into();
        self
    }

    /// The port of the broker, where the address has none. Default 1883, with TLS 8883.
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Reaches the broker over another transport than TCP; TLS, where it is set, goes over it.
    pub fn transport(mut self, connector: impl Connector) -> Self {
        self.transport = Some(Box::new(connector));
        self
    }

    /// How long a message may wait for a broker that takes less than comes: in bytes, each message charged its payload,
    /// its key, and 64. What is more goes where messages go [without a session](Self::offline), the oldest first; where
    /// that keeps them, as much again may be on its way there. A message that is longer by itself waits alone. Default
    /// 1 MiB.
    pub fn max_live_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_live_bytes = bytes;
        self
    }

    /// How many messages may be published with QoS 1 and not acknowledged, 1 to 10,000: so many can go in the time that
    /// the broker takes to answer, which over a long way is a second. Default 1000.
    ///
    /// No more than half of them come out of the backlog, with a sixteenth of the bytes that may go in a second by
    /// [`catch_up`](Self::catch_up); those that are live have 8 MiB at most. Some brokers want fewer (AWS IoT Core
    /// [takes 100][quotas]): a session with one that acknowledges the others and not the first is ended after two
    /// [keep-alives](Self::keep_alive).
    ///
    /// [quotas]: https://docs.aws.amazon.com/general/latest/gr/iot-core.html#message-broker-limits
    pub fn max_in_flight(mut self, messages: usize) -> Self {
        self.settings.max_in_flight = messages;
        self
    }

    /// How long a packet may be, either way, in bytes: 16 KiB to 256 MiB. Default 16 MiB.
    ///
    /// A broker has a limit as well, and ends the session of whom exceeds it. On a slow link the broker hears nothing
    /// while a long packet is on its way: [`keep_alive`](Self::keep_alive) should be longer than that takes.
    pub fn max_packet_len(mut self, bytes: usize) -> Self {
        self.settings.max_packet_len = bytes;
        self
    }

    /// How long the broker has to answer when it is asked for a sign of life, which it is twice in that time. One that
    /// says nothing for one and a half times that is gone, and so is, for the broker, a bridge that says nothing so
    /// long. Not 0, and at most 65,535 s. Default 10 s.
    pub fn keep_alive(mut self, time: Duration) -> Self {
        self.settings.keep_alive = time;
        self
    }

    /// How long each address of the broker is given to answer, the handshake of TLS, and then the broker to begin a
    /// session. More than 0, at most a day. Default 5 s.
    pub fn connect_timeout(mut self, time: Duration) -> Self {
        self.settings.connect_timeout = time;
        self
    }

    /// How long the bridge waits before it connects again: up to `first_delay` after a session of ten seconds or more;
    /// after one that was shorter, or none, between half of it and all, doubled each time up to `longest_delay`. After
    /// a refusal it is 5 to 10 s, doubled each time up to a minute, whatever is set here. More than 0, at most a day.
    /// Default 250 ms and 30 s.
    pub fn reconnect(mut self, first_delay: Duration, longest_delay: Duration) -> Self {
        (self.settings.first_delay, self.settings.longest_delay) = (first_delay, longest_delay);
        self
    }

    /// How often the bridge says how much waits, while something does or was lost since. More than 0, at most a day.
    /// Default 5 s.
    pub fn status_interval(mut self, time: Duration) -> Self {
        self.settings.status_interval = time;
        self
    }

    /// How long [`Bridge::close`] may take to hand over what waits to go live, take back what is retained, and part
    /// from the broker. At most a day. Default 5 s; the end of all threads may take two more.
    pub fn close_timeout(mut self, time: Duration) -> Self {
        self.settings.close_timeout = time;
        self
    }

    /// Builds the bridge. Nothing is connected before [`Bridge::start`].
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`]; [`Error::Backlog`] where what waits cannot be opened, for instance because another
    /// bridge has the folder.
    pub fn build(self) -> Result<Bridge, Error> {
        self.settings.check(&self.vehicle, &self.stream)?;
        let topics = Topics::new(&self.settings.prefix, &self.vehicle, &self.stream);
        let backlog = Backlog::open(&self.settings.offline)?;
        let keeps = self.settings.offline != Offline::Drop;
        let builder = client(&self.settings);
        let (settings, inner) = self.connector();
        let shared = Arc::new(Shared::new(settings, topics, keeps, backlog.extent()));
        let gate = Arc::new(Gate::new());
        let gated = Gated { inner, gate: Arc::clone(&gate) };
        let receiving = Receiving::new(Arc::clone(&shared), Arc::clone(&gate));
        let client = builder.transport(gated).callback(receiving).build().map_err(Error::Client)?;
        Ok(Bridge::new(shared, Parts { client, gate, backlog }))
    }

    /// What reaches the broker, and the settings that are left.
    #[cfg(not(feature = "tls"))]
    fn connector(self) -> (Settings, Box<dyn Connector>) {
        let (port, time) = (self.port.unwrap_or(1883), self.settings.connect_timeout);
        (self.settings, self.transport.unwrap_or_else(|| Box::new(TcpConnector::new(port, time))))
    }

    /// What reaches the broker, and the settings that are left. TLS goes inside of the gate, so that whatever it has
    /// against an address is not found out again and again.
    #[cfg(feature = "tls")]
    fn connector(self) -> (Settings, Box<dyn Connector>) {
        let port = self.port.unwrap_or(if self.tls.is_some() { 8883 } else { 1883 });
        let time = self.settings.connect_timeout;
        let transport = self.transport.unwrap_or_else(|| Box::new(TcpConnector::new(port, time)));
        let connector = match self.tls {
            Some(config) => Box::new(leads_comm::transport::tls::TlsConnector::new(Any(transport), config)),
            None => transport,
        };
        (self.settings, connector)
    }
}

/// A connector of whatever type.
#[cfg(feature = "tls")]
struct Any(Box<dyn Connector>);

#[cfg(feature = "tls")]
impl Connector for Any {
    fn connect(&self, address: &str) -> std::io::Result<Box<dyn leads_comm::transport::Stream>> {
        self.0.connect(address)
    }

    fn stop(&self) {
        self.0.stop();
    }

    fn describe(&self, address: &str) -> String {
        self.0.describe(address)
    }
}

/// The client of the broker, but for what carries its bytes and who is told.
fn client(settings: &Settings) -> leads_comm::ClientBuilder {
    let max_len = settings.max_packet_len;
    let framing = Framing::custom(Packets { max_len }).expect("it gives back all that the library says");
    // That of a message by a framing of the program's own, as the library counts it.
    let longest = max_len.saturating_mul(2).saturating_add(64);
    let max_queued_bytes = longest.saturating_add(BESIDES);
    let limit = max_queued_bytes.max(64 * 1024 * 1024);
    let second = Duration::from_secs(1);
    Client::builder()
        .framing(framing)
        .reconnect(Reconnect::new().first_delay(NEXT_TO_NOTHING).longest_delay(NEXT_TO_NOTHING).at_start(true))
        .max_received_len(max_len)
        .max_sent_len(max_len)
        // What the system holds is not fresh any more, and delays the question for a sign of life.
        .delivery(Delivery::new().max_queued_bytes(max_queued_bytes).max_unsent_bytes(WINDOW))
        .memory_limits(MemoryLimits::new().max_total_queued_bytes(limit).max_total_unfinished_bytes(limit))
        .timeouts(Timeouts::new().handshake_timeout(settings.connect_timeout))
        .closing(Closing::new().flush_timeout(second / 2).drain_timeout(second / 2).close_timeout(second))
        .keep_unsent(true)
}

impl fmt::Debug for BridgeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BridgeBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

//! What a bridge is told, checked once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use leads_comm::Key;

use crate::session::{self, Hello};
use crate::topics::{MOST_ESCAPED, Topics};
use crate::{Commands, Error, Event, Offline, backlog, framing};

/// How many bytes a key may have.
pub(crate) const MAX_KEY_LEN: usize = 8 * 1024;

/// How many bytes the prefix of the topics, the vehicle and the stream may have, each.
const MAX_NAME_LEN: usize = 1024;

/// The longest time that can be set.
const LONGEST_TIME: Duration = Duration::from_secs(24 * 3600);

/// How long a packet may be at least that can be set.
const LEAST_PACKET: usize = 16 * 1024;

pub(crate) type KeyFunction = dyn Fn(&[u8]) -> Option<Key> + Send + Sync;
pub(crate) type EventFunction = dyn Fn(&Event) + Send + Sync;

#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) prefix: String,
    pub(crate) client_id: Option<String>,
    pub(crate) credentials: Option<(String, Vec<u8>)>,
    pub(crate) key: Option<Arc<KeyFunction>>,
    pub(crate) retain: bool,
    pub(crate) split_fields: bool,
    pub(crate) acknowledged: bool,
    pub(crate) offline: Offline,
    pub(crate) catch_up: u64,
    pub(crate) max_live_bytes: usize,
    pub(crate) max_in_flight: usize,
    pub(crate) max_packet_len: usize,
    pub(crate) keep_alive: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) first_delay: Duration,
    pub(crate) longest_delay: Duration,
    pub(crate) status_interval: Duration,
    pub(crate) close_timeout: Duration,
    pub(crate) commands: Option<Commands>,
    pub(crate) events: Option<Arc<EventFunction>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            prefix: "leads".to_owned(),
            client_id: None,
            credentials: None,
            key: None,
            retain: false,
            split_fields: false,
            acknowledged: false,
            offline: Offline::Drop,
            catch_up: 256 * 1024,
            max_live_bytes: 1024 * 1024,
            max_in_flight: 1000,
            max_packet_len: 16 * 1024 * 1024,
            keep_alive: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            first_delay: Duration::from_millis(250),
            longest_delay: Duration::from_secs(30),
            status_interval: Duration::from_secs(5),
            close_timeout: Duration::from_secs(5),
            commands: None,
            events: None,
        }
    }
}

impl Settings {
    /// Refuses what is out of range, and what MQTT cannot say.
    pub(crate) fn check(&self, vehicle: &[u8], stream: &[u8]) -> Result<(), Error> {
        let plain_prefix = !self.prefix.is_empty()
            && self.prefix.len() <= MAX_NAME_LEN
            && self.prefix.split('/').all(|level| !level.is_empty() && crate::escape(level.as_bytes()) == level)
            && !self.prefix.starts_with('$');
        let requirement = "must be levels of a topic, none of them empty, without `+`, `#`, `%`, or `$` in front";
        require(plain_prefix, "prefix", requirement)?;
        let is_name = |name: &[u8]| (1..=MAX_NAME_LEN).contains(&name.len());
        require(is_name(vehicle), "vehicle", "must have 1 to 1024 bytes")?;
        require(is_name(stream), "stream", "must have 1 to 1024 bytes")?;
        require(!self.retain || self.key.is_some(), "retain", "needs a key function: only what has a key is retained")?;
        require(self.catch_up > 0, "catch_up", "must not be 0")?;
        require(self.max_live_bytes > 0, "max_live_bytes", "must not be 0")?;
        require((1..=10_000).contains(&self.max_in_flight), "max_in_flight", "must be 1 to 10,000")?;
        let packets = LEAST_PACKET..=framing::LONGEST;
        require(packets.contains(&self.max_packet_len), "max_packet_len", "must be 16 KiB to 256 MiB")?;
        require(self.keep_alive <= Duration::from_secs(65_535), "keep_alive", "must be at most 65,535 s")?;
        require(!self.keep_alive.is_zero(), "keep_alive", "must not be 0")?;
        let is_time = |time: Duration| !time.is_zero() && time <= LONGEST_TIME;
        require(is_time(self.connect_timeout), "connect_timeout", "must be more than 0, and at most a day")?;
        require(self.close_timeout <= LONGEST_TIME, "close_timeout", "must be at most a day")?;
        require(!self.first_delay.is_zero(), "reconnect", "must have a first delay that is not 0")?;
        require(self.longest_delay <= LONGEST_TIME, "reconnect", "must have a longest delay of at most a day")?;
        let in_order = self.first_delay <= self.longest_delay;
        require(in_order, "reconnect", "must have a longest delay that is not shorter than the first")?;
        require(is_time(self.status_interval), "status_interval", "must be more than 0, and at most a day")?;
        // Whatever else MQTT cannot say is a string that is too long.
        let topics = Topics::new(&self.prefix, vehicle, stream);
        let hello = session::connect(&self.hello(&topics), Vec::new());
        let requirement = "must fit into a packet, at most 65,535 bytes";
        let setting = if self.client_id.is_some() { "client_id" } else { "credentials" };
        hello.map(drop).map_err(|_| Error::InvalidSetting { setting, requirement })
    }

    /// What the broker is told first.
    pub(crate) fn hello(&self, topics: &Topics) -> Hello {
        let client_id = self.client_id.clone().unwrap_or_else(|| topics.to_string().replace('/', "-"));
        let whole_seconds = self.keep_alive.as_secs() + u64::from(self.keep_alive.subsec_nanos() > 0);
        Hello {
            client_id,
            keep_alive: u16::try_from(whole_seconds).unwrap_or(u16::MAX),
            will_topic: topics.status().to_owned(),
            credentials: self.credentials.clone(),
        }
    }

    /// How many bytes a message with such a key may have.
    pub(crate) fn longest_message(&self, topics: &Topics, key_len: usize) -> usize {
        // The first byte, the length, that of the topic, and the number; and the line in front of it in the backlog.
        let fixed = 1 + 4 + 2 + 2;
        let waits = backlog::overhead(MOST_ESCAPED * key_len);
        self.max_packet_len.saturating_sub(fixed + topics.longest(key_len) + waits)
    }

    /// How long the broker may say nothing: it is asked after half a keep-alive, and has a whole one to answer.
    pub(crate) fn silence(&self) -> Duration {
        self.keep_alive * 3 / 2
    }

    /// The commands, where any may come.
    pub(crate) fn commands(&self) -> Option<&Commands> {
        self.commands.as_ref().filter(|commands| !commands.is_none())
    }
}

/// Without what is secret, and what the program has brought.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("prefix", &self.prefix)
            .field("client_id", &self.client_id)
            .field("retain", &self.retain)
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}

pub(crate) fn require(holds: bool, setting: &'static str, requirement: &'static str) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::InvalidSetting { setting, requirement }) }
}

//! What a look at a service sees, as the message that says it.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::state::{Known, Sight, State};
use crate::connection::{Connection, ConnectionId};
use crate::service::{Core, Departure, Service};
use crate::settings::DEFAULT_MAX_LEN;
use crate::stats::ConnectionStats;
use crate::stats::json::{Object, millis};
use crate::transport::socket::asking_often;

/// The number of the format. What is only added to it changes nothing.
const VERSION: u64 = 1;

/// How long a message may become, in bytes: as much as a peer of this library receives unless it is told otherwise.
const MAX_LEN: usize = DEFAULT_MAX_LEN;

/// How much there commonly is besides connections, in bytes.
const HEAD: usize = 8 * 1024;

/// How long a name may be, in characters.
const MAX_NAME: usize = 200;

/// After how long without a look what was known is of no use.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(5);

/// What looks, and remembers what it has seen.
#[derive(Default)]
pub(super) struct Look {
    known: HashMap<ConnectionId, Known>,
    last: Option<Instant>,
    /// The connections as they go into the message, one behind the other.
    json: String,
}

/// A connection, and where it is in that.
struct Entry {
    state: State,
    queued_bytes: usize,
    json: Range<usize>,
}

impl Look {
    /// Looks at the service: the message about it.
    pub(super) fn at(&mut self, service: &Core, name: Option<&str>) -> String {
        let now = Instant::now();
        if self.last.is_some_and(|last| now.saturating_duration_since(last) > FORGOTTEN_AFTER) {
            self.known.clear();
        }
        self.last = Some(now);
        // Settles what is just being gathered for all connections.
        let stats = service.stats();
        let connections = service.snapshot().connections;
        self.json.clear();
        let entries: Vec<Entry> =
            asking_often(|| connections.iter().map(|connection| self.entry(connection)).collect());
        if self.known.len() > connections.len() {
            let ids: HashSet<_> = connections.iter().map(Connection::id).collect();
            self.known.retain(|id, _| ids.contains(id));
        }
        let mut json = String::with_capacity((self.json.len() + entries.len() + HEAD).min(MAX_LEN));
        let mut object = Object::begin(&mut json);
        object.number("version", VERSION);
        object.number("at_ms", unix_millis());
        let service_name = service.lifecycle().name();
        object.text("name", cut(name.unwrap_or_else(|| address(&service_name))));
        object.text("role", if service.is_client() { "client" } else { "server" });
        object.number("port", u64::from(service.port()));
        object.object("service", |object| stats.write_to(object, now));
        let departures: Vec<String> =
            service.departures().iter().map(|departure| write_departure(departure, now)).collect();
        object.list("departures", departures.iter().map(String::as_str));
        let (entries, left_out) = fitting(entries, MAX_LEN.saturating_sub(object.len() + 100));
        object.number("left_out", left_out as u64);
        object.list("connections", entries.iter().map(|entry| &self.json[entry.json.clone()]));
        object.end();
        json
    }

    fn entry(&mut self, connection: &Connection) -> Entry {
        let (id, link) = (connection.id(), connection.link());
        let delivery = link.outbox().delivery();
        let traffic = link.traffic();
        let written = traffic.written.bytes;
        let known = self.known.get_mut(&id);
        // Asking the system is what costs most of all this.
        let (system_queued_bytes, peer_unread_bytes) = match &known {
            Some(known) if known.took_all_of(written) => known.untaken(),
            _ => match link.peer_unread_bytes() {
                // What a peer on this system has not acknowledged has not been read, either.
                Some(0) => (Some(0), Some(0)),
                unread => (link.system_queued_bytes(), unread),
            },
        };
        let now = Instant::now();
        let waiting_since = link.outbox().oldest();
        let sight = Sight {
            at: now,
            written,
            system_queued: system_queued_bytes,
            peer_unread: peer_unread_bytes,
            waiting: traffic.waiting.messages,
            oldest: waiting_since.map(|since| now.saturating_duration_since(since)),
            queued_bytes: traffic.queued_bytes,
            max_queued_bytes: delivery.max_queued_bytes,
            dropped: traffic.dropped.messages,
            conflated: traffic.conflated.messages,
            expired: traffic.expired.messages,
            is_paced: delivery.min_interval.is_some(),
        };
        let state = match known {
            Some(known) => known.judge(sight),
            None => self.known.entry(id).or_insert(Known::new(sight)).judge(sight),
        };
        let connected_since = link.since();
        let stats = ConnectionStats { connected_since, waiting_since, traffic, system_queued_bytes, peer_unread_bytes };
        let begin = self.json.len();
        let mut object = Object::begin(&mut self.json);
        object.number("id", id.get());
        object.text("peer", cut(connection.peer()));
        object.text("state", state.as_str());
        object.text("policy", delivery.policy().as_str());
        object.flag("conflate", delivery.conflate);
        object.number("max_queued_bytes", delivery.max_queued_bytes as u64);
        stats.write_to(&mut object, now);
        object.end();
        Entry { state, queued_bytes: traffic.queued_bytes, json: begin..self.json.len() }
    }
}

/// As many as fit into so many bytes, those in the worst state first where not all do; how many do not.
fn fitting(mut entries: Vec<Entry>, room: usize) -> (Vec<Entry>, usize) {
    let len = |entry: &Entry| entry.json.len() + 1;
    if entries.iter().map(len).sum::<usize>() <= room {
        return (entries, 0);
    }
    entries.sort_by_key(|entry| (entry.state, usize::MAX - entry.queued_bytes));
    let mut total = 0;
    let fit = entries.iter().take_while(|entry| {
        total += len(entry);
        total <= room
    });
    let fit = fit.count();
    let left_out = entries.len() - fit;
    entries.truncate(fit);
    (entries, left_out)
}

fn write_departure(departure: &Departure, now: Instant) -> String {
    let mut json = String::with_capacity(256);
    let mut object = Object::begin(&mut json);
    object.number("id", departure.id.get());
    object.text("peer", cut(&departure.peer));
    object.number("ago_ms", millis(departure.at, now));
    object.number("lasted_ms", u64::try_from(departure.lasted.as_millis()).unwrap_or(u64::MAX));
    object.text("kind", departure.kind.as_str());
    object.text("reason", &departure.reason);
    object.end();
    json
}

/// Where the service listens, or whose client it is, of what it is called in logs.
fn address(name: &str) -> &str {
    ["server ", "client of ", "client "].iter().find_map(|kind| name.strip_prefix(kind)).unwrap_or(name)
}

fn cut(name: &str) -> &str {
    name.char_indices().nth(MAX_NAME).map_or(name, |(end, _)| &name[..end])
}

fn unix_millis() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

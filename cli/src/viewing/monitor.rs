//! The numbers of the vehicle's own service, where it publishes them: who else is connected, and who is slow.

use std::sync::Arc;
use std::time::Duration;

use leads_comm::{
    Callback, Client, Connection, DEFAULT_PORT, DisconnectReason, Error, MemoryLimits, Reconnect, Service,
};
use parking_lot::Mutex;
use serde_json::Value;
use serde_json::value::RawValue;

use super::protocol;
use crate::address::Address;
use crate::console::{Failure, usage};
use crate::endpoint;
use crate::recording::clock::Clock;

/// What it says is a line.
const SEPARATOR: &[u8] = b"\n";

/// How long that may be, in bytes: that of some thousand connections.
const LONGEST: usize = 8 << 20;

/// How many connections are shown, and how long the text about them may be.
const SHOWN: usize = 200;
const LONGEST_SHOWN: usize = 1 << 20;

/// How long it may say nothing, of the line that is due each second.
const SILENCE: Duration = Duration::from_secs(3);

/// The longest that is waited before it is asked again.
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// Where the monitor of a vehicle is, unless told otherwise.
pub(crate) fn beside(vehicle: &Address) -> Option<Address> {
    match vehicle {
        Address::Tcp { host, port, .. } => {
            let port = port.unwrap_or(DEFAULT_PORT).checked_add(leads_comm::Monitor::PORT_OFFSET)?;
            Some(Address::Tcp { host: host.clone(), port: Some(port), tls: false })
        }
        Address::Unix(_) | Address::Serial(_) => None,
    }
}

/// Asks for as long as it takes, and says nothing of it.
pub(crate) struct Monitor {
    client: Client,
    heard: Arc<Heard>,
}

/// What it has said.
struct Heard {
    clock: Clock,
    now: Mutex<Now>,
}

#[derive(Debug, Default)]
struct Now {
    /// The newest line, and when it came.
    line: Option<(u64, Vec<u8>)>,
    /// Why there is none.
    error: Option<String>,
    has_changed: bool,
    /// The last text that the page was told.
    told: Option<String>,
}

impl Callback for Heard {
    fn on_receive(&self, _: &dyn Service, _: &Connection, line: &[u8]) {
        let mut now = self.now.lock();
        now.line = Some((self.clock.now(), line.to_vec()));
        (now.error, now.has_changed) = (None, true);
    }

    fn on_disconnect(&self, _: &dyn Service, _: &Connection, reason: &DisconnectReason) {
        self.note(format!("{reason:#}"));
    }

    fn on_fail(&self, _: &dyn Service, error: &Error) {
        self.note(format!("{error:#}"));
    }
}

impl Heard {
    /// Only of one that has answered before it is worth telling that it does not.
    fn note(&self, error: String) {
        let mut now = self.now.lock();
        if now.line.is_some() {
            (now.error, now.has_changed) = (Some(error), true);
        }
    }
}

impl Monitor {
    pub(crate) fn start(address: Address) -> Result<Self, Failure> {
        let heard = Arc::new(Heard { clock: Clock::start(), now: Mutex::default() });
        let builder = Client::builder()
            .separator(SEPARATOR)
            .max_received_len(LONGEST)
            .memory_limits(MemoryLimits::new().max_total_unfinished_bytes(2 * LONGEST))
            .reconnect(Reconnect::new().longest_delay(LONGEST_DELAY).at_start(true))
            .closing(endpoint::closing())
            .callback(Arc::clone(&heard));
        let (builder, place) = match &address {
            Address::Tcp { host, port, tls: false } => {
                let host = host.clone().unwrap_or_else(|| "localhost".into());
                (builder.port(port.unwrap_or(DEFAULT_PORT + leads_comm::Monitor::PORT_OFFSET)), host)
            }
            #[cfg(unix)]
            Address::Unix(path) => (builder.unix(), path.clone()),
            #[cfg(not(unix))]
            Address::Unix(_) => return Err(usage(crate::address::NO_UNIX_SOCKETS)),
            _ => return Err(usage(format!("--monitor takes HOST:PORT, unix:PATH or none, and not {address}"))),
        };
        let client = builder.build()?;
        client.start(&place, true)?;
        Ok(Self { client, heard })
    }

    /// What the page is told of it, if that is news.
    pub(super) fn news(&self) -> Option<String> {
        let mut now = self.heard.now.lock();
        let silence = |(at, _): &(u64, Vec<u8>)| Duration::from_nanos(self.heard.clock.now().saturating_sub(*at));
        if now.error.is_none() && now.line.as_ref().is_some_and(|line| silence(line) > SILENCE) {
            (now.error, now.has_changed) = (Some("no more numbers come".into()), true);
        }
        if !std::mem::take(&mut now.has_changed) {
            return None;
        }
        let (at, line) = now.line.as_ref()?;
        let told = told(*at, line, now.error.as_deref());
        now.told = Some(told.clone());
        Some(told)
    }

    /// The last that the page was told.
    pub(super) fn told(&self) -> Option<String> {
        self.heard.now.lock().told.clone()
    }

    pub(crate) fn close(&self) {
        self.client.close();
    }
}

fn told(at: u64, line: &[u8], error: Option<&str>) -> String {
    let whole: Option<&RawValue> = serde_json::from_slice(line).ok();
    let numbers = whole.and_then(|whole| cut(whole.get()));
    match numbers {
        Some((numbers, left_out)) => protocol::peers(at, error, Some(&numbers), left_out),
        None => protocol::peers(at, error.or(Some("what answers there is no monitor of leads-comm")), None, 0),
    }
}

/// The numbers, with the connections of which most waits, and how many others there are.
fn cut(whole: &str) -> Option<(String, usize)> {
    let mut numbers: Value = serde_json::from_str(whole).ok()?;
    let connections = numbers.as_object_mut()?.get_mut("connections")?.as_array_mut()?;
    if connections.len() <= SHOWN && whole.len() <= LONGEST_SHOWN {
        return Some((whole.into(), 0));
    }
    let badness = |connection: &Value| {
        let state = connection.get("state").and_then(Value::as_str);
        let queued = connection.pointer("/traffic/queued_bytes").and_then(Value::as_u64).unwrap_or_default();
        (["live", "slow", "stopped"].iter().position(|known| state == Some(known)), queued)
    };
    connections.sort_by_key(|connection| std::cmp::Reverse(badness(connection)));
    let left_out = connections.len().saturating_sub(SHOWN);
    connections.truncate(SHOWN);
    let text = numbers.to_string();
    (text.len() <= LONGEST_SHOWN).then_some((text, left_out))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_monitor_is_beside_its_service() {
        let told = |vehicle: &str| beside(&vehicle.parse().unwrap()).map(|address| address.to_string());
        assert_eq!(told("10.0.0.4"), Some("10.0.0.4:16909".into()));
        assert_eq!(told("tls://car:5"), Some("car:14".into()));
        assert_eq!((told("car:65530"), told("unix:/x"), told("serial:/dev/x")), (None, None, None));
    }

    #[test]
    fn the_worst_connections_are_shown() {
        let connection = |id: u64, state: &str| json!({ "id": id, "state": state, "traffic": { "queued_bytes": id } });
        let few = json!({ "version": 1, "connections": [connection(1, "live")] }).to_string();
        assert_eq!(cut(&few), Some((few.clone(), 0)));
        let mut many: Vec<_> = (0..300).map(|id| connection(id, "live")).collect();
        many[7] = connection(7, "stopped");
        many[9] = connection(9, "slow");
        let (text, left_out) = cut(&json!({ "connections": many }).to_string()).unwrap();
        let shown: Value = serde_json::from_str(&text).unwrap();
        let ids: Vec<_> = shown["connections"].as_array().unwrap().iter().map(|one| one["id"].as_u64()).collect();
        assert_eq!((left_out, ids.len(), ids[199]), (100, 200, Some(102)));
        assert_eq!(ids[..3], [Some(7), Some(9), Some(299)]);
    }

    #[test]
    fn what_is_no_monitor_is_not_passed_on() {
        let long = json!({ "connections": [], "x": "x".repeat(LONGEST_SHOWN) }).to_string();
        for line in ["", "{}", "[]", "{\"connections\":7}", "</script>", "{\"connections\":[]", &long] {
            let told: Value = serde_json::from_str(&told(1, line.as_bytes(), None)).unwrap();
            assert_eq!((&told["numbers"], told["error"].is_string()), (&Value::Null, true), "{line:.40}");
        }
    }
}

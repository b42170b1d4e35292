//! A monitor's message, read: what is needed of it, and nothing that was not expected. A monitor may be anybody.

use std::time::Duration;

use serde_json::Value;

use crate::show;

/// The version of the format that is read here.
const VERSION: u64 = 1;

/// The numbers of a service at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Numbers {
    pub(crate) name: String,
    pub(crate) role: String,
    pub(crate) at_ms: u64,
    pub(crate) uptime: Option<Duration>,
    pub(crate) connections: u64,
    pub(crate) opened: u64,
    pub(crate) refused: u64,
    pub(crate) received: Volume,
    pub(crate) written: Volume,
    pub(crate) rows: Vec<Row>,
    /// How many connections are not among them.
    pub(crate) left_out: u64,
    pub(crate) departures: Vec<Departure>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Volume {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

/// How a peer is doing, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    Stopped,
    Slow,
    Live,
    /// What a monitor of another version may say.
    Other,
}

/// A connection.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) id: u64,
    pub(crate) peer: String,
    pub(crate) state: State,
    pub(crate) age: Duration,
    pub(crate) received: u64,
    pub(crate) written: u64,
    pub(crate) queued: u64,
    pub(crate) peak: u64,
    pub(crate) dropped: u64,
    pub(crate) conflated: u64,
    pub(crate) oldest: Option<Duration>,
    pub(crate) policy: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Departure {
    pub(crate) id: u64,
    pub(crate) peer: String,
    pub(crate) ago: Duration,
    pub(crate) lasted: Duration,
    pub(crate) reason: String,
}

impl Numbers {
    /// What a monitor said; why it is no message of one.
    pub(crate) fn read(message: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(message).map_err(|_| "it is no JSON".to_owned())?;
        let (Some(version), Some(service), Some(rows)) =
            (value["version"].as_u64(), value["service"].as_object(), value["connections"].as_array())
        else {
            return Err("it has no numbers of a service".into());
        };
        if version != VERSION {
            return Err(format!("it is of version {version}, and this command knows version {VERSION}"));
        }
        let traffic = &service.get("traffic").cloned().unwrap_or_default();
        Ok(Self {
            name: text(&value["name"]),
            role: text(&value["role"]),
            at_ms: number(&value["at_ms"]),
            uptime: service.get("uptime_ms").and_then(Value::as_u64).map(Duration::from_millis),
            connections: service.get("connections").map_or(0, number),
            opened: service.get("opened").map_or(0, number),
            refused: service
                .get("callers_refused")
                .and_then(Value::as_object)
                .map_or(0, |kinds| kinds.values().map(number).fold(0, u64::saturating_add)),
            received: volume(&traffic["received"]),
            written: volume(&traffic["written"]),
            rows: rows.iter().map(Row::read).collect(),
            left_out: number(&value["left_out"]),
            departures: value["departures"].as_array().into_iter().flatten().map(Departure::read).collect(),
        })
    }
}

impl Row {
    fn read(value: &Value) -> Self {
        let traffic = &value["traffic"];
        let conflate = if value["conflate"] == true { "+conflate" } else { "" };
        Self {
            id: number(&value["id"]),
            peer: text(&value["peer"]),
            state: match value["state"].as_str() {
                Some("stopped") => State::Stopped,
                Some("slow") => State::Slow,
                Some("live") => State::Live,
                _ => State::Other,
            },
            age: millis(&value["age_ms"]),
            received: volume(&traffic["received"]).messages,
            written: volume(&traffic["written"]).messages,
            queued: number(&traffic["queued_bytes"]),
            peak: number(&traffic["peak_queued_bytes"]),
            dropped: volume(&traffic["dropped"]).messages,
            conflated: volume(&traffic["conflated"]).messages,
            oldest: value["oldest_ms"].as_u64().map(Duration::from_millis),
            policy: text(&value["policy"]) + conflate,
        }
    }
}

impl Departure {
    fn read(value: &Value) -> Self {
        Self {
            id: number(&value["id"]),
            peer: text(&value["peer"]),
            ago: millis(&value["ago_ms"]),
            lasted: millis(&value["lasted_ms"]),
            reason: text(&value["reason"]),
        }
    }
}

impl State {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Slow => "slow",
            Self::Live => "live",
            Self::Other => "?",
        }
    }
}

fn volume(value: &Value) -> Volume {
    Volume { messages: number(&value["messages"]), bytes: number(&value["bytes"]) }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn millis(value: &Value) -> Duration {
    Duration::from_millis(number(value))
}

/// What can be shown as it is: whatever a terminal would obey, or not show, is escaped.
fn text(value: &Value) -> String {
    show::escaped(value.as_str().unwrap_or_default().as_bytes())
}

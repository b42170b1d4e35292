//! What travels: the state of the machine, as a JSON object of numbers, and events, as one with a text.

use leads_comm::Key;

/// What an event begins with, and nothing else does.
const EVENT: &str = "{\"event\":\"";

/// What the publisher measures.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Metrics {
    pub(crate) cpu_percent: f64,
    pub(crate) memory_used: u64,
    pub(crate) memory_total: u64,
    /// Network traffic in bytes per second, without loopback.
    pub(crate) received_per_s: u64,
    pub(crate) sent_per_s: u64,
    /// The load average of the last minute.
    pub(crate) load: f64,
}

/// A state, as it travels.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Message {
    /// Counted from 1 by the publisher.
    pub(crate) sequence: u64,
    /// When it was sent, in microseconds by the publisher's own clock, which is never set.
    pub(crate) sent_us: u64,
    /// The same by the calendar, in milliseconds since 1970.
    pub(crate) time_ms: u64,
    pub(crate) metrics: Metrics,
}

impl Message {
    pub(crate) fn to_json(self) -> String {
        let Self { sequence, sent_us, time_ms, metrics } = self;
        let Metrics { cpu_percent, memory_used, memory_total, received_per_s, sent_per_s, load } = metrics;
        format!(
            "{{\"sequence\":{sequence},\"sent_us\":{sent_us},\"time_ms\":{time_ms},\"cpu_percent\":{cpu_percent:.1},\
             \"memory_used\":{memory_used},\"memory_total\":{memory_total},\"received_per_s\":{received_per_s},\
             \"sent_per_s\":{sent_per_s},\"load\":{load:.2}}}"
        )
    }

    /// Reads what [`to_json`](Self::to_json) has written, with the fields in any order; `None` for anything else.
    pub(crate) fn from_json(json: &[u8]) -> Option<Self> {
        let fields = std::str::from_utf8(json).ok()?.trim().strip_prefix('{')?.strip_suffix('}')?;
        // Numbers hold no comma and no colon.
        let field = |name: &str| {
            fields.split(',').find_map(|field| {
                let (key, value) = field.split_once(':')?;
                let key = key.trim().strip_prefix('"')?.strip_suffix('"')?;
                (key == name).then_some(value.trim())
            })
        };
        Some(Self {
            sequence: field("sequence")?.parse().ok()?,
            sent_us: field("sent_us")?.parse().ok()?,
            time_ms: field("time_ms")?.parse().ok()?,
            metrics: Metrics {
                cpu_percent: field("cpu_percent")?.parse().ok()?,
                memory_used: field("memory_used")?.parse().ok()?,
                memory_total: field("memory_total")?.parse().ok()?,
                received_per_s: field("received_per_s")?.parse().ok()?,
                sent_per_s: field("sent_per_s")?.parse().ok()?,
                load: field("load")?.parse().ok()?,
            },
        })
    }
}

/// An event, whose text holds nothing that JSON would want to be escaped.
pub(crate) fn event_to_json(text: &str) -> String {
    format!("{EVENT}{text}\"}}")
}

/// The text of an event; `None` for anything else.
pub(crate) fn event_from_json(json: &[u8]) -> Option<&str> {
    std::str::from_utf8(json).ok()?.strip_prefix(EVENT)?.strip_suffix("\"}")
}

/// A state replaces the one before; events stand for themselves.
pub(crate) fn key(message: &[u8]) -> Option<Key> {
    (!message.starts_with(EVENT.as_bytes())).then(|| Key::new("machine"))
}

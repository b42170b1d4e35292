//! Numbers as JSON. The keys are part of the format that `docs/monitor.md` describes: one that is there stays.

use std::fmt::Write;
use std::time::Instant;

use super::{ConnectionStats, Counts, Kind, ServiceStats, Traffic, Volume};

impl ServiceStats {
    /// The numbers as a JSON object, in one line.
    ///
    /// | Key | What it is |
    /// |---|---|
    /// | `uptime_ms` | how long ago the service was started, in milliseconds; `null` until it has been |
    /// | `connections`, `opened` | as the fields of these names |
    /// | `ended`, `callers_refused` | an object with how many there were of each [kind](crate::DisconnectKind::as_str); kinds that have not occurred are left out |
    /// | `traffic` | an object, see below |
    ///
    /// Of the traffic, `received`, `accepted`, `written`, `waiting`, `unsent`, `dropped`, `rejected`, `conflated`,
    /// `expired` and `filtered` are objects with `messages` and `bytes`. `writes`, `queued_bytes` and
    /// `peak_queued_bytes` are numbers as the fields of [`Traffic`]. `last_received_ms` and `last_written_ms` say how
    /// many milliseconds ago that was, at the moment of this call; `null` where it has never been.
    ///
    /// # Examples
    ///
    /// ```
    /// use leads_comm::stats::ServiceStats;
    ///
    /// let json = ServiceStats::default().to_json();
    /// assert!(json.starts_with(r#"{"uptime_ms":null,"connections":0,"opened":0,"ended":{},"callers_refused":{},"#));
    /// ```
    pub fn to_json(&self) -> String {
        let mut json = String::with_capacity(1024);
        let mut object = Object::begin(&mut json);
        self.write_to(&mut object, Instant::now());
        object.end();
        json
    }

    pub(crate) fn write_to(&self, object: &mut Object<'_>, now: Instant) {
        object.number("uptime_ms", self.started.map(|at| millis(at, now)));
        object.number("connections", self.connections as u64);
        object.number("opened", self.opened);
        object.object("ended", |object| write_counts(&self.ended, object));
        object.object("callers_refused", |object| write_counts(&self.callers_refused, object));
        object.object("traffic", |object| self.traffic.write_to(object, now));
    }
}

impl ConnectionStats {
    /// The numbers as a JSON object, in one line: `age_ms`, how long ago it was opened; `oldest_ms`, for how long the
    /// oldest of what waits has waited, or `null`; `system_queued_bytes` and `peer_unread_bytes`, or `null`; and
    /// `traffic`, as in [`ServiceStats::to_json`]. Times are in milliseconds, at the moment of this call.
    pub fn to_json(&self) -> String {
        let mut json = String::with_capacity(1024);
        let mut object = Object::begin(&mut json);
        self.write_to(&mut object, Instant::now());
        object.end();
        json
    }

    pub(crate) fn write_to(&self, object: &mut Object<'_>, now: Instant) {
        object.number("age_ms", millis(self.connected_since, now));
        object.number("oldest_ms", self.waiting_since.map(|at| millis(at, now)));
        object.number("system_queued_bytes", self.system_queued_bytes);
        object.number("peer_unread_bytes", self.peer_unread_bytes);
        object.object("traffic", |object| self.traffic.write_to(object, now));
    }
}

impl Traffic {
    fn write_to(&self, object: &mut Object<'_>, now: Instant) {
        let volumes = [
            ("received", self.received),
            ("accepted", self.accepted),
            ("written", self.written),
            ("waiting", self.waiting),
            ("unsent", self.unsent),
            ("dropped", self.dropped),
            ("rejected", self.rejected),
            ("conflated", self.conflated),
            ("expired", self.expired),
            ("filtered", self.filtered),
        ];
        for (key, Volume { messages, bytes }) in volumes {
            object.object(key, |object| {
                object.number("messages", messages);
                object.number("bytes", bytes);
            });
        }
        object.number("writes", self.writes);
        object.number("queued_bytes", self.queued_bytes as u64);
        object.number("peak_queued_bytes", self.peak_queued_bytes as u64);
        object.number("last_received_ms", self.last_received.map(|at| millis(at, now)));
        object.number("last_written_ms", self.last_written.map(|at| millis(at, now)));
    }
}

fn write_counts<K: Kind>(counts: &Counts<K>, object: &mut Object<'_>) {
    for (kind, number) in counts.iter().filter(|(_, number)| *number > 0) {
        object.number(kind.name(), number);
    }
}

/// How long ago that was, in milliseconds.
pub(crate) fn millis(at: Instant, now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(at).as_millis()).unwrap_or(u64::MAX)
}

/// An object that is being written. Its keys are the library's own: none needs to be escaped.
pub(crate) struct Object<'a> {
    json: &'a mut String,
    is_empty: bool,
}

impl<'a> Object<'a> {
    pub(crate) fn begin(json: &'a mut String) -> Self {
        json.push('{');
        Self { json, is_empty: true }
    }

    /// How long the text is by now.
    pub(crate) fn len(&self) -> usize {
        self.json.len()
    }

    pub(crate) fn end(self) {
        self.json.push('}');
    }

    pub(crate) fn number(&mut self, key: &str, value: impl Into<Option<u64>>) {
        self.key(key);
        match value.into() {
            Some(value) => push_digits(self.json, value),
            None => self.json.push_str("null"),
        }
    }

    pub(crate) fn flag(&mut self, key: &str, value: bool) {
        self.key(key);
        self.json.push_str(if value { "true" } else { "false" });
    }

    pub(crate) fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        self.json.push('"');
        for char in value.chars() {
            match char {
                '"' => self.json.push_str("\\\""),
                '\\' => self.json.push_str("\\\\"),
                // Also those that JSON does not ask for: no reader's terminal obeys them.
                _ if char.is_control() => {
                    write!(self.json, "\\u{:04x}", u32::from(char)).expect("a string takes everything");
                }
                _ => self.json.push(char),
            }
        }
        self.json.push('"');
    }

    pub(crate) fn object(&mut self, key: &str, write: impl FnOnce(&mut Object<'_>)) {
        self.key(key);
        let mut object = Object::begin(self.json);
        write(&mut object);
        object.end();
    }

    /// A list of values that are JSON already.
    pub(crate) fn list<'v>(&mut self, key: &str, values: impl Iterator<Item = &'v str>) {
        self.key(key);
        self.json.push('[');
        for (at, value) in values.enumerate() {
            if at > 0 {
                self.json.push(',');
            }
            self.json.push_str(value);
        }
        self.json.push(']');
    }

    fn key(&mut self, key: &str) {
        if !self.is_empty {
            self.json.push(',');
        }
        self.is_empty = false;
        self.json.push('"');
        self.json.push_str(key);
        self.json.push_str("\":");
    }
}

/// Several times faster than by the formatter, and there are thousands of numbers in a message.
fn push_digits(json: &mut String, mut value: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    json.extend(digits[at..].iter().map(|digit| char::from(*digit)));
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_number() {
        for shift in 0..64 {
            for value in [1 << shift, (1 << shift) - 1, u64::MAX >> shift] {
                let mut json = String::new();
                push_digits(&mut json, value);
                assert_eq!(json, value.to_string());
            }
        }
    }
}

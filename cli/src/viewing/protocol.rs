//! What the page is told: `leads-comm.view.1`, as `docs/view.md` describes it. JSON, an object a message, `type` first.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write};
use std::mem;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use leads_comm::Key;
use serde_json::{Value, json};

use super::fields::{Fields, MOST, Row};
use super::pictures::{LONGEST_HEAD, MARK};
use super::raw::{Newest, Shown};

/// What a WebSocket of the page asks for.
pub(crate) const SUBPROTOCOL: &str = "leads-comm.view.1";

/// The messages of which the newest is worth all.
const STATES: [&str; 5] = ["state", "fields", "raw", "peers", "timeline"];

/// Which messages replace one another: those of the types that are states, and pictures of a name.
pub(super) fn key(message: &[u8]) -> Option<Key> {
    if let [MARK, len, rest @ ..] = message {
        return rest.get(..usize::from(*len)).map(|name| Key::new([&[MARK], name].concat()));
    }
    let (begin, rest) = (b"{\"type\":\"", message.get(..LONGEST_HEAD.min(message.len()))?);
    let name = rest.strip_prefix(begin)?;
    let name = &name[..name.iter().position(|byte| *byte == b'"')?];
    STATES.iter().find(|state| state.as_bytes() == name).map(Key::new)
}

/// What is viewed.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    /// In words.
    pub(crate) source: String,
    /// Whether it is a vehicle, and not a recording.
    pub(crate) is_live: bool,
    /// The commands that may be sent.
    pub(crate) commands: Vec<String>,
    /// For how long is kept what comes, in seconds.
    pub(crate) keep_s: f64,
    /// Where the numbers of the vehicle's service are asked for.
    pub(crate) monitor: Option<String>,
    /// The names of recordings.
    pub(crate) files: Option<Vec<String>>,
}

/// The first message.
pub(super) fn hello(subject: &Subject) -> String {
    let Subject { source, is_live, commands, keep_s, monitor, files } = subject;
    of_type(
        "hello",
        json!({
            "version": env!("CARGO_PKG_VERSION"), "source": source, "live": is_live, "commands": commands,
            "keep_s": keep_s, "monitor": monitor, "files": files,
        }),
    )
}

/// How it goes.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    /// In nanoseconds since 1970, as all times here.
    pub(super) now: u64,
    pub(super) is_connected: bool,
    /// Since when that is so.
    pub(super) since: Option<u64>,
    pub(super) status: String,
    pub(super) last: Option<u64>,
    pub(super) messages_per_s: f64,
    pub(super) bytes_per_s: f64,
    pub(super) messages: u64,
    pub(super) bytes: u64,
    pub(super) left_out: u64,
    pub(super) not_json: u64,
    /// How far our clock is before that of the last message that has a time, in nanoseconds.
    pub(super) skew: Option<i64>,
    /// How many rows a second are not drawn.
    pub(super) thinned: f64,
}

impl State {
    pub(super) fn text(&self) -> String {
        let age = self.last.map(|last| Millis(self.now.saturating_sub(last)).to_string());
        let skew = self.skew.map(|skew| format!("{:.3}", skew as f64 / 1e6));
        let null = || "null".to_owned();
        format!(
            "{{\"type\":\"state\",\"now\":{},\"connected\":{},\"since\":{},\"status\":{},\"age_ms\":{},\
             \"messages_per_s\":{:.1},\"bytes_per_s\":{:.1},\"messages\":{},\"bytes\":{},\"left_out\":{},\
             \"not_json\":{},\"skew_ms\":{},\"thinned\":{:.0}}}",
            Millis(self.now),
            self.is_connected,
            self.since.map_or_else(null, |since| Millis(since).to_string()),
            Value::from(self.status.as_str()),
            age.unwrap_or_else(null),
            self.messages_per_s,
            self.bytes_per_s,
            self.messages,
            self.bytes,
            self.left_out,
            self.not_json,
            skew.unwrap_or_else(null),
            self.thinned,
        )
    }
}

/// Which numbers there are.
pub(super) fn fields(fields: &Fields) -> String {
    let mut text = format!("{{\"type\":\"fields\",\"more\":{},\"fields\":[", fields.more());
    for (place, (id, field)) in fields.iter().enumerate() {
        let comma = if place == 0 { "" } else { "," };
        let (path, at) = (Value::from(field.path.as_str()), Millis(field.at));
        let (last, min, max) = (Number(field.last), Number(field.min), Number(field.max));
        let _ = write!(
            text,
            "{comma}{{\"id\":{id},\"path\":{path},\"last\":{last},\"min\":{min},\"max\":{max},\
             \"count\":{},\"at\":{at}}}",
            field.count,
        );
    }
    text + "]}"
}

/// How many numbers, times and gaps the history has at most: five minutes of 500 numbers, 50 times a second. A page has
/// no room for more.
const MOST_OF_HISTORY: usize = 8_000_000;

/// How many of these rows are told together, so that they are not more than so many numbers, times and gaps; one at
/// least. Where each message has a number of its own, most of it is gaps.
pub(super) fn fitting<'a>(rows: impl Iterator<Item = &'a Arc<Row>>, most: usize) -> usize {
    let (mut known, mut columns, mut count) = ([false; MOST], 1, 0);
    for row in rows {
        for (id, _) in row.iter() {
            columns += usize::from(!mem::replace(&mut known[usize::from(id)], true));
        }
        if (count + 1) * columns > most {
            break;
        }
        count += 1;
    }
    count.max(1)
}

/// Rows that have come.
pub(super) fn samples(seq: u64, rows: &[Arc<Row>]) -> String {
    format!("{{\"type\":\"samples\",{}", body(seq, rows))
}

/// The same of all that is kept, or of the newest.
pub(super) fn history(seq: u64, rows: &[Arc<Row>]) -> String {
    let oldest = rows.len().saturating_sub(fitting(rows.iter().rev(), MOST_OF_HISTORY));
    format!("{{{}", body(seq, &rows[oldest..]))
}

fn body(seq: u64, rows: &[Arc<Row>]) -> String {
    let mut text = format!("\"seq\":{seq},\"t\":[");
    list(&mut text, rows.iter().map(|row| Millis(row.time)));
    let mut columns = BTreeMap::<u16, Vec<f64>>::new();
    for (index, row) in rows.iter().enumerate() {
        for (id, value) in row.iter() {
            let column = columns.entry(id).or_default();
            column.resize(index, ABSENT);
            column.push(value);
        }
    }
    text += "],\"v\":{";
    for (place, (id, mut column)) in columns.into_iter().enumerate() {
        column.resize(rows.len(), ABSENT);
        let _ = write!(text, "{}\"{id}\":[", if place == 0 { "" } else { "," });
        list(&mut text, column.into_iter().map(Sample));
        text.push(']');
    }
    text + "}}"
}

/// The newest messages as they came.
pub(super) fn raw(newest: &Newest) -> String {
    let mut text = format!("{{\"type\":\"raw\",\"total\":{},\"messages\":[", newest.total);
    for (place, raw) in newest.iter().enumerate() {
        let (comma, at) = (if place == 0 { "" } else { "," }, Millis(raw.at));
        let _ = write!(text, "{comma}{{\"seq\":{},\"at\":{at},\"len\":{},", raw.seq, raw.len);
        let _ = match raw.shown() {
            Shown::Text(shown) => write!(text, "\"text\":{}", Value::from(shown)),
            Shown::Bytes(shown) => write!(text, "\"base64\":\"{}\"", STANDARD.encode(shown)),
        };
        text.push_str(if raw.is_cut() { ",\"cut\":true}" } else { "}" });
    }
    text + "]}"
}

/// The numbers of the vehicle's service, which are JSON already.
pub(super) fn peers(at: u64, error: Option<&str>, numbers: Option<&str>, left_out: usize) -> String {
    let (error, numbers) = (error.map_or(Value::Null, Value::from), numbers.unwrap_or("null"));
    let at = Millis(at);
    format!("{{\"type\":\"peers\",\"at\":{at},\"error\":{error},\"left_out\":{left_out},\"numbers\":{numbers}}}")
}

/// Where a recording is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Timeline {
    /// In nanoseconds since 1970.
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) at: u64,
    pub(super) speed: f64,
    pub(super) is_paused: bool,
    pub(super) has_ended: bool,
    /// How many there are, where that is known.
    pub(super) messages: Option<u64>,
}

impl Timeline {
    pub(super) fn text(&self) -> String {
        let (start, end, at) = (Millis(self.start), Millis(self.end), Millis(self.at));
        let (speed, paused, ended) = (Number(self.speed), self.is_paused, self.has_ended);
        let messages = self.messages.map_or(Value::Null, Value::from);
        format!(
            "{{\"type\":\"timeline\",\"start\":{start},\"end\":{end},\"at\":{at},\"speed\":{speed},\
             \"paused\":{paused},\"ended\":{ended},\"messages\":{messages}}}"
        )
    }
}

/// What was before is another time's.
pub(super) const RESET: &str = "{\"type\":\"reset\"}";

/// What has become of a command.
pub(super) fn commanded(name: &str, outcome: Result<(), &str>) -> String {
    of_type("commanded", json!({ "name": name, "ok": outcome.is_ok(), "error": outcome.err() }))
}

/// Of an object, one that begins with its type.
fn of_type(name: &str, object: Value) -> String {
    let text = object.to_string();
    format!("{{\"type\":\"{name}\",{}", text.strip_prefix('{').unwrap_or(&text))
}

fn list(text: &mut String, all: impl Iterator<Item = impl Display>) {
    for (place, one) in all.enumerate() {
        let _ = write!(text, "{}{one}", if place == 0 { "" } else { "," });
    }
}

/// A time in nanoseconds as milliseconds, to the microsecond.
struct Millis(u64);

impl Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1_000_000, self.0 / 1000 % 1000)
    }
}

/// A number in JSON, in its shortest digits; `null` for what is none there.
struct Number(f64);

impl Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            number if !number.is_finite() => f.write_str("null"),
            number if number.fract() == 0.0 && number.abs() < 1e15 => write!(f, "{number:.0}"),
            number => write!(f, "{number:?}"),
        }
    }
}

/// What a message says of a field: a number, NaN where it says that there is none, or nothing.
struct Sample(f64);

/// No number of a message is that large.
const ABSENT: f64 = f64::INFINITY;

impl Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_nan() { f.write_str("\"NaN\"") } else { Number(self.0).fmt(f) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Value {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    fn row(fields: &mut Fields, object: Value, time: u64) -> Arc<Row> {
        Arc::new(fields.add(object.as_object().unwrap(), time, &mut |_, _| {}).row.unwrap())
    }

    #[test]
    fn samples_have_a_column_for_each_number() {
        let mut all = Fields::default();
        let rows = [
            row(&mut all, json!({ "b": 1.5, "a": 2 }), 1_795_897_762_603_026_999),
            row(&mut all, json!({ "a": -0.0 }), 1_795_897_762_604_000_000),
            row(&mut all, json!({ "a": null, "b": 1e300, "<script>": 1e-7 }), 1_795_897_762_605_000_000),
        ];
        assert_eq!(
            samples(7, &rows),
            "{\"type\":\"samples\",\"seq\":7,\"t\":[1795897762603.026,1795897762604.000,1795897762605.000],\
             \"v\":{\"0\":[2,-0,\"NaN\"],\"1\":[1.5,null,1e300],\"2\":[null,null,1e-7]}}"
        );
        assert_eq!(parsed(&samples(7, &rows))["v"]["1"][2], json!(1e300));
        assert_eq!(history(0, &[]), "{\"seq\":0,\"t\":[],\"v\":{}}");
        let told = parsed(&fields(&all));
        assert_eq!(told["fields"][2]["path"], "<script>");
        assert_eq!(
            told["fields"][1],
            json!({
                "id": 1, "path": "b", "last": 1e300, "min": 1.5, "max": 1e300, "count": 2, "at": 1_795_897_762_605.0,
            })
        );
    }

    #[test]
    fn gaps_take_room_as_well() {
        let mut all = Fields::default();
        // Each message has one number, of 500.
        let rows: Vec<_> = (0..40_000_u64)
            .map(|index| row(&mut all, json!({ format!("n{}", index % 500): index }), 1 + index * 10_000_000))
            .collect();
        assert_eq!((fitting(rows.iter(), 50_000), fitting(rows[..100].iter(), 50_000)), (223, 100));
        assert_eq!((fitting(rows.iter(), 1), fitting([].iter(), 1)), (1, 1));
        let told = parsed(&history(7, &rows));
        let (times, last) = (told["t"].as_array().unwrap(), &told["v"]["499"]);
        assert_eq!((times.len(), last.as_array().unwrap().last()), (MOST_OF_HISTORY / 501, Some(&json!(39_999))));
        assert_eq!(times[0], (40_000 - times.len()) as f64 * 10.0);
    }

    #[test]
    fn a_state_says_what_is_not_known() {
        let state = State { now: 2_000_000_000, status: "a \"b\"".into(), ..State::default() };
        let told = parsed(&state.text());
        assert_eq!((&told["age_ms"], &told["skew_ms"], &told["since"]), (&json!(null), &json!(null), &json!(null)));
        assert_eq!(
            (&told["status"], &told["now"], &told["connected"]),
            (&json!("a \"b\""), &json!(2000.0), &json!(false))
        );
        let state = State { last: Some(1_500_000_000), skew: Some(-2_500_000), since: Some(1_000_000), ..state };
        let told = parsed(&state.text());
        assert_eq!((&told["age_ms"], &told["skew_ms"], &told["since"]), (&json!(500.0), &json!(-2.5), &json!(1.0)));
    }

    #[test]
    fn whatever_came_is_shown_as_json() {
        let mut newest = Newest::default();
        for message in [&b"\"<script>alert(1)</script>\0"[..], b"\xff\0", &[b'x'; 5000], b""] {
            newest.add(message, 1_000_000);
        }
        let told = parsed(&raw(&newest));
        assert_eq!(told["total"], 4);
        let messages = told["messages"].as_array().unwrap();
        assert_eq!(messages[0], json!({ "seq": 1, "at": 1.0, "len": 27, "text": "\"<script>alert(1)</script>\u{0}" }));
        assert_eq!(messages[1], json!({ "seq": 2, "at": 1.0, "len": 2, "base64": "/wA=" }));
        assert_eq!((&messages[2]["cut"], &messages[2]["len"]), (&json!(true), &json!(5000)));
        assert_eq!(messages[3]["text"], "");
    }

    #[test]
    fn states_and_pictures_replace_one_another() {
        let hello = hello(&Subject {
            source: "10.0.0.4".into(),
            is_live: true,
            commands: vec!["time_lap".into()],
            keep_s: 300.0,
            monitor: None,
            files: None,
        });
        assert!(hello.starts_with("{\"type\":\"hello\",\""), "{hello}");
        assert_eq!(parsed(&hello)["commands"], json!(["time_lap"]));
        let timeline = Timeline {
            start: 0,
            end: 2_000_000,
            at: 1_000_000,
            speed: 0.5,
            is_paused: true,
            has_ended: false,
            messages: None,
        };
        let states = [
            State::default().text(),
            fields(&Fields::default()),
            raw(&Newest::default()),
            peers(1, None, Some("{}"), 0),
            timeline.text(),
        ];
        for state in &states {
            let name = parsed(state)["type"].as_str().unwrap().to_owned();
            assert_eq!(key(state.as_bytes()), Some(Key::new(&name)));
        }
        for event in [&hello, &samples(1, &[]), RESET, &commanded("x", Err("no")), "", "{\"type\":\"sta"] {
            assert_eq!(key(event.as_bytes()), None, "{event}");
        }
        assert_eq!(key(b"\x01\x04frvc12345678"), Some(Key::new(b"\x01frvc")));
        assert_eq!((key(b"\x01\x04frv"), key(b"\x01")), (None, None));
    }
}

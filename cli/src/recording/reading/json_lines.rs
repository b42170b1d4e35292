//! JSON Lines: an object a line, with all that is known of a message.
//!
//! ```text
//!   {"time":1795897762.603026000,"peer":"10.0.0.4:16900","direction":"in","size":12,"message":{"speed":12}}
//! ```
//!
//! A message that is JSON is in `message` byte for byte, other text in `text`, other bytes in `base64`, as `listen` prints
//! them. A line that is itself a message, with the time in `t` as LEADS has it, is taken as such.

use std::collections::BTreeMap;
use std::io::{self, BufRead};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

use super::super::channels;
use super::channel::Channel;
use super::item::{Item, Message};
use super::lines::Lines;

/// The nanoseconds of a second, and how many digits they have.
const SECOND: (u64, usize) = (1_000_000_000, 9);

/// The messages of a file.
pub(super) struct JsonLines<R> {
    lines: Lines<R>,
    channels: Channels,
}

impl<R: BufRead> JsonLines<R> {
    pub(super) fn new(input: R) -> Self {
        Self { lines: Lines::new(input), channels: Channels::default() }
    }

    pub(super) fn position(&self) -> u64 {
        self.lines.position
    }

    /// What comes next; `None` at the end.
    ///
    /// # Errors
    ///
    /// Whatever reading reports.
    pub(super) fn next(&mut self) -> io::Result<Option<Item>> {
        while let Some(line) = self.lines.next()? {
            if line.trim_ascii().is_empty() {
                continue;
            }
            let read = read(line);
            let number = self.lines.number;
            return Ok(Some(match read {
                Ok(read) => self.channels.message(read),
                Err(what) => Item::Damaged(format!("line {number} {what}")),
            }));
        }
        Ok(None)
    }
}

/// What a line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) time: u64,
    pub(super) peer: Option<String>,
    pub(super) is_outgoing: bool,
    pub(super) payload: Vec<u8>,
}

/// The channels of files that describe none: one for all messages that are alike.
#[derive(Debug, Default)]
pub(super) struct Channels(BTreeMap<(String, Option<String>, bool), Arc<Channel>>);

impl Channels {
    pub(super) fn message(&mut self, read: Read) -> Item {
        let Read { time, peer, is_outgoing, payload } = read;
        let kind = channels::wrap(&payload, time).kind;
        let topic = kind.topic(channels::DEFAULT_NAME);
        let channel = self.0.entry((topic, peer, is_outgoing)).or_insert_with_key(|(topic, peer, is_outgoing)| {
            Arc::new(Channel::told(topic.clone(), kind.wrap(), peer.as_deref(), *is_outgoing))
        });
        Item::Message(Message { channel: channel.clone(), time, payload })
    }
}

/// Reads a line; says what is wrong with it behind "line N".
fn read(line: &[u8]) -> Result<Read, String> {
    let text = std::str::from_utf8(line).map_err(|_| "is not UTF-8")?;
    let fields: BTreeMap<String, &RawValue> =
        serde_json::from_str(text).map_err(|error| format!("is no JSON object: {error}"))?;
    let string = |name| fields.get(name).and_then(|value| serde_json::from_str::<String>(value.get()).ok());
    let number = |name, unit| fields.get(name).and_then(|value| nanoseconds(value.get(), unit));
    let payload = match (fields.get("message"), string("text"), string("base64")) {
        (Some(message), ..) => Some(message.get().as_bytes().to_vec()),
        (None, Some(text), _) => Some(text.into_bytes()),
        (None, None, Some(base64)) => Some(STANDARD.decode(base64).map_err(|_| "has no Base64 in base64")?),
        (None, None, None) => None,
    };
    match (number("time", SECOND.1), payload) {
        (Some(time), Some(payload)) => {
            let is_outgoing = string("direction").is_some_and(|direction| direction == "out");
            // What is empty is not known.
            let peer = string("peer").filter(|peer| !peer.is_empty());
            Ok(Read { time, peer, is_outgoing, payload })
        }
        _ => {
            let time = number("t", SECOND.1 - 3).ok_or("has neither time and message, nor t")?;
            Ok(Read { time, peer: None, is_outgoing: false, payload: line.to_vec() })
        }
    }
}

/// A number of seconds, or of what is `digits` digits away from nanoseconds, exactly.
pub(super) fn nanoseconds(number: &str, digits: usize) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_plain = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
    if !is_plain(whole) || !is_plain(fraction) || whole.is_empty() {
        // As pandas may write what is large: 1.7e12.
        let number: f64 = number.parse().ok()?;
        let nanoseconds = number * 10_f64.powi(i32::try_from(digits).ok()?);
        return (0.0..1.8e19).contains(&nanoseconds).then_some(nanoseconds as u64);
    }
    let fraction = format!("{:0<digits$.digits$}", fraction);
    format!("{whole}{fraction}").parse().ok()
}

/// A message as a line, without the end of it.
pub(crate) fn envelope(message: &Message) -> Vec<u8> {
    let (second, digits) = SECOND;
    let Message { channel, time, payload } = message;
    let mut line = format!("{{\"time\":{}.{:0digits$}", time / second, time % second).into_bytes();
    if let Some(peer) = channel.peer() {
        line.extend_from_slice(format!(",\"peer\":{}", serde_json::Value::from(peer)).as_bytes());
    }
    let direction = if channel.is_outgoing() { "out" } else { "in" };
    line.extend_from_slice(format!(",\"direction\":\"{direction}\",\"size\":{}", payload.len()).as_bytes());
    match std::str::from_utf8(payload) {
        Ok(text) if is_json_of_a_line(text) => {
            line.extend_from_slice(b",\"message\":");
            line.extend_from_slice(payload);
        }
        Ok(text) => line.extend_from_slice(format!(",\"text\":{}", serde_json::Value::from(text)).as_bytes()),
        Err(_) => line.extend_from_slice(format!(",\"base64\":\"{}\"", STANDARD.encode(payload)).as_bytes()),
    }
    line.push(b'}');
    line
}

/// Whether a message is JSON that can be a part of a line byte for byte: a reader gets it without the spaces around it.
fn is_json_of_a_line(text: &str) -> bool {
    !text.contains(['\n', '\r']) && serde_json::from_str::<&RawValue>(text).is_ok_and(|json| json.get() == text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line_of(payload: &[u8], time: u64, peer: Option<&str>, is_outgoing: bool) -> Vec<u8> {
        let channel = Channel::told("/x".into(), channels::Wrap::None, peer, is_outgoing);
        envelope(&Message { channel: channel.into(), time, payload: payload.into() })
    }

    #[test]
    fn an_envelope_says_all_that_is_known() {
        let line = |payload: &[u8]| {
            String::from_utf8(line_of(payload, 1_795_897_762_603_026_001, Some("10.0.0.4:16900"), false)).unwrap()
        };
        let head = r#"{"time":1795897762.603026001,"peer":"10.0.0.4:16900","direction":"in","size":"#;
        assert_eq!(line(br#"{"a": 1, "a":2}"#), format!(r#"{head}15,"message":{{"a": 1, "a":2}}}}"#));
        assert_eq!(line(b"time_lap\n"), format!(r#"{head}9,"text":"time_lap\n"}}"#));
        assert_eq!(line(b"{}\n"), format!(r#"{head}3,"text":"{{}}\n"}}"#));
        assert_eq!(line(b"\xff\xd8;"), format!(r#"{head}3,"base64":"/9g7"}}"#));
        assert_eq!(line(b"42"), format!(r#"{head}2,"message":42}}"#));
        assert_eq!(line(b" 42"), format!(r#"{head}3,"text":" 42"}}"#));
        assert_eq!(line(b""), format!(r#"{head}0,"text":""}}"#));
    }

    #[test]
    fn a_line_may_be_the_message_itself() {
        let line = br#"{"speed": 12, "t": 1795897762603}"#;
        let expected = Read { time: 1_795_897_762_603_000_000, peer: None, is_outgoing: false, payload: line.to_vec() };
        assert_eq!(read(line), Ok(expected));
    }

    #[test]
    fn a_peer_without_a_name_is_none() {
        assert_eq!(read(br#"{"time":1,"peer":"","text":"a"}"#).unwrap().peer, None);
    }

    #[test]
    fn what_is_no_message_is_told() {
        for line in ["[]", "{", "{}", r#"{"time":1}"#, r#"{"time":-1,"text":"a"}"#, r#"{"time":1,"base64":"?"}"#] {
            assert!(read(line.as_bytes()).is_err(), "{line}");
        }
        assert!(read(b"{\"\xff\":1}").is_err());
    }

    #[test]
    fn numbers_are_exact() {
        for (number, digits, expected) in [
            ("0", 9, Some(0)),
            ("1.5", 9, Some(1_500_000_000)),
            ("1795897762.603026001", 9, Some(1_795_897_762_603_026_001)),
            ("1795897762.6030260019", 9, Some(1_795_897_762_603_026_001)),
            ("1795897762603", 6, Some(1_795_897_762_603_000_000)),
            ("1.7e12", 6, Some(1_700_000_000_000_000_000)),
            ("-1", 9, None),
            ("1e99", 9, None),
            ("99999999999", 9, None),
            ("x", 9, None),
        ] {
            assert_eq!(nanoseconds(number, digits), expected, "{number}");
        }
    }

    proptest! {
        #[test]
        fn any_message_comes_back(
            payload in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..40),
                "\\PC{0,40}".prop_map(String::into_bytes),
                "[ \n]?\\{(\"[a-z\n]{0,3}\" ?: ?[0-9]{1,3})?\\}[ \r]?".prop_map(String::into_bytes),
            ],
            time in any::<u64>(),
            peer in proptest::option::of("\\PC{0,10}"),
            is_outgoing in any::<bool>(),
        ) {
            let line = line_of(&payload, time, peer.as_deref(), is_outgoing);
            prop_assert!(!line.contains(&b'\n') && !line.contains(&b'\r'));
            let peer = peer.filter(|peer| !peer.is_empty());
            prop_assert_eq!(read(&line), Ok(Read { time, peer, is_outgoing, payload }));
        }
    }
}

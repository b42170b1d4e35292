//! How a message lies in a recording: which channel it is in, and what of it is written there, both ways.
//!
//! Viewers take channels of JSON objects with a JSON Schema. A message that is one is written as it is, byte for byte;
//! of every other one an object is made that holds it, and `wrap` in the channel's metadata says how to get it back.
//!
//! ```text
//!   payload                  topic                      wrap          record
//!   {"speed":12}             /leads, or /NAME           none          {"speed":12}
//!   time_lap                 /text                      text          {"text":"time_lap"}
//!   ff d8 3b                 /bytes                     base64        {"data":"/9g7"}
//!   frvc:/9j/4AAQ…           /frvc /lfvc /rtvc /revc    leads-video   {"frame_id":"frvc","data":"/9j/4AAQ…",…}
//! ```
//!
//! `docs/recording.md` is the description for others.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// The keys of a channel's metadata.
pub(crate) mod key {
    /// How to get a message back: see [`Wrap`](super::Wrap).
    pub(crate) const WRAP: &str = "wrap";
    /// `true` where a channel holds no messages, but what was made of those of others, for viewers.
    pub(crate) const DERIVED: &str = "derived";
    /// What the side that recorded was: `client`, or `server`.
    pub(crate) const ROLE: &str = "role";
    /// The other side: what a client connected to, or the IP address of a server's peer, or `unix`.
    pub(crate) const PEER: &str = "peer";
    /// `in` for what the side that recorded was sent.
    pub(crate) const DIRECTION: &str = "direction";
    /// What ended each message, with the escapes of `--separator`.
    pub(crate) const SEPARATOR: &str = "separator";
}

/// The topic of LEADS's frames, and of other JSON objects, unless it is named otherwise.
pub(crate) const DEFAULT_NAME: &str = "leads";

/// Where positions are, which viewers draw on maps. They are derived.
pub(crate) const LOCATION_TOPIC: &str = "/leads/location";

/// What LEADS's pictures begin with: the camera at the front, left, right, and rear.
const CAMERAS: [&str; 4] = ["frvc", "lfvc", "rtvc", "revc"];

/// How a record holds a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Wrap {
    /// It is the message.
    None,
    /// The message is the string `text` of an object.
    Text,
    /// The message is the string `data` of an object, in Base64.
    Base64,
    /// The message is the string `frame_id` of an object, a colon, and its string `data`.
    Picture,
}

impl Wrap {
    const ALL: [Self; 4] = [Self::None, Self::Text, Self::Base64, Self::Picture];

    /// As it is called in a channel's metadata.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Text => "text",
            Self::Base64 => "base64",
            Self::Picture => "leads-video",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|wrap| wrap.name() == name)
    }
}

/// What a message is to a viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// A JSON object, such as LEADS's frames.
    Json,
    /// Text that is no JSON object.
    Text,
    /// What is not UTF-8.
    Bytes,
    /// A picture of LEADS's, of this camera.
    Picture(&'static str),
}

impl Kind {
    pub(crate) fn wrap(self) -> Wrap {
        match self {
            Self::Json => Wrap::None,
            Self::Text => Wrap::Text,
            Self::Bytes => Wrap::Base64,
            Self::Picture(_) => Wrap::Picture,
        }
    }

    /// Its topic; `name` is that of JSON objects.
    pub(crate) fn topic(self, name: &str) -> String {
        match self {
            Self::Json => format!("/{name}"),
            Self::Text => "/text".into(),
            Self::Bytes => "/bytes".into(),
            Self::Picture(camera) => format!("/{camera}"),
        }
    }
}

/// A message as it is recorded.
#[derive(Debug)]
pub(crate) struct Wrapped<'a> {
    pub(crate) kind: Kind,
    pub(crate) data: Cow<'a, [u8]>,
    /// What [`Kind::Json`] says.
    pub(crate) object: Option<Map<String, Value>>,
}

/// Makes a record of a message. A picture's has the time in it, in nanoseconds since 1970.
pub(crate) fn wrap(message: &[u8], time: u64) -> Wrapped<'_> {
    let Ok(text) = std::str::from_utf8(message) else {
        let data = json!({ "data": STANDARD.encode(message) }).to_string().into_bytes();
        return Wrapped { kind: Kind::Bytes, data: data.into(), object: None };
    };
    if let Some(object) = object(text) {
        return Wrapped { kind: Kind::Json, data: message.into(), object: Some(object) };
    }
    let (kind, data) = match picture(text) {
        Some((camera, data)) => {
            // Base64 needs no escapes.
            let timestamp = timestamp(time);
            let record =
                format!(r#"{{"timestamp":{timestamp},"frame_id":"{camera}","data":"{data}","format":"jpeg"}}"#);
            (Kind::Picture(camera), record)
        }
        None => (Kind::Text, json!({ "text": text }).to_string()),
    };
    Wrapped { kind, data: data.into_bytes().into(), object: None }
}

/// The JSON object that a message is.
pub(crate) fn object(text: &str) -> Option<Map<String, Value>> {
    // Most of what is none need not be parsed.
    text.trim_ascii_start().starts_with('{').then(|| serde_json::from_str(text).ok()).flatten()
}

/// The JSON object that a message is to Python, which writes numbers that JSON does not have, as LEADS does when a
/// sensor gives none: `NaN`, `Infinity`. Each becomes what `stand_in` gives for it.
pub(crate) fn python_object(message: &[u8], stand_in: impl Fn(&str) -> &'static str) -> Option<Map<String, Value>> {
    let text = std::str::from_utf8(message).ok()?;
    if !text.trim_ascii_start().starts_with('{') {
        return None;
    }
    let mut plain = String::new();
    let (mut rest, mut is_quoted) = (text, false);
    while let Some(at) = rest.find(['"', '\\', 'N', 'I', '-']) {
        let (before, behind) = rest.split_at(at);
        plain.push_str(before);
        let number = ["NaN", "Infinity", "-Infinity"].into_iter().find(|number| behind.starts_with(number));
        let len = match number.filter(|_| !is_quoted) {
            Some(number) => {
                plain.push_str(stand_in(number));
                rest = &behind[number.len()..];
                continue;
            }
            None if behind.starts_with('\\') => 1 + behind[1..].chars().next().map_or(0, char::len_utf8),
            None => 1,
        };
        is_quoted ^= behind.starts_with('"');
        plain.push_str(&behind[..len]);
        rest = &behind[len..];
    }
    plain.push_str(rest);
    object(&plain)
}

/// The camera and the Base64 of a picture.
fn picture(text: &str) -> Option<(&'static str, &str)> {
    let (tag, data) = text.split_once(':')?;
    let camera = CAMERAS.into_iter().find(|camera| *camera == tag)?;
    (!data.is_empty() && STANDARD.decode(data).is_ok()).then_some((camera, data))
}

/// A time as the types of Foxglove have it.
pub(crate) fn timestamp(time: u64) -> Value {
    json!({ "sec": time / 1_000_000_000, "nsec": time % 1_000_000_000 })
}

/// A record is not what its channel says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotWrapped(Wrap);

impl fmt::Display for NotWrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a record holds no message in the way of its channel, which is {}", self.0.name())
    }
}

impl std::error::Error for NotWrapped {}

/// The message that a record was made of.
///
/// # Errors
///
/// [`NotWrapped`] where nothing that [`wrap()`] makes looks like this.
pub(crate) fn unwrap(wrap: Wrap, record: &[u8]) -> Result<Cow<'_, [u8]>, NotWrapped> {
    if wrap == Wrap::None {
        return Ok(record.into());
    }
    let record: Map<String, Value> = serde_json::from_slice(record).map_err(|_| NotWrapped(wrap))?;
    let string = |name| record.get(name).and_then(Value::as_str).ok_or(NotWrapped(wrap));
    Ok(match wrap {
        Wrap::None | Wrap::Text => string("text")?.as_bytes().to_vec(),
        Wrap::Base64 => STANDARD.decode(string("data")?).map_err(|_| NotWrapped(wrap))?,
        Wrap::Picture => [string("frame_id")?, ":", string("data")?].concat().into_bytes(),
    }
    .into())
}

/// Where messages come from; each of its kinds has a channel of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Origin {
    /// `client`, or `server`: what the side that records is.
    pub(crate) role: &'static str,
    pub(crate) peer: String,
    pub(crate) separator: String,
}

impl Origin {
    /// What a channel of its messages says.
    pub(crate) fn metadata(&self, wrap: Wrap) -> BTreeMap<String, String> {
        [
            (key::WRAP, wrap.name()),
            (key::ROLE, self.role),
            (key::PEER, &self.peer),
            (key::DIRECTION, "in"),
            (key::SEPARATOR, &self.separator),
        ]
        .map(|(key, value)| (key.into(), value.into()))
        .into()
    }
}

/// A separator as `--separator` takes it.
pub(crate) fn escape(separator: &[u8]) -> String {
    let escape = |byte: &u8| match byte {
        b'\n' => "\\n".into(),
        b'\r' => "\\r".into(),
        b'\t' => "\\t".into(),
        0 => "\\0".into(),
        b'\\' => "\\\\".into(),
        b' '..=b'~' => char::from(*byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    };
    separator.iter().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Makes a record of a message, checks that it is one, and gets the message back.
    fn there_and_back(message: &[u8]) -> Kind {
        let wrapped = wrap(message, 1_795_897_762_603_026_000);
        let record: Value = serde_json::from_slice(&wrapped.data).unwrap();
        assert!(record.is_object(), "{record}");
        assert_eq!(wrapped.object.is_some(), wrapped.kind == Kind::Json);
        assert_eq!(unwrap(wrapped.kind.wrap(), &wrapped.data).unwrap(), message);
        wrapped.kind
    }

    #[test]
    fn each_kind_of_message_has_a_topic() {
        let cases: [(&[u8], Kind, &str, &str); 5] = [
            (br#"{"speed":12}"#, Kind::Json, "/vec", r#"{"speed":12}"#),
            (b"time_lap", Kind::Text, "/text", r#"{"text":"time_lap"}"#),
            (b"", Kind::Text, "/text", r#"{"text":""}"#),
            (b"\xff\xd8;", Kind::Bytes, "/bytes", r#"{"data":"/9g7"}"#),
            (
                b"frvc:/9j/4A==",
                Kind::Picture("frvc"),
                "/frvc",
                r#"{"timestamp":{"nsec":5,"sec":1},"frame_id":"frvc","data":"/9j/4A==","format":"jpeg"}"#,
            ),
        ];
        for (message, kind, topic, record) in cases {
            let wrapped = wrap(message, 1_000_000_005);
            assert_eq!((wrapped.kind, &*wrapped.kind.topic("vec")), (kind, topic));
            assert_eq!(String::from_utf8_lossy(&wrapped.data), record);
            there_and_back(message);
        }
    }

    #[test]
    fn json_objects_are_kept_byte_for_byte() {
        for message in [
            "{}",
            " \n{ \"a\" : 1 , \"a\" : 2 }\r\n",
            r#"{"a":"\u0000\ud83d\ude00","b":[[1,null],{}],"c":-0.0,"d":1E5}"#,
            "{\"a\":\"\u{7f}\u{2028}\"}",
        ] {
            assert_eq!(there_and_back(message.as_bytes()), Kind::Json, "{message}");
            assert!(matches!(wrap(message.as_bytes(), 0).data, Cow::Borrowed(data) if data == message.as_bytes()));
        }
    }

    #[test]
    fn what_only_looks_like_json_is_text() {
        let deep = "{\"a\":".repeat(5000) + "1" + &"}".repeat(5000);
        for message in [
            "[1]",
            "1",
            "null",
            "\"{}\"",
            "{",
            "{}{}",
            "{}\0",
            "{\"a\":NaN}",
            "{\"a\":1e999}",
            "{a:1}",
            "\u{feff}{}",
            " ",
            r#"{"a":"\ud800"}"#,
            &deep,
            "vot:12.1",
            "\n",
        ] {
            assert_eq!(there_and_back(message.as_bytes()), Kind::Text, "{message}");
        }
    }

    #[test]
    fn numbers_of_python_are_no_json_and_yet_understood() {
        let object = |text: &str| python_object(text.as_bytes(), |number| if number == "NaN" { "null" } else { "7" });
        let text = r#" {"a": NaN, "b": [Infinity, -Infinity, -1], "NaN": "\\\"NaN, -Infinity", "I": {"N": NaN}}"#;
        assert_eq!(there_and_back(text.as_bytes()), Kind::Text);
        let expected = json!({"a": null, "b": [7, 7, -1], "NaN": "\\\"NaN, -Infinity", "I": {"N": null}});
        assert_eq!(object(text).map(Value::Object), Some(expected));
        for text in ["NaN", "[NaN]", "{NaN", "{\"a\":xNaN}", "{\"a\":NaNa}", "{\"a\":\"\\", "{\"\\é", ""] {
            assert_eq!(object(text), None, "{text}");
        }
        assert_eq!(python_object(b"{\"a\":\xff}", |_| "0"), None);
    }

    #[test]
    fn what_only_looks_like_a_picture_is_text() {
        for message in [
            "frvc:",
            "frvc",
            "frvc:x",
            "frvc:====",
            "frvc:/9j/4A=",
            "frvc:/9j/4A==\n",
            "frvc: /9j/4A==",
            "frvc:_-j_4A==",
            "FRVC:/9j/4A==",
            "xrvc:/9j/4A==",
            ":/9j/4A==",
            "frvc:/9j/4B==",
            "frvc:frvc:/9j/4A==",
            "frvc:\"}",
        ] {
            assert_eq!(there_and_back(message.as_bytes()), Kind::Text, "{message}");
        }
        for camera in CAMERAS {
            assert_eq!(there_and_back(format!("{camera}:/9j/4A==").as_bytes()), Kind::Picture(camera));
        }
        assert_eq!(there_and_back(b"frvc:\xff"), Kind::Bytes);
    }

    #[test]
    fn huge_messages_come_back() {
        let big = vec![b'/'; 16 << 20];
        assert_eq!(there_and_back(&big), Kind::Text);
        assert_eq!(there_and_back(&[b"frvc:", &big[..]].concat()), Kind::Picture("frvc"));
        assert_eq!(there_and_back(&[b"{\"a\":\"", &big[..], b"\"}"].concat()), Kind::Json);
        assert_eq!(there_and_back(&vec![0xff; 16 << 20]), Kind::Bytes);
    }

    #[test]
    fn a_record_of_another_kind_is_refused() {
        for wrap in [Wrap::Text, Wrap::Base64, Wrap::Picture] {
            for record in
                ["", "{}", "[]", "null", r#"{"text":1,"data":2}"#, r#"{"data":"?"}"#, r#"{"frame_id":"frvc"}"#]
            {
                assert_eq!(unwrap(wrap, record.as_bytes()), Err(NotWrapped(wrap)), "{record}");
            }
        }
        // Of somebody else, who writes JSON in another way.
        assert_eq!(unwrap(Wrap::Text, br#" { "more": null, "text" : "\u0061" } "#).unwrap(), &b"a"[..]);
    }

    #[test]
    fn ways_have_names() {
        for wrap in Wrap::ALL {
            assert_eq!(Wrap::named(wrap.name()), Some(wrap));
        }
        assert_eq!(Wrap::named("gzip"), None);
    }

    #[test]
    fn a_separator_is_written_as_it_is_typed() {
        assert_eq!(escape(b"end;"), "end;");
        assert_eq!(escape(b"\r\n\t\0\\\xff "), "\\r\\n\\t\\0\\\\\\xff ");
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(message in proptest::collection::vec(any::<u8>(), 0..200)) {
            there_and_back(&message);
        }

        #[test]
        fn any_text_comes_back(message in "\\PC*|(frvc|revc|x):[A-Za-z0-9+/=]{0,12}|[{}\\[\\]\":,0-9a-z\\\\ \n]*") {
            there_and_back(message.as_bytes());
        }

        #[test]
        fn what_is_json_is_the_same_to_python(
            message in "[{}\\[\\]\":,0-9aNInfinity\\\\ \n-]*",
            key in ".*",
            text in ".*",
        ) {
            prop_assert_eq!(python_object(message.as_bytes(), |_| "?"), object(&message));
            let message = json!({ key: text }).to_string();
            prop_assert_eq!(python_object(message.as_bytes(), |_| "?"), object(&message));
        }

        #[test]
        fn any_object_comes_back(key in ".*", text in ".*", number in any::<f64>(), space in "[ \t\r\n]{0,3}") {
            let message = format!("{space}{}{space}", json!({ key: [json!(text), json!(number)] }));
            prop_assert_eq!(there_and_back(message.as_bytes()), Kind::Json);
        }

        #[test]
        fn nothing_that_is_read_makes_it_panic(record in proptest::collection::vec(any::<u8>(), 0..100)) {
            for wrap in Wrap::ALL {
                let _ = unwrap(wrap, &record);
            }
        }
    }
}

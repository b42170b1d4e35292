//! What the topics of a stream are called.
//!
//! A vehicle, a stream and a key may be any bytes; a level of a topic may not. [`escape`] makes one of the other, and
//! [`unescape`] takes it back.

use std::fmt::{self, Write};

use leads_comm::Key;

/// The topics of one stream of one vehicle. Displayed as what they all begin with.
///
/// # Examples
///
/// ```
/// use leads_comm::Key;
/// use leads_comm_mqtt::Topics;
///
/// let topics = Topics::new("leads", "car 7", "telemetry");
/// assert_eq!(topics.up(None), "leads/car 7/telemetry/up");
/// assert_eq!(topics.up(Some(&Key::new("bms/cell#3"))), "leads/car 7/telemetry/up/bms%2Fcell%233");
/// assert_eq!(topics.status(), "leads/car 7/telemetry/status");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    up: String,
    down: String,
    status: String,
    backlog: String,
    field: String,
}

impl Topics {
    /// The topics `PREFIX/VEHICLE/STREAM/…`. The prefix is taken as it is, and may have several levels; the others are
    /// [escaped](escape).
    pub fn new(prefix: &str, vehicle: impl AsRef<[u8]>, stream: impl AsRef<[u8]>) -> Self {
        let base = format!("{prefix}/{}/{}", escape(vehicle.as_ref()), escape(stream.as_ref()));
        let topic = |name: &str| format!("{base}/{name}");
        Self {
            up: topic("up"),
            down: topic("down"),
            status: topic("status"),
            backlog: topic("backlog"),
            field: topic("field"),
        }
    }

    /// Where messages of the vehicle go: those of a key to a topic of their own, below that of the others.
    pub fn up(&self, key: Option<&Key>) -> String {
        below(&self.up, key)
    }

    /// Where commands come from.
    pub fn down(&self) -> &str {
        &self.down
    }

    /// Where it is said whether the bridge is there.
    pub fn status(&self) -> &str {
        &self.status
    }

    /// Where messages go that have waited.
    pub fn backlog(&self) -> &str {
        &self.backlog
    }

    /// Where a number goes that a message of this key holds, by the name of its field.
    pub fn field(&self, key: Option<&Key>, name: &[u8]) -> String {
        format!("{}/{}", below(&self.field, key), escape(name))
    }

    /// The key of a message that went to this topic; `None` where it is none of [`up`](Self::up).
    pub(crate) fn key_of(&self, topic: &str) -> Option<Option<Key>> {
        match topic.strip_prefix(&*self.up)? {
            "" => Some(None),
            rest => unescape(rest.strip_prefix('/')?).map(|key| Some(Key::new(key))),
        }
    }

    /// How long a topic is at most, in bytes, of a key with so many bytes.
    pub(crate) fn longest(&self, key_len: usize) -> usize {
        self.backlog.len().max(self.up.len() + 1 + MOST_ESCAPED * key_len)
    }
}

impl fmt::Display for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.up.strip_suffix("/up").unwrap_or(&self.up))
    }
}

fn below(topic: &str, key: Option<&Key>) -> String {
    match key {
        Some(key) => format!("{topic}/{}", escape(key.as_bytes())),
        None => topic.to_owned(),
    }
}

/// How many bytes a byte becomes at most.
pub(crate) const MOST_ESCAPED: usize = 3;

/// Makes one level of a topic of any bytes: `+`, `#`, `/`, `%`, control characters, characters that are none, and bytes
/// that are no UTF-8 become `%` and two hexadecimal digits for each byte, in capitals; all others stay as they are.
///
/// The level is empty where there are no bytes. Two levels are equal only if their bytes are.
///
/// # Examples
///
/// ```
/// use leads_comm_mqtt::{escape, unescape};
///
/// assert_eq!(escape("50 %/m²".as_bytes()), "50 %25%2Fm²");
/// assert_eq!(escape(b"\xFF\0"), "%FF%00");
/// assert_eq!(unescape("50 %25%2Fm²").as_deref(), Some("50 %/m²".as_bytes()));
/// ```
pub fn escape(bytes: &[u8]) -> String {
    let mut level = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if is_plain(character) {
                level.push(character);
            } else {
                percent(&mut level, character.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        percent(&mut level, chunk.invalid());
    }
    level
}

/// The bytes that [`escape`] has made this level of; `None` where it has not.
pub fn unescape(level: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(level.len());
    let mut rest = level.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = behind;
            continue;
        }
        let digits = std::str::from_utf8(behind.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &behind[2..];
    }
    (escape(&bytes) == level).then_some(bytes)
}

/// Whether a level may have the character, which brokers end connections for otherwise (MQTT 3.1.1, sections 1.5.3 and
/// 4.7).
fn is_plain(character: char) -> bool {
    let is_none = matches!(character, '\u{FDD0}'..='\u{FDEF}') || u32::from(character) & 0xFFFE == 0xFFFE;
    !matches!(character, '+' | '#' | '/' | '%') && !character.is_control() && !is_none
}

fn percent(level: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(level, "%{byte:02X}");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn topics_are_those_that_are_documented() {
        let topics = Topics::new("team/leads", "car/7", "a+b");
        assert_eq!(topics.up(None), "team/leads/car%2F7/a%2Bb/up");
        assert_eq!(topics.up(Some(&Key::new(""))), "team/leads/car%2F7/a%2Bb/up/");
        assert_eq!(topics.down(), "team/leads/car%2F7/a%2Bb/down");
        assert_eq!(topics.status(), "team/leads/car%2F7/a%2Bb/status");
        assert_eq!(topics.backlog(), "team/leads/car%2F7/a%2Bb/backlog");
        assert_eq!(topics.field(None, b"km/h"), "team/leads/car%2F7/a%2Bb/field/km%2Fh");
        assert_eq!(topics.field(Some(&Key::new("gps")), b"lat"), "team/leads/car%2F7/a%2Bb/field/gps/lat");
        assert_eq!(topics.to_string(), "team/leads/car%2F7/a%2Bb");
    }

    #[test]
    fn the_key_of_a_topic_is_found_again() {
        let topics = Topics::new("leads", "car", "s");
        assert_eq!(topics.key_of(&topics.up(None)), Some(None));
        for key in ["", "speed", "a/b", "%"] {
            let key = Some(Key::new(key));
            assert_eq!(topics.key_of(&topics.up(key.as_ref())), Some(key));
        }
        for other in [topics.status(), "leads/car/s/upper", "leads/car/s/up/a/b", "leads/car/s/up/%zz", ""] {
            assert_eq!(topics.key_of(other), None, "{other}");
        }
    }

    #[test]
    fn only_what_escape_makes_is_taken_back() {
        for level in ["%", "%2", "%2f", "%+1", "%41", "a/b", "+", "#", "\0"] {
            assert_eq!(unescape(level), None, "{level:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_become_one_level_and_come_back(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let level = escape(&bytes);
            prop_assert!(level.chars().all(|character| is_plain(character) || character == '%'));
            prop_assert!(level.len() <= MOST_ESCAPED * bytes.len());
            prop_assert_eq!(unescape(&level), Some(bytes));
        }

        #[test]
        fn any_text_comes_back(text in any::<String>()) {
            prop_assert_eq!(unescape(&escape(text.as_bytes())), Some(text.into_bytes()));
        }
    }
}

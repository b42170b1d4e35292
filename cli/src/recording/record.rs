//! What is kept of a message, and what viewers are shown of it: one record, and those that are derived from it.
//!
//! ```text
//!   message           records
//!   {"speed":12}      of the message
//!   {"speed":NaN}     of the message, which is text to JSON; and of the frame that it is to Python
//!   {"latitude":…}    of the message; and of the position
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::channels::{self, Kind, LOCATION_TOPIC, Origin, Wrap, key};
use super::location;
use super::schema::{self, Schema};

/// Where a record belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Channel {
    Of(Kind),
    /// What is derived: frames that no viewer could read as they came, and positions.
    Frame,
    Location,
}

/// One of the records of a message.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    pub(crate) channel: Channel,
    /// When it was made, by itself, in nanoseconds since 1970, or else when it came.
    pub(crate) publish_time: u64,
    /// What the message says, if it is an object.
    pub(crate) object: Option<&'a Map<String, Value>>,
    /// JSON.
    pub(crate) data: Cow<'a, [u8]>,
}

/// Makes the records of a message that came at `time`, and hands them over, its own one first.
pub(crate) fn records<E>(
    message: &[u8],
    time: u64,
    mut each: impl FnMut(Record<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let wrapped = channels::wrap(message, time);
    let unreadable = match wrapped.kind {
        Kind::Text => channels::python_object(message, |_| "null"),
        _ => None,
    };
    let object = wrapped.object.as_ref().or(unreadable.as_ref());
    let publish_time = object.and_then(location::time_of).unwrap_or(time);
    let mut hand_over = |channel, data| each(Record { channel, publish_time, object, data });
    hand_over(Channel::Of(wrapped.kind), wrapped.data)?;
    if let Some(frame) = &unreadable {
        hand_over(Channel::Frame, Value::Object(frame.clone()).to_string().into_bytes().into())?;
    }
    if let Some(fix) = object.and_then(|object| location::fix(object, publish_time)) {
        hand_over(Channel::Location, fix.into())?;
    }
    Ok(())
}

impl Channel {
    /// `name` is that of JSON objects.
    pub(crate) fn topic(self, name: &str) -> String {
        match self {
            Self::Of(kind) => kind.topic(name),
            Self::Frame => Kind::Json.topic(name),
            Self::Location => LOCATION_TOPIC.into(),
        }
    }

    /// The type of its records, by what one of them says.
    pub(crate) fn schema(self, object: Option<&Map<String, Value>>) -> Schema {
        match self {
            Self::Of(Kind::Json) | Self::Frame => schema::frame(object.unwrap_or(&Map::new())),
            Self::Of(Kind::Text) => schema::text(),
            Self::Of(Kind::Bytes) => schema::bytes(),
            Self::Of(Kind::Picture(_)) => schema::picture(),
            Self::Location => schema::location(),
        }
    }

    /// What it says of itself in a recording, where its messages come from there.
    pub(crate) fn metadata(self, origin: &Origin) -> BTreeMap<String, String> {
        match self {
            Self::Of(kind) => origin.metadata(kind.wrap()),
            Self::Frame | Self::Location => {
                let mut metadata = origin.metadata(Wrap::None);
                metadata.insert(key::DERIVED.into(), "true".into());
                metadata
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(message: &str) -> Vec<(Channel, u64, String)> {
        let mut all = Vec::new();
        let outcome: Result<(), ()> = records(message.as_bytes(), 7, |record| {
            all.push((record.channel, record.publish_time, String::from_utf8_lossy(&record.data).into_owned()));
            Ok(())
        });
        outcome.unwrap();
        all
    }

    #[test]
    fn what_is_derived_comes_behind_the_message() {
        let own = |kind, text: &str| (Channel::Of(kind), 7, text.to_owned());
        assert_eq!(of(r#"{"speed":1}"#), [own(Kind::Json, r#"{"speed":1}"#)]);
        assert_eq!(of("time_lap"), [own(Kind::Text, r#"{"text":"time_lap"}"#)]);
        assert_eq!(
            of(r#"{"speed":NaN}"#),
            [own(Kind::Text, r#"{"text":"{\"speed\":NaN}"}"#), (Channel::Frame, 7, r#"{"speed":null}"#.into())]
        );
        let all = of(r#"{"t":1795897762603,"latitude":1.5,"longitude":2}"#);
        let channels: Vec<_> = all.iter().map(|(channel, time, _)| (*channel, *time)).collect();
        let time = 1_795_897_762_603_000_000;
        assert_eq!(channels, [(Channel::Of(Kind::Json), time), (Channel::Location, time)]);
        assert!(all[1].2.contains(r#""latitude":1.5"#), "{all:?}");
    }

    #[test]
    fn the_first_that_fails_is_the_last() {
        let mut count = 0;
        let outcome = records(br#"{"latitude":1.5,"longitude":2}"#, 7, |_| {
            count += 1;
            Err("full")
        });
        assert_eq!((outcome, count), (Err("full"), 1));
    }
}

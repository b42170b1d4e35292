//! What a message is to a viewer: an object with numbers, pictures, or anything else. It is parsed here, once.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::recording::channels;

/// What the name of a field ends with that holds a picture, as LEADS's do.
const PICTURE_SUFFIX: &str = "_base64";

/// How long a tag in front of a picture may be, in bytes.
const LONGEST_TAG: usize = 32;

/// How much of a field's name is looked at before it is held for a picture.
const LONGEST_NAME: usize = 64;

/// What a message is.
#[derive(Debug)]
pub(super) enum Look<'a> {
    Object(Map<String, Value>),
    /// A picture by itself, and its name.
    Picture(&'a str, Encoded<'a>),
    /// Text that is none of these, or bytes.
    Other,
}

/// A picture as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoded<'a> {
    Base64(&'a str),
    Bytes(&'a [u8]),
}

impl<'a> Look<'a> {
    pub(super) fn at(message: &'a [u8]) -> Self {
        if is_picture(message) {
            return Self::Picture("picture", Encoded::Bytes(message));
        }
        let Ok(text) = std::str::from_utf8(message) else { return Self::Other };
        if let Some((name, data)) = tagged(text) {
            return Self::Picture(name, Encoded::Base64(data));
        }
        match channels::object(text).or_else(|| channels::python_object(message, |_| "null")) {
            Some(object) => Self::Object(object),
            None => Self::Other,
        }
    }
}

/// `frvc:` and a picture in Base64.
fn tagged(text: &str) -> Option<(&str, &str)> {
    let (tag, data) = text.split_once(':').filter(|(tag, _)| (1..=LONGEST_TAG).contains(&tag.len()))?;
    let is_plain = tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    (is_plain && is_picture_in_base64(data)).then_some((tag, data))
}

/// The name and the Base64 of a picture in a field.
pub(super) fn picture<'a>(field: &'a str, text: &'a str) -> Option<(&'a str, &'a str)> {
    let name = field.strip_suffix(PICTURE_SUFFIX).filter(|name| (1..=LONGEST_NAME).contains(&name.len()))?;
    is_picture_in_base64(text).then_some((name, text))
}

/// Judged by its first bytes, as far as they are needed; the rest is decoded where somebody wants to see it.
fn is_picture_in_base64(text: &str) -> bool {
    text.get(..16).and_then(|begin| STANDARD.decode(begin).ok()).is_some_and(|begin| is_picture(&begin))
}

/// Whether it begins as JPEG, PNG or WebP do.
pub(super) fn is_picture(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\xff\xd8\xff")
        || bytes.starts_with(b"\x89PNG\r\n\x1a\n")
        || bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_known_by_how_they_begin() {
        let jpeg = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01";
        let text = format!("frvc:{}", STANDARD.encode(jpeg));
        assert!(matches!(Look::at(text.as_bytes()), Look::Picture("frvc", Encoded::Base64(_))));
        assert!(matches!(Look::at(jpeg), Look::Picture("picture", Encoded::Bytes(bytes)) if bytes == jpeg));
        for begin in [&jpeg[..], b"\x89PNG\r\n\x1a\n\0\0\0\r", b"RIFF\x10\0\0\0WEBP"] {
            let data = STANDARD.encode(begin);
            assert_eq!(picture("front_view_base64", &data), Some(("front_view", &*data)));
            assert_eq!(picture("front_view", &data), None);
        }
        let other = STANDARD.encode("RIFF\x10\0\0\0WAVE");
        let long = format!("{}:{}", "x".repeat(33), STANDARD.encode(jpeg));
        for text in ["frvc:", "frvc:/9j/", "a b:/9j/4AAQSkZJRgAB", ":/9j/4AAQSkZJRgAB", &format!("x:{other}"), &long] {
            assert!(matches!(Look::at(text.as_bytes()), Look::Other), "{text}");
        }
        for (field, data) in [("_base64", "/9j/4AAQSkZJRgAB"), ("a_base64", "/9j/é4AAQSkZJRgAB"), ("a_base64", "")] {
            assert_eq!(picture(field, data), None);
        }
    }

    #[test]
    fn objects_are_those_of_json_and_of_python() {
        for message in ["{}", r#" {"a":1}"#, r#"{"a": NaN, "b": -Infinity}"#] {
            assert!(matches!(Look::at(message.as_bytes()), Look::Object(_)), "{message}");
        }
        let deep = "{\"a\":".repeat(5000) + "1" + &"}".repeat(5000);
        for message in ["", "time_lap", "[1]", "7", r#"{"a":1e400}"#, r#"{"a":"#, &deep, "<script>"] {
            assert!(matches!(Look::at(message.as_bytes()), Look::Other), "{message}");
        }
        assert!(matches!(Look::at(b"{\"a\":\"\xff\"}"), Look::Other));
    }
}

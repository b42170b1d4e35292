//! The newest picture of each name.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::look::{Encoded, is_picture};

/// Of how many names.
const MOST: usize = 16;

/// How large a picture may be, in bytes.
pub(super) const LARGEST: usize = 4 << 20;

/// What a message with a picture begins with.
pub(super) const MARK: u8 = 1;

/// The longest that is in front of a picture: the mark, a length, a name, and a time.
pub(super) const LONGEST_HEAD: usize = 2 + 255 + 8;

#[derive(Debug)]
enum Kept {
    Base64(String),
    Bytes(Vec<u8>),
}

/// They are kept as they came, and decoded when there is somebody to see them.
#[derive(Debug, Default)]
pub(super) struct Pictures(BTreeMap<String, (u64, Kept)>);

impl Pictures {
    /// A picture that came at `time`; whether it can be shown.
    pub(super) fn add(&mut self, name: &str, picture: Encoded<'_>, time: u64) -> bool {
        let (len, kept) = match picture {
            Encoded::Base64(text) => (text.len() / 4 * 3, Kept::Base64(text.into())),
            Encoded::Bytes(bytes) => (bytes.len(), Kept::Bytes(bytes.into())),
        };
        let has_room = self.0.len() < MOST || self.0.contains_key(name);
        if len > LARGEST || !has_room {
            return false;
        }
        self.0.insert(name.into(), (time, kept));
        true
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The message that shows one to the page; `None` where it is none after all.
    pub(super) fn message(&self, name: &str) -> Option<Vec<u8>> {
        let (time, kept) = self.0.get(name)?;
        let mut message = vec![MARK, u8::try_from(name.len()).ok()?];
        message.extend_from_slice(name.as_bytes());
        message.extend_from_slice(&(*time as f64 / 1e6).to_be_bytes());
        let head = message.len();
        match kept {
            Kept::Base64(text) => {
                message.reserve(text.len() / 4 * 3 + 3);
                STANDARD.decode_vec(text, &mut message).ok()?;
            }
            Kept::Bytes(bytes) => message.extend_from_slice(bytes),
        }
        is_picture(&message[head..]).then_some(message)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JPEG: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01";

    #[test]
    fn a_picture_is_shown_as_it_was_before_it_was_text() {
        let mut pictures = Pictures::default();
        let data = STANDARD.encode(JPEG);
        assert!(pictures.add("frvc", Encoded::Base64(&data), 1_500_000_000_000));
        let time = 1_500_000.0_f64.to_be_bytes();
        let expected = [b"\x01\x04frvc", &time[..], JPEG].concat();
        assert_eq!(pictures.message("frvc"), Some(expected.clone()));
        assert!(pictures.add("frvc", Encoded::Bytes(JPEG), 1_500_000_000_000));
        assert_eq!(pictures.message("frvc"), Some(expected));
        assert_eq!(pictures.message("other"), None);
    }

    #[test]
    fn what_only_begins_like_one_is_not_shown() {
        let mut pictures = Pictures::default();
        let broken = format!("{}!", STANDARD.encode(JPEG));
        assert!(pictures.add("a", Encoded::Base64(&broken), 1));
        assert_eq!(pictures.message("a"), None);
    }

    #[test]
    fn there_are_not_too_many_and_none_is_too_large() {
        let mut pictures = Pictures::default();
        let added = (0..20).filter(|number| pictures.add(&format!("p{number}"), Encoded::Bytes(JPEG), 1)).count();
        assert_eq!((added, pictures.names().count()), (MOST, MOST));
        assert!(pictures.add("p0", Encoded::Bytes(JPEG), 2));
        assert!(!pictures.add("p0", Encoded::Bytes(&[0xff; LARGEST + 1]), 3));
        assert!(!pictures.add("p0", Encoded::Base64(&"A".repeat(LARGEST / 3 * 4 + 8)), 3));
    }
}

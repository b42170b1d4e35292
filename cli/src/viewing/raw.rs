//! The newest messages as they came, whatever is in them.

use std::collections::VecDeque;

/// How many.
const NEWEST: usize = 20;

/// How much of each, in bytes.
const HEAD: usize = 2048;

#[derive(Debug)]
pub(super) struct Raw {
    /// Its number, from 1.
    pub(super) seq: u64,
    /// When it came, in nanoseconds since 1970.
    pub(super) at: u64,
    /// How long it is.
    pub(super) len: usize,
    head: Box<[u8]>,
}

/// What is shown of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shown<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
}

impl Raw {
    pub(super) fn is_cut(&self) -> bool {
        self.head.len() < self.len
    }

    /// Text that is cut within a character is text up to there.
    pub(super) fn shown(&self) -> Shown<'_> {
        match std::str::from_utf8(&self.head) {
            Ok(text) => Shown::Text(text),
            Err(error) if self.is_cut() && error.error_len().is_none() => {
                let text = std::str::from_utf8(&self.head[..error.valid_up_to()]);
                Shown::Text(text.expect("it has been found to be valid so far"))
            }
            Err(_) => Shown::Bytes(&self.head),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Newest {
    pub(super) total: u64,
    messages: VecDeque<Raw>,
}

impl Newest {
    pub(super) fn add(&mut self, message: &[u8], at: u64) {
        self.total += 1;
        if self.messages.len() == NEWEST {
            self.messages.pop_front();
        }
        let head = message[..message.len().min(HEAD)].into();
        self.messages.push_back(Raw { seq: self.total, at, len: message.len(), head });
    }

    /// The oldest of them first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Raw> {
        self.messages.iter()
    }

    /// Forgets them, but not how many there were.
    pub(super) fn clear(&mut self) {
        self.messages.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(message: &[u8]) -> (bool, String) {
        let mut newest = Newest::default();
        newest.add(message, 1);
        let raw = newest.iter().next().unwrap();
        let text = match raw.shown() {
            Shown::Text(text) => format!("text {}", text.len()),
            Shown::Bytes(bytes) => format!("bytes {}", bytes.len()),
        };
        (raw.is_cut(), text)
    }

    #[test]
    fn text_stays_text_when_it_is_cut() {
        assert_eq!(shown("é".as_bytes()), (false, "text 2".into()));
        assert_eq!(shown(&[b"x", "é".repeat(2000).as_bytes()].concat()), (true, "text 2047".into()));
        assert_eq!(shown(&[b'x'; 1 << 20]), (true, "text 2048".into()));
        assert_eq!(shown(b"\xff"), (false, "bytes 1".into()));
        assert_eq!(shown(b"x\xc3"), (false, "bytes 2".into()));
        assert_eq!(shown(&[0xff; 3000]), (true, "bytes 2048".into()));
    }

    #[test]
    fn the_newest_are_kept() {
        let mut newest = Newest::default();
        (0..50_u64).for_each(|number| newest.add(b"x", number));
        assert_eq!((newest.total, newest.iter().count()), (50, NEWEST));
        assert_eq!(newest.iter().map(|raw| raw.seq).collect::<Vec<_>>(), (31..=50).collect::<Vec<_>>());
    }
}

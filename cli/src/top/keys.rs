//! What a key means.

/// What the person at the terminal wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    NextColumn,
    Reverse,
    Pause,
    /// So many rows further down, or up.
    Scroll(isize),
    Top,
    Quit,
}

/// What has come of a key that sends several bytes.
#[derive(Debug, Default)]
pub(super) struct Keys {
    escape: Vec<u8>,
}

impl Keys {
    /// The key that is whole with this byte, if it means anything. `page` is how many rows a page has.
    pub(super) fn next(&mut self, byte: u8, page: usize) -> Option<Key> {
        let page = isize::try_from(page).unwrap_or(isize::MAX);
        if byte == 0x1b {
            self.escape = vec![byte];
            return None;
        }
        if self.escape.is_empty() {
            return match byte {
                b'o' => Some(Key::NextColumn),
                b'r' => Some(Key::Reverse),
                b' ' => Some(Key::Pause),
                b'j' => Some(Key::Scroll(1)),
                b'k' => Some(Key::Scroll(-1)),
                b'g' => Some(Key::Top),
                b'q' => Some(Key::Quit),
                _ => None,
            };
        }
        self.escape.push(byte);
        let key = match &self.escape[1..] {
            [b'[' | b'O'] => return None,
            [b'[' | b'O', b'A'] => Some(Key::Scroll(-1)),
            [b'[' | b'O', b'B'] => Some(Key::Scroll(1)),
            [b'[' | b'O', b'H'] => Some(Key::Top),
            [b'[', b'5', b'~'] => Some(Key::Scroll(-page)),
            [b'[', b'6', b'~'] => Some(Key::Scroll(page)),
            // Digits, until the letter that ends it; and no more of them than keys have.
            [b'[', digits @ ..] if digits.len() < 8 && !matches!(byte, 0x40..=0x7e) => return None,
            _ => None,
        };
        self.escape.clear();
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_several_bytes_are_one() {
        let mut keys = Keys::default();
        let all: Vec<Key> =
            b"o\x1b[A\x1b[B\x1bOBr\x1b[5~\x1b[6~x\x1b[1;5Cq".iter().filter_map(|byte| keys.next(*byte, 10)).collect();
        let scroll = |rows| Key::Scroll(rows);
        assert_eq!(
            all,
            [Key::NextColumn, scroll(-1), scroll(1), scroll(1), Key::Reverse, scroll(-10), scroll(10), Key::Quit]
        );
    }

    #[test]
    fn an_escape_by_itself_does_not_swallow_all_that_comes() {
        let mut keys = Keys::default();
        assert_eq!(b"\x1bqq".iter().filter_map(|byte| keys.next(*byte, 10)).collect::<Vec<_>>(), [Key::Quit]);
        let mut keys = Keys::default();
        let endless = [b"\x1b[".as_slice(), &[b'1'; 20], b"q"].concat();
        assert_eq!(endless.iter().filter_map(|byte| keys.next(*byte, 10)).last(), Some(Key::Quit));
    }
}

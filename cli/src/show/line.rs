//! A message in a row of a terminal: `12:00:03.412 +0.033 #3 812B {"brake":0.0,…`.
//!
//! Nothing that a payload holds moves the cursor, changes colours or breaks the line, and the row is never longer than
//! the terminal is wide.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use unicode_width::UnicodeWidthChar;

const DIM: &str = "\x1b[2m";
const CYAN: &str = "\x1b[36m";
const YELLOW: &str = "\x1b[33m";
const PLAIN: &str = "\x1b[0m";

/// What stands before the payload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) received: Timestamp,
    /// Since the message before.
    pub(super) gap: Duration,
    /// Of its connection, where there may be several.
    pub(super) id: Option<u64>,
    pub(super) len: usize,
}

/// The row, without its end; `columns` is how long it may be, if there is a limit.
pub(super) fn render(head: &Head, payload: &[u8], columns: Option<usize>, color: bool) -> String {
    let mut row = Row { text: String::new(), width: 0, columns: columns.unwrap_or(usize::MAX), kept: 0, color };
    let is_whole = write_head(&mut row, head) && write_payload(&mut row, payload);
    if !is_whole {
        row.cut();
    }
    row.text
}

/// The payload alone, as long as it is, without anything that a terminal would obey.
pub(crate) fn escaped(payload: &[u8]) -> String {
    let mut row = Row { text: String::new(), width: 0, columns: usize::MAX, kept: 0, color: false };
    write_payload(&mut row, payload);
    row.text
}

fn write_head(row: &mut Row, head: &Head) -> bool {
    let time = head.received.to_zoned(TimeZone::system()).strftime("%H:%M:%S.%3f");
    let gap = head.gap.as_secs_f64();
    row.style(DIM);
    let mut is_whole = row.write(&format!("{time} +{gap:.3} "));
    row.style(PLAIN);
    if let Some(id) = head.id {
        row.style(CYAN);
        is_whole = is_whole && row.write(&format!("#{id} "));
        row.style(PLAIN);
    }
    row.style(DIM);
    is_whole = is_whole && row.write(&format!("{}B ", head.len));
    row.style(PLAIN);
    is_whole
}

/// Escapes what a terminal would not show as it is; stops where the row is full.
fn write_payload(row: &mut Row, payload: &[u8]) -> bool {
    let mut escape = String::new();
    for chunk in payload.utf8_chunks() {
        for character in chunk.valid().chars() {
            let is_whole = match shown_width(character) {
                Some(width) => row.push(character.encode_utf8(&mut [0; 4]), width),
                None => {
                    escape.clear();
                    match character {
                        '\n' | '\r' | '\t' => escape.extend(character.escape_default()),
                        '\0'..='\x7f' => write!(escape, "\\x{:02x}", u32::from(character)).expect("a String takes it"),
                        _ => escape.extend(character.escape_unicode()),
                    }
                    row.write_escape(&escape)
                }
            };
            if !is_whole {
                return false;
            }
        }
        for byte in chunk.invalid() {
            if !row.write_escape(&format!("\\x{byte:02x}")) {
                return false;
            }
        }
    }
    true
}

/// Whether a character is to be shown as it is.
pub(crate) fn is_shown(character: char) -> bool {
    shown_width(character).is_some()
}

/// How many columns a character takes; `None` if it is not to be shown as it is: controls, and what changes the
/// direction of text, joins characters or is invisible.
fn shown_width(character: char) -> Option<usize> {
    match character {
        ' '..='~' => Some(1),
        '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' => None,
        '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}' => None,
        _ => character.width(),
    }
}

struct Row {
    text: String,
    width: usize,
    columns: usize,
    /// How much of the text stays, when there is more than fits, so that it has room for the sign of that.
    kept: usize,
    color: bool,
}

impl Row {
    fn style(&mut self, style: &str) {
        if self.color {
            self.text.push_str(style);
        }
    }

    /// Text without anything that is wider than a column.
    fn write(&mut self, text: &str) -> bool {
        text.chars().all(|character| self.push(character.encode_utf8(&mut [0; 4]), 1))
    }

    fn write_escape(&mut self, escape: &str) -> bool {
        self.style(YELLOW);
        let is_whole = self.push(escape, escape.len());
        self.style(PLAIN);
        is_whole
    }

    /// All of it or nothing; false if it does not fit.
    fn push(&mut self, text: &str, width: usize) -> bool {
        if self.width < self.columns {
            // Up to here, with one column left.
            self.kept = self.text.len();
        }
        self.width = self.width.saturating_add(width);
        self.text.push_str(text);
        self.width <= self.columns
    }

    /// Ends a row that does not fit.
    fn cut(&mut self) {
        self.text.truncate(self.kept);
        self.style(PLAIN);
        if self.columns > 0 {
            self.text.push('…');
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_width::UnicodeWidthStr;

    use super::*;

    fn head(id: Option<u64>, len: usize) -> Head {
        Head { received: Timestamp::UNIX_EPOCH, gap: Duration::from_millis(33), id, len }
    }

    fn shown(payload: &[u8], columns: Option<usize>) -> String {
        render(&head(Some(3), payload.len()), payload, columns, false)
    }

    /// What stands behind the length.
    fn payload_of(row: &str) -> &str {
        row.split_once("B ").expect("a head").1
    }

    #[test]
    fn it_has_time_gap_connection_length_and_payload() {
        let row = shown(b"{\"brake\":0.0}", None);
        let (time, rest) = row.split_once(' ').unwrap();
        assert!(time.len() == 12 && time.ends_with(":00.000"), "{row}");
        assert_eq!(rest, "+0.033 #3 13B {\"brake\":0.0}");
        assert!(!render(&head(None, 0), b"", None, false).contains('#'));
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        let payload = "a\tb\n\r\x1b[31m\x7f\u{85}\u{202e}\u{200b}é漢".as_bytes();
        let row = shown(&[payload, b"\xff\xfe"].concat(), None);
        assert_eq!(payload_of(&row), r"a\tb\n\r\x1b[31m\x7f\u{85}\u{202e}\u{200b}é漢\xff\xfe");
    }

    #[test]
    fn it_is_cut_to_the_width() {
        // The head is 27 columns.
        let payload = "漢".repeat(10);
        assert_eq!(payload_of(&shown(payload.as_bytes(), Some(47))), payload);
        assert_eq!(payload_of(&shown(payload.as_bytes(), Some(46))), "漢".repeat(9) + "…");
        assert_eq!(payload_of(&shown(payload.as_bytes(), Some(45))), "漢".repeat(8) + "…");
        // An escape is never cut in two.
        assert_eq!(payload_of(&shown(b"ab\x1bcdefghij", Some(33))), "ab…");
        assert_eq!(shown(b"x", Some(5)), "00:00…".replace("00:00", &shown(b"x", None)[..4]));
    }

    #[test]
    fn colours_end_where_the_row_ends() {
        for columns in 1..60 {
            let row = render(&head(Some(3), 4), b"a\x1bb\xff", Some(columns), true);
            assert!(row.contains("\x1b[2m") && row.rfind(PLAIN) > row.rfind(DIM).max(row.rfind(YELLOW)), "{row:?}");
        }
    }

    proptest! {
        #[test]
        fn no_payload_is_wider_or_has_a_control(payload: Vec<u8>, text: String, columns in 0_usize..100) {
            for payload in [&payload[..], text.as_bytes()] {
                let row = shown(payload, Some(columns));
                prop_assert!(row.chars().map(|char| char.width().unwrap_or(1)).sum::<usize>() <= columns, "{row:?}");
                prop_assert!(row.width() <= columns, "{row:?}");
                prop_assert!(!row.chars().any(char::is_control), "{row:?}");
            }
        }
    }
}

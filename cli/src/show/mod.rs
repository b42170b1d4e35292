//! How messages are printed, for every verb that prints some.
//!
//! A verb gives its command the options ([`with_options`]), makes a [`Printer`] of what was typed, begins to print
//! ([`Printer::begin`]) once all of that is known to be right, and calls [`Printer::show`] for each message, on the
//! thread that received it: it blocks while the reader of stdout does not keep up, which is how that reader slows the
//! sender down. A verb that ends after so many messages, or after so much silence, shows them through an [`Until`].
//!
//! ```text
//!   on_receive ──▶ Until::count ──▶ Printer::show ─┬─ line      a terminal's row: time, gap, length, payload    line.rs
//!                                                  ├─ text      the payload and a newline
//!                                                  ├─ raw       the payload
//!                                                  ├─ hex       its bytes as digits
//!                                                  ├─ json      an object with all that is known              json.rs
//!                                                  └─ --fields  CSV of what is in JSON                      fields.rs
//! ```

mod fields;
mod json;
mod line;
mod until;

use std::time::Instant;

use clap::builder::PossibleValue;
use clap::{Arg, ArgAction, ArgMatches, Command};
use jiff::Timestamp;
use leads_comm::Connection;
use parking_lot::Mutex;

use crate::console::{self, Failure, print, usage};
use fields::Fields;
use line::Head;
pub(crate) use line::{escaped, is_shown};
pub(crate) use until::{End, Until};

/// What is printed of each message.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Format {
    Line,
    Text,
    Raw,
    Json,
    Hex,
    Fields(Fields),
}

/// Prints messages as it was asked for.
#[derive(Debug)]
pub(crate) struct Printer {
    format: Format,
    /// What comes behind each of them.
    end: u8,
    color: bool,
    /// Whether what a terminal would obey is escaped.
    escapes: bool,
    /// Whether a row says of which connection it is.
    has_many: bool,
    last: Mutex<Option<Instant>>,
}

/// One message, and what is known of it.
#[derive(Debug, Clone, Copy)]
struct Message<'a> {
    received: Timestamp,
    peer: &'a str,
    id: u64,
    payload: &'a [u8],
}

/// Gives a verb the options that say how messages are printed.
pub(crate) fn with_options(command: Command) -> Command {
    let formats = [
        PossibleValue::new("line").help("time, gap, length and payload, cut to a terminal's width"),
        PossibleValue::new("text").help("the payload and a newline"),
        PossibleValue::new("raw").help("the payload and nothing else"),
        PossibleValue::new("json").help("an object with time, peer, id, size and the message"),
        PossibleValue::new("hex").help("the payload in hexadecimal digits"),
    ];
    command.next_help_heading("Output").args([
        Arg::new("format")
            .short('f')
            .long("format")
            .value_name("FORMAT")
            .value_parser(formats)
            .hide_possible_values(true)
            .help("line, text, raw, json, hex (default line; piped text)"),
        Arg::new("fields")
            .long("fields")
            .value_name("NAMES")
            .value_parser(str::parse::<Fields>)
            .conflicts_with_all(["format", "null"])
            .help("CSV of these fields of JSON, as in t,speed,gps.lat"),
        Arg::new("null")
            .short('0')
            .long("null")
            .action(ArgAction::SetTrue)
            .help("NUL instead of a newline behind each message"),
    ])
}

impl Printer {
    /// What was asked for; `has_many` says whether messages come from several connections.
    pub(crate) fn of(matches: &ArgMatches, has_many: bool) -> Result<Self, Failure> {
        let format = matches.get_one::<String>("format").map(String::as_str);
        let format = match (matches.get_one::<Fields>("fields"), format) {
            (Some(fields), _) => Format::Fields(fields.clone()),
            (None, Some("line")) => Format::Line,
            (None, Some("raw")) => Format::Raw,
            (None, Some("json")) => Format::Json,
            (None, Some("hex")) => Format::Hex,
            (None, None) if console::columns().is_some() => Format::Line,
            (None, _) => Format::Text,
        };
        let null = matches.get_flag("null");
        if null && format == Format::Raw {
            return Err(usage("-0 puts NUL behind each message, and --format raw nothing"));
        }
        let color = format == Format::Line && console::wants_color(matches.get_flag("no-color"));
        let escapes = console::columns().is_some();
        Ok(Self { format, end: if null { 0 } else { b'\n' }, color, escapes, has_many, last: Mutex::default() })
    }

    /// Prints what comes before the first message: the header of a CSV. Once it is certain that the call is right.
    pub(crate) fn begin(&self) {
        if let Format::Fields(fields) = &self.format {
            print(&[fields.header().as_bytes(), b"\n"]);
        }
    }

    /// Prints a message. Blocks while stdout takes nothing.
    pub(crate) fn show(&self, connection: &Connection, payload: &[u8]) {
        let message =
            Message { received: Timestamp::now(), peer: connection.peer(), id: connection.id().get(), payload };
        match &self.format {
            Format::Text => self.print_text(payload),
            Format::Raw => print(&[payload]),
            Format::Hex => print(&[hex(payload).as_bytes(), &[self.end]]),
            Format::Json => self.print_text(json::envelope(&message).as_bytes()),
            Format::Fields(fields) => self.print_text(fields.row(payload).as_bytes()),
            Format::Line => print(&[self.line(&message).as_bytes(), &[self.end]]),
        }
    }

    /// Prints what may hold anything that somebody has sent.
    fn print_text(&self, text: &[u8]) {
        match self.escapes {
            true => print(&[escaped(text).as_bytes(), &[self.end]]),
            false => print(&[text, &[self.end]]),
        }
    }

    fn line(&self, message: &Message<'_>) -> String {
        let now = Instant::now();
        let before = self.last.lock().replace(now);
        let gap = before.map(|before| now.saturating_duration_since(before)).unwrap_or_default();
        let head = Head {
            received: message.received,
            gap,
            id: self.has_many.then_some(message.id),
            len: message.payload.len(),
        };
        line::render(&head, message.payload, console::columns(), self.color)
    }
}

fn hex(payload: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    payload.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn hex_has_two_digits_a_byte() {
        assert_eq!(super::hex(b"\0\x0f\xf0z"), "000ff07a");
    }
}

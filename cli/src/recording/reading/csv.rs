//! LEADS's CSV: a row a frame, with the time in column `t`, in milliseconds since 1970.
//!
//! Each row becomes the JSON object it came from, as well as it can be told: what was empty is missing, names are in
//! alphabetical order with `t` behind them, and all is spaced as Python does it.

use std::io::{self, BufRead};

use serde_json::Value;

use super::item::Item;
use super::json_lines::{Channels, Read, nanoseconds};
use super::lines::Lines;

/// The column with the number of the row, which is no part of the frame.
const INDEX: &str = "index";
/// The column with the time, and how many digits it is away from nanoseconds.
const TIME: (&str, usize) = ("t", 6);

/// The rows of a file.
pub(super) struct CsvRows<R> {
    lines: Lines<R>,
    header: Vec<String>,
    channels: Channels,
}

impl<R: BufRead> CsvRows<R> {
    /// Reads the header; says what is wrong with it.
    pub(super) fn new(input: R) -> Result<Self, String> {
        let mut lines = Lines::new(input);
        let header = next_row(&mut lines).map_err(|error| error.to_string())?;
        let header = header.unwrap_or_else(|| Ok(Vec::new())).map_err(|what| format!("line 1 {what}"))?;
        if !header.iter().any(|name| name == TIME.0) {
            return Err("it is no MCAP, no JSON Lines, and no CSV with a column t".into());
        }
        Ok(Self { lines, header, channels: Channels::default() })
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
        let Some(row) = next_row(&mut self.lines)? else { return Ok(None) };
        let frame = row.and_then(|row| frame(&self.header, &row));
        let number = self.lines.number;
        Ok(Some(match frame {
            Ok(frame) => self.channels.message(frame),
            Err(what) => Item::Damaged(format!("line {number} {what}")),
        }))
    }
}

/// A row's fields, or what is wrong with them.
type Row = Result<Vec<String>, String>;

fn next_row<R: BufRead>(lines: &mut Lines<R>) -> io::Result<Option<Row>> {
    let mut fields = Fields::default();
    loop {
        match lines.next()? {
            None => return Ok(None),
            Some(b"") => {}
            Some(line) => match fields.read(line) {
                Ok(()) => break,
                Err(what) => return Ok(Some(Err(what))),
            },
        }
    }
    // A field that is quoted may have the end of a line in it.
    while fields.is_quoted {
        let read = match lines.longer()? {
            Some(rest) => fields.read(rest),
            None => Err("ends within quotes".into()),
        };
        if let Err(what) = read {
            return Ok(Some(Err(what)));
        }
    }
    Ok(Some(Ok(fields.fields)))
}

/// The fields of a row, a line of it after the other.
struct Fields {
    fields: Vec<String>,
    is_quoted: bool,
}

impl Default for Fields {
    fn default() -> Self {
        Self { fields: vec![String::new()], is_quoted: false }
    }
}

impl Fields {
    fn read(&mut self, line: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(line).map_err(|_| "is not UTF-8")?;
        let mut rest = text.chars().peekable();
        while let Some(character) = rest.next() {
            let field = self.fields.last_mut().expect("there is one from the beginning");
            match character {
                '"' if self.is_quoted && rest.peek() == Some(&'"') => {
                    field.push('"');
                    rest.next();
                }
                '"' if self.is_quoted => self.is_quoted = false,
                '"' if field.is_empty() => self.is_quoted = true,
                ',' if !self.is_quoted => self.fields.push(String::new()),
                character => field.push(character),
            }
        }
        Ok(())
    }
}

/// The frame of a row, or what is wrong with it.
fn frame(header: &[String], row: &[String]) -> Result<Read, String> {
    if row.len() != header.len() {
        return Err(format!("has {} fields, the header {}", row.len(), header.len()));
    }
    let time = header.iter().zip(row).find(|(name, _)| *name == TIME.0).expect("the header has it").1;
    let time = nanoseconds(time, TIME.1).ok_or_else(|| format!("has no time in t: {time:?}"))?;
    let mut members: Vec<(&str, String)> = header
        .iter()
        .zip(row)
        .filter(|(name, _)| *name != INDEX)
        .filter_map(|(name, text)| Some((name.as_str(), json(text)?)))
        .collect();
    members.sort_by_key(|(name, _)| (*name == TIME.0, *name));
    let members: Vec<_> = members.iter().map(|(name, json)| format!("{}: {json}", Value::from(*name))).collect();
    let payload = format!("{{{}}}", members.join(", ")).into_bytes();
    Ok(Read { time, peer: None, is_outgoing: false, payload })
}

/// What a field is in JSON; nothing where there was nothing, or what JSON has no number for.
fn json(field: &str) -> Option<String> {
    match field {
        "" | "nan" | "NaN" | "inf" | "-inf" => None,
        "True" => Some("true".into()),
        "False" => Some("false".into()),
        number if serde_json::from_str::<serde_json::Number>(number).is_ok() => Some(number.trim().into()),
        text => Some(Value::from(text).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Result<(u64, String), String>> {
        let mut rows = CsvRows::new(text.as_bytes()).unwrap();
        let mut items = Vec::new();
        while let Some(item) = rows.next().unwrap() {
            items.push(match item {
                Item::Message(message) => Ok((message.time, String::from_utf8(message.payload).unwrap())),
                Item::Damaged(text) => Err(text),
                other => panic!("{other:?}"),
            });
        }
        items
    }

    #[test]
    fn a_row_becomes_the_frame_it_came_from() {
        let text = "index,t,voltage,speed,gps_valid,latitude,front_view_base64\n\
                    0,1795897762603,48.0,1e-05,True,,\n\
                    1,1795897762636,48.1,nan,False,43.5,/9j/4A==\r\n";
        assert_eq!(
            read(text),
            [
                Ok((
                    1_795_897_762_603_000_000,
                    r#"{"gps_valid": true, "speed": 1e-05, "voltage": 48.0, "t": 1795897762603}"#.into()
                )),
                Ok((
                    1_795_897_762_636_000_000,
                    r#"{"front_view_base64": "/9j/4A==", "gps_valid": false, "latitude": 43.5, "voltage": 48.1, "t": 1795897762636}"#
                        .into()
                )),
            ]
        );
    }

    #[test]
    fn quotes_hold_commas_quotes_and_ends_of_lines() {
        let expected = r#"{"a": "1, \"2\"\n3", "t": 5}"#;
        assert_eq!(read("t,a\n5,\"1, \"\"2\"\"\n3\"\n"), [Ok((5_000_000, expected.into()))]);
    }

    /// Were the row read from its beginning for each of its lines, this would take hours.
    #[test]
    fn a_quote_that_is_not_closed_takes_no_longer_than_others() {
        let text = format!("t,a\n5,\"{}", "x\r\n".repeat(1_000_000));
        assert_eq!(read(&text), [Err("line 1000001 ends within quotes".into())]);
        assert_eq!(read(&format!("{text}\"\n")).len(), 1);
    }

    #[test]
    fn rows_that_are_none_are_told_with_their_line() {
        let rows = read("t,a\n1\n,2\nx,2\n\n6,2\n7,\"2\n");
        let errors: Vec<_> = rows.iter().map(|row| row.as_ref().map_err(|text| &text[..6])).collect();
        assert_eq!(errors[..3], [Err("line 2"), Err("line 3"), Err("line 4")]);
        assert_eq!(errors[3], Ok(&(6_000_000, r#"{"a": 2, "t": 6}"#.into())));
        assert_eq!(rows.last(), Some(&Err("line 7 ends within quotes".into())));
    }

    #[test]
    fn a_header_needs_a_time() {
        assert!(CsvRows::new(&b"index,speed\n0,1\n"[..]).is_err());
        assert!(CsvRows::new(&b"hello\n"[..]).is_err());
    }
}

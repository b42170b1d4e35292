//! Recordings, read: from the first message to the last one, whatever is left of the file.
//!
//! ```text
//!   file, FIFO, stdin ──▶ what it begins with ─┬─▶ records ──▶ messages of an MCAP   records.rs, chunk.rs, mcap.rs
//!                                              ├─▶ JSON Lines                        json_lines.rs
//!                                              └─▶ LEADS's CSV                       csv.rs
//! ```
//!
//! Nothing is held in memory but a chunk, or a line.

mod channel;
mod chunk;
mod counted;
mod csv;
mod damages;
mod index;
mod item;
mod json_lines;
mod lines;
mod mcap;
mod names;
mod parse;
mod records;

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use ::mcap::MAGIC;

use crate::console::{Failure, fail};

pub(crate) use channel::{Channel, Use};
pub(crate) use damages::{Damages, cut_off};
pub(crate) use index::{extent, received};
pub(crate) use item::{Item, Message};
pub(crate) use json_lines::envelope;
pub(crate) use names::named;
pub(crate) use records::{End, Found, Records};

/// A file that is read from its beginning, as often as anybody likes.
type Bytes = BufReader<Box<dyn Read + Send>>;

/// A file of messages.
pub(crate) struct Recording {
    pub(crate) path: PathBuf,
    input: Input,
    has_failed: bool,
    /// How large the file is; unknown where it is none.
    pub(crate) size: Option<u64>,
}

enum Input {
    Mcap(Box<mcap::McapMessages<Bytes>>),
    JsonLines(json_lines::JsonLines<Bytes>),
    Csv(csv::CsvRows<Bytes>),
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Mcap,
    JsonLines,
    Csv,
}

impl Format {
    /// What a file is to be, by the ending of its name.
    pub(crate) fn named(path: &Path) -> Option<Self> {
        match path.extension()?.to_ascii_lowercase().to_str()? {
            "mcap" => Some(Self::Mcap),
            "jsonl" | "ndjson" | "json" => Some(Self::JsonLines),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }
}

impl Recording {
    /// Opens a file; `-` is stdin. The format is told by what it begins with.
    ///
    /// # Errors
    ///
    /// [`Failure::Failed`] if it cannot be opened, or is no recording.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let (format, bytes, size) = open(path)?;
        let input = match format {
            Format::Mcap => {
                Input::Mcap(Box::new(mcap::McapMessages::new(Records::behind_magic(bytes).with_index(path))))
            }
            Format::JsonLines => Input::JsonLines(json_lines::JsonLines::new(bytes)),
            Format::Csv => Input::Csv(csv::CsvRows::new(bytes).map_err(|text| no_recording(path, &text))?),
        };
        Ok(Self { path: path.into(), input, has_failed: false, size })
    }

    /// What comes next; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Item> {
        if self.has_failed {
            return None;
        }
        let next = match &mut self.input {
            Input::Mcap(messages) => messages.next(),
            Input::JsonLines(lines) => lines.next(),
            Input::Csv(rows) => rows.next(),
        };
        // A disk that fails in the middle leaves what was read before.
        next.unwrap_or_else(|error| {
            self.has_failed = true;
            Some(Item::Damaged(format!("it cannot be read from byte {} on: {error}", self.position())))
        })
    }

    /// Whether the disk, or what is in the file, has made an end of reading; known at its end.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Whether its recorder had no time to finish it; known at its end.
    pub(crate) fn is_cut_off(&self) -> bool {
        match &self.input {
            Input::Mcap(messages) => messages.end() == Some(End::CutOff) && !self.has_failed,
            Input::JsonLines(_) | Input::Csv(_) => false,
        }
    }

    /// How many bytes of it have been read.
    pub(crate) fn position(&self) -> u64 {
        match &self.input {
            Input::Mcap(messages) => messages.position(),
            Input::JsonLines(lines) => lines.position(),
            Input::Csv(rows) => rows.position(),
        }
    }

    pub(crate) fn format(&self) -> Format {
        match &self.input {
            Input::Mcap(_) => Format::Mcap,
            Input::JsonLines(_) => Format::JsonLines,
            Input::Csv(_) => Format::Csv,
        }
    }
}

/// The records of an MCAP, as they are; `None` for another format.
///
/// # Errors
///
/// As [`Recording::open`].
pub(crate) fn open_records(path: &Path) -> Result<Option<Records<impl Read>>, Failure> {
    let (format, bytes, _) = open(path)?;
    Ok((format == Format::Mcap).then(|| Records::behind_magic(bytes).with_index(path)))
}

/// The format of a file, and its bytes: all of them, but for an MCAP's magic.
fn open(path: &Path) -> Result<(Format, Bytes, Option<u64>), Failure> {
    let cannot = |error: io::Error| fail(format!("cannot read {}: {error}", path.display()));
    let (mut file, size): (Box<dyn Read + Send>, _) = if path.as_os_str() == "-" {
        (Box::new(io::stdin()), None)
    } else {
        let file = File::open(path).map_err(cannot)?;
        let metadata = file.metadata().map_err(cannot)?;
        (Box::new(file), metadata.is_file().then_some(metadata.len()))
    };
    let mut begin = Vec::new();
    (&mut file).take(MAGIC.len() as u64).read_to_end(&mut begin).map_err(cannot)?;
    if begin.is_empty() {
        return Err(no_recording(path, "it is empty"));
    }
    // One that is cut off so early is an MCAP with nothing in it.
    if MAGIC.starts_with(&begin) {
        return Ok((Format::Mcap, BufReader::new(file), size));
    }
    let format = match begin.trim_ascii_start() {
        [b'{', ..] => Format::JsonLines,
        text if text.is_ascii() => Format::Csv,
        _ => return Err(no_recording(path, "it is no MCAP, no JSON Lines, and no CSV of LEADS")),
    };
    Ok((format, BufReader::new(Box::new(Cursor::new(begin).chain(file))), size))
}

fn no_recording(path: &Path, why: &str) -> Failure {
    fail(format!("{} is no recording: {why}", path.display()))
}

#[cfg(test)]
mod tests;

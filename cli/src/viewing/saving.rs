//! The last minutes as a file: what `record` would have written of them.

use std::fmt::Display;
use std::sync::Arc;

use mcap::McapError;

use crate::recording::Form;
use crate::recording::channels::DEFAULT_NAME;
use crate::recording::csv::CsvWriter;
use crate::recording::notes::{end, note, start};
use crate::recording::queue::Received;
use crate::recording::writer::McapWriter;

/// How much is compressed together at most, in bytes, unless a message is longer.
const CHUNK: usize = 1 << 20;

/// What a file is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Mcap,
    Csv,
}

impl Format {
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "mcap" => Some(Self::Mcap),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }

    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Mcap => "mcap",
            Self::Csv => "csv",
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Mcap => "application/octet-stream",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }
}

/// A file of these messages; `None` if none of them has a place in it.
pub(super) fn file(format: Format, messages: &[Arc<Received>]) -> Result<Option<Vec<u8>>, McapError> {
    match format {
        Format::Mcap => written(McapWriter::new(DEFAULT_NAME)?, messages),
        Format::Csv => written(CsvWriter::default(), messages),
    }
}

fn written(mut form: impl Form, messages: &[Arc<Received>]) -> Result<Option<Vec<u8>>, McapError> {
    let (Some(first), Some(last)) = (messages.first(), messages.last()) else { return Ok(None) };
    let origin = &first.origin;
    let values: [(&str, &dyn Display); 5] = [
        (start::STARTED, &first.time),
        (start::PART, &1),
        (start::ADDRESS, &origin.peer),
        (start::ROLE, &origin.role),
        (start::SEPARATOR, &origin.separator),
    ];
    form.note(&note(start::NAME, values))?;
    let (mut file, mut kept, mut bytes) = (Vec::new(), 0_u64, 0);
    for message in messages {
        if form.message(message)? {
            kept += 1;
            bytes += message.message.len();
        }
        if form.pending() >= CHUNK {
            file.append(&mut form.flush()?);
        }
    }
    let values: [(&str, &dyn Display); 5] = [
        (end::AT, &last.time),
        (end::MESSAGES, &kept),
        (end::BYTES, &bytes),
        (end::LOST_MESSAGES, &0),
        (end::LOST_BYTES, &0),
    ];
    form.note(&note(end::NAME, values))?;
    file.append(&mut form.finish()?);
    Ok((kept > 0).then_some(file))
}

//! MCAP to MCAP: every message, channel, schema and note as it is, in a file that is complete.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use mcap::records::Record;
use mcap::write::NoSeek;
use mcap::{McapError, WriteOptions, Writer};

use super::target::Target;
use super::{Converted, Work, cannot_read, cannot_write};
use crate::console::{Failure, fail, tell};
use crate::recording::channels::key;
use crate::recording::reading::{Damages, End, Found, open_records};
use crate::recording::words::count;

/// Copies all files into one.
pub(super) fn copy(
    files: &[PathBuf],
    target: &mut Target,
    work: &Work,
    converted: &mut Converted,
) -> Result<(), Failure> {
    let to = target.path.clone();
    // The writer has it from the first record on.
    let mut target = Some(target);
    let mut writer = None;
    let mut read = 0;
    for file in files {
        let records = open_records(file)?;
        let mut records = records.ok_or_else(|| fail(format!("{} is no MCAP as the others are", file.display())))?;
        let mut copied = Copied::default();
        while !work.is_given_up() {
            let record = match records.next().map_err(|error| cannot_read(file, &error))? {
                Some(Found::Record(record)) => record,
                Some(Found::Damaged(damage)) => {
                    copied.damages.tell(file, &damage.to_string());
                    continue;
                }
                None => break,
            };
            if let Some(target) = target.take() {
                writer = Some(writer_like(&record, target).map_err(|error| cannot_write(&to, error))?);
            }
            let writer = writer.as_mut().expect("it was made before");
            copied.add(record, writer, work, converted).map_err(|error| cannot_write(&to, error))?;
            work.read(read + records.position());
        }
        read += records.position();
        if records.attachments() > 0 {
            tell(format_args!("{}: {} left out", file.display(), count(records.attachments(), "attachment")));
        }
        copied.end(file, records.end() == Some(End::CutOff));
    }
    if let Some(target) = target {
        writer = Some(options("", library()).create(NoSeek::new(target)).map_err(|error| cannot_write(&to, error))?);
    }
    let mut writer = writer.expect("it was made before");
    writer.finish().map_err(|error| cannot_write(&to, error))?;
    Ok(())
}

fn library() -> String {
    format!("leads-comm {}", env!("CARGO_PKG_VERSION"))
}

fn options(profile: &str, library: String) -> WriteOptions {
    WriteOptions::new().profile(profile).library(library).compression_threads(0).disable_seeking(true)
}

/// A writer that says what the first record does, which is the header of a file that has one.
fn writer_like<'a>(first: &Record<'_>, target: &'a mut Target) -> Result<Writer<NoSeek<&'a mut Target>>, McapError> {
    let options = match first {
        Record::Header(header) => options(&header.profile, header.library.clone()),
        _ => options("", library()),
    };
    options.create(NoSeek::new(target))
}

/// How the ids of one file are called in the new one, and what was found.
#[derive(Default)]
struct Copied {
    schemas: HashMap<u16, u16>,
    channels: HashMap<u16, u16>,
    /// Those of channels that hold no messages.
    derived: HashSet<u16>,
    last: Option<u64>,
    damages: Damages,
}

impl Copied {
    fn add(
        &mut self,
        record: Record<'_>,
        writer: &mut Writer<NoSeek<&mut Target>>,
        work: &Work,
        converted: &mut Converted,
    ) -> Result<(), McapError> {
        match record {
            Record::Schema { header, data } if header.id != 0 => {
                self.schemas.insert(header.id, writer.add_schema(&header.name, &header.encoding, &data)?);
            }
            Record::Channel(channel) => {
                let schema = self.schemas.get(&channel.schema_id).copied().unwrap_or(0);
                let id = writer.add_channel(schema, &channel.topic, &channel.message_encoding, &channel.metadata)?;
                self.channels.insert(channel.id, id);
                if channel.metadata.get(key::DERIVED).is_some_and(|derived| derived == "true") {
                    self.derived.insert(channel.id);
                }
            }
            Record::Message { mut header, data } => {
                let Some(id) = self.channels.get(&header.channel_id) else {
                    converted.leave_out("what describes them is in a part that is lost".into());
                    return Ok(());
                };
                if !self.derived.contains(&header.channel_id) {
                    converted.messages += 1;
                    work.count_message();
                    self.last = self.last.max(Some(header.log_time));
                }
                header.channel_id = *id;
                writer.write_to_known_channel(&header, &data)?;
            }
            Record::Metadata(metadata) => writer.write_metadata(&metadata)?,
            _ => {}
        }
        Ok(())
    }

    fn end(self, file: &Path, is_cut_off: bool) {
        self.damages.end(file, is_cut_off, self.last);
    }
}

//! Messages into another format.

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use leads_comm::DEFAULT_SEPARATOR;

use super::target::Target;
use super::{Converted, Work, cannot_write};
use crate::console::{Failure, fail};
use crate::recording::Form as _;
use crate::recording::channels::{DEFAULT_NAME, Origin, escape};
use crate::recording::csv::{self, CsvWriter};
use crate::recording::queue::Received;
use crate::recording::reading::{Channel, Damages, Format, Item, Message, Recording, Use, envelope};
use crate::recording::writer::McapWriter;

/// What is ready is written when it is so many bytes.
const CHUNK: usize = 1 << 20;

/// What is made of messages.
enum Form {
    Mcap(Box<Mcap>),
    JsonLines(Vec<u8>),
    Csv(CsvWriter),
}

struct Mcap {
    writer: McapWriter,
    sequence: u32,
    origins: HashMap<(Option<String>, Option<String>), Arc<Origin>>,
}

/// Translates all files into one.
pub(super) fn translate(
    files: &[PathBuf],
    target: &mut Target,
    format: Format,
    work: &Work,
    converted: &mut Converted,
) -> Result<(), Failure> {
    let mut form = match format {
        Format::Mcap => {
            let writer = McapWriter::new(DEFAULT_NAME).map_err(|error| cannot_write(&target.path, error))?;
            Form::Mcap(Box::new(Mcap { writer, sequence: 0, origins: HashMap::new() }))
        }
        Format::JsonLines => Form::JsonLines(Vec::new()),
        Format::Csv => Form::Csv(CsvWriter::default()),
    };
    let mut read = 0;
    for file in files {
        let mut recording = Recording::open(file)?;
        let mut damages = Damages::default();
        let mut last = None;
        while !work.is_given_up() {
            let Some(item) = recording.next() else { break };
            match item {
                Item::Message(message) => {
                    last = last.max(Some(message.time));
                    form.add(message, target, work, converted)?;
                }
                Item::Other { channel, .. } if channel.used == Use::Unknown => {
                    converted.leave_out(format!("{} is in no format that can be read", channel.topic));
                }
                Item::Damaged(what) => damages.tell(file, &what),
                Item::Note(note) => converted.begun.add(&note),
                Item::Other { .. } | Item::MadeBy(_) => {}
            }
            work.read(read + recording.position());
        }
        if recording.has_failed() {
            return Err(fail(format!("cannot read all of {}", file.display())));
        }
        read += recording.position();
        let is_void = last.is_none() && damages.are_any();
        damages.end(file, recording.is_cut_off(), last);
        if is_void {
            return Err(fail(format!("there is no message in {}", file.display())));
        }
    }
    form.write(target, true)
}

impl Form {
    fn add(
        &mut self,
        message: Message,
        target: &mut Target,
        work: &Work,
        converted: &mut Converted,
    ) -> Result<(), Failure> {
        let pending = match self {
            Self::Mcap(mcap) => {
                if message.channel.is_outgoing() {
                    converted.leave_out("they were sent by the side that recorded".into());
                    return Ok(());
                }
                mcap.add(message).map_err(|error| cannot_write(&target.path, error))?;
                mcap.writer.pending()
            }
            Self::JsonLines(lines) => {
                lines.append(&mut envelope(&message));
                lines.push(b'\n');
                lines.len()
            }
            Self::Csv(rows) => {
                if !csv::frame(&message.payload).is_some_and(|frame| rows.row(&frame)) {
                    converted.leave_out("a CSV holds only frames of a vehicle".into());
                    return Ok(());
                }
                rows.pending()
            }
        };
        converted.messages += 1;
        work.count_message();
        if pending >= CHUNK { self.write(target, false) } else { Ok(()) }
    }

    /// Writes what is ready; all of it at the end.
    fn write(&mut self, target: &mut Target, is_end: bool) -> Result<(), Failure> {
        let bytes = match self {
            Self::Mcap(mcap) if is_end => mcap.writer.finish(),
            Self::Mcap(mcap) => mcap.writer.flush(),
            Self::JsonLines(lines) => Ok(std::mem::take(lines)),
            Self::Csv(rows) => rows.flush(),
        };
        let bytes = bytes.map_err(|error| cannot_write(&target.path, error))?;
        target.write_all(&bytes).map_err(|error| target.failure(&error))
    }
}

impl Mcap {
    fn add(&mut self, message: Message) -> Result<(), mcap::McapError> {
        let Message { channel, time, payload } = message;
        let text = |text: Option<&str>| text.map(str::to_owned);
        let key = (text(channel.peer()), text(channel.separator()));
        let origin = self.origins.entry(key).or_insert_with(|| Arc::new(origin(&channel)));
        let received = Received { time, sequence: self.sequence, origin: Arc::clone(origin), message: payload };
        self.sequence = self.sequence.wrapping_add(1);
        self.writer.message(&received).map(drop)
    }
}

/// A file that does not say who recorded it is taken for one of a client of LEADS's.
fn origin(channel: &Channel) -> Origin {
    Origin {
        role: if channel.role() == Some("server") { "server" } else { "client" },
        peer: channel.peer().unwrap_or_default().into(),
        separator: channel.separator().map_or_else(|| escape(DEFAULT_SEPARATOR), str::to_owned),
    }
}

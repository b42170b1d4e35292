//! What an MCAP says of itself at its end, without all of it being read, if it is complete.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use mcap::records::{self, Record, SchemaHeader, op};
use mcap::sans_io::summary_reader::{SummaryReadEvent, SummaryReader, SummaryReaderOptions};
use mcap::{MAGIC, Summary};

use super::channel::{Channel, Use};
use super::chunk::HEAD;
use super::parse::has_its_lengths;

/// The largest summary that is looked at, in bytes.
const LARGEST: usize = 1 << 26;

/// The bytes of a footer's body, with which a file ends but for the magic.
const FOOTER: usize = 8 + 8 + 4;

/// When the first and the last message were recorded, in nanoseconds since 1970; `None` where nothing tells.
pub(crate) fn extent(path: &Path) -> Option<(u64, u64)> {
    let stats = summary(path)?.stats?;
    (stats.message_count > 0).then_some((stats.message_start_time, stats.message_end_time))
}

/// How many messages are in it that were received; `None` where nothing tells.
pub(crate) fn received(path: &Path) -> Option<u64> {
    let Summary { stats, channels, .. } = summary(path)?;
    let counts = stats?.channel_message_counts;
    let recorded = channels.into_values().map(|channel| {
        let record = records::Channel {
            id: channel.id,
            schema_id: 0,
            topic: channel.topic.clone(),
            message_encoding: channel.message_encoding.clone(),
            metadata: channel.metadata.clone(),
        };
        (channel.id, Channel::recorded(record, String::new()))
    });
    let received = recorded.filter(|(_, channel)| matches!(channel.used, Use::Message(_)) && !channel.is_outgoing());
    Some(received.filter_map(|(id, _)| counts.get(&id)).sum())
}

/// All schemas and channels, each schema before its channels; none where nothing tells.
pub(super) fn descriptions(path: &Path) -> Vec<Record<'static>> {
    let Some(Summary { schemas, channels, .. }) = summary(path) else { return Vec::new() };
    let schemas = schemas.into_values().map(|schema| Record::Schema {
        header: SchemaHeader { id: schema.id, name: schema.name.clone(), encoding: schema.encoding.clone() },
        data: schema.data.clone(),
    });
    let channels = channels.into_values().map(|channel| {
        Record::Channel(records::Channel {
            id: channel.id,
            schema_id: channel.schema.as_ref().map_or(0, |schema| schema.id),
            topic: channel.topic.clone(),
            message_encoding: channel.message_encoding.clone(),
            metadata: channel.metadata.clone(),
        })
    });
    schemas.chain(channels).collect()
}

fn summary(path: &Path) -> Option<Summary> {
    let mut file = File::open(path).ok()?;
    // Of what is no file, something would be lost.
    let size = file.metadata().ok().filter(std::fs::Metadata::is_file)?.len();
    if !may_be_read(&mut file, size)? {
        return None;
    }
    file.rewind().ok()?;
    let options = SummaryReaderOptions::default().with_file_size(size).with_record_length_limit(LARGEST);
    let mut reader = SummaryReader::new_with_options(options);
    while let Some(event) = reader.next_event() {
        match event.ok()? {
            SummaryReadEvent::ReadRequest(len) => {
                let count = file.read(reader.insert(len)).ok()?;
                reader.notify_read(count);
            }
            SummaryReadEvent::SeekRequest(to) => reader.notify_seeked(file.seek(to).ok()?),
        }
    }
    reader.finish()
}

/// Whether the records of the summary are as long as they say, and so is all that is in them.
fn may_be_read(file: &mut File, size: u64) -> Option<bool> {
    const END: usize = HEAD + FOOTER + MAGIC.len();
    let mut end = [0; END];
    file.seek(SeekFrom::End(-(END as i64))).ok()?;
    file.read_exact(&mut end).ok()?;
    let (head, footer) = end.split_first_chunk::<HEAD>()?;
    if head[0] != op::FOOTER || head[1..] != (FOOTER as u64).to_le_bytes() {
        return Some(false);
    }
    let begin = u64::from_le_bytes(*footer.first_chunk()?);
    let len = size.checked_sub(END as u64)?.checked_sub(begin).and_then(|len| usize::try_from(len).ok());
    // One without a summary says that it begins nowhere.
    let Some(len) = len.filter(|len| *len <= LARGEST && begin > 0) else { return Some(false) };
    let mut summary = vec![0; len];
    file.seek(SeekFrom::Start(begin)).ok()?;
    file.read_exact(&mut summary).ok()?;
    let mut rest = &summary[..];
    while let Some((head, behind)) = rest.split_first_chunk::<HEAD>() {
        let len = usize::try_from(u64::from_le_bytes(*head.last_chunk()?)).ok()?;
        let (body, behind) = behind.split_at_checked(len)?;
        // `mcap` would parse these as well, which are never there, and has lengths of its own in them.
        let is_elsewhere = matches!(head[0], op::ATTACHMENT | op::CHUNK);
        if is_elsewhere || !has_its_lengths(head[0], body) {
            return Some(false);
        }
        rest = behind;
    }
    Some(rest.is_empty())
}

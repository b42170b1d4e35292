//! What an MCAP says of itself at its end, without all of it being read, if it is complete.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use mcap::Summary;
use mcap::records::{self, Record, SchemaHeader};
use mcap::sans_io::summary_reader::{SummaryReadEvent, SummaryReader, SummaryReaderOptions};

use super::channel::{Channel, Use};

/// The largest record that is looked at, in bytes.
const LARGEST: usize = 1 << 26;

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

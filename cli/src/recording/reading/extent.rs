//! From when until when an MCAP was recorded, without reading it: what is complete says so at its end.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use mcap::sans_io::summary_reader::{SummaryReadEvent, SummaryReader, SummaryReaderOptions};

/// The largest record that is looked at, in bytes.
const LARGEST: usize = 1 << 26;

/// When the first and the last message were recorded, in nanoseconds since 1970; `None` where nothing tells.
pub(crate) fn extent(path: &Path) -> Option<(u64, u64)> {
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
    let stats = reader.finish()?.stats?;
    (stats.message_count > 0).then_some((stats.message_start_time, stats.message_end_time))
}

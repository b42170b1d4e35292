//! A chunk of an MCAP, how records of its kind are recognised, and what is in it, also if it is cut off.

use mcap::records::{Record, op};
use mcap::sans_io::linear_reader::{LinearReadEvent, LinearReader, LinearReaderOptions};

use super::parse::{Unreadable, parse};

/// The largest record that is held in memory, and the largest chunk, packed or not, in bytes. Recorders make chunks of
/// some MiB.
pub(super) const LARGEST: u64 = 1 << 28;

/// The bytes before a record: what it is, and its length.
pub(super) const HEAD: usize = 1 + 8;

/// The bytes of a chunk before its compression is named, and of all of it but the name.
const CHUNK_HEAD: (usize, usize) = (32, 40);

/// So many bytes of a record tell whether its length can be right.
pub(super) const PROBE: u64 = 64;

/// Where the reader is in a chunk.
pub(super) struct Chunk {
    reader: LinearReader,
    pub(super) at: u64,
    pub(super) times: Option<(u64, u64)>,
    pub(super) is_whole: bool,
}

impl Chunk {
    pub(super) fn whole(at: u64, body: &[u8]) -> Self {
        let time = |from: usize| body.get(from..from + 8).map(|time| time.try_into().expect("these are 8"));
        let times = time(0).map(u64::from_le_bytes).zip(time(8).map(u64::from_le_bytes));
        Self { reader: reader_of(&[body], true), at, times: times.filter(|times| times.0 <= times.1), is_whole: true }
    }

    /// What is left of a chunk. If its recorder was still at it, its sizes are not told yet.
    pub(super) fn cut_off(at: u64, body: &[u8]) -> Option<Self> {
        let name_len: [u8; 4] = body.get(CHUNK_HEAD.0 - 4..CHUNK_HEAD.0)?.try_into().ok()?;
        let head_len = CHUNK_HEAD.1.checked_add(u32::from_le_bytes(name_len).try_into().ok()?)?;
        let (head, packed) = body.split_at_checked(head_len)?;
        // Nothing can be held against a checksum of the whole; what is packed ends where the file does.
        let sizes = [&head[..16], &u64::MAX.to_le_bytes(), &[0; 4], &head[28..head_len - 8]].concat();
        let parts = [&sizes, &(packed.len() as u64).to_le_bytes()[..], packed];
        Some(Self { reader: reader_of(&parts, false), at, times: None, is_whole: false })
    }

    /// The next record, or why there is none.
    pub(super) fn next(&mut self) -> Option<Result<Record<'static>, Unreadable>> {
        loop {
            match self.reader.next_event()? {
                Ok(LinearReadEvent::Record { opcode, data }) => {
                    return Some(parse(opcode, data));
                }
                // All of it has been given before.
                Ok(LinearReadEvent::ReadRequest(_)) => self.reader.notify_read(0),
                Err(error) => return Some(Err(error.into())),
            }
        }
    }
}

/// Reads a chunk, as if it were all of a file.
fn reader_of(body: &[&[u8]], is_whole: bool) -> LinearReader {
    let mut options = LinearReaderOptions::default().with_skip_start_magic(true).with_skip_end_magic(true);
    options.prevalidate_chunk_crcs = is_whole;
    let mut reader = LinearReader::new_with_options(options.with_record_length_limit(LARGEST as usize));
    let len: usize = body.iter().map(|part| part.len()).sum();
    let mut rest = reader.insert(HEAD + len);
    let head = [&[op::CHUNK][..], &(len as u64).to_le_bytes()];
    for part in head.iter().chain(body) {
        let (to, behind) = rest.split_at_mut(part.len());
        to.copy_from_slice(part);
        rest = behind;
    }
    reader.notify_read(HEAD + len);
    reader
}

/// Whether a record may be so long, as far as the first bytes of it tell.
pub(super) fn has_its_length(opcode: u8, body: &[u8], len: u64) -> bool {
    let number = |from: u64| {
        let bytes = body.get(usize::try_from(from).ok()?..)?.first_chunk()?;
        Some(u64::from(u32::from_le_bytes(*bytes)))
    };
    let is_cut_off = (body.len() as u64) < len.min(PROBE);
    match opcode {
        op::MESSAGE_INDEX => number(2).map_or(is_cut_off, |entries| entries + 6 == len),
        op::CHUNK if len == u64::MAX => true,
        op::CHUNK => {
            let Some(name) = number(CHUNK_HEAD.0 as u64 - 4) else { return is_cut_off };
            let size_at = CHUNK_HEAD.0 as u64 + name;
            match (number(size_at), number(size_at + 4)) {
                (Some(low), Some(high)) => (high << 32 | low).checked_add(CHUNK_HEAD.1 as u64 + name) == Some(len),
                // No compression has so long a name.
                _ => is_cut_off,
            }
        }
        op::DATA_END => len == 4,
        op::FOOTER => len == 20,
        _ => true,
    }
}

/// Whether a chunk begins here, one as recorders make them.
pub(super) fn is_chunk(bytes: &[u8]) -> bool {
    if bytes.first() != Some(&op::CHUNK) || bytes.len() < HEAD + CHUNK_HEAD.1 {
        return false;
    }
    let (head, body) = bytes.split_at(HEAD);
    let len = u64::from_le_bytes(head[1..].try_into().expect("there are 8 of them"));
    let name = &body[CHUNK_HEAD.0 - 4..];
    let is_named = [&b"\0\0\0\0"[..], b"\x03\0\0\0lz4", b"\x04\0\0\0zstd"].iter().any(|known| name.starts_with(known));
    is_named && len <= LARGEST && body.len() as u64 >= PROBE.min(len) && has_its_length(op::CHUNK, body, len)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The beginning of a chunk whose compression has a name of so many bytes, with its size where `size_at` says.
    fn chunk(name: u32, size: u64, size_at: usize) -> [u8; PROBE as usize] {
        let mut body = [0; PROBE as usize];
        body[CHUNK_HEAD.0 - 4..CHUNK_HEAD.0].copy_from_slice(&name.to_le_bytes());
        body[size_at..size_at + 8].copy_from_slice(&size.to_le_bytes());
        body
    }

    #[test]
    fn lengths_of_any_size_are_held_against_each_other() {
        let size_at = CHUNK_HEAD.0 + 4;
        assert!(has_its_length(op::CHUNK, &chunk(4, 1000, size_at), 1044));
        assert!(!has_its_length(op::CHUNK, &chunk(4, 1000, size_at), 1045));
        // The sum is not less for being too large.
        assert!(!has_its_length(op::CHUNK, &chunk(4, u64::MAX, size_at), 43));
        // Nor is a place that is too far away one at the beginning.
        let name = u32::MAX - 27;
        assert!(!has_its_length(op::CHUNK, &chunk(name, 1000, 4), 40 + u64::from(name) + 1000));
    }
}

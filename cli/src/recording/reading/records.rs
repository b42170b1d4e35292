//! The records of an MCAP, one after the other, of a file that may be larger than memory, cut off anywhere, or damaged.
//!
//! ```text
//!   magic  header  chunk  index…  chunk  index…  data end  summary  footer  magic
//!                    └─▶ schemas, channels, messages, compressed, with a checksum
//! ```
//!
//! A chunk that is whole gives what is in it once its checksum is found right; one that is damaged is passed over, since
//! the next one begins where its length says. One that is cut off gives what can be unpacked.

use std::fmt;
use std::io::{self, Read};

use mcap::records::{Record, op};
use mcap::sans_io::linear_reader::{LinearReadEvent, LinearReader, LinearReaderOptions};
use mcap::{MAGIC, parse_record};

use super::super::words::clock;

/// The largest record that is held in memory, and the largest chunk, packed or not, in bytes. Recorders make chunks of
/// some MiB.
const LARGEST: usize = 1 << 28;

/// The bytes before a record: what it is, and its length.
const HEAD: usize = 1 + 8;

/// The bytes of a chunk before its compression is named, and of all of it but the name.
const CHUNK_HEAD: (usize, usize) = (32, 40);

/// What is found in the file.
#[derive(Debug)]
pub(crate) enum Found {
    Record(Record<'static>),
    /// Something cannot be read; what follows can.
    Damaged(Damage),
}

/// Where a file is damaged, and what has become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Damage {
    /// How many bytes are before it.
    pub(crate) at: u64,
    /// In words, behind "damaged at byte N: ".
    pub(crate) what: String,
    /// From when until when the messages were recorded that are lost, where that is told, in nanoseconds since 1970.
    pub(crate) times: Option<(u64, u64)>,
}

/// How the file ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// As it should.
    Finished,
    /// In the middle, as those do that nobody had the time to finish.
    CutOff,
}

/// The records of one file.
pub(crate) struct Records<R> {
    input: Counted<R>,
    chunk: Option<Chunk>,
    /// Behind the messages: what is there has been said before.
    is_in_summary: bool,
    end: Option<End>,
}

/// Where the reader is in a chunk.
struct Chunk {
    reader: LinearReader,
    at: u64,
    times: Option<(u64, u64)>,
    is_whole: bool,
}

impl<R: Read> Records<R> {
    /// Those of a file of which the magic has been read.
    pub(crate) fn behind_magic(input: R) -> Self {
        Self { input: Counted { inner: input, at: MAGIC.len() as u64 }, chunk: None, is_in_summary: false, end: None }
    }

    /// How the file ends, once there is nothing more in it.
    pub(crate) fn end(&self) -> Option<End> {
        self.end
    }

    /// How many bytes have been read.
    pub(crate) fn position(&self) -> u64 {
        self.input.at
    }

    /// The next one; `None` at the end of the file, or where nothing can be told from what follows.
    ///
    /// # Errors
    ///
    /// Whatever reading reports.
    pub(crate) fn next(&mut self) -> io::Result<Option<Found>> {
        loop {
            if let Some(found) = self.next_in_chunk() {
                return Ok(Some(found));
            }
            if self.end.is_some() {
                return Ok(None);
            }
            if let Some(found) = self.next_of_file()? {
                return Ok(Some(found));
            }
        }
    }

    fn next_in_chunk(&mut self) -> Option<Found> {
        let chunk = self.chunk.as_mut()?;
        let what = match chunk.next() {
            Some(Ok(record)) => return Some(Found::Record(record)),
            Some(Err(error)) if chunk.is_whole => error.to_string(),
            Some(Err(_)) | None => {
                self.chunk = None;
                return None;
            }
        };
        let damage = Damage { at: chunk.at, what, times: chunk.times };
        self.chunk = None;
        Some(Found::Damaged(damage))
    }

    /// A record that is in no chunk; none if it is of no interest, or opens a chunk, or the file ends.
    fn next_of_file(&mut self) -> io::Result<Option<Found>> {
        let at = self.input.at;
        let mut head = [0; HEAD];
        if self.input.fill(&mut head)? < HEAD {
            self.end = Some(End::CutOff);
            return Ok(None);
        }
        let opcode = head[0];
        let len = u64::from_le_bytes(head[1..].try_into().expect("there are 8 of them"));
        if opcode == 0 || (op::DATA_END + 1..0x80).contains(&opcode) {
            self.end = Some(End::CutOff);
            let what = "it makes no sense from there on".into();
            return Ok(Some(Found::Damaged(Damage { at, what, times: None })));
        }
        let is_wanted = matches!(opcode, op::HEADER | op::SCHEMA | op::CHANNEL | op::MESSAGE | op::CHUNK)
            || matches!(opcode, op::METADATA | op::STATISTICS);
        if !is_wanted || (self.is_in_summary && opcode != op::STATISTICS) {
            return self.pass_over(opcode, len);
        }
        let mut body = Vec::new();
        let longest = len.min(LARGEST as u64);
        (&mut self.input).take(longest).read_to_end(&mut body)?;
        if (body.len() as u64) < longest || (longest < len && opcode == op::CHUNK && len == u64::MAX) {
            // Only a chunk is of use when it is not whole.
            self.end = Some(End::CutOff);
            self.chunk = (opcode == op::CHUNK).then(|| Chunk::cut_off(at, &body)).flatten();
            return Ok(None);
        }
        if longest < len {
            let what = format!("a record of {len} bytes is larger than any that can be read");
            self.skip(len - longest)?;
            return Ok(Some(Found::Damaged(Damage { at, what, times: None })));
        }
        if opcode == op::CHUNK {
            self.chunk = Some(Chunk::whole(at, &body));
            return Ok(None);
        }
        Ok(Some(match parse_record(opcode, &body) {
            Ok(record) => Found::Record(record.into_owned()),
            Err(error) => Found::Damaged(Damage { at, what: error.to_string(), times: None }),
        }))
    }

    fn pass_over(&mut self, opcode: u8, len: u64) -> io::Result<Option<Found>> {
        let is_there = self.skip(len)?;
        self.is_in_summary |= opcode == op::DATA_END;
        if is_there && opcode == op::FOOTER {
            let mut magic = [0; MAGIC.len()];
            let has_magic = self.input.fill(&mut magic)? == magic.len() && magic == *MAGIC;
            self.end = Some(if has_magic { End::Finished } else { End::CutOff });
        }
        Ok(None)
    }

    /// Whether so many bytes were there.
    fn skip(&mut self, len: u64) -> io::Result<bool> {
        let skipped = io::copy(&mut (&mut self.input).take(len), &mut io::sink())?;
        if skipped < len {
            self.end = Some(End::CutOff);
        }
        Ok(skipped == len)
    }
}

impl Chunk {
    fn whole(at: u64, body: &[u8]) -> Self {
        let time = |from: usize| body.get(from..from + 8).map(|time| time.try_into().expect("these are 8"));
        let times = time(0).map(u64::from_le_bytes).zip(time(8).map(u64::from_le_bytes));
        Self { reader: reader_of(&[body], true), at, times: times.filter(|times| times.0 <= times.1), is_whole: true }
    }

    /// What is left of a chunk. If its recorder was still at it, its sizes are not told yet.
    fn cut_off(at: u64, body: &[u8]) -> Option<Self> {
        let name_len: [u8; 4] = body.get(CHUNK_HEAD.0 - 4..CHUNK_HEAD.0)?.try_into().ok()?;
        let head_len = CHUNK_HEAD.1.checked_add(u32::from_le_bytes(name_len).try_into().ok()?)?;
        let (head, packed) = body.split_at_checked(head_len)?;
        // Nothing can be held against a checksum of the whole; what is packed ends where the file does.
        let sizes = [&head[..16], &u64::MAX.to_le_bytes(), &[0; 4], &head[28..head_len - 8]].concat();
        let parts = [&sizes, &(packed.len() as u64).to_le_bytes()[..], packed];
        Some(Self { reader: reader_of(&parts, false), at, times: None, is_whole: false })
    }

    /// The next record, or why there is none.
    fn next(&mut self) -> Option<mcap::McapResult<Record<'static>>> {
        loop {
            match self.reader.next_event()? {
                Ok(LinearReadEvent::Record { opcode, data }) => {
                    return Some(parse_record(opcode, data).map(Record::into_owned));
                }
                // All of it has been given before.
                Ok(LinearReadEvent::ReadRequest(_)) => self.reader.notify_read(0),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// Reads a chunk, as if it were all of a file.
fn reader_of(body: &[&[u8]], is_whole: bool) -> LinearReader {
    let mut options = LinearReaderOptions::default().with_skip_start_magic(true).with_skip_end_magic(true);
    options.prevalidate_chunk_crcs = is_whole;
    let mut reader = LinearReader::new_with_options(options.with_record_length_limit(LARGEST));
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

/// Counts what is read.
struct Counted<R> {
    inner: R,
    at: u64,
}

impl<R: Read> Counted<R> {
    /// Reads as much as there is room, or is left; how much that was.
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it is damaged at byte {}: {}", self.at, self.what)?;
        match self.times {
            Some((first, last)) => {
                write!(f, "; what was recorded from {} to {} is lost", clock(first), clock(last))
            }
            None => Ok(()),
        }
    }
}

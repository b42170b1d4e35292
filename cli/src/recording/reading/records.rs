//! The records of an MCAP, one after the other, of a file that may be larger than memory, cut off anywhere, or damaged.
//!
//! ```text
//!   magic  header  chunk  index…  chunk  index…  data end  summary  footer  magic
//!                    └─▶ schemas, channels, messages, compressed, with a checksum
//! ```
//!
//! A chunk that is whole gives what is in it once its checksum is found right; one that is damaged is passed over, since
//! the next one begins where its length says. Where lengths are damaged, the next chunk is looked for. One that is cut
//! off gives what can be unpacked.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use mcap::records::{Record, op};
use mcap::{MAGIC, McapError};

use super::super::words::clock;
use super::chunk::{Chunk, HEAD, LARGEST, PROBE, has_its_length, is_chunk};
use super::counted::Counted;
use super::index::descriptions;
use super::parse::{Unreadable, parse};

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
    attachments: u64,
    /// The channels that have been described.
    described: HashSet<u16>,
    /// Where others may be.
    index: Option<PathBuf>,
    /// What comes before anything else.
    ready: VecDeque<Record<'static>>,
}

impl<R: Read> Records<R> {
    /// Those of a file of which the magic has been read.
    pub(crate) fn behind_magic(input: R) -> Self {
        Self {
            input: Counted::behind(MAGIC.len() as u64, input),
            chunk: None,
            is_in_summary: false,
            end: None,
            attachments: 0,
            described: HashSet::new(),
            index: None,
            ready: VecDeque::new(),
        }
    }

    /// The file is complete, perhaps: what its end says of channels is known in case the rest does not.
    pub(super) fn with_index(mut self, path: &Path) -> Self {
        self.index = Some(path.into());
        self
    }

    /// How many files are in it that no message is in, and that are passed over.
    pub(crate) fn attachments(&self) -> u64 {
        self.attachments
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
            if let Some(record) = self.ready.pop_front() {
                return Ok(Some(Found::Record(record)));
            }
            let found = match self.next_in_chunk()? {
                Some(found) => found,
                None if self.end.is_some() => return Ok(None),
                None => match self.next_of_file()? {
                    Some(found) => found,
                    None => continue,
                },
            };
            match found {
                Found::Record(record @ Record::Message { .. }) => self.describe(record),
                Found::Record(record) => {
                    if let Record::Channel(channel) = &record {
                        self.described.insert(channel.id);
                    }
                    self.ready.push_back(record);
                }
                damaged @ Found::Damaged(_) => return Ok(Some(damaged)),
            }
        }
    }

    /// A message, behind what describes its channel: that may have been lost, and is at the end of the file as well.
    fn describe(&mut self, message: Record<'static>) {
        let Record::Message { header, .. } = &message else { return };
        if !self.described.contains(&header.channel_id) {
            let descriptions = self.index.take().map(|path| descriptions(&path)).unwrap_or_default();
            let is_new = |record: &Record<'_>| match record {
                Record::Channel(channel) => self.described.insert(channel.id),
                _ => true,
            };
            self.ready.extend(descriptions.into_iter().filter(is_new));
        }
        self.ready.push_back(message);
    }

    fn next_in_chunk(&mut self) -> io::Result<Option<Found>> {
        let Some(chunk) = &mut self.chunk else { return Ok(None) };
        let what = match chunk.next() {
            Some(Ok(record)) => return Ok(Some(Found::Record(record))),
            // Any other name is one that is damaged.
            Some(Err(Unreadable::Mcap(McapError::UnsupportedCompression(name)))) if name == "lz4" => {
                return Err(io::Error::new(io::ErrorKind::Unsupported, "it is compressed by lz4, and not by zstd"));
            }
            Some(Err(error)) if chunk.is_whole => error.to_string(),
            Some(Err(_)) | None => {
                self.chunk = None;
                return Ok(None);
            }
        };
        let damage = Damage { at: chunk.at, what, times: chunk.times };
        self.chunk = None;
        Ok(Some(Found::Damaged(damage)))
    }

    /// A record that is in no chunk; none if it is of no interest, or opens a chunk, or the file ends.
    fn next_of_file(&mut self) -> io::Result<Option<Found>> {
        let at = self.input.at;
        let mut head = [0; HEAD];
        let there = self.input.fill(&mut head)?;
        if there < HEAD {
            self.end = Some(End::CutOff);
            return Ok(None);
        }
        let opcode = head[0];
        let len = u64::from_le_bytes(head[1..].try_into().expect("there are 8 of them"));
        let is_own = opcode >= 0x80;
        if (!is_own && !self.may_come(opcode)) || (len > LARGEST && !matches!(opcode, op::CHUNK | op::ATTACHMENT)) {
            return self.go_on_behind(at).map(Some);
        }
        if opcode == op::ATTACHMENT || is_own {
            self.attachments += u64::from(opcode == op::ATTACHMENT);
            return self.pass_over(len);
        }
        let mut body = Vec::new();
        (&mut self.input).take(len.min(PROBE)).read_to_end(&mut body)?;
        if !has_its_length(opcode, &body, len) {
            self.input.put_back(body);
            return self.go_on_behind(at).map(Some);
        }
        let is_unfinished = len == u64::MAX;
        if len > LARGEST && !is_unfinished {
            self.pass_over(len - body.len() as u64)?;
            let what = format!("a record of {len} bytes is larger than any that can be read");
            return Ok(Some(Found::Damaged(Damage { at, what, times: None })));
        }
        let rest = len.min(LARGEST) - body.len() as u64;
        (&mut self.input).take(rest).read_to_end(&mut body)?;
        if (body.len() as u64) < len {
            return self.end_within(at, opcode, body);
        }
        self.whole(at, opcode, &body)
    }

    /// Whether there are such records, in this part of a file.
    fn may_come(&self, opcode: u8) -> bool {
        match opcode {
            op::HEADER | op::SCHEMA | op::CHANNEL | op::MESSAGE | op::CHUNK | op::MESSAGE_INDEX => true,
            op::ATTACHMENT | op::METADATA | op::DATA_END => true,
            op::FOOTER..=op::DATA_END => self.is_in_summary,
            _ => false,
        }
    }

    /// A record that is there, all of it.
    fn whole(&mut self, at: u64, opcode: u8, body: &[u8]) -> io::Result<Option<Found>> {
        match opcode {
            op::CHUNK => self.chunk = Some(Chunk::whole(at, body)),
            op::DATA_END => self.is_in_summary = true,
            op::FOOTER => {
                let mut magic = [0; MAGIC.len()];
                let has_magic = self.input.fill(&mut magic)? == magic.len() && magic == *MAGIC;
                self.end = Some(if has_magic { End::Finished } else { End::CutOff });
            }
            op::HEADER | op::SCHEMA | op::CHANNEL | op::MESSAGE | op::METADATA if !self.is_in_summary => {
                return Ok(Some(match parse(opcode, body) {
                    Ok(record) => Found::Record(record),
                    Err(error) => Found::Damaged(Damage { at, what: error.to_string(), times: None }),
                }));
            }
            _ => {}
        }
        Ok(None)
    }

    /// The file ends before a record does: nobody had the time to finish it, or its length is damaged.
    fn end_within(&mut self, at: u64, opcode: u8, body: Vec<u8>) -> io::Result<Option<Found>> {
        if opcode == op::CHUNK {
            // Of all records, only this one is of use when it is not whole.
            self.end = Some(End::CutOff);
            self.chunk = Chunk::cut_off(at, &body);
            return Ok(None);
        }
        self.input.put_back(body);
        match self.find_chunk()? {
            true => Ok(Some(self.damaged_up_to_here(at))),
            false => {
                self.end = Some(End::CutOff);
                Ok(None)
            }
        }
    }

    fn pass_over(&mut self, len: u64) -> io::Result<Option<Found>> {
        let skipped = io::copy(&mut (&mut self.input).take(len), &mut io::sink())?;
        if skipped < len {
            self.end = Some(End::CutOff);
        }
        Ok(None)
    }

    /// Nothing can be told from what is at this place: the next chunk is looked for.
    fn go_on_behind(&mut self, at: u64) -> io::Result<Found> {
        if self.find_chunk()? {
            return Ok(self.damaged_up_to_here(at));
        }
        Ok(Found::Damaged(Damage { at, what: "it makes no sense from there on".into(), times: None }))
    }

    fn damaged_up_to_here(&self, at: u64) -> Found {
        let what = format!("what is there makes no sense; it goes on at byte {}", self.input.at);
        Found::Damaged(Damage { at, what, times: None })
    }

    /// Reads up to where a chunk begins, which no other bytes look like; whether there is one before the file ends.
    fn find_chunk(&mut self) -> io::Result<bool> {
        let mut bytes = Vec::new();
        loop {
            let count = (&mut self.input).take(1 << 16).read_to_end(&mut bytes)?;
            if let Some(begin) = (0..bytes.len()).find(|begin| is_chunk(&bytes[*begin..])) {
                self.input.put_back(bytes.split_off(begin));
                return Ok(true);
            }
            if count == 0 {
                self.end = Some(if bytes.ends_with(MAGIC) { End::Finished } else { End::CutOff });
                return Ok(false);
            }
            // What may be the beginning of one.
            bytes.drain(..bytes.len().saturating_sub(PROBE as usize + HEAD));
        }
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

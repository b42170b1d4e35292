//! One file of a history: the messages of one epoch from a number on, which are its name.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use super::record;

const EXTENSION: &str = "messages";

/// How much one counts for at least, in bytes: what a file takes of a disk.
const LEAST: u64 = 4096;

#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) epoch: u64,
    /// The number of its first message.
    pub(super) first: u64,
    /// How many messages it has that are whole, and their bytes in the file. What lies behind those is no message.
    pub(super) messages: u64,
    pub(super) bytes: u64,
}

impl Segment {
    /// One that begins with the message `first`.
    pub(super) fn new(folder: &Path, epoch: u64, first: u64) -> Self {
        let path = folder.join(format!("{first:020}-{epoch:016x}.{EXTENSION}"));
        Self { path, epoch, first, messages: 0, bytes: 0 }
    }

    /// The one that is in this file; `None` when the file is none.
    pub(super) fn at(path: &Path) -> Option<Self> {
        let stem = path.file_stem().and_then(OsStr::to_str)?;
        let (first, epoch) = stem.split_once('-')?;
        let segment = Self::new(path.parent()?, u64::from_str_radix(epoch, 16).ok()?, first.parse().ok()?);
        (segment.path == path && segment.first > 0).then_some(segment)
    }

    /// Reads it, to see how much of it is whole.
    pub(super) fn scan(&mut self) -> io::Result<()> {
        let file = File::open(&self.path)?;
        let len = file.metadata()?.len();
        let mut reader = BufReader::with_capacity(256 * 1024, file);
        loop {
            match record::decode(&mut reader, len - self.bytes) {
                Ok(payload) => self.count(payload.len()),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn count(&mut self, payload: usize) {
        self.messages += 1;
        self.bytes += (record::HEADER + payload) as u64;
    }

    /// The number behind its last.
    pub(super) fn end(&self) -> u64 {
        self.first + self.messages
    }

    pub(super) fn charge(&self) -> u64 {
        self.bytes.max(LEAST)
    }

    /// Removes the file. One that cannot be is older than all that is kept, and tried again by the next process.
    pub(super) fn remove(&self) {
        if let Err(error) = fs::remove_file(&self.path) {
            log::warn!("{} cannot be removed: {error}", self.path.display());
        }
    }
}

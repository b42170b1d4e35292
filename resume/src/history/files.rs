//! A history in files.
//!
//! Each start of the publisher writes files of its own, one after the other, and changes none of those before. So what
//! a process that was killed has left half written stays where it is, behind the last message of its file, and is no
//! message.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::lock::Lock;
use super::segment::Segment;
use super::{Bounds, HistoryError, record};
use crate::epochs::Epochs;

/// How many files make a history.
const SEGMENTS: u64 = 8;

/// How large a file gets at most by messages that are added to it, in bytes: who resumes has to read through one.
const LONGEST_SEGMENT: u64 = 16 * 1024 * 1024;

/// How much is read at a time.
const READ: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    bounds: Bounds,
    /// Each begins where the one before it ends. Where the machine has lost power one may be empty, which tells of an
    /// epoch all the same.
    segments: VecDeque<Segment>,
    /// The next number when there are none.
    next: u64,
    /// What the last of them is written by; absent when the next message begins a new one.
    writing: Option<File>,
    record: Vec<u8>,
    sync: bool,
    /// Keeps others out.
    lock: Option<Lock>,
}

impl Files {
    /// Opens a folder, and tells of what epochs its messages are.
    pub(super) fn open(folder: &Path, bounds: Bounds) -> Result<(Self, Epochs), HistoryError> {
        fs::create_dir_all(folder).map_err(|error| HistoryError::io(folder, error))?;
        let lock = Lock::take(folder)?;
        let found = list(folder)?;
        let mut files = Self {
            folder: folder.to_owned(),
            bounds,
            segments: VecDeque::new(),
            next: 1,
            writing: None,
            record: Vec::new(),
            sync: false,
            lock: Some(lock),
        };
        for segment in found {
            // One without a message tells that an epoch began there, and keeps its number from being given again.
            files.go_on_with(segment.first);
            files.next = segment.end();
            files.segments.push_back(segment);
        }
        files.trim();
        let mut epochs = Epochs::default();
        files.segments.iter().for_each(|segment| epochs.begin(segment.epoch, segment.first));
        Ok((files, epochs))
    }

    /// The next number that is there. Unless it follows those before, which is so only where the machine has lost
    /// power, these go: they would be taken for what lies right in front of it.
    fn go_on_with(&mut self, number: u64) {
        if self.next != number {
            self.segments.drain(..).for_each(|segment| segment.remove());
            self.next = number;
        }
    }

    pub(super) fn set_sync(&mut self, sync: bool) {
        self.sync = sync;
    }

    /// Lets others in; nothing is written from now on.
    pub(super) fn unlock(&mut self) {
        (self.writing, self.lock) = (None, None);
    }

    /// The oldest number, and the newest.
    pub(super) fn numbers(&self) -> (u64, u64) {
        (self.oldest(), self.next - 1)
    }

    fn oldest(&self) -> u64 {
        self.segments.front().map_or(self.next, |segment| segment.first)
    }

    /// Adds a message; the oldest number that is kept.
    pub(super) fn append(&mut self, epoch: u64, number: u64, payload: &[u8]) -> Result<u64, HistoryError> {
        let is_full = self.segments.back().is_some_and(|last| {
            last.bytes >= LONGEST_SEGMENT.min(self.bounds.max_bytes / SEGMENTS)
                || last.messages >= self.bounds.max_messages.div_ceil(SEGMENTS)
        });
        if is_full {
            self.writing = None;
        }
        let result = self.write(epoch, number, payload);
        if let Err(error) = result {
            let (path, len) = self.segments.back().map_or((&self.folder, 0), |last| (&last.path, last.bytes));
            // A part of it may be there, or all. What comes next has a file of its own.
            let _ = self.writing.take().map(|file| file.set_len(len));
            let error = HistoryError::io(path, error);
            // Nor is it the beginning of anything: who starts again and again while the disk is full leaves nothing.
            let is_empty = self.segments.back().is_some_and(|last| last.epoch == epoch && last.messages == 0);
            if is_empty {
                self.segments.pop_back().iter().for_each(Segment::remove);
            }
            return Err(error);
        }
        if let Some(last) = self.segments.back_mut() {
            last.count(payload.len());
        }
        self.next = number + 1;
        self.trim();
        Ok(self.oldest())
    }

    fn write(&mut self, epoch: u64, number: u64, payload: &[u8]) -> io::Result<()> {
        record::encode(payload, &mut self.record)?;
        if self.writing.is_none() {
            let segment = Segment::new(&self.folder, epoch, number);
            let file = File::options().write(true).create(true).truncate(true).open(&segment.path)?;
            self.segments.push_back(segment);
            if self.sync {
                sync_folder(&self.folder)?;
            }
            self.writing = Some(file);
        }
        let Some(file) = &mut self.writing else { unreachable!("it has just been opened") };
        file.write_all(&self.record)?;
        if self.sync { file.sync_data() } else { Ok(()) }
    }

    /// Lets the oldest files go, as far as there is more than there may be.
    fn trim(&mut self) {
        let mut messages = self.next - self.oldest();
        let mut bytes = self.bytes();
        while self.segments.len() > 1 && (messages > self.bounds.max_messages || bytes > self.bounds.max_bytes) {
            if let Some(gone) = self.segments.pop_front() {
                messages -= gone.messages;
                bytes -= gone.charge();
                gone.remove();
            }
        }
    }

    /// Lets go the files that have nothing from this number on; the oldest number that is kept.
    pub(super) fn forget_before(&mut self, number: u64) -> u64 {
        while self.segments.front().is_some_and(|first| first.end() <= number) {
            if self.segments.len() == 1 {
                self.writing = None;
            }
            self.segments.pop_front().iter().for_each(Segment::remove);
        }
        self.oldest()
    }

    /// How many bytes the files count for.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(Segment::charge).sum()
    }

    /// The file with this number, which is there.
    pub(super) fn segment_of(&self, number: u64) -> &Segment {
        &self.segments[self.segments.partition_point(|segment| segment.end() <= number)]
    }
}

/// The files of a history in the order of their messages.
fn list(folder: &Path) -> Result<Vec<Segment>, HistoryError> {
    let of_folder = |error| HistoryError::io(folder, error);
    let mut segments = Vec::new();
    for entry in fs::read_dir(folder).map_err(of_folder)? {
        let Some(mut segment) = Segment::at(&entry.map_err(of_folder)?.path()) else { continue };
        segment.scan().map_err(|error| HistoryError::io(&segment.path, error))?;
        segments.push(segment);
    }
    // Of those that begin with the same number only the last can have any.
    segments.sort_by_key(|segment: &Segment| (segment.first, segment.messages));
    Ok(segments)
}

/// Has the names of new files survive as well.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// One file that is being read.
#[derive(Debug)]
pub(super) struct Reading {
    /// The number of its first message, and of the next one that is read.
    first: u64,
    next: u64,
    reader: BufReader<File>,
}

impl Reading {
    pub(super) fn open(segment: &Segment) -> io::Result<Self> {
        let reader = BufReader::with_capacity(READ, File::open(&segment.path)?);
        Ok(Self { first: segment.first, next: segment.first, reader })
    }

    /// Whether it is of this file, and not past this number.
    pub(super) fn is_before(&self, segment: &Segment, number: u64) -> bool {
        self.first == segment.first && self.next <= number
    }

    /// Adds the messages of the `segment`, as it was found, from this number on, up to about so many bytes, and at
    /// least one. Those before an error are there, and nothing more is read then.
    pub(super) fn read(
        &mut self,
        segment: &Segment,
        from: u64,
        bytes: usize,
        payloads: &mut Vec<Arc<[u8]>>,
    ) -> io::Result<()> {
        let mut read = 0;
        while self.next < segment.end() && read < bytes {
            let payload = record::decode(&mut self.reader, segment.bytes)?;
            if self.next >= from {
                read += payload.len() + 1;
                payloads.push(payload.into());
            }
            self.next += 1;
        }
        Ok(())
    }
}

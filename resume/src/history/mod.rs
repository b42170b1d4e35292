//! What has been published, as far as it is kept: in memory, or in files that survive the process.
//!
//! A history is a log with numbers. One thread at a time appends, and everybody reads behind a [`Cursor`] of their own;
//! what is in files is read without the lock.

mod bounds;
mod checksum;
mod error;
mod files;
mod lock;
mod memory;
mod record;
mod segment;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::Position;
use crate::epochs::Epochs;
use crate::wire::Answer;
pub use bounds::Bounds;
pub use error::HistoryError;
use files::{Files, Reading};
use memory::Memory;
use segment::Segment;

/// What a [`Publisher`](crate::Publisher) keeps of what it has published, for subscribers that come late, or again.
///
/// # What survives what
///
/// | | the process ends, or is killed | the machine loses power |
/// |---|---|---|
/// | [`in_memory`](Self::in_memory) | all is gone, numbers begin anew | the same |
/// | [`open`](Self::open) | nothing is lost | the last messages may be, some seconds of them |
/// | [`open`](Self::open), [`sync`](Self::sync) | nothing is lost | nothing is lost that had been published |
///
/// Whatever is lost, a subscriber that would miss it is told of a [`Gap`](crate::Gap).
#[derive(Debug)]
pub struct History {
    log: Mutex<Log>,
    /// There is more, or a reader is to end.
    changed: Condvar,
}

#[derive(Debug)]
struct Log {
    epochs: Epochs,
    oldest: u64,
    newest: u64,
    is_closed: bool,
    store: Store,
}

#[derive(Debug)]
enum Store {
    Memory(Memory),
    Files(Files),
}

/// Where one reader is.
#[derive(Debug)]
pub(crate) struct Cursor {
    next: u64,
    reading: Option<Reading>,
}

/// What there is at a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    /// The oldest number that is kept.
    pub(crate) oldest: u64,
    /// The number of the next message.
    pub(crate) next: u64,
    /// What all of them take of memory, or of the disk.
    pub(crate) bytes: u64,
}

/// What a reader finds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// These payloads, all of one epoch; the first one is here.
    Messages(Position, Vec<Arc<[u8]>>),
    /// What it was to read is gone, and it goes on here.
    Gap(Position),
    /// It has been told to end.
    End,
}

impl History {
    /// One that ends with the process.
    ///
    /// # Errors
    ///
    /// [`HistoryError::Bounds`].
    pub fn in_memory(bounds: Bounds) -> Result<Self, HistoryError> {
        bounds.check()?;
        Ok(Self::new(Epochs::default(), 1, 0, Store::Memory(Memory::new(bounds))))
    }

    /// One in files of this folder, which is made if it is not there and should have nothing else in it. What an
    /// earlier process has left there goes on.
    ///
    /// Messages are written to the system before they are sent to anybody, so that no end of the process loses one that
    /// somebody may have; for the end of the machine see [`sync`](Self::sync). Reads all there is once, to see that it
    /// is whole: about a second for each 500 MB.
    ///
    /// # Errors
    ///
    /// [`HistoryError::Bounds`]; [`HistoryError::InUse`] when another process, or this one, has it open;
    /// [`HistoryError::Io`].
    ///
    /// # Examples
    ///
    /// ```
    /// use leads_comm_resume::{Bounds, History};
    ///
    /// # let folder = std::env::temp_dir().join(format!("leads-comm-history-{}", std::process::id()));
    /// let history = History::open(&folder, Bounds::new().max_bytes(1 << 30))?;
    /// # drop(history);
    /// # std::fs::remove_dir_all(folder).unwrap();
    /// # Ok::<(), leads_comm_resume::HistoryError>(())
    /// ```
    pub fn open(folder: impl AsRef<Path>, bounds: Bounds) -> Result<Self, HistoryError> {
        bounds.check()?;
        let (files, epochs) = Files::open(folder.as_ref(), bounds)?;
        let (oldest, newest) = files.numbers();
        Ok(Self::new(epochs, oldest, newest, Store::Files(files)))
    }

    fn new(mut epochs: Epochs, oldest: u64, newest: u64, store: Store) -> Self {
        epochs.begin(new_epoch(), newest + 1);
        Self { log: Mutex::new(Log { epochs, oldest, newest, is_closed: false, store }), changed: Condvar::new() }
    }

    /// Whether each message is on the disk, and not only with the system, before it is sent to anybody: nothing is lost
    /// when the machine loses power, and each message takes as long as the disk does, from a fraction of a millisecond
    /// to tens of them. Default false. Nothing to a history in memory.
    #[must_use]
    pub fn sync(self, sync: bool) -> Self {
        if let Store::Files(files) = &mut self.log.lock().store {
            files.set_sync(sync);
        }
        self
    }

    /// The position of the last message that there has been; `None` before the first.
    pub fn last(&self) -> Option<Position> {
        let log = self.log.lock();
        Some(log.epochs.position(log.newest)).filter(|last| last.epoch != 0)
    }

    /// Adds a message.
    pub(crate) fn append(&self, payload: &[u8]) -> Result<Position, HistoryError> {
        let mut log = self.log.lock();
        if log.is_closed {
            return Err(HistoryError::Closed);
        }
        let number = log.newest + 1;
        let position = log.epochs.position(number);
        log.oldest = match &mut log.store {
            Store::Memory(memory) => memory.append(number, payload),
            Store::Files(files) => files.append(position.epoch, number, payload)?,
        };
        log.newest = number;
        let oldest = log.oldest;
        log.epochs.forget_before(oldest);
        drop(log);
        self.changed.notify_all();
        Ok(position)
    }

    /// A cursor for somebody who has everything up to `last`, and what to tell it.
    pub(crate) fn resume(&self, last: Option<Position>) -> (Cursor, Answer) {
        let log = self.log.lock();
        let answer = log.epochs.resume(last, log.oldest, log.newest);
        let (Answer::Resumed(next) | Answer::Gap(next)) = answer;
        (Cursor::at(next.number), answer)
    }

    /// The next messages, up to about `bytes` of them; waits until there is one, or `ended` is set and
    /// [told](Self::wake).
    pub(crate) fn read(&self, cursor: &mut Cursor, bytes: usize, ended: &AtomicBool) -> Result<Found, HistoryError> {
        loop {
            let mut log = self.log.lock();
            loop {
                if ended.load(Ordering::Relaxed) {
                    return Ok(Found::End);
                }
                if cursor.next < log.oldest {
                    (cursor.next, cursor.reading) = (log.oldest, None);
                    return Ok(Found::Gap(log.epochs.position(log.oldest)));
                }
                if cursor.next <= log.newest {
                    break;
                }
                self.changed.wait(&mut log);
            }
            // Before it is read: it may be let go meanwhile, and its epoch with it.
            let first = log.epochs.position(cursor.next);
            let payloads = match &log.store {
                Store::Memory(memory) => memory.read(cursor.next - log.oldest, bytes),
                Store::Files(files) => {
                    let segment = files.segment_of(cursor.next).clone();
                    match MutexGuard::unlocked(&mut log, || cursor.read(&segment, bytes)) {
                        Ok(payloads) => payloads,
                        // It has been let go meanwhile.
                        Err(error) if error.kind() == io::ErrorKind::NotFound && cursor.next < log.oldest => continue,
                        // Nor will it be there when somebody asks again.
                        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {
                            log::error!(
                                "{}: messages from {} on are lost: {error}",
                                segment.path.display(),
                                cursor.next
                            );
                            cursor.next = segment.end().max(log.oldest);
                            return Ok(Found::Gap(log.epochs.position(cursor.next)));
                        }
                        Err(error) => return Err(HistoryError::io(&segment.path, error)),
                    }
                }
            };
            cursor.next += payloads.len() as u64;
            return Ok(Found::Messages(first, payloads));
        }
    }

    /// What there is.
    pub(crate) fn extent(&self) -> Extent {
        let log = self.log.lock();
        let bytes = match &log.store {
            Store::Memory(memory) => memory.bytes(),
            Store::Files(files) => files.bytes(),
        };
        Extent { oldest: log.oldest, next: log.newest + 1, bytes }
    }

    /// The position of the message with this number, which there is, or was last of those that are gone.
    pub(crate) fn position(&self, number: u64) -> Position {
        self.log.lock().epochs.position(number)
    }

    /// Nobody needs the numbers below this one any more. Those that share a file with it stay.
    pub(crate) fn forget_before(&self, number: u64) {
        let mut log = self.log.lock();
        let (oldest, number) = (log.oldest, number.min(log.newest + 1));
        log.oldest = match &mut log.store {
            Store::Memory(memory) => {
                memory.forget(number.saturating_sub(oldest));
                number.max(oldest)
            }
            Store::Files(files) => files.forget_before(number),
        };
        let oldest = log.oldest;
        log.epochs.forget_before(oldest);
    }

    /// From now on nothing is added, and another may open the folder.
    pub(crate) fn close(&self) {
        let mut log = self.log.lock();
        log.is_closed = true;
        if let Store::Files(files) = &mut log.store {
            files.unlock();
        }
    }

    /// Has readers look whether they are to end.
    pub(crate) fn wake(&self) {
        // Not between a reader's look and its wait.
        drop(self.log.lock());
        self.changed.notify_all();
    }
}

impl Cursor {
    /// One that reads from this number on.
    pub(crate) fn at(next: u64) -> Self {
        Self { next, reading: None }
    }

    /// The number that it reads next.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    fn read(&mut self, segment: &Segment, bytes: usize) -> io::Result<Vec<Arc<[u8]>>> {
        let reading = match self.reading.take().filter(|reading| reading.is_before(segment, self.next)) {
            Some(reading) => reading,
            None => Reading::open(segment)?,
        };
        let mut payloads = Vec::new();
        match self.reading.insert(reading).read(segment, self.next, bytes, &mut payloads) {
            Ok(()) => Ok(payloads),
            Err(error) => {
                self.reading = None;
                // What lies in front of it comes first.
                if payloads.is_empty() { Err(error) } else { Ok(payloads) }
            }
        }
    }
}

/// A number that no other start has had, and not 0.
fn new_epoch() -> u64 {
    let mut hasher = RandomState::new().build_hasher();
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    hasher.write_u128(time.as_nanos());
    hasher.write_u32(std::process::id());
    hasher.finish().max(1)
}

#[cfg(test)]
mod tests;

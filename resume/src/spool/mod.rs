//! What waits for somebody who comes back: a history that goes as it is acknowledged.

mod mark;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::Mutex;

use crate::Position;
use crate::history::{Bounds, Cursor, Found, History, HistoryError};
use mark::Mark;

/// Messages that wait for somebody who comes back, such as an uplink that is gone: in memory, or in files that survive
/// the process. The oldest are dropped when there are too many, and counted.
///
/// They are *taken* in the order in which they came, and kept until they are *acknowledged*; what was taken in vain is
/// taken again after [`rewind`](Self::rewind).
///
/// # What survives what
///
/// | | the process ends, or is killed | the machine loses power |
/// |---|---|---|
/// | [`in_memory`](Self::in_memory) | all is gone | the same |
/// | [`open`](Self::open) | nothing is lost; what was acknowledged in the last 0.1 s in which anything was is taken again, if it was killed | the last messages may be lost, some seconds of them |
///
/// Nothing of it waits for anybody but the disk, and any thread may call it.
///
/// # Examples
///
/// ```
/// use leads_comm_resume::Spool;
///
/// let spool = Spool::in_memory(1 << 20)?;
/// spool.append(b"first")?;
/// spool.append(b"second")?;
/// let taken = spool.take(1 << 16)?;
/// let last = taken.last().expect("both are there");
/// assert_eq!(*last.payload, *b"second");
/// spool.acknowledge(last.number);
/// assert_eq!(spool.backlog().messages, 0);
/// # Ok::<(), leads_comm_resume::HistoryError>(())
/// ```
#[derive(Debug)]
pub struct Spool {
    // Before the history, which lets others in.
    state: Mutex<State>,
    history: History,
}

#[derive(Debug)]
struct State {
    cursor: Cursor,
    /// The oldest number that has not been acknowledged, and is not lost.
    needed: u64,
    /// Numbers from and up to which there is nothing to be read, behind the needed one.
    holes: Vec<(u64, u64)>,
    /// How many were lost, those of the holes aside.
    lost: u64,
    /// Those of them that were on their way when they were dropped: they may still be acknowledged.
    late: Vec<Range<u64>>,
    /// Where there are files.
    mark: Option<Mark>,
}

/// A message that was taken out of a [`Spool`], where it stays until it is [acknowledged](Spool::acknowledge).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Taken {
    /// Its number: more than those of the messages before it.
    pub number: u64,
    /// What was [appended](Spool::append).
    pub payload: Arc<[u8]>,
}

/// What waits in a [`Spool`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Backlog {
    /// How many messages have not been acknowledged.
    pub messages: u64,
    /// What they take of memory or of the disk, in bytes.
    pub bytes: u64,
    /// How many were lost since the spool was opened: dropped because there were too many, or not to be read or written.
    pub lost: u64,
}

impl Spool {
    /// One that ends with the process, with so many bytes at most: of payloads, and 48 for each message. At least
    /// 64 KiB.
    ///
    /// # Errors
    ///
    /// [`HistoryError::Bounds`].
    pub fn in_memory(max_bytes: u64) -> Result<Self, HistoryError> {
        Ok(Self::of(History::in_memory(bounds(max_bytes))?, None, None))
    }

    /// One in files of this folder, which is made if it is not there and should have nothing else in it. What an
    /// earlier process has left there waits as well; a message that was written in part is none.
    ///
    /// `max_bytes` is how much there may be in files: payloads, and 8 bytes for each message. At least 64 KiB. A file
    /// has an eighth of it, at most 16 MiB, and is removed when all that is in it has been acknowledged, or to make
    /// room. Reads all there is once, which takes about a second for each 500 MB.
    ///
    /// # Errors
    ///
    /// [`HistoryError::Bounds`]; [`HistoryError::InUse`] when another process, or this one, has it open;
    /// [`HistoryError::Io`].
    pub fn open(folder: impl AsRef<Path>, max_bytes: u64) -> Result<Self, HistoryError> {
        let history = History::open(&folder, bounds(max_bytes))?;
        let (mark, last) = Mark::open(folder.as_ref())?;
        Ok(Self::of(history, Some(mark), last))
    }

    /// All up to `last` were acknowledged.
    fn of(history: History, mark: Option<Mark>, last: Option<Position>) -> Self {
        let (cursor, _) = history.resume(last);
        let needed = cursor.next();
        history.forget_before(needed);
        let state = State { cursor, needed, holes: Vec::new(), lost: 0, late: Vec::new(), mark };
        Self { history, state: Mutex::new(state) }
    }

    /// Adds a message behind the others; drops the oldest as far as there is no room.
    ///
    /// # Errors
    ///
    /// [`HistoryError::Io`]: this message is lost, and counted; those before it are not.
    pub fn append(&self, payload: &[u8]) -> Result<(), HistoryError> {
        let mut state = self.state.lock();
        state.mark.iter_mut().for_each(Mark::look);
        let appended = self.history.append(payload);
        state.lost += u64::from(appended.is_err());
        state.drop_before(self.history.extent().oldest);
        appended.map(drop)
    }

    /// The next messages that have not been taken, up to about so many bytes, and at least one if
    /// there is one. Never waits until there is.
    ///
    /// # Errors
    ///
    /// [`HistoryError::Io`]; nothing has been taken then. What cannot be read because it is damaged is passed over, and
    /// counted as lost.
    pub fn take(&self, bytes: usize) -> Result<Vec<Taken>, HistoryError> {
        let mut state = self.state.lock();
        let never = AtomicBool::new(false);
        loop {
            let next = state.cursor.next();
            if next >= self.history.extent().next {
                return Ok(Vec::new());
            }
            match self.history.read(&mut state.cursor, bytes, &never)? {
                Found::Messages(first, payloads) => {
                    let numbered = (first.number..).zip(payloads);
                    return Ok(numbered.map(|(number, payload)| Taken { number, payload }).collect());
                }
                // What was dropped to make room has been counted.
                Found::Gap(goes_on) => {
                    let from = next.max(state.needed);
                    if from < goes_on.number {
                        state.holes.push((from, goes_on.number));
                        state.pass_holes();
                    }
                }
                Found::End => return Ok(Vec::new()),
            }
        }
    }

    /// All messages up to this number, of those that have been taken, need not be taken again.
    pub fn acknowledge(&self, number: u64) {
        let mut state = self.state.lock();
        let next = number.saturating_add(1).min(state.cursor.next());
        state.arrived_before(next);
        state.needed = next.max(state.needed);
        state.pass_holes();
        let last = self.history.position(state.needed - 1);
        self.history.forget_before(state.needed);
        state.mark.iter_mut().for_each(|mark| mark.put(last));
    }

    /// All messages that have been taken and not acknowledged are taken again.
    pub fn rewind(&self) {
        let mut state = self.state.lock();
        state.cursor = Cursor::at(state.needed);
        // They are found again; what was dropped is not.
        state.holes.clear();
        state.late.clear();
        state.mark.iter_mut().for_each(Mark::write);
    }

    /// What waits now.
    pub fn backlog(&self) -> Backlog {
        let state = self.state.lock();
        let extent = self.history.extent();
        let in_holes: u64 = state.holes.iter().map(|(from, to)| to - from).sum();
        let messages = extent.next - state.needed - in_holes;
        Backlog { messages, bytes: if messages == 0 { 0 } else { extent.bytes }, lost: state.lost + in_holes }
    }
}

impl State {
    /// What lies before this number is not there any more.
    fn drop_before(&mut self, oldest: u64) {
        if self.needed < oldest {
            self.lost += oldest - self.needed;
            let taken = oldest.min(self.cursor.next());
            if self.needed < taken && self.holes.is_empty() {
                self.late.push(self.needed..taken);
            }
            self.needed = oldest;
            self.holes.retain_mut(|(from, to)| {
                *from = oldest.max(*from);
                from < to
            });
            self.pass_holes();
        }
    }

    /// What was on its way below this number is not lost.
    fn arrived_before(&mut self, next: u64) {
        self.late.retain_mut(|late| {
            let arrived = next.min(late.end).saturating_sub(late.start);
            late.start += arrived;
            self.lost -= arrived;
            !late.is_empty()
        });
    }

    /// Nobody needs what cannot be read.
    fn pass_holes(&mut self) {
        while let Some((from, to)) = self.holes.first().copied().filter(|(from, _)| *from <= self.needed) {
            self.lost += to - from;
            self.needed = to.max(self.needed);
            self.holes.remove(0);
        }
    }
}

fn bounds(max_bytes: u64) -> Bounds {
    Bounds::new().max_messages(u64::MAX).max_bytes(max_bytes)
}

#[cfg(test)]
mod tests;

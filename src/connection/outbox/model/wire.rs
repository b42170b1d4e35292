//! A stream that takes as many bytes as the model says, and remembers them.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::sync::{Mutex, MutexGuard};

use loom::sync::atomic::{AtomicUsize, Ordering};

use crate::transport::Stream;

/// It takes what there is room for, but no more than `at_once` with one write, and breaks when it would take more than
/// `breaks_at` in all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Take {
    pub(crate) room: usize,
    pub(crate) at_once: usize,
    pub(crate) breaks_at: usize,
    /// Whether there are writes that do not block.
    pub(crate) directly: bool,
    /// Whether it takes `at_once` whatever the room, holds it, and has to be asked to hand it on; as it does with its
    /// end.
    pub(crate) holds: bool,
}

impl Take {
    pub(crate) const ALL: Self =
        Self { room: usize::MAX, at_once: usize::MAX, breaks_at: usize::MAX, directly: true, holds: false };

    pub(crate) const fn room(room: usize) -> Self {
        Self { room, ..Self::ALL }
    }
}

pub(crate) struct Wire {
    take: Take,
    /// Touched in the middle of each write, so that the model checker lets other threads run there.
    middle: AtomicUsize,
    /// Of `std`: it is never held while another thread runs.
    record: Mutex<Record>,
}

#[derive(Debug, Default)]
struct Record {
    bytes: Vec<u8>,
    /// What has been taken and not handed on, and whether the end is to follow it; whether it has.
    held: Vec<u8>,
    end_held: bool,
    end_written: bool,
    /// How much more has been read by the peer.
    read: usize,
    writing: bool,
    shut: bool,
    aborted: bool,
    /// Whether the outbox has said that nothing more is written.
    over: bool,
}

impl Wire {
    pub(crate) fn new(take: Take) -> Self {
        Self { take, middle: AtomicUsize::new(0), record: Mutex::default() }
    }

    /// The peer reads so many bytes more.
    pub(crate) fn make_room(&self, bytes: usize) {
        self.record().read += bytes;
    }

    /// From now on no write may begin.
    pub(crate) fn declare_over(&self) {
        let mut record = self.record();
        assert!(!record.writing, "the outbox is over, and somebody writes");
        record.over = true;
    }

    /// Everything that was handed on.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.record().bytes.clone()
    }

    /// Everything that was taken.
    pub(crate) fn taken(&self) -> Vec<u8> {
        let record = self.record();
        [&record.bytes[..], &record.held].concat()
    }

    pub(crate) fn is_shut(&self) -> bool {
        self.record().shut
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().expect("no model goes on after a panic")
    }

    /// A call that writes: other threads may run in the middle of it.
    fn begin(&self) -> MutexGuard<'_, Record> {
        {
            let mut record = self.record();
            assert!(!record.writing, "two threads write at the same time");
            assert!(!record.shut, "a write after the writing half has been shut");
            assert!(!record.over, "a write after the outbox said that it was over");
            record.writing = true;
        }
        self.middle.fetch_add(1, Ordering::Relaxed);
        let mut record = self.record();
        assert!(!record.shut, "the writing half has been shut during a write");
        record.writing = false;
        record
    }

    fn write(&self, buffers: &[IoSlice<'_>], at_least: usize) -> io::Result<usize> {
        let mut record = self.begin();
        assert!(record.held.is_empty() && !record.end_held, "a write while something is held");
        let room = if self.take.holds { usize::MAX } else { self.room(&record) };
        let most = room.max(at_least).min(self.take.at_once);
        let taken: Vec<u8> = buffers.iter().flat_map(|buffer| buffer.iter().copied()).take(most).collect();
        assert!(buffers.iter().any(|buffer| !buffer.is_empty()), "a write of nothing");
        if record.aborted || record.bytes.len() + taken.len() > self.take.breaks_at {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if taken.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if self.take.holds {
            record.held.extend(&taken);
        } else {
            record.bytes.extend(&taken);
        }
        Ok(taken.len())
    }

    /// Hands on what is held, of which `at_least` so many bytes find room.
    fn hand_on(&self, at_least: usize) -> io::Result<()> {
        if !self.take.holds {
            return Ok(());
        }
        let mut record = self.begin();
        if record.aborted {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let most = self.room(&record).max(at_least).min(record.held.len());
        let handed_on: Vec<u8> = record.held.drain(..most).collect();
        record.bytes.extend(handed_on);
        if record.end_held && self.room(&record).max(at_least) > 0 {
            record.end_held = false;
            record.end_written = true;
        }
        if record.held.is_empty() && !record.end_held { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }

    fn room(&self, record: &Record) -> usize {
        self.take.room.saturating_add(record.read).saturating_sub(record.bytes.len())
    }
}

impl Stream for Wire {
    fn read(&self, _: &mut [u8]) -> io::Result<usize> {
        unreachable!("the models do not read")
    }

    /// Where the real one would wait, the peer reads a byte.
    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write(buffers, 1)
    }

    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        if !self.take.directly {
            return Err(io::ErrorKind::Unsupported.into());
        }
        self.write(buffers, 0)
    }

    /// Where the real one would wait, the peer reads everything.
    fn flush(&self) -> io::Result<()> {
        self.hand_on(usize::MAX)
    }

    fn try_flush(&self) -> io::Result<()> {
        self.hand_on(0)
    }

    fn shutdown(&self, _: Shutdown) -> io::Result<()> {
        let mut record = self.record();
        if self.take.holds && !record.aborted {
            assert!(record.held.is_empty() && !record.end_held, "the writing half is shut while something is held");
            if !record.end_written && self.room(&record) == 0 {
                record.end_held = true;
                return Err(io::ErrorKind::WouldBlock.into());
            }
        }
        assert!(!record.writing || record.aborted, "the writing half is shut during a write");
        assert!(!record.shut, "the writing half is shut twice");
        record.shut = true;
        Ok(())
    }

    fn abort(&self) -> io::Result<()> {
        self.record().aborted = true;
        Ok(())
    }

    fn peer(&self) -> String {
        "wire".to_owned()
    }
}

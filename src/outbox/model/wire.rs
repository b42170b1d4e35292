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
}

impl Take {
    pub(crate) const ALL: Self = Self { room: usize::MAX, at_once: usize::MAX, breaks_at: usize::MAX, directly: true };

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

    /// Everything that was taken.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.record().bytes.clone()
    }

    pub(crate) fn is_shut(&self) -> bool {
        self.record().shut
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().expect("no model goes on after a panic")
    }

    fn write(&self, buffers: &[IoSlice<'_>], at_least: usize) -> io::Result<usize> {
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
        let room = self.take.room.saturating_add(record.read).saturating_sub(record.bytes.len());
        let most = room.max(at_least).min(self.take.at_once);
        let taken: Vec<u8> = buffers.iter().flat_map(|buffer| buffer.iter().copied()).take(most).collect();
        assert!(buffers.iter().any(|buffer| !buffer.is_empty()), "a write of nothing");
        if record.aborted || record.bytes.len() + taken.len() > self.take.breaks_at {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if taken.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        record.bytes.extend(&taken);
        Ok(taken.len())
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

    fn shutdown(&self, _: Shutdown) -> io::Result<()> {
        let mut record = self.record();
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

//! A write that blocks, because nobody reads what it writes.

use std::io::{self, ErrorKind, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::transport::Stream;
use parking_lot::Mutex;

use crate::bytes::{CHUNK, Pattern, read_expected};
use crate::failure::{Outcome, broken, ensure};
use crate::run::{Run, Task};

/// After how long without progress a write is taken to be blocked. When it is merely slow, a check sees less than it
/// might, and reports nothing that is not so.
const NO_PROGRESS: Duration = Duration::from_millis(50);

/// Writes on a thread of its own, without end.
pub(crate) struct Stuck {
    progress: Arc<Progress>,
    writing: Task<Result<u64, io::Error>>,
}

#[derive(Default)]
struct Progress {
    /// Not an atomic, because not every processor has one of 64 bits.
    written: Mutex<u64>,
    stop: AtomicBool,
}

impl Stuck {
    /// Returns when nothing more is taken.
    pub(crate) fn write(run: &Run, holds: usize, stream: &Arc<dyn Stream>) -> Outcome<Self> {
        let progress = Arc::new(Progress::default());
        let writing = run.start("a write that nobody reads", {
            let (stream, progress) = (Arc::clone(stream), Arc::clone(&progress));
            move |run| progress.write(run, stream.as_ref())
        })?;
        let mut last = (0, Instant::now());
        run.until("waiting until a write that nobody reads blocks", || {
            let written = *progress.written.lock();
            ensure(
                written <= holds as u64,
                format_args!("write_vectored has taken {written} bytes that nobody reads"),
            )?;
            if written > last.0 {
                last = (written, Instant::now());
            }
            Ok((written > 0 && last.1.elapsed() > NO_PROGRESS).then_some(()))
        })?;
        Ok(Self { progress, writing })
    }

    /// Waits until the write has failed.
    pub(crate) fn fails(self) -> Outcome {
        match self.writing.finish()? {
            Ok(_) => broken("the write goes on"),
            Err(_) => Ok(()),
        }
    }

    /// Reads all that is written, after which no more is.
    pub(crate) fn drain(self, run: &Run, peer: &Arc<dyn Stream>) -> Outcome {
        self.progress.stop.store(true, Relaxed);
        let mut pattern = Pattern::new(1);
        // Once this has been read there is room for the write that is under way, the last one.
        let written = *self.progress.written.lock();
        let reader = Arc::clone(peer);
        pattern = run.call("reading what was written meanwhile", move |run| {
            read_expected(run, reader.as_ref(), &mut pattern, written)?;
            Ok(pattern)
        })?;
        let total = match self.writing.finish()? {
            Ok(total) => total,
            Err(error) => return broken(format_args!("write_vectored fails when the peer reads again: {error}")),
        };
        let reader = Arc::clone(peer);
        run.call("reading the last of what was written meanwhile", move |run| {
            let left = total - pattern.position();
            read_expected(run, reader.as_ref(), &mut pattern, left)
        })
    }
}

impl Progress {
    /// Writes until it is to stop, or fails.
    fn write(&self, run: &Run, stream: &dyn Stream) -> Outcome<Result<u64, io::Error>> {
        let mut pattern = Pattern::new(1);
        while !self.stop.load(Relaxed) {
            let chunk = pattern.next(CHUNK);
            let result = stream.write_vectored(&[IoSlice::new(&chunk)]);
            let count = match result {
                Ok(count @ 1..=CHUNK) => count,
                Ok(count) => return broken(format_args!("write_vectored says {count} bytes, of {CHUNK}")),
                Err(error) if error.kind() == ErrorKind::Interrupted => 0,
                Err(error) => return Ok(Err(error)),
            };
            pattern.take_back(CHUNK - count);
            *self.written.lock() = pattern.position();
            if let Err(error) = stream.flush() {
                return Ok(Err(error));
            }
            run.in_time("a write that nobody reads, and that does not block either")?;
            // So that a write which takes nothing from the peer does not fill the memory before it is noticed.
            thread::yield_now();
        }
        Ok(Ok(pattern.position()))
    }
}

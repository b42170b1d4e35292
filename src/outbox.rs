//! What waits to be written to one peer, and who writes it.
//!
//! One short mutex guards a queue of frames and a *role*: who writes now. A sender queues its frame; if nobody writes,
//! it takes the role and writes on its own thread without blocking, otherwise whoever has the role carries the frame
//! with its own. When the stream takes no more, the role passes to the background: to the pump, or to a thread of the
//! connection's own where the stream cannot be polled. Only the holder of the role writes, so frames never interleave;
//! the mutex is never held while bytes move.
//!
//! ```text
//!            send                     would block
//!  Nobody ─────────▶ Caller ───────────────────────▶ Background
//!    ▲                 │ queue empty                     │ queue empty
//!    └─────────────────┴─────────────────────────────────┘
//! ```

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::mem;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::disconnect::Undelivered;
use crate::transport::Stream;

/// What each message is charged beyond its bytes, so that a flood of tiny ones is bounded too.
pub(crate) const OVERHEAD: usize = 64;

/// How many frames go into one write, and how many bytes; a blocking write is kept short, because its progress can only
/// be seen when it returns.
const FRAMES_PER_WRITE: usize = 64;
const BYTES_PER_DIRECT_WRITE: usize = 256 * 1024;
const BYTES_PER_BLOCKING_WRITE: usize = 16 * 1024;

/// How many writes a sender makes for others before the background takes over.
const WRITES_PER_SENDER: usize = 8;

/// A message with its separator, encoded once and shared by all that it is queued for.
pub(crate) type Frame = Arc<Vec<u8>>;

pub(crate) struct Outbox {
    limit: usize,
    state: Mutex<State>,
    /// Room in the queue, work for a writing thread, or the end.
    changed: Condvar,
}

struct State {
    /// Given up when the connection is gone, so that its descriptor does not depend on who keeps a handle.
    stream: Option<Arc<dyn Stream>>,
    queue: VecDeque<Frame>,
    /// How much of the first frame is written.
    head_written: usize,
    /// Bytes and overhead of the queued frames.
    charged: usize,
    writer: Writer,
    stage: Stage,
    /// Whether a write is under way: its frames stay in the queue until its outcome is known.
    in_flight: bool,
    /// Whether the last frame of the queue is the goodbye, which is no message.
    goodbye_queued: bool,
    /// False once the stream has said that it has no non-blocking write.
    writes_directly: bool,
    /// When bytes last moved, or had reason to.
    progress: Instant,
    /// Whether the pump has been asked to watch the background's progress.
    watched: bool,
    lost: Undelivered,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    Nobody,
    Caller,
    Background,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    /// The goodbye is queued; nothing may follow it.
    Closing,
    /// Everything is written, and the writing half shut.
    Finished,
    /// Nothing more will be written. What was left is counted in `lost`, once no write is under way.
    Dead,
}

/// How a write behaves when the stream takes nothing.
#[derive(Debug, Clone, Copy)]
enum Mode {
    Direct,
    Blocking,
}

/// What whoever touched the outbox has to see to next.
#[must_use]
pub(crate) enum Step {
    Nothing,
    /// The background holds the role now: somebody has to start it, and to watch over its progress if nobody does.
    HandOver {
        watched: bool,
    },
    /// The background has work again, and nobody watches over its progress.
    Watch,
    /// The goodbye is out, and the writing half shut.
    Finished,
    /// Writing failed; the outbox is dead.
    Failed(io::Error),
}

/// Why a frame was not accepted.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The outbox is closing, or past it.
    Closed,
    /// The queue is full, and stayed so until the deadline.
    Full,
}

impl Outbox {
    /// `limit` is in bytes, each message charged its length plus [`OVERHEAD`].
    pub(crate) fn new(stream: Arc<dyn Stream>, limit: usize) -> Self {
        Self {
            limit,
            state: Mutex::new(State {
                stream: Some(stream),
                queue: VecDeque::new(),
                head_written: 0,
                charged: 0,
                writer: Writer::Nobody,
                stage: Stage::Open,
                in_flight: false,
                goodbye_queued: false,
                writes_directly: true,
                progress: Instant::now(),
                watched: false,
                lost: Undelivered::default(),
            }),
            changed: Condvar::new(),
        }
    }

    /// Accepts a frame; waits for room until `deadline`, not at all without one.
    pub(crate) fn push(&self, frame: Frame, deadline: Option<Instant>) -> Result<Step, Refused> {
        let mut state = self.state.lock();
        let charge = frame.len() + OVERHEAD;
        while state.stage == Stage::Open && state.charged + charge > self.limit {
            let Some(deadline) = deadline else { return Err(Refused::Full) };
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        if state.stage != Stage::Open {
            return Err(Refused::Closed);
        }
        if state.charged + charge > self.limit {
            return Err(Refused::Full);
        }
        state.charged += charge;
        state.queue.push_back(frame);
        Ok(self.write_or_leave(state))
    }

    /// Queues the goodbye behind everything accepted before; refuses whatever comes later.
    pub(crate) fn close(&self, goodbye: Frame) -> Step {
        let mut state = self.state.lock();
        if state.stage != Stage::Open {
            return Step::Nothing;
        }
        state.stage = Stage::Closing;
        state.goodbye_queued = true;
        state.charged += goodbye.len() + OVERHEAD;
        state.queue.push_back(goodbye);
        // Whoever waits for room has nothing to wait for any more.
        self.changed.notify_all();
        self.write_or_leave(state)
    }

    /// Drops what is queued and counts it as lost. Nothing is written from now on but what is under way. False when
    /// the goodbye was out already, so that there is nothing to give up.
    pub(crate) fn kill(&self) -> bool {
        let mut state = self.state.lock();
        if state.stage == Stage::Finished {
            return false;
        }
        state.stage = Stage::Dead;
        let dropped = self.settle(&mut state);
        drop(state);
        drop(dropped);
        true
    }

    /// One write of the pump's, which holds the role; whether the stream takes no more and the pump has to go on.
    pub(crate) fn pump_turn(&self) -> (bool, Step) {
        match self.write_direct(self.state.lock(), 1) {
            Step::HandOver { .. } if self.writes_directly() => (true, Step::Nothing),
            step => (false, step),
        }
    }

    /// The writing thread of a stream that cannot be polled, which holds the role from its first need to the end.
    pub(crate) fn write_blocking(&self) -> Step {
        let mut state = self.state.lock();
        loop {
            match state.stage {
                Stage::Finished | Stage::Dead => return Step::Nothing,
                Stage::Closing if state.queue.is_empty() => return self.finish(state),
                Stage::Open if state.queue.is_empty() => self.changed.wait(&mut state),
                Stage::Open | Stage::Closing => {
                    if let Err(error) = self.write_batch(&mut state, Mode::Blocking) {
                        return self.fail(state, error);
                    }
                }
            }
        }
    }

    /// When the background will have been stuck for `stall`; `None` when it has nothing to do.
    pub(crate) fn stalled_at(&self, stall: Duration) -> Option<Instant> {
        let mut state = self.state.lock();
        if state.writer == Writer::Background && !state.queue.is_empty() && state.stage == Stage::Open {
            return state.progress.checked_add(stall);
        }
        state.watched = false;
        None
    }

    /// Whether the stream needs a writing thread even where descriptors can be polled.
    pub(crate) fn writes_directly(&self) -> bool {
        self.state.lock().writes_directly
    }

    /// The stream, until the connection is gone.
    pub(crate) fn stream(&self) -> Option<Arc<dyn Stream>> {
        self.state.lock().stream.clone()
    }

    /// Whether everything was written, and the writing half shut.
    pub(crate) fn is_finished(&self) -> bool {
        self.state.lock().stage == Stage::Finished
    }

    /// Whether nothing more will be written.
    pub(crate) fn is_over(&self) -> bool {
        self.state.lock().is_over()
    }

    /// Blocks until nothing more will be written.
    pub(crate) fn wait_until_over(&self) {
        let mut state = self.state.lock();
        while !state.is_over() {
            self.changed.wait(&mut state);
        }
    }

    /// Gives up the stream, whose connection is over, and tells what was lost.
    pub(crate) fn retire(&self) -> Undelivered {
        let mut state = self.state.lock();
        let stream = state.stream.take();
        let lost = state.lost;
        drop(state);
        drop(stream);
        lost
    }

    /// After something was queued: writes it here if nobody else does.
    fn write_or_leave(&self, mut state: MutexGuard<'_, State>) -> Step {
        match state.writer {
            Writer::Caller => Step::Nothing,
            Writer::Background => {
                if state.queue.len() == 1 {
                    state.progress = Instant::now();
                    self.changed.notify_all();
                }
                let watched = mem::replace(&mut state.watched, true);
                if watched { Step::Nothing } else { Step::Watch }
            }
            Writer::Nobody if state.writes_directly => {
                state.writer = Writer::Caller;
                self.write_direct(state, WRITES_PER_SENDER)
            }
            Writer::Nobody => hand_over(state),
        }
    }

    /// Writes without blocking, as the holder of the role, until the queue is empty, the stream takes no more, or
    /// `writes` are used up.
    fn write_direct(&self, mut state: MutexGuard<'_, State>, mut writes: usize) -> Step {
        loop {
            match state.stage {
                Stage::Closing if state.queue.is_empty() => return self.finish(state),
                Stage::Open | Stage::Closing if !state.queue.is_empty() => {}
                _ => {
                    state.writer = Writer::Nobody;
                    return Step::Nothing;
                }
            }
            if writes == 0 {
                return hand_over(state);
            }
            writes -= 1;
            match self.write_batch(&mut state, Mode::Direct).map_err(|error| (error.kind(), error)) {
                Ok(()) => {}
                Err((io::ErrorKind::WouldBlock, _)) => return hand_over(state),
                Err((io::ErrorKind::Unsupported, _)) => {
                    state.writes_directly = false;
                    return hand_over(state);
                }
                Err((_, error)) => return self.fail(state, error),
            }
        }
    }

    /// One write, without the lock, and its account. The queue must not be empty.
    fn write_batch(&self, state: &mut MutexGuard<'_, State>, mode: Mode) -> io::Result<()> {
        let stream = state.stream.clone().expect("the stream is given up only when nothing more is written");
        let frames: Vec<Frame> = state.queue.iter().take(FRAMES_PER_WRITE).map(Arc::clone).collect();
        let head_written = state.head_written;
        state.in_flight = true;
        let result = MutexGuard::unlocked(state, || {
            let result = match mode {
                Mode::Direct => stream.try_write_vectored(&slices(&frames, head_written, BYTES_PER_DIRECT_WRITE)),
                Mode::Blocking => stream.write_vectored(&slices(&frames, head_written, BYTES_PER_BLOCKING_WRITE)),
            };
            drop(stream);
            result
        });
        state.in_flight = false;
        let result = match result {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                self.advance(state, count);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        };
        drop(self.settle(state));
        result
    }

    /// Everything is out: shuts the writing half.
    fn finish(&self, mut state: MutexGuard<'_, State>) -> Step {
        let stream = state.stream.clone();
        // Still holding the role, so that nobody writes in between.
        MutexGuard::unlocked(&mut state, || {
            if let Some(stream) = stream {
                // Fails when the peer is gone already, which the reader is about to see.
                let _ = stream.shutdown(Shutdown::Write);
            }
        });
        state.writer = Writer::Nobody;
        if state.stage == Stage::Closing {
            state.stage = Stage::Finished;
        }
        self.changed.notify_all();
        Step::Finished
    }

    fn fail(&self, mut state: MutexGuard<'_, State>, error: io::Error) -> Step {
        state.writer = Writer::Nobody;
        if state.stage == Stage::Dead {
            // Killed meanwhile: that is why the write failed.
            return Step::Nothing;
        }
        state.stage = Stage::Dead;
        let dropped = self.settle(&mut state);
        drop(state);
        drop(dropped);
        Step::Failed(error)
    }

    /// Accounts for `count` written bytes.
    fn advance(&self, state: &mut State, mut count: usize) {
        state.progress = Instant::now();
        while let Some(frame) = state.queue.front() {
            let left = frame.len() - state.head_written;
            if count < left {
                state.head_written += count;
                break;
            }
            count -= left;
            state.charged -= frame.len() + OVERHEAD;
            state.head_written = 0;
            state.queue.pop_front();
        }
        self.changed.notify_all();
    }

    /// If the outbox is dead and no write is under way: counts what is queued as lost and returns it.
    fn settle(&self, state: &mut State) -> VecDeque<Frame> {
        if state.stage != Stage::Dead || state.in_flight {
            return VecDeque::new();
        }
        let goodbye = state.queue.back().filter(|_| state.goodbye_queued).map(|frame| frame.len());
        let queued: usize = state.queue.iter().map(|frame| frame.len()).sum();
        let unsent_messages = state.queue.len() - usize::from(goodbye.is_some());
        let unsent_bytes = match (unsent_messages, goodbye) {
            (0, _) => 0,
            (_, goodbye) => queued - goodbye.unwrap_or(0) - state.head_written,
        };
        state.lost.unsent_messages += unsent_messages;
        state.lost.unsent_bytes += unsent_bytes;
        state.head_written = 0;
        state.charged = 0;
        self.changed.notify_all();
        mem::take(&mut state.queue)
    }
}

/// Passes the role to the background; the caller of the outbox starts it.
fn hand_over(mut state: MutexGuard<'_, State>) -> Step {
    if state.writer != Writer::Background {
        state.writer = Writer::Background;
        state.progress = Instant::now();
    }
    Step::HandOver { watched: mem::replace(&mut state.watched, true) }
}

/// Up to `most` bytes of `frames`, without the first `head_written`.
fn slices(frames: &[Frame], head_written: usize, mut most: usize) -> Vec<IoSlice<'_>> {
    let mut slices = Vec::with_capacity(frames.len());
    let mut skip = head_written;
    for frame in frames {
        let part = &frame[skip..];
        let part = &part[..part.len().min(most)];
        if part.is_empty() {
            break;
        }
        most -= part.len();
        skip = 0;
        slices.push(IoSlice::new(part));
    }
    slices
}

impl State {
    /// Whether nothing more will be written, and what was lost is counted.
    fn is_over(&self) -> bool {
        self.stage == Stage::Finished || self.stage == Stage::Dead && !self.in_flight
    }
}

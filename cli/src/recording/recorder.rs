//! The recorder: the one thread that writes what has been received, and ends the recording when it cannot.
//!
//! ```text
//!   queue ──▶ take ──▶ form ──▶ flushed twice a second, or when there is a chunk ──▶ file ──▶ synced now and then
//!                       │                                                             │       on a thread of its own
//!                       └─ notes of gaps and of the wall clock                        └─ full: the next part
//! ```

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use super::Form;
use super::broken::Broken;
use super::clock::Drift;
use super::csv::CsvWriter;
use super::file::Destination;
use super::lock::Place;
use super::notes::{clock, end, gap, note, start};
use super::output::Output;
use super::queue::{Entry, Gap, Queue, Received, Taken, Volume};
use super::sync::Syncing;
use super::words::count;
use super::writer::McapWriter;
use crate::console::{complain, tell};

/// How often what has come is put into the file: often enough that no more than the last second is missing there when
/// the process is killed, also on a machine that is busy.
const FLUSH: Duration = Duration::from_millis(500);

/// How much is compressed together at most, in bytes, unless a message is longer.
const CHUNK: usize = 1 << 20;

/// What is recorded how.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) destination: Destination,
    pub(crate) form: FormKind,
    pub(crate) split: Option<Split>,
    /// How often the file is brought to the disk.
    pub(crate) sync: Duration,
    /// What was connected to, or listened on.
    pub(crate) address: String,
    pub(crate) role: &'static str,
    pub(crate) separator: String,
}

/// The form of the files.
#[derive(Debug, Clone)]
pub(crate) enum FormKind {
    /// With the topic of JSON objects.
    Mcap(String),
    Csv,
}

/// When a part is followed by the next one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Split {
    After(Duration),
    At(u64),
}

/// What has become of a recording.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What is in the files.
    pub(crate) kept: Volume,
    /// How many messages came that this form has no place for.
    pub(crate) passed_over: u64,
    pub(crate) parts: u32,
    /// The last part.
    pub(crate) path: PathBuf,
    /// Whether there is a file: not where nothing came.
    pub(crate) is_kept: bool,
    /// How long all parts are.
    pub(crate) len: u64,
    pub(crate) failure: Option<Broken>,
    /// Whether it failed before it was to end.
    pub(crate) is_early: bool,
}

/// A recording that is going on.
#[derive(Debug)]
pub(crate) struct Recorder {
    queue: Arc<Queue>,
    len: Arc<AtomicU64>,
    thread: JoinHandle<Outcome>,
}

impl Recorder {
    /// Creates the first file, which replaces one that is there, or stays, only with a message in it; and begins to
    /// write what comes into the queue. `on_failure` is called when nothing more can be recorded.
    pub(crate) fn start(
        plan: Plan,
        queue: Arc<Queue>,
        on_failure: impl FnOnce(&Outcome) + Send + 'static,
    ) -> Result<Self, Broken> {
        let len = Arc::new(AtomicU64::new(0));
        let mut work = Work::begin(plan, Arc::clone(&queue), Arc::clone(&len))?;
        let spawned = thread::Builder::new().name("lc-recorder".into()).spawn(move || {
            if let Err(broken) = work.run() {
                let is_early = !work.queue.is_closed();
                work.queue.close();
                let outcome = Outcome { is_early, ..work.outcome(Some(broken)) };
                if is_early {
                    on_failure(&outcome);
                }
                return outcome;
            }
            let failure = work.end().err();
            work.outcome(failure)
        });
        Ok(Self { queue, len, thread: spawned.map_err(Broken::Thread)? })
    }

    /// How long the files are by now.
    pub(crate) fn len(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.len)
    }

    /// Writes what waits, and waits until it is on the disk.
    pub(crate) fn finish(self) -> Outcome {
        self.queue.close();
        self.thread.join().expect("the recorder does not panic")
    }
}

/// What the recorder has in its hands.
struct Work {
    plan: Plan,
    queue: Arc<Queue>,
    output: Output,
    form: Box<dyn Form>,
    /// The number of the part, from 1, and when it began.
    part: u32,
    part_began: u64,
    /// What was to be kept, how much of it is in the files, and how many other messages there were.
    come: Volume,
    kept: Volume,
    passed_over: u64,
    /// Whether there is anything to keep a file for.
    has_begun: bool,
    /// What was kept before this part.
    kept_before: Volume,
    /// What the parts before this one have.
    len_before: u64,
    len: Arc<AtomicU64>,
    drift: Drift,
    syncing: Syncing,
    synced: Instant,
}

impl Work {
    fn begin(mut plan: Plan, queue: Arc<Queue>, len: Arc<AtomicU64>) -> Result<Self, Broken> {
        let (output, form) = open(&mut plan, 1)?;
        let syncing = Syncing::start().map_err(Broken::Thread)?;
        let mut work = Self {
            plan,
            queue,
            output,
            form,
            part: 1,
            part_began: 0,
            come: Volume::default(),
            kept: Volume::default(),
            passed_over: 0,
            has_begun: false,
            kept_before: Volume::default(),
            len_before: 0,
            len,
            drift: Drift::default(),
            syncing,
            synced: Instant::now(),
        };
        work.begin_part()?;
        Ok(work)
    }

    fn run(&mut self) -> Result<(), Broken> {
        let mut due = Instant::now() + FLUSH;
        loop {
            let Taken { entries, is_last } = self.queue.take(due);
            for entry in entries {
                match entry {
                    Entry::Message(received) => self.message(received)?,
                    Entry::Gap(gap) => self.gap(gap)?,
                }
            }
            if Instant::now() >= due {
                self.look_at_the_clock()?;
                self.flush()?;
                self.sync()?;
                due = Instant::now() + FLUSH;
            }
            if is_last {
                return Ok(());
            }
        }
    }

    fn message(&mut self, received: Received) -> Result<(), Broken> {
        self.split(received.time)?;
        let len = received.message.len();
        match self.form.message(&received)? {
            true => {
                self.come.add(len);
                self.has_begun = true;
            }
            false => self.passed_over += 1,
        }
        // Before it is released, so that what waits for a slow disk is bounded by the queue's limit and a chunk.
        if self.form.pending() >= self.chunk() {
            self.flush()?;
        }
        self.queue.release(len);
        Ok(())
    }

    fn gap(&mut self, gap: Gap) -> Result<(), Broken> {
        let Gap { from, to, lost } = gap;
        self.has_begun = true;
        let values: [(&str, &dyn fmt::Display); 4] =
            [(gap::FROM, &from), (gap::TO, &to), (gap::MESSAGES, &lost.messages), (gap::BYTES, &lost.bytes)];
        Ok(self.form.note(&note(gap::NAME, values))?)
    }

    /// A part that is small has smaller chunks, so that it ends near where it should.
    fn chunk(&self) -> usize {
        match self.plan.split {
            Some(Split::At(len)) => usize::try_from(len / 2).map_or(CHUNK, |half| CHUNK.min(half)),
            _ => CHUNK,
        }
    }

    /// What has come is in the file when this returns.
    fn flush(&mut self) -> Result<(), Broken> {
        let records = self.form.flush()?;
        self.append(&records)
    }

    fn append(&mut self, records: &[u8]) -> Result<(), Broken> {
        let appended = self.output.append(records);
        appended.map_err(|error| Broken::Write(self.output.path.clone(), error))?;
        self.check_place()?;
        if self.has_begun && !self.output.is_kept() {
            self.keep()?;
        }
        self.kept = self.come;
        self.len.store(self.len_before + self.output.len, Ordering::Relaxed);
        Ok(())
    }

    /// Has the file take its place, that of an earlier recording included.
    fn keep(&mut self) -> Result<(), Broken> {
        self.output.keep()?;
        if self.plan.split.is_some() && self.part == 1 {
            let removed = self.plan.destination.remove_later_parts()?;
            if removed > 0 {
                let parts = count(removed as u64, "later part");
                tell(format_args!(
                    "{parts} of an earlier recording removed, which {} replaces",
                    self.output.path.display()
                ));
            }
        }
        Ok(())
    }

    fn look_at_the_clock(&mut self) -> Result<(), Broken> {
        let time = self.queue.clock().now();
        if let Some(offset) = self.drift.check(time, SystemTime::now()) {
            self.form.note(&note(clock::NAME, [(clock::AT, &time), (clock::OFFSET, &offset)]))?;
        }
        Ok(())
    }

    /// Has the file brought to the disk when it is time.
    fn sync(&mut self) -> Result<(), Broken> {
        if self.synced.elapsed() >= self.plan.sync {
            self.synced = Instant::now();
            self.syncing.hand_over(&self.output, false)?;
        }
        self.syncing.check()
    }

    /// Fails if what is written is not there any more; what has been moved is complete elsewhere, later.
    fn check_place(&mut self) -> Result<Place, Broken> {
        let place = self.output.place();
        if place == Place::Nowhere {
            let gone = self.come.messages - self.kept_before.messages;
            self.kept = self.kept_before;
            return Err(Broken::Gone(self.output.path.clone(), gone));
        }
        Ok(place)
    }

    /// Begins the next part, if the message of this time belongs to it.
    fn split(&mut self, time: u64) -> Result<(), Broken> {
        // The first part begins with the first message, however long that was waited for.
        if !self.has_begun {
            self.part_began = time;
            return Ok(());
        }
        let is_full = match self.plan.split {
            None => false,
            Some(Split::After(length)) => time.saturating_sub(self.part_began) as u128 >= length.as_nanos(),
            Some(Split::At(len)) => self.output.len >= len,
        };
        if !is_full {
            return Ok(());
        }
        if self.finish_part()? == Place::Elsewhere {
            complain(format_args!("leads-comm: {}", Broken::Moved(self.output.path.clone())));
        }
        self.len_before += self.output.len;
        self.kept_before = self.kept;
        self.part += 1;
        self.part_began = time;
        (self.output, self.form) = open(&mut self.plan, self.part)?;
        self.begin_part()
    }

    fn begin_part(&mut self) -> Result<(), Broken> {
        let Plan { address, role, separator, .. } = &self.plan;
        let started = self.queue.clock().started();
        let values: [(&str, &dyn fmt::Display); 5] = [
            (start::STARTED, &started),
            (start::PART, &self.part),
            (start::ADDRESS, address),
            (start::ROLE, role),
            (start::SEPARATOR, separator),
        ];
        self.form.note(&note(start::NAME, values))?;
        // Where the wall clock is by now is said again: a part is read without the others.
        self.drift = Drift::default();
        self.look_at_the_clock()?;
        self.flush()
    }

    fn finish_part(&mut self) -> Result<Place, Broken> {
        // By themselves: there may be room for the last messages, and none for the index.
        self.flush()?;
        let records = self.form.finish()?;
        self.append(&records)?;
        self.syncing.hand_over(&self.output, true)?;
        self.check_place()
    }

    fn end(&mut self) -> Result<(), Broken> {
        let (at, (_, lost)) = (self.queue.clock().now(), self.queue.volumes());
        let values: [(&str, &dyn fmt::Display); 5] = [
            (end::AT, &at),
            (end::MESSAGES, &self.come.messages),
            (end::BYTES, &self.come.bytes),
            (end::LOST_MESSAGES, &lost.messages),
            (end::LOST_BYTES, &lost.bytes),
        ];
        self.form.note(&note(end::NAME, values))?;
        // A file without a message goes; stdout has its end in any case.
        let place = if self.has_begun || self.output.is_kept() { self.finish_part() } else { Ok(Place::Here) };
        let synced = self.syncing.finish();
        match place? {
            Place::Elsewhere => Err(Broken::Moved(self.output.path.clone())),
            Place::Here | Place::Nowhere => synced,
        }
    }

    fn outcome(self, failure: Option<Broken>) -> Outcome {
        Outcome {
            kept: self.kept,
            passed_over: self.passed_over,
            parts: self.part,
            path: self.output.path.clone(),
            len: self.len_before + self.output.len,
            is_kept: self.output.is_kept(),
            failure,
            is_early: false,
        }
    }
}

/// The file of a part, and how it is filled.
fn open(plan: &mut Plan, part: u32) -> Result<(Output, Box<dyn Form>), Broken> {
    let output = plan.destination.create(plan.split.map(|_| part))?;
    let form: Box<dyn Form> = match &plan.form {
        FormKind::Mcap(name) => Box::new(McapWriter::new(name)?),
        FormKind::Csv => Box::new(CsvWriter::default()),
    };
    Ok((output, form))
}

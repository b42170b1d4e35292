//! A recording as the hub sees it: messages that come when they are due, and somebody who moves along its time line.
//!
//! Behind a jump one sees at once what was recorded in the half minute before.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use super::desk::{Controls, Wanted};
use super::protocol::Timeline;
use crate::console::{Failure, fail};
use crate::recording::channels::Origin;
use crate::recording::queue::Received;
use crate::recording::reading::{Item, Recording, extent, received};
use crate::replaying::ahead::{Ahead, Cue, Program};
use crate::replaying::schedule::Schedule;
use crate::replaying::timeline::Section;

/// What is shown at once of what was recorded before the place that somebody jumps to, in nanoseconds.
const CONTEXT: u64 = 30_000_000_000;

/// What comes next.
pub(super) enum Played {
    Message(Received),
    /// Somebody has moved along the time line: what comes from here on is of another time.
    Jump,
}

pub(crate) struct Playback {
    files: Vec<PathBuf>,
    extent: Extent,
    controls: Arc<Controls>,
    schedule: Schedule,
    reading: Reading,
    /// The position that the cues being read are counted from.
    base: u64,
    next: Option<Cue>,
    has_ended: bool,
    sequence: u32,
    origin: Arc<Origin>,
}

/// When recordings begin, how long they are, in nanoseconds, and how many messages they have, where that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Extent {
    start: u64,
    length: u64,
    messages: Option<u64>,
}

/// Where the cues come from.
enum Reading {
    /// Somebody is looking for the place, which is at this position.
    Starting(Receiver<Result<Ahead, Failure>>, u64),
    Going(Ahead),
    /// There are no more.
    Ended,
}

impl Playback {
    /// Opens recordings, and begins to play them.
    ///
    /// # Errors
    ///
    /// [`Failure::Failed`] if one of them cannot be read, or is nothing to play.
    pub(crate) fn start(files: Vec<PathBuf>, controls: Arc<Controls>) -> Result<Self, Failure> {
        let extent = Extent::of(&files)?;
        let ahead = Ahead::start(program(&files, 0, true))?;
        let names: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
        let separator = ahead.separator().unwrap_or(";").to_owned();
        let origin = Arc::new(Origin { role: "client", peer: names.join(", "), separator });
        Ok(Self {
            files,
            extent,
            controls,
            schedule: Schedule::new(Instant::now(), 0, 1.0),
            reading: Reading::Going(ahead),
            base: 0,
            next: None,
            has_ended: false,
            sequence: 0,
            origin,
        })
    }

    /// Gives `each` what is due until the deadline.
    pub(super) fn take(&mut self, deadline: Instant, mut each: impl FnMut(Played)) {
        if self.obey(Instant::now()) {
            each(Played::Jump);
        }
        while Instant::now() < deadline {
            if self.next.is_none() && !self.fetch(deadline) {
                continue;
            }
            let Some(cue) = self.next.take() else { continue };
            let position = self.base.saturating_add(cue.position);
            if position > self.schedule.position(Instant::now()) {
                self.next = Some(cue);
                let due = self.schedule.due(position).filter(|due| *due < deadline).unwrap_or(deadline);
                thread::sleep(due.saturating_duration_since(Instant::now()));
                continue;
            }
            let (time, sequence) = (self.extent.start.saturating_add(position), self.sequence);
            self.sequence = sequence.wrapping_add(1);
            each(Played::Message(Received { time, sequence, origin: Arc::clone(&self.origin), message: cue.message }));
        }
    }

    /// Whether the next cue is there; waits for it until the deadline.
    fn fetch(&mut self, deadline: Instant) -> bool {
        match &mut self.reading {
            Reading::Starting(started, position) => match started.recv_deadline(deadline) {
                Ok(Ok(ahead)) => {
                    // To look for the place took its time, which is none of the recording's.
                    self.schedule.jump(Instant::now(), *position);
                    self.reading = Reading::Going(ahead);
                }
                // There is nothing behind that place, which is no failure; or the file is gone, which is told.
                Ok(Err(_)) | Err(RecvTimeoutError::Disconnected) => self.end(),
                Err(RecvTimeoutError::Timeout) => {}
            },
            Reading::Going(ahead) => {
                self.next = ahead.at_hand();
                if self.next.is_none() {
                    match ahead.batches().recv_deadline(deadline) {
                        Ok(batch) => ahead.add(batch),
                        Err(RecvTimeoutError::Disconnected) => self.end(),
                        Err(RecvTimeoutError::Timeout) => {}
                    }
                }
            }
            Reading::Ended => thread::sleep(deadline.saturating_duration_since(Instant::now())),
        }
        self.next.is_some()
    }

    /// Paused at the end, from where it can be played again.
    fn end(&mut self) {
        let now = Instant::now();
        self.schedule.jump(now, self.extent.length);
        self.schedule.pause(now);
        self.reading = Reading::Ended;
        self.has_ended = true;
    }

    /// Does what pages want; whether that was a jump.
    fn obey(&mut self, now: Instant) -> bool {
        let Wanted { is_paused, mut at, speed } = self.controls.take();
        if let Some(speed) = speed {
            self.schedule.set_rate(now, speed);
        }
        match is_paused {
            Some(true) => self.schedule.pause(now),
            Some(false) => {
                if self.has_ended {
                    at = at.or(Some(self.extent.start));
                }
                self.schedule.go_on(now);
            }
            None => {}
        }
        match at {
            // One place is looked for at a time, and the last one that was wanted next.
            Some(at) if matches!(self.reading, Reading::Starting(..)) => {
                self.controls.put_back(at);
                false
            }
            Some(at) => {
                self.jump(at, now);
                true
            }
            None => false,
        }
    }

    fn jump(&mut self, at: u64, now: Instant) {
        let position = at.saturating_sub(self.extent.start).min(self.extent.length);
        self.base = position.saturating_sub(CONTEXT);
        self.schedule.jump(now, position);
        (self.next, self.has_ended) = (None, false);
        let (started, starting) = bounded(1);
        let program = program(&self.files, self.base, false);
        let look = move || drop(started.send(Ahead::start(program)));
        self.reading = match thread::Builder::new().name("seek".into()).spawn(look) {
            Ok(_) => Reading::Starting(starting, position),
            Err(_) => Reading::Ended,
        };
    }

    /// Where it is, in nanoseconds since 1970.
    pub(super) fn now(&self) -> u64 {
        let position = match self.reading {
            Reading::Starting(_, position) => position,
            _ => self.schedule.position(Instant::now()).min(self.extent.length),
        };
        self.extent.start.saturating_add(position)
    }

    pub(super) fn timeline(&self) -> Timeline {
        Timeline {
            start: self.extent.start,
            end: self.extent.start.saturating_add(self.extent.length),
            at: self.now(),
            speed: self.schedule.rate(),
            is_paused: self.schedule.is_paused(),
            has_ended: self.has_ended,
            messages: self.extent.messages,
        }
    }

    /// How it goes, in a line.
    pub(super) fn status(&self) -> String {
        let doing = match (self.has_ended, self.schedule.is_paused()) {
            (true, _) => "at the end of",
            (false, true) => "paused in",
            (false, false) => "playing",
        };
        format!("{doing} {}", self.origin.peer)
    }
}

/// All messages from a place on.
fn program(files: &[PathBuf], from: u64, is_told: bool) -> Program {
    let section = Section { start: Duration::from_nanos(from), ..Section::default() };
    Program { files: files.into(), topics: Vec::new(), section, rounds: Some(1), is_told }
}

impl Extent {
    /// That of files, one behind the other.
    fn of(files: &[PathBuf]) -> Result<Self, Failure> {
        let mut whole: Option<(Self, u64)> = None;
        for file in files {
            let (begin, end, messages) = match extent(file) {
                Some((begin, end)) => (begin, end, received(file)),
                None => look_through(file)?,
            };
            // As they are placed when they are played: one that was recorded before is played behind all the same.
            let (known, last) = whole.unwrap_or((Self { start: begin, length: 0, messages: Some(0) }, begin));
            let (silence, played) = (begin.saturating_sub(last), end.saturating_sub(begin));
            let length = known.length.saturating_add(silence).saturating_add(played);
            let messages = known.messages.zip(messages).map(|(all, more)| all + more);
            whole = Some((Self { length, messages, ..known }, end));
        }
        whole.map(|(whole, _)| whole).ok_or_else(|| fail("there is nothing to play"))
    }
}

/// When the first and the last message of a file were recorded that says nothing of it, and how many there are.
fn look_through(file: &Path) -> Result<(u64, u64, Option<u64>), Failure> {
    let mut recording = Recording::open(file)?;
    if recording.size.is_none() {
        return Err(fail(format!("{} cannot be read twice: a time line needs a file", file.display())));
    }
    let (mut begin, mut end, mut messages) = (None, 0, 0);
    while let Some(item) = recording.next() {
        if let Item::Message(message) = item {
            if message.channel.is_outgoing() {
                continue;
            }
            begin.get_or_insert(message.time);
            end = message.time.max(end);
            messages += 1;
        }
    }
    let begin = begin.ok_or_else(|| fail(format!("there is nothing to play in {}", file.display())))?;
    Ok((begin, end, Some(messages)))
}

//! The thread that reads what is played, a little ahead of the player: unpacking a chunk takes longer than a message may
//! be late.

use std::collections::BTreeMap;
use std::mem;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use leads_comm::crossbeam_channel::{Receiver, Sender, bounded};

use super::timeline::{Place, Section, Timeline};
use crate::console::{Failure, complain, fail, tell};
use crate::recording::reading::{Damages, Item, Recording, Use, extent};
use crate::recording::words::{count, span};

/// How many batches are ready. With the bytes of one, it bounds what is held in memory.
const BATCHES: usize = 4;

/// A batch is handed over when it has so many bytes, or messages. One message may be longer.
const BATCH: (usize, usize) = (1 << 20, 1000);

/// A message that is to be played.
#[derive(Debug)]
pub(crate) struct Cue {
    /// When, in nanoseconds from the beginning of what is played.
    pub(crate) position: u64,
    /// When it was recorded, in nanoseconds since 1970.
    pub(crate) recorded: u64,
    pub(crate) message: Vec<u8>,
}

/// What is to be played, of which files.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) files: Vec<PathBuf>,
    /// All, if none are named.
    pub(crate) topics: Vec<String>,
    pub(crate) section: Section,
    /// How often; `None` for ever.
    pub(crate) rounds: Option<u64>,
    /// Whether it is told what of them is not played.
    pub(crate) is_told: bool,
}

/// Cues, as they are read.
pub(crate) struct Ahead {
    length: Option<u64>,
    batches: Receiver<Batch>,
    cues: std::vec::IntoIter<Cue>,
    separator: Option<String>,
}

/// Cues that are handed over together.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    cues: Vec<Cue>,
    bytes: usize,
    /// That of the channel of its first message.
    separator: Option<String>,
}

impl Ahead {
    /// Begins to read.
    ///
    /// # Errors
    ///
    /// [`Failure::Failed`] if a file cannot be opened, or none of its messages is played.
    pub(crate) fn start(program: Program) -> Result<Self, Failure> {
        let mut streams = BTreeMap::new();
        for (index, file) in program.files.iter().enumerate() {
            let recording = Recording::open(file)?;
            if recording.size.is_some() {
                continue;
            }
            if program.rounds != Some(1) {
                return Err(fail(format!("{} cannot be read twice: --loop needs a file", file.display())));
            }
            streams.insert(index, recording);
        }
        let length = length(&program);
        let (sender, batches) = bounded(BATCHES);
        let nothing = nothing(&program);
        let thread = thread::Builder::new().name("read ahead".into());
        let reading = Reading { streams, batches: sender, batch: Batch::default(), skipped: BTreeMap::new() };
        thread
            .spawn(move || reading.run(&program))
            .map_err(|error| fail(format!("there is no thread to read with: {error}")))?;
        let first = batches.recv().map_err(|_| fail(nothing))?;
        Ok(Self { length, batches, separator: first.separator, cues: first.cues.into_iter() })
    }

    /// How long all of it is, in nanoseconds of the recording, where that can be told before all of it is read.
    pub(crate) fn length(&self) -> Option<u64> {
        self.length
    }

    /// The next one, unless it has to be waited for: then more are in [`batches`](Self::batches), sooner or later.
    pub(crate) fn at_hand(&mut self) -> Option<Cue> {
        self.cues.next()
    }

    /// Gives what is to be added; ends behind the last one.
    pub(crate) fn batches(&self) -> &Receiver<Batch> {
        &self.batches
    }

    /// Those of a batch are the next ones, when no other is at hand.
    pub(crate) fn add(&mut self, batch: Batch) {
        self.cues = batch.cues.into_iter();
    }

    /// As the first message had it behind it, with escapes.
    pub(crate) fn separator(&self) -> Option<&str> {
        self.separator.as_deref()
    }
}

/// The player has gone.
struct Gone;

struct Reading {
    /// What is no file and can be opened only once, which it has been, by its place.
    streams: BTreeMap<usize, Recording>,
    batches: Sender<Batch>,
    batch: Batch,
    /// What is not played, by why.
    skipped: BTreeMap<String, u64>,
}

impl Reading {
    fn run(mut self, program: &Program) {
        let mut timeline = Timeline::new(program.section.clone());
        let mut round = 0;
        while program.rounds.is_none_or(|rounds| round < rounds) {
            let is_first = round == 0;
            if !is_first {
                timeline.next_round();
            }
            let tells = is_first && program.is_told;
            let before = timeline.played();
            for (index, file) in program.files.iter().enumerate() {
                let recording = self.streams.remove(&index).map_or_else(|| Recording::open(file), Ok);
                let Ok(recording) = recording.map_err(|failure| complain(failure.text())) else { break };
                match self.read(program, recording, &mut timeline, tells) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(Gone) => return,
                }
            }
            if tells {
                for (why, number) in mem::take(&mut self.skipped) {
                    tell(format_args!("{} not played: {why}", count(number, "message")));
                }
            }
            // Nothing to play is nothing again.
            if timeline.played() == before {
                break;
            }
            round += 1;
        }
        let _ = self.hand_over();
    }

    /// Reads one file; whether the next one is played as well.
    fn read(
        &mut self,
        program: &Program,
        mut recording: Recording,
        timeline: &mut Timeline,
        tells: bool,
    ) -> Result<bool, Gone> {
        let path = recording.path.clone();
        let mut last = None;
        let mut damages = Damages::default();
        // What comes slowly is played as it comes.
        let is_stream = recording.size.is_none();
        while let Some(item) = recording.next() {
            let message = match item {
                Item::Message(message) => message,
                Item::Other { channel, .. } => {
                    if channel.used == Use::Unknown && tells {
                        self.skip(format!("{} is in no format that can be played", channel.topic));
                    }
                    continue;
                }
                Item::Damaged(text) => {
                    if tells {
                        damages.tell(&path, &text);
                    }
                    continue;
                }
                Item::Note(_) | Item::MadeBy(_) => continue,
            };
            if last.is_none() {
                timeline.next_part(message.time);
            }
            last = Some(message.time);
            let offset = timeline.look(message.time);
            let channel = &message.channel;
            if !program.topics.is_empty() && !program.topics.contains(&channel.topic) {
                continue;
            }
            if channel.is_outgoing() {
                self.skip("they were sent by the side that recorded".into());
                continue;
            }
            match timeline.place(offset) {
                Place::Before => {}
                Place::Behind => return Ok(false),
                Place::At(position) => {
                    if self.batch.cues.is_empty() {
                        self.batch.separator = channel.separator().map(str::to_owned);
                    }
                    self.batch.bytes += message.payload.len();
                    self.batch.cues.push(Cue { position, recorded: message.time, message: message.payload });
                    if is_stream || self.batch.bytes >= BATCH.0 || self.batch.cues.len() >= BATCH.1 {
                        self.hand_over()?;
                    }
                }
            }
        }
        if tells {
            damages.end(&path, recording.is_cut_off(), last);
        }
        Ok(true)
    }

    fn hand_over(&mut self) -> Result<(), Gone> {
        let batch = mem::take(&mut self.batch);
        if batch.cues.is_empty() { Ok(()) } else { self.batches.send(batch).map_err(|_| Gone) }
    }

    fn skip(&mut self, why: String) {
        *self.skipped.entry(why).or_default() += 1;
    }
}

/// What is said where nothing is played.
fn nothing(program: &Program) -> String {
    let names = program.files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ");
    let topics = program.topics.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let section = Section::default();
    let whole = Program { section, rounds: Some(1), files: program.files.clone(), topics: Vec::new(), is_told: false };
    match length(&whole) {
        Some(length) if Duration::from_nanos(length) < program.section.start => {
            format!("{names} is {} long: --start is behind its end", span(length))
        }
        _ if !topics.is_empty() => format!("there is nothing of {topics} to play in {names}: info lists what there is"),
        _ => format!("there is nothing to play in {names}"),
    }
}

/// How long all of it is.
fn length(program: &Program) -> Option<u64> {
    // Of rounds that follow each other, the position goes on.
    let (Section { start, duration, max_gap: None }, Some(1)) = (&program.section, program.rounds) else { return None };
    let (begin, _) = extent(program.files.first()?)?;
    let (_, end) = extent(program.files.last()?)?;
    let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).ok();
    let rest = end.checked_sub(begin)?.checked_sub(nanoseconds(*start)?)?;
    Some(duration.and_then(nanoseconds).map_or(rest, |duration| duration.min(rest)))
}

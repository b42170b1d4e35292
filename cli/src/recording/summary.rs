//! What is in a recording, in numbers.

use std::collections::{BTreeMap, BTreeSet};

use mcap::records::Metadata;

use super::channels::Wrap;
use super::lock;
use super::notes::{Begun, clock, end, gap};
use super::reading::{Channel, Item, Recording, Use};

/// So many places where a file is damaged are named.
const NAMED_DAMAGES: usize = 20;

/// What is in one file.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    /// The program that made it.
    pub(crate) made_by: Option<String>,
    /// When the first and the last message came, in nanoseconds since 1970.
    pub(crate) times: Option<(u64, u64)>,
    pub(crate) messages: Sizes,
    /// How long the longest silence was, in nanoseconds, and when it began.
    pub(crate) silence: Option<(u64, u64)>,
    pub(crate) topics: BTreeMap<Topic, TopicSummary>,
    /// What the side that recorded was, and what its separator.
    pub(crate) roles: BTreeSet<String>,
    pub(crate) separators: BTreeSet<String>,
    /// When the wall clock went another way than the times of messages, and how far it was before them from there on,
    /// in nanoseconds.
    pub(crate) clock_steps: Vec<(u64, i64)>,
    pub(crate) gaps: Vec<Gap>,
    /// Whether its recorder ended it regularly.
    pub(crate) is_ended: bool,
    /// The first places where it is damaged, in words.
    pub(crate) damages: Vec<String>,
    pub(crate) num_damages: u64,
    /// Whether its recorder had no time to finish the file; or has not finished it yet.
    pub(crate) is_cut_off: bool,
    pub(crate) is_being_recorded: bool,
    /// The recordings that it is of.
    pub(crate) begun: Begun,
    /// How many bytes it has.
    pub(crate) size: u64,
}

/// What is told apart: the topic, whether it was sent, and what its records are good for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) is_outgoing: bool,
    /// `none`, `text`, …, or `derived`, or `unknown`.
    pub(crate) wrap: &'static str,
}

/// How many there are, and how long they are in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) count: u64,
    pub(crate) sum: u64,
    pub(crate) min: u64,
    pub(crate) max: u64,
}

#[derive(Debug, Default)]
pub(crate) struct TopicSummary {
    pub(crate) sizes: Sizes,
    pub(crate) schemas: BTreeSet<String>,
    pub(crate) peers: BTreeSet<String>,
}

/// Messages that came faster than they could be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) times: (u64, u64),
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

impl Summary {
    /// Reads all of a recording; `look` is told after each message how many bytes were read.
    pub(crate) fn of(recording: &mut Recording, mut look: impl FnMut(u64)) -> Self {
        let mut summary = Self::default();
        while let Some(item) = recording.next() {
            summary.add(item);
            look(recording.position());
        }
        summary.is_being_recorded = recording.is_cut_off() && lock::is_recorded_to(&recording.path);
        summary.is_cut_off = recording.is_cut_off() && !summary.is_being_recorded;
        summary.size = recording.size.unwrap_or(recording.position());
        summary
    }

    fn add(&mut self, item: Item) {
        match item {
            Item::Message(message) => {
                let time = message.time;
                let (first, last) = self.times.unwrap_or((time, time));
                let silence = time.saturating_sub(last);
                if self.silence.is_none_or(|(longest, _)| longest < silence) && self.times.is_some() {
                    self.silence = Some((silence, last));
                }
                self.times = Some((first.min(time), last.max(time)));
                self.messages.add(message.payload.len() as u64);
                self.roles.extend(message.channel.role().map(str::to_owned));
                self.separators.extend(message.channel.separator().map(str::to_owned));
                self.topic(&message.channel, message.payload.len());
            }
            Item::Other { channel, len, .. } => self.topic(&channel, len),
            Item::Note(note) => self.note(&note),
            Item::MadeBy(program) => self.made_by = Some(program),
            Item::Damaged(text) => {
                self.num_damages += 1;
                if self.damages.len() < NAMED_DAMAGES {
                    self.damages.push(text);
                }
            }
        }
    }

    fn topic(&mut self, channel: &Channel, len: usize) {
        let wrap = match channel.used {
            Use::Message(wrap) => Wrap::name(wrap),
            Use::Derived => "derived",
            Use::Unknown => "unknown",
        };
        let topic = Topic { name: channel.topic.clone(), is_outgoing: channel.is_outgoing(), wrap };
        let topic = self.topics.entry(topic).or_default();
        topic.sizes.add(len as u64);
        if !topic.schemas.contains(&channel.schema) && !channel.schema.is_empty() {
            topic.schemas.insert(channel.schema.clone());
        }
        if let Some(peer) = channel.peer().filter(|peer| !topic.peers.contains(*peer)) {
            topic.peers.insert(peer.into());
        }
    }

    fn note(&mut self, note: &Metadata) {
        let value = |key| note.metadata.get(key).and_then(|value| value.parse::<i64>().ok());
        let number = |key| value(key).and_then(|value| u64::try_from(value).ok());
        self.begun.add(note);
        match note.name.as_str() {
            clock::NAME => self.clock_steps.extend(number(clock::AT).zip(value(clock::OFFSET))),
            gap::NAME => self.gaps.extend(number(gap::FROM).zip(number(gap::TO)).map(|times| Gap {
                times,
                messages: number(gap::MESSAGES).unwrap_or_default(),
                bytes: number(gap::BYTES).unwrap_or_default(),
            })),
            end::NAME => self.is_ended = true,
            _ => {}
        }
    }

    /// From the first message to the last one, in nanoseconds.
    pub(crate) fn duration(&self) -> u64 {
        self.times.map_or(0, |(first, last)| last - first)
    }
}

impl Sizes {
    fn add(&mut self, len: u64) {
        self.min = if self.count == 0 { len } else { self.min.min(len) };
        self.max = self.max.max(len);
        self.count += 1;
        self.sum += len;
    }

    pub(crate) fn mean(&self) -> f64 {
        self.sum as f64 / self.count.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::notes::note;
    use super::super::reading::Message;
    use super::*;

    #[test]
    fn notes_and_damage_are_counted_and_silences_measured() {
        let metadata = [("direction", "in"), ("role", "client"), ("separator", ";"), ("peer", "10.0.0.4:16900")];
        let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let (topic, schema, used) = ("/text".to_owned(), String::new(), Use::Message(Wrap::Text));
        let channel = Arc::new(Channel { topic, schema, used, metadata });
        let mut summary = Summary::default();
        for (time, len) in [(100, 5), (130, 0), (190, 9), (200, 2)] {
            summary.add(Item::Message(Message { channel: channel.clone(), time, payload: vec![b'x'; len] }));
        }
        summary.add(Item::Note(note(clock::NAME, [(clock::AT, &150), (clock::OFFSET, &-7)])));
        let values: [(&str, &dyn std::fmt::Display); 4] =
            [(gap::FROM, &130), (gap::TO, &180), (gap::MESSAGES, &3), (gap::BYTES, &42)];
        summary.add(Item::Note(note(gap::NAME, values)));
        summary.add(Item::Note(note("of another program", [("at", &"noon")])));
        (0..30).for_each(|_| summary.add(Item::Damaged("it is damaged".into())));
        assert_eq!((summary.times, summary.silence), (Some((100, 200)), Some((60, 130))));
        assert_eq!(summary.messages, Sizes { count: 4, sum: 16, min: 0, max: 9 });
        assert_eq!(summary.clock_steps, [(150, -7)]);
        assert_eq!(summary.gaps, [Gap { times: (130, 180), messages: 3, bytes: 42 }]);
        assert_eq!((summary.damages.len(), summary.num_damages, summary.is_ended), (NAMED_DAMAGES, 30, false));
        summary.add(Item::Note(note(end::NAME, [(end::AT, &200)])));
        assert!(summary.is_ended);
        assert_eq!(summary.topics.into_values().next().unwrap().peers, ["10.0.0.4:16900".to_owned()].into());
    }
}

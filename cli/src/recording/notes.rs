//! What a recording says of itself, besides its messages: metadata records of MCAP, each with a name and a few values.
//!
//! Times are those of messages: nanoseconds since 1970, in decimal digits.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use mcap::records::Metadata;

use super::words::date;

/// So many recordings are told apart.
const TOLD_APART: usize = 10;

/// At the beginning of each part.
pub(crate) mod start {
    pub(crate) const NAME: &str = "leads.recording";
    /// When the recording began, and of which number this part is, from 1.
    pub(crate) const STARTED: &str = "started";
    pub(crate) const PART: &str = "part";
    /// What was connected to, or listened on, and what the side that recorded was: `client`, or `server`.
    pub(crate) const ADDRESS: &str = "address";
    pub(crate) const ROLE: &str = "role";
    /// What ended each message, with the escapes of `--separator`.
    pub(crate) const SEPARATOR: &str = "separator";
}

/// Where the wall clock has gone another way than the times of messages, which never jump.
pub(crate) mod clock {
    pub(crate) const NAME: &str = "leads.clock";
    /// When it was noticed.
    pub(crate) const AT: &str = "at";
    /// How far the wall clock is before the times of messages from there on, in nanoseconds; negative: behind.
    pub(crate) const OFFSET: &str = "offset";
}

/// Where messages are missing, because they came faster than they could be written.
pub(crate) mod gap {
    pub(crate) const NAME: &str = "leads.gap";
    /// When the first and the last one came.
    pub(crate) const FROM: &str = "from";
    pub(crate) const TO: &str = "to";
    pub(crate) const MESSAGES: &str = "messages";
    pub(crate) const BYTES: &str = "bytes";
}

/// At the end of a recording that was ended regularly, in its last part.
pub(crate) mod end {
    pub(crate) const NAME: &str = "leads.end";
    pub(crate) const AT: &str = "at";
    /// What was recorded, and what was not, in all parts.
    pub(crate) const MESSAGES: &str = "messages";
    pub(crate) const BYTES: &str = "bytes";
    pub(crate) const LOST_MESSAGES: &str = "lost_messages";
    pub(crate) const LOST_BYTES: &str = "lost_bytes";
}

/// A record of these values.
pub(crate) fn note<const N: usize>(name: &str, values: [(&str, &dyn Display); N]) -> Metadata {
    let values: BTreeMap<_, _> = values.map(|(key, value)| (key.to_owned(), value.to_string())).into();
    Metadata { name: name.into(), metadata: values }
}

/// The recordings that files are of, by when each began.
#[derive(Debug, Default)]
pub(crate) struct Begun(BTreeSet<u64>);

impl Begun {
    pub(crate) fn add(&mut self, note: &Metadata) {
        if note.name == start::NAME && self.0.len() < TOLD_APART {
            self.0.extend(note.metadata.get(start::STARTED).and_then(|started| started.parse::<u64>().ok()));
        }
    }

    pub(crate) fn extend(&mut self, others: &Self) {
        self.0.extend(&others.0);
    }

    /// What is said of files that are not parts of one recording.
    pub(crate) fn told(&self) -> Option<String> {
        let begun: Vec<_> = self.0.iter().map(|started| date(*started)).collect();
        (begun.len() > 1).then(|| format!("not parts of one recording: they began at {}", begun.join(", ")))
    }
}

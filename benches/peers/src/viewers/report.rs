//! What a trial comes to, and the figures that are made of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Way, read_message};
use crate::measure::{self, Spread};

/// What a process has seen. Times are in nanoseconds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    /// How old each message was when it was shown.
    pub(crate) ages: Option<Spread>,
    /// How old the last was.
    pub(crate) last_age: Option<u64>,
    /// How many different keys have been shown.
    pub(crate) keys: usize,
    pub(crate) published: u64,
    /// What the process has used while it published or was published to.
    pub(crate) cpu: u64,
    /// The most that waited for a viewer, as our limits count it, and by how much the process has grown; in bytes.
    pub(crate) queued: Option<usize>,
    pub(crate) grown: u64,
    /// How long each call took that published.
    pub(crate) calls: Option<Spread>,
    /// From the first to the last byte of what a newcomer is given.
    pub(crate) spans: Option<Spread>,
}

impl Report {
    /// What the publisher has seen, with what the viewers have.
    pub(crate) fn joined_with(self, viewers: Self) -> Self {
        let cpu = self.cpu + viewers.cpu;
        Self { ages: viewers.ages, last_age: viewers.last_age, keys: viewers.keys, spans: viewers.spans, cpu, ..self }
    }
}

/// What a viewer shows.
#[derive(Default)]
pub(super) struct Shown {
    ages: Vec<u64>,
    newest: BTreeMap<Vec<u8>, u64>,
}

impl Shown {
    /// A message is shown now.
    pub(super) fn show(&mut self, message: &[u8]) {
        if let Some((key, sent)) = read_message(message) {
            self.ages.push(measure::now().saturating_sub(sent));
            self.newest.insert(key.to_vec(), sent);
        }
    }

    pub(super) fn report(self) -> Report {
        let (last_age, keys) = (self.ages.last().copied(), self.newest.len());
        Report { ages: Spread::of(self.ages), last_age, keys, ..Report::default() }
    }
}

/// A figure, with its unit in its name.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) of: fn(&Report) -> Option<f64>,
}

const fn row(name: &'static str, of: fn(&Report) -> Option<f64>) -> Row {
    Row { name, of }
}

const SECOND: f64 = 1e9;

pub(super) const AGE_P50: Row = row("age p50 s", |report| Some(report.ages?.p50 as f64 / SECOND));
pub(super) const AGE_P99: Row = row("age p99 s", |report| Some(report.ages?.p99 as f64 / SECOND));
pub(super) const AGE_LAST: Row = row("last age s", |report| Some(report.last_age? as f64 / SECOND));
pub(super) const SHOWN: Row = row("shown", |report| Some(report.ages?.samples as f64));
pub(super) const ARRIVED: Row = row("arrived", SHOWN.of);
pub(super) const KEYS: Row = row("keys shown", |report| Some(report.keys as f64));
pub(super) const CPU: Row = row("CPU µs/message", |report| Some(report.cpu as f64 / 1e3 / report.published as f64));
pub(super) const QUEUED: Row = row("queued KiB", |report| Some(report.queued? as f64 / 1024.0));
pub(super) const GROWN: Row = row("grown KiB", |report| Some(report.grown as f64 / 1024.0));
pub(super) const CALL_P50: Row = row("call p50 µs", |report| Some(report.calls?.p50 as f64 / 1e3));
pub(super) const CALL_P99: Row = row("call p99 µs", |report| Some(report.calls?.p99 as f64 / 1e3));
pub(super) const SPAN_P50: Row = row("bytes p50 µs", |report| Some(report.spans?.p50 as f64 / 1e3));
pub(super) const SPAN_P99: Row = row("bytes p99 µs", |report| Some(report.spans?.p99 as f64 / 1e3));

/// Which figures of two ways are compared, round by round.
pub(super) const RATIOS: &[(Row, Way, Way)] =
    &[(CPU, Way::ConflateSnapshot, Way::DropOldest), (SPAN_P50, Way::Snapshot, Way::Bare)];

//! What has changed since the last numbers, by the second.

use std::collections::HashMap;

use crate::numbers::message::{Numbers, Row, Volume};

/// The numbers before.
#[derive(Debug, Default)]
pub(super) struct Rates {
    last: Option<Last>,
}

#[derive(Debug)]
struct Last {
    at_ms: u64,
    volumes: [Volume; 2],
    rows: HashMap<u64, [u64; 2]>,
}

/// How much a second goes in and out; nothing is known before the second look.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Speeds {
    pub(super) messages: Option<[f64; 2]>,
    pub(super) bytes: Option<[f64; 2]>,
    /// Of each row.
    pub(super) rows: Vec<Option<[f64; 2]>>,
}

/// A row with its rates.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rated<'a> {
    pub(super) row: &'a Row,
    pub(super) received: Option<f64>,
    pub(super) written: Option<f64>,
}

impl Rates {
    /// What has changed up to these numbers, which are the ones before from now on.
    pub(super) fn next(&mut self, numbers: &Numbers) -> Speeds {
        let now = Last {
            at_ms: numbers.at_ms,
            volumes: [numbers.received, numbers.written],
            rows: numbers.rows.iter().map(|row| (row.id, [row.received, row.written])).collect(),
        };
        let speeds = self.last.as_ref().map_or_else(Speeds::default, |last| last.until(&now, numbers));
        self.last = Some(now);
        speeds
    }

    /// What comes next is of another service, or of this one after a while.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }
}

impl Last {
    fn until(&self, now: &Self, numbers: &Numbers) -> Speeds {
        // A clock that was set back tells nothing.
        let millis = now.at_ms.saturating_sub(self.at_ms);
        let rate = |before: u64, after: u64| after.saturating_sub(before) as f64 * 1000.0 / millis as f64;
        let speed = |of: fn(&Volume) -> u64| {
            let of = |at: usize| rate(of(&self.volumes[at]), of(&now.volumes[at]));
            (millis > 0).then(|| [of(0), of(1)])
        };
        let row = |row: &Row| {
            let [received, written] = self.rows.get(&row.id).filter(|_| millis > 0)?;
            Some([rate(*received, row.received), rate(*written, row.written)])
        };
        Speeds {
            messages: speed(|volume| volume.messages),
            bytes: speed(|volume| volume.bytes),
            rows: numbers.rows.iter().map(row).collect(),
        }
    }
}

impl Speeds {
    /// The rows with their rates.
    pub(super) fn rated<'a>(&'a self, numbers: &'a Numbers) -> impl Iterator<Item = Rated<'a>> {
        let speeds = self.rows.iter().copied().chain(std::iter::repeat(None));
        numbers.rows.iter().zip(speeds).map(|(row, speed)| Rated {
            row,
            received: speed.map(|[received, _]| received),
            written: speed.map(|[_, written]| written),
        })
    }
}

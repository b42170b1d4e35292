//! All that has been measured, and what is computed across peers.

use crate::about::About;
use crate::figure::Figure;
use crate::measure::median;
use crate::peers::VARIANTS;
use crate::scenario::Scenario;
use crate::series::Entry;

pub(crate) const OURS: &str = "leads-comm";
pub(crate) const LIMIT: &str = "raw";
/// What somebody makes of a peer who tunes it for these very scenarios.
pub(crate) const TUNED: &str = "tokio-tuned";

pub(crate) struct Results {
    pub(crate) about: About,
    pub(crate) measured: Vec<Measured>,
}

pub(crate) struct Measured {
    pub(crate) scenario: &'static Scenario,
    pub(crate) entries: Vec<Entry>,
}

/// What ours is compared with.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Other {
    Limit,
    /// Whichever of the peers is best in that round.
    Best,
    Tuned,
}

impl Results {
    pub(crate) fn find(&self, scenario: &str) -> Option<&Measured> {
        self.measured.iter().find(|measured| measured.scenario.name == scenario)
    }

    /// The median of a ratio of our figures, each of the same round.
    pub(crate) fn own_ratio(&self, over: (&str, &str), under: (&str, &str)) -> Option<f64> {
        let (over_in, over) = self.find(over.0)?.own(over.1)?;
        let (under_in, under) = self.find(under.0)?.own(under.1)?;
        let rounds = over_in.rounds.len().min(under_in.rounds.len());
        let ratios: Vec<_> =
            (0..rounds).filter_map(|round| Some(over_in.value(round, over)? / under_in.value(round, under)?)).collect();
        median(&ratios)
    }
}

impl Measured {
    pub(crate) fn figure(&self, key: &str) -> Option<(usize, &'static Figure)> {
        self.scenario.figures.iter().enumerate().find(|(_, figure)| figure.key == key)
    }

    pub(crate) fn entry(&self, peer: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.peer == peer)
    }

    fn own(&self, key: &str) -> Option<(&Entry, usize)> {
        Some((self.entry(OURS)?, self.figure(key)?.0))
    }

    /// The median, over the rounds, of our figure divided by another's of the same round.
    pub(crate) fn ratio(&self, index: usize, other: Other) -> Option<f64> {
        let ours = self.entry(OURS)?;
        let ratio = |round| Some(ours.value(round, index)? / self.other(round, index, other)?);
        median(&(0..ours.rounds.len()).filter_map(ratio).filter(|ratio| ratio.is_finite()).collect::<Vec<_>>())
    }

    fn other(&self, round: usize, index: usize, other: Other) -> Option<f64> {
        let more_is_better = self.scenario.figures[index].unit.more_is_better();
        let better = |a: f64, b: f64| if more_is_better { a.max(b) } else { a.min(b) };
        match other {
            Other::Limit => self.entry(LIMIT)?.value(round, index),
            Other::Tuned => self.entry(TUNED)?.value(round, index),
            Other::Best => self.peers().filter_map(|entry| entry.value(round, index)).reduce(better),
        }
    }

    /// Who of the peers has the best median.
    pub(crate) fn best_peer(&self, index: usize) -> Option<&str> {
        let more_is_better = self.scenario.figures[index].unit.more_is_better();
        let medians = self.peers().filter_map(|entry| Some((entry, median(&entry.values(index))?)));
        let sign = if more_is_better { 1.0 } else { -1.0 };
        let best = medians.max_by(|(_, a), (_, b)| (a * sign).total_cmp(&(b * sign)));
        best.map(|(entry, _)| entry.peer.as_str())
    }

    fn peers(&self) -> impl Iterator<Item = &Entry> {
        let is_peer = |name: &str| name != OURS && name != LIMIT && !VARIANTS.contains(&name);
        self.entries.iter().filter(move |entry| is_peer(&entry.peer))
    }

    /// What the table cannot say of its peers, one sentence each.
    pub(crate) fn notes(&self) -> Vec<String> {
        self.entries.iter().filter_map(|entry| Some(format!("{}: {}", entry.peer, entry.note()?))).collect()
    }
}

//! Rounds of all peers in turn.

use std::time::{Duration, Instant};

use crate::cli::Options;
use crate::figure::Unit;
use crate::measure::median;
use crate::peers;
use crate::round::Round;
use crate::runner::{self, Trouble};
use crate::scenario::{Amount, Scenario};
use crate::task::Task;

/// What a peer came to in a scenario.
pub(crate) struct Entry {
    pub(crate) peer: String,
    /// How many messages were sent to or by each connection.
    pub(crate) count: u64,
    pub(crate) rounds: Vec<Measures>,
    /// Why it has no part in it.
    pub(crate) unable: Option<String>,
    /// Whether a round took so long that it was left at that.
    pub(crate) cut_short: bool,
}

/// One round of a peer.
#[derive(Default)]
pub(crate) struct Measures {
    /// As many as the scenario has.
    figures: Vec<Option<f64>>,
    trouble: Option<Trouble>,
    /// How many pieces came, where messages are not kept apart, and of how many messages.
    pieces: Option<(u64, u64)>,
}

/// What has taken longer than this is not run again.
const TOO_LONG: Duration = Duration::from_secs(10);
const QUICK_TOO_LONG: Duration = Duration::from_secs(3);

/// How long a run should take, and how long it should take when it has to be quick; in seconds.
const LENGTH: f64 = 0.5;
const QUICK_LENGTH: f64 = 0.06;

/// Runs a scenario with all peers: each once to find out how many messages it handles in time, which also warms the
/// machine up, then all in turn, round after round, each round beginning with another.
pub(crate) fn run(scenario: &Scenario, options: &Options) -> Vec<Entry> {
    let length = if options.quick { QUICK_LENGTH } else { LENGTH };
    let patience = patience(scenario, options);
    let mut entries: Vec<Entry> = options.peers.iter().map(|peer| prepare(scenario, peer, length, options)).collect();
    for round in 0..options.rounds {
        for turn in 0..entries.len() {
            let first = round % entries.len();
            let index = (first + turn) % entries.len();
            let entry = &mut entries[index];
            if entry.is_over() {
                continue;
            }
            let started = Instant::now();
            options.progress(&format!("{} {} round {}", scenario.name, entry.peer, round + 1));
            let outcome = run_round(scenario, options.tasks(scenario, &entry.peer, entry.count), patience);
            entry.rounds.push(outcome);
            entry.cut_short = started.elapsed() > if options.quick { QUICK_TOO_LONG } else { TOO_LONG };
        }
    }
    entries
}

fn prepare(scenario: &Scenario, peer: &str, length: f64, options: &Options) -> Entry {
    let mut entry = Entry { peer: peer.to_owned(), count: 0, rounds: Vec::new(), unable: None, cut_short: false };
    entry.unable = peers::unable(peer, &scenario.tasks(peer, 1)[0]).map(str::to_owned);
    if entry.is_over() {
        return entry;
    }
    let first = match scenario.amount {
        Amount::Fixed { full, quick } => {
            entry.count = if options.quick { quick } else { full };
            return entry;
        }
        Amount::Scaled { first } => first,
    };
    options.progress(&format!("{} {} warms up", scenario.name, peer));
    entry.count = first;
    // A short run says too little about a long one: what is quick only once it runs looks slow in it.
    for _ in 0..6 {
        let task = &scenario.tasks(peer, entry.count)[0];
        let seconds = match runner::run(task, patience(scenario, options)) {
            Ok(outcome) => outcome.seconds(),
            Err(trouble) => {
                entry.rounds.push(Measures { trouble: Some(trouble), ..Measures::default() });
                return entry;
            }
        };
        let wanted = entry.count as f64 * length / seconds.max(1e-6);
        let enough = seconds > length / 2.0;
        let wanted = if enough { wanted } else { wanted.min(16.0 * entry.count as f64) };
        entry.count = (wanted / first as f64).round().max(1.0) as u64 * first;
        if enough {
            break;
        }
    }
    entry
}

fn patience(scenario: &Scenario, options: &Options) -> Duration {
    Duration::from_secs_f64(if options.quick { scenario.patience.quick } else { scenario.patience.full })
}

fn run_round(scenario: &Scenario, tasks: Vec<Task>, patience: Duration) -> Measures {
    let (mut outcomes, mut trouble) = (Vec::new(), None);
    for task in &tasks {
        match runner::run(task, patience) {
            Ok(outcome) => outcomes.push(outcome),
            Err(met) => {
                trouble = Some(met);
                break;
            }
        }
    }
    let pieces = outcomes.iter().map(|outcome| outcome.server.fragments + outcome.client.fragments).sum();
    let messages = tasks.iter().map(Task::handled).sum();
    let pieces = (pieces > 0 && pieces != messages).then_some((pieces, messages));
    let round = Round { tasks, outcomes };
    Measures { figures: scenario.figures.iter().map(|figure| (figure.of)(&round)).collect(), trouble, pieces }
}

impl Entry {
    /// Whether no more rounds are to come.
    fn is_over(&self) -> bool {
        self.unable.is_some() || self.cut_short || self.trouble().is_some()
    }

    /// What went wrong, if anything did.
    pub(crate) fn trouble(&self) -> Option<&Trouble> {
        self.rounds.iter().find_map(|round| round.trouble.as_ref())
    }

    /// Whether messages were lost or doubled, or a process failed: then none of the figures counts.
    pub(crate) fn failed(&self) -> bool {
        matches!(self.trouble(), Some(Trouble::Failed(_)))
    }

    /// A figure of one round.
    pub(crate) fn value(&self, round: usize, figure: usize) -> Option<f64> {
        if self.failed() {
            return None;
        }
        self.rounds.get(round)?.figures.get(figure).copied().flatten().filter(|value| value.is_finite())
    }

    /// What the figures do not say.
    pub(crate) fn note(&self) -> Option<String> {
        match self.trouble() {
            Some(Trouble::Never(missing)) => Some(format!("was not done in time ({missing})")),
            Some(Trouble::Failed(what)) => Some(format!("failed ({what})")),
            None if self.cut_short => Some("took so long that it was measured once only".to_owned()),
            None => self.unable.clone().or_else(|| self.pieces()),
        }
    }

    fn pieces(&self) -> Option<String> {
        let (pieces, messages) = self.rounds.last()?.pieces?;
        Some(format!("delivered {messages} messages in {pieces} pieces (last round)"))
    }

    /// All rounds of a figure.
    pub(crate) fn values(&self, figure: usize) -> Vec<f64> {
        (0..self.rounds.len()).filter_map(|round| self.value(round, figure)).collect()
    }

    /// A figure's median, or why there is none.
    pub(crate) fn cell(&self, figure: usize, unit: Unit) -> String {
        match (median(&self.values(figure)), self.trouble()) {
            (Some(value), _) => unit.write(value),
            (None, Some(Trouble::Never(_))) => "never".to_owned(),
            (None, Some(Trouble::Failed(_))) => "FAILED".to_owned(),
            (None, None) => "-".to_owned(),
        }
    }
}

//! The scenarios: what is sent, and which figures come of it.

use crate::figure::{Figure, Unit};
use crate::runner::Outcome;
use crate::task::{Content, Job, Queue, Sizes, Task};

pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    shape: Shape,
    /// How many connections that never read are there besides: a run for each of these numbers.
    pub(crate) stalled: &'static [usize],
    pub(crate) amount: Amount,
    pub(crate) figures: &'static [Figure],
}

/// A task without a peer and a number of messages.
#[derive(Clone, Copy)]
struct Shape {
    job: Job,
    sizes: Sizes,
    content: Content,
    connections: usize,
    threads: u64,
    pace: Option<u32>,
    round: Option<u64>,
    queue: Queue,
}

/// How many messages each connection is sent.
#[derive(Clone, Copy)]
pub(crate) enum Amount {
    /// So many that a run takes about as long as it should, found by trying with `first`; a multiple of it.
    Scaled { first: u64 },
    /// A number of its own, and another when it has to be quick.
    Fixed { full: u64, quick: u64 },
}

const BASE: Shape = Shape {
    job: Job::Send,
    sizes: Sizes::Fixed(64),
    content: Content::Filler,
    connections: 1,
    threads: 1,
    pace: None,
    round: None,
    queue: Queue::Wait,
};

const BROADCAST: Shape = Shape { job: Job::Broadcast, ..BASE };
const NONE_STALLED: &[usize] = &[0];

const MESSAGES: Figure = Figure::rate("rate", "messages", |run| run.messages() / run.seconds(0));
const MEGABYTES: Figure = Figure::new("rate", "throughput", Unit::Megabytes, |run| run.bytes() / run.seconds(0));
const TRIPS: Figure = Figure::rate("rate", "round trips", |run| run.messages() / run.seconds(0));
const DELIVERIES: Figure = Figure::rate("rate", "deliveries", |run| run.messages() / run.seconds(0));
const CPU: Figure = Figure::new("cpu", "S8: CPU per million", Unit::Seconds, |run| {
    run.outcomes[0].cpu_seconds() / run.messages() * 1e6
});
const TRIP_P50: Figure = Figure::new("p50", "p50", Unit::Time, |run| run.latency(0, |spread| spread.p50));
const TRIP_P99: Figure = Figure::new("p99", "p99", Unit::Time, |run| run.latency(0, |spread| spread.p99));

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "s1",
        title: "one way, 64-byte messages",
        shape: BASE,
        stalled: NONE_STALLED,
        amount: Amount::Scaled { first: 10_000 },
        figures: &[MESSAGES, CPU],
    },
    Scenario {
        name: "s2-16k",
        title: "one way, 16 KiB messages",
        shape: Shape { sizes: Sizes::Fixed(16 * 1024), ..BASE },
        stalled: NONE_STALLED,
        amount: Amount::Scaled { first: 500 },
        figures: &[MEGABYTES],
    },
    Scenario {
        name: "s2-1m",
        title: "one way, 1 MiB messages",
        shape: Shape { sizes: Sizes::Fixed(1024 * 1024), ..BASE },
        stalled: NONE_STALLED,
        amount: Amount::Scaled { first: 20 },
        figures: &[MEGABYTES],
    },
    Scenario {
        name: "s3",
        title: "ping-pong, 64 bytes, one connection",
        shape: Shape { job: Job::Trip, ..BASE },
        stalled: NONE_STALLED,
        amount: Amount::Scaled { first: 200 },
        figures: &[TRIPS, TRIP_P50, TRIP_P99],
    },
    Scenario {
        name: "s4",
        title: "ping-pong, 64 bytes, 16 connections at once",
        shape: Shape { job: Job::Trip, connections: 16, ..BASE },
        stalled: NONE_STALLED,
        amount: Amount::Scaled { first: 50 },
        figures: &[TRIPS, TRIP_P50, TRIP_P99],
    },
    Scenario {
        name: "s5",
        title: "broadcast of 256-byte messages to 64 clients",
        shape: Shape { sizes: Sizes::Fixed(256), connections: 64, ..BROADCAST },
        stalled: NONE_STALLED,
        amount: Amount::Scaled { first: 100 },
        figures: &[DELIVERIES],
    },
];

/// The scenarios of that name: `s2` stands for both sizes, `s8` is measured with `s1`.
pub(crate) fn named(name: &str) -> Vec<&'static Scenario> {
    let name = if name == "s8" { "s1" } else { name };
    let exact = SCENARIOS.iter().filter(|scenario| scenario.name == name);
    let sizes = SCENARIOS.iter().filter(|scenario| name == "s2" && scenario.name.starts_with("s2-"));
    exact.chain(sizes).collect()
}

impl Scenario {
    /// What the peer has to do for one round: a task for each number of stalled connections.
    pub(crate) fn tasks(&self, peer: &str, count: u64) -> Vec<Task> {
        let shape = self.shape;
        let task = |&stalled: &usize| Task {
            peer: peer.to_owned(),
            job: shape.job,
            count,
            sizes: shape.sizes,
            content: shape.content,
            connections: shape.connections,
            stalled,
            threads: shape.threads,
            pace: shape.pace,
            round: shape.round,
            queue: shape.queue,
        };
        self.stalled.iter().map(task).collect()
    }
}

/// One round of a peer in a scenario, as its figures see it.
pub(crate) struct Round<'a> {
    pub(crate) tasks: &'a [Task],
    pub(crate) outcomes: &'a [Outcome],
}

impl Round<'_> {
    pub(crate) fn seconds(&self, index: usize) -> f64 {
        self.outcomes[index].seconds()
    }

    /// How many messages were handled in the first run.
    pub(crate) fn messages(&self) -> f64 {
        self.tasks[0].handled() as f64
    }

    pub(crate) fn bytes(&self) -> f64 {
        let task = &self.tasks[0];
        (task.payload(task.count) * (task.handled() / task.count)) as f64
    }

    /// From the side that measured any; in seconds.
    pub(crate) fn latency(&self, index: usize, of: fn(&crate::measure::Spread) -> u64) -> f64 {
        let outcome = &self.outcomes[index];
        let spread = outcome.client.latency.or(outcome.server.latency);
        spread.map_or(f64::NAN, |spread| of(&spread) as f64 / 1e9)
    }
}

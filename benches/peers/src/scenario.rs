//! The scenarios: what is sent, and which figures come of it.

use crate::figure::{Figure, Unit};
use crate::round::Round;
use crate::task::{Content, Cores, Job, Queue, Sizes, Task};

pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    shape: Shape,
    /// How many connections that never read are there: a run for each of these numbers, none first. A peer that is not
    /// done in time with some is not asked to with more.
    pub(crate) stalled: &'static [usize],
    pub(crate) amount: Amount,
    pub(crate) patience: Patience,
    pub(crate) figures: &'static [Figure],
}

/// A task without a peer and a number of messages.
#[derive(Clone, Copy)]
struct Shape {
    job: Job,
    sizes: Sizes,
    content: Content,
    connections: usize,
    /// Whether stalled connections are among these, or come on top.
    stalled_among: bool,
    crowd: bool,
    threads: u64,
    pace: Option<u32>,
    round: Option<u64>,
    queue: Queue,
    cores: Cores,
}

/// How many messages each connection is sent.
#[derive(Clone, Copy)]
pub(crate) enum Amount {
    /// So many that a run takes about as long as it should, found by trying with `first`; a multiple of it.
    Scaled { first: u64 },
    /// A number of its own, and another when it has to be quick.
    Fixed { full: u64, quick: u64 },
}

/// How many seconds a run may take until it is given up, and how many when it has to be quick.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    pub(crate) full: f64,
    pub(crate) quick: f64,
}

const PATIENCE: Patience = Patience { full: 20.0, quick: 10.0 };

const BASE: Shape = Shape {
    job: Job::Send,
    sizes: Sizes::Fixed(64),
    content: Content::Filler,
    connections: 1,
    stalled_among: false,
    crowd: false,
    threads: 1,
    pace: None,
    round: None,
    queue: Queue::Wait,
    cores: Cores::Any,
};

const BROADCAST: Shape = Shape { job: Job::Broadcast, ..BASE };
const CROWD: Shape = Shape { crowd: true, sizes: Sizes::Fixed(256), ..BROADCAST };
const NONE_STALLED: &[usize] = &[0];

const MESSAGES: Figure = Figure::new("rate", "messages", Unit::Rate, Round::rate);
const MEGABYTES: Figure = Figure::new("rate", "throughput", Unit::Megabytes, Round::throughput);
const TRIPS: Figure = Figure::new("rate", "round trips", Unit::Rate, Round::rate);
const DELIVERIES: Figure = Figure::new("rate", "deliveries", Unit::Rate, Round::rate);
const CONNECTIONS: Figure = Figure::new("rate", "connections", Unit::Rate, Round::rate);
const CPU: Figure = Figure::new("cpu", "S8: CPU per million", Unit::Seconds, Round::cpu_per_million);
const SERVERS_CPU: Figure =
    Figure::new("cpu", "server's CPU per million", Unit::Seconds, Round::servers_cpu_per_million);
const P50: Figure = Figure::new("p50", "p50", Unit::Time, |round| round.latency(0, |spread| spread.p50));
const P99: Figure = Figure::new("p99", "p99", Unit::Time, |round| round.latency(0, |spread| spread.p99));
const P999: Figure = Figure::new("p999", "p99.9", Unit::Time, |round| round.latency(0, |spread| spread.p999));

const CALL: Figure = Figure::new("call", "longest call", Unit::Time, |round| round.slowest_call(0));

const VIEWERS: &[Figure] = &[DELIVERIES, SERVERS_CPU];

/// Of a broadcast with one stalled client, and without.
const STALLED: &[Figure] = &[
    Figure::new("time", "time", Unit::Seconds, |round| round.seconds(1)),
    Figure::new("time_free", "time without a stalled one", Unit::Seconds, |round| round.seconds(0)),
    Figure::new("ratio", "first / second", Unit::Number, |round| Some(round.seconds(1)? / round.seconds(0)?)),
    Figure::new("held", "server holds at most", Unit::Memory, |round| round.held(1)),
    Figure::new("held_free", "the same without a stalled one", Unit::Memory, |round| round.held(0)),
    Figure::new("ended", "stalled ones ended", Unit::Number, |round| round.ended_connections(1)),
];

const IDLE: &[Figure] = &[
    Figure::new("time", "all accepted after", Unit::Seconds, |round| round.seconds(0)),
    Figure::new("memory", "memory per connection", Unit::Memory, Round::memory_per_connection),
    Figure::new("threads", "threads per connection", Unit::Number, Round::threads_per_connection),
];

const ISOLATION: &[Figure] = &[
    Figure::new("p50_0", "p50, none stalled", Unit::Time, |round| round.latency(0, |spread| spread.p50)),
    Figure::new("p99_0", "p99, none stalled", Unit::Time, |round| round.latency(0, |spread| spread.p99)),
    Figure::new("p999_0", "p99.9, none stalled", Unit::Time, |round| round.latency(0, |spread| spread.p999)),
    Figure::new("call_0", "longest call, none stalled", Unit::Time, |round| round.slowest_call(0)),
    Figure::new("p50_1", "p50, 1 of 16 stalled", Unit::Time, |round| round.latency(1, |spread| spread.p50)),
    Figure::new("p99_1", "p99, 1 of 16 stalled", Unit::Time, |round| round.latency(1, |spread| spread.p99)),
    Figure::new("p999_1", "p99.9, 1 of 16 stalled", Unit::Time, |round| round.latency(1, |spread| spread.p999)),
    Figure::new("call_1", "longest call, 1 of 16 stalled", Unit::Time, |round| round.slowest_call(1)),
    Figure::new("p50_15", "p50, 15 of 16 stalled", Unit::Time, |round| round.latency(2, |spread| spread.p50)),
    Figure::new("p99_15", "p99, 15 of 16 stalled", Unit::Time, |round| round.latency(2, |spread| spread.p99)),
    Figure::new("p999_15", "p99.9, 15 of 16 stalled", Unit::Time, |round| round.latency(2, |spread| spread.p999)),
    Figure::new("call_15", "longest call, 15 of 16 stalled", Unit::Time, |round| round.slowest_call(2)),
];

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "s1",
        title: "one way, 64-byte messages",
        shape: BASE,
        stalled: NONE_STALLED,
        amount: Amount::Scaled { first: 10_000 },
        patience: PATIENCE,
        figures: &[MESSAGES, CPU],
    },
    Scenario {
        name: "s2-16k",
        title: "one way, 16 KiB messages",
        shape: Shape { sizes: Sizes::Fixed(16 * 1024), ..BASE },
        stalled: NONE_STALLED,
        amount: Amount::Scaled { first: 500 },
        patience: PATIENCE,
        figures: &[MEGABYTES],
    },
    Scenario {
        name: "s2-1m",
        title: "one way, 1 MiB messages",
        shape: Shape { sizes: Sizes::Fixed(1024 * 1024), ..BASE },
        stalled: NONE_STALLED,
        amount: Amount::Scaled { first: 4 },
        patience: PATIENCE,
        figures: &[MEGABYTES],
    },
    Scenario {
        name: "s3",
        title: "ping-pong, 64 bytes, one connection, a core for each process",
        shape: Shape { job: Job::Trip, cores: Cores::Apart, ..BASE },
        stalled: NONE_STALLED,
        amount: Amount::Scaled { first: 10 },
        patience: PATIENCE,
        figures: &[TRIPS, P50, P99],
    },
    Scenario {
        name: "s3-one-core",
        title: "the same, both processes on one core",
        shape: Shape { job: Job::Trip, cores: Cores::One, ..BASE },
        stalled: NONE_STALLED,
        amount: Amount::Scaled { first: 10 },
        patience: PATIENCE,
        figures: &[TRIPS, P50, P99],
    },
    Scenario {
        name: "s4",
        title: "ping-pong, 64 bytes, 16 connections at once",
        shape: Shape { job: Job::Trip, connections: 16, ..BASE },
        stalled: NONE_STALLED,
        amount: Amount::Scaled { first: 10 },
        patience: PATIENCE,
        figures: &[TRIPS, P50, P99],
    },
    Scenario {
        name: "s5",
        title: "broadcast of 256-byte messages to 64 clients",
        shape: Shape { sizes: Sizes::Fixed(256), connections: 64, ..BROADCAST },
        stalled: NONE_STALLED,
        amount: Amount::Scaled { first: 100 },
        patience: PATIENCE,
        figures: &[DELIVERIES],
    },
    Scenario {
        name: "viewers-64",
        title: "broadcast of 256-byte messages to 64 plain sockets",
        shape: Shape { connections: 64, ..CROWD },
        stalled: NONE_STALLED,
        amount: Amount::Scaled { first: 100 },
        patience: PATIENCE,
        figures: VIEWERS,
    },
    Scenario {
        name: "viewers-1000",
        title: "the same to 1,000",
        shape: Shape { connections: 1000, ..CROWD },
        stalled: NONE_STALLED,
        amount: Amount::Scaled { first: 20 },
        patience: PATIENCE,
        figures: VIEWERS,
    },
    Scenario {
        name: "viewers-4000",
        title: "the same to 4,000",
        shape: Shape { connections: 4000, ..CROWD },
        stalled: NONE_STALLED,
        amount: Amount::Scaled { first: 5 },
        patience: PATIENCE,
        figures: VIEWERS,
    },
    Scenario {
        name: "clients-1000",
        title: "broadcast of 256-byte messages to 1,000 clients of one process",
        shape: Shape { sizes: Sizes::Fixed(256), connections: 1000, ..BROADCAST },
        stalled: NONE_STALLED,
        amount: Amount::Scaled { first: 20 },
        patience: PATIENCE,
        figures: &[DELIVERIES],
    },
    Scenario {
        name: "last-of-1000",
        title: "broadcast of 300-byte messages to 1,000 plain sockets, 50 a second: until the last one has it",
        shape: Shape {
            sizes: Sizes::Fixed(300),
            content: Content::Stamped,
            connections: 1000,
            pace: Some(50),
            ..CROWD
        },
        stalled: NONE_STALLED,
        amount: Amount::Fixed { full: 200, quick: 25 },
        patience: PATIENCE,
        figures: &[P50, P99, CALL],
    },
    Scenario {
        name: "s6",
        title: "broadcast of 4 KiB messages to 15 clients, and one that never reads",
        shape: Shape { sizes: Sizes::Fixed(4096), connections: 15, queue: Queue::Roomy, ..BROADCAST },
        stalled: &[0, 1],
        amount: Amount::Fixed { full: 8192, quick: 4096 },
        patience: Patience { full: 10.0, quick: 2.0 },
        figures: STALLED,
    },
    Scenario {
        name: "s6-full",
        title: "the same, in rounds, beyond what may wait for the one that never reads",
        shape: Shape {
            sizes: Sizes::Fixed(4096),
            connections: 15,
            queue: Queue::Limited,
            round: Some(256),
            ..BROADCAST
        },
        stalled: &[0, 1],
        amount: Amount::Fixed { full: 8192, quick: 4096 },
        patience: Patience { full: 10.0, quick: 2.0 },
        figures: STALLED,
    },
    Scenario {
        name: "s7",
        title: "idle connections",
        shape: Shape { job: Job::Idle, connections: 5000, ..BASE },
        stalled: NONE_STALLED,
        amount: Amount::Fixed { full: 1, quick: 1 },
        patience: Patience { full: 120.0, quick: 15.0 },
        figures: IDLE,
    },
    Scenario {
        name: "json",
        title: "300-byte JSON, 50 a second",
        shape: Shape { sizes: Sizes::Fixed(300), content: Content::Stamped, pace: Some(50), ..BASE },
        stalled: NONE_STALLED,
        amount: Amount::Fixed { full: 200, quick: 25 },
        patience: PATIENCE,
        figures: &[P50, P99, P999],
    },
    Scenario {
        name: "senders",
        title: "one way, 64-byte messages, 4 threads on one connection",
        shape: Shape { threads: 4, ..BASE },
        stalled: NONE_STALLED,
        amount: Amount::Scaled { first: 10_000 },
        patience: PATIENCE,
        figures: &[MESSAGES],
    },
    Scenario {
        name: "duplex",
        title: "64-byte messages both ways at once",
        shape: Shape { job: Job::Duplex, ..BASE },
        stalled: NONE_STALLED,
        amount: Amount::Scaled { first: 5_000 },
        patience: PATIENCE,
        figures: &[MESSAGES],
    },
    Scenario {
        name: "frames",
        title: "broadcast of 100 KiB frames to 16 clients",
        shape: Shape { sizes: Sizes::Fixed(100 * 1024), connections: 16, ..BROADCAST },
        stalled: NONE_STALLED,
        amount: Amount::Scaled { first: 10 },
        patience: PATIENCE,
        figures: &[MEGABYTES],
    },
    Scenario {
        name: "mixed",
        title: "one way, messages of 16 bytes to 256 KiB",
        shape: Shape { sizes: Sizes::Mixed, ..BASE },
        stalled: NONE_STALLED,
        amount: Amount::Scaled { first: 100 },
        patience: PATIENCE,
        figures: &[MEGABYTES],
    },
    Scenario {
        name: "isolation",
        title: "broadcast of 4 KiB messages to 16 clients, 2,000 a second: how late those get them that read",
        shape: Shape {
            sizes: Sizes::Fixed(4096),
            content: Content::Stamped,
            connections: 16,
            stalled_among: true,
            pace: Some(2000),
            queue: Queue::Limited,
            ..BROADCAST
        },
        stalled: &[0, 1, 15],
        amount: Amount::Fixed { full: 4000, quick: 1200 },
        patience: Patience { full: 8.0, quick: 1.5 },
        figures: ISOLATION,
    },
    Scenario {
        name: "churn",
        title: "connect, send one message, close",
        shape: Shape { job: Job::Churn, ..BASE },
        stalled: NONE_STALLED,
        amount: Amount::Scaled { first: 50 },
        patience: PATIENCE,
        figures: &[CONNECTIONS],
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
            connections: shape.connections - if shape.stalled_among { stalled } else { 0 },
            stalled,
            crowd: shape.crowd,
            threads: shape.threads,
            pace: shape.pace,
            round: shape.round,
            queue: shape.queue,
            cores: shape.cores,
        };
        self.stalled.iter().map(task).collect()
    }
}

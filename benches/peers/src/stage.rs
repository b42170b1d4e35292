//! The line between a process of a run and the runner: orders come in on stdin, what happens goes out on stdout.
//!
//! ```text
//!  server                         runner                          client
//!    listens        port ───────────▶ ───────────────────▶ (argument)
//!    all are here   ready ──────────▶ ◀──────────── ready   connected
//!                   ◀──────────── go                        whoever receives is told first,
//!                   going ──────────▶ go ────────────▶      and answers before the other is
//!                   round ──────────▶ round ─────────▶      every receiver has this round
//!                   done ───────────▶ ◀───────────── done
//!                   ◀────────── stop  stop ──────────▶
//!                   report ─────────▶ ◀─────────── report
//! ```
//!
//! The thread that reads the orders ends the process at `stop`, and when the runner is gone, whatever the others are
//! stuck in.

use std::io::{self, BufRead, Write};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;

use serde::{Deserialize, Serialize};

use crate::measure::{self, Spread, Usage};
use crate::tally::{Latch, Tally, Trips};
use crate::task::Task;

/// What a process tells the runner, as one line of JSON each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Event {
    Port(u16),
    Ready,
    Going,
    Round,
    Done,
    Report(Box<Report>),
    Failed(String),
}

/// What a process has seen of a run. Times are [`measure::now`], zero for what has not come to pass.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Report {
    pub(crate) began: u64,
    pub(crate) ended: u64,
    /// What is wrong with what arrived. Empty when everything arrived once.
    pub(crate) faults: Vec<String>,
    /// Before it listened or connected, at the start of the measurement, and at its end.
    pub(crate) first: Usage,
    pub(crate) begin: Usage,
    pub(crate) end: Usage,
    /// Connections that the server has accepted.
    pub(crate) accepted: u64,
    /// Connections that the server has ended, where the peer tells.
    pub(crate) ended_connections: u64,
    /// One-way or round-trip times.
    pub(crate) latency: Option<Spread>,
    /// The longest single call that sent a paced message, in nanoseconds.
    pub(crate) slowest_call: u64,
    /// How many pieces came, from a peer that does not keep messages apart.
    pub(crate) fragments: u64,
}

impl Report {
    /// What this process has used from the first message to the end, in seconds.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.end.cpu.saturating_sub(self.begin.cpu) as f64 / 1e9
    }
}

/// What this process has to do with the run, shared with the thread that reports it.
pub(crate) struct Stage {
    pub(crate) task: Task,
    /// Counts connections accepted.
    pub(crate) hall: Arc<Latch>,
    /// Counts complete rounds of each connection that receives.
    pub(crate) arrivals: Arc<Latch>,
    pub(crate) slowest_call: AtomicU64,
    began: AtomicU64,
    ended: AtomicU64,
    tallies: Mutex<Vec<Arc<Tally>>>,
    trips: Mutex<Vec<Arc<Trips>>>,
    latencies: Mutex<Vec<u64>>,
    first: Usage,
    begin: Mutex<Usage>,
    orders: Mutex<Receiver<Order>>,
}

#[derive(Debug, PartialEq, Eq)]
enum Order {
    Go,
    Round,
}

impl Stage {
    pub(crate) fn open(task: Task) -> Arc<Self> {
        let (sender, orders) = mpsc::channel();
        let stage = Arc::new(Self {
            task,
            hall: Arc::default(),
            arrivals: Arc::default(),
            slowest_call: AtomicU64::new(0),
            began: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            tallies: Mutex::default(),
            trips: Mutex::default(),
            latencies: Mutex::default(),
            first: Usage::begin(),
            begin: Mutex::default(),
            orders: Mutex::new(orders),
        });
        let reporting = Arc::clone(&stage);
        thread::spawn(move || reporting.obey(&sender));
        stage
    }

    fn obey(&self, orders: &Sender<Order>) {
        for line in io::stdin().lock().lines() {
            match line.as_deref() {
                Ok("go") => drop(orders.send(Order::Go)),
                Ok("round") => drop(orders.send(Order::Round)),
                Ok("stop") => {
                    say(&Event::Report(Box::new(self.report())));
                    break;
                }
                _ => break,
            }
        }
        process::exit(0);
    }

    fn wait_for(&self, order: &Order) {
        // Its sender lives as long as the process.
        while self.orders.lock().unwrap().recv().is_ok_and(|given| given != *order) {}
    }

    pub(crate) fn port(&self, port: u16) {
        say(&Event::Port(port));
    }

    /// Says that everything is in place, and waits for the start.
    pub(crate) fn ready(&self) {
        say(&Event::Ready);
        self.wait_for(&Order::Go);
        *self.begin.lock().unwrap() = Usage::begin();
        say(&Event::Going);
    }

    /// The first message is about to go out.
    pub(crate) fn begin(&self) {
        self.began.store(measure::now(), Relaxed);
    }

    /// This side ends the measurement now, rather than with the last that arrives.
    pub(crate) fn end_at(&self, time: u64) {
        self.ended.fetch_max(time, Relaxed);
    }

    /// Tells the sender that the round is complete.
    pub(crate) fn round(&self) {
        say(&Event::Round);
    }

    /// Waits until the receivers have the last round.
    pub(crate) fn wait_for_round(&self) {
        self.wait_for(&Order::Round);
    }

    /// This side has done its part; the runner ends the process.
    pub(crate) fn done(&self) -> ! {
        say(&Event::Done);
        loop {
            thread::park();
        }
    }

    pub(crate) fn tally(&self) -> Arc<Tally> {
        let tally = Arc::new(Tally::new(&self.task, &self.arrivals));
        self.tallies.lock().unwrap().push(Arc::clone(&tally));
        tally
    }

    pub(crate) fn trips(&self) -> Arc<Trips> {
        let trips = Arc::new(Trips::new(&self.task));
        self.trips.lock().unwrap().push(Arc::clone(&trips));
        trips
    }

    /// A time that is no one connection's.
    pub(crate) fn note_latency(&self, latency: Option<u64>) {
        self.latencies.lock().unwrap().extend(latency);
    }

    fn report(&self) -> Report {
        // First, so that reporting is not measured.
        let end = Usage::read();
        let (tallies, trips) = (self.tallies.lock().unwrap(), self.trips.lock().unwrap());
        let wanted = [self.task.payload(self.task.count), self.task.wire(self.task.count)];
        let short =
            tallies.iter().filter(|tally| tally.messages() != self.task.count || !wanted.contains(&tally.bytes()));
        let mut faults: Vec<String> = short
            .map(|tally| format!("{} of {} messages, {} bytes", tally.messages(), self.task.count, tally.bytes()))
            .collect();
        faults.extend(
            trips
                .iter()
                .filter(|trips| trips.missing() > 0)
                .map(|trips| format!("{} of {} round trips missing", trips.missing(), self.task.count)),
        );
        let samples = tallies.iter().flat_map(|tally| tally.take_latencies());
        let samples = samples.chain(trips.iter().flat_map(|trips| trips.take_samples()));
        let samples = samples.chain(std::mem::take(&mut *self.latencies.lock().unwrap())).collect();
        Report {
            began: self.began.load(Relaxed),
            ended: self.ended.load(Relaxed).max(self.arrivals.last()),
            faults,
            first: self.first,
            begin: *self.begin.lock().unwrap(),
            end,
            accepted: self.hall.count(),
            ended_connections: self.hall.ended(),
            latency: Spread::of(samples),
            slowest_call: self.slowest_call.load(Relaxed),
            fragments: 0,
        }
    }
}

/// Tells the runner. Nobody is there to be told when that fails.
pub(crate) fn say(event: &Event) {
    let line = serde_json::to_string(event).expect("an event is plain data");
    let _ = writeln!(io::stdout(), "{line}");
}

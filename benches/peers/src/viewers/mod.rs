//! Viewers that are slow, late or many, and how old what they show is: `leads-comm-peers viewers`.
//!
//! A family of its own, because what counts here is not how much gets through, but how old it is. A *way* is how the
//! viewer is served, by us or by somebody else. Each trial of a way takes two processes, as everywhere here:
//!
//! ```text
//!   runner ──▶ publisher   prints its port, publishes as soon as the viewers are here, reports when stdin ends
//!          └─▶ viewers     run for some seconds, and report
//! ```

mod nats;
mod publish;
mod report;
mod throttle;
mod watch;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::{env, io};

use serde::{Deserialize, Serialize};

use crate::measure::median;
use crate::peers::Failure;
use report::{Report, Row};

/// What is published: so many keys, each with messages of so many bytes, so many times a second.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Traffic {
    keys: usize,
    len: usize,
    hz: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Viewer {
    /// As many of ours that keep up.
    Many(usize),
    /// A socket from which so many bytes a second are read.
    Throttled(u64),
    /// Takes 300 ms for each message.
    Display,
    /// Never reads.
    Frozen,
    /// Connects, reads the last message of each key, and leaves; again and again.
    Joining,
}

/// How a viewer is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Way {
    /// Ours, with nothing else.
    DropOldest,
    Conflate,
    /// Conflation for the one that is behind, and the snapshot.
    ConflateSnapshot,
    Snapshot,
    /// Conflation, and at most a message in 400 ms.
    MinInterval,
    /// Conflation, and `callback::latest` at the other end.
    Latest,
    /// Sockets of the standard library; all that a newcomer gets is written at once.
    Bare,
    /// libzmq, PUB and SUB, with its high-water marks of 1,000 messages.
    Zmq,
    /// libzmq with `ZMQ_CONFLATE`.
    ZmqConflate,
    /// A `nats-server` between publisher and viewer.
    Nats,
}

pub(crate) struct Scenario {
    name: &'static str,
    title: &'static str,
    viewer: Viewer,
    traffic: Traffic,
    ways: &'static [(&'static str, Way)],
    /// How long it takes unless told otherwise, in seconds.
    seconds: f64,
    figures: &'static [Row],
}

const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "v1",
        title: "64 viewers that keep up, 100 keys of 300 bytes at 50 Hz",
        viewer: Viewer::Many(64),
        traffic: Traffic { keys: 100, len: 300, hz: 50 },
        ways: &[("DropOldest", Way::DropOldest), ("conflation and snapshot", Way::ConflateSnapshot)],
        seconds: 4.0,
        figures: &[report::CPU, report::ARRIVED, report::AGE_P50, report::AGE_P99],
    },
    Scenario {
        name: "v2",
        title: "a viewer throttled to 50 kB/s, 100 keys of 300 bytes at 50 Hz: a round of keys takes it 0.6 s",
        viewer: Viewer::Throttled(50_000),
        traffic: Traffic { keys: 100, len: 300, hz: 50 },
        ways: &[
            ("conflate", Way::Conflate),
            ("DropOldest", Way::DropOldest),
            ("zmq", Way::Zmq),
            ("zmq CONFLATE", Way::ZmqConflate),
            ("nats", Way::Nats),
        ],
        seconds: 10.0,
        figures: &[report::AGE_P50, report::AGE_P99, report::AGE_LAST, report::SHOWN, report::KEYS],
    },
    Scenario {
        name: "v3",
        title: "a display that takes 300 ms a message, one key of 570 bytes at 50 Hz",
        viewer: Viewer::Display,
        traffic: Traffic { keys: 1, len: 570, hz: 50 },
        ways: &[
            ("latest", Way::Latest),
            ("sleeps, min_interval", Way::MinInterval),
            ("sleeps, conflate", Way::Conflate),
            ("sleeps, DropOldest", Way::DropOldest),
        ],
        seconds: 10.0,
        figures: &[report::AGE_P50, report::AGE_P99, report::AGE_LAST, report::SHOWN],
    },
    Scenario {
        name: "v4",
        title: "a viewer that never reads, 100 keys of 300 bytes at 50 Hz: what is held for it",
        viewer: Viewer::Frozen,
        traffic: Traffic { keys: 100, len: 300, hz: 50 },
        ways: &[("conflate", Way::Conflate), ("DropOldest", Way::DropOldest)],
        seconds: 8.0,
        figures: &[report::QUEUED, report::GROWN],
    },
    Scenario {
        name: "v5",
        title: "newcomers to 1,000 keys of 300 bytes, one of which is published every millisecond",
        viewer: Viewer::Joining,
        traffic: Traffic { keys: 1000, len: 300, hz: 1000 },
        ways: &[("snapshot", Way::Snapshot), ("bare", Way::Bare), ("none", Way::DropOldest)],
        seconds: 3.0,
        figures: &[report::SPAN_P50, report::SPAN_P99, report::CALL_P50, report::CALL_P99],
    },
];

/// What both processes are told.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Trial {
    viewer: Viewer,
    traffic: Traffic,
    way: Way,
    seconds: f64,
}

#[derive(Default)]
pub(crate) struct Options {
    /// All, if there are none.
    pub(crate) only: Vec<String>,
    pub(crate) rounds: Option<usize>,
    pub(crate) seconds: Option<f64>,
}

/// Every way in turn, round after round; prints medians.
pub(crate) fn measure(options: &Options) -> Result<(), Failure> {
    let unknown = options.only.iter().find(|name| SCENARIOS.iter().all(|scenario| scenario.name != **name));
    if let Some(name) = unknown {
        return Err(format!("no scenario of viewers is called {name:?}: they are v1 to v5").into());
    }
    let rounds = options.rounds.unwrap_or(3);
    for scenario in SCENARIOS {
        if !options.only.is_empty() && options.only.iter().all(|name| name != scenario.name) {
            continue;
        }
        let seconds = options.seconds.unwrap_or(scenario.seconds);
        println!("\n{}: {} ({seconds} s, {rounds} rounds)", scenario.name, scenario.title);
        let mut reports = vec![Vec::new(); scenario.ways.len()];
        for _ in 0..rounds {
            for (reports, (name, way)) in reports.iter_mut().zip(scenario.ways) {
                let trial = Trial { viewer: scenario.viewer, traffic: scenario.traffic, way: *way, seconds };
                match publish::unavailable(*way) {
                    Some(why) if reports.is_empty() => println!("{name} is left out: {why}"),
                    Some(_) => {}
                    None => reports.push(run(&trial).map_err(|error| format!("{} {name}: {error}", scenario.name))?),
                }
            }
        }
        print(scenario, &reports);
    }
    Ok(())
}

fn print(scenario: &Scenario, reports: &[Vec<Report>]) {
    print!("{:<26}", "");
    scenario.figures.iter().for_each(|figure| print!(" {:>13}", figure.name));
    println!();
    for (index, (name, _)) in scenario.ways.iter().enumerate() {
        if reports[index].is_empty() {
            continue;
        }
        print!("{name:<26}");
        for figure in scenario.figures {
            let values: Vec<f64> = reports[index].iter().filter_map(figure.of).collect();
            print!(" {:>13}", median(&values).map_or("-".to_owned(), |value| format!("{value:.3}")));
        }
        println!();
    }
    for (figure, one, other) in
        report::RATIOS.iter().filter(|(figure, ..)| scenario.figures.iter().any(|it| it.name == figure.name))
    {
        let of = |way: Way| scenario.ways.iter().position(|(_, known)| *known == way).map(|index| &reports[index]);
        let Some((one, other)) = of(*one).zip(of(*other)) else { continue };
        let ratios = one.iter().zip(other).filter_map(|(one, other)| Some((figure.of)(one)? / (figure.of)(other)?));
        if let Some(ratio) = median(&ratios.collect::<Vec<_>>()) {
            println!("{}: ratio {ratio:.3}", figure.name);
        }
    }
}

/// One trial, in two processes.
fn run(trial: &Trial) -> Result<Report, Failure> {
    let mut publisher = Part::start(trial, None)?;
    let port = publisher.line()?.trim().parse()?;
    let mut viewers = Part::start(trial, Some(port))?;
    let seen: Report = serde_json::from_str(&viewers.line()?)?;
    // It ends with its stdin.
    drop(publisher.child.stdin.take());
    let sent: Report = serde_json::from_str(&publisher.line()?)?;
    Ok(sent.joined_with(seen))
}

struct Part {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Part {
    fn start(trial: &Trial, port: Option<u16>) -> Result<Self, Failure> {
        let mut command = Command::new(env::current_exe()?);
        command.arg("--viewers-part").arg(serde_json::to_string(trial)?).args(port.map(|port| port.to_string()));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdout = BufReader::new(child.stdout.take().ok_or("no stdout")?);
        Ok(Self { child, stdout })
    }

    fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        match self.stdout.read_line(&mut line)? {
            0 => Err("a process ended before its time".into()),
            _ => Ok(line),
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What one of the processes does.
pub(crate) fn play(trial: &str, port: Option<u16>) -> Result<(), Failure> {
    let trial: Trial = serde_json::from_str(trial)?;
    let report = match port {
        None => publish::publish(&trial)?,
        Some(port) => watch::watch(&trial, port)?,
    };
    say(&serde_json::to_string(&report)?)?;
    Ok(())
}

fn say(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

/// Blocks until the runner wants no more.
fn await_end() {
    let _ = io::stdin().read_to_end(&mut Vec::new());
}

impl Traffic {
    /// A message of this key, with the time in it. It has no separator of ours in it, and no line end.
    fn message(self, key: usize, now: u64) -> Vec<u8> {
        let mut message = format!("k{key:04}:{now:016x}").into_bytes();
        message.resize(self.len, b'x');
        message
    }
}

/// Key and time of a message.
fn read_message(message: &[u8]) -> Option<(&[u8], u64)> {
    let (key, rest) = message.split_at_checked(5)?;
    Some((key, u64::from_str_radix(std::str::from_utf8(rest.get(1..17)?).ok()?, 16).ok()?))
}

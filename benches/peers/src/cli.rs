//! The command line.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use lexopt::prelude::*;

use crate::peers::{self, VARIANTS};
use crate::scenario::{self, SCENARIOS, Scenario};
use crate::task::{Job, Task};
use crate::viewers;

pub(crate) const HELP: &str = "\
Compares leads-comm with its peers, over TCP on the loopback interface.

Usage: leads-comm-peers [--quick] [--rounds N] [--only S,S] [--peers P,P] [--out DIR]
       leads-comm-peers viewers [--only V,V] [--rounds N] [--seconds S]

      --quick     fewer rounds, shorter runs, and no leads-comm-batch: under three minutes for everything
      --rounds N  how many rounds (default 5; 2 with --quick)
      --only S    only these scenarios, separated by commas
      --peers P   only these peers, separated by commas
      --connections N  how many idle connections in s7 (default 5000; 1000 with --quick)
      --out DIR   where results.md, results.json and the charts go (default results,
                  beside Cargo.toml)
      --list      name the scenarios and the peers
      --seconds S  how long each trial of viewers takes (default 3 to 10, as told); 3 rounds
  -h, --help      print this

README.md beside this program's Cargo.toml tells what each scenario does, and how to read the table.
";

const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/results");

pub(crate) struct Options {
    pub(crate) quick: bool,
    pub(crate) rounds: usize,
    pub(crate) scenarios: Vec<&'static Scenario>,
    pub(crate) peers: Vec<String>,
    connections: usize,
    pub(crate) out: PathBuf,
}

pub(crate) enum Wish {
    Measure(Options),
    /// One process of a run: its task, and the server's port if it is the client.
    Part {
        task: String,
        port: Option<u16>,
    },
    Viewers(viewers::Options),
    /// One process of a trial of viewers, likewise.
    ViewersPart {
        trial: String,
        port: Option<u16>,
    },
    List,
    Help,
}

pub(crate) fn parse() -> Result<Wish, lexopt::Error> {
    let (mut quick, mut rounds, mut out) = (false, None, PathBuf::from(RESULTS));
    let mut connections = None;
    let (mut scenarios, mut chosen) = (Vec::new(), Vec::new());
    let mut arguments = lexopt::Parser::from_env();
    if let Some("viewers" | "--viewers-part") = std::env::args().nth(1).as_deref() {
        return parse_viewers(arguments);
    }
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("quick") => quick = true,
            Long("rounds") => rounds = Some(arguments.value()?.parse::<usize>()?.max(1)),
            Long("connections") => connections = Some(arguments.value()?.parse::<usize>()?.max(1)),
            Long("only") => {
                for name in arguments.value()?.string()?.split(',') {
                    let found = scenario::named(name);
                    if found.is_empty() {
                        return Err(format!("no scenario is called {name:?}; --list names them").into());
                    }
                    scenarios.extend(found);
                }
            }
            Long("peers") => {
                for name in arguments.value()?.string()?.split(',') {
                    if !peers::NAMES.contains(&name) {
                        return Err(format!("no peer is called {name:?}; --list names them").into());
                    }
                    chosen.push(name.to_owned());
                }
            }
            Long("out") => out = arguments.value()?.into(),
            Long("list") => return Ok(Wish::List),
            Long("part") => {
                let task = arguments.value()?.string()?;
                let port = arguments.value().ok();
                return Ok(Wish::Part { task, port: port.map(|port| port.parse()).transpose()? });
            }
            Short('h') | Long("help") => return Ok(Wish::Help),
            _ => return Err(argument.unexpected()),
        }
    }
    if scenarios.is_empty() {
        scenarios = SCENARIOS.iter().collect();
    }
    if chosen.is_empty() {
        // It takes time that a quick run has not got.
        let taken = peers::NAMES.iter().filter(|name| !(quick && VARIANTS.contains(name)));
        chosen = taken.map(|name| (*name).to_owned()).collect();
    }
    let rounds = rounds.unwrap_or(if quick { 2 } else { 5 });
    let connections = connections.unwrap_or(if quick { 1000 } else { 5000 });
    Ok(Wish::Measure(Options { quick, rounds, scenarios, peers: chosen, connections, out }))
}

fn parse_viewers(mut arguments: lexopt::Parser) -> Result<Wish, lexopt::Error> {
    let mut options = viewers::Options::default();
    while let Some(argument) = arguments.next()? {
        match argument {
            Value(word) if word == "viewers" => {}
            Long("only") => options.only = arguments.value()?.string()?.split(',').map(str::to_owned).collect(),
            Long("rounds") => options.rounds = Some(arguments.value()?.parse::<usize>()?.max(1)),
            Long("seconds") => options.seconds = Some(arguments.value()?.parse()?),
            Long("viewers-part") => {
                let trial = arguments.value()?.string()?;
                let port = arguments.value().ok();
                return Ok(Wish::ViewersPart { trial, port: port.map(|port| port.parse()).transpose()? });
            }
            Short('h') | Long("help") => return Ok(Wish::Help),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Wish::Viewers(options))
}

impl Options {
    /// What a peer has to do for a round.
    pub(crate) fn tasks(&self, scenario: &Scenario, peer: &str, count: u64) -> Vec<Task> {
        let mut tasks = scenario.tasks(peer, count);
        let idle = tasks.iter_mut().filter(|task| task.job == Job::Idle);
        idle.for_each(|task| task.connections = self.connections);
        tasks
    }

    /// Tells what goes on, on one line of the terminal, if it is one.
    pub(crate) fn progress(&self, what: &str) {
        let mut stderr = io::stderr();
        if stderr.is_terminal() {
            let _ = write!(stderr, "\r\x1b[K{what}\r");
        }
    }
}

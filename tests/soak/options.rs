//! What the command line says.

use std::path::PathBuf;
use std::time::Duration;

use leads_comm_testing::{checkout, seed};
use lexopt::prelude::*;

use crate::words::Role;

pub const USAGE: &str = "\
cargo test --release --test soak -- [--minutes N | --seconds N] [--clients N] [--seed N] [--report FILE]

  --minutes, --seconds   how long clients come; 2 seconds unless told otherwise
  --clients N            at most so many at a time; 40 unless told otherwise
  --seed N               makes the same choices again, as far as threads and processes do
  --report FILE          writes the report into a file, as Markdown

Ctrl-C ends it early, with the report so far.";

/// What is to be done.
pub enum Task {
    Soak(Options),
    /// To play one part, as a process of a soak.
    Child(ChildOptions),
    /// To say something, and nothing else.
    Say(&'static str),
}

#[derive(Debug, Clone)]
pub struct Options {
    pub time: Duration,
    pub clients: usize,
    pub seed: u64,
    pub report: Option<PathBuf>,
}

pub struct ChildOptions {
    pub role: Role,
    pub port: u16,
    pub seed: u64,
    pub life: Duration,
}

impl ChildOptions {
    pub fn arguments(&self) -> Vec<String> {
        let Self { role, port, seed, life } = self;
        vec!["--child".into(), role.name(), port.to_string(), seed.to_string(), life.as_millis().to_string()]
    }
}

/// Reads the command line. Of what `cargo test` says to all tests, it takes a filter seriously.
pub fn parse() -> Result<Task, lexopt::Error> {
    let mut options = Options { time: Duration::from_secs(2), clients: 40, seed: seed::fresh(), report: None };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("minutes") => options.time = seconds(60.0 * arguments.value()?.parse::<f64>()?)?,
            Long("seconds") => options.time = seconds(arguments.value()?.parse()?)?,
            Long("clients") => options.clients = arguments.value()?.parse::<usize>()?.max(1),
            Long("seed") => options.seed = arguments.value()?.parse()?,
            // Not of the folder of the tests, where cargo runs them.
            Long("report") => options.report = Some(checkout().join(arguments.value()?)),
            Long("child") => {
                let role = arguments.value()?.string()?;
                let role = Role::of_name(role.as_bytes()).ok_or("no such role")?;
                let [port, seed, life] = [arguments.value()?, arguments.value()?, arguments.value()?];
                let life = Duration::from_millis(life.parse()?);
                return Ok(Task::Child(ChildOptions { role, port: port.parse()?, seed: seed.parse()?, life }));
            }
            Long("help") => return Ok(Task::Say(USAGE)),
            Long("list") => return Ok(Task::Say("soak: test")),
            Long("ignored") => return Ok(Task::Say("soak: it is not among the tests that are ignored")),
            Long("nocapture" | "no-capture" | "show-output" | "include-ignored" | "exact" | "quiet") | Short('q') => {}
            Long("test-threads" | "color" | "format" | "skip") | Short('Z') => drop(arguments.value()?),
            Value(filter) => {
                if !"soak".contains(&*filter.string()?) {
                    return Ok(Task::Say("soak: filtered out"));
                }
            }
            other => return Err(other.unexpected()),
        }
    }
    Ok(Task::Soak(options))
}

fn seconds(seconds: f64) -> Result<Duration, lexopt::Error> {
    Duration::try_from_secs_f64(seconds).map_err(|error| lexopt::Error::Custom(Box::new(error)))
}

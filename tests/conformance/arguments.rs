//! The command line, of which a part is that of every Rust test.

use std::time::Duration;

use lexopt::prelude::*;

use crate::case::Case;
use crate::over::Over;

#[derive(Debug)]
pub(crate) struct Arguments {
    /// Only the cases that one of these names; all where there are none.
    wanted: Vec<String>,
    pub(crate) list: bool,
    /// Whether each case gets a line of the table.
    pub(crate) verbose: bool,
    /// How often each case runs.
    pub(crate) repeat: usize,
    /// How many cases run at the same time; most of their time is spent on waiting for threads.
    pub(crate) jobs: usize,
    /// Another implementation to talk to, instead of the library.
    pub(crate) against: Option<String>,
    /// What the peer and the library meet over, one after the other.
    pub(crate) over: Vec<Over>,
    /// How long anything may take before a case gives up: by default far longer than it ever should, also on a busy
    /// machine.
    pub(crate) patience: Duration,
    /// Only what is not run without being asked for, which no case is.
    only_ignored: bool,
}

impl Arguments {
    pub(crate) fn read() -> Result<Self, lexopt::Error> {
        let mut arguments = Self {
            wanted: Vec::new(),
            list: false,
            verbose: false,
            repeat: 1,
            jobs: 8,
            against: None,
            over: Over::ALL.to_vec(),
            patience: Duration::from_secs(20),
            only_ignored: false,
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Value(wanted) => arguments.wanted.push(wanted.string()?),
                Long("list") => arguments.list = true,
                Long("verbose") => arguments.verbose = true,
                Long("repeat") => arguments.repeat = parser.value()?.parse()?,
                Long("jobs" | "test-threads") => arguments.jobs = parser.value()?.parse::<usize>()?.max(1),
                Long("against") => {
                    arguments.against = Some(parser.value()?.string()?);
                    arguments.over = vec![Over::Tcp];
                }
                Long("over") => {
                    let name = parser.value()?.string()?;
                    arguments.over = vec![Over::named(&name).ok_or("there is nothing of that name to meet over")?];
                }
                Long("patience") => arguments.patience = Duration::from_secs(parser.value()?.parse::<u64>()?.max(1)),
                Long("ignored") => arguments.only_ignored = true,
                // Every test takes these, and here they change nothing.
                Long("nocapture" | "no-capture" | "show-output" | "include-ignored" | "exact" | "quiet")
                | Short('q') => {}
                Long("color" | "format") => drop(parser.value()?),
                other => return Err(other.unexpected()),
            }
        }
        Ok(arguments)
    }

    pub(crate) fn wants(&self, case: &Case) -> bool {
        !self.only_ignored && (self.wanted.is_empty() || self.wanted.iter().any(|wanted| names(wanted, case)))
    }
}

/// Whether a word on the command line means this case: by the beginning of its id, or by a part of its name.
fn names(wanted: &str, case: &Case) -> bool {
    if wanted.starts_with(|first: char| first.is_ascii_digit()) {
        return case.id.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    }
    case.name.contains(wanted)
}

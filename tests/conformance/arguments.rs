//! The command line, of which a part is that of every Rust test.

use lexopt::prelude::*;

use crate::case::Case;

#[derive(Debug)]
pub(crate) struct Arguments {
    /// Only cases whose id begins with one of these, or whose name contains it; all where there are none.
    wanted: Vec<String>,
    pub(crate) list: bool,
    /// How often each case runs.
    pub(crate) repeat: usize,
    /// How many cases run at the same time; most of their time is spent on waiting for threads.
    pub(crate) jobs: usize,
    /// Another implementation to talk to, instead of the library.
    pub(crate) against: Option<String>,
    /// Only what is not run without being asked for, which no case is.
    only_ignored: bool,
}

impl Arguments {
    pub(crate) fn read() -> Result<Self, lexopt::Error> {
        let mut arguments =
            Self { wanted: Vec::new(), list: false, repeat: 1, jobs: 8, against: None, only_ignored: false };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Value(wanted) => arguments.wanted.push(wanted.string()?),
                Long("list") => arguments.list = true,
                Long("repeat") => arguments.repeat = parser.value()?.parse()?,
                Long("jobs" | "test-threads") => arguments.jobs = parser.value()?.parse::<usize>()?.max(1),
                Long("against") => arguments.against = Some(parser.value()?.string()?),
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
        let is_wanted = |wanted: &String| {
            let of_id =
                case.id.strip_prefix(wanted.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
            of_id || case.name.contains(wanted.as_str())
        };
        !self.only_ignored && (self.wanted.is_empty() || self.wanted.iter().any(is_wanted))
    }
}

//! The table: of each group how many cases passed in either role; and where that is wanted, or where one has failed, of
//! each case whether it passed.

use std::fmt;

use crate::Run;
use crate::case::{Case, Role};
use crate::group::Group;

/// The outcome of every case that ran.
pub(crate) struct Report<'a> {
    groups: &'a [Group],
    outcomes: Vec<(Run<'a>, Result<(), String>)>,
    /// Whether each case has a line also where none has failed.
    verbose: bool,
}

/// Prints what would run.
pub(crate) fn list(runs: &[Run<'_>]) {
    for (case, role) in runs {
        println!("{} {} ({role})", case.id, case.name);
    }
}

impl<'a> Report<'a> {
    pub(crate) fn new(groups: &'a [Group], outcomes: Vec<(Run<'a>, Result<(), String>)>, verbose: bool) -> Self {
        Self { groups, outcomes, verbose }
    }

    pub(crate) fn has_failures(&self) -> bool {
        self.outcomes.iter().any(|(_, outcome)| outcome.is_err())
    }

    fn outcome(&self, case: &Case, role: Role) -> Option<&Result<(), String>> {
        self.outcomes
            .iter()
            .find(|((ran, in_role), _)| ran.id == case.id && *in_role == role)
            .map(|(_, outcome)| outcome)
    }

    /// How many of these passed, for people: `3 of 3`, or `-` where none has run.
    fn passed(&self, counts: impl Fn(&Case, Role) -> bool) -> String {
        let ran: Vec<_> = self.outcomes.iter().filter(|((case, role), _)| counts(case, *role)).collect();
        let passed = ran.iter().filter(|(_, outcome)| outcome.is_ok()).count();
        if ran.is_empty() { "-".to_owned() } else { format!("{passed} of {}", ran.len()) }
    }

    fn has_run<'c>(&self, cases: impl IntoIterator<Item = &'c Case>) -> bool {
        cases.into_iter().any(|case| case.roles.iter().any(|role| self.outcome(case, *role).is_some()))
    }

    fn cell(&self, case: &Case, role: Role) -> &'static str {
        match self.outcome(case, role) {
            None => "-",
            Some(Ok(())) => "passed",
            Some(Err(_)) => "FAILED",
        }
    }

    /// A line for each case of a group.
    fn write_cases(&self, group: &Group, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, section) in group.sections.iter().enumerate() {
            if !self.has_run(&section.cases) {
                continue;
            }
            writeln!(f, "{:<9}{}", format!("{}.{}", group.number, position + 1), section.topic)?;
            for case in section.cases.iter().filter(|case| self.has_run([*case])) {
                let (server, client) = (self.cell(case, Role::Server), self.cell(case, Role::Client));
                writeln!(f, "{:<9}  {:<73}{server:<9}{client}", case.id, case.name)?;
            }
        }
        writeln!(f)
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{:<9}{:<55}{:<13}client", "", "passed:", "server")?;
        for group in self.groups.iter().filter(|group| self.has_run(group.cases())) {
            let in_group = |case: &Case| group.cases().any(|own| own.id == case.id);
            let of_role = |role| self.passed(|case, in_role| in_role == role && in_group(case));
            let (server, client) = (of_role(Role::Server), of_role(Role::Client));
            writeln!(f, "{:<9}{:<55}{server:<13}{client}", group.number, group.topic)?;
            let has_failed = self.outcomes.iter().any(|((case, _), outcome)| outcome.is_err() && in_group(case));
            if self.verbose || has_failed {
                self.write_cases(group, f)?;
            }
        }
        for ((case, role), outcome) in &self.outcomes {
            if let Err(error) = outcome {
                writeln!(f, "\nFAILED {} {} ({role})\n  {error}", case.id, case.name)?;
            }
        }
        let of_role = |role| self.passed(|_, in_role| in_role == role);
        let (all, server, client) = (self.passed(|_, _| true), of_role(Role::Server), of_role(Role::Client));
        writeln!(f, "\nD10: passed {all} (server {server}, client {client})")
    }
}

//! Tests that need a process in which nothing else runs.

use std::process::Command;
use std::time::Duration;

use crate::support::PATIENCE;
use crate::support::child::{Process, command, task, tell};

/// How long a process may take that counts something.
pub(crate) const LONG: Duration = Duration::from_secs(15 * 60);

/// The command that runs a test of `module` once more, with a task.
pub(crate) fn again(module: &str, test: &str, task: &str) -> Command {
    again_under(&[], module, test, task)
}

/// The same under another program, such as a tracer.
pub(crate) fn again_under(wrap: &[&str], module: &str, test: &str, task: &str) -> Command {
    // A test's name is its path without the crate.
    let (_, module) = module.split_once("::").unwrap();
    command(wrap, &format!("{module}::{test}"), task)
}

/// Runs `work` in a process of its own, for counting what belongs to a process; prints the line that it returns.
pub(crate) fn alone(module: &str, test: &str, work: impl FnOnce() -> String) {
    if task().is_some() {
        return tell("figure", work());
    }
    let mut process = Process::spawn(again(module, test, "alone"));
    println!("{}", process.hear_within("figure", LONG));
    assert!(process.wait(PATIENCE).is_some_and(|status| status.success()));
}

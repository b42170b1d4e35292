//! Tests that need a process in which nothing else runs: the same test program once more, which runs that one test.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use crate::child;

/// How long a process may take that counts something.
pub const LONG: Duration = Duration::from_secs(15 * 60);

/// The environment variable that tells a process that it runs one test alone, or belongs to one that does.
const ALONE: &str = "LEADS_COMM_TEST_ALONE";

/// Runs the test that begins with it in a process of its own: what counts the threads, descriptors or memory of its
/// process, or changes what belongs to it, such as its logger or its limits. Also what starts processes, since those
/// have a moment's share in whatever other tests have open: a port stays taken, a stream does not end.
///
/// In the process that was asked to run the test, the rest of it is not run.
#[macro_export]
macro_rules! alone {
    () => {
        if $crate::alone::is_elsewhere() {
            return;
        }
    };
}

/// Runs the test of this thread in another process, unless this is that process or one that it has started; whether it
/// was run there. What it prints is printed here.
///
/// # Panics
///
/// If it fails there.
pub fn is_elsewhere() -> bool {
    if std::env::var_os(ALONE).is_some() || child::task().is_some() {
        return false;
    }
    let thread = thread::current();
    let test = thread.name().expect("a thread of a test has the test's name");
    let mut command = child::test(&[], test);
    command.env(ALONE, test).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let (said, lines) = mpsc::channel();
    pass_on(process.stdout.take().unwrap(), said.clone());
    pass_on(process.stderr.take().unwrap(), said);
    let mut passed = false;
    for line in lines {
        passed |= line.starts_with("test result: ok. 1 passed");
        match own(&line, test) {
            // To be seen also when the test passes.
            Some(line) if line.starts_with("skipped: ") => drop(writeln!(io::stderr(), "{line}")),
            Some(line) => println!("{line}"),
            None => {}
        }
    }
    let status = process.wait().unwrap();
    assert!(status.success(), "it fails in a process of its own, see above: {status}");
    assert!(passed, "{test} was not run in a process of its own");
    true
}

/// Gives out the lines of a pipe.
fn pass_on(pipe: impl Read + Send + 'static, said: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            if said.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    });
}

/// What the test itself has said in a line, if anything; the rest is the harness's.
fn own<'a>(line: &'a str, test: &str) -> Option<&'a str> {
    let begun = line.strip_prefix("test ").and_then(|line| line.strip_prefix(test)?.strip_prefix(" ... "));
    let line = begun.unwrap_or(line);
    let is_the_harness = ["", "ok", "FAILED", "running 1 test"].contains(&line) || line.starts_with("test result: ");
    (!is_the_harness).then_some(line)
}

/// The command that runs a test of a module once more, with a [task](child::task). The module's path is that of
/// `module_path!()`.
pub fn again(module: &str, test: &str, task: &str) -> Command {
    again_under(&[], module, test, task)
}

/// The same under another program, such as a tracer.
pub fn again_under(wrap: &[&str], module: &str, test: &str, task: &str) -> Command {
    // A test's name is its path without the crate.
    let (_, module) = module.split_once("::").unwrap();
    child::command(wrap, &format!("{module}::{test}"), task)
}

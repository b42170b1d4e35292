//! Tests that need a process: one in which nothing else runs, or one that can be killed.

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::PATIENCE;

/// What the other process is to do; absent in the process that was started by hand.
const ROLE: &str = "LEADS_COMM_TEST_ROLE";

/// How long a process may take that counts something.
pub(crate) const LONG: Duration = Duration::from_secs(15 * 60);

/// What this process is, when it has been started by a test.
pub(crate) fn role() -> Option<String> {
    env::var(ROLE).ok()
}

/// This program once more, to run one test, in which [`role`] gives the given one.
pub(crate) fn again(module: &str, test: &str, role: &str) -> Command {
    again_under(&[], module, test, role)
}

/// The same under another program, such as a tracer.
pub(crate) fn again_under(program: &[&str], module: &str, test: &str, role: &str) -> Command {
    let this = env::current_exe().unwrap();
    let mut words: Vec<_> = program.iter().map(Into::into).collect();
    words.push(this.into_os_string());
    let mut command = Command::new(&words[0]);
    // A test's name is its path without the crate.
    let (_, module) = module.split_once("::").unwrap();
    command.args(&words[1..]).args(["--exact", &format!("{module}::{test}"), "--include-ignored", "--nocapture"]);
    command.arg("--test-threads=1").env(ROLE, role).stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// A process started by a test, which does not outlive it.
pub(crate) struct Process {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Process {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (tell, lines) = mpsc::channel();
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Self { child, lines }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What follows `key` in the next line that begins with it; [`tell`] writes it.
    pub(crate) fn hear(&self, key: &str) -> String {
        self.hear_within(key, 3 * PATIENCE)
    }

    pub(crate) fn hear_within(&self, key: &str, time: Duration) -> String {
        let deadline = Instant::now() + time;
        loop {
            let line = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            let line = line.unwrap_or_else(|_| panic!("the process does not tell its {key}; what it says is above"));
            // The harness may have begun the line.
            if let Some((_, rest)) = line.split_once(&format!("{key} = ")) {
                return rest.to_owned();
            }
        }
    }

    /// Waits for the end, at most so long.
    pub(crate) fn wait(&mut self, time: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + time;
        loop {
            match self.child.try_wait().unwrap() {
                Some(status) => return Some(status),
                None if Instant::now() >= deadline => return None,
                None => thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    pub(crate) fn kill(&mut self) {
        // By SIGKILL, on Unix.
        self.child.kill().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes a line for [`Process::hear`].
pub(crate) fn tell(key: &str, value: impl std::fmt::Display) {
    println!("\n{key} = {value}");
}

/// Runs `work` in a process of its own, for counting what belongs to a process; prints the line that it returns.
pub(crate) fn alone(module: &str, test: &str, work: impl FnOnce() -> String) {
    if role().is_some() {
        return tell("figure", work());
    }
    let mut process = Process::start(again(module, test, "alone"));
    println!("{}", process.hear_within("figure", LONG));
    assert!(process.wait(PATIENCE).is_some_and(|status| status.success()));
}

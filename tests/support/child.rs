//! Other processes: this same test program once more, running one of its tests with a task.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use super::PATIENCE;

/// What tells a test that it is such a process, and what it is to do.
const TASK: &str = "LEADS_COMM_TEST_TASK";

/// The task of this process, when it is another test's child.
pub fn task() -> Option<String> {
    std::env::var(TASK).ok()
}

/// Tells the parent something.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "> {line}").unwrap();
    out.flush().unwrap();
}

/// A child that runs the test `name` with `task`; `wrap` is the command, if any, under which it runs.
pub struct Process {
    pub child: Child,
    stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
}

impl Process {
    pub fn start(name: &str, task: &str) -> Self {
        Self::start_under(&[], name, task)
    }

    pub fn start_under(wrap: &[&str], name: &str, task: &str) -> Self {
        Self::spawn(command(wrap, name, task))
    }

    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (said, lines) = mpsc::channel();
        let stdout = child.stdout.take().unwrap();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // The harness of the tests may have begun a line.
                if let Some((_, line)) = line.split_once("> ") {
                    let _ = said.send(line.to_owned());
                }
            }
        });
        Self { stdin: child.stdin.take(), child, lines }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next thing that the child says.
    pub fn line(&self) -> String {
        self.lines.recv_timeout(3 * PATIENCE).expect("the child says nothing")
    }

    /// The next thing that it says, or `None` when it has ended.
    pub fn next_line(&self) -> Option<String> {
        match self.lines.recv_timeout(3 * PATIENCE) {
            Ok(line) => Some(line),
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("the child says nothing"),
        }
    }

    /// Lets the child's [`wait_for_parent`] return.
    pub fn release(&mut self) {
        self.stdin = None;
    }

    /// Sends it a signal, by the name that `kill` knows.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([&format!("-{signal}"), &self.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command that starts such a child.
pub fn command(wrap: &[&str], name: &str, task: &str) -> Command {
    let program = std::env::current_exe().unwrap();
    let mut command = match wrap {
        [] => Command::new(&program),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(&program);
            command
        }
    };
    command.args(["--exact", name, "--nocapture", "--include-ignored", "--test-threads=1"]).env(TASK, task);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// Blocks until the parent has ended, or releases this process.
pub fn wait_for_parent() {
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
}

/// Whether a program can be started; when not, says that what needs it is skipped.
pub fn is_there(program: &str, needed_for: &str) -> bool {
    let there = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let there = there.is_ok_and(|status| status.success());
    if !there {
        eprintln!("skipped: {needed_for} needs {program}");
    }
    there
}

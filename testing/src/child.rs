//! Other processes: this same test program once more, running one of its tests with a task.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::{PATIENCE, runner, skipped};

/// What tells a test that it is such a process, and what it is to do.
const TASK: &str = "LEADS_COMM_TEST_TASK";

/// The task of this process, when it is another test's child.
pub fn task() -> Option<String> {
    std::env::var(TASK).ok()
}

/// Tells the parent something.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // The harness of the tests may have begun a line.
    writeln!(out, "\n> {line}").unwrap();
    out.flush().unwrap();
}

/// Tells the parent a value, for which it [listens](Process::hear) by its key.
pub fn tell(key: &str, value: impl Display) {
    say(&format!("{key} = {value}"));
}

/// A child that runs the test `name` with `task`; `wrap` is the command, if any, under which it runs.
pub struct Process {
    /// The process itself.
    pub child: Child,
    stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
}

impl Process {
    /// Runs the test `name` with `task`.
    pub fn start(name: &str, task: &str) -> Self {
        Self::start_under(&[], name, task)
    }

    /// The same under another command.
    pub fn start_under(wrap: &[&str], name: &str, task: &str) -> Self {
        Self::spawn(command(wrap, name, task))
    }

    /// Starts what [`command`] has made.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (said, lines) = mpsc::channel();
        let stdout = child.stdout.take().unwrap();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(line) = line.strip_prefix("> ") {
                    let _ = said.send(line.to_owned());
                }
            }
        });
        Self { stdin: child.stdin.take(), child, lines }
    }

    /// Its number.
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

    /// What it [tells](tell) next by this key.
    pub fn hear(&self, key: &str) -> String {
        self.hear_within(key, 3 * PATIENCE)
    }

    /// The same, for as long as this.
    pub fn hear_within(&self, key: &str, time: Duration) -> String {
        let deadline = Instant::now() + time;
        loop {
            let line = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            let line = line.unwrap_or_else(|_| panic!("the child does not tell its {key}; what it says is above"));
            if let Some((_, value)) = line.split_once(" = ").filter(|(told, _)| *told == key) {
                return value.to_owned();
            }
        }
    }

    /// Tells it something, as a line of its input.
    pub fn tell(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().expect("it has not been released"), "{line}").unwrap();
    }

    /// Waits for its end, at most so long.
    pub fn wait(&mut self, time: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + time;
        loop {
            match self.child.try_wait().unwrap() {
                Some(status) => return Some(status),
                None if Instant::now() >= deadline => return None,
                None => thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    /// Ends it as a crash does: by SIGKILL, on Unix.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
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
        // Ends also what runs under another program, if it reads its input.
        self.release();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command that starts such a child.
pub fn command(wrap: &[&str], name: &str, task: &str) -> Command {
    let mut command = test(wrap, name);
    command.env(TASK, task).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// The command that runs one test of this program, also one that is ignored, and shows what it prints.
pub fn test(wrap: &[&str], name: &str) -> Command {
    let this = std::env::current_exe().unwrap();
    let mut words: Vec<OsString> = wrap.iter().map(Into::into).collect();
    words.extend(runner::words(this));
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command.args(["--exact", name, "--nocapture", "--include-ignored", "--test-threads=1"]);
    command
}

/// Whether `strace` can see a program's calls, and make them fail; when not, says that what needs it is skipped.
pub fn can_trace(needed_for: &str) -> bool {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "inject=accept4:error=EIO:when=1", "true"]);
    let why = if cfg!(leads_comm_emulated) {
        "would see qemu's calls"
    } else if strace.stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        return true;
    } else {
        "is missing, or may not trace"
    };
    skipped(format_args!("{needed_for} needs strace, which {why}"));
    false
}

/// Blocks until the parent has ended, or releases this process.
pub fn wait_for_parent() {
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
}

/// Whether a program can be started; when not, says that what needs it is skipped.
pub fn is_there(program: &str, needed_for: &str) -> bool {
    let there = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    // Some end with an error behind their version. Where an emulator starts it, one that is not there ends with 127.
    let there = there.is_ok_and(|status| status.code() != Some(127));
    if !there {
        skipped(format_args!("{needed_for} needs {program}"));
    }
    there
}

//! An example that runs.

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

#[cfg(windows)]
use leads_comm_testing::console::{self, Console};
#[cfg(unix)]
use leads_comm_testing::runner;

/// How long anything may take before a test gives up: far longer than it ever should, also on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running example, which does not outlive the test.
pub(crate) struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Lines,
    stderr: Lines,
    #[cfg(windows)]
    console: Option<Console>,
}

/// How an example has ended: its exit code, and the lines that nobody had read before.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<String>,
    pub(crate) stderr: Vec<String>,
}

/// The lines of a pipe, as they come.
struct Lines {
    lines: Receiver<Vec<u8>>,
}

impl Process {
    pub(crate) fn start(example: &str, arguments: &[&str]) -> Self {
        let (mut process, stdout) = Self::start_unread(example, arguments);
        process.stdout = Lines::of(stdout);
        process
    }

    /// Leaves stdout to the test.
    pub(crate) fn start_unread(example: &str, arguments: &[&str]) -> (Self, ChildStdout) {
        let mut process = Self::spawn(&mut command(example, arguments));
        let stdout = process.child.stdout.take().unwrap();
        (process, stdout)
    }

    /// Starts a command as it is, with pipes to this test where it says nothing else.
    #[cfg(target_os = "linux")]
    pub(crate) fn start_command(command: &mut Command) -> Self {
        let mut process = Self::spawn(command);
        if let Some(stdout) = process.child.stdout.take() {
            process.stdout = Lines::of(stdout);
        }
        process
    }

    fn spawn(command: &mut Command) -> Self {
        #[cfg(unix)]
        let mut child = command.spawn().unwrap();
        #[cfg(windows)]
        let (mut child, console) = Console::spawn(command);
        let stdin = child.stdin.take();
        let stderr = child.stderr.take().map_or_else(|| Lines::of(io::empty()), Lines::of);
        Self {
            child,
            stdin,
            stdout: Lines::of(io::empty()),
            stderr,
            #[cfg(windows)]
            console,
        }
    }

    /// Writes to stdin; blocks as long as the example does not read.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("stdin is closed");
        stdin.write_all(bytes).and_then(|()| stdin.flush()).unwrap();
    }

    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// The next line of stdout, which the example has flushed and whose end it has written.
    pub(crate) fn line(&self) -> String {
        text(self.stdout.next().expect("stdout has ended"))
    }

    /// The next line of stderr.
    pub(crate) fn error_line(&self) -> String {
        text(self.stderr.next().expect("stderr has ended"))
    }

    /// The first line of stdout with `part` in it.
    pub(crate) fn line_with(&self, part: &str) -> String {
        loop {
            let line = self.line();
            if line.contains(part) {
                return line;
            }
        }
    }

    /// The first line of an example that listens; the port in it.
    pub(crate) fn port(&self) -> u16 {
        let line = self.line();
        let port = line.strip_prefix("listening on 127.0.0.1:").and_then(|port| port.parse().ok());
        port.filter(|port| *port > 0).unwrap_or_else(|| panic!("the first line is {line:?}"))
    }

    /// Waits for the end.
    pub(crate) fn end(mut self) -> Ended {
        self.end_by_itself()
    }

    /// Closes stdin and waits for the end.
    pub(crate) fn end_input(mut self) -> Ended {
        self.close_stdin();
        self.end_by_itself()
    }

    fn end_by_itself(&mut self) -> Ended {
        // The pipes end when the process does.
        let stdout = self.stdout.rest();
        let stderr = self.stderr.rest();
        let status = self.child.wait().unwrap();
        let code = status.code().unwrap_or_else(|| panic!("ended by a signal: {status}"));
        Ended { code, stdout, stderr }
    }

    /// Sends a signal by its name, as `kill` knows it.
    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success(), "kill: {status}");
    }

    /// Sends Ctrl-C, which is `INT`, or Ctrl-Break, `TERM`.
    #[cfg(windows)]
    pub(crate) fn signal(&self, name: &str) {
        self.console.as_ref().expect("it has a console").signal(name);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        #[cfg(windows)]
        if let Some(console) = &self.console {
            console.kill();
        }
        // Fails when it has ended.
        #[cfg(unix)]
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let (tell, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        Self { lines }
    }

    /// `None` at the end.
    fn next(&self) -> Option<Vec<u8>> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("nothing more was printed, and the example has not ended"),
        }
    }

    fn rest(&self) -> Vec<String> {
        std::iter::from_fn(|| self.next()).map(text).collect()
    }
}

/// No test: what is between a test and an example.
#[cfg(windows)]
#[test]
fn keeper() {
    console::keep();
}

/// Runs an example to its end, without input.
pub(crate) fn run(example: &str, arguments: &[&str]) -> Ended {
    Process::start(example, arguments).end_input()
}

/// An example with pipes, which its caller may still change.
pub(crate) fn command(example: &str, arguments: &[&str]) -> Command {
    #[cfg(unix)]
    let mut command = runner::command(path(example));
    #[cfg(windows)]
    let mut command = console::command("process::keeper", path(example));
    command.args(arguments).env_remove("RUST_LOG");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Where cargo puts an example: beside the folder of the tests, for the same profile.
pub(crate) fn path(example: &str) -> PathBuf {
    let test = env::current_exe().unwrap();
    let profile = test.parent().and_then(|deps| deps.parent()).expect("tests are in target/<profile>/deps");
    let path = profile.join("examples").join(example).with_extension(env::consts::EXE_EXTENSION);
    assert!(path.is_file(), "{} is missing: `cargo build --examples`, for the same profile, makes it", path.display());
    path
}

fn text(line: Vec<u8>) -> String {
    String::from_utf8(line).unwrap()
}

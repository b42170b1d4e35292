//! The command, running.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
#[cfg(unix)]
use std::sync::{Arc, Once, atomic::AtomicBool};
use std::thread;
use std::time::{Duration, Instant};

#[cfg(windows)]
use leads_comm_testing::console::{self, Console};
#[cfg(unix)]
use leads_comm_testing::runner;
#[cfg(unix)]
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM},
    flag::register_conditional_default,
};

/// The command, which [`runner::words`] start.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_leads-comm");

/// How long anything may take before a test gives up: far longer than it ever should, also on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(if cfg!(leads_comm_emulated) { 120 } else { 30 });

/// What ends the command as it should, as [`Process::signal`] knows it.
#[cfg(unix)]
pub(crate) const SIGNALS: [&str; 3] = ["INT", "TERM", "HUP"];
#[cfg(windows)]
pub(crate) const SIGNALS: [&str; 2] = ["INT", "TERM"];

/// The command as a process, which does not outlive the test.
pub(crate) struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Lines,
    stderr: Lines,
    #[cfg(windows)]
    console: Option<Console>,
}

/// How it has ended: its exit code, and the lines that nobody had read before.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<String>,
    pub(crate) stderr: Vec<String>,
}

/// The lines of a pipe, as they come.
struct Lines {
    name: &'static str,
    lines: Receiver<Vec<u8>>,
}

/// `leads-comm ARGUMENTS`, with pipes and without what the environment says to it; its caller may still change it.
pub(crate) fn command(arguments: &[&str]) -> Command {
    #[cfg(unix)]
    let mut command = runner::command(PROGRAM);
    #[cfg(windows)]
    let mut command = console::command("process::keeper", PROGRAM);
    command.args(arguments);
    prepare(&mut command);
    command
}

/// Pipes, and no variable that the command looks at.
pub(crate) fn prepare(command: &mut Command) {
    for variable in ["RUST_LOG", "LEADS_COMM_TOKEN", "NO_COLOR", "TERM", "COLUMNS"] {
        command.env_remove(variable);
    }
    command.env("TZ", "UTC");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
}

/// Where the tests run in the background of a script, they were started with signals ignored, and so would be what they
/// start. Signals that are handled are not inherited: each is handled here as it is by default.
#[cfg(unix)]
fn hear_signals() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
            register_conditional_default(signal, Arc::new(AtomicBool::new(true))).unwrap();
        }
    });
}

/// No test: what is between a test and the command.
#[cfg(windows)]
#[test]
fn keeper() {
    console::keep();
}

/// Runs it to its end, without input.
pub(crate) fn run(arguments: &[&str]) -> Ended {
    Process::start(arguments).end_input()
}

impl Process {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::spawn(&mut command(arguments))
    }

    /// Starts what [`command`] has made, or another program under which it runs.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let (mut process, stdout) = Self::spawn_unread(command);
        if let Some(stdout) = stdout {
            process.stdout = Lines::of("stdout", stdout);
        }
        process
    }

    /// Leaves stdout to the test.
    pub(crate) fn start_unread(arguments: &[&str]) -> (Self, ChildStdout) {
        let (process, stdout) = Self::spawn_unread(&mut command(arguments));
        (process, stdout.expect("it is a pipe"))
    }

    fn spawn_unread(command: &mut Command) -> (Self, Option<ChildStdout>) {
        #[cfg(unix)]
        hear_signals();
        #[cfg(unix)]
        let mut child = command.spawn().unwrap();
        #[cfg(windows)]
        let (mut child, console) = Console::spawn(command);
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let stderr = child.stderr.take();
        let stderr = stderr.map_or_else(|| Lines::of("stderr", io::empty()), |stderr| Lines::of("stderr", stderr));
        let process = Self {
            child,
            stdin,
            stdout: Lines::of("stdout", io::empty()),
            stderr,
            #[cfg(windows)]
            console,
        };
        (process, stdout)
    }

    /// Writes to stdin; blocks as long as the command does not read.
    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let stdin = self.stdin.as_mut().expect("stdin is closed");
        stdin.write_all(bytes.as_ref()).and_then(|()| stdin.flush()).unwrap();
    }

    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Stdin by itself, for a thread that writes more than the pipe holds.
    pub(crate) fn take_stdin(&mut self) -> ChildStdin {
        self.stdin.take().expect("stdin is closed")
    }

    /// The next line of stdout, once its end is written.
    #[track_caller]
    pub(crate) fn line(&self) -> String {
        text(self.line_bytes())
    }

    #[track_caller]
    pub(crate) fn line_bytes(&self) -> Vec<u8> {
        self.stdout.next().unwrap_or_else(|| panic!("stdout has ended; stderr: {:?}", self.stderr.rest()))
    }

    /// The next line of stdout, unless it does not come in time, or there is none.
    pub(crate) fn line_in_time(&self) -> Option<String> {
        self.stdout.lines.recv_timeout(PATIENCE).ok().map(text)
    }

    /// What it has said on stderr by now, and nobody has read.
    pub(crate) fn said(&self) -> Vec<String> {
        self.stderr.lines.try_iter().map(text).collect()
    }

    /// The next line of stderr.
    #[track_caller]
    pub(crate) fn error_line(&self) -> String {
        text(self.stderr.next().expect("stderr has ended"))
    }

    /// The first line of stdout with `part` in it.
    #[track_caller]
    pub(crate) fn line_with(&self, part: &str) -> String {
        self.stdout.find(part)
    }

    /// The first line of stderr with `part` in it.
    #[track_caller]
    pub(crate) fn error_line_with(&self, part: &str) -> String {
        self.stderr.find(part)
    }

    /// Asserts that it neither prints nor ends for a while.
    #[track_caller]
    pub(crate) fn expect_patience(&self, time: Duration) {
        assert_eq!(self.stdout.lines.recv_timeout(time), Err(RecvTimeoutError::Timeout));
    }

    /// Waits for the end.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ended {
        self.wait()
    }

    /// Closes stdin and waits for the end.
    #[track_caller]
    pub(crate) fn end_input(mut self) -> Ended {
        self.close_stdin();
        self.wait()
    }

    /// Waits for the end, and leaves the process's number to the test.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> Ended {
        // The pipes end when the process does.
        let stdout = self.stdout.rest();
        let stderr = self.stderr.rest();
        let status = self.exit_status();
        let code = status.code().unwrap_or_else(|| panic!("ended by a signal: {status}"));
        Ended { code, stdout, stderr }
    }

    /// Waits for the end; how the system tells it, which may be by a signal.
    #[track_caller]
    pub(crate) fn status(mut self) -> ExitStatus {
        self.exit_status()
    }

    #[track_caller]
    fn exit_status(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait().unwrap() {
                Some(status) => return status,
                None => assert!(Instant::now() < deadline, "it does not end"),
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn id(&self) -> u32 {
        #[cfg(windows)]
        if let Some(console) = &self.console {
            return console.id();
        }
        self.child.id()
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

    /// Ends it as a crash does: by SIGKILL, on Unix. Returns when it has gone.
    pub(crate) fn kill(&mut self) {
        self.end_it().unwrap();
        self.child.wait().unwrap();
    }

    fn end_it(&mut self) -> io::Result<()> {
        #[cfg(windows)]
        if let Some(console) = &self.console {
            console.kill();
            return Ok(());
        }
        self.child.kill()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails when it has ended.
        let _ = self.end_it();
        let _ = self.child.wait();
    }
}

impl Lines {
    fn of(name: &'static str, pipe: impl Read + Send + 'static) -> Self {
        let (tell, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        Self { name, lines }
    }

    /// `None` at the end.
    #[track_caller]
    fn next(&self) -> Option<Vec<u8>> {
        self.next_by(Instant::now() + PATIENCE)
    }

    #[track_caller]
    fn next_by(&self, deadline: Instant) -> Option<Vec<u8>> {
        match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no more comes on {}, and it has not ended", self.name),
        }
    }

    #[track_caller]
    fn find(&self, part: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut passed = Vec::new();
        loop {
            let line = self.next_by(deadline).map(text);
            match line.unwrap_or_else(|| panic!("{} has ended without {part:?}: {passed:?}", self.name)) {
                line if line.contains(part) => return line,
                line => passed.push(line),
            }
            assert!(Instant::now() < deadline, "no {part:?} on {}: {passed:?}", self.name);
        }
    }

    #[track_caller]
    fn rest(&self) -> Vec<String> {
        std::iter::from_fn(|| self.next()).map(text).collect()
    }
}

fn text(line: Vec<u8>) -> String {
    String::from_utf8(line).unwrap_or_else(|error| error.into_bytes().escape_ascii().to_string())
}

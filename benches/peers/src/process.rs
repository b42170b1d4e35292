//! Other processes: the two of a run, as the runner sees them, and commands that are asked something.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::stage::Event;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Server,
    Client,
}

/// How long a process has to end by itself before it is killed.
const FAREWELL: Duration = Duration::from_secs(2);

/// How much of what it complains about is kept.
const COMPLAINT: u64 = 2048;

/// Ends with its handle.
pub(crate) struct Process {
    child: Child,
    orders: ChildStdin,
    complaint: Option<JoinHandle<String>>,
}

impl Process {
    /// Starts it; what it says goes to `events`.
    pub(crate) fn start(mut command: Command, side: Side, events: Sender<(Side, Event)>) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let (Some(orders), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            unreachable!("all three are piped");
        };
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let event = serde_json::from_str(&line).unwrap_or(Event::Failed(line));
                if events.send((side, event)).is_err() {
                    return;
                }
            }
            let _ = events.send((side, Event::Failed("ended before its time".to_owned())));
        });
        let complaint = thread::spawn(move || {
            let mut stderr = BufReader::new(stderr);
            let mut complaint = Vec::new();
            let _ = stderr.by_ref().take(COMPLAINT).read_to_end(&mut complaint);
            // Read on, so that it is not held up.
            let _ = io::copy(&mut stderr, &mut io::sink());
            String::from_utf8_lossy(&complaint).trim().replace('\n', " / ")
        });
        Ok(Self { child, orders, complaint: Some(complaint) })
    }

    /// Gives it an order; one that is gone is noticed by what it says no more.
    pub(crate) fn tell(&mut self, order: &str) {
        let _ = writeln!(self.orders, "{order}");
    }

    /// What it has written to stderr. Ends it.
    pub(crate) fn complaint(&mut self) -> String {
        self.end(Duration::ZERO);
        self.complaint.take().and_then(|reading| reading.join().ok()).unwrap_or_default()
    }

    fn end(&mut self, patience: Duration) {
        let deadline = Instant::now() + patience;
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() >= deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end(FAREWELL);
    }
}

impl Side {
    pub(crate) fn other(self) -> Self {
        match self {
            Side::Server => Side::Client,
            Side::Client => Side::Server,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Server => "server",
            Side::Client => "client",
        })
    }
}

/// What a command prints, on one line; empty if it cannot.
pub(crate) fn said(command: &str, arguments: &[&str]) -> String {
    let output = Command::new(command).args(arguments).output();
    let printed = output.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    String::from_utf8_lossy(&printed.unwrap_or_default()).trim().to_owned()
}

//! LEADS in a process of its own, and what it takes for that.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Instant;

use leads_comm_testing::{PATIENCE, checkout, skipped, until};

/// Where LEADS is; none when it, or Python, is not there, and then says that a test is skipped.
pub(crate) fn leads() -> Option<&'static Path> {
    static LEADS: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let find = || {
        let folder = env::var_os("LEADS_PATH").map(PathBuf::from);
        let folder = folder.unwrap_or_else(|| checkout().join("target/leads"));
        if !has_python() {
            Err("python3, 3.11 or later, is not there".to_owned())
        } else if !folder.join("leads/comm").is_dir() {
            let folder = folder.display();
            Err(format!("the LEADS module is not in {folder}; get it with `python3 tests/interop/fetch.py`"))
        } else {
            Ok(folder)
        }
    };
    LEADS.get_or_init(find).as_deref().map_err(skipped).ok()
}

fn has_python() -> bool {
    let mut python = Command::new("python3");
    python.args(["-c", "import sys; sys.exit(sys.version_info < (3, 11))"]);
    python.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// A process with LEADS in it. Killed when dropped.
pub(crate) struct Peer {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Peer {
    /// Starts a client of the server at `port`, or a server at any port for 0; it is ready.
    pub(crate) fn start(leads: &Path, role: &str, port: u16, separator: &str) -> (Self, u16) {
        Self::start_saying(None, leads, role, port, separator)
    }

    /// The same for one that sends a token first.
    pub(crate) fn start_saying(
        token: Option<&str>,
        leads: &Path,
        role: &str,
        port: u16,
        separator: &str,
    ) -> (Self, u16) {
        let mut child = Command::new("python3")
            .envs(token.map(|token| ("LEADS_TOKEN", token)))
            .arg(checkout().join("tests/interop/peer.py"))
            .args([role, &port.to_string(), separator])
            .env("PYTHONPATH", leads)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (teller, lines) = mpsc::channel();
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| teller.send(line)));
        let peer = Self { child, stdin, lines };
        let port = peer.expect("ready").parse().unwrap();
        (peer, port)
    }

    pub(crate) fn tell(&mut self, command: &str) {
        let stdin = self.stdin.as_mut().expect("stdin is open until the end");
        writeln!(stdin, "{command}").unwrap();
    }

    /// The next line, which has to begin with this word; what follows it.
    #[track_caller]
    pub(crate) fn expect(&self, word: &str) -> String {
        let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("LEADS does not say `{word}`"));
        match line.strip_prefix(word) {
            Some(rest) => rest.trim_start().to_owned(),
            None => panic!("LEADS says `{line}` instead of `{word}`"),
        }
    }

    /// Asserts that no thread of LEADS is left but `threads`, and that these have nothing to do.
    pub(crate) fn expect_rest(&mut self, threads: usize) {
        let begun = Instant::now();
        loop {
            self.tell("rest");
            let rested = self.expect("rested");
            let (alive, cpu) = rested.split_once(' ').unwrap();
            // A thread that spins takes most of 200 ms on a free core, and on a busy one it is still there in the end.
            if alive.parse() == Ok(threads) && cpu.parse::<u64>().unwrap() < 50_000_000 {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{alive} threads instead of {threads}, {cpu} ns in 0.2 s");
        }
    }

    /// Closes stdin, and waits for a regular end.
    pub(crate) fn end(mut self) {
        self.stdin = None;
        let mut status = None;
        until("LEADS ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        assert!(status.unwrap().success(), "{status:?}");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

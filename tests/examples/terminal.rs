//! Examples on a terminal: in the background of a shell, and on one that is narrow.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::process::{PATIENCE, Process, command, path};
use crate::wire::Peer;

/// A terminal whose keyboard and screen are the test's.
struct Terminal {
    keyboard: File,
    /// What comes to the screen, a line at a time.
    screen: Receiver<String>,
    line: File,
}

impl Terminal {
    fn open(columns: u16) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let line = rustix::fs::open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        tcsetwinsize(&line, Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let keyboard = File::from(ours);
        let reading = keyboard.try_clone().unwrap();
        let (tell, screen) = mpsc::channel();
        thread::spawn(move || {
            // Ends when nobody has the line open any more.
            for line in BufReader::new(reading).split(b'\n').map_while(Result::ok) {
                let _ = tell.send(String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned());
            }
        });
        Self { keyboard, screen, line: line.into() }
    }

    fn type_in(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    fn stdio(&self) -> Stdio {
        self.line.try_clone().unwrap().into()
    }

    /// The next line with `part` in it.
    fn line_with(&self, part: &str) -> String {
        loop {
            let line = self.screen.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no {part:?} on the screen"));
            if line.contains(part) {
                return line;
            }
        }
    }
}

/// What a line shows, without what it says to the terminal.
fn shown(line: &str) -> String {
    let mut shown = String::new();
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        match char {
            // `ESC 7`, or `ESC [ … letter`.
            '\x1b' if chars.next() == Some('[') => drop(chars.find(char::is_ascii_alphabetic)),
            '\x1b' | '\r' => {}
            _ => shown.push(char),
        }
    }
    shown
}

/// An example in the background of an interactive shell, which keeps the terminal until it reads a line from it.
fn start_in_background(terminal: &Terminal, example: &str, arguments: &[&str]) -> Process {
    let script = "exec 3<&0; set -m; \"$0\" \"$@\" <&3 & read line <&3; fg";
    let mut shell = Command::new("setsid");
    shell.args(["--ctty", "sh", "-c", script]).arg(path(example)).args(arguments);
    shell.env_remove("RUST_LOG").stdin(terminal.stdio()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Process::start_command(&mut shell)
}

#[test]
fn in_the_background_nothing_is_read_and_nothing_stopped() {
    let mut terminal = Terminal::open(80);
    let server = start_in_background(&terminal, "server", &["--port", "0", "--echo"]);
    let peer = Peer::connect(server.port());
    peer.write("before;");
    peer.expect("before;");
    // For the shell, which brings the server to the foreground. What is typed then is for the server.
    terminal.type_in("fg\n");
    terminal.type_in("typed\n");
    peer.expect("typed;");
    // Ctrl-C.
    terminal.type_in("\x03");
    peer.expect_goodbye();
}

/// Telemetry on a terminal of its own.
fn start_telemetry(terminal: &Terminal, arguments: &[&str]) -> Process {
    let mut command = command("telemetry", arguments);
    Process::start_command(command.stdin(terminal.stdio()).stdout(terminal.stdio()))
}

/// Asserts that nothing is longer than a row, up to a line with `part` in it that is shown `times`.
#[track_caller]
fn assert_fits(terminal: &Terminal, columns: u16, part: &str, times: usize) {
    for _ in 0..times {
        let mut line = String::new();
        while !line.contains(part) {
            line = shown(&terminal.line_with(""));
            assert!(line.chars().count() <= columns.into(), "{columns}: {line:?}");
        }
    }
}

#[test]
fn telemetry_fits_the_terminal() {
    let publisher = Process::start("telemetry", &["--serve", "--port", "0", "--rate", "100"]);
    let address = format!("127.0.0.1:{}", publisher.port());
    for columns in [80, 60, 40] {
        let mut terminal = Terminal::open(columns);
        let viewer = start_telemetry(&terminal, &["--connect", &address]);
        assert_fits(&terminal, columns, "jitter p50 ", 3);
        terminal.type_in("hazard\n");
        assert_fits(&terminal, columns, "sent hazard", 1);
        for part in ["received ", "jitter p50 ", "CPU ", "network in "] {
            assert_fits(&terminal, columns, part, 1);
        }
        viewer.signal("INT");
        assert_eq!(viewer.end().code, 0);
        terminal.line_with("lost 0 of ");

        // What stays above the table may take more than a row.
        if columns < 60 {
            continue;
        }
        let terminal = Terminal::open(columns);
        let both = start_telemetry(&terminal, &["--seconds", "1", "--viewers", "12"]);
        assert_fits(&terminal, columns, "network in ", 2);
        assert_eq!(both.end().code, 0);
    }
}

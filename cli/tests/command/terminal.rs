//! The command on a terminal: what it shows, on one that is narrow too, and as a job of a shell.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Instant;

use leads_comm_testing::pty::Pair;
use leads_comm_testing::runner;
use leads_comm_testing::wire::{Listening, Peer};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::process::{PATIENCE, PROGRAM, Process, command, prepare};

/// A terminal whose keyboard and screen are the test's.
pub(crate) struct Terminal {
    keyboard: File,
    /// What comes to the screen, a line at a time.
    screen: Receiver<String>,
    line: File,
}

impl Terminal {
    pub(crate) fn open(columns: u16) -> Self {
        let Pair { device, port, .. } = Pair::terminal();
        let (keyboard, line) = (File::from(device), File::from(port));
        let reading = keyboard.try_clone().unwrap();
        let (tell, screen) = mpsc::channel();
        thread::spawn(move || {
            // Ends when nobody has the line open any more.
            for line in BufReader::new(reading).split(b'\n').map_while(Result::ok) {
                let _ = tell.send(String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned());
            }
        });
        let this = Self { keyboard, screen, line };
        this.resize(columns);
        this
    }

    pub(crate) fn resize(&self, columns: u16) {
        tcsetwinsize(&self.line, Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    }

    pub(crate) fn type_in(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn stdio(&self) -> Stdio {
        self.line.try_clone().unwrap().into()
    }

    /// The end of the one who is at it.
    pub(crate) fn line(&self) -> &File {
        &self.line
    }

    /// Whether nothing has come to the screen.
    pub(crate) fn is_empty(&self) -> bool {
        self.screen.try_recv().is_err()
    }

    /// The next line with `part` in it.
    #[track_caller]
    pub(crate) fn line_with(&self, part: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.checked_duration_since(Instant::now());
            let line = left.and_then(|left| self.screen.recv_timeout(left).ok());
            let line = line.unwrap_or_else(|| panic!("no {part:?} on the screen"));
            if line.contains(part) {
                return line;
            }
        }
    }
}

/// What a line shows, without what it says to the terminal.
pub(crate) fn shown(line: &str) -> String {
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

/// A `listen` that prints on this terminal.
fn listen(terminal: &Terminal, options: &[&str], variables: &[(&str, &str)]) -> (Process, Peer) {
    let listening = Listening::start();
    let mut command = command(&[&["listen", "-q", &listening.address()], options].concat());
    command.stdout(terminal.stdio()).env("TERM", "xterm").envs(variables.iter().copied());
    (Process::spawn(&mut command), listening.accept())
}

#[test]
fn a_message_is_a_row_that_is_cut_to_the_width() {
    let terminal = Terminal::open(40);
    let (_listen, peer) = listen(&terminal, &[], &[]);
    for (columns, message) in [(40, "x".repeat(100)), (60, "漢".repeat(100)), (33, "\n\x1b[2J".repeat(50))] {
        terminal.resize(columns);
        peer.write(format!("{message};"));
        let row = shown(&terminal.line_with("B "));
        let width: usize = row.chars().map(|char| if char == '漢' { 2 } else { 1 }).sum();
        let columns = usize::from(columns);
        assert!(row.ends_with('…') && (columns - 6..=columns).contains(&width), "{columns}: {width} {row:?}");
    }
    peer.write("short;");
    assert!(terminal.line_with("short").ends_with("B \x1b[0mshort"));
}

#[test]
fn there_are_colours_only_where_they_are_wanted() {
    for (options, variable, has_colors) in [
        (&[][..], ("X", ""), true),
        (&[], ("NO_COLOR", ""), true),
        (&[], ("NO_COLOR", "1"), false),
        (&[], ("TERM", "dumb"), false),
        (&["--no-color"], ("X", ""), false),
        (&["--format", "text"], ("X", ""), false),
    ] {
        let terminal = Terminal::open(80);
        let (_listen, peer) = listen(&terminal, options, &[variable]);
        peer.write("message;");
        let row = terminal.line_with("message");
        assert_eq!(row.contains('\x1b'), has_colors, "{options:?} {variable:?}: {row:?}");
    }
}

#[test]
fn nothing_that_comes_is_obeyed_unless_it_is_asked_for() {
    let payload = "{\"a\":\"x\\u001b[2J\u{9b}2J\u{202e}\"};\x1b]0;\u{9b}2Jend\r;";
    for (options, lines) in [
        (&["--format", "text"][..], &[r#"{"a":"x\u001b[2J\u{9b}2J\u{202e}"}"#, r"\x1b]0", r"\u{9b}2Jend\r"][..]),
        (&["--format", "json"], &[r#""message":{"a":"x\u001b[2J\u{9b}2J\u{202e}"}}"#, r#""text":"\u001b]0"}"#]),
        (&["--fields", "a"], &["a", r"x\x1b[2J\u{9b}2J\u{202e}"]),
        (&["--format", "raw"], &["{\"a\":\"x\\u001b[2J\u{9b}2J\u{202e}\"}\x1b]0\u{9b}2Jend"]),
    ] {
        let terminal = Terminal::open(80);
        let (_listen, peer) = listen(&terminal, options, &[]);
        peer.write(payload);
        peer.write("\n;");
        for line in lines {
            assert!(terminal.line_with(line).ends_with(line), "{options:?} {line}");
        }
    }
}

#[test]
fn ctrl_c_ends_it() {
    let mut terminal = Terminal::open(80);
    let listening = Listening::start();
    let mut command = Command::new("setsid");
    command.args(["--ctty", "--wait"]).args(runner::words(PROGRAM)).args(["listen", &listening.address()]);
    prepare(&mut command);
    let listen = Process::spawn(command.stdin(terminal.stdio()).stdout(terminal.stdio()));
    let peer = listening.accept();
    peer.write("message;");
    terminal.line_with("message");
    terminal.type_in("\x03");
    peer.expect_goodbye();
    assert_eq!(listen.end().code, 0);
}

#[test]
fn typed_lines_are_sent_until_ctrl_d() {
    let mut terminal = Terminal::open(80);
    let listening = Listening::start();
    let mut command = command(&["send", "-q", &listening.address(), "--wait", "200ms"]);
    let send = Process::spawn(command.stdin(terminal.stdio()));
    let peer = listening.accept();
    terminal.type_in("time_lap\n");
    peer.expect("time_lap;");
    peer.write("answer;");
    assert_eq!(send.line(), "answer");
    terminal.type_in("\x04");
    peer.expect_goodbye();
    assert_eq!(send.end().code, 0);
}

#[test]
fn a_job_in_the_background_neither_reads_nor_is_stopped() {
    let mut terminal = Terminal::open(80);
    let listening = Listening::start();
    // The command in the background of an interactive shell, which keeps the terminal until it reads a line from it.
    let script = "exec 3<&0; set -m; \"$0\" \"$@\" <&3 & read line <&3; fg";
    let mut shell = Command::new("setsid");
    shell.args(["--ctty", "sh", "-c", script]).args(runner::words(PROGRAM));
    shell.args(["send", "-q", &listening.address(), "--wait", "1h"]);
    prepare(&mut shell);
    let send = Process::spawn(shell.stdin(terminal.stdio()));
    let peer = listening.accept();
    peer.write("before;");
    assert_eq!(send.line(), "before");
    // For the shell, which brings the command to the foreground. What is typed then is for the command.
    terminal.type_in("fg\n");
    terminal.type_in("typed\n");
    peer.expect("typed;");
    terminal.type_in("\x03");
    peer.expect_goodbye();
}

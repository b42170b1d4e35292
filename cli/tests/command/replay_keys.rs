//! `replay` at a terminal: keys, what is drawn, and that the terminal is afterwards as it was.

use std::process::Command;

use leads_comm_testing::wire::Peer;
use leads_comm_testing::{runner, until};
use rustix::termios::{LocalModes, tcgetattr};

use crate::process::{PROGRAM, Process, prepare};
use crate::recordings::Recordings;
use crate::terminal::{Terminal, shown};

/// Plays at a terminal of its own, in its foreground, and has one viewer.
fn start(terminal: &Terminal, arguments: &[&str]) -> (Process, Peer) {
    let mut command = Command::new("setsid");
    command.arg("--ctty").args(runner::words(PROGRAM));
    command.args(["replay", "--serve", "127.0.0.1:0"]).args(arguments);
    prepare(&mut command);
    let replay = Process::spawn(command.stdin(terminal.stdio()));
    let line = replay.error_line_with("listening on ");
    let viewer = Peer::connect(line.rsplit_once(':').unwrap().1.parse().unwrap());
    replay.error_line_with(" connected");
    (replay, viewer)
}

/// Whether a terminal gives lines, and shows what is typed.
fn is_as_before(terminal: &Terminal) -> bool {
    tcgetattr(terminal.line()).unwrap().local_modes.contains(LocalModes::ICANON | LocalModes::ECHO)
}

#[test]
#[cfg_attr(leads_comm_emulated, ignore = "qemu does not know TCGETS2, which tells of terminals")]
fn keys_pause_step_and_quit() {
    let recordings = Recordings::new();
    let file = recordings.mcap("a.mcap", 1_000_000, &["1", "2", "3", "4"]);
    let mut terminal = Terminal::open(80);
    let (replay, viewer) = start(&terminal, &[&file, "--paused"]);
    until("keys are read", || !is_as_before(&terminal));
    terminal.type_in("s");
    viewer.expect("1;");
    // It goes on, and is paused again before the next one is due, or behind it.
    terminal.type_in("s?s");
    viewer.expect("2;3;");
    terminal.type_in(" ");
    viewer.expect("4;");
    viewer.expect_goodbye();
    assert_eq!(replay.end().code, 0);
    assert!(is_as_before(&terminal));

    let (replay, viewer) = start(&terminal, &[&file, "--paused", "--loop"]);
    terminal.type_in("sq");
    viewer.expect("1;");
    viewer.expect_goodbye();
    assert_eq!(replay.end().code, 0);
    assert!(is_as_before(&terminal));
}

#[test]
#[cfg_attr(leads_comm_emulated, ignore = "qemu does not know TCGETS2, which tells of terminals")]
fn keys_make_it_faster() {
    let recordings = Recordings::new();
    // Ten minutes, or a second.
    let file = recordings.mcap("a.mcap", 600_000_000_000, &["1", "2"]);
    let mut terminal = Terminal::open(80);
    let (replay, viewer) = start(&terminal, &[&file, "--rate", "0.5", "--wait-viewers", "1"]);
    viewer.expect("1;");
    until("keys are read", || !is_as_before(&terminal));
    terminal.type_in("-+++++++++++");
    viewer.expect("2;");
    viewer.expect_goodbye();
    assert_eq!(replay.end().code, 0);
}

#[test]
#[cfg_attr(leads_comm_emulated, ignore = "qemu does not know TCGETS2, which tells of terminals")]
fn the_terminal_is_given_back_by_every_way_out() {
    let recordings = Recordings::new();
    let file = recordings.mcap("a.mcap", 1_000_000, &["1", "2"]);
    for signal in ["INT", "TERM", "HUP"] {
        let terminal = Terminal::open(80);
        let (replay, viewer) = start(&terminal, &[&file, "--paused"]);
        until("keys are read", || !is_as_before(&terminal));
        replay.signal(signal);
        viewer.expect_goodbye();
        assert_eq!(replay.end().code, 0);
        assert!(is_as_before(&terminal), "{signal}");
    }
    let terminal = Terminal::open(80);
    let (mut replay, _viewer) = start(&terminal, &[&file, "--paused"]);
    until("keys are read", || !is_as_before(&terminal));
    replay.signal("QUIT");
    until("it is as before", || is_as_before(&terminal));
    replay.kill();
}

#[test]
#[cfg_attr(leads_comm_emulated, ignore = "qemu does not know TCGETS2, which tells of terminals")]
fn the_terminal_is_given_back_while_it_is_stopped() {
    let recordings = Recordings::new();
    let file = recordings.mcap("a.mcap", 1_000_000, &["1", "2"]);
    let mut terminal = Terminal::open(80);
    let (replay, viewer) = start(&terminal, &[&file, "--paused"]);
    for _ in 0..2 {
        until("keys are read", || !is_as_before(&terminal));
        replay.signal("TSTP");
        until("it is as before", || is_as_before(&terminal));
        replay.signal("CONT");
    }
    until("keys are read", || !is_as_before(&terminal));
    terminal.type_in(" ");
    viewer.expect("1;2;");
    viewer.expect_goodbye();
    assert_eq!(replay.end().code, 0);
}

#[test]
#[cfg_attr(leads_comm_emulated, ignore = "qemu does not know TCGETS2, which tells of terminals")]
fn where_it_is_is_drawn() {
    let recordings = Recordings::new();
    let file = recordings.mcap("a.mcap", 1_000_000, &["1", "2"]);
    // Of stderr, which is the terminal, and not of stdout, which is none.
    draw(&[&file], 80, "0:00.000 of 0:00.001  PAUSED  1 message, 1 B");
    draw(&[&file], 27, "0:00.000 of 0:00.001  PAUS");
    // What is played again and again has no length.
    draw(&[&file, "--loop=2"], 80, "0:00.000  PAUSED  1 message, 1 B");
}

fn draw(arguments: &[&str], columns: u16, drawn: &str) {
    let mut terminal = Terminal::open(columns);
    let mut command = Command::new("setsid");
    command.arg("--ctty").args(runner::words(PROGRAM));
    command.args(["replay", "--serve", "127.0.0.1:0", "--paused"]).args(arguments);
    prepare(&mut command);
    command.env("TERM", "xterm").stdin(terminal.stdio()).stderr(terminal.stdio());
    let replay = Process::spawn(&mut command);
    let line = shown(&terminal.line_with("listening on "));
    let port = line.trim().rsplit_once(':').unwrap().1.parse().unwrap();
    until("keys are read", || !is_as_before(&terminal));
    terminal.type_in("s");
    // What is drawn ends where another line begins.
    until("it is drawn", || {
        let _viewer = Peer::connect(port);
        let line = shown(&terminal.line_with(" connected"));
        assert!(columns > 30 || !line.contains("PAUSED"), "{line}");
        line.contains(drawn)
    });
    terminal.type_in("q");
    terminal.line_with("1 message sent");
    assert_eq!(replay.end().code, 0);
}

#[test]
fn nothing_is_drawn_by_a_job_in_the_background() {
    let recordings = Recordings::new();
    let file = recordings.mcap("a.mcap", 100_000_000, &["1", "2", "3", "4", "5", "6", "7"]);
    let mut terminal = Terminal::open(80);
    // An interactive shell, which keeps the terminal until it reads a line from it.
    let script = "exec 3<&0; set -m; \"$0\" \"$@\" <&3 & read line <&3; fg";
    let mut shell = Command::new("setsid");
    shell.args(["--ctty", "sh", "-c", script]).args(runner::words(PROGRAM));
    shell.args(["replay", "--serve", "127.0.0.1:0", &file, "--loop", "--wait-viewers", "1"]);
    prepare(&mut shell);
    shell.env("TERM", "xterm").stdin(terminal.stdio()).stderr(terminal.stdio());
    let _replay = Process::spawn(&mut shell);
    let line = shown(&terminal.line_with("listening on "));
    let port = line.trim().rsplit_once(':').unwrap().1.parse().unwrap();
    let viewer = Peer::connect(port);
    // Far longer than it takes to draw.
    viewer.expect("1;2;3;4;5;6;7;");
    let _other = Peer::connect(port);
    let line = terminal.line_with("#2 ");
    assert_eq!(line, shown(&line));
    terminal.type_in("fg\n");
    until("it is drawn", || {
        let _viewer = Peer::connect(port);
        shown(&terminal.line_with(" connected")).contains(" messages, ")
    });
    terminal.type_in("\x03");
    assert!(viewer.rest().ends_with(b"disconnect;"));
}

//! A server at a terminal, where somebody types.

use std::process::Command;

use leads_comm_testing::runner;

use super::{join, port};
use crate::process::{PROGRAM, Process, command, prepare};
use crate::terminal::{Terminal, shown};

#[test]
fn what_is_typed_is_sent_and_what_comes_is_a_row_with_its_client() {
    let mut terminal = Terminal::open(40);
    let mut command = command(&["serve", "127.0.0.1:0"]);
    let server = Process::spawn(command.stdin(terminal.stdio()).stdout(terminal.stdio()).env("TERM", "xterm"));
    let port = port(&server);
    let (first, second) = (join(&server, port), join(&server, port));
    second.write("{\"speed\":38.5,\"voltage\":48.2};");
    let row = shown(&terminal.line_with("speed"));
    assert!(row.contains(" #2 29B {\"speed") && row.ends_with('…') && row.chars().count() == 40, "{row}");
    terminal.type_in("hazard\n");
    first.expect("hazard;");
    second.expect("hazard;");
    // Ctrl-D ends the typing, and nothing else.
    terminal.type_in("\x04");
    server.error_line_with("stdin has ended; clients are still served, and Ctrl-C ends that");
    first.write("m1;");
    assert!(shown(&terminal.line_with("m1")).ends_with(" #1 2B m1"));
    server.signal("INT");
    first.expect_goodbye();
    second.expect_goodbye();
    assert_eq!(server.end().code, 0);
}

#[test]
fn as_a_job_in_the_background_it_serves_and_reads_nothing() {
    let mut terminal = Terminal::open(80);
    // An interactive shell, which keeps the terminal until it reads a line from it.
    let script = "exec 3<&0; set -m; \"$0\" \"$@\" <&3 & read line <&3; fg";
    let mut shell = Command::new("setsid");
    shell.args(["--ctty", "sh", "-c", script]).args(runner::words(PROGRAM));
    shell.args(["serve", "127.0.0.1:0", "--echo"]);
    prepare(&mut shell);
    let server = Process::spawn(shell.stdin(terminal.stdio()));
    let port = port(&server);
    let peer = join(&server, port);
    peer.write("before;");
    peer.expect("before;");
    // For the shell, which brings the server to the foreground. What is typed then is for the server.
    terminal.type_in("fg\n");
    terminal.type_in("typed\n");
    peer.expect("typed;");
    terminal.type_in("\x03");
    peer.expect_goodbye();
}

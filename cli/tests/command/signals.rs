//! Signals that were ignored when the command was started: who starts it has decided about them.

use std::process::Command;

use leads_comm_testing::runner;
use leads_comm_testing::wire::Listening;

use crate::process::{PROGRAM, Process, prepare};

/// Starts the command as a shell does that ignores `signals`; `nohup` is one.
fn start_ignoring(signals: &str, arguments: &[&str]) -> Process {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("trap '' {signals}; exec \"$0\" \"$@\""));
    shell.args(runner::words(PROGRAM)).args(arguments);
    prepare(&mut shell);
    Process::spawn(&mut shell)
}

#[test]
fn it_goes_on_where_they_were_ignored() {
    let listening = Listening::start();
    let listen = start_ignoring("HUP INT", &["listen", "-q", &listening.address()]);
    let peer = listening.accept();
    peer.write("before;");
    assert_eq!(listen.line(), "before");
    listen.signal("HUP");
    listen.signal("INT");
    peer.write("after;");
    assert_eq!(listen.line(), "after");
    listen.signal("TERM");
    peer.expect_goodbye();
    assert_eq!(listen.end().code, 0);
}

#[test]
fn where_all_were_ignored_the_end_of_stdin_ends_it() {
    let listening = Listening::start();
    let mut send = start_ignoring("HUP INT TERM", &["send", "-q", &listening.address()]);
    let peer = listening.accept();
    for signal in ["HUP", "INT", "TERM"] {
        send.signal(signal);
    }
    send.write("after\n");
    peer.expect("after;");
    send.close_stdin();
    peer.expect_goodbye();
    assert_eq!(send.end().code, 0);
}

#[test]
fn nohup_lets_it_stay() {
    let listening = Listening::start();
    let mut nohup = Command::new("nohup");
    nohup.args(runner::words(PROGRAM)).args(["listen", "-q", &listening.address()]);
    prepare(&mut nohup);
    let listen = Process::spawn(&mut nohup);
    let peer = listening.accept();
    peer.write("before;");
    assert_eq!(listen.line(), "before");
    listen.signal("HUP");
    peer.write("after;");
    assert_eq!(listen.line(), "after");
    listen.signal("INT");
    peer.expect_goodbye();
    assert_eq!(listen.end().code, 0);
}

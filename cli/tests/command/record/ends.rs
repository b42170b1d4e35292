//! When a recording ends, and what its exit code tells.

use super::reading::Recording;
use super::{Recorded, wait_for_messages};
use crate::process::SIGNALS;

#[test]
fn each_signal_ends_it_with_a_goodbye_and_all_that_came() {
    for signal in SIGNALS {
        let recorded = Recorded::start(&[]);
        recorded.peer.write("one;two;");
        let path = recorded.path();
        wait_for_messages(&path, 2);
        recorded.process.signal(signal);
        recorded.peer.expect_goodbye();
        let ended = recorded.process.end();
        assert_eq!(ended.code, 0, "{signal}: {ended:?}");
        assert!(ended.stderr.last().unwrap().contains("none lost"), "{ended:?}");
        let recording = Recording::read(path);
        assert!(recording.is_whole);
        assert_eq!(recording.texts(), ["one", "two"]);
        assert_eq!(recording.notes("leads.end")[0]["messages"], "2");
    }
}

#[test]
fn silence_ends_it_and_the_exit_code_says_whether_enough_came() {
    let recorded = Recorded::start(&["-W", "100ms"]);
    let path = recorded.path();
    let ended = recorded.process.end();
    assert_eq!(ended.code, 0);
    assert_eq!(ended.stderr.last().unwrap(), "nothing was recorded, no file was made");
    assert!(!path.exists());

    let recorded = Recorded::start(&["-W100ms", "-c3"]);
    recorded.peer.write("one;");
    let path = recorded.path();
    let ended = recorded.process.end();
    assert_eq!(ended.code, 3);
    assert!(ended.stderr.last().unwrap().contains("1 of 3 messages"), "{ended:?}");
    assert_eq!(Recording::read(path).texts(), ["one"]);
}

#[test]
fn it_ends_after_a_time() {
    let recorded = Recorded::start(&["--duration", "500ms"]);
    let path = recorded.path();
    recorded.peer.write("one;");
    recorded.peer.expect_goodbye();
    assert_eq!(recorded.process.end().code, 0);
    assert!(Recording::read(path).is_whole);
}

#[test]
fn the_end_of_the_connection_ends_it_if_it_should() {
    let recorded = Recorded::start(&["--no-reconnect"]);
    recorded.peer.write("one;");
    let path = recorded.path();
    recorded.peer.say_goodbye();
    let ended = recorded.process.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(Recording::read(path).texts(), ["one"]);

    let recorded = Recorded::start(&["--no-reconnect"]);
    recorded.peer.write("one;two");
    let path = recorded.path();
    recorded.peer.hang_up();
    let ended = recorded.process.end();
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.last().unwrap().contains("disconnected"), "{ended:?}");
    let recording = Recording::read(path);
    assert!(recording.is_whole);
    // What was not whole is no message.
    assert_eq!(recording.texts(), ["one"]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    for arguments in [
        &["record"][..],
        &["record", "127.0.0.1", "--split", "0"],
        &["record", "127.0.0.1", "--name", "/x"],
        &["record", "127.0.0.1", "--csv", "--name", "x"],
        &["record", "127.0.0.1", "-o", "drive.csv", "--name", "x"],
        &["record", "127.0.0.1", "-o", "drive.mcap", "--csv"],
        &["record", "127.0.0.1", "-o", "drive.jsonl"],
        &["record", "--serve", "--no-reconnect"],
        &["record", "127.0.0.1", "--buffer", "none"],
    ] {
        assert_eq!(crate::process::run(arguments).code, 2, "{arguments:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_terminal_shows_how_it_goes_in_one_line() {
    use crate::process::{Process, command};
    use crate::terminal::{Terminal, shown};

    for (quiet, expected) in [(&[][..], true), (&["-q"][..], false)] {
        let folder = leads_comm_testing::folder::Folder::new("record");
        let path = folder.path().join("drive.mcap");
        let listening = leads_comm_testing::wire::Listening::start();
        let place = ["record", &listening.address(), "--no-reconnect", "-W", "1300ms", "-o", path.to_str().unwrap()];
        let terminal = Terminal::open(100);
        let mut command = command(&[&place[..], quiet].concat());
        let mut process = Process::spawn(command.stderr(terminal.stdio()).env("TERM", "xterm"));
        let peer = listening.accept();
        peer.write("one;two;");
        peer.expect_goodbye();
        assert_eq!(process.wait().code, 0);
        if expected {
            // All that was drawn is taken away again, before the line that stays.
            let line = terminal.line_with("recorded 2 messages (6 B)");
            assert!(line.contains("  2 messages  6 B  0/s  file "), "{line:?}");
            assert!(line.contains("\r\x1b[Krecorded"), "{line:?}");
            assert!(shown(&line).ends_with("none lost"), "{line:?}");
        } else {
            assert!(terminal.is_empty(), "it says something");
        }
    }
}

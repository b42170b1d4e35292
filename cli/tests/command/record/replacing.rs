//! Files that are there before a recording, or are taken away from it: nothing is destroyed for nothing.

use std::fs;
use std::path::{Path, PathBuf};

use leads_comm_testing::folder::Folder;

use super::reading::Recording;
use super::{Recorded, wait_for_messages};
use leads_comm_testing::wire::{Listening, Peer};

use crate::process::{PATIENCE, Process, run};

/// An address where nobody listens any more.
fn nobody() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn old(folder: &Folder, name: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, "old").unwrap();
    path
}

/// A recorder that has not got a message yet.
fn record_over(path: &Path) -> (Process, Peer) {
    let listening = Listening::start();
    let process = Process::start(&["record", &listening.address(), "--force", "-o", path.to_str().unwrap()]);
    let peer = listening.accept();
    process.error_line_with("connected to");
    (process, peer)
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

fn wait_until(mut is_so: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(std::time::Instant::now() < deadline);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn an_old_recording_stays_when_nothing_comes() {
    let folder = Folder::new("record");
    for (name, options) in [
        ("a.mcap", &["--no-reconnect"][..]),
        ("b.mcap", &["-W100ms"]),
        ("c.csv", &["--no-reconnect", "--csv"]),
        ("d_0001.mcap", &["--no-reconnect", "--split", "1h"]),
    ] {
        let path = old(&folder, name);
        let place = path.to_str().unwrap().replace("_0001", "");
        let ended = run(&[&["record", &nobody(), "--force", "-o", &place][..], options].concat());
        assert_eq!(ended.code, if name == "b.mcap" { 0 } else { 1 }, "{ended:?}");
        let said = format!("nothing was recorded, {} is as it was", path.display());
        assert!(ended.stderr.contains(&said), "{ended:?}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }
    // A server that cannot listen.
    let path = old(&folder, "e.mcap");
    let taken = Listening::start();
    let ended = run(&["record", "--serve", &taken.address(), "--force", "-o", path.to_str().unwrap()]);
    assert_eq!((ended.code, fs::read(&path).unwrap()), (1, b"old".to_vec()), "{ended:?}");
    assert_eq!(names(folder.path()), ["a.mcap", "b.mcap", "c.csv", "d_0001.mcap", "e.mcap"]);
}

#[test]
fn an_old_recording_goes_with_the_first_message() {
    let folder = Folder::new("record");
    let path = old(&folder, "drive.mcap");
    let (process, peer) = record_over(&path);
    assert_eq!(fs::read(&path).unwrap(), b"old");
    peer.write("one;");
    wait_until(|| fs::read(&path).unwrap() != b"old");
    process.signal("INT");
    peer.expect_goodbye();
    assert_eq!(process.end().code, 0);
    assert_eq!(Recording::read(&path).texts(), ["one"]);
    assert_eq!(names(folder.path()), ["drive.mcap"]);
}

/// As while a program looks through it for viruses.
#[cfg(windows)]
#[test]
fn one_that_another_program_has_open_for_a_moment_goes_then() {
    use std::os::windows::fs::OpenOptionsExt;

    let folder = Folder::new("record");
    let path = old(&folder, "drive.mcap");
    let (process, peer) = record_over(&path);
    const READ_AND_WRITE: u32 = 3;
    let other = fs::OpenOptions::new().read(true).share_mode(READ_AND_WRITE).open(&path).unwrap();
    peer.write("one;");
    // Long enough for it to try.
    process.expect_patience(std::time::Duration::from_millis(300));
    assert_eq!(fs::read(&path).unwrap(), b"old");
    drop(other);
    wait_until(|| fs::read(&path).unwrap() != b"old");
    process.signal("INT");
    assert_eq!(process.end().code, 0);
    assert_eq!(Recording::read(&path).texts(), ["one"]);
}

#[test]
fn a_message_that_a_table_has_no_place_for_replaces_nothing() {
    let folder = Folder::new("record");
    let path = old(&folder, "drive.csv");
    let listening = Listening::start();
    let process = Process::start(&["record", &listening.address(), "-c1", "--force", "-o", path.to_str().unwrap()]);
    listening.accept().write("time_lap;");
    let ended = process.end();
    let last = ended.stderr.last().unwrap();
    assert!(last.starts_with("nothing was recorded") && last.contains("1 message passed over"), "{last}");
    assert_eq!(fs::read(&path).unwrap(), b"old");
}

#[test]
fn two_recorders_do_not_share_a_file() {
    let recorded = Recorded::start(&["--force"]);
    let path = recorded.path();
    let other = || {
        let ended = run(&["record", &nobody(), "--no-reconnect", "--force", "-o", path.to_str().unwrap()]);
        assert_eq!(ended.code, 1);
        assert_eq!(ended.stderr, [format!("leads-comm: {} is being recorded to: choose another name", path.display())]);
    };
    other();
    recorded.peer.write("one;");
    wait_until(|| Recording::of(&fs::read(&path).unwrap()).messages.len() == 1);
    other();
    // It can be looked at, and copied, but not replaced.
    let file = path.to_str().unwrap();
    assert!(run(&["info", file]).stdout.iter().any(|line| line.contains("still being recorded")));
    let converted = run(&["convert", file, file, "--force"]);
    assert_eq!((converted.code, converted.stderr[0].contains("is being recorded to")), (1, true), "{converted:?}");
    recorded.process.signal("INT");
    recorded.peer.expect_goodbye();
    assert_eq!(recorded.process.end().code, 0);
    assert_eq!(Recording::read(&path).texts(), ["one"]);
}

#[test]
#[cfg_attr(windows, ignore = "Wine 8 removes the name of a file only when nobody has it open any more")]
fn a_file_that_is_removed_is_missed() {
    let recorded = Recorded::start(&[]);
    let path = recorded.path();
    recorded.peer.write("one;two;");
    wait_until(|| Recording::of(&fs::read(&path).unwrap()).messages.len() == 2);
    fs::remove_file(&path).unwrap();
    recorded.process.signal("INT");
    recorded.peer.expect_goodbye();
    let ended = recorded.process.end();
    assert_eq!(ended.code, 1, "{ended:?}");
    let last = ended.stderr.last().unwrap();
    assert!(last.contains("was removed or replaced while it was written, with 2 messages in it"), "{last}");

    // It is noticed as soon as the file is brought to the disk, and what replaces it is left alone.
    let recorded = Recorded::start(&["--sync", "10ms"]);
    let path = recorded.path();
    recorded.peer.write("one;");
    wait_until(|| Recording::of(&fs::read(&path).unwrap()).messages.len() == 1);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "other").unwrap();
    let ended = recorded.process.end();
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.last().unwrap().contains("with 1 message in it"), "{ended:?}");
    assert_eq!(fs::read(&path).unwrap(), b"other");
}

#[test]
#[cfg_attr(windows, ignore = "Wine 8 removes the name of a file only when nobody has it open any more")]
fn a_file_that_is_removed_is_not_written_on() {
    let mut recorded = Recorded::start(&[]);
    recorded.peer.write("one;");
    wait_for_messages(&recorded.path(), 1);
    fs::remove_file(recorded.path()).unwrap();
    recorded.peer.write("two;");
    let ended = recorded.process.wait();
    assert_eq!(ended.code, 1, "{ended:?}");
    let [line] = &ended.stderr[..] else { panic!("{ended:?}") };
    assert!(line.ends_with("was removed or replaced while it was written, with 2 messages in it"), "{line}");
}

#[test]
fn a_file_that_is_moved_is_complete_there() {
    let recorded = Recorded::start(&["--sync", "10ms"]);
    let (path, other) = (recorded.path(), recorded.folder.path().join("other.mcap"));
    recorded.peer.write("one;");
    wait_until(|| Recording::of(&fs::read(&path).unwrap()).messages.len() == 1);
    fs::rename(&path, &other).unwrap();
    recorded.peer.write("two;");
    wait_until(|| Recording::of(&fs::read(&other).unwrap()).messages.len() == 2);
    recorded.process.signal("INT");
    recorded.peer.expect_goodbye();
    let ended = recorded.process.end();
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.last().unwrap().contains("was moved while it was written"), "{ended:?}");
    let recording = Recording::read(&other);
    assert!(recording.is_whole);
    assert_eq!(recording.texts(), ["one", "two"]);
}

#[test]
fn parts_of_an_earlier_recording_do_not_pass_for_later_ones() {
    let folder = Folder::new("record");
    let later = old(&folder, "drive_0003.mcap");
    old(&folder, "drive_0002.mcap");
    let path = folder.path().join("drive.mcap");
    let listening = Listening::start();
    let arguments = ["record", &listening.address(), "-c1", "--split", "1h", "-o", path.to_str().unwrap()];
    let ended = run(&arguments);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr[0].contains("drive_0002.mcap exists already"), "{ended:?}");
    let process = Process::start(&[&arguments[..], &["--force"]].concat());
    let peer = listening.accept();
    process.error_line_with("connected to");
    assert!(later.exists());
    peer.write("new;");
    let ended = process.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stderr[0].starts_with("2 later parts of an earlier recording removed"), "{ended:?}");
    assert_eq!(names(folder.path()), ["drive_0001.mcap"]);
}

#[test]
fn a_place_that_cannot_be_is_told_before_anything_is_tried() {
    let folder = Folder::new("record");
    let inside = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for (place, code, said) in [
        (inside("no/x.mcap"), 1, format!("there is no folder {}", inside("no"))),
        (inside(""), 1, "is a folder, not a file".to_owned()),
        (inside("x.jsonl"), 2, "convert makes JSON Lines of them".to_owned()),
    ] {
        let ended = run(&["record", &nobody(), "-o", &place, "--force"]);
        assert_eq!(ended.code, code, "{ended:?}");
        assert!(ended.stderr.len() == 1 && ended.stderr[0].contains(&said), "{ended:?}");
    }
    let ended = run(&["record", &nobody(), "--csv", "-o", &inside("x.mcap")]);
    assert_eq!((ended.code, ended.stderr[0].contains("--csv writes no MCAP")), (2, true), "{ended:?}");
    #[cfg(unix)]
    {
        let ended = run(&["record", &nobody(), "-o", "/dev/null"]);
        assert!(ended.code == 1 && ended.stderr[0].contains("is a device or a pipe"), "{ended:?}");
    }
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_part_needs_a_unit_and_says_what_it_has_understood() {
    let split = |length| run(&["record", &nobody(), "--no-reconnect", "-o", "/nowhere/x.mcap", "--split", length]);
    let ended = split("3");
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.join(" ").contains("a unit is needed"), "{ended:?}");
    for (length, said) in [("1h30m", "1 hour 30 minutes"), ("10MB", "10.0 MB"), ("1d", "1 day")] {
        let folder = Folder::new("record");
        let path = folder.path().join("x.mcap");
        let place = path.to_str().unwrap();
        let ended = run(&["record", &nobody(), "--no-reconnect", "-o", place, "--split", length]);
        assert_eq!(ended.stderr[0], format!("a new file every {said}"), "{ended:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_terminal_is_no_place_for_an_mcap() {
    let terminal = crate::terminal::Terminal::open(80);
    let mut command = crate::process::command(&["record", &nobody(), "-o", "-"]);
    let mut process = Process::spawn(command.stdout(terminal.stdio()));
    let ended = process.wait();
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(terminal.is_empty());
}

#[test]
fn an_unfinished_message_is_counted() {
    let recorded = Recorded::start(&["--no-reconnect"]);
    recorded.peer.write("one;half");
    recorded.peer.hang_up();
    let ended = recorded.process.end();
    let is_said = |line: &String| {
        line.starts_with("recorded 1 message") && line.ends_with("; 4 B of an unfinished message discarded")
    };
    assert!(ended.stderr.iter().any(is_said), "{ended:?}");
}

#[test]
fn files_of_several_recordings_are_not_parts_of_one() {
    let (one, other) = (Recorded::start(&["-c1"]), Recorded::start(&["-c1"]));
    let paths = [&one, &other].map(|recorded| recorded.path().to_str().unwrap().to_owned());
    for recorded in [one.process, other.process].into_iter().zip([one.peer, other.peer]) {
        recorded.1.write("x;");
        assert_eq!(recorded.0.end().code, 0);
    }
    let [one, other] = &paths;
    let to = one.replace("drive", "both");
    for arguments in
        [&["info", one, other][..], &["convert", one, other, &to], &["convert", one, other, "-", "--to", "jsonl"]]
    {
        let said = run(arguments).stderr;
        assert!(said.iter().any(|line| line.starts_with("not parts of one recording")), "{said:?}");
    }
    assert!(run(&["info", &to]).stdout.iter().any(|line| line.contains("not parts of one recording")));
    assert!(run(&["info", one]).stderr.is_empty());
}

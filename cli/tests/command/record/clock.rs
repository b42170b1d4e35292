//! A wall clock that is set while a recording goes on.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use leads_comm_testing::folder::Folder;

use super::reading::Recording;
use leads_comm_testing::wire::Listening;

use crate::process::{PATIENCE, PROGRAM, Process, command};

const HOUR: i64 = 3_600_000_000_000;

/// Lets the test set the wall clock of a process; whether that can be had.
fn compile(library: &Path) -> bool {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/wall_clock.c");
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(library).arg(source).arg("-ldl").status();
    if !compiled.is_ok_and(|status| status.success()) {
        leads_comm_testing::skipped("a compiler for C is missing");
        return false;
    }
    let is_for_it = machine(library) == machine(Path::new(PROGRAM));
    if !is_for_it {
        leads_comm_testing::skipped("the compiler for C is one for another processor");
    }
    is_for_it
}

/// For which processor a file of the format ELF is: what its header says of words, and its number.
fn machine(path: &Path) -> (u8, [u8; 2]) {
    let bytes = fs::read(path).unwrap();
    (bytes[4], [bytes[18], bytes[19]])
}

/// The offsets that the notes of a file tell, once there are so many.
fn offsets(path: &Path, count: usize) -> Vec<i64> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let recording = Recording::of(&fs::read(path).unwrap_or_else(|_| mcap::MAGIC.into()));
        let notes = recording.notes("leads.clock");
        if notes.len() >= count {
            return notes.into_iter().map(|note| note["offset"].parse().unwrap()).collect();
        }
        assert!(Instant::now() < deadline, "{notes:?}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn times_go_on_and_each_part_tells_where_the_wall_clock_is() {
    let folder = Folder::new("record");
    let file = |name: &str| folder.path().join(name);
    let (library, wall_clock) = (file("wall_clock.so"), file("offset"));
    if !compile(&library) {
        return;
    }
    let set = |seconds: i64| {
        fs::write(file("draft"), seconds.to_string()).unwrap();
        fs::rename(file("draft"), &wall_clock).unwrap();
    };
    set(0);
    let listening = Listening::start();
    let place = file("drive.mcap");
    let mut command = command(&["record", &listening.address(), "-o", place.to_str().unwrap(), "--split", "1k"]);
    let process = Process::spawn(command.env("LD_PRELOAD", &library).env("WALL_CLOCK", &wall_clock));
    let peer = listening.accept();
    peer.write("before;");
    set(-3600);
    let part = file("drive_0001.mcap");
    let [back] = offsets(&part, 1)[..] else { panic!("it is noted again and again") };
    set(7200);
    let [_, on] = offsets(&part, 2)[..] else { panic!("it is noted again and again") };
    for (offset, expected) in [(back, -HOUR), (on, 2 * HOUR)] {
        assert!(offset.abs_diff(expected) < HOUR as u64 / 60, "{offset}");
    }
    peer.write("{};".repeat(400));
    let [again] = offsets(&file("drive_0002.mcap"), 1)[..] else { panic!("it is noted again and again") };
    assert!(again.abs_diff(on) < HOUR as u64 / 60, "{again}");
    process.signal("INT");
    peer.expect_goodbye();
    assert_eq!(process.end().code, 0);
    let mut messages = Recording::read(&part).messages;
    messages.extend(Recording::read(file("drive_0002.mcap")).messages);
    let (first, last) = (messages[0].time, messages[messages.len() - 1].time);
    assert!(first <= last && last - first < HOUR as u64 / 2, "{first} {last}");
}

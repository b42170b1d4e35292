//! What a client that is behind costs.

use std::io::Write;
use std::thread;

use super::{end_of, join, start};

/// Message `number` of many, which together are more than a client that reads nothing is kept and its system takes.
fn numbered(number: usize) -> String {
    format!("{number} {};", "x".repeat(3_000))
}

const MANY: usize = 12_000;

/// Relays them to a reader, beside one that reads nothing; what is told of that one in the end.
#[cfg(unix)]
fn beside_one_that_reads_nothing(slow: &str) -> String {
    let (server, port) = start(&["--relay", "--slow", slow]);
    let [speaker, frozen, reader] = [(); 3].map(|()| join(&server, port));
    // In rounds, so that nobody is behind who reads.
    for first in (0..MANY).step_by(250) {
        let round: String = (first..first + 250).map(numbered).collect();
        speaker.write(&round);
        reader.expect(&round);
    }
    server.signal("TERM");
    reader.expect_goodbye();
    let ended = server.end();
    assert_eq!(ended.code, 0, "{:?}", ended.stderr);
    let name = format!(" {} ", frozen.name());
    let told = ended.stderr.iter().find(|line| line.contains(&name)).expect("its end is told");
    end_of(frozen.name(), told).to_owned()
}

#[test]
#[cfg(unix)]
fn one_that_stops_reading_costs_a_relay_nothing_but_its_own() {
    let told = beside_one_that_reads_nothing("drop");
    assert!(told.starts_with("the service was closed") && told.ends_with(" dropped"), "{told}");
    for slow in ["disconnect", "wait"] {
        let told = beside_one_that_reads_nothing(slow);
        assert!(!told.contains("the service was closed"), "{slow}: {told}");
    }
}

#[test]
fn one_that_reads_late_is_waited_for_and_gets_everything() {
    let (server, port) = start(&["--relay", "--slow", "wait"]);
    let (speaker, recorder) = (join(&server, port), join(&server, port));
    let speaking = thread::spawn(move || (0..MANY).for_each(|number| speaker.write(numbered(number))));
    // It begins to read when nearly all waits for it that may.
    server.line_with("5500 xx");
    (0..MANY).for_each(|number| recorder.expect(numbered(number)));
    speaking.join().unwrap();
}

#[test]
fn one_that_wants_the_latest_passes_over_what_is_old() {
    let (mut server, port) = start(&["--slow", "latest"]);
    let viewer = join(&server, port);
    let mut stdin = server.take_stdin();
    let lines: String = (0..MANY).map(numbered).collect::<String>().replace(';', "\n");
    stdin.write_all(lines.as_bytes()).unwrap();
    drop(stdin);
    // In order, and the last one in any case.
    let mut numbers = vec![];
    while numbers.last() != Some(&(MANY - 1)) {
        let message = viewer.message();
        numbers.push(message.split_once(' ').unwrap().0.parse::<usize>().unwrap());
    }
    assert!(numbers.is_sorted() && numbers.len() < MANY, "{} of {MANY}", numbers.len());
}

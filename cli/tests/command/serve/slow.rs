//! What a client that is behind costs.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use super::{end_of, join, start};
use leads_comm_testing::wire::Peer;

/// Message `number` of many, which together are more than a client that reads nothing is kept and its system takes.
fn numbered(number: usize) -> String {
    format!("{number} {};", "x".repeat(3_000))
}

const MANY: usize = 12_000;

/// Relays them to six readers, beside a seventh that reads nothing, if so; how long it takes, and what is told of that
/// one in the end.
fn relay_to_six(slow: &str, beside_another: bool) -> (Duration, Option<String>) {
    let (server, port) = start(&["--relay", "--slow", slow]);
    let speaker = join(&server, port);
    let frozen = beside_another.then(|| join(&server, port));
    let readers = [(); 6].map(|()| join(&server, port));
    let begun = Instant::now();
    // In rounds, so that nobody is behind who reads.
    for first in (0..MANY).step_by(250) {
        let round: String = (first..first + 250).map(numbered).collect();
        speaker.write(&round);
        readers.iter().for_each(|reader| reader.expect(&round));
    }
    let time = begun.elapsed();
    server.signal("TERM");
    readers.into_iter().for_each(Peer::expect_goodbye);
    let ended = server.end();
    assert_eq!(ended.code, 0, "{:?}", ended.stderr);
    let told = frozen.map(|frozen| {
        let name = format!(" {} ", frozen.name());
        let told = ended.stderr.iter().find(|line| line.contains(&name)).expect("its end is told");
        end_of(frozen.name(), told).to_owned()
    });
    (time, told)
}

#[test]
fn one_that_stops_reading_costs_nobody_else_anything() {
    let told = relay_to_six("drop", true).1.unwrap();
    assert!(told.starts_with("the service was closed") && told.ends_with(" dropped"), "{told}");
    for slow in ["disconnect", "wait"] {
        let told = relay_to_six(slow, true).1.unwrap();
        assert!(!told.contains("the service was closed"), "{slow}: {told}");
    }
}

#[test]
#[ignore = "long: takes half a minute"]
fn how_long_it_takes_beside_one_that_stops_reading() {
    // By turns, so that what else the machine does is the same for both.
    let rounds = [(); 5].map(|()| [false, true].map(|beside| relay_to_six("drop", beside).0));
    for (what, at) in [("six readers", 0), ("six readers and one that reads nothing", 1)] {
        let mut times = rounds.map(|round| round[at]);
        times.sort_unstable();
        println!("I13: {MANY} messages to {what}: {:.2?} ({:.2?} to {:.2?})", times[2], times[0], times[4]);
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

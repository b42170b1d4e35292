//! The example `control_loop`: every state arrives, and how often the loop was late is told.

use crate::process::{Ended, Process, run};

/// How many states the last line says there were; asserts that none of them was lost.
#[track_caller]
fn states(ended: &Ended) -> u64 {
    assert_eq!((ended.code, ended.stderr.len()), (0, 0), "{ended:?}");
    let summary = ended.stdout.last().expect("it prints a summary");
    let words: Vec<_> = summary.split([' ', ',', ';']).filter(|word| !word.is_empty()).collect();
    let [states, "states", "lost", "0", "late", late, "long", long] = words[..] else { panic!("{ended:?}") };
    let [states, late, long] = [states, late, long].map(|word| word.parse::<u64>().unwrap());
    println!("of {states} iterations {late} began late, and {long} took long: over 100 µs");
    assert!(late.max(long) <= states, "{ended:?}");
    states
}

#[test]
fn every_state_arrives_in_order_and_the_newest_command_is_taken() {
    let ended = run("control_loop", &["--iterations", "2000"]);
    assert_eq!(states(&ended), 2000);
    // One line for each second, and the summary.
    let [first, second, _] = &ended.stdout[..] else { panic!("{ended:?}") };
    assert!(first.starts_with("1 s: speed ") && second.starts_with("2 s: speed "), "{ended:?}");
    // The pit has asked for 40 before; nothing else makes it go.
    let speed = second.split(' ').nth(3).and_then(|speed| speed.parse::<f64>().ok());
    assert!(speed.is_some_and(|speed| speed > 0.0), "{ended:?}");
}

#[test]
fn a_signal_ends_it_early_and_nothing_is_lost() {
    let control_loop = Process::start("control_loop", &["--iterations", "1000000000"]);
    control_loop.line_with("1 s: ");
    control_loop.signal("INT");
    let states = states(&control_loop.end());
    assert!((1000..1_000_000_000).contains(&states), "{states}");
}

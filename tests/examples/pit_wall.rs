//! The example `pit_wall`: three viewers, each of whom gets what it wants.

use crate::process::{Ended, Process, run};

/// Asserts what the last table says: of each viewer how many messages it has shown, how many it has never seen, and the
/// newest lap.
#[track_caller]
fn assert_all_served(ended: &Ended) {
    assert_eq!((ended.code, ended.stderr.len()), (0, 0), "{ended:?}");
    let [.., head, _, pit_wall, recorder, phone] = &ended.stdout[..] else { panic!("{ended:?}") };
    let numbers = |line: &str| -> Vec<u64> { line.split(' ').filter_map(|word| word.parse().ok()).collect() };
    let (head, recorder, phone) = (numbers(head), numbers(recorder), numbers(phone));
    // `after 2 s: 300 states, lap 2`
    let [_, states, laps] = head[..] else { panic!("{ended:?}") };
    assert!(states > 0, "{ended:?}");
    assert_eq!((&recorder[..], &phone[..]), (&[states + laps, 0, laps][..], &[laps, 0, laps][..]), "{ended:?}");
    let pit_wall = numbers(pit_wall);
    let [shown, skipped, lap] = pit_wall[..] else { panic!("{ended:?}") };
    // It has passed over what was not the newest any more, and ends with the newest, as the exit code says.
    assert_eq!((shown + skipped, lap), (states + laps, laps), "{ended:?}");
    // How old is what it shows, every second: of who shows a state, and it is told for the reader of the log.
    let age = |line: &String| Some(line.split_once(" s ")?.0.rsplit(' ').next()?.parse::<f64>().unwrap());
    for viewer in ["pit wall ", "recorder "] {
        let ages: Vec<_> = ended.stdout.iter().filter(|line| line.starts_with(viewer)).map(age).collect();
        println!("{viewer}shows what is so old, in s: {ages:?}");
        assert!(ages.iter().all(Option::is_some), "{ended:?}");
    }
    assert!(ended.stdout.iter().all(|line| line.len() <= 80 && !line.contains('\x1b')), "{ended:?}");
}

#[test]
fn each_viewer_gets_what_it_wants() {
    let ended = run("pit_wall", &["--seconds", "3"]);
    assert_all_served(&ended);
    assert!(ended.stdout.iter().any(|line| line == "after 2 s: 300 states, lap 1"), "{ended:?}");
}

#[test]
fn a_signal_ends_it_early_in_the_same_way() {
    let pit_wall = Process::start("pit_wall", &["--seconds", "1000"]);
    pit_wall.line_with("phone ");
    pit_wall.signal("INT");
    assert_all_served(&pit_wall.end());
}

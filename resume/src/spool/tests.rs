use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;

use leads_comm_testing::folder::Folder;
use proptest::prelude::*;

use super::*;

const LEAST: u64 = 64 * 1024;

fn payload(number: u64) -> Vec<u8> {
    leads_comm_testing::numbered(number as usize, 20 + (number * 7919 % 300) as usize)
}

/// Adds the payloads of these numbers, which are the numbers that they get.
fn append(spool: &Spool, numbers: std::ops::RangeInclusive<u64>) {
    numbers.for_each(|number| spool.append(&payload(number)).unwrap());
}

/// The numbers of what is taken, whose payloads are the right ones.
fn take(spool: &Spool, bytes: usize) -> Vec<u64> {
    let taken = spool.take(bytes).unwrap();
    taken.iter().for_each(|taken| assert_eq!(*taken.payload, payload(taken.number), "{}", taken.number));
    taken.into_iter().map(|taken| taken.number).collect()
}

fn take_all(spool: &Spool) -> Vec<u64> {
    std::iter::repeat_with(|| take(spool, 1000)).take_while(|taken| !taken.is_empty()).flatten().collect()
}

fn files(folder: &Folder) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some());
    files.sort();
    files
}

fn both(folder: &Folder) -> [Spool; 2] {
    [Spool::in_memory(LEAST).unwrap(), Spool::open(folder.path(), LEAST).unwrap()]
}

#[test]
fn what_waits_is_taken_in_order_and_again_until_it_is_acknowledged() {
    let folder = Folder::new("spool");
    for spool in both(&folder) {
        assert_eq!(take_all(&spool), []);
        append(&spool, 1..=100);
        assert_eq!(take(&spool, 1), [1]);
        assert_eq!(take_all(&spool), (2..=100).collect::<Vec<_>>());
        assert_eq!(spool.backlog().messages, 100);
        spool.acknowledge(40);
        spool.rewind();
        assert_eq!(spool.backlog().messages, 60);
        append(&spool, 101..=101);
        assert_eq!(take_all(&spool), (41..=101).collect::<Vec<_>>());
        spool.acknowledge(101);
        assert_eq!(spool.backlog(), Backlog::default());
        spool.rewind();
        assert_eq!(take_all(&spool), []);
    }
    assert_eq!(files(&folder), [] as [PathBuf; 0], "nothing is left of what was acknowledged");
}

#[test]
fn only_what_was_taken_is_acknowledged() {
    let folder = Folder::new("spool");
    for spool in both(&folder) {
        append(&spool, 1..=10);
        assert_eq!(take(&spool, 1), [1]);
        spool.acknowledge(u64::MAX);
        assert_eq!(spool.backlog().messages, 9);
        assert_eq!(take_all(&spool), (2..=10).collect::<Vec<_>>());
    }
}

#[test]
fn the_oldest_are_dropped_and_counted() {
    let folder = Folder::new("spool");
    for spool in both(&folder) {
        append(&spool, 1..=10);
        // What is on its way is no exception.
        assert_eq!(take(&spool, 1), [1]);
        append(&spool, 11..=5000);
        let Backlog { messages, bytes, lost, .. } = spool.backlog();
        assert_eq!(messages + lost, 5000);
        assert!(messages > 250 && bytes <= LEAST, "{messages} messages, {bytes} bytes");
        assert_eq!(take_all(&spool), (lost + 1..=5000).collect::<Vec<_>>());
        // The one that was on its way has arrived.
        spool.acknowledge(5000);
        assert_eq!(spool.backlog(), Backlog { lost: lost - 1, ..Backlog::default() });
    }
}

#[test]
fn what_a_process_leaves_waits_for_the_next_one() {
    let folder = Folder::new("spool");
    let open = || Spool::open(folder.path(), LEAST).unwrap();
    append(&open(), 1..=100);
    let spool = open();
    append(&spool, 101..=150);
    assert_eq!(take_all(&spool), (1..=150).collect::<Vec<_>>());
    spool.acknowledge(110);
    // It stands there before the end, which may be that of a process that is killed.
    let mark = || fs::read_to_string(folder.path().join("acknowledged")).unwrap();
    assert!(mark().trim_end().ends_with(":110"), "{}", mark());
    spool.acknowledge(120);
    spool.rewind();
    assert!(mark().trim_end().ends_with(":120"), "{}", mark());
    drop(spool);
    // The file of what came in the end has some that were acknowledged.
    assert_eq!(take_all(&open()), (121..=150).collect::<Vec<_>>());
}

/// The machine has lost power: what was acknowledged is gone with others, and their numbers are given again.
#[test]
fn what_was_acknowledged_says_nothing_of_others_with_the_same_numbers() {
    let folder = Folder::new("spool");
    let open = || Spool::open(folder.path(), LEAST).unwrap();
    let spool = open();
    append(&spool, 1..=10);
    take_all(&spool);
    spool.acknowledge(8);
    drop(spool);
    let [file] = &files(&folder)[..] else { panic!("there is one file") };
    let of_five: usize = (1..=5).map(|number| 8 + payload(number).len()).sum();
    File::options().write(true).open(file).unwrap().set_len(of_five as u64).unwrap();
    let spool = open();
    append(&spool, 6..=20);
    drop(spool);
    let spool = open();
    assert_eq!(take_all(&spool), (6..=20).collect::<Vec<_>>());

    // Nor does it when nothing was left, and numbers begin anew.
    spool.acknowledge(20);
    drop(spool);
    let spool = open();
    append(&spool, 1..=3);
    drop(spool);
    assert_eq!(take_all(&open()), [1, 2, 3]);
}

#[test]
fn what_is_no_mark_is_an_error() {
    let folder = Folder::new("spool");
    append(&Spool::open(folder.path(), LEAST).unwrap(), 1..=3);
    fs::write(folder.path().join("acknowledged"), "all of it").unwrap();
    let error = Spool::open(folder.path(), LEAST).unwrap_err();
    assert!(error.to_string().contains("acknowledged"), "{error}");
}

#[test]
fn a_torn_last_message_is_none() {
    let folder = Folder::new("spool");
    append(&Spool::open(folder.path(), LEAST).unwrap(), 1..=10);
    let [file] = &files(&folder)[..] else { panic!("there is one file") };
    let len = fs::metadata(file).unwrap().len();
    File::options().write(true).open(file).unwrap().set_len(len - 1).unwrap();
    let spool = Spool::open(folder.path(), LEAST).unwrap();
    append(&spool, 10..=11);
    assert_eq!(take_all(&spool), (1..=11).collect::<Vec<_>>());
    assert_eq!(spool.backlog().lost, 0);
}

#[test]
fn what_cannot_be_read_is_lost_and_nothing_else() {
    let folder = Folder::new("spool");
    let spool = Spool::open(folder.path(), LEAST).unwrap();
    append(&spool, 1..=200);
    let all = files(&folder);
    assert!(all.len() > 3, "{all:?}");
    // The whole second file, from its first byte on.
    File::options().write(true).open(&all[1]).unwrap().write_all(&[0xFF; 16]).unwrap();
    let first_of =
        |file: &PathBuf| file.file_name().unwrap().to_str().unwrap().split('-').next().unwrap().parse::<u64>().unwrap();
    let (from, to) = (first_of(&all[1]), first_of(&all[2]));
    let expected: Vec<u64> = (1..from).chain(to..=200).collect();
    for _ in 0..2 {
        assert_eq!(take_all(&spool), expected);
        let Backlog { messages, lost, .. } = spool.backlog();
        assert_eq!((messages, lost), (expected.len() as u64, to - from));
        spool.rewind();
    }
    assert_eq!(take_all(&spool), expected);
    spool.acknowledge(from - 1);
    assert_eq!((spool.backlog().messages, spool.backlog().lost), (201 - to, to - from));
    spool.acknowledge(200);
    assert_eq!(spool.backlog(), Backlog { lost: to - from, ..Backlog::default() });
}

#[derive(Debug, Clone)]
enum Step {
    Append(u64),
    Take(usize),
    Acknowledge(prop::sample::Index),
    Rewind,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_u64..200).prop_map(Step::Append),
        4 => (1_usize..20_000).prop_map(Step::Take),
        2 => any::<prop::sample::Index>().prop_map(Step::Acknowledge),
        1 => Just(Step::Rewind),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(leads_comm_emulated) { 8 } else { 64 }))]

    /// Each message is taken in order, until it is acknowledged or counted as lost, whatever happens in between.
    #[test]
    fn nothing_is_lost_uncounted(steps in prop::collection::vec(step(), 1..40), in_files: bool) {
        let folder = Folder::new("spool");
        let open = || if in_files { Spool::open(folder.path(), LEAST) } else { Spool::in_memory(LEAST) }.unwrap();
        let mut spool = open();
        // The last number, the oldest that was not acknowledged, and what is on its way.
        let (mut last, mut needed, mut taken) = (0, 1, Vec::new());
        // How many there have been since it was opened, and how many have arrived.
        let (mut come, mut arrived) = (0, 0);
        for step in steps {
            match step {
                Step::Append(count) => {
                    append(&spool, last + 1..=last + count);
                    last += count;
                    come += count;
                }
                Step::Take(bytes) => {
                    let more = take(&spool, bytes);
                    prop_assert!(more.windows(2).all(|pair| pair[1] == pair[0] + 1));
                    taken.extend(more);
                }
                Step::Acknowledge(which) if !taken.is_empty() => {
                    let number = taken[which.index(taken.len())];
                    spool.acknowledge(number);
                    arrived += taken.iter().filter(|taken| **taken <= number).count() as u64;
                    taken.retain(|taken| *taken > number);
                    needed = needed.max(number + 1);
                }
                Step::Rewind => {
                    spool.rewind();
                    taken.clear();
                }
                Step::Reopen if in_files => {
                    drop(spool);
                    spool = open();
                    taken.clear();
                    // When there is nothing, numbers begin anew.
                    let again: Vec<u64> = take_all(&spool);
                    prop_assert!(again.last().is_none_or(|newest| *newest == last));
                    match again.first() {
                        None => {
                            prop_assert_eq!(needed, last + 1);
                            (last, needed) = (0, 1);
                        }
                        Some(first) => {
                            prop_assert_eq!(*first, needed);
                        }
                    }
                    (come, arrived) = (again.len() as u64, 0);
                    spool.rewind();
                }
                Step::Acknowledge(_) | Step::Reopen => {}
            }
            // What was dropped is the oldest; what of it arrives all the same is not lost.
            let Backlog { messages, lost, .. } = spool.backlog();
            prop_assert_eq!(come, arrived + messages + lost);
            prop_assert!(messages <= last + 1 - needed);
            needed = last + 1 - messages;
        }
        spool.rewind();
        prop_assert_eq!(take_all(&spool), (needed..=last).collect::<Vec<_>>());
    }
}

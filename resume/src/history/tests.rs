use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::Write;
#[cfg(unix)]
use std::process::Command;
use std::thread;

use leads_comm_testing::folder::Folder;
use leads_comm_testing::seed::Seed;
use proptest::prelude::*;

use super::*;

fn payload(number: u64) -> Vec<u8> {
    leads_comm_testing::numbered(number as usize, 20 + (number * 7919 % 300) as usize)
}

fn append(history: &History, count: u64) -> Position {
    let mut last = history.last();
    for _ in 0..count {
        let number = last.map_or(0, |last| last.number) + 1;
        last = Some(history.append(&payload(number)).unwrap());
        assert_eq!(last.unwrap().number, number);
    }
    last.expect("there is a message")
}

/// What somebody gets who has everything up to `last`: the number of the first, and whether there is a gap before.
fn read_all(history: &History, last: Option<Position>) -> (u64, bool, VecDeque<u64>) {
    let (mut cursor, answer) = history.resume(last);
    let (first, is_gap) = match answer {
        Answer::Resumed(next) => (next.number, false),
        Answer::Gap(next) => (next.number, true),
    };
    let newest = history.last().map_or(0, |last| last.number);
    let mut read = VecDeque::new();
    while cursor.next <= newest {
        match history.read(&mut cursor, 700, &AtomicBool::new(false)).unwrap() {
            Found::Messages(first, payloads) => {
                assert!(!payloads.is_empty());
                for (number, read_payload) in (first.number..).zip(payloads) {
                    assert_eq!(*read_payload, payload(number), "{number}");
                    read.push_back(number);
                }
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(read, (first..=newest).collect::<VecDeque<_>>());
    (first, is_gap, read)
}

fn files(folder: &Folder) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some());
    files.sort();
    files
}

fn small() -> Bounds {
    Bounds::new().max_bytes(64 * 1024)
}

#[test]
fn numbers_go_on_over_restarts_and_epochs_tell_them_apart() {
    let folder = Folder::new("history");
    let mut lasts = Vec::new();
    for _ in 0..5 {
        let history = History::open(folder.path(), Bounds::new()).unwrap();
        lasts.push(append(&history, 10));
    }
    let history = History::open(folder.path(), Bounds::new()).unwrap();
    for (last, number) in lasts.iter().zip([10, 20, 30, 40, 50]) {
        assert_eq!(last.number, number);
        assert_eq!(read_all(&history, Some(*last)), (number + 1, false, (number + 1..=50).collect()));
    }
    assert_eq!(read_all(&history, None).0, 1);
    // Each message is told in the epoch in which it was published.
    let (mut cursor, answer) = history.resume(Some(lasts[1]));
    assert_eq!(answer, Answer::Resumed(Position { number: 21, ..lasts[2] }));
    let Found::Messages(first, payloads) = history.read(&mut cursor, usize::MAX, &AtomicBool::new(false)).unwrap()
    else {
        panic!("there are some");
    };
    assert_eq!((first, payloads.len()), (Position { number: 21, ..lasts[2] }, 10));
    let beyond = Position { number: 11, ..lasts[0] };
    assert!(read_all(&history, Some(beyond)).1, "of that epoch nobody can have it");
    assert_eq!(read_all(&history, Some(Position::new(1, 5))), (1, true, (1..=50).collect()), "nobody knows this epoch");
}

#[test]
fn a_history_is_bounded_and_who_comes_too_late_is_told() {
    let folder = Folder::new("history");
    for history in [
        History::in_memory(small()).unwrap(),
        History::open(folder.path(), small()).unwrap(),
        History::in_memory(Bounds::new().max_messages(300)).unwrap(),
    ] {
        let epoch = append(&history, 5000).epoch;
        let (first, is_gap, read) = read_all(&history, Some(Position::new(epoch, 1)));
        assert!(is_gap && first > 4000, "{first}");
        assert!(read.len() >= 262, "most of it is kept: {}", read.len());
        assert!(!read_all(&history, Some(Position::new(epoch, first - 1))).1, "misses nothing");
        assert!(read_all(&history, Some(Position::new(epoch, first - 2))).1);
    }
    let bytes: u64 = files(&folder).iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    assert!((56 * 1024..=64 * 1024).contains(&bytes), "{bytes}");
}

/// Who reads while it goes is told in the middle.
#[test]
fn a_reader_that_is_overtaken_is_told_where_it_goes_on() {
    let folder = Folder::new("history");
    for history in [History::in_memory(small()).unwrap(), History::open(folder.path(), small()).unwrap()] {
        append(&history, 10);
        let (mut cursor, _) = history.resume(None);
        let ended = AtomicBool::new(false);
        let Found::Messages(first, payloads) = history.read(&mut cursor, 1, &ended).unwrap() else {
            panic!("there are some");
        };
        assert_eq!((first.number, payloads.len()), (1, 1));
        append(&history, 5000);
        let Found::Gap(next) = history.read(&mut cursor, 1, &ended).unwrap() else { panic!("it is gone") };
        assert!(next.number > 4000);
        assert!(matches!(history.read(&mut cursor, 1, &ended).unwrap(), Found::Messages(first, _) if first == next));
        ended.store(true, Ordering::Relaxed);
        assert_eq!(history.read(&mut cursor, 1, &ended).unwrap(), Found::End);
    }
}

#[test]
fn a_folder_has_one_owner() {
    let folder = Folder::new("history");
    let history = History::open(folder.path(), Bounds::new()).unwrap();
    assert!(matches!(History::open(folder.path(), Bounds::new()), Err(HistoryError::InUse { .. })));
    drop(history);
    History::open(folder.path(), Bounds::new()).unwrap();
}

/// A process that is being started has the lock as well, until it has become another program.
#[cfg(unix)]
#[test]
fn a_folder_is_free_at_once_while_processes_are_started() {
    let folder = Folder::new("history");
    thread::scope(|scope| {
        let starting = [(); 2].map(|()| {
            scope.spawn(|| {
                for _ in 0..50 {
                    assert!(Command::new("true").status().unwrap().success());
                }
            })
        });
        while !starting.iter().all(thread::ScopedJoinHandle::is_finished) {
            drop(History::open(folder.path(), Bounds::new()).unwrap());
        }
    });
}

#[test]
fn bounds_that_hold_nothing_are_refused() {
    for bounds in [Bounds::new().max_messages(0), Bounds::new().max_bytes(65_535)] {
        assert!(matches!(History::in_memory(bounds), Err(HistoryError::Bounds { .. })));
    }
}

/// A process that was killed while it wrote: whatever it has left of the last message.
#[test]
fn a_message_that_was_half_written_is_none() {
    let seed = Seed::new();
    let mut random = seed.random(0);
    for _ in 0..100 {
        let folder = Folder::new("history");
        append(&History::open(folder.path(), Bounds::new()).unwrap(), 20);
        let last = files(&folder).pop().unwrap();
        let whole = fs::read(&last).unwrap();
        let cut = random.within(0..=whole.len());
        let garbage: Vec<u8> = (0..random.within(0..=30)).map(|_| random.number() as u8).collect();
        fs::write(&last, [&whole[..cut], &garbage].concat()).unwrap();
        let history = History::open(folder.path(), Bounds::new()).unwrap();
        let mut end = 0;
        let left = (1..=20).take_while(|number| {
            end += record::HEADER + payload(*number).len();
            end <= cut
        });
        assert_eq!(history.last().map_or(0, |last| last.number), left.count() as u64);
        append(&history, 10);
        read_all(&history, None);
        drop(history);
        read_all(&History::open(folder.path(), Bounds::new()).unwrap(), None);
    }
}

/// Power was lost: of what had been sent the end is gone, and its numbers are given again.
/// As one has it that was damaged, or comes from a machine with more memory.
#[test]
fn a_message_that_memory_cannot_hold_is_an_error() {
    let head = [&(3_u32 << 30).to_le_bytes()[..], &[0; 4]].concat();
    assert!(record::decode(&head[..], u64::MAX).is_err());
}

#[test]
fn numbers_that_are_given_again_are_told_apart() {
    let folder = Folder::new("history");
    let seen = append(&History::open(folder.path(), Bounds::new()).unwrap(), 20);
    let last = files(&folder).pop().unwrap();
    let len: usize = (1..=15).map(|number| record::HEADER + payload(number).len()).sum();
    File::options().write(true).open(&last).unwrap().set_len(len as u64).unwrap();
    let history = History::open(folder.path(), Bounds::new()).unwrap();
    assert_eq!(history.last().unwrap().number, 15);
    append(&history, 30);
    assert_eq!(read_all(&history, Some(seen)), (16, true, (16..=45).collect()));
    assert!(!read_all(&history, Some(Position { number: 15, ..seen })).1);
}

/// Power was lost, and with it all that one start had published: who has that is told, and gets nothing twice.
#[test]
fn an_epoch_of_which_nothing_is_left_is_still_known() {
    let folder = Folder::new("history");
    append(&History::open(folder.path(), Bounds::new()).unwrap(), 20);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let last = append(&History::open(folder.path(), Bounds::new()).unwrap(), 10);
        let epoch = format!("{:016x}", last.epoch);
        let file = files(&folder).into_iter().find(|file| file.to_str().unwrap().contains(&epoch)).unwrap();
        File::options().write(true).open(file).unwrap().set_len(0).unwrap();
        seen.push(last);
    }
    for _ in 0..2 {
        let history = History::open(folder.path(), Bounds::new()).unwrap();
        append(&history, 15);
        for seen in &seen {
            let (first, is_gap, _) = read_all(&history, Some(*seen));
            assert_eq!((first, is_gap), (21, true), "{seen}");
        }
    }
}

/// A file in the middle is damaged: what comes behind it is all that is left.
#[test]
fn what_lies_before_a_hole_is_not_taken_for_what_lies_behind_it() {
    let folder = Folder::new("history");
    let last = append(&History::open(folder.path(), small()).unwrap(), 200);
    let files = files(&folder);
    assert!(files.len() > 3);
    let mut damaged = File::options().append(false).write(true).open(&files[1]).unwrap();
    damaged.write_all(&[0xFF; 100]).unwrap();
    let history = History::open(folder.path(), small()).unwrap();
    assert_eq!(history.last().map(|last| last.number), Some(200));
    let (first, is_gap, _) = read_all(&history, Some(Position { number: 3, ..last }));
    assert!(is_gap && first > 50, "{first}");
}

/// A number that was about to be given may have been: it is not given again in silence.
#[test]
fn a_file_without_a_message_keeps_its_number() {
    let folder = Folder::new("history");
    append(&History::open(folder.path(), Bounds::new()).unwrap(), 7);
    fs::remove_file(&files(&folder)[0]).unwrap();
    File::create(folder.path().join("00000000000000000008-00000000000000ab.messages")).unwrap();
    let history = History::open(folder.path(), Bounds::new()).unwrap();
    assert_eq!(history.append(&payload(8)).unwrap().number, 8);
    assert_eq!(read_all(&history, None).0, 8);
}

#[test]
fn synced_messages_are_there_as_well() {
    let folder = Folder::new("history");
    append(&History::open(folder.path(), Bounds::new()).unwrap().sync(true), 20);
    assert_eq!(read_all(&History::open(folder.path(), Bounds::new()).unwrap(), None).0, 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Memory and files are the same history, whatever they are asked.
    #[test]
    fn memory_and_files_are_alike(
        counts in prop::collection::vec(1_u64..60, 1..8),
        from in 0_u64..200,
        most in 1_usize..5000,
    ) {
        let folder = Folder::new("history");
        let memory = History::in_memory(Bounds::new()).unwrap();
        let mut files = History::open(folder.path(), Bounds::new()).unwrap();
        for count in counts {
            append(&memory, count);
            append(&files, count);
            drop(files);
            files = History::open(folder.path(), Bounds::new()).unwrap();
        }
        let last = |history: &History| {
            let newest = history.last().unwrap();
            Some(Position { number: from.min(newest.number), ..newest }).filter(|last| last.number > 0)
        };
        prop_assert_eq!(read_all(&memory, last(&memory)), read_all(&files, last(&files)));
        let (mut cursor, _) = files.resume(None);
        let Found::Messages(_, payloads) = files.read(&mut cursor, most, &AtomicBool::new(false)).unwrap() else {
            panic!("there are some");
        };
        let bytes: usize = payloads.iter().map(|payload| payload.len() + 1).sum();
        prop_assert!(bytes < most + 400, "{} of {}", bytes, most);
    }
}

/// Who reads an old epoch while it is let go is told what it was.
#[test]
fn a_message_that_is_let_go_while_it_is_read_keeps_its_epoch() {
    for _ in 0..5 {
        let folder = Folder::new("history");
        let bounds = Bounds::new().max_messages(8);
        let old = History::open(folder.path(), bounds).unwrap();
        // Takes long to read.
        let long = old.append(&vec![0; 8 << 20]).unwrap();
        drop(old);
        let history = History::open(folder.path(), bounds).unwrap();
        history.append(b"2").unwrap();
        let (mut cursor, _) = history.resume(None);
        thread::scope(|scope| {
            let read = scope.spawn(|| history.read(&mut cursor, 1, &AtomicBool::new(false)).unwrap());
            for _ in 0..100 {
                history.append(b"more").unwrap();
                thread::yield_now();
            }
            match read.join().unwrap() {
                Found::Messages(first, _) => assert_eq!(first, long),
                Found::Gap(_) | Found::End => {}
            }
        });
    }
}

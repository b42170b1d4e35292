//! Both ends are killed, again and again, at any moment, while messages flow.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::thread;
use std::time::Instant;

use leads_comm_resume::subscription;
use leads_comm_testing::child::{self, Process};
use leads_comm_testing::folder::Folder;
use leads_comm_testing::seed::Seed;
use leads_comm_testing::{free_port, until};

use super::*;

const NAME: &str = "kills::kills_of_either_end_lose_nothing_and_double_nothing";

/// How many messages are published in a second, while the publisher lives.
const RATE: u64 = 20_000;

/// The environment variable that says how many kills there are.
const KILLS: &str = "LEADS_COMM_KILLS";

/// What the publisher has left of messages when it is killed, some seconds of them.
const HISTORY: u64 = 4 << 20;

#[test]
fn kills_of_either_end_lose_nothing_and_double_nothing() {
    match child::task() {
        Some(task) => play(&task),
        None => kill(std::env::var(KILLS).map_or(40, |kills| kills.parse().unwrap())),
    }
}

/// A child: `publisher` or `recorder`, the port, the folder, and the how-manieth publisher it is, 0 for one that
/// publishes nothing.
fn play(task: &str) {
    let words: Vec<&str> = task.split(' ').collect();
    let (port, folder, start) = (words[1].parse().unwrap(), Path::new(words[2]).to_owned(), words[3].parse().unwrap());
    let is_publisher = words[0] == "publisher";
    thread::spawn(move || if is_publisher { publisher(port, &folder, start) } else { recorder(port, &folder) });
    child::wait_for_parent();
    std::process::exit(0);
}

/// Publishes messages that say which start of it they are from, and which of those, and notes the last one that it has
/// published.
fn publisher(port: u16, folder: &Path, start: u64) {
    let history = History::open(folder.join("history"), Bounds::new().max_bytes(HISTORY)).unwrap();
    let publisher = Publisher::new(Server::builder().port(port), history, ()).unwrap();
    publisher.start(true).unwrap();
    child::tell("last", publisher.last().map_or(0, |last| last.number));
    if start == 0 {
        return;
    }
    let mut accepted = File::create(folder.join(format!("accepted-{start}"))).unwrap();
    let (since, mut count) = (Instant::now(), 0);
    loop {
        let due = since.elapsed().as_micros() as u64 * RATE / 1_000_000;
        while count < due {
            count += 1;
            publisher.publish(format!("{start} {count}").as_bytes()).unwrap();
            accepted.rewind().and_then(|()| accepted.write_all(&count.to_le_bytes())).unwrap();
        }
        // The rate, and nothing else, goes by this.
        thread::sleep(Duration::from_millis(1));
    }
}

/// Writes each message down with its position, and goes on behind the last line that is whole.
fn recorder(port: u16, folder: &Path) {
    let path = folder.join("record");
    let mut record = File::options().create(true).truncate(false).read(true).write(true).open(path).unwrap();
    let (last, len) = last_line(&mut record);
    record.set_len(len).unwrap();
    record.seek(SeekFrom::End(0)).unwrap();
    let last = last.map(|line| line.split(' ').next().unwrap().parse().unwrap());
    let gaps = record.try_clone().unwrap();
    let record = subscription(
        move |position, message| {
            (&record).write_all(format!("{position} {}\n", message.escape_ascii()).as_bytes()).unwrap();
        },
        move |gap| (&gaps).write_all(format!("gap: {gap}\n").as_bytes()).unwrap(),
    );
    Subscriber::new(client(port), last, record, ()).unwrap().start("127.0.0.1", false).unwrap();
}

/// The last line that is whole, and where it ends.
fn last_line(file: &mut File) -> (Option<String>, u64) {
    let len = file.metadata().unwrap().len();
    let from = len.saturating_sub(500);
    file.seek(SeekFrom::Start(from)).unwrap();
    let mut end = String::new();
    file.take(len - from).read_to_string(&mut end).unwrap();
    match end.rfind('\n') {
        None => (None, 0),
        Some(at) => (end[..at].lines().last().map(Into::into), from + at as u64 + 1),
    }
}

fn kill(kills: usize) {
    let seed = Seed::new();
    let mut random = seed.random(0);
    let folder = Folder::new("kills");
    let port = free_port();
    let start = |who: &str, number| Process::start(NAME, &format!("{who} {port} {} {number}", folder.path().display()));
    let since = Instant::now();
    let mut starts = 1;
    let mut publisher = start("publisher", starts);
    let mut recorder = start("recorder", 0);
    let mut killed = [0, 0];
    while killed[0] + killed[1] < kills {
        // Any moment: also while it starts.
        thread::sleep(Duration::from_micros(random.within(0..=300_000) as u64));
        let which = random.within(0..=2);
        if which != 0 {
            recorder.kill();
            killed[1] += 1;
        }
        if which != 1 {
            publisher.kill();
            killed[0] += 1;
        }
        // Dropped, a child has ended.
        if which != 0 {
            drop(recorder);
            recorder = start("recorder", 0);
        }
        if which != 1 {
            drop(publisher);
            starts += 1;
            publisher = start("publisher", starts);
        }
    }
    publisher.kill();
    drop(publisher);
    let took = since.elapsed();
    let publisher = start("publisher", 0);
    let newest: u64 = publisher.hear("last").parse().unwrap();
    let path = folder.path().join("record");
    until("the last message is recorded", || {
        let last = File::open(&path).ok().and_then(|mut record| last_line(&mut record).0);
        last.is_some_and(|line| line.split([':', ' ']).nth(1) == Some(&newest.to_string()))
    });
    drop((publisher, recorder));
    let messages = assert_record(&path, folder.path(), newest);
    println!(
        "{} kills of the publisher and {} of the recorder in {took:.1?}, {messages} messages: lost 0, doubled 0",
        killed[0], killed[1]
    );
}

/// Every message that was accepted is there once, in order.
fn assert_record(path: &Path, folder: &Path, newest: u64) -> u64 {
    let accepted = |start: u64| {
        let accepted = fs::read(folder.join(format!("accepted-{start}"))).unwrap_or_default();
        accepted.try_into().map_or(0, u64::from_le_bytes)
    };
    let mut recorded: BTreeMap<u64, u64> = BTreeMap::new();
    let mut lines = 0;
    for line in BufReader::new(File::open(path).unwrap()).lines() {
        let line = line.unwrap();
        lines += 1;
        let mut words = line.split(' ');
        let position: Position = words.next().unwrap().parse().unwrap_or_else(|_| panic!("line {lines}: {line}"));
        assert_eq!(position.number, lines, "{line}");
        let [start, count] = [words.next(), words.next()].map(|word| word.unwrap().parse::<u64>().unwrap());
        assert!(recorded.last_key_value().is_none_or(|(last, _)| *last <= start), "{line}");
        let before = recorded.insert(start, count).unwrap_or(0);
        assert_eq!(count, before + 1, "lost, or doubled: {line}");
    }
    assert_eq!(lines, newest);
    for start in 1..=recorded.last_key_value().map_or(0, |(start, _)| *start) {
        assert!(recorded.get(&start).copied().unwrap_or(0) >= accepted(start), "lost at the end of {start}");
    }
    lines
}

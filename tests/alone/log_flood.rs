//! That no peer can flood the log, and that what is left out of it is counted.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::{Callback, Closing, Connection, DisconnectReason, Error, Service, callback, crossbeam_channel};
use leads_comm_testing::*;
use log::{Level, LevelFilter, Log, Metadata, Record};

/// How many lines about one topic a service may log in a second.
const CAP: usize = 10;

/// What the peers send, and must not be seen.
const SECRET: &[u8] = b"SECRET-4711";

static LINES: Mutex<Vec<Line>> = Mutex::new(Vec::new());

struct Line {
    at: Instant,
    level: Level,
    text: String,
}

/// Keeps the library's lines.
struct Capture;

impl Log for Capture {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("leads_comm")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = Line { at: Instant::now(), level: record.level(), text: record.args().to_string() };
            LINES.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    }

    fn flush(&self) {}
}

/// Panics wherever it can.
struct Faulty;

impl Callback for Faulty {
    fn on_receive(&self, _service: &dyn Service, _connection: &Connection, _message: &[u8]) {
        panic!("as asked");
    }

    fn on_disconnect(&self, _service: &dyn Service, _connection: &Connection, _reason: &DisconnectReason) {
        panic!("as asked");
    }

    fn on_fail(&self, _service: &dyn Service, _error: &Error) {
        panic!("as asked");
    }
}

/// A topic: the level of its lines, what is in them, and what it is called where lines were left out.
type Topic = (Level, &'static str, &'static str);

const DROPPED: Topic = (Level::Warn, " dropped: ", "dropped connections");
const FAILURE: Topic = (Level::Warn, "the callback on_disconnect panicked", "failures");
const LATE_FAILURE: Topic = (Level::Warn, "the callback on_receive panicked", "failures");
const FAIL_PANIC: Topic = (Level::Error, "the callback on_fail panicked", "panics of on_fail");

/// When lines about a topic were logged, those included that say how many were left out; and how many there would have
/// been without the limit, by their own account.
fn lines((level, about, topic): Topic) -> (Vec<Instant>, u64) {
    let mut times = Vec::new();
    let mut all = 0;
    for line in LINES.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        if line.level == level && line.text.contains(about) {
            times.push(line.at);
            all += 1;
        } else if let Some((before, after)) = line.text.split_once(" more lines about ") {
            if after == format!("{topic} were left out") {
                times.push(line.at);
                all += before.rsplit(' ').next().unwrap().parse::<u64>().unwrap();
            }
        }
    }
    (times, all)
}

/// How many lines were logged in the second that had most of them.
fn most_in_a_second(times: &[Instant]) -> usize {
    let in_second =
        |from: &Instant| times.iter().filter(|&&at| (*from..*from + Duration::from_secs(1)).contains(&at)).count();
    times.iter().map(in_second).max().unwrap_or(0)
}

#[test]
fn hostile_peers_do_not_flood_the_log() {
    alone!();
    expect_panics_in_callbacks();
    log::set_logger(&Capture).unwrap();
    log::set_max_level(LevelFilter::Trace);
    let begun = Instant::now();
    let (callback, events) = recorder();
    let started = Net::Tcp.start_server(|builder| builder.callback((callback, Faulty)).max_received_len(100));
    let mut peers = 0;
    // For longer than the limit's period.
    while begun.elapsed() < Duration::from_millis(1500) {
        let raw = started.raw();
        let (message, end): (&[u8], &[u8]) = if peers % 2 == 0 { (&[b'x'; 101], b"") } else { (b"", b";") };
        let _ = raw.try_write(&[message, SECRET, end].concat());
        peers += 1;
        drop(raw);
        disconnected(&events);
    }
    // Also when nothing more happens, what was left out is said.
    let topics = [DROPPED, FAILURE, FAIL_PANIC];
    for topic in topics {
        until(topic.2, || lines(topic).1 == peers);
    }
    started.server.close();
    let time = begun.elapsed();
    let mut worst = 0;
    for topic in topics {
        let (logged, all) = lines(topic);
        assert_eq!(all, peers, "{topic:?}");
        // Not by the times of the lines: the logger may have been kept waiting before any of them.
        let most = CAP * (time.as_secs() as usize + 1);
        assert!(logged.len() <= most && logged.len() < peers as usize, "{topic:?}: {} in {time:?}", logged.len());
        worst = worst.max(most_in_a_second(&logged));
    }
    let given_away = LINES.lock().unwrap().iter().filter(|line| gives_away(&line.text)).count();
    println!(
        "S9: lines/s {worst}, cap {CAP}, about each of {} topics, for {peers} hostile peers in {time:.1?}; payload bytes \
         in log {given_away}",
        topics.len(),
    );
    assert_eq!(given_away, 0);
    what_a_callback_leaves_behind_is_said_too();
}

/// A callback that outlives its service: what it left out is said when the last handle goes.
fn what_a_callback_leaves_behind_is_said_too() {
    const PEERS: usize = 30;
    LINES.lock().unwrap().clear();
    let (open, gate) = crossbeam_channel::bounded::<()>(0);
    let (callback, events) = recorder();
    let stuck = callback::on_receive(move |_, _| {
        let _ = gate.recv();
        panic!("at last");
    });
    let close = Duration::from_millis(50);
    let started = Net::Memory.start_server(|builder| {
        builder
            .callback((callback, stuck))
            .closing(Closing::new().flush_timeout(close).drain_timeout(close).close_timeout(close))
    });
    let raws: Vec<_> = (0..PEERS).map(|_| started.raw()).collect();
    raws.iter().for_each(|raw| raw.write(b";"));
    (0..PEERS).for_each(|_| drop(received(&events)));
    started.server.close();
    thread::spawn(move || drop(open)).join().unwrap();
    drop(started);
    (0..PEERS).for_each(|_| drop(disconnected(&events)));
    drop((raws, events));
    until("all said", || lines(LATE_FAILURE).1 == PEERS as u64);
    assert!(lines(LATE_FAILURE).0.len() < PEERS);
}

/// Whether a text shows a part of the secret, in any form in which bytes are usually printed.
fn gives_away(text: &str) -> bool {
    let forms = ["SECRET", "-4711", "83, 69, 67", "45, 52, 55", "534543524554", "2d34373131", "2D34373131"];
    forms.iter().any(|part| text.contains(part))
}

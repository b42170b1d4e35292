//! How late messages of a replay are, and how many a second are converted.
//!
//! ```sh
//! cargo bench -p leads-comm-cli --bench replay
//! ```

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use leads_comm_testing::folder::Folder;

/// At 1 kHz, for ten seconds.
const PLAYED: u32 = 10_000;
const INTERVAL: Duration = Duration::from_millis(1);

/// An hour and a half of LEADS's frames.
const CONVERTED: u32 = 200_000;

/// As long as LEADS's frames are.
const LEN: usize = 812;

const COMMAND: &str = env!("CARGO_BIN_EXE_leads-comm");

fn main() {
    let folder = Folder::new("replay-bench");
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    record(file("played.jsonl").as_ref(), PLAYED);
    convert(&file("played.jsonl"), &file("played.mcap"));
    for round in 1..=3 {
        println!("replay at 1 kHz to one viewer, {PLAYED} × {LEN} B, round {round}");
        replay(&file("played.mcap"));
    }
    record(file("a.jsonl").as_ref(), CONVERTED);
    println!("convert, {CONVERTED} × {LEN} B");
    for (from, to) in [("a.jsonl", "a.mcap"), ("a.mcap", "b.mcap"), ("a.mcap", "b.jsonl"), ("a.mcap", "b.csv")] {
        let time = convert(&file(from), &file(to)).as_secs_f64();
        let per_second = f64::from(CONVERTED) / time;
        let megabytes = per_second * LEN as f64 / 1e6;
        let len = fs::metadata(file(to)).unwrap().len() as f64 / 1e6;
        println!("  {from} to {to}: {per_second:.0} messages/s, {megabytes:.0} MB/s of messages; {len:.1} MB");
    }
}

/// JSON Lines of frames, so many.
fn record(path: &Path, count: u32) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    for number in 0..count {
        let time = Duration::from_secs(1_795_897_762) + INTERVAL * number;
        let mut frame = format!("{{\"t\": {}, \"speed\": {}.25, \"voltage\": 48.1", time.as_millis(), number % 100);
        let mut name = 0;
        while frame.len() < LEN - 30 {
            name += 1;
            frame += &format!(", \"field_{name}\": {}.{}", number % (name * 7), number % 97);
        }
        frame += &format!(", \"fill\": \"{}\"", "x".repeat(LEN.saturating_sub(frame.len() + 12)));
        let (seconds, nanos) = (time.as_secs(), time.subsec_nanos());
        writeln!(file, "{{\"time\":{seconds}.{nanos:09},\"message\":{frame}}}}}").unwrap();
    }
    file.flush().unwrap();
}

/// How long it took.
fn convert(from: &str, to: &str) -> Duration {
    let start = Instant::now();
    assert!(Command::new(COMMAND).args(["convert", "-q", from, to]).status().unwrap().success());
    start.elapsed()
}

fn replay(file: &str) {
    let mut command = Command::new(COMMAND);
    command.args(["replay", file, "--serve", "127.0.0.1:0", "--wait-viewers", "1"]).stderr(Stdio::piped());
    let mut replay = command.spawn().unwrap();
    let mut lines = BufReader::new(replay.stderr.take().unwrap()).lines().map_while(Result::ok);
    let address = lines.next().unwrap();
    let mut viewer = TcpStream::connect(address.strip_prefix("listening on ").unwrap()).unwrap();
    let mut arrivals = Vec::with_capacity(PLAYED as usize);
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = viewer.read(&mut buffer).unwrap();
        let now = Instant::now();
        if count == 0 {
            break;
        }
        arrivals.extend(buffer[..count].iter().filter(|byte| **byte == b';').map(|_| now));
    }
    for line in lines.filter(|line| line.contains("late by")) {
        println!("  told by the command: {line}");
    }
    assert!(replay.wait().unwrap().success());
    // The goodbye is no message.
    arrivals.pop();
    assert_eq!(arrivals.len(), PLAYED as usize);
    // Against the arrival that was the earliest for its place.
    let ideal = (0..).zip(&arrivals).map(|(number, arrival)| *arrival - INTERVAL * number).min().unwrap();
    let mut late: Vec<_> =
        (0..).zip(&arrivals).map(|(number, arrival)| *arrival - (ideal + INTERVAL * number)).collect();
    late.sort();
    let at = |percent: usize| late[(late.len() - 1) * percent / 100];
    println!("  seen by the viewer: late by {:.1?} (p50), {:.1?} (p99), {:.1?} (max)", at(50), at(99), at(100));
}

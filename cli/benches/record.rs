//! What `record` costs and whether it keeps up, beside a car: a server that broadcasts over loopback, in this process.
//!
//! ```sh
//! cargo bench -p leads-comm-cli --bench record
//! ```
//!
//! - *paced*: 20,000 messages of 812 bytes a second for 3 s, to a viewer that throws all away, and to it and `record`;
//!   in turn, five times, the medians. What is left of the car's rate, how long a broadcast takes, the processor time
//!   of `record`, and what it loses.
//! - *large*: the same with 100 messages of 1 MiB a second.
//! - *free*: messages of 812 bytes as fast as the car can, for 2 s, to the viewer, and to it and `record`; in turn,
//!   five times, the medians. The car waits for those that are slow, and `record` has all of them (`--lossless`), or
//!   leaves out what it cannot keep up with.
//! - *size*: 30,000 messages, which is 1,000 s of telemetry, as fast as they go.
//!
//! Linux: processor time is read from `/proc`.

use std::io::{self, Read};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{env, fs, process};

use leads_comm::{Closing, MemoryLimits, Server, SlowConsumer};

fn main() {
    if !cfg!(target_os = "linux") {
        return println!("needs Linux");
    }
    let folder = env::temp_dir().join(format!("leads-comm-bench-{}", process::id()));
    fs::create_dir_all(&folder).unwrap();
    paced("paced", 812, 20_000, Duration::from_secs(3), &folder);
    paced("large", 1 << 20, 100, Duration::from_secs(3), &folder);
    free(&folder, &[]);
    free(&folder, &["--lossless"]);
    size(&folder);
    fs::remove_dir_all(&folder).unwrap();
}

/// A car, and nobody yet who listens to it.
fn car() -> Server {
    let server = Server::builder()
        .port(0)
        .max_sent_len(16 << 20)
        .max_queued_bytes(64 << 20)
        .memory_limits(MemoryLimits::new().max_total_queued_bytes(256 << 20))
        .slow_consumer(SlowConsumer::Block(Duration::from_secs(30)))
        .closing(Closing::new().flush_timeout(Duration::from_secs(30)).close_timeout(Duration::from_secs(40)))
        .build()
        .unwrap();
    server.start(true).unwrap();
    server
}

/// `record`, connected to it.
struct Recorder(Child);

impl Recorder {
    fn start(car: &Server, path: &Path, options: &[&str]) -> Self {
        let before = car.connections().len();
        let child = Command::new(env!("CARGO_BIN_EXE_leads-comm"))
            .args(["record", &format!("127.0.0.1:{}", car.port()), "--no-reconnect", "--force", "-o"])
            .arg(path)
            .args(options)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_for(|| car.connections().len() > before);
        Self(child)
    }

    /// Seconds of processor time, so far.
    fn processor_time(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        // Behind the name, which may contain anything: the 14th and 15th field of all.
        let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        let ticks: f64 = fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum();
        // What Linux counts in, for everybody who asks.
        ticks / 100.0
    }

    /// What it says at its end, which is when the car says goodbye.
    fn end(self) -> String {
        let output = self.0.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        said.lines().find(|line| line.contains("recorded")).unwrap_or(&said).to_owned()
    }
}

fn wait_for(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(1));
    }
}

/// How it went for once.
struct Round {
    /// Messages a second, and how long a broadcast took, in microseconds.
    rate: f64,
    broadcast: f64,
    /// The share of a core that the recorder used, and what it said.
    recorder: Option<(f64, String)>,
}

/// Messages at a rate, with and without a recorder in turn.
fn paced(name: &str, len: usize, rate: u64, time: Duration, folder: &Path) {
    let frames: Vec<_> = (0..100).map(|index| frame(index, len)).collect();
    let rounds = |records| (0..5).map(move |_| records);
    let rounds = rounds(false).zip(rounds(true)).flat_map(|(without, with)| [without, with]);
    let rounds: Vec<_> = rounds.map(|records| round(&frames, rate, time, records.then_some(folder))).collect();
    let of = |records: bool, value: fn(&Round) -> f64| {
        let chosen = rounds.iter().filter(|round| round.recorder.is_some() == records);
        median(chosen.map(value).collect())
    };
    let [without, with] = [false, true].map(|records| of(records, |round| round.rate));
    println!("{name:6} {len} bytes, {rate}/s: the car's rate with a recorder is {:.3} of that without", with / without);
    println!("       {with:.0}/s with it, {without:.0}/s without");
    let [without, with] = [false, true].map(|records| of(records, |round| round.broadcast));
    println!("       {with:.1} us a broadcast with it, {without:.1} us without");
    let share = of(true, |round| round.recorder.as_ref().map_or(0.0, |(share, _)| *share));
    println!("       {share:.0}% of a core; each time:");
    for (_, said) in rounds.iter().filter_map(|round| round.recorder.as_ref()) {
        println!("       {said}");
    }
}

fn round(frames: &[String], rate: u64, time: Duration, folder: Option<&Path>) -> Round {
    let messages = (rate as f64 * time.as_secs_f64()) as u64;
    let car = car();
    let viewer = viewer(&car);
    let recorder = folder.map(|folder| Recorder::start(&car, &folder.join("paced.mcap"), &[]));
    let used = || recorder.as_ref().map_or(0.0, Recorder::processor_time);
    let (before, begun) = (used(), Instant::now());
    let mut sending = Duration::ZERO;
    for index in 0..messages {
        let due = begun + Duration::from_secs_f64(index as f64 / rate as f64);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let sent = Instant::now();
        car.broadcast(frames[index as usize % frames.len()].as_bytes()).unwrap();
        sending += sent.elapsed();
    }
    // The last one has its time as well.
    thread::sleep((begun + time).saturating_duration_since(Instant::now()));
    let took = begun.elapsed().as_secs_f64();
    // What is still on its way belongs to it as well.
    wait_for(|| car.connections().iter().all(|peer| peer.queued_bytes() == 0));
    thread::sleep(Duration::from_secs(1));
    let share = (used() - before) / took * 100.0;
    car.close();
    viewer.join().unwrap();
    Round {
        rate: messages as f64 / took,
        broadcast: sending.as_secs_f64() * 1e6 / messages as f64,
        recorder: recorder.map(|recorder| (share, recorder.end())),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// As fast as the car can, with and without a recorder.
fn free(folder: &Path, options: &[&str]) {
    let mut rates = [Vec::new(), Vec::new()];
    let message = frame(0, 812);
    for index in 0..10 {
        let records = index % 2 == 1;
        let car = car();
        let viewer = viewer(&car);
        let recorder = records.then(|| Recorder::start(&car, &folder.join("free.mcap"), options));
        let begun = Instant::now();
        let mut messages = 0;
        while begun.elapsed() < Duration::from_secs(2) {
            car.broadcast(message.as_bytes()).unwrap();
            messages += 1;
        }
        rates[usize::from(records)].push(f64::from(messages) / begun.elapsed().as_secs_f64());
        car.close();
        viewer.join().unwrap();
        if let Some(recorder) = recorder {
            println!("       {}", recorder.end());
        }
    }
    let [without, with] = rates.map(median);
    let ratio = with / without;
    println!("free   {ratio:.2}: {with:.0}/s with a recorder {}, {without:.0}/s without", options.concat());
}

/// Reads, and throws away.
fn viewer(car: &Server) -> JoinHandle<()> {
    let socket = TcpStream::connect(("127.0.0.1", car.port())).unwrap();
    wait_for(|| car.connections().len() == 1);
    thread::spawn(move || drop(io::copy(&mut socket.take(u64::MAX), &mut io::sink())))
}

fn size(folder: &Path) {
    const MESSAGES: u64 = 30_000;
    let car = car();
    let path = folder.join("size.mcap");
    let recorder = Recorder::start(&car, &path, &["--lossless"]);
    for index in 0..MESSAGES {
        car.broadcast(frame(index, 812).as_bytes()).unwrap();
    }
    car.close();
    println!("size   {}", recorder.end());
    println!("       {:.0} bytes a message", fs::metadata(&path).unwrap().len() as f64 / MESSAGES as f64);
}

/// What LEADS sends 30 times a second, about, with sensors that are a little noisy, and filled up to a length.
fn frame(index: u64, len: usize) -> String {
    let mut chance = index.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut near = |value: f64, noise: f64| {
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        value + noise * (chance % 1000) as f64 / 1000.0
    };
    let time = index as f64 / 30.0;
    let speed = 30.0 + 20.0 * (time / 10.0).sin();
    let numbers = [
        ("brake", 0.0),
        ("forward_acceleration", near(2.0 * (time / 10.0).cos(), 0.2)),
        ("front_proximity", -1.0),
        ("front_wheel_speed", near(speed, 0.5)),
        ("gps_ground_speed", near(speed, 1.0)),
        ("lateral_acceleration", near(0.0, 0.2)),
        ("latitude", near(43.65 + time * 1e-5, 1e-6)),
        ("left_proximity", -1.0),
        ("longitude", near(-79.38 + time * 1e-5, 1e-6)),
        ("mileage", time * 0.01),
        ("pitch", near(0.0, 0.5)),
        ("rear_proximity", -1.0),
        ("rear_wheel_speed", near(speed, 0.5)),
        ("right_proximity", -1.0),
        ("roll", near(0.0, 0.5)),
        ("speed", near(speed, 0.5)),
        ("speed_trend", near(0.0, 0.1)),
        ("steering_position", near(0.0, 0.1)),
        ("throttle", near(0.5, 0.01)),
        ("vertical_acceleration", near(9.81, 0.1)),
        ("voltage", near(48.0, 0.1)),
        ("yaw", near(90.0, 0.5)),
    ];
    let numbers: String = numbers.iter().map(|(name, value)| format!("\"{name}\": {value:?}, ")).collect();
    let t = 1_795_897_762_603 + index * 1000 / 30;
    let start = format!("{{{numbers}\"gps_valid\": true, \"m1_mode\": \"D\", \"t\": {t}, \"filler\": \"");
    let filler = "x".repeat(len.saturating_sub(start.len() + 2));
    start + &filler + "\"}"
}

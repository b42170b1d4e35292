//! What a loop that must not be late loses by sending: the time of each call of `send`, of `queue`, and of nothing.
//!
//! ```sh
//! cargo bench --bench queue -- --calls 20000 --hz 1000 --busy
//! ```
//!
//! One thread does something so many times a second, and in turn it sends a message, queues one on another connection,
//! or does nothing, between two looks at the clock. So all three meet the same machine. The thread spins until its next
//! moment, or sleeps with `--sleep`. What nothing takes is the machine's, and what `send` and `queue` take beyond that
//! is the library's. Both connections are to a server in the same process, over loopback.
//!
//! - `--calls N`: how many calls of each; 20 000 unless told otherwise.
//! - `--hz N`: how many calls a second, of all three together; 1000.
//! - `--len N`: how long a message is, in bytes; 64.
//! - `--busy`: as many threads as there are cores do nothing but spin meanwhile.
//! - `--sleep`: the thread sleeps until its next moment.
//!
//! In the end, on Linux: what the process takes of a processor while nothing is sent, as long as the pump does not look
//! after what is queued, and while it does so, every millisecond and then every ten.

use std::hint;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::{Client, Connection, Server};

/// For how long the pump is watched while nothing is sent.
const IDLE: Duration = Duration::from_secs(3);

struct Options {
    calls: usize,
    pace: Duration,
    len: usize,
    is_busy: bool,
    sleeps: bool,
}

impl Options {
    fn read() -> Self {
        let mut options =
            Self { calls: 20_000, pace: Duration::from_millis(1), len: 64, is_busy: false, sleeps: false };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut number = || arguments.next().and_then(|number| number.parse().ok()).expect("it takes a number");
            match argument.as_str() {
                "--calls" => options.calls = number(),
                "--hz" => options.pace = Duration::from_secs(1) / u32::try_from(number()).expect("not so often"),
                "--len" => options.len = number(),
                "--busy" => options.is_busy = true,
                "--sleep" => options.sleeps = true,
                // Given by cargo.
                "--bench" => {}
                other => panic!("{other} is none of the options"),
            }
        }
        options
    }
}

fn main() {
    let options = Options::read();
    let server = Server::builder().port(0).build().unwrap();
    server.start(true).unwrap();
    let [sending, queueing] = [(); 2].map(|()| {
        let client = Client::builder().port(server.port()).build().unwrap();
        client.start("127.0.0.1", true).unwrap();
        client.connection().unwrap()
    });
    let asleep = share_of_a_processor();
    let stop = Arc::new(AtomicBool::new(false));
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let spinning: Vec<_> = (0..if options.is_busy { cores } else { 0 }).map(|_| spin_until(&stop)).collect();

    let [mut nothing, mut sent, mut queued] = measure(&options, &sending, &queueing);

    stop.store(true, Ordering::Relaxed);
    spinning.into_iter().for_each(|thread| thread.join().unwrap());
    println!("{:8} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}", "in µs", "p50", "p99", "p99.9", "max", "> 20 µs", "> 100 µs");
    report("nothing", &mut nothing);
    report("send", &mut sent);
    report("queue", &mut queued);
    let traffic = queueing.stats().traffic;
    println!("{} messages queued, in {} writes", traffic.accepted.messages, traffic.writes);

    if let Some(asleep) = asleep {
        queueing.queue(b"x").unwrap();
        let awake = share_while(|| queueing.queue(b"x").unwrap());
        thread::sleep(Duration::from_secs(2));
        let quiet = share_of_a_processor().unwrap_or_default();
        println!(
            "of a processor: {asleep:.3} % asleep, {awake:.3} % looking every millisecond, {quiet:.3} % every ten"
        );
    }
    server.close();
}

/// How long each call takes: of nothing, of `send` and of `queue`.
fn measure(options: &Options, sending: &Connection, queueing: &Connection) -> [Vec<u64>; 3] {
    let message = vec![b'x'; options.len];
    let mut times = [(); 3].map(|()| Vec::with_capacity(options.calls));
    let mut next = Instant::now();
    for call in 0..3 * options.calls {
        next += options.pace;
        if options.sleeps {
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        while Instant::now() < next {
            hint::spin_loop();
        }
        let kind = call % 3;
        let begun = Instant::now();
        match kind {
            0 => {}
            1 => sending.send(&message).unwrap(),
            _ => queueing.queue(&message).unwrap(),
        }
        let time = begun.elapsed();
        times[kind].push(u64::try_from(time.as_nanos()).unwrap());
    }
    times
}

fn spin_until(stop: &Arc<AtomicBool>) -> thread::JoinHandle<()> {
    let stop = Arc::clone(stop);
    thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            hint::spin_loop();
        }
    })
}

fn report(name: &str, times: &mut [u64]) {
    times.sort_unstable();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize] as f64 / 1000.0;
    let over = |micros: u64| times.iter().filter(|time| **time > micros * 1000).count();
    println!(
        "{name:8} {:9.2} {:9.2} {:9.2} {:9.1} {:9} {:9}",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
        over(20),
        over(100)
    );
}

/// What the process takes of a processor while nothing happens, in percent.
fn share_of_a_processor() -> Option<f64> {
    let before = processor_time()?;
    thread::sleep(IDLE);
    Some(100.0 * (processor_time()? - before).as_secs_f64() / IDLE.as_secs_f64())
}

/// The same while something is done every half second.
fn share_while(work: impl Fn()) -> f64 {
    let before = processor_time().unwrap_or_default();
    let begun = Instant::now();
    while begun.elapsed() < IDLE {
        work();
        thread::sleep(Duration::from_millis(500));
    }
    100.0 * (processor_time().unwrap_or_default() - before).as_secs_f64() / begun.elapsed().as_secs_f64()
}

/// What all threads of the process have taken so far, where the system tells.
fn processor_time() -> Option<Duration> {
    let tasks = std::fs::read_dir("/proc/self/task").ok()?;
    let time = |task: std::fs::DirEntry| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    };
    Some(Duration::from_nanos(tasks.flatten().filter_map(time).sum()))
}

//! What it costs a busy service that somebody looks at its numbers.
//!
//! ```sh
//! cargo bench --bench monitor -- --connections 1000 --hz 10 --rounds 9 --seconds 5
//! ```
//!
//! A server broadcasts to many clients, which are another process, as is the one who looks at the numbers. In turn, for
//! so many seconds each, somebody looks and nobody does. Of each turn it is taken how much of a processor the server's
//! process has used, and how much of that the monitor's own threads, and of all turns the medians. On a machine that is
//! busy otherwise the first swings by more than the monitor takes; the second says what it takes itself.
//!
//! - `--connections N`: how many clients; 1000. Each takes two descriptors: `ulimit -n`.
//! - `--hz N`: how many broadcasts of 200 bytes a second; 10.
//! - `--rounds N`, `--seconds N`: how many turns of either kind, and how long each is; 9, and 5.
//! - `--unix`: over Unix sockets instead of TCP.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::{Monitor, Server};

const LEN: usize = 200;

struct Options {
    connections: usize,
    hz: u32,
    rounds: usize,
    seconds: u64,
    unix: bool,
}

impl Options {
    fn read() -> Self {
        let mut options = Self { connections: 1000, hz: 10, rounds: 9, seconds: 5, unix: false };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut number = || arguments.next().and_then(|number| number.parse().ok()).expect("it takes a number");
            match argument.as_str() {
                "--connections" => options.connections = number(),
                "--hz" => options.hz = u32::try_from(number()).expect("not so often"),
                "--rounds" => options.rounds = number(),
                "--seconds" => options.seconds = number() as u64,
                #[cfg(unix)]
                "--unix" => options.unix = true,
                // Given by cargo.
                "--bench" => {}
                other => panic!("{other} is none of the options"),
            }
        }
        options
    }
}

/// A process that has so many connections and reads all that comes, until it is killed.
struct Readers(Child);

impl Readers {
    fn start(address: &str, connections: usize) -> Self {
        let program = std::env::current_exe().unwrap();
        let mut child = Command::new(program)
            .env("LEADS_COMM_READS", address)
            .env("LEADS_COMM_CONNECTIONS", connections.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "connected\n");
        Self(child)
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn read(address: &str) {
    let count: usize = std::env::var("LEADS_COMM_CONNECTIONS").unwrap().parse().unwrap();
    let readers: Vec<_> = (0..count)
        .map(|_| {
            let mut stream: Box<dyn Read + Send> = match address.strip_prefix("unix:") {
                #[cfg(unix)]
                Some(path) => Box::new(UnixStream::connect(path).unwrap()),
                _ => Box::new(TcpStream::connect(address).unwrap()),
            };
            let read = move || {
                let mut buffer = [0; 16 * 1024];
                while stream.read(&mut buffer).is_ok_and(|count| count > 0) {}
            };
            thread::Builder::new().stack_size(64 * 1024).spawn(read).unwrap()
        })
        .collect();
    println!("connected");
    readers.into_iter().for_each(|reader| reader.join().unwrap());
}

/// What the threads of the process whose names begin so have taken so far.
fn processor_time(name: &str) -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").expect("this is for Linux");
    let time = |task: std::fs::DirEntry| {
        let read = |file| std::fs::read_to_string(task.path().join(file)).ok();
        read("comm").filter(|comm| comm.starts_with(name))?;
        read("schedstat")?.split_whitespace().next()?.parse::<u64>().ok()
    };
    Duration::from_nanos(tasks.flatten().filter_map(time).sum())
}

/// The threads of the second service of the process, which is the monitor's.
const MONITOR: &str = "lc2-";

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    if let Ok(address) = std::env::var("LEADS_COMM_READS") {
        return read(&address);
    }
    let options = Options::read();
    let path = std::env::temp_dir().join(format!("leads-comm-bench-{}.sock", std::process::id()));
    let builder = Server::builder().port(0).max_connections(options.connections);
    #[cfg(unix)]
    let builder = if options.unix { builder.unix(&path) } else { builder };
    let server = builder.build().unwrap();
    server.start(true).unwrap();
    let monitor = Monitor::builder(&server).port(0).start().unwrap();
    let address = match options.unix {
        true => format!("unix:{}", path.display()),
        false => server.local_addr().unwrap().to_string(),
    };
    let _clients = Readers::start(&address, options.connections);
    while server.num_connections() < options.connections {
        thread::sleep(Duration::from_millis(10));
    }
    let ends = Arc::new(AtomicBool::new(false));
    let sending = {
        let (server, ends, pace) = (server.clone(), Arc::clone(&ends), Duration::from_secs(1) / options.hz);
        thread::spawn(move || {
            let mut next = Instant::now();
            while !ends.load(Ordering::Relaxed) {
                server.broadcast(&[b'x'; LEN]).unwrap();
                next += pace;
                thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        })
    };
    let (mut without, mut with, mut own) = (Vec::new(), Vec::new(), Vec::new());
    // Of the process, and of the monitor's threads, in percent of a processor.
    let measure = || {
        let (begin, before) = (Instant::now(), ["", MONITOR].map(processor_time));
        thread::sleep(Duration::from_secs(options.seconds));
        let after = ["", MONITOR].map(processor_time);
        [0, 1].map(|at| 100.0 * (after[at] - before[at]).as_secs_f64() / begin.elapsed().as_secs_f64())
    };
    for _ in 0..options.rounds {
        without.push(measure()[0]);
        let _looker = Readers::start(&monitor.local_addr().unwrap().to_string(), 1);
        let [all, monitor] = measure();
        with.push(all);
        own.push(monitor);
    }
    ends.store(true, Ordering::Relaxed);
    sending.join().unwrap();
    let sent = monitor.stats().traffic.written;
    let differences = without.iter().zip(&with).map(|(without, with)| with - without).collect();
    println!(
        "{} connections, {} broadcasts a second: {:.2} % of a processor; while somebody looks {:.2} %: {:+.2} % \
         (median of the differences), the monitor's threads {:.2} %; {} bytes a message",
        options.connections,
        options.hz,
        median(without),
        median(with),
        median(differences),
        median(own),
        sent.bytes / sent.messages.max(1),
    );
    server.close();
}

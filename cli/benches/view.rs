//! What `view` costs, beside a car: a server that broadcasts over loopback, in this process.
//!
//! ```sh
//! cargo bench -p leads-comm-cli --bench view
//! ```
//!
//! 50 frames of 300 bytes a second, and then 15 pictures of 100 KiB a second as well, for 10 s each, with nobody who
//! looks, with one browser, and with eight, which read all that they are told. Each time: the processor time of the
//! command, what a browser is sent, and how long a frame takes from being sent to its numbers being read at the other
//! end; samples are told every 50 ms. In the end what the command has taken of memory.
//!
//! Linux: processor time and memory are read from `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use leads_comm::{MemoryLimits, Server, SlowConsumer};
use serde_json::Value;
use tungstenite::Message;
use tungstenite::client::ClientRequestBuilder;

const FRAMES: u64 = 50;
const PICTURES: u64 = 15;
const TIME: Duration = Duration::from_secs(10);

fn main() {
    if !cfg!(target_os = "linux") {
        return println!("needs Linux");
    }
    let car = car();
    let view = View::start(car.port());
    while car.connections().is_empty() {
        thread::sleep(Duration::from_millis(1));
    }
    for pictures in [false, true] {
        for browsers in [0, 1, 8] {
            round(&car, &view, pictures, browsers);
        }
    }
    println!("memory of the command: {}", view.memory());
}

fn car() -> Server {
    let server = Server::builder()
        .port(0)
        .max_queued_bytes(16 << 20)
        .memory_limits(MemoryLimits::new().max_total_queued_bytes(64 << 20))
        .slow_consumer(SlowConsumer::DropOldest)
        .build()
        .unwrap();
    server.start(true).unwrap();
    server
}

/// The command.
struct View {
    child: Child,
    port: u16,
}

impl View {
    fn start(port: u16) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_leads-comm"))
            .args(["view", &format!("127.0.0.1:{port}"), "--listen", "127.0.0.1:0", "--monitor", "none"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = lines.find_map(|line| line.unwrap().strip_prefix("the page is at ").map(str::to_owned)).unwrap();
        thread::spawn(move || lines.for_each(drop));
        let port = url.trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap();
        Self { child, port }
    }

    /// Seconds of processor time, so far.
    fn processor_time(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // Behind the name, which may contain anything: the 14th and 15th field of all.
        let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        let ticks: f64 = fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum();
        // What Linux counts in, for everybody who asks.
        ticks / 100.0
    }

    fn memory(&self) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().to_owned()
    }
}

impl Drop for View {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One who reads all.
struct Browser {
    ends: Arc<AtomicBool>,
    bytes: Arc<AtomicU64>,
    /// Gives how long each frame took, in milliseconds.
    thread: JoinHandle<Vec<f64>>,
}

impl Browser {
    fn start(port: u16) -> Self {
        let (ends, bytes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (end, count) = (Arc::clone(&ends), Arc::clone(&bytes));
        let request = ClientRequestBuilder::new(format!("ws://127.0.0.1:{port}/").parse().unwrap())
            .with_sub_protocol("leads-comm.view.1");
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (mut socket, _) = tungstenite::client(request, stream).unwrap();
        let thread = thread::spawn(move || {
            let (mut id, mut took) = (String::new(), Vec::new());
            while !end.load(Ordering::Relaxed) {
                let message = socket.read().unwrap();
                count.fetch_add(message.len() as u64, Ordering::Relaxed);
                let Message::Text(text) = message else { continue };
                let now = millis();
                let told: BTreeMap<String, Value> = serde_json::from_str(&text).unwrap();
                match told["type"].as_str() {
                    Some("fields") => {
                        let fields = told["fields"].as_array().unwrap();
                        id = fields.iter().find(|field| field["path"] == "sent").map_or(id, |it| it["id"].to_string());
                    }
                    Some("samples") => {
                        let sent = told["v"].get(&id).and_then(Value::as_array).into_iter().flatten();
                        took.extend(sent.filter_map(Value::as_f64).map(|sent| now - sent));
                    }
                    _ => {}
                }
            }
            took
        });
        Self { ends, bytes, thread }
    }

    fn end(self) -> Vec<f64> {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Now, in milliseconds since 1970.
fn millis() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() * 1000.0
}

/// A frame of 300 bytes.
fn frame(index: u64) -> String {
    let mut frame = format!("{{\"sent\":{:.3}", millis());
    for field in 0..12 {
        let value = 30.0 + f64::from(field) + (index as f64 / 50.0).sin();
        frame += &format!(",\"field_{field}\":{value:.4}");
    }
    let pad = 300_usize.saturating_sub(frame.len() + 9);
    format!("{frame},\"pad\":\"{}\"}}", "x".repeat(pad.saturating_sub(1)))
}

fn round(car: &Server, view: &View, pictures: bool, browsers: usize) {
    let picture = STANDARD.encode([&b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01"[..], &[7; 100 << 10]].concat());
    let picture = format!("frvc:{picture}");
    let all: Vec<_> = (0..browsers).map(|_| Browser::start(view.port)).collect();
    // What they are told at the beginning is behind them.
    thread::sleep(Duration::from_secs(1));
    let bytes = || all.first().map_or(0, |browser| browser.bytes.load(Ordering::Relaxed));
    let (before, bytes_before, begun) = (view.processor_time(), bytes(), Instant::now());
    for index in 0..FRAMES * TIME.as_secs() {
        let due = begun + Duration::from_micros(index * 1_000_000 / FRAMES);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        car.broadcast(frame(index).as_bytes()).unwrap();
        if pictures && index * PICTURES / FRAMES != (index + 1) * PICTURES / FRAMES {
            car.broadcast(picture.as_bytes()).unwrap();
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let share = (view.processor_time() - before) / seconds * 100.0;
    let rate = (bytes() - bytes_before) as f64 / seconds / 1000.0;
    // So that the last ones are there.
    car.broadcast(frame(0).as_bytes()).unwrap();
    let mut took: Vec<f64> = all.into_iter().flat_map(Browser::end).collect();
    took.sort_by(f64::total_cmp);
    let percentile = |percent: usize| took.get(took.len() * percent / 100).copied().unwrap_or_default();
    let what = if pictures { "frames and pictures" } else { "frames" };
    print!("{what:19} {browsers} browsers: {share:4.1}% of a core");
    match browsers {
        0 => println!(),
        _ => {
            let (p50, p99) = (percentile(50), percentile(99));
            println!(", {rate:.0} kB/s to each, {p50:.0} ms (p50), {p99:.0} ms (p99) from sent to read");
        }
    }
}

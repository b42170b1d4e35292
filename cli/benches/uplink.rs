//! What each way from a vehicle to a viewer takes: directly, over relays, and over an MQTT broker.
//!
//! ```sh
//! cargo bench -p leads-comm-cli --bench uplink
//! ```
//!
//! A vehicle in this process, all others are processes of their own, over loopback. Each way is measured twice, by
//! messages of 300 bytes: 200 a second for 5 s, how late each is with the viewer; and 200,000 as fast as the way lets
//! them pass, none of which is lost. mosquitto, mosquitto's own bridge and nats-server take part where they are
//! installed; a viewer of theirs is their own client, whose lines are read.
//!
//! Rounds in turn, medians of five. Then what one vehicle with a hundred viewers costs a relay, and a bridge and its
//! broker: 50 messages a second for 10 s.
//!
//! Linux: processor time, memory and threads are read from `/proc`.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::{Client, Server, SlowConsumer, callback};
use leads_comm_testing::free_port;

const ROUNDS: usize = 5;

/// How late messages are is measured with so few that none waits for another.
const RATE: u64 = 200;
const TIME: Duration = Duration::from_secs(5);

/// So many go as fast as they can, and so many at a time are on their way: none between has to drop any then.
const MESSAGES: u64 = 200_000;
const WINDOW: u64 = 2000;
const LEN: usize = 300;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The ways, by the programs that are between a vehicle and a viewer.
const WAYS: [&str; 6] =
    ["no one", "a relay", "two relays", "bridge, mosquitto", "bridge, mosquitto, its own bridge, mosquitto", "nats"];

fn main() {
    if !cfg!(target_os = "linux") {
        return println!("needs Linux");
    }
    let mut results = WAYS.map(|_| Vec::new());
    for round in 0..ROUNDS {
        for (which, way) in WAYS.iter().enumerate() {
            match measure(which) {
                Some(result) => results[which].push(result),
                None if round == 0 => println!("{way}: skipped, it is not installed"),
                None => {}
            }
        }
    }
    println!("\n| between vehicle and viewer | messages a second | late by (p50) | (p99) |\n|---|---|---|---|");
    for (way, results) in WAYS.iter().zip(results).filter(|(_, results)| !results.is_empty()) {
        let median = |of: fn(&Measured) -> f64| {
            let mut values: Vec<f64> = results.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let (rate, p50, p99) = (median(|it| it.rate), median(|it| it.p50), median(|it| it.p99));
        println!("| {way} | {:.0}k | {:.0} µs | {:.0} µs |", rate / 1000.0, p50 * 1e6, p99 * 1e6);
    }
    println!(
        "\n| with 100 viewers, 50 messages a second | of a core | µs of a core for each delivery | MB | threads |"
    );
    println!("|---|---|---|---|---|");
    relay_to_many();
    broker_to_many();
}

struct Measured {
    /// Messages a second.
    rate: f64,
    /// Seconds.
    p50: f64,
    p99: f64,
}

/// A program that is between, which ends with this.
struct Program {
    child: Child,
    folder: Option<PathBuf>,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.folder.as_ref().map(fs::remove_dir_all);
    }
}

/// Has the vehicle say a message.
type Send = dyn FnMut(&[u8]);

/// A way from a vehicle to a viewer.
struct Way {
    send: Box<Send>,
    /// The numbers of messages, and when the viewer had them.
    received: Receiver<(u64, Instant)>,
    _programs: Vec<Program>,
}

fn measure(which: usize) -> Option<Measured> {
    let mut way = way(which)?;
    // Until all are connected.
    let begun = Instant::now();
    while way.received.recv_timeout(Duration::from_millis(50)).is_err() {
        assert!(begun.elapsed() < PATIENCE, "{}: nothing comes through", WAYS[which]);
        (way.send)(&message(0));
    }
    thread::sleep(Duration::from_millis(300));
    while way.received.try_recv().is_ok() {}

    let begun = Instant::now();
    let count = RATE * TIME.as_secs();
    let mut sent = vec![begun; 1];
    for number in 1..=count {
        thread::sleep(
            (begun + Duration::from_micros(number * 1_000_000 / RATE)).saturating_duration_since(Instant::now()),
        );
        sent.push(Instant::now());
        (way.send)(&message(number));
    }
    let mut late: Vec<f64> = (1..=count)
        .map(|_| {
            let (number, at) = way.received.recv_timeout(PATIENCE).expect("it is lost");
            at.duration_since(sent[number as usize]).as_secs_f64()
        })
        .collect();
    late.sort_by(f64::total_cmp);

    let begun = Instant::now();
    let mut come = 0;
    for number in count + 1..=count + MESSAGES {
        (way.send)(&message(number));
        while way.received.try_recv().is_ok() {
            come += 1;
        }
        if number - count - come >= WINDOW {
            way.received.recv_timeout(PATIENCE).expect("it is lost");
            come += 1;
        }
    }
    while come < MESSAGES {
        way.received.recv_timeout(PATIENCE).expect("it is lost");
        come += 1;
    }
    let rate = MESSAGES as f64 / begun.elapsed().as_secs_f64();
    Some(Measured { rate, p50: late[late.len() / 2], p99: late[late.len() * 99 / 100] })
}

fn message(number: u64) -> Vec<u8> {
    format!("{number:<LEN$}").into_bytes()
}

fn number(message: &[u8]) -> Option<u64> {
    std::str::from_utf8(message).ok()?.trim().parse().ok()
}

fn way(which: usize) -> Option<Way> {
    if which == 5 {
        return nats();
    }
    let server = Server::builder().port(0).slow_consumer(SlowConsumer::Block(PATIENCE)).build().unwrap();
    server.start(true).unwrap();
    let car = format!("127.0.0.1:{}", server.port());
    let (programs, received) = match which {
        0 => (vec![], viewer(server.port())),
        1 => {
            let (relay, ports) = command(&["relay", "--pull", &car, "--serve", "127.0.0.1:0"], &["to: listening on "]);
            (vec![relay], viewer(ports[0]))
        }
        2 => {
            let both = ["to: listening on ", "from: listening on "];
            let (above, ports) = command(&["relay", "--accept", "127.0.0.1:0", "--serve", "127.0.0.1:0"], &both);
            let (below, _) = command(&["relay", "--pull", &car, "--push", &format!("127.0.0.1:{}", ports[1])], &[]);
            (vec![above, below], viewer(ports[0]))
        }
        _ => {
            let (broker, port) = mosquitto(None)?;
            let broker_address = format!("127.0.0.1:{port}");
            let words = ["bridge", "mqtt", "--pull", &car, "--broker", &broker_address, "--vehicle", "car"];
            let (bridge, _) = command(&words, &[]);
            let mut programs = vec![bridge, broker];
            let port = match which {
                3 => port,
                _ => {
                    let (above, above_port) = mosquitto(Some(port))?;
                    programs.push(above);
                    above_port
                }
            };
            let (subscriber, received) = subscriber(port)?;
            programs.push(subscriber);
            (programs, received)
        }
    };
    let send = move |message: &[u8]| {
        server.broadcast(message).unwrap();
    };
    Some(Way { send: Box::new(send), received, _programs: programs })
}

/// A viewer that is a client of the library.
fn viewer(port: u16) -> Receiver<(u64, Instant)> {
    let (tell, received) = mpsc::channel();
    let callback = callback::on_receive(move |_, message| {
        let _ = tell.send((number(message).expect("it is one of ours"), Instant::now()));
    });
    let client = Client::builder().port(port).callback(callback).build().unwrap();
    client.start("127.0.0.1", true).unwrap();
    received
}

/// The command, and the ports at the end of the lines of stderr that begin so.
fn command(words: &[&str], beginnings: &[&str]) -> (Program, Vec<u16>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leads-comm"));
    let mut child = command.args(words).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut ports = vec![0; beginnings.len()];
    while ports.contains(&0) {
        let line = lines.next().expect("it listens");
        if let Some(which) = beginnings.iter().position(|beginning| line.starts_with(beginning)) {
            ports[which] = line.rsplit(':').next().unwrap().parse().unwrap();
        }
    }
    thread::spawn(move || lines.for_each(drop));
    (Program { child, folder: None }, ports)
}

/// Starts a program with a configuration, and waits for its port.
fn configured(program: &str, option: &str, config: &str, port: u16) -> Option<Program> {
    let folder = std::env::temp_dir().join(format!("leads-comm-uplink-{}-{port}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("conf");
    fs::write(&file, config).unwrap();
    let spawned = Command::new(program).arg(option).arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let Ok(child) = spawned else {
        let _ = fs::remove_dir_all(folder);
        return None;
    };
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(begun.elapsed() < PATIENCE, "{program} does not listen");
        thread::sleep(Duration::from_millis(5));
    }
    Some(Program { child, folder: Some(folder) })
}

/// A broker; one that takes what another has, by a bridge of its own, where that one's port is given.
fn mosquitto(of: Option<u16>) -> Option<(Program, u16)> {
    let port = free_port();
    let bridge = of.map(|of| format!("connection other\naddress 127.0.0.1:{of}\ntopic leads/# in 0\n"));
    let config = format!(
        "listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\nmax_queued_messages 0\n{}",
        bridge.unwrap_or_default()
    );
    Some((configured("mosquitto", "-c", &config, port)?, port))
}

/// A viewer that is mosquitto's own client.
fn subscriber(port: u16) -> Option<(Program, Receiver<(u64, Instant)>)> {
    let port = port.to_string();
    let words = ["-oL", "mosquitto_sub", "-p", &port, "-t", "leads/car/telemetry/up"];
    let mut child = Command::new("stdbuf").args(words).stdout(Stdio::piped()).spawn().ok()?;
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let (tell, received) = mpsc::channel();
    thread::spawn(move || {
        for line in lines {
            if tell.send((number(line.as_bytes()).expect("it is one of ours"), Instant::now())).is_err() {
                return;
            }
        }
    });
    Some((Program { child, folder: None }, received))
}

/// A vehicle that publishes at a server of its own, which is a leaf node of the one that has the viewer; without
/// leads-comm.
fn nats() -> Option<Way> {
    let (hub_port, leaves_port, leaf_port) = (free_port(), free_port(), free_port());
    let hub = format!("host: 127.0.0.1\nport: {hub_port}\nleafnodes {{ host: 127.0.0.1, port: {leaves_port} }}\n");
    let leaf = format!(
        "host: 127.0.0.1\nport: {leaf_port}\nleafnodes {{ remotes: [ {{ url: \"nats://127.0.0.1:{leaves_port}\" }} ] }}\n"
    );
    let hub = configured("nats-server", "-c", &hub, hub_port)?;
    let leaf = configured("nats-server", "-c", &leaf, leaf_port)?;
    let connect = |port| {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_nodelay(true).unwrap();
        (&stream).write_all(b"CONNECT {\"verbose\":false}\r\n").unwrap();
        stream
    };
    let viewer = connect(hub_port);
    (&viewer).write_all(b"SUB car 1\r\n").unwrap();
    let (tell, received) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(&viewer).split(b'\n').map_while(Result::ok) {
            match number(&line) {
                Some(number) if tell.send((number, Instant::now())).is_err() => return,
                None if line.starts_with(b"PING") => (&viewer).write_all(b"PONG\r\n").unwrap(),
                _ => {}
            }
        }
    });
    let car = connect(leaf_port);
    let send = move |message: &[u8]| {
        let head = format!("PUB car {}\r\n", message.len());
        (&car).write_all(&[head.as_bytes(), message, b"\r\n"].concat()).unwrap();
    };
    Some(Way { send: Box::new(send), received, _programs: vec![hub, leaf] })
}

const VIEWERS: usize = 100;
const FRAMES: u64 = 50;
const LONG: Duration = Duration::from_secs(10);

fn relay_to_many() {
    let server = car();
    let address = format!("127.0.0.1:{}", server.port());
    let (relay, ports) = command(&["relay", "--pull", &address, "--serve", "127.0.0.1:0"], &["to: listening on "]);
    for _ in 0..VIEWERS {
        read_all(TcpStream::connect(("127.0.0.1", ports[0])).unwrap());
    }
    run(&server, &[("the relay", &relay)]);
}

fn broker_to_many() {
    let server = car();
    let Some((broker, port)) = mosquitto(None) else { return };
    let (address, broker_address) = (format!("127.0.0.1:{}", server.port()), format!("127.0.0.1:{port}"));
    let words = ["bridge", "mqtt", "--pull", &address, "--broker", &broker_address, "--vehicle", "car"];
    let (bridge, _) = command(&words, &[]);
    for number in 0..VIEWERS {
        let viewer = TcpStream::connect(("127.0.0.1", port)).unwrap();
        (&viewer).write_all(&subscription(number)).unwrap();
        read_all(viewer);
    }
    run(&server, &[("the bridge", &bridge), ("mosquitto", &broker)]);
}

fn car() -> Server {
    let server = Server::builder().port(0).slow_consumer(SlowConsumer::DropOldest).build().unwrap();
    server.start(true).unwrap();
    server
}

fn read_all(stream: TcpStream) {
    thread::spawn(move || std::io::copy(&mut &stream, &mut std::io::sink()));
}

/// CONNECT and SUBSCRIBE of MQTT 3.1.1.
fn subscription(number: usize) -> Vec<u8> {
    let (name, topic) = (format!("viewer-{number:04}"), "leads/car/telemetry/up");
    let text = |text: &str| [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat();
    let packet = |first: u8, body: &[u8]| [&[first, body.len() as u8][..], body].concat();
    let connect = [&text("MQTT")[..], &[4, 2, 0, 0], &text(&name)].concat();
    let subscribe = [&[0, 1][..], &text(topic), &[0]].concat();
    [packet(0x10, &connect), packet(0x82, &subscribe)].concat()
}

fn run(car: &Server, programs: &[(&str, &Program)]) {
    while car.connections().is_empty() {
        thread::sleep(Duration::from_millis(1));
    }
    thread::sleep(Duration::from_secs(1));
    let before: Vec<f64> = programs.iter().map(|(_, program)| program.processor_time()).collect();
    let begun = Instant::now();
    let count = FRAMES * LONG.as_secs();
    for number in 1..=count {
        thread::sleep(
            (begun + Duration::from_micros(number * 1_000_000 / FRAMES)).saturating_duration_since(Instant::now()),
        );
        car.broadcast(&message(number)).unwrap();
    }
    for ((name, program), before) in programs.iter().zip(before) {
        let took = program.processor_time() - before;
        let (share, each) = (100.0 * took / begun.elapsed().as_secs_f64(), took / (count as f64 * VIEWERS as f64));
        let (memory, threads) = (program.status("VmRSS:") / 1024.0, program.status("Threads:"));
        println!("| {name} | {share:.1} % | {:.2} | {memory:.1} | {threads} |", 1e6 * each);
    }
}

impl Program {
    /// Seconds of processor time, so far.
    fn processor_time(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // Behind the name, which may contain anything: the 14th and 15th field of all.
        let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        let ticks: f64 = fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum();
        // What Linux counts in, for everybody who asks.
        ticks / 100.0
    }

    fn status(&self, field: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }
}

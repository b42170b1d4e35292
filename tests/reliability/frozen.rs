//! I13: what a viewer that is stopped costs those beside it, under each delivery.

use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};
use std::{array, fmt};

use leads_comm::stats::Traffic;
use leads_comm::{Client, Closing, Connection, Delivery, DisconnectCause, SlowConsumer, callback, key};
use leads_comm_testing::alone::again;
use leads_comm_testing::child::{Process, task, tell};
use leads_comm_testing::*;
use socket2::{Domain, Socket, Type};

use crate::figures::Times;

const HEALTHY: usize = 7;
const KEYS: usize = 10;
const LEN: usize = 1000;
const QUEUE: usize = 20 * LEN;
const PACE: Duration = Duration::from_millis(1);

/// Longer than a call of `broadcast` takes that waits for nobody.
const WAITS: Duration = Duration::from_millis(20);

/// How the viewer is served that is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frozen {
    /// There is none.
    Nobody,
    /// It is ended when half of all has been sent.
    Disconnect,
    DropOldest,
    DropNewest,
    Conflate,
    /// There is none, and messages come as rarely as to those beside one that is waited for.
    NobodyRarely,
    /// It goes on for a moment whenever it is waited for.
    Block,
}

const ALL: [Frozen; 7] = [
    Frozen::Nobody,
    Frozen::Disconnect,
    Frozen::DropOldest,
    Frozen::DropNewest,
    Frozen::Conflate,
    Frozen::NobodyRarely,
    Frozen::Block,
];

impl Frozen {
    fn is_there(self) -> bool {
        !matches!(self, Self::Nobody | Self::NobodyRarely)
    }

    /// How far apart messages are at least.
    fn pace(self) -> Duration {
        if self == Self::NobodyRarely { PACE + WAITS } else { PACE }
    }

    fn delivery(self, messages: usize) -> Delivery {
        let delivery = Delivery::new().max_queued_bytes(QUEUE).max_unsent_bytes(16 * 1024);
        match self {
            Self::Nobody | Self::NobodyRarely => Delivery::new(),
            Self::Disconnect => delivery.max_queued_bytes((messages / 2).max(20) * LEN),
            Self::DropOldest => delivery.slow_consumer(SlowConsumer::DropOldest),
            Self::DropNewest => delivery.slow_consumer(SlowConsumer::DropNewest),
            Self::Conflate => delivery.conflate(true),
            Self::Block => delivery.slow_consumer(SlowConsumer::Block(PATIENCE)),
        }
    }

    /// Whether it has come to what the delivery is for.
    fn is_behind(self, traffic: Traffic) -> bool {
        match self {
            Self::Nobody | Self::NobodyRarely | Self::Disconnect | Self::Block => traffic.waiting.messages > 0,
            Self::DropOldest | Self::DropNewest => traffic.dropped.messages > 0,
            Self::Conflate => traffic.conflated.messages > 0,
        }
    }
}

fn message(number: usize) -> Vec<u8> {
    let mut message = format!("{}:{number}:", number % KEYS).into_bytes();
    message.resize(LEN, b'x');
    message
}

fn number_in(message: &[u8]) -> Option<usize> {
    std::str::from_utf8(message.split(|byte| *byte == b':').nth(1)?).ok()?.parse().ok()
}

/// A process that reads all that comes, unless it is stopped.
fn stopped(started: &Started) -> (Process, Connection) {
    let child = again(module_path!(), "reads_all_that_comes", &started.addr().to_string());
    let process = Process::spawn(child);
    process.hear("connected");
    let connection = connected(&started.events);
    process.signal("STOP");
    (process, connection)
}

#[test]
#[ignore = "started by others"]
fn reads_all_that_comes() {
    let Some(address) = task() else { return };
    // Its system takes as little as it can, however fast it reads in between.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&address.parse::<SocketAddr>().unwrap().into()).unwrap();
    let mut peer = TcpStream::from(socket);
    tell("connected", "now");
    let _ = std::io::copy(&mut peer, &mut std::io::sink());
}

/// Broadcasts at a steady pace, one message when the healthy have the one before: how long each was on its way to each
/// of them. Where somebody is waited for, only those messages count for which somebody was.
fn one_way_times(frozen: Frozen, messages: usize) -> Times {
    let started = Net::Tcp.start_server(|builder| {
        // It stays, and the stall time-out does not end it before the end.
        builder
            .max_received_len(LEN)
            .max_sent_len(LEN)
            .key(key::prefix(b':'))
            .timeouts(unhurried(3 * PATIENCE))
            .closing(Closing::new().flush_timeout(Duration::ZERO))
    });
    // Before the others in the table.
    let viewer = frozen.is_there().then(|| stopped(&started));
    let (tell, arrived) = mpsc::channel();
    let _healthy: [Client; HEALTHY] = array::from_fn(|_| {
        let tell = tell.clone();
        let client = started.start_client_with(callback::on_receive(move |_, message| {
            let _ = tell.send((number_in(message), Instant::now()));
        }));
        connected(&started.events);
        client
    });
    if let Some((_, connection)) = &viewer {
        connection.set_delivery(frozen.delivery(messages)).unwrap();
        let mut number = 0;
        while !frozen.is_behind(connection.stats().traffic) {
            let _ = connection.send(&message(number % KEYS));
            number += 1;
        }
    }
    let (broadcast, asked) = mpsc::channel();
    let (done, returned) = mpsc::channel();
    let server = started.server.clone();
    let broadcasting = thread::spawn(move || {
        for number in asked {
            let called = Instant::now();
            server.broadcast(&message(number)).unwrap();
            done.send(called).unwrap();
        }
    });
    let mut times = Times::default();
    let (mut due, mut counted) = (Instant::now(), 0);
    let is_over = |counted| match (frozen, &viewer) {
        (Frozen::Disconnect, Some((_, connection))) => counted >= messages && connection.is_closed(),
        _ => counted >= messages,
    };
    for number in 0.. {
        if is_over(counted) {
            break;
        }
        broadcast.send(number).unwrap();
        // Before anybody is waited for: nothing lets the broadcaster go on but what comes below.
        let arrivals: [Instant; HEALTHY] = array::from_fn(|_| {
            let (told, at) = arrived.recv_timeout(PATIENCE).expect("who reads does not get it");
            assert_eq!(told, Some(number));
            at
        });
        let (called, waits) = match (frozen, &viewer) {
            (Frozen::Block, Some((process, _))) => match returned.recv_timeout(WAITS) {
                Ok(called) => (called, false),
                Err(RecvTimeoutError::Timeout) => {
                    process.signal("CONT");
                    let called = returned.recv_timeout(PATIENCE).expect("it goes on, and the broadcaster does not");
                    process.signal("STOP");
                    (called, true)
                }
                Err(RecvTimeoutError::Disconnected) => panic!("the broadcaster is gone"),
            },
            _ => (returned.recv_timeout(PATIENCE).expect("the broadcaster is held up"), true),
        };
        if waits {
            counted += 1;
            arrivals.iter().for_each(|at| times.add(at.saturating_duration_since(called)));
        }
        if let (Frozen::Block, Some((_, connection))) = (frozen, &viewer) {
            while connection.queued_bytes() + LEN + 65 <= QUEUE {
                connection.send(&message(number)).unwrap();
            }
        }
        due = (due + frozen.pace()).max(Instant::now());
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    drop(broadcast);
    broadcasting.join().unwrap();
    match frozen {
        Frozen::Nobody | Frozen::NobodyRarely => {}
        Frozen::Disconnect => {
            let cause = disconnected(&started.events).cause;
            assert!(matches!(cause, DisconnectCause::SlowConsumer { .. }), "{cause:?}");
        }
        _ => assert!(viewer.is_some_and(|(_, connection)| !connection.is_closed()), "it is served, {frozen:?}"),
    }
    times
}

/// What several rounds came to.
struct Figure([Duration; ROUNDS]);

const ROUNDS: usize = 5;

impl Figure {
    fn new(mut rounds: [Duration; ROUNDS]) -> Self {
        rounds.sort_unstable();
        Self(rounds)
    }

    fn median(&self) -> Duration {
        self.0[ROUNDS / 2]
    }
}

/// As `1.2ms (1.1ms to 1.3ms)`.
impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1?} ({:.1?} to {:.1?})", self.median(), self.0[0], self.0[ROUNDS - 1])
    }
}

/// Each healthy viewer has each message, and no broadcaster waits but for the one that is to be waited for.
#[test]
fn i13_a_stopped_viewer_delays_nobody_under_any_delivery() {
    alone!();
    for frozen in ALL {
        one_way_times(frozen, 40);
    }
}

#[test]
#[ignore = "long: takes two minutes"]
fn i13_one_way_times_beside_a_stopped_viewer() {
    let mut rounds: [Vec<Times>; ALL.len()] = Default::default();
    // By turns, so that what else the machine does is the same for all.
    for _ in 0..ROUNDS {
        for (frozen, times) in ALL.iter().zip(&mut rounds) {
            let is_rare = matches!(frozen, Frozen::NobodyRarely | Frozen::Block);
            times.push(one_way_times(*frozen, if is_rare { 200 } else { 2000 }));
        }
    }
    let mut without = Duration::ZERO;
    for (frozen, times) in ALL.iter().zip(&rounds) {
        let [p50, p99] = [500, 990].map(|at| Figure::new(array::from_fn(|round| times[round].per_mille(at))));
        if !frozen.is_there() {
            without = p99.median();
        }
        let ratio = p99.median().as_secs_f64() / without.as_secs_f64();
        println!("I13: beside {frozen:?}: one way p50 {p50}, p99 {p99}, {ratio:.2} of that beside nobody");
    }
}

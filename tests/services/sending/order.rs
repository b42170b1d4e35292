//! Each sender's messages arrive in order, each of them once, whole: through a proxy that cuts them anywhere and slows
//! them down, from eight threads on each side at once.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::{Callback, Client, Connection, Error, Server, Service, SlowConsumer};
use leads_comm_testing::proxy::{BOTH, Direction, Faults, Proxy, Slices};
use leads_comm_testing::seed::{Random, Seed};
use leads_comm_testing::stamp::{Book, Stamp};
use leads_comm_testing::*;

const SENDERS: u64 = 8;
const LONGEST: usize = 64 * 1024;

/// Long enough never to be over in a test.
const PATIENT: SlowConsumer = SlowConsumer::Block(Duration::from_secs(600));

/// How the senders keep from sending more than the peer takes.
#[derive(Debug, Clone, Copy)]
enum Pacing {
    /// They wait for room.
    Block,
    /// They flush, each of them after this many of its messages; eight times as many have to fit into the queue.
    Flush(u64),
}

#[derive(Debug)]
struct Case {
    name: &'static str,
    coalesce: bool,
    pacing: Pacing,
    /// Of bytes in a second, in each direction.
    rate: Option<u64>,
    slices: Slices,
}

const CASES: [Case; 4] = [
    Case { name: "joined", coalesce: true, pacing: Pacing::Block, rate: None, slices: Slices::Skewed(LONGEST) },
    Case {
        name: "joined, flushed, throttled",
        coalesce: true,
        pacing: Pacing::Flush(6),
        rate: Some(64_000_000),
        slices: Slices::Random(1..=20_000),
    },
    Case { name: "not joined", coalesce: false, pacing: Pacing::Block, rate: None, slices: Slices::Skewed(LONGEST) },
    Case {
        name: "not joined, throttled",
        coalesce: false,
        pacing: Pacing::Block,
        rate: Some(64_000_000),
        slices: Slices::Skewed(LONGEST),
    },
];

/// Keeps the book of what one side receives.
#[derive(Default)]
struct Receiver {
    book: Mutex<Book>,
    /// Messages without a byte, which carry no stamp.
    empty: AtomicU64,
    count: AtomicU64,
    gone: AtomicBool,
}

impl Callback for Receiver {
    fn on_receive(&self, _: &dyn Service, _: &Connection, message: &[u8]) {
        if message.is_empty() {
            self.empty.fetch_add(1, Ordering::Relaxed);
        } else {
            self.book.lock().unwrap().enter(message);
        }
        self.count.fetch_add(1, Ordering::Release);
    }

    fn on_disconnect(&self, _: &dyn Service, _: &Connection, _: &leads_comm::DisconnectReason) {
        self.gone.store(true, Ordering::Release);
    }
}

impl Receiver {
    /// Waits for so many messages; those that do not come for a long time do not come any more.
    fn wait_for(&self, count: u64) {
        let mut last = (0, Instant::now());
        while last.0 < count && !self.gone.load(Ordering::Acquire) && last.1.elapsed() < PATIENCE {
            let now = self.count.load(Ordering::Acquire);
            if now > last.0 {
                last = (now, Instant::now());
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Sends so many messages, one in some hundred of them empty; how many were, and how many bytes in all.
fn send_all(
    sender: u64,
    messages: u64,
    mut random: Random,
    pacing: Pacing,
    send: impl Fn(u64, &[u8]) -> Result<(), Error>,
    flush: impl Fn() -> Result<(), Error>,
) -> (u64, u64) {
    let (mut empty, mut bytes) = (0, 0);
    let mut message = Vec::new();
    let mut number = 0;
    for turn in 0..messages {
        // Twice, so that most are short.
        let most = random.skewed(LONGEST);
        match random.skewed(most) {
            0 if random.once_in(10) => {
                message.clear();
                empty += 1;
            }
            len => {
                Stamp { kind: b's', sender, number }.write(len, &mut message);
                number += 1;
            }
        }
        send(turn, &message).unwrap_or_else(|error| panic!("sender {sender}, message {turn}: {error}"));
        bytes += message.len() as u64;
        if let Pacing::Flush(every) = pacing {
            if turn % every == 0 {
                flush().unwrap();
            }
        }
    }
    (empty, bytes)
}

/// Runs one case with so many messages from each sender, and returns whether everything arrived as it should.
fn run(seed: &Seed, case: &Case, messages: u64) -> bool {
    let (at_server, at_client) = (Arc::new(Receiver::default()), Arc::new(Receiver::default()));
    let policy = match case.pacing {
        Pacing::Block => PATIENT,
        Pacing::Flush(_) => SlowConsumer::Disconnect,
    };
    let server = Server::builder().port(0).callback(Arc::clone(&at_server));
    let server = server.coalesce(case.coalesce).slow_consumer(policy).build().unwrap();
    server.start(true).unwrap();
    let faults = Faults { slices: case.slices.clone(), rate: case.rate, ..Faults::default() };
    let proxy = Proxy::start(server.local_addr().unwrap(), seed.random(0), faults.clone(), faults);
    let client = Client::builder().port(proxy.addr().port()).callback(Arc::clone(&at_client));
    let client = client.coalesce(case.coalesce).slow_consumer(policy).build().unwrap();
    client.start("127.0.0.1", true).unwrap();
    until("the connection", || server.num_connections() == 1);
    let to_client = server.connections().remove(0);

    let sending: Vec<_> = (0..SENDERS)
        .flat_map(|sender| [(Direction::ToServer, sender), (Direction::ToClient, sender)])
        .map(|(direction, sender)| {
            let (client, server, to_client) = (client.clone(), server.clone(), to_client.clone());
            let (random, pacing) = (seed.random(1 + sender * 2 + direction as u64), case.pacing);
            thread::spawn(move || match direction {
                Direction::ToServer => {
                    let flush = || client.flush(PATIENCE);
                    send_all(sender, messages, random, pacing, |_, message| client.send(message), flush)
                }
                Direction::ToClient => {
                    // In turn, so that what is gathered for everyone and what is for one keep their order.
                    let send = |turn: u64, message: &[u8]| match turn / 50 % 2 {
                        0 => to_client.send(message),
                        _ => server.broadcast(message).map(|accepted| assert_eq!(accepted, 1)),
                    };
                    send_all(sender, messages, random, pacing, send, || server.flush(PATIENCE))
                }
            })
        })
        .collect();
    let mut empty = [0; 2];
    let mut bytes = [0; 2];
    for (at, sending) in sending.into_iter().enumerate() {
        let (without, all) = sending.join().unwrap();
        empty[at % 2] += without;
        bytes[at % 2] += all;
    }
    let mut held = true;
    for (direction, receiver) in BOTH.into_iter().zip([&at_server, &at_client]) {
        let all = SENDERS * messages;
        receiver.wait_for(all);
        let book = receiver.book.lock().unwrap();
        let mut faults = book.faults();
        // Those that did not come at all, at the end of a sender's or among the empty ones.
        let received = book.received + receiver.empty.load(Ordering::Relaxed);
        let last = all.saturating_sub(received + faults.torn);
        faults.lost = faults.lost.max(last);
        faults.duplicated += receiver.empty.load(Ordering::Relaxed).saturating_sub(empty[direction as usize]);
        let counts = proxy.link(0).counts(direction);
        println!(
            "O1: {faults} of {all} ({}, {direction:?}, {} MB in {} slices)",
            case.name,
            bytes[direction as usize] / 1_000_000,
            counts.writes
        );
        held &= faults == Default::default() && received == all;
        held &= counts.taken == counts.forwarded && counts.forwarded >= bytes[direction as usize] + all;
    }
    client.close();
    server.close();
    held
}

fn run_all(messages: u64) {
    let seed = Seed::new();
    println!("seed {seed}");
    for case in CASES {
        assert!(run(&seed, &case, messages), "{case:?}");
    }
}

#[test]
fn messages_of_many_senders_arrive_in_order_once_and_whole() {
    run_all(2_000);
}

#[test]
#[ignore = "long: takes a minute"]
fn messages_of_many_senders_arrive_in_order_once_and_whole_for_long() {
    run_all(100_000);
}

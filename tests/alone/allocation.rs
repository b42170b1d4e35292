//! What the allocator has given for messages that wait, against the limits that are to bound it: whatever is sent, and
//! on which way. One test, because all that the process allocates is counted.

use std::alloc::System;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use leads_comm::{
    Client, Closing, Connection, Delivery, Error, Key, MemoryLimits, OutboundLimit, Reconnect, Server, ServerBuilder,
    SlowConsumer, key,
};
use leads_comm_testing::valve::{self, EITHER, Writes};
use leads_comm_testing::*;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

/// That of the whole program. It counts for the other tests as well, which do not ask.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// What waits for all peers together may take this much.
const TOTAL: usize = 2 * MIB;

/// What each connection may have besides that: what is left of a short message, a few entries of a queue, what its
/// decoder holds, and the names, channels and buffers of the test itself.
const OWN: usize = 12 * KIB;

const PEERS: usize = 40;

/// What is allocated now.
fn allocated() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

/// What is sent until there is no room for it any more.
type Work = fn(&Server, &[Connection]);

/// Whether a message was refused because of the limit of all queues; also when it was that of one.
fn is_refused(sent: Result<(), Error>) -> bool {
    match sent {
        Ok(()) => false,
        Err(Error::Dropped { limit: OutboundLimit::TotalQueuedBytes(TOTAL) | OutboundLimit::QueuedBytes(TOTAL) }) => {
            true
        }
        Err(error) => panic!("{error}"),
    }
}

fn send_to_each(peers: &[Connection], len: usize) {
    while !peers.iter().any(|peer| is_refused(peer.send(&b"x".repeat(len)))) {}
}

fn queue_to_each(peers: &[Connection], len: usize) {
    while !peers.iter().any(|peer| is_refused(peer.queue(&b"x".repeat(len)))) {}
}

fn send_batches(peers: &[Connection], len: usize) {
    let batch = vec![b"x".repeat(len); 10];
    while peers.iter().all(|peer| peer.send_all(&batch).unwrap() == batch.len()) {}
}

fn broadcast_alone(server: &Server, peers: &[Connection], len: usize) {
    while server.broadcast_where(&b"x".repeat(len), |_| true).unwrap() == peers.len() {}
}

/// Each message to other peers.
fn broadcast_to_some(server: &Server, peers: &[Connection], len: usize) {
    let mut number = 0;
    loop {
        number += 1;
        let is_wanted = |at: usize| (at * 7 + number) % 3 == 0;
        let wanted = (0..peers.len()).filter(|at| is_wanted(*at)).count();
        let mut at = 0;
        let accepted = server.broadcast_where(&b"x".repeat(len), |_| {
            at += 1;
            is_wanted(at - 1)
        });
        if accepted.unwrap() < wanted {
            return;
        }
    }
}

/// In a tight loop, so that messages are gathered.
fn broadcast_in_a_rush(server: &Server, peers: &[Connection], len: usize) {
    let message = b"x".repeat(len);
    while server.broadcast(&message).unwrap() == peers.len() {}
}

fn broadcast_and_send(server: &Server, peers: &[Connection], len: usize) {
    let message = b"x".repeat(len);
    while server.broadcast_where(&message, |_| true).unwrap() == peers.len() {
        if peers.iter().any(|peer| is_refused(peer.send(&message))) {
            return;
        }
    }
}

fn send_on_many_threads(server: &Server, peers: &[Connection]) {
    let refused = AtomicUsize::new(0);
    thread::scope(|scope| {
        for sender in 0..5 {
            let refused = &refused;
            scope.spawn(move || {
                while refused.load(Ordering::Relaxed) == 0 {
                    let is_full = match sender {
                        0 => server.broadcast(b"to all").unwrap() < peers.len(),
                        1 => peers.iter().any(|peer| is_refused(peer.queue(&[b'x'; 30]))),
                        2 => server.broadcast_where(b"to all of them", |_| true).unwrap() < peers.len(),
                        _ => peers.iter().any(|peer| is_refused(peer.send(&[b'x'; 30]))),
                    };
                    refused.fetch_add(usize::from(is_full), Ordering::Relaxed);
                }
            });
        }
    });
}

/// Every way for messages to get into a queue.
const WORK: [(&str, Work); 20] = [
    ("empty messages to each", |_, peers| send_to_each(peers, 0)),
    ("20 bytes to each", |_, peers| send_to_each(peers, 20)),
    ("1,000 bytes to each", |_, peers| send_to_each(peers, 1000)),
    ("100,000 bytes to each", |_, peers| send_to_each(peers, 100_000)),
    ("batches of 20 bytes", |_, peers| send_batches(peers, 20)),
    ("batches of 20,000 bytes", |_, peers| send_batches(peers, 20_000)),
    ("empty broadcasts", |server, peers| broadcast_alone(server, peers, 0)),
    ("broadcasts of 20 bytes", |server, peers| broadcast_alone(server, peers, 20)),
    ("broadcasts of 1,000 bytes", |server, peers| broadcast_alone(server, peers, 1000)),
    ("broadcasts of 1 byte to some", |server, peers| broadcast_to_some(server, peers, 1)),
    ("broadcasts of 300 bytes to some", |server, peers| broadcast_to_some(server, peers, 300)),
    ("a rush of broadcasts of 1 byte", |server, peers| broadcast_in_a_rush(server, peers, 1)),
    ("a rush of broadcasts of 1,000 bytes", |server, peers| broadcast_in_a_rush(server, peers, 1000)),
    ("broadcasts and messages of 1 byte", |server, peers| broadcast_and_send(server, peers, 1)),
    ("broadcasts and messages of 500 bytes", |server, peers| broadcast_and_send(server, peers, 500)),
    ("empty messages queued to each", |_, peers| queue_to_each(peers, 0)),
    ("1,000 bytes queued to each", |_, peers| queue_to_each(peers, 1000)),
    (
        "queued broadcasts of 300 bytes",
        |server, peers| {
            while server.queue_broadcast(&[b'x'; 300]).unwrap() == peers.len() {}
        },
    ),
    ("all at once", |server, peers| send_on_many_threads(server, peers)),
    ("all at once, and then each", |server, peers| {
        send_on_many_threads(server, peers);
        send_to_each(peers, 5);
    }),
];

fn limited(builder: ServerBuilder) -> ServerBuilder {
    let builder = builder
        .max_queued_bytes(TOTAL)
        .memory_limits(MemoryLimits::new().max_total_queued_bytes(TOTAL).max_total_unfinished_bytes(TOTAL));
    builder.closing(Closing::new().flush_timeout(Duration::ZERO)).timeouts(unhurried(Duration::from_secs(600)))
}

fn assert_bounded(what: &str, before: usize, most: usize) {
    let now = allocated();
    assert!(now <= before + most, "{what}: {} KiB of {} KiB", (now - before) / KIB, most / KIB);
}

fn outbound(writes: Writes, coalesce: bool, policy: SlowConsumer) {
    for (name, work) in WORK {
        let name = format!("{name}, {writes:?}, {policy:?}, coalesce {coalesce}");
        let before = allocated();
        {
            let (started, valves) =
                valve::start_server(writes, |builder| limited(builder).coalesce(coalesce).slow_consumer(policy));
            let _valves: Vec<_> = (0..PEERS).map(|_| valves.connect()).collect();
            let peers: Vec<_> = (0..PEERS).map(|_| connected(&started.events)).collect();
            let connected = allocated();
            work(&started.server, &peers);
            assert_bounded(&name, connected, TOTAL + TOTAL / 8 + PEERS * OWN);
            peers.iter().for_each(Connection::abort);
            started.server.close();
            started.server.wait();
        }
        // Threads give back what they hold when they have ended.
        until(&format!("{name}: it comes back"), || allocated() <= before + 64 * KIB);
    }
}

/// Dropping the oldest goes on for ever: more than all that there is room for goes through each queue.
fn dropping() {
    let (started, valves) =
        valve::start_server(Writes::Direct, |builder| limited(builder).slow_consumer(SlowConsumer::DropOldest));
    let _valves: Vec<_> = (0..PEERS).map(|_| valves.connect()).collect();
    let peers: Vec<_> = (0..PEERS).map(|_| connected(&started.events)).collect();
    let before = allocated();
    for number in 0..100_000 {
        let len = number % 50;
        started.server.broadcast_where(&[b'x'; 50][..len], |_| true).unwrap();
        let _ = peers[number % PEERS].send(&[b'x'; 50][..len]);
        if number % 10_000 == 0 {
            assert_bounded("dropping the oldest", before, TOTAL + TOTAL / 8 + PEERS * OWN);
        }
    }
    peers.iter().for_each(Connection::abort);
}

/// A viewer that never reads holds one message of each key.
fn newest_of_each_key() {
    const KEYS: usize = 100;
    const LEN: usize = 300;
    for writes in EITHER {
        let (started, valves) = valve::start_server(writes, |builder| {
            limited(builder).key(key::prefix(b':')).delivery(Delivery::new().conflate(true).max_queued_bytes(TOTAL))
        });
        let valve = valves.connect();
        let viewer = connected(&started.events);
        viewer.send(b"first").unwrap();
        valve.wait_until_blocked();
        let before = allocated();
        for round in 0..100 {
            for key in 0..KEYS {
                let message = format!("{key}:{round}:{:0300}", 0);
                // What is gathered for others, who keep up, is not held for it.
                assert_eq!(started.server.broadcast_where(&message.as_bytes()[..LEN], |_| true).unwrap(), 1);
            }
            assert_bounded("the newest of each key", before, (KEYS + 2) * LEN + 64 * KIB);
        }
        viewer.abort();
    }
}

/// More keys than there is room for: short ones, and such as take memory of their own.
fn keys() {
    let deliveries = [
        ("conflated", Delivery::new().conflate(true)),
        ("conflated and short-lived", Delivery::new().conflate(true).lifespan(PATIENCE)),
        ("each by itself", Delivery::new().lifespan(PATIENCE)),
        ("waiting for their interval", Delivery::new().min_interval(100 * PATIENCE)),
    ];
    for (name, delivery) in deliveries {
        for len in [8, 200] {
            let delivery = delivery.clone().max_queued_bytes(TOTAL).slow_consumer(SlowConsumer::DropNewest);
            let key_of = move |message: &[u8]| Some(Key::new(message.repeat(len / 8)));
            let before = allocated();
            {
                let (started, valves) =
                    valve::start_server(Writes::Direct, |builder| limited(builder).key(key_of).delivery(delivery));
                let _valves: Vec<_> = (0..4).map(|_| valves.connect()).collect();
                let peers: Vec<_> = (0..4).map(|_| connected(&started.events)).collect();
                let connected = allocated();
                let mut number = 0;
                let mut is_full = false;
                while !is_full {
                    number += 1;
                    let message = format!("{number:08}");
                    // Twice, so that what waits for its interval waits as well.
                    is_full = (0..2).any(|_| started.server.broadcast_where(message.as_bytes(), |_| true).unwrap() < 4)
                        || is_refused(peers[number % 4].send(message.as_bytes()));
                }
                let name = format!("keys of {len} bytes, {name}");
                assert_bounded(&name, connected, TOTAL + TOTAL / 8 + 4 * OWN);
                peers.iter().for_each(Connection::abort);
                started.server.close();
                started.server.wait();
            }
            until("it comes back", || allocated() <= before + 64 * KIB);
        }
    }
}

/// What a client keeps while it has no connection.
fn kept() {
    for (name, all) in [("kept one by one", false), ("kept in pairs", true)] {
        let (callback, events) = recorder();
        let delay = Duration::from_secs(60);
        let reconnect = Reconnect::new().first_delay(delay).longest_delay(delay).at_start(true).keep_bytes(TOTAL);
        let client = Client::builder().port(free_port()).callback(callback).reconnect(reconnect);
        let client = client
            .max_queued_bytes(TOTAL)
            .memory_limits(MemoryLimits::new().max_total_queued_bytes(TOTAL))
            .build()
            .unwrap();
        client.start("127.0.0.1", true).unwrap();
        let before = allocated();
        let is_full = |sent: Result<(), Error>| match sent {
            Err(Error::KeptFull { .. }) => true,
            sent => sent.is_err(),
        };
        if all {
            while !is_full(client.send_all(["", "x"]).map(drop)) {}
        } else {
            while !is_full(client.send(b"x")) {}
        }
        assert_bounded(name, before, TOTAL + OWN);
        drop(events);
        client.close();
    }
}

/// Messages that peers have begun and not finished.
fn inbound(net: Net, of_stream: usize) {
    let started = net.start_server(limited);
    let raws: Vec<_> = (0..PEERS).map(|_| started.raw()).collect();
    let peers: Vec<_> = (0..PEERS).map(|_| connected(&started.events)).collect();
    let before = allocated();
    let mut ended = 0;
    for _ in 0..40 {
        for (raw, peer) in raws.iter().zip(&peers) {
            if !peer.is_closed() && raw.try_write(&[b'x'; 8 * KIB]).is_err() {
                ended += 1;
            }
        }
        assert_bounded("unfinished messages", before, TOTAL + PEERS * (OWN + of_stream));
    }
    // There was not room for everything: a reader that lacks memory sees to that, in its own time.
    until("somebody goes for it", || ended + peers.iter().filter(|peer| peer.is_closed()).count() > 0);
    assert_bounded("unfinished messages", before, TOTAL + PEERS * (OWN + of_stream));
}

/// Messages that wait for peers over a transport with buffers of its own.
#[cfg(feature = "tls")]
fn over_tls() {
    /// What a busy TLS stream takes at most, and as much for the peer, which is in this process.
    const STREAM: usize = 2 * 160 * KIB;
    let net = Net::Tls;
    let started = net.start_server(|builder| limited(builder).slow_consumer(SlowConsumer::DropNewest));
    let _stalled: Vec<_> = (0..8).map(|_| started.stalled()).collect();
    let peers: Vec<_> = (0..8).map(|_| connected(&started.events)).collect();
    let before = allocated();
    send_to_each(&peers, 1000);
    assert_bounded("over TLS", before, TOTAL + TOTAL / 8 + peers.len() * (OWN + STREAM));
    peers.iter().for_each(Connection::abort);
}

#[test]
fn what_waits_takes_no_more_of_memory_than_it_may() {
    alone!();
    // Whatever is made once.
    drop(valve::start_server(Writes::Direct, limited));
    for writes in EITHER {
        for coalesce in [true, false] {
            outbound(writes, coalesce, SlowConsumer::DropNewest);
        }
    }
    dropping();
    newest_of_each_key();
    keys();
    kept();
    inbound(Net::Tcp, 0);
    #[cfg(feature = "tls")]
    over_tls();
}

//! I14: a thread that queues makes no call of the system.

use std::fs;
use std::hint;
use std::path::Path;
use std::time::{Duration, Instant};

use leads_comm::{Client, Connection, Reconnect, Server};
use leads_comm_testing::child::{self, Process};
use leads_comm_testing::*;

/// How often a way of queueing is called, and how long after the call before.
const CALLS: usize = 6000;
const PACE: Duration = Duration::from_micros(500);

/// How many messages there may be before the pump looks: more than it leaves.
const BURST: usize = 1500;

/// How many calls of the allocator's there may be.
const A_HANDFUL: usize = 4;

const LEN: usize = 20;

/// A call that changes nothing, and that a tracer sees.
fn mark(name: &str) {
    assert!(!Path::new(&format!("/leads-comm-mark-{name}")).exists());
}

/// Calls `queue` as a control loop does, which waits for its next moment with the processor in its hands.
fn pace(name: &str, flush: impl Fn(), mut queue: impl FnMut(&[u8])) {
    let message = numbered(1, LEN);
    // What is kept between two looks grows to its size, on both sides.
    for _ in 0..4 {
        (0..BURST).for_each(|_| queue(&message));
        flush();
    }
    mark(&format!("{name}-begins"));
    let mut next = Instant::now();
    for _ in 0..CALLS {
        queue(&message);
        next += PACE;
        while Instant::now() < next {
            hint::spin_loop();
        }
    }
    mark(&format!("{name}-ends"));
    flush();
}

/// Each way of queueing, between two marks.
const WAYS: [&str; 4] = ["connection", "client", "reconnecting", "broadcast"];

fn queue_in_each_way() {
    let server = Server::builder().port(0).build().unwrap();
    server.start(true).unwrap();
    let start = |builder: leads_comm::ClientBuilder| {
        let client = builder.port(server.port()).build().unwrap();
        client.start("127.0.0.1", true).unwrap();
        client
    };
    let client = start(Client::builder());
    let reconnecting = start(Client::builder().reconnect(Reconnect::new()));
    until("both are connected", || server.num_connections() == 2);
    let connection: Connection = client.connection().unwrap();
    let flush_client = || client.flush(PATIENCE).unwrap();
    pace("connection", flush_client, |message| connection.queue(message).unwrap());
    pace("client", flush_client, |message| client.queue(message).unwrap());
    pace("reconnecting", || reconnecting.flush(PATIENCE).unwrap(), |message| reconnecting.queue(message).unwrap());
    let broadcast = |message: &[u8]| assert_eq!(server.queue_broadcast(message).unwrap(), 2);
    pace("broadcast", || server.flush(PATIENCE).unwrap(), broadcast);
    client.close();
    reconnecting.close();
    until("all has come", || server.stats().traffic.received.messages == 3 * (4 * BURST + CALLS) as u64);
    let queued = server.stats().traffic.accepted.messages;
    server.close();
    child::tell("broadcast", queued);
}

/// The calls of the thread that has made both marks, between them.
fn calls_between<'a>(log: &'a str, name: &str) -> Vec<&'a str> {
    let place = |mark: &str| {
        let path = format!("/leads-comm-mark-{name}-{mark}\"");
        log.lines().position(|line| line.contains(&path)).unwrap_or_else(|| panic!("{path} is not in the log"))
    };
    let (begins, ends) = (place("begins"), place("ends"));
    let lines: Vec<_> = log.lines().collect();
    let thread = lines[begins].split_whitespace().next().unwrap();
    assert_eq!(lines[ends].split_whitespace().next(), Some(thread));
    let of_it = lines[begins + 1..ends].iter().filter_map(|line| line.split_once(' ').filter(|(id, _)| *id == thread));
    // The rest of the mark's own line, and signals.
    of_it.map(|(_, call)| call.trim()).filter(|call| !call.starts_with("<...") && !call.starts_with("---")).collect()
}

#[test]
fn a_thread_that_queues_makes_no_call_of_the_system() {
    alone!();
    if child::task().is_some() {
        return queue_in_each_way();
    }
    if !child::can_trace("seeing calls of the system") {
        return;
    }
    let log = std::env::temp_dir().join(format!("leads-comm-queued-{}", std::process::id()));
    let wrap = ["strace", "-f", "-o", log.to_str().unwrap()];
    let mut process =
        Process::start_under(&wrap, "quiet_queue::a_thread_that_queues_makes_no_call_of_the_system", "queue");
    let queued = process.hear_within("broadcast", 6 * PATIENCE);
    let status = process.wait(PATIENCE);
    let text = fs::read_to_string(&log).unwrap_or_default();
    let _ = fs::remove_file(&log);
    assert_eq!(queued, (2 * (4 * BURST + CALLS)).to_string());
    assert!(status.is_some_and(|status| status.success()), "{status:?}");
    for way in WAYS {
        let calls = calls_between(&text, way);
        // Where the system has no quicker clock, it is asked for the time, too.
        let is_clock = |call: &&&str| call.starts_with("clock_gettime");
        let is_memory = |call: &&&str| {
            ["brk(", "mmap(", "munmap(", "madvise(", "mprotect("].iter().any(|name| call.starts_with(name))
        };
        let memory = calls.iter().filter(is_memory).count();
        let others: Vec<_> = calls.iter().filter(|call| !is_memory(call) && !is_clock(call)).collect();
        println!("I14: {way}: {CALLS} messages queued, {memory} calls for memory, {} others", others.len());
        assert!(others.is_empty(), "{way}: {others:?}");
        assert!(memory <= A_HANDFUL, "{way}: {calls:?}");
    }
}

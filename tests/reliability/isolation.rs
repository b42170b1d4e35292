//! I: what peers that do not read, or callbacks that do not return, cost others.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::transport::{Stream, memory};
use leads_comm::{Closing, Connection, DisconnectCause, Error, Server, SlowConsumer, callback};
use leads_comm_testing::alone::again;
use leads_comm_testing::child::{Process, task, tell};
use leads_comm_testing::layer::{self, Layer};
use leads_comm_testing::*;
use socket2::SockRef;

use crate::figures::Times;
use crate::in_two_lengths;

/// A peer whose system takes as little as it can.
fn narrow(started: &Started) -> TcpStream {
    let peer = TcpStream::connect(started.addr()).unwrap();
    SockRef::from(&peer).set_recv_buffer_size(4096).unwrap();
    peer
}

in_two_lengths! {
    /// Half of the rounds end the peer, the others drop for it.
    fn i2_a_slow_peer_is_ended_or_what_it_misses_is_counted(count: 4, or 100: "long: takes some seconds") {
        const LEN: usize = 1000;
        let mut times = Times::default();
        let (mut miscounted, mut dropped) = (0, 0);
        for round in 0..count {
            let policy = if round % 2 == 0 { SlowConsumer::Disconnect } else { SlowConsumer::DropNewest };
            let started = Net::Tcp.start_server(|builder| {
                let builder = builder.max_received_len(LEN).max_sent_len(LEN).max_queued_bytes(20_000);
                let builder = builder.closing(Closing::new().flush_timeout(Duration::ZERO));
                builder.slow_consumer(policy)
            });
            let peer = narrow(&started);
            let connection = connected(&started.events);
            let (mut accepted, mut refused) = (0, 0);
            let limit = loop {
                match connection.send(&numbered(accepted, LEN)) {
                    Ok(()) => accepted += 1,
                    Err(Error::Dropped { .. }) if refused < 50 => refused += 1,
                    Err(_) => break Instant::now(),
                }
            };
            if policy == SlowConsumer::Disconnect {
                let reason = disconnected(&started.events);
                times.add(limit.elapsed());
                assert!(matches!(reason.cause, DisconnectCause::SlowConsumer { .. }), "{reason:?}");
            } else {
                // The last one was dropped too.
                dropped += refused + 1;
                miscounted += connection.dropped_messages().abs_diff(refused + 1);
                connection.abort();
                let reason = disconnected(&started.events);
                miscounted += reason.undelivered.dropped.messages.abs_diff(refused + 1);
            }
            drop(peer);
        }
        println!("I2: from the refusal to on_disconnect {times}; dropped but not counted {miscounted} of {dropped}");
        assert_eq!(miscounted, 0);
    }

    /// Both ends answer each message with two, from their callbacks.
    fn i6_ends_that_flood_each_other_do_not_hang(count: 8, or 100: "long: takes a minute") {
        const LEN: usize = 1000;
        const ENOUGH: usize = 40_000;
        let block = SlowConsumer::Block(Duration::from_millis(50));
        let policies = [SlowConsumer::Disconnect, SlowConsumer::DropOldest, SlowConsumer::DropNewest, block];
        let (mut hangs, mut ended) = (0, 0);
        for round in 0..count {
            let policy = policies[round % policies.len()];
            let messages = Arc::new(AtomicUsize::new(0));
            let amplify = || {
                let messages = Arc::clone(&messages);
                callback::on_receive(move |connection, message| {
                    let _ = connection.send(message);
                    let _ = connection.send(message);
                    messages.fetch_add(1, Ordering::Relaxed);
                })
            };
            let started = Net::Tcp.start_server(|builder| {
                let builder = builder.max_received_len(LEN).max_sent_len(LEN);
                let builder = builder.max_queued_bytes(20_000).slow_consumer(policy);
                builder.closing(Closing::new().flush_timeout(Duration::from_millis(200))).callback(amplify())
            });
            let client = started.client().max_received_len(LEN).max_sent_len(LEN);
            let client = client.max_queued_bytes(20_000).slow_consumer(policy);
            let closing = Closing::new().flush_timeout(Duration::from_millis(200));
            let client = client.closing(closing).callback(amplify()).build().unwrap();
            client.start(started.address(), true).unwrap();
            client.send(&[b'x'; LEN]).unwrap();
            let deadline = Instant::now() + PATIENCE;
            while messages.load(Ordering::Relaxed) < ENOUGH && client.connection().is_some() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(1));
            }
            hangs += usize::from(messages.load(Ordering::Relaxed) < ENOUGH && client.connection().is_some());
            ended += usize::from(client.connection().is_none());
            let server = started.server.clone();
            in_time("the end", move || {
                client.close();
                server.close();
            });
        }
        println!("I6: hangs {hangs} of {count}; ended by policy {ended}, went on {}", count - ended - hangs);
        assert_eq!(hangs, 0);
    }
}

/// A hundred peers that never read, broadcasts of 1 KiB in a rush until every one of them has been ended.
#[test]
fn i3_a_hundred_stalled_peers_cost_the_memory_of_one() {
    alone!();
    cost_of_stalled_peers(1024, |server, message| server.broadcast(message).unwrap());
}

/// The same with messages so small, each by itself, that an entry for it in each queue would be more than the message.
#[test]
fn i3_tiny_broadcasts_to_stalled_peers_cost_the_memory_of_one() {
    alone!();
    cost_of_stalled_peers(20, |server, message| server.broadcast_where(message, |_| true).unwrap());
}

/// What this process has of memory: all that is resident, where Linux tells it, else what it has allocated.
fn memory_in_use() -> usize {
    #[cfg(target_os = "linux")]
    return vitals::memory();
    #[cfg(not(target_os = "linux"))]
    return allocated::bytes();
}

#[cfg(not(target_os = "linux"))]
mod allocated {
    use std::alloc::System;

    use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

    #[global_allocator]
    static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

    pub(super) fn bytes() -> usize {
        let stats = ALLOCATOR.stats();
        stats.bytes_allocated - stats.bytes_deallocated
    }
}

fn cost_of_stalled_peers(len: usize, broadcast: impl Fn(&Server, &[u8]) -> usize) {
    const PEERS: usize = 100;
    const LIMIT_KIB: usize = 4 * 1024;
    let started = Net::Tcp.start_server(|builder| builder.timeouts(unhurried(10 * PATIENCE)));
    let peers: Vec<_> = (0..PEERS).map(|_| narrow(&started)).collect();
    peers.iter().for_each(|_| drop(connected(&started.events)));
    // Whatever the first messages need is there already.
    started.server.broadcast(&[b'x'; 1024]).unwrap();
    let before = memory_in_use();
    let (mut most, mut broadcasts) = (0, 0);
    // What the system takes of them.
    while started.server.stats().traffic.peak_queued_bytes < 128 * 1024 {
        started.server.broadcast(&[b'x'; 32 * 1024]).unwrap();
    }
    while started.server.num_connections() > 0 {
        broadcast(&started.server, &b"x".repeat(len));
        broadcasts += 1;
        assert!(broadcasts < 1_000_000, "the peers are not ended");
        if broadcasts % 50 == 0 {
            most = most.max(memory_in_use());
        }
    }
    for _ in &peers {
        assert!(matches!(disconnected(&started.events).cause, DisconnectCause::SlowConsumer { .. }));
    }
    let growth = most.max(memory_in_use()).saturating_sub(before) / 1024;
    let ratio = growth as f64 / LIMIT_KIB as f64;
    // What a hundred threads use of their stacks and heaps when they end is in it, on a busy machine all of them at
    // once; without sharing it would be a hundred.
    assert!(ratio < 10.0, "{PEERS} peers have cost {growth} KiB");
    println!(
        "I3: {PEERS} stalled peers cost {growth} KiB, {ratio:.2} of the limit of one, in {broadcasts} broadcasts of \
         {len} bytes"
    );
}

/// Counts what is read from a stream.
struct Counting {
    read: Arc<AtomicUsize>,
}

impl Layer for Counting {
    fn read(&self, stream: &dyn Stream, buffer: &mut [u8]) -> io::Result<usize> {
        let count = stream.read(buffer)?;
        self.read.fetch_add(count, Ordering::SeqCst);
        Ok(count)
    }
}

/// Counts what is read from the first who connects.
struct CountingFirst {
    read: Arc<AtomicUsize>,
    is_first: AtomicBool,
}

impl Layer for CountingFirst {
    fn of(&self, _: &dyn Stream) -> Option<Arc<dyn Layer>> {
        let is_first = self.is_first.swap(false, Ordering::SeqCst);
        is_first.then(|| Arc::new(Counting { read: Arc::clone(&self.read) }) as Arc<dyn Layer>)
    }
}

/// How many messages `count` peers bring to a server in `time`.
fn throughput(started: &Started, count: usize, time: Duration, messages: &AtomicUsize) -> usize {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let raws: Vec<_> = (0..count).map(|_| started.raw()).collect();
        for raw in raws {
            let stop = &stop;
            scope.spawn(
                move || while !stop.load(Ordering::Relaxed) && raw.try_write(&b"0123456;".repeat(500)).is_ok() {},
            );
        }
        let before = messages.load(Ordering::Relaxed);
        thread::sleep(time);
        let after = messages.load(Ordering::Relaxed);
        stop.store(true, Ordering::Relaxed);
        after - before
    })
}

in_two_lengths! {
    /// A callback sleeps while its peer goes on sending: nothing more of it is read, and others do not notice.
    fn i5_a_callback_that_blocks_stops_its_own_peer_only(millis: 50, or 2_000: "long: takes a quarter of a minute") {
        const HEALTHY: usize = 2;
        // What one read may bring: the library's largest.
        const READ_BUFFER: usize = 128 * 1024;
        let (listener, connector) = memory::listener();
        let read = Arc::new(AtomicUsize::new(0));
        let listener = layer::listener(
            listener,
            &Arc::new(CountingFirst { read: Arc::clone(&read), is_first: AtomicBool::new(true) }),
        );
        let messages = Arc::new(AtomicUsize::new(0));
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        let callback = callback::on_receive({
            let (messages, gate) = (Arc::clone(&messages), Arc::clone(&gate));
            move |_, message| {
                if message == b"sleep" {
                    let (open, changed) = &*gate;
                    drop(changed.wait_while(open.lock().unwrap(), |open| !*open).unwrap());
                }
                messages.fetch_add(1, Ordering::Relaxed);
            }
        });
        let server = Server::builder().transport(listener).callback(callback).build().unwrap();
        server.start(true).unwrap();
        let (_, events) = recorder();
        let started = Started { server, events, dial: Box::new(connector) };
        let mut blocked = started.raw();
        blocked.write(b"awake;");
        until("the first is served", || messages.load(Ordering::Relaxed) == 1);
        let time = Duration::from_millis(u64::try_from(millis).unwrap());
        let (mut with, mut without, mut buffered) = (0, 0, 0);
        throughput(&started, HEALTHY, time, &messages);
        // By turns, so that what else the machine does is the same for both.
        for _ in 0..3 {
            without += throughput(&started, HEALTHY, time, &messages);
            let consumed = read.load(Ordering::SeqCst);
            *gate.0.lock().unwrap() = false;
            let sending = thread::spawn(move || {
                blocked.write(b"sleep;");
                blocked.write(&b"more;".repeat(100_000));
                blocked
            });
            until("its callback is called", || read.load(Ordering::SeqCst) > consumed);
            with += throughput(&started, HEALTHY, time, &messages);
            buffered = buffered.max(read.load(Ordering::SeqCst) - consumed);
            *gate.0.lock().unwrap() = true;
            gate.1.notify_all();
            blocked = in_time("sending", || sending.join().unwrap());
            until("all is read", || read.load(Ordering::SeqCst) - consumed == 500_006);
        }
        let ratio = with as f64 / without as f64;
        println!("I5: others' throughput beside a blocked callback / without one {ratio:.2}; read meanwhile {buffered} bytes");
        assert!(buffered <= READ_BUFFER, "{buffered} bytes have been read for a callback that takes none");
        assert!(with > 0);
    }
}

/// How a peer does not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slow {
    /// It never does: its window is closed for good.
    Never,
    /// It takes 100 bytes in a second.
    Drop,
    /// Its process is stopped.
    Stopped,
}

/// Broadcasts to sixteen peers, `stalled` of which do not read, at a steady pace; how long each message was on its way
/// to each of the others, and how long each call took.
fn latencies(stalled: usize, slow: Slow, module: &str, test: &str) -> (Times, Times) {
    const PEERS: usize = 16;
    const MESSAGES: usize = 4_000;
    const PACE: Duration = Duration::from_millis(1);
    const LEN: usize = 1000;
    let started = Net::Tcp.start_server(|builder| {
        // It stays, with its queue full all the time, and the stall time-out does not end it before the end.
        let builder = builder
            .max_received_len(10_000)
            .max_sent_len(10_000)
            .max_queued_bytes(100_000)
            .slow_consumer(SlowConsumer::DropOldest);
        builder.timeouts(unhurried(3 * PATIENCE)).closing(Closing::new().flush_timeout(Duration::ZERO))
    });
    let mut processes = VecDeque::new();
    let mut narrows = Vec::new();
    for _ in 0..stalled {
        if slow == Slow::Stopped {
            let process = Process::spawn(again(module, test, &started.addr().to_string()));
            drop(connected(&started.events));
            process.hear("connected");
            process.signal("STOP");
            processes.push_back(process);
        } else {
            narrows.push(narrow(&started));
            drop(connected(&started.events));
        }
    }
    let stop = Arc::new(AtomicBool::new(false));
    if slow == Slow::Drop {
        for mut peer in narrows.iter().map(|peer| peer.try_clone().unwrap()) {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) && peer.read(&mut [0; 10]).is_ok_and(|count| count > 0) {
                    thread::sleep(Duration::from_millis(100));
                }
            });
        }
    }
    let base = Instant::now();
    let (tell, told) = mpsc::channel();
    for _ in stalled..PEERS {
        let messages = started.raw().into_messages();
        drop(connected(&started.events));
        let tell = tell.clone();
        thread::spawn(move || {
            let mut times = Times::default();
            while let Ok(message) = messages.recv() {
                let now = base.elapsed();
                if message == b"last" {
                    break;
                }
                let text = message.split(|byte| *byte == b' ').next().unwrap();
                let sent: u64 = std::str::from_utf8(text).unwrap().parse().unwrap_or(0);
                if sent > 0 {
                    times.add(now.saturating_sub(Duration::from_nanos(sent)));
                }
            }
            let _ = tell.send(times);
        });
    }
    // The queues of those who do not read are full before anything is measured.
    let connections = started.server.connections();
    until("the queues are full", || {
        let _ = started.server.broadcast(&[b'0'; 10_000]);
        started.server.flush(Duration::from_millis(5)).is_ok() == (stalled == 0)
            && connections.iter().filter(|connection| connection.dropped_messages() > 0).count() >= stalled
    });
    let mut calls = Times::default();
    let mut due = Instant::now();
    for _ in 0..MESSAGES {
        let sent = base.elapsed().as_nanos();
        let mut message = format!("{sent} ").into_bytes();
        message.resize(LEN, b'x');
        let before = Instant::now();
        started.server.broadcast(&message).unwrap();
        calls.add(before.elapsed());
        due += PACE;
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    started.server.broadcast(b"last").unwrap();
    let mut times = Times::default();
    for _ in stalled..PEERS {
        times.merge(told.recv_timeout(PATIENCE).unwrap());
    }
    stop.store(true, Ordering::Relaxed);
    (times, calls)
}

#[test]
#[ignore = "long: takes a minute"]
fn i1_stalled_peers_delay_nobody() {
    const TEST: &str = "i1_stalled_peers_delay_nobody";
    if let Some(address) = task() {
        let mut peer = TcpStream::connect(address).unwrap();
        tell("connected", peer.local_addr().unwrap());
        // Stopped in the middle of reading, and killed in the end.
        return while peer.read(&mut [0; 1000]).is_ok_and(|count| count > 0) {};
    }
    let ways =
        [(0, Slow::Never), (1, Slow::Never), (1, Slow::Drop), (1, Slow::Stopped), (15, Slow::Never), (0, Slow::Never)];
    // Nothing stops a process elsewhere.
    for (stalled, slow) in ways.into_iter().filter(|(_, slow)| cfg!(unix) || *slow != Slow::Stopped) {
        let (times, calls) = latencies(stalled, slow, module_path!(), TEST);
        let last = times.per_mille(999);
        println!("I1: {stalled} of 16 stalled ({slow:?}): one way {times}, p99.9 {last:.1?}; broadcast() {calls}");
    }
}

in_two_lengths! {
    /// What it costs the pump that many are behind: bursts of small messages, the last of which the pump writes, to a
    /// peer that reads, beside few and beside many who read nothing, in turn.
    fn i7_a_burst_takes_as_long_beside_many_who_are_behind(count: 4, or 2_000: "long: takes half a minute, and 2,100 descriptors") {
        const BURST: usize = 500;
        const FEW: usize = 16;
        let many = if count > 10 { 1000 } else { 50 };
        let beside = |stalled: usize| {
            let started = Net::Tcp.start_server(|builder| builder.timeouts(unhurried(Duration::from_secs(600))));
            let narrow: Vec<_> = (0..stalled).map(|_| narrow(&started)).collect();
            let reading = started.raw();
            let mut connections: Vec<_> = (0..=stalled).map(|_| connected(&started.events)).collect();
            connections.sort_by_key(Connection::id);
            let reader = connections.pop().unwrap();
            for connection in &connections {
                while connection.queued_bytes() < 8 * 1024 {
                    connection.send(&[b'x'; 4 * 1024]).unwrap();
                }
            }
            (started, narrow, reading.into_messages(), reader)
        };
        let services = [FEW, many].map(beside);
        let mut times = [Times::default(), Times::default()];
        for _ in 0..count {
            for ((_, _, arrived, reader), times) in services.iter().zip(&mut times) {
                let begun = Instant::now();
                for _ in 0..BURST {
                    reader.send(&[b'x'; 64]).unwrap();
                }
                for _ in 0..BURST {
                    assert_eq!(arrived.recv_timeout(PATIENCE).unwrap().len(), 64);
                }
                times.add(begun.elapsed());
            }
        }
        let [few, large] = &times;
        let ratio = |per_mille| large.per_mille(per_mille).as_secs_f64() / few.per_mille(per_mille).as_secs_f64();
        println!(
            "I7: a burst of {BURST} messages beside {FEW} who are behind: {few}; beside {many}: {large}; ratio of p50 {:.2}, of p99 {:.2}",
            ratio(500),
            ratio(990)
        );
    }
}

//! More callers than there is room for, or than have anything to say.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use leads_comm_testing::{alone, figures};
#[cfg(target_os = "linux")]
use leads_comm_testing::{until, vitals::Vitals};

use super::server_process::{Peer, Process, Setup};

/// Connects and closes, connects and resets, connects and says nothing, `count` times in all.
#[cfg(target_os = "linux")]
fn flood(server: &Process, count: usize) {
    let mut silent = Vec::new();
    for number in 0..count {
        let peer = server.connect();
        match number % 3 {
            0 => drop(peer),
            1 => {
                socket2::SockRef::from(peer.socket.get_ref()).set_linger(Some(Duration::ZERO)).unwrap();
                drop(peer);
            }
            _ => silent.push(peer),
        }
        if silent.len() == 100 {
            silent.clear();
        }
    }
}

/// `quiet` lets the deadlines of those who are gone pass, which hold a little memory until then.
#[cfg(target_os = "linux")]
fn leaves_nothing_behind(count: usize, quiet: Duration) {
    let mut server = Process::start(&Setup { max_connections: 200, ..Setup::default() });
    let mut resting = server.connect();
    assert!(resting.is_let_in());
    let before_all = server.vitals();
    // What the allocator keeps for good, once as many have come as fast.
    flood(&server, count);
    let rest = |server: &Process| {
        // Accepted behind all the others.
        while !server.connect().is_let_in() {}
        until("descriptors and threads are given back", || {
            let now = server.vitals();
            (now.descriptors, now.threads) == (before_all.descriptors, before_all.threads)
        });
        thread::sleep(quiet);
        let Vitals { descriptors, threads, memory } = server.vitals();
        [descriptors, threads, memory / 1024].map(|count| count as i64)
    };
    let before = rest(&server);
    flood(&server, count);
    let after = rest(&server);
    resting.echo("served");
    println!(
        "A5: {count} connections: difference of descriptors {}, threads {}, resident {} KiB",
        after[0] - before[0],
        after[1] - before[1],
        after[2] - before[2]
    );
    assert_eq!(before[..2], after[..2]);
    // Of a program that is emulated, it is the emulator's memory.
    assert!(cfg!(leads_comm_emulated) || after[2] < before[2] + 4096, "{before:?} {after:?}");
    server.close();
}

#[test]
#[cfg(target_os = "linux")]
fn a_flood_of_callers_leaves_nothing_behind() {
    alone!();
    leaves_nothing_behind(1500, Duration::ZERO);
}

#[test]
#[ignore = "long: takes 1 minute"]
#[cfg(target_os = "linux")]
fn a_long_flood_of_callers_leaves_nothing_behind() {
    alone!();
    leaves_nothing_behind(50_000, Duration::from_secs(4));
}

/// The round trips of some clients, one after the other, for `time`; the 99th percentile.
fn p99_of(peers: &mut [Peer], time: Duration) -> Duration {
    let begin = Instant::now();
    let mut trips = Vec::new();
    while begin.elapsed() < time {
        for peer in &mut *peers {
            trips.push(peer.echo("ping"));
        }
    }
    figures::p99(trips)
}

/// Callers who are sent away, so many in `time`, paced.
fn call(addr: SocketAddr, count: usize, time: Duration) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        for _ in 0..count {
            assert!(!Peer::new(std::net::TcpStream::connect(addr).unwrap()).is_let_in());
            thread::sleep(time / count as u32);
        }
    })
}

/// A bare socket that sends callers away in the same way, from a thread of this process: what they disturb there, they
/// disturb by themselves.
fn bare_listener() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.unwrap().write_all(b"disconnect;");
        }
    });
    addr
}

#[test]
#[ignore = "long: takes half a minute"]
fn callers_over_the_limit_disturb_nobody() {
    alone!();
    const LIMIT: usize = 100;
    const ROUNDS: usize = 5;
    const TIME: Duration = Duration::from_secs(2);
    let mut server = Process::start(&Setup { max_connections: LIMIT, ..Setup::default() });
    let mut peers: Vec<_> = (0..LIMIT).map(|_| server.connect()).collect();
    assert!(peers.iter_mut().all(Peer::is_let_in));
    p99_of(&mut peers, TIME / 2);

    let before = server.memory();
    let addr = server.addr();
    let (bare, refused) = (bare_listener(), 10 * LIMIT);
    let (mut quiet, mut beside_bare, mut disturbed) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        quiet.push(p99_of(&mut peers, TIME));
        for (addr, trips) in [(bare, &mut beside_bare), (addr, &mut disturbed)] {
            let calling = call(addr, refused / ROUNDS, TIME * 2 / 3);
            trips.push(p99_of(&mut peers, TIME));
            calling.join().unwrap();
        }
    }
    let [quiet, beside_bare, disturbed] = [quiet, beside_bare, disturbed].map(|mut trips| {
        trips.sort_unstable();
        trips[ROUNDS / 2].as_secs_f64() * 1e6
    });

    // As fast as they come, from one thread.
    let stop = AtomicBool::new(false);
    let (fast, rate) = thread::scope(|scope| {
        let caller = scope.spawn(|| {
            let (begin, mut count) = (Instant::now(), 0_u64);
            while !stop.load(Ordering::Relaxed) {
                assert!(!Peer::new(std::net::TcpStream::connect(addr).unwrap()).is_let_in());
                count += 1;
            }
            (count, count as f64 / begin.elapsed().as_secs_f64())
        });
        thread::sleep(TIME);
        stop.store(true, Ordering::Relaxed);
        caller.join().unwrap()
    });
    let after = server.memory();
    let more =
        before.zip(after).map_or_else(|| "not told".into(), |(before, after)| format!("{:+} KiB", after - before));
    println!(
        "A4: {rate:.0} refusals/s from one thread; resident {more}; p99 {quiet:.0} us alone, {beside_bare:.0} us beside \
         callers of a bare socket, {disturbed:.0} us beside as many callers of the server: ratio {:.2}",
        disturbed / beside_bare
    );
    let (reported, failed) = server.close();
    assert_eq!(reported, refused as u64 + fast);
    assert!(failed.is_empty(), "{failed:?}");
}

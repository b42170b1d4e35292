//! Out of descriptors.

use std::thread;
use std::time::{Duration, Instant};

use leads_comm::Connection;
use leads_comm_testing::{Net, PATIENCE, alone, child, connected, number_of, numbered, unhurried};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::millis;
use super::server_process::{Peer, Process, Setup};

#[test]
fn a_process_out_of_descriptors_turns_callers_away_and_serves_the_others() {
    alone!();
    const ESTABLISHED: usize = 10;
    const CALLERS: usize = 50;
    let mut server = Process::start(&Setup { descriptors: 100, ..Setup::default() });
    let mut established: Vec<_> = (0..ESTABLISHED).map(|_| server.connect()).collect();
    assert!(established.iter_mut().all(Peer::is_let_in));
    server.tell("hold");
    assert!(server.line().starts_with("held "));

    let idle = Duration::from_millis(300);
    let before = server.cpu();
    thread::sleep(idle);
    let cpu = 100.0 * (server.cpu() - before).as_secs_f64() / idle.as_secs_f64();

    // All at once, while the others are served.
    let begin = Instant::now();
    let mut callers: Vec<_> = (0..CALLERS).map(|_| server.connect()).collect();
    for number in 0..100 {
        established[number % ESTABLISHED].echo(&format!("number {number}"));
    }
    assert!(callers.iter_mut().all(|caller| !caller.is_let_in()), "let in without a descriptor");
    let told = begin.elapsed();
    println!("A2: callers told {CALLERS} of {CALLERS}, the last after {:.0} ms", millis(told));

    // As soon as one of the server's own connections has ended, its place can be taken.
    let mut refused = CALLERS as u64;
    let mut delays = Vec::new();
    for _ in 0..5 {
        let begin = Instant::now();
        drop(established.pop());
        let mut next = server.connect();
        while !next.is_let_in() {
            refused += 1;
            next = server.connect();
        }
        delays.push(begin.elapsed());
        established.insert(0, next);
    }
    for (number, peer) in established.iter_mut().enumerate() {
        peer.echo(&format!("last {number}"));
    }
    println!(
        "A1: CPU while exhausted {cpu:.1} %; time from free to accept {:.1} ms at most; established clients' lost messages 0",
        millis(*delays.iter().max().unwrap())
    );
    let (reported, failed) = server.close();
    assert_eq!(reported, refused, "refused and not reported, or the other way round");
    assert!(failed.is_empty(), "{failed:?}");
}

/// The limit is what there are descriptors for, so that these never run out by connections alone.
#[test]
fn the_limit_on_connections_fits_the_limit_on_descriptors() {
    alone!();
    let mut server = Process::start(&Setup { descriptors: 50, max_connections: 1000, ..Setup::default() });
    let mut peers: Vec<_> = (0..30).map(|_| server.connect()).collect();
    let let_in = peers.iter_mut().filter_map(|peer| peer.is_let_in().then_some(())).count();
    assert_eq!(let_in, 50 - 32);
    assert_eq!(server.close(), (30 - let_in as u64, vec![]));
}

/// As programs do that shut themselves in once everything is open.
#[test]
fn who_is_behind_is_served_although_no_further_descriptor_is_allowed() {
    alone!();
    const STALLED: usize = 60;
    const MESSAGES: usize = 20_000;
    if child::task().is_none() {
        let process = child::Process::start(
            "exhaustion::descriptors::who_is_behind_is_served_although_no_further_descriptor_is_allowed",
            "",
        );
        assert_eq!(process.hear("served"), MESSAGES.to_string());
        return;
    }
    let started = Net::Tcp.start_server(|builder| builder.timeouts(unhurried(Duration::from_secs(600))));
    let raws: Vec<_> = (0..=STALLED).map(|_| started.raw()).collect();
    let mut connections: Vec<_> = raws.iter().map(|_| connected(&started.events)).collect();
    connections.sort_by_key(Connection::id);
    for connection in &connections {
        while connection.queued_bytes() == 0 {
            connection.send(&numbered(0, 100_000)).unwrap();
        }
    }
    for number in 0..MESSAGES {
        connections[0].send(&numbered(number, 100)).unwrap();
    }
    for current in [STALLED as u64 / 2, 0] {
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum }).unwrap();
    }
    let mut raws = raws.into_iter();
    let messages = raws.next().unwrap().into_messages();
    let mut served = 0;
    while served < MESSAGES {
        let message = messages.recv_timeout(PATIENCE).expect("nobody writes any more");
        if message.len() == 100 {
            assert_eq!(number_of(&message), served);
            served += 1;
        }
    }
    assert_eq!(started.server.num_connections(), STALLED + 1);
    child::tell("served", served);
}

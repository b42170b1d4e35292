//! Servers in a process that runs out of descriptors or threads, or whose accept fails in every way that the system
//! has.
//!
//! `cargo test --release --test alone -- exhaustion:: --ignored --nocapture --test-threads=1` runs the long forms.
#![cfg(target_os = "linux")]

mod server_process;

use std::env;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::{Connection, Timeouts};
use leads_comm_testing::vitals::Vitals;
use leads_comm_testing::{Net, PATIENCE, alone, child, connected, figures, number_of, numbered, skipped, until};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use server_process::{Peer, Process, Setup};

#[test]
#[ignore = "what the other tests run in a process of its own"]
fn server_process() {
    server_process::be_server();
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

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

/// Whether `strace` can make calls fail.
fn can_inject() -> bool {
    let works = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "inject=accept4:error=EIO:when=1", "true"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !works {
        skipped("strace is missing, or may not trace");
    }
    works
}

/// A server whose accept fails as `inject` says; its calls go to the file `calls`.
fn injected(inject: &str, calls: &str) -> Process {
    let strace = ["strace", "-f", "-qq", "--seccomp-bpf", "-e", "trace=accept4", "-o", calls, "-e", inject];
    Process::start_under(&strace, &Setup::default())
}

const ERRORS: [&str; 13] = [
    "EMFILE",
    "ENFILE",
    "ENOBUFS",
    "ENOMEM",
    "ECONNABORTED",
    "EPROTO",
    "EPERM",
    "ENETDOWN",
    "EHOSTUNREACH",
    "EOPNOTSUPP",
    "ETIMEDOUT",
    "EINTR",
    "EAGAIN",
];

/// Each a few times in a row; then the caller that has waited is let in.
#[test]
fn accepting_survives_every_error_of_the_system() {
    alone!();
    if !can_inject() {
        return;
    }
    let survived = |error: &str| {
        let inject = format!("inject=accept4:error={error}:when=1..6");
        let mut server = injected(&inject, "/dev/null");
        let mut peer = server.connect();
        // One that is refused for want of a descriptor may come again.
        while !peer.is_let_in() {
            peer = server.connect();
        }
        peer.echo("served");
        server.close();
    };
    thread::scope(|scope| {
        let survived = &survived;
        let threads: Vec<_> = ERRORS.iter().map(|error| (error, scope.spawn(move || survived(error)))).collect();
        let alive: Vec<_> =
            threads.into_iter().filter_map(|(error, thread)| thread.join().ok().map(|()| error)).collect();
        println!("A1: loop alive {} of {}", alive.len(), ERRORS.len());
        assert_eq!(alive.len(), ERRORS.len(), "only {alive:?}");
    });
}

/// However often accepting fails, it is tried again only so often.
#[test]
fn accepting_that_fails_without_end_does_not_spin() {
    alone!();
    if !can_inject() {
        return;
    }
    let time = Duration::from_millis(1000);
    let tries = |error: &str| {
        let calls = env::temp_dir().join(format!("leads-comm-{}-{error}", std::process::id()));
        let path = calls.to_str().unwrap();
        let inject = format!("inject=accept4:error={error}:when=1+");
        let mut server = injected(&inject, path);
        let _waiting = server.connect();
        thread::sleep(time);
        server.close();
        drop(server);
        let count = fs::read_to_string(&calls).unwrap().lines().filter(|line| line.contains("INJECTED")).count();
        fs::remove_file(calls).unwrap();
        count
    };
    let errors = ["EMFILE", "ENOBUFS", "ECONNABORTED", "EAGAIN"];
    let counts: Vec<_> = thread::scope(|scope| {
        let tries = &tries;
        let threads: Vec<_> = errors.map(|error| scope.spawn(move || tries(error))).into_iter().collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    println!("A1: accept tried in {:.1} s: {errors:?} {counts:?}", time.as_secs_f64());
    // 64 of one caller each are passed over, and from then on 5 ms lie between two; every try may take three calls.
    let most = 3 * (64 + time.as_millis() as usize / 5 + 20);
    assert!(counts.iter().all(|count| (3..=most).contains(count)), "{counts:?}");
}

/// Where a process can be denied threads: by a control group where that is allowed, else by its own limit.
enum Threads {
    Group(PathBuf),
    Own,
}

impl Threads {
    fn new(server: &Process) -> Option<Self> {
        for root in ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"] {
            let group = PathBuf::from(root).join(format!("leads-comm-{}", server.pid()));
            if fs::create_dir(&group).is_ok() {
                if group.join("pids.max").exists()
                    && fs::write(group.join("cgroup.procs"), server.pid().to_string()).is_ok()
                {
                    return Some(Self::Group(group));
                }
                let _ = fs::remove_dir(&group);
            }
        }
        // Nobody's limit binds the superuser.
        if rustix::process::geteuid().is_root() {
            skipped("there is no control group to limit threads with");
            return None;
        }
        Some(Self::Own)
    }

    fn deny(&self, server: &mut Process) {
        match self {
            Self::Group(group) => {
                let current = fs::read_to_string(group.join("pids.current")).unwrap();
                fs::write(group.join("pids.max"), current.trim()).unwrap();
            }
            Self::Own => {
                server.tell("threads none");
                // Behind it, so that it has been done.
                server.tell("hold");
                assert!(server.line().starts_with("held "));
                server.tell("release");
            }
        }
    }

    fn allow(&self, server: &mut Process) {
        match self {
            Self::Group(group) => fs::write(group.join("pids.max"), "max").unwrap(),
            Self::Own => server.tell("threads"),
        }
    }
}

#[test]
fn a_process_out_of_threads_turns_callers_away_and_goes_on() {
    alone!();
    const CALLERS: u64 = 50;
    let mut server = Process::start(&Setup::default());
    let Some(threads) = Threads::new(&server) else { return };
    let mut established = server.connect();
    assert!(established.is_let_in());
    threads.deny(&mut server);
    for number in 0..CALLERS {
        let mut caller = server.connect();
        caller.send("hello");
        assert!(!caller.is_let_in(), "let in without a thread");
        established.echo(&format!("number {number}"));
    }
    let mut refused = CALLERS;
    let begin = Instant::now();
    threads.allow(&mut server);
    let mut next = server.connect();
    while !next.is_let_in() {
        assert!(begin.elapsed() < PATIENCE, "nobody is let in");
        refused += 1;
        next = server.connect();
    }
    let delay = begin.elapsed();
    next.echo("served");
    established.echo("served");
    let (reported, failed) = server.close();
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(reported, refused);
    println!("A3: server alive; refused {refused} = reported {reported}; accepts again after {:.1} ms", millis(delay));
    drop(server);
    if let Threads::Group(group) = threads {
        until("the control group is empty", || fs::remove_dir(&group).is_ok());
    }
}

/// Connects and closes, connects and resets, connects and says nothing, `count` times in all.
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
    assert!(after[2] < before[2] + 4096, "{before:?} {after:?}");
    server.close();
}

#[test]
fn a_flood_of_callers_leaves_nothing_behind() {
    alone!();
    leaves_nothing_behind(1500, Duration::ZERO);
}

#[test]
#[ignore = "long: takes 1 minute"]
fn a_long_flood_of_callers_leaves_nothing_behind() {
    alone!();
    leaves_nothing_behind(50_000, Duration::from_secs(4));
}

/// A port that the system gives to nobody by itself, and the next one is free as well.
fn quiet_port() -> u16 {
    let free = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
    let first = 20_000 + 2 * (std::process::id() % 5_000) as u16;
    (first..).step_by(2).find(|port| free(*port) && free(port + 1)).unwrap()
}

/// Ends and starts again on the same port: by a close, which leaves its side waiting for the last of the peers'
/// packets, and by a crash.
fn restarts(closed: usize, killed: usize) {
    let setup = Setup { port: quiet_port(), ..Setup::default() };
    let mut server = Process::start(&setup);
    let begin = Instant::now();
    server.tell(&format!("restart {closed}"));
    let failed = server.line();
    let failed = failed.strip_prefix("restarted ").unwrap_or_else(|| panic!("{failed}"));
    let took = begin.elapsed();
    server.close();
    drop(server);
    for _ in 0..killed {
        let server = Process::start(&setup);
        let mut peers: Vec<_> = (0..5).map(|_| server.connect()).collect();
        assert!(peers.iter_mut().all(Peer::is_let_in));
        peers.iter_mut().for_each(|peer| peer.send("under load"));
        server.kill();
    }
    println!(
        "A6: failed binds {failed} of {closed} after a close ({:.1} ms for each round), 0 of {killed} after a crash",
        millis(took) / closed as f64
    );
    assert_eq!(failed, "0");
}

#[test]
fn a_server_starts_again_on_its_port_at_once() {
    alone!();
    restarts(20, 3);
}

#[test]
#[ignore = "long: takes half a minute"]
fn a_server_starts_again_on_its_port_at_once_every_time() {
    alone!();
    restarts(100, 100);
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

    let before = server.vitals().memory / 1024;
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
    let after = server.vitals().memory / 1024;
    println!(
        "A4: {rate:.0} refusals/s from one thread; resident {:+} KiB; p99 {quiet:.0} us alone, {beside_bare:.0} us beside \
         callers of a bare socket, {disturbed:.0} us beside as many callers of the server: ratio {:.2}",
        after as i64 - before as i64,
        disturbed / beside_bare
    );
    let (reported, failed) = server.close();
    assert_eq!(reported, refused as u64 + fast);
    assert!(failed.is_empty(), "{failed:?}");
}

/// As programs do that shut themselves in once everything is open.
#[test]
fn who_is_behind_is_served_although_no_further_descriptor_is_allowed() {
    alone!();
    const STALLED: usize = 60;
    const MESSAGES: usize = 20_000;
    if child::task().is_none() {
        let process =
            child::Process::start("exhaustion::who_is_behind_is_served_although_no_further_descriptor_is_allowed", "");
        assert_eq!(process.hear("served"), MESSAGES.to_string());
        return;
    }
    let started =
        Net::Tcp.start_server(|builder| builder.timeouts(Timeouts::new().stall_timeout(Duration::from_secs(600))));
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

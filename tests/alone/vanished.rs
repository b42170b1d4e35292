//! Peers that are gone without a word, or that are stopped: what is told apart, and how long that takes.

#[cfg(target_os = "linux")]
use std::net::Ipv4Addr;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use leads_comm::{Connection, DisconnectCause, MemoryLimits, OutboundLimit, Timeouts};
#[cfg(target_os = "linux")]
use leads_comm::{ServerBuilder, SlowConsumer, callback::Event, crossbeam_channel::RecvTimeoutError};
use leads_comm_testing::child::{self, Process};
use leads_comm_testing::*;

/// Whether a peer whose window is closed can be told from one that is gone.
const TELLS_GONE: bool = cfg!(all(target_os = "linux", not(leads_comm_emulated)));

/// A process that is connected and reads nothing.
fn hold_still(address: &str) {
    let address: SocketAddr = address.parse().unwrap();
    let stream = TcpStream::connect(address).unwrap();
    child::say(&stream.local_addr().unwrap().to_string());
    child::wait_for_parent();
}

/// Where nothing stops a process, that it reads nothing has to do.
fn signal(process: &Process, name: &str) {
    if cfg!(unix) {
        process.signal(name);
    }
}

/// A peer that is stopped: its system answers that there is no room, for ever. The stall time-out is what ends it, also
/// when a peer that does not answer would be taken for gone long before.
fn stopped(name: &str, stall: Duration) {
    if let Some(task) = child::task() {
        return hold_still(&task);
    }
    let started = Net::Tcp.start_server(|builder| {
        // Where the system cannot be asked, it is the first of the two that ends such a peer.
        let dead_after = TELLS_GONE.then_some(Duration::from_millis(100));
        builder
            .timeouts(Timeouts::new().stall_timeout(stall).dead_peer_timeout(dead_after))
            .max_queued_bytes(64 << 20)
            .memory_limits(MemoryLimits::new().max_total_queued_bytes(64 << 20))
    });
    let process = Process::start(name, &started.addr().to_string());
    process.line();
    let connection = connected(&started.events);
    signal(&process, "STOP");
    let filled = fill(&connection);
    let reason = disconnected(&started.events);
    let took = filled.elapsed();
    signal(&process, "CONT");
    let expected = OutboundLimit::Stalled(stall);
    assert!(matches!(reason.cause, DisconnectCause::SlowConsumer { limit } if limit == expected), "{reason:?}");
    assert!(took >= stall, "too early: {took:?}");
    println!("L2: time to SlowConsumer {took:?} of {stall:?}, {:+.1} %", 100.0 * (took.div_duration_f64(stall) - 1.0));
}

/// Sends until the peer's system takes no more, and ours has what it can ever take; when that was.
fn fill(connection: &Connection) -> Instant {
    let message = b"x".repeat(64 * 1024);
    let mut before = Instant::now();
    connection.send(&message).unwrap();
    while connection.flush(Duration::from_millis(100)).is_ok() {
        before = Instant::now();
        connection.send(&message).unwrap();
    }
    // Of 4 MiB a third is free when it says that there is no room.
    for _ in 0..64 {
        connection.send(&message).unwrap();
    }
    before
}

#[test]
fn a_stopped_peer_is_a_slow_consumer() {
    alone!();
    stopped("vanished::a_stopped_peer_is_a_slow_consumer", Duration::from_millis(1500));
}

#[test]
#[ignore = "long: takes 15 seconds"]
fn a_stopped_peer_is_a_slow_consumer_after_ten_seconds() {
    alone!();
    stopped("vanished::a_stopped_peer_is_a_slow_consumer_after_ten_seconds", Duration::from_secs(10));
}

/// What is on its way to a peer.
#[cfg(target_os = "linux")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waits {
    Nothing,
    /// One message, which the peer's system has room for.
    OnTheWay,
    /// More than the peer's system has room for, so that its window closes.
    InTheSystem,
    InTheOutbox,
}

/// What the service makes of a peer to which something happens.
#[cfg(target_os = "linux")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stays,
    Gone,
    Stalled,
}

/// What waits for a peer, of a service with what settings, and what becomes of it.
#[cfg(target_os = "linux")]
type Case = (Waits, fn(ServerBuilder, Timeouts) -> ServerBuilder, Fate);

/// Starts a peer for each case, a process that reads nothing, has something happen to all of them, and compares what
/// becomes of each within `time`.
#[cfg(target_os = "linux")]
fn fates(
    (name, wrap, bind): (&str, &[&str], Ipv4Addr),
    timeouts: Timeouts,
    cases: &[Case],
    happen: impl FnOnce(&[Process]),
    time: Duration,
) {
    let services = cases.iter().map(|(waits, adapt, _)| {
        let started = Net::Tcp.start_server(|builder| {
            let builder = builder
                .bind(bind)
                .max_queued_bytes(16 << 20)
                .memory_limits(MemoryLimits::new().max_total_queued_bytes(16 << 20));
            adapt(builder, timeouts)
        });
        let process = Process::start_under(wrap, name, &started.addr().to_string());
        process.line();
        let connection = connected(&started.events);
        match waits {
            Waits::InTheSystem => {
                connection.send(&vec![b'x'; 300_000]).unwrap();
                connection.flush(PATIENCE).unwrap();
            }
            Waits::InTheOutbox => drop(fill(&connection)),
            Waits::Nothing | Waits::OnTheWay => {}
        }
        (started, process, connection)
    });
    let (services, processes): (Vec<_>, Vec<_>) =
        services.map(|(started, process, connection)| ((started, connection), process)).unzip();
    happen(&processes);
    let (happened, until) = (Instant::now(), Instant::now() + time);
    for ((_, connection), (waits, ..)) in services.iter().zip(cases) {
        if *waits == Waits::OnTheWay {
            connection.send(b"on its way").unwrap();
        }
    }
    for ((started, connection), (waits, _, expected)) in services.iter().zip(cases) {
        let (fate, how) = match started.events.recv_deadline(until) {
            Ok(Event::Disconnect { reason, .. }) => match reason.cause {
                DisconnectCause::Io { .. } => (Fate::Gone, chain(&reason)),
                DisconnectCause::SlowConsumer { limit: OutboundLimit::Stalled(_) } => {
                    (Fate::Stalled, reason.to_string())
                }
                _ => panic!("{waits:?}: {reason:?}"),
            },
            Err(RecvTimeoutError::Timeout) => (Fate::Stays, "stays".into()),
            other => panic!("{waits:?}: {other:?}"),
        };
        println!("L1: {waits:?}: {how}, known after {:.1?}", happened.elapsed());
        assert_eq!(fate, *expected, "{waits:?}: {how}");
        connection.abort();
    }
}

#[cfg(target_os = "linux")]
#[test]
#[cfg_attr(leads_comm_emulated, ignore = "qemu passes no questions on to NETLINK_SOCK_DIAG")]
fn a_stopped_peer_is_not_gone() {
    alone!();
    const SOON: Duration = Duration::from_millis(500);
    let name = "vanished::a_stopped_peer_is_not_gone";
    if let Some(task) = child::task() {
        return hold_still(&task);
    }
    let cases: [Case; 5] = [
        (Waits::Nothing, |builder, timeouts| builder.timeouts(timeouts.stall_timeout(SOON)), Fate::Stays),
        (Waits::OnTheWay, |builder, timeouts| builder.timeouts(timeouts.stall_timeout(SOON)), Fate::Stays),
        (Waits::InTheSystem, |builder, timeouts| builder.timeouts(timeouts.stall_timeout(SOON)), Fate::Stays),
        (Waits::InTheOutbox, |builder, timeouts| builder.timeouts(timeouts.stall_timeout(2 * SOON)), Fate::Stalled),
        // Nobody is held up by a peer that loses what it does not take.
        (
            Waits::InTheOutbox,
            |builder, timeouts| builder.timeouts(timeouts).slow_consumer(SlowConsumer::DropOldest),
            Fate::Stays,
        ),
    ];
    let quick = Timeouts::new().dead_peer_timeout(SOON);
    let stop = |processes: &[Process]| processes.iter().for_each(|process| process.signal("STOP"));
    fates((name, &[], Ipv4Addr::LOCALHOST), quick, &cases, stop, Duration::from_secs(4));
}

/// What the system is told of each socket, whoever made it.
#[cfg(target_os = "linux")]
mod sockets {
    use std::io;
    use std::net::TcpListener;
    use std::sync::{Arc, mpsc};

    use leads_comm::transport::{Stream, tcp};
    use leads_comm::{Client, ClientBuilder, Server};
    use leads_comm_testing::layer::{self, Layer};
    use socket2::SockRef;

    use super::*;

    /// Which timer the system has set on the connection between two ports, and how many seconds from now it rings.
    fn timer(from: u16, to: u16) -> (u8, u64) {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let ends = (format!(":{from:04X}"), format!(":{to:04X}"));
        let line = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let mut line = line.filter(|fields| fields[1].ends_with(&ends.0) && fields[2].ends_with(&ends.1));
        let (timer, when) = line.next().expect("no such connection")[5].split_once(':').unwrap();
        (timer.parse().unwrap(), u64::from_str_radix(when, 16).unwrap() / 100)
    }

    /// What [`timer`] calls the one that asks whether the peer is there.
    const KEEPALIVE: u8 = 2;

    #[test]
    fn every_socket_is_looked_after() {
        alone!();
        let ways: [fn() -> ServerBuilder; 2] =
            [|| Server::builder().port(0), || Server::builder().listener(TcpListener::bind("127.0.0.1:0").unwrap())];
        for (way, time, first) in ways.into_iter().flat_map(|way| {
            let time = Duration::from_secs;
            [(way, Some(time(30)), 15), (way, Some(time(200)), 100), (way, None, 0)]
        }) {
            let (callback, events) = recorder();
            let server = way().timeouts(Timeouts::new().dead_peer_timeout(time)).callback(callback).build().unwrap();
            server.start(true).unwrap();
            let client = Client::builder()
                .port(server.port())
                .timeouts(Timeouts::new().dead_peer_timeout(time))
                .build()
                .unwrap();
            client.start("127.0.0.1", true).unwrap();
            let (here, there) = (connected(&events).peer_addr().unwrap().port(), server.port());
            for (from, to) in [(here, there), (there, here)] {
                until("the system's timer", || {
                    let (timer, seconds) = timer(from, to);
                    match time {
                        Some(_) => timer == KEEPALIVE && (first - 2..=first).contains(&seconds),
                        None => timer != KEEPALIVE,
                    }
                });
            }
            client.close();
            server.close();
        }
    }

    /// Whether the system's answers are passed on.
    struct Asked {
        can_be_asked: bool,
    }

    impl Layer for Asked {
        fn unanswered_for(&self, stream: &dyn Stream) -> io::Result<Option<Duration>> {
            if self.can_be_asked { stream.unanswered_for() } else { Err(io::ErrorKind::Unsupported.into()) }
        }
    }

    #[test]
    #[cfg_attr(leads_comm_emulated, ignore = "qemu passes no questions on to NETLINK_SOCK_DIAG")]
    fn each_part_is_told_to_the_system() {
        alone!();
        type Adapt = fn(ClientBuilder) -> ClientBuilder;
        type Told = Option<(u64, u64, u32)>;
        let second = Duration::from_secs(1);
        let cases: [(Adapt, Told, Option<Duration>); 5] = [
            (|builder| builder, Some((15, 5, 3)), Some(30 * second)),
            (|builder| builder.timeouts(Timeouts::new().dead_peer_timeout(None)), None, None),
            (
                |builder| builder.timeouts(Timeouts::new().dead_peer_timeout(Duration::from_secs(44))),
                Some((22, 7, 3)),
                Some(44 * second),
            ),
            // However long a peer may take nothing.
            (
                |builder| builder.timeouts(Timeouts::new().dead_peer_timeout(Duration::from_secs(6))),
                Some((3, 1, 3)),
                Some(6 * second),
            ),
            (|builder| builder.slow_consumer(SlowConsumer::DropOldest), Some((15, 5, 3)), Some(30 * second)),
        ];
        let started = Net::Tcp.start_server(|builder| builder);
        let address = started.addr();
        let cases = cases.map(|case| [(case, false), (case, true)]).into_iter().flatten();
        for ((adapt, keepalive, user_timeout), asked) in cases {
            let (keep, kept) = mpsc::channel();
            let connect = move |_: &str| {
                let socket = TcpStream::connect(address)?;
                keep.send(socket.try_clone()?).unwrap();
                let stream = Box::new(tcp::TcpStream::new(socket)?);
                Ok(layer::stream(stream, &Arc::new(Asked { can_be_asked: asked })))
            };
            let client = adapt(Client::builder().transport(connect)).build().unwrap();
            client.start("", true).unwrap();
            let socket = kept.recv().unwrap();
            let socket = SockRef::from(&socket);
            assert_eq!(socket.keepalive().unwrap(), keepalive.is_some());
            if let Some((idle, interval, count)) = keepalive {
                assert_eq!(socket.tcp_keepalive_time().unwrap().as_secs(), idle);
                assert_eq!(socket.tcp_keepalive_interval().unwrap().as_secs(), interval);
                assert_eq!(socket.tcp_keepalive_retries().unwrap(), count);
            }
            // With the answers of the system, the library looks by itself.
            let user_timeout = user_timeout.filter(|_| !asked);
            assert_eq!(socket.tcp_user_timeout().unwrap(), user_timeout);
            client.close();
        }
    }
}

/// Peers in a network of their own, which is then cut off.
#[cfg(target_os = "linux")]
mod network {
    use std::process::Command;
    use std::sync::atomic::{AtomicU8, Ordering};

    use leads_comm::{CloseOnDrop, Server};

    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    /// Two networks that are joined by a cable; gone when it is dropped.
    struct Cable {
        namespace: String,
        device: String,
        here: Ipv4Addr,
    }

    fn ip(arguments: &str) {
        let done = Command::new("ip").args(arguments.split_whitespace()).status().unwrap();
        assert!(done.success(), "ip {arguments}");
    }

    impl Cable {
        fn lay() -> Self {
            static LAID: AtomicU8 = AtomicU8::new(0);
            let (id, number) = (std::process::id(), LAID.fetch_add(1, Ordering::Relaxed));
            let (namespace, device) = (format!("leads-comm-{id}-{number}"), format!("lc{}n{number}", id % 1_000_000));
            // Reserved for benchmarks.
            let (here, there) =
                (Ipv4Addr::new(198, 18, 213, 4 * number + 1), Ipv4Addr::new(198, 18, 213, 4 * number + 2));
            ip(&format!("netns add {namespace}"));
            let cable = Self { namespace, device, here };
            let Self { namespace, device, .. } = &cable;
            ip(&format!("link add {device} type veth peer name there netns {namespace}"));
            ip(&format!("addr add {here}/30 dev {device}"));
            ip(&format!("link set {device} up"));
            ip(&format!("-n {namespace} addr add {there}/30 dev there"));
            ip(&format!("-n {namespace} link set there up"));
            cable
        }

        /// From now on everything is lost, both ways.
        fn pull(&self) {
            ip(&format!("-n {} link set there down", self.namespace));
        }
    }

    impl Drop for Cable {
        fn drop(&mut self) {
            let _ = Command::new("ip").args(["link", "del", &self.device]).status();
            let _ = Command::new("ip").args(["netns", "del", &self.namespace]).status();
        }
    }

    #[test]
    #[ignore = "needs root"]
    fn a_peer_that_is_gone_is_noticed_whatever_waits_for_it() {
        alone!();
        if let Some(task) = child::task() {
            return hold_still(&task);
        }
        let cable = Cable::lay();
        let cases: [Case; 7] = [
            (Waits::Nothing, |builder, timeouts| builder.timeouts(timeouts.stall_timeout(LONG)), Fate::Gone),
            (Waits::OnTheWay, |builder, timeouts| builder.timeouts(timeouts.stall_timeout(LONG)), Fate::Gone),
            (Waits::InTheSystem, |builder, timeouts| builder.timeouts(timeouts.stall_timeout(LONG)), Fate::Gone),
            (
                Waits::InTheOutbox,
                |builder, timeouts| builder.timeouts(timeouts).slow_consumer(SlowConsumer::DropOldest),
                Fate::Gone,
            ),
            (
                Waits::InTheOutbox,
                |builder, timeouts| builder.timeouts(timeouts).slow_consumer(SlowConsumer::DropNewest),
                Fate::Gone,
            ),
            (
                Waits::InTheOutbox,
                |builder, timeouts| builder.timeouts(timeouts).slow_consumer(SlowConsumer::Block(LONG)),
                Fate::Gone,
            ),
            // Whichever is over first.
            (
                Waits::InTheOutbox,
                |builder, timeouts| builder.timeouts(timeouts.stall_timeout(Duration::from_secs(1))),
                Fate::Stalled,
            ),
        ];
        let quick = Timeouts::new().dead_peer_timeout(Duration::from_secs(3));
        let wrap = ["ip", "netns", "exec", &cable.namespace];
        let name = "vanished::network::a_peer_that_is_gone_is_noticed_whatever_waits_for_it";
        fates((name, &wrap, cable.here), quick, &cases, |_| cable.pull(), Duration::from_secs(25));
    }

    #[test]
    #[ignore = "needs root"]
    fn vanished_peers_are_noticed() {
        alone!();
        if let Some(task) = child::task() {
            return hold_still(&task);
        }
        let cable = Cable::lay();
        let (callback, events) = recorder();
        let builder = Server::builder()
            .port(0)
            .bind(cable.here)
            .max_queued_bytes(64 << 20)
            .memory_limits(MemoryLimits::new().max_total_queued_bytes(64 << 20));
        let server = CloseOnDrop::new(builder.callback(callback).build().unwrap());
        server.start(true).unwrap();
        let address = server.local_addr().unwrap().to_string();
        let wrap = ["ip", "netns", "exec", &cable.namespace];
        let name = "vanished::network::vanished_peers_are_noticed";
        let peers = ["idle", "data in flight", "queue full"].map(|state| {
            let process = Process::start_under(&wrap, name, &address);
            process.line();
            (state, process, connected(&events))
        });
        cable.pull();
        let cut = Instant::now();
        peers[1].2.send(b"on its way").unwrap();
        fill(&peers[2].2);
        for _ in &peers {
            let (connection, reason) = loop {
                // Longer than anything else: the system's own patience is put to the test.
                let event = events.recv_timeout(4 * PATIENCE).expect("a vanished peer is not noticed");
                if let Event::Disconnect { connection, reason } = event {
                    break (connection, reason);
                }
            };
            let took = cut.elapsed();
            let (state, ..) = peers.iter().find(|(.., peer)| *peer == connection).unwrap();
            println!("L1: {state}: noticed after {:.1} s: {reason}", took.as_secs_f64());
            match *state {
                // Both are over at about the same time.
                "queue full" => assert!(
                    matches!(reason.cause, DisconnectCause::SlowConsumer { .. } | DisconnectCause::Io { .. }),
                    "{reason:?}"
                ),
                _ => assert!(matches!(reason.cause, DisconnectCause::Io { .. }), "{state}: {reason:?}"),
            }
            assert!(took < Duration::from_secs(45), "{state}: {took:?}");
        }
    }
}

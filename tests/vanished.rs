//! Peers that are gone without a word, or that stand still: how long it takes until that is noticed.
#![cfg(unix)]

mod support;

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use leads_comm::{Connection, DisconnectReason, OutboundLimit};
use support::child::{self, Process};
use support::*;

/// A process that is connected and reads nothing.
fn hold_still(address: &str) {
    let address: SocketAddr = address.parse().unwrap();
    let stream = TcpStream::connect(address).unwrap();
    child::say(&stream.local_addr().unwrap().to_string());
    child::wait_for_parent();
}

/// A peer that is stopped: its system answers that there is no room, for ever. The stall time-out is what ends it, also
/// when the user time-out, which knows of such peers too, would be over long before.
fn stopped(name: &str, stall: Duration) {
    if let Some(task) = child::task() {
        return hold_still(&task);
    }
    let started = Net::Tcp.start_server(|builder| {
        let user_timeout = Duration::from_millis(100);
        builder
            .stall_timeout(stall)
            .user_timeout(user_timeout)
            .max_queued_bytes(64 << 20)
            .max_total_queued_bytes(64 << 20)
    });
    let process = Process::start(name, &started.addr().to_string());
    process.line();
    let connection = connected(&started.events);
    process.signal("STOP");
    let filled = fill(&connection);
    let reason = disconnected(&started.events);
    let took = filled.elapsed();
    process.signal("CONT");
    let expected = OutboundLimit::Stalled(stall);
    assert!(matches!(reason, DisconnectReason::SlowConsumer { limit, .. } if limit == expected), "{reason:?}");
    assert!(took >= stall, "too early: {took:?}");
    println!("L2: time to SlowConsumer {took:?} of {stall:?}, {:+.1} %", 100.0 * (took.div_duration_f64(stall) - 1.0));
}

/// Sends until the peer's system and ours take no more; when that was.
fn fill(connection: &Connection) -> Instant {
    let message = b"x".repeat(64 * 1024);
    loop {
        let before = Instant::now();
        connection.send(&message).unwrap();
        if connection.flush(Duration::from_millis(100)).is_err() {
            return before;
        }
    }
}

#[test]
fn a_stopped_peer_is_a_slow_consumer() {
    stopped("a_stopped_peer_is_a_slow_consumer", Duration::from_millis(1500));
}

#[test]
#[ignore = "long: takes 15 seconds"]
fn a_stopped_peer_is_a_slow_consumer_after_ten_seconds() {
    stopped("a_stopped_peer_is_a_slow_consumer_after_ten_seconds", Duration::from_secs(10));
}

/// What the system is told of each socket, whoever made it.
#[cfg(target_os = "linux")]
mod sockets {
    use std::io::{self, IoSlice};
    use std::net::{Shutdown, TcpListener};
    use std::sync::mpsc;

    use leads_comm::transport::Stream;
    use leads_comm::transport::tcp;
    use leads_comm::{Client, ClientBuilder, Keepalive, Server};
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
        let ways: [fn() -> leads_comm::ServerBuilder; 2] =
            [|| Server::builder().port(0), || Server::builder().listener(TcpListener::bind("127.0.0.1:0").unwrap())];
        for (way, keepalive, first) in ways.into_iter().flat_map(|way| {
            let slower = Keepalive { idle: Duration::from_secs(100), ..Keepalive::default() };
            [(way, Some(Keepalive::default()), 15), (way, Some(slower), 100), (way, None, 0)]
        }) {
            let (callback, events) = recorder();
            let server = way().keepalive(keepalive).callback(callback).build().unwrap();
            server.start(true).unwrap();
            let client = Client::builder().port(server.port()).keepalive(keepalive).build().unwrap();
            client.start("127.0.0.1", true).unwrap();
            let (here, there) = (connected(&events).peer_addr().unwrap().port(), server.port());
            for (from, to) in [(here, there), (there, here)] {
                until("the system's timer", || {
                    let (timer, seconds) = timer(from, to);
                    match keepalive {
                        Some(_) => timer == KEEPALIVE && (first - 2..=first).contains(&seconds),
                        None => timer != KEEPALIVE,
                    }
                });
            }
            client.close();
            server.close();
        }
    }

    /// A stream of the program's own, made of one of the library's, and a way for the test to look into it.
    struct Wrapped(tcp::TcpStream);

    impl Stream for Wrapped {
        fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }

        fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
            self.0.write_vectored(buffers)
        }

        fn shutdown(&self, how: Shutdown) -> io::Result<()> {
            self.0.shutdown(how)
        }

        fn keep_alive(&self, keepalive: Option<Keepalive>, user_timeout: Option<Duration>) -> io::Result<()> {
            self.0.keep_alive(keepalive, user_timeout)
        }

        fn peer(&self) -> String {
            self.0.peer()
        }
    }

    #[test]
    fn each_part_is_told_to_the_system() {
        type Adapt = fn(ClientBuilder) -> ClientBuilder;
        type Told = Option<(u64, u64, u32)>;
        const MIB_OF_MILLIS: Duration = Duration::from_millis(1 << 20);
        let cases: [(Adapt, Told, Option<Duration>); 5] = [
            (|builder| builder, Some((15, 5, 3)), Some(Duration::from_secs(30))),
            (|builder| builder.keepalive(None).user_timeout(None), None, None),
            (
                |builder| {
                    let (idle, interval) = (Duration::from_secs(7), Duration::from_secs(2));
                    builder.keepalive(Keepalive { idle, interval, count: 9 }).user_timeout(MIB_OF_MILLIS)
                },
                Some((7, 2, 9)),
                Some(MIB_OF_MILLIS),
            ),
            // Never before a peer that only stands still is ended by the stall time-out.
            (|builder| builder.user_timeout(Duration::from_secs(1)), Some((15, 5, 3)), Some(Duration::from_secs(11))),
            (|builder| builder.stall_timeout(Duration::from_secs(60)), Some((15, 5, 3)), Some(Duration::from_secs(61))),
        ];
        let started = Net::Tcp.start_server(|builder| builder);
        let address = started.addr();
        for (adapt, keepalive, user_timeout) in cases {
            let (keep, kept) = mpsc::channel();
            let connect = move |_: &str| {
                let socket = TcpStream::connect(address)?;
                keep.send(socket.try_clone()?).unwrap();
                Ok(Box::new(Wrapped(tcp::TcpStream::new(socket)?)) as Box<dyn Stream>)
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
            assert_eq!(socket.tcp_user_timeout().unwrap(), user_timeout);
            client.close();
        }
    }
}

/// Peers in a network of their own, which is then cut off.
#[cfg(target_os = "linux")]
mod network {
    use std::process::Command;

    use leads_comm::callback::Event;
    use leads_comm::{CloseOnDrop, Server};

    use super::*;

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
            let id = std::process::id();
            let (namespace, device) = (format!("leads-comm-{id}"), format!("lc{}", id % 1_000_000));
            // Reserved for benchmarks.
            let (here, there) = (Ipv4Addr::new(198, 18, 213, 1), Ipv4Addr::new(198, 18, 213, 2));
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

        /// From now on everything is lost, both ways, and nobody is told.
        fn cut(&self) {
            let rules = "table ip cut { chain incoming { type filter hook input priority 0; policy drop; }; \
                         chain outgoing { type filter hook output priority 0; policy drop; }; }";
            let done = Command::new("ip").args(["netns", "exec", &self.namespace, "nft", rules]).status().unwrap();
            assert!(done.success(), "nft {rules}");
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
    fn vanished_peers_are_noticed() {
        if let Some(task) = child::task() {
            return hold_still(&task);
        }
        if !child::is_there("nft", "a network that loses everything") {
            return;
        }
        let cable = Cable::lay();
        let (callback, events) = recorder();
        let builder =
            Server::builder().port(0).bind(cable.here).max_queued_bytes(64 << 20).max_total_queued_bytes(64 << 20);
        let server = CloseOnDrop::new(builder.callback(callback).build().unwrap());
        server.start(true).unwrap();
        let address = server.local_addr().unwrap().to_string();
        let wrap = ["ip", "netns", "exec", &cable.namespace];
        let name = "network::vanished_peers_are_noticed";
        let peers = ["idle", "data in flight", "queue full"].map(|state| {
            let process = Process::start_under(&wrap, name, &address);
            process.line();
            (state, process, connected(&events))
        });
        cable.cut();
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
                "queue full" => assert!(matches!(reason, DisconnectReason::SlowConsumer { .. }), "{reason:?}"),
                _ => assert!(matches!(reason, DisconnectReason::Io { .. }), "{state}: {reason:?}"),
            }
            assert!(took < Duration::from_secs(45), "{state}: {took:?}");
        }
    }
}

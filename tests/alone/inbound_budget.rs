//! What unfinished messages may take of memory, for all connections together; and who goes when that is too little.

use std::sync::{Mutex, mpsc};
use std::time::Duration;

use leads_comm::{Closing, Connection, DisconnectCause, DisconnectReason, MemoryLimits, ServerBuilder, callback};
use leads_comm_testing::*;

const KIB: usize = 1024;

/// The longest message, and how much there is for all that are unfinished.
const LEN: usize = 256 * KIB;
const TOTAL: usize = 2 * LEN;

fn limited(builder: ServerBuilder) -> ServerBuilder {
    builder.max_received_len(LEN).memory_limits(MemoryLimits::new().max_total_unfinished_bytes(TOTAL))
}

fn assert_total(reason: &DisconnectReason, limit: usize) {
    assert!(
        matches!(reason.cause, DisconnectCause::TotalUnfinishedBytes { limit: told } if told == limit),
        "{reason:?}"
    );
}

/// A peer that sends `len` bytes of a message and leaves it at that, and its connection.
fn hog(started: &Started, len: usize) -> (Raw, Connection) {
    let raw = started.raw();
    let connection = connected(&started.events);
    raw.write(&b"x".repeat(len));
    (raw, connection)
}

over_every_transport! {
    fn the_longest_unfinished_message_goes_first(net: Net) {
        alone!();
        let started = net.start_server(limited);
        let hogs = [240, 245, 230].map(|kib| hog(&started, kib * KIB));
        // There is no room for all three, nor for two and what comes now.
        let reason = disconnected(&started.events);
        assert_total(&reason, TOTAL);
        let healthy = started.raw();
        let connection = connected(&started.events);
        for number in 0..20 {
            let message = numbered(number, 100 * KIB);
            healthy.write(&[&message[..], b";"].concat());
            assert!(received(&started.events) == message);
        }
        assert!(!connection.is_closed());
        assert!(hogs.iter().filter(|(_, hog)| !hog.is_closed()).count() >= 1, "more have gone than it took");
        assert!(reason.undelivered.unfinished_bytes > 100 * KIB, "{reason:?}");
        let (shown, limit) = (reason.to_string(), TOTAL.to_string());
        assert!(shown.contains(&limit) && shown.contains("discarded"), "{shown}");
    }

    /// Small messages need none of it, so they come through whoever has used it up.
    fn small_messages_are_not_concerned(net: Net) {
        alone!();
        let started = net.start_server(|builder| limited(builder).memory_limits(MemoryLimits::new().max_total_unfinished_bytes(LEN + 1)));
        let (_raw, hog) = hog(&started, LEN - KIB);
        let small: Vec<_> = (0..30).map(|_| started.raw()).collect();
        small.iter().for_each(|_| drop(connected(&started.events)));
        for raw in &small {
            raw.write(&b"x".repeat(2000));
            raw.write(b"x;");
            assert_eq!(received(&started.events).len(), 2001);
        }
        assert!(!hog.is_closed());
        assert_eq!(started.server.num_connections(), 31);
    }

    /// As little as `build` accepts.
    fn one_message_of_full_length_always_fits(net: Net) {
        alone!();
        let started = net.start_server(|builder| limited(builder).memory_limits(MemoryLimits::new().max_total_unfinished_bytes(LEN + 1)));
        let raw = started.raw();
        for number in 0..5 {
            let message = numbered(number, LEN);
            raw.write(&[&message[..], b";beginning"].concat());
            assert!(received(&started.events) == message);
            raw.write(b" and end;");
            assert_eq!(received(&started.events), b"beginning and end");
        }
    }

    /// Nobody can be ended for a message that a callback is still busy with: whoever needs that memory waits a moment.
    fn the_asker_goes_when_callbacks_hold_everything(net: Net) {
        alone!();
        let ((begin, begun), (release, released)) = (mpsc::channel(), mpsc::channel::<()>());
        let released = Mutex::new(released);
        let slow = callback::on_receive(move |_, message: &[u8]| {
            begin.send(message.len()).unwrap();
            if message.len() == LEN {
                let _ = released.lock().unwrap().recv();
            }
        });
        let (recorder, events) = recorder();
        let started =
            net.start_server(|builder| limited(builder).memory_limits(MemoryLimits::new().max_total_unfinished_bytes(LEN + 1)).callback((recorder, slow)));
        let busy = started.raw();
        let connection = connected(&events);
        busy.write(&b"x".repeat(LEN));
        busy.write(b";");
        assert_eq!(begun.recv_timeout(PATIENCE).unwrap(), LEN);

        let asker = started.raw();
        connected(&events);
        drop(asker.try_write(&b"x".repeat(LEN / 2)));
        assert_total(&disconnected(&events), LEN + 1);
        assert!(!connection.is_closed());

        // As soon as the callback returns there is room again.
        drop(release);
        let next = started.raw();
        next.write(&b"x".repeat(LEN / 2));
        next.write(b";");
        assert_eq!(begun.recv_timeout(PATIENCE).unwrap(), LEN / 2);
        assert!(!connection.is_closed());
    }

    /// Whatever has become of those who held it, all of it can be used again.
    fn nothing_of_it_is_lost_for_ever(net: Net) {
        alone!();
        expect_panics_in_callbacks();
        let faulty = callback::on_receive(|_, message: &[u8]| assert_ne!(message[0], b'p', "as asked"));
        let (recorder, events) = recorder();
        let started = net.start_server(|builder| {
            let drain = Duration::from_millis(50);
            let closing = Closing::new().drain_timeout(drain);
            limited(builder).memory_limits(MemoryLimits::new().max_total_unfinished_bytes(LEN + 1)).closing(closing).callback((recorder, faulty))
        });
        type Ending = fn(Raw, &Connection) -> Option<Raw>;
        let endings: [Ending; 6] = [
            |raw, connection| {
                connection.abort();
                Some(raw)
            },
            |raw, connection| {
                connection.close();
                Some(raw)
            },
            |_, _| None,
            |raw, _| {
                raw.reset();
                None
            },
            |raw, _| {
                // It may be over the limit before all of it is written.
                let _ = raw.try_write(&b"x".repeat(LEN));
                Some(raw)
            },
            |raw, _| {
                raw.write(b";panic;and more");
                Some(raw)
            },
        ];
        for end in endings.into_iter().chain(endings) {
            let raw = started.raw();
            let connection = connected(&events);
            raw.write(&b"x".repeat(LEN - 10 * KIB));
            let _raw = end(raw, &connection);
            disconnected(&events);

            let healthy = started.raw();
            connected(&events);
            healthy.write(&b"x".repeat(LEN));
            healthy.write(b";");
            assert_eq!(received(&events).len(), LEN);
            healthy.write(b"disconnect;");
            disconnected(&events);
        }
    }
}

/// What the process takes in all, as Linux counts it.
#[cfg(target_os = "linux")]
mod in_all {
    use std::thread;

    use leads_comm::Server;
    use leads_comm_testing::child::{self, Process};
    use leads_comm_testing::figures::{Prober, p99};

    use super::*;

    /// The promise, in short.
    #[test]
    #[cfg_attr(leads_comm_emulated, ignore = "the memory of qemu is measured with it")]
    fn memory_is_bounded_whatever_peers_do() {
        alone!();
        hoarding(
            "inbound_budget::in_all::memory_is_bounded_whatever_peers_do",
            Hoard { connections: 150, len: 256 * KIB, total: 8 << 20 },
        );
    }

    #[test]
    #[ignore = "long: takes 1 minute"]
    fn a_thousand_hoarders() {
        alone!();
        hoarding(
            "inbound_budget::in_all::a_thousand_hoarders",
            Hoard { connections: 1000, len: 1024 * KIB, total: 64 << 20 },
        );
    }

    struct Hoard {
        connections: usize,
        /// The longest message.
        len: usize,
        /// What all may hold, of what they send, and of what is sent to them.
        total: usize,
    }

    /// A server in a process of its own, and here the peers that hoard: all of them hold as much of a message as there may
    /// be, and a part of them reads nothing of a flood of empty messages.
    fn hoarding(name: &str, hoard: Hoard) {
        if child::task().is_some() {
            return hoarded(&hoard);
        }
        let mut process = Process::start(name, "serve");
        let port: u16 = process.line().parse().unwrap();
        let kib = |line: &str| line.parse::<usize>().unwrap();
        let before = kib(&process.line());
        let net = |port| leads_comm::Client::builder().port(port);
        let prober = Prober::start(net(port), "127.0.0.1");
        let without = p99(prober.probes(200, b"alive"));

        let begun = std::time::Instant::now();
        // Those that are flooded and read nothing have small buffers, so that it soon is the server that must hold it.
        let stalled: Vec<_> = (0..hoard.connections / 10).map(|_| stalled_peer(port)).collect();
        let hoarders = hoard.connections - stalled.len();
        let (end, ended) = mpsc::channel();
        for _ in 0..hoarders {
            let (end, len) = (end.clone(), hoard.len);
            let hoarder = move || {
                use std::io::{Read, Write};
                let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
                let mut left = len - 1;
                while let Ok(count @ 1..) = stream.write(&[b'x'; KIB][..left.min(KIB)]) {
                    left -= count;
                }
                while let Ok(1..) = stream.read(&mut [0; KIB]) {}
                let _ = end.send(());
            };
            thread::Builder::new().stack_size(64 * KIB).spawn(hoarder).unwrap();
        }
        // There is no room for more than this many.
        let (room, mut gone) = (hoard.total / (hoard.len - 5 * KIB), 0);
        let mut during = Vec::new();
        while gone < hoarders - room {
            assert!(begun.elapsed() < 6 * PATIENCE, "{gone} of {hoarders} are gone, and there is room for {room}");
            during.push(prober.probe(b"alive"));
            gone += ended.try_iter().count();
        }
        drop(prober);
        process.release();
        let (peak, ended, left) = (kib(&process.line()), process.line(), process.line());
        let during = p99(during);
        // The two budgets, the allowance, and what a thread has in use of its stack for each connection.
        let declared = (2 * hoard.total + hoard.connections * (4 + 12) * KIB) / KIB + before;
        println!(
            "I4: peak RSS {peak} KiB of a declared budget of {declared} KiB, {:+.0} %; {} connections, {ended} ended for it, \
             {left} left; healthy client served, p99 {during:?} ({without:?} before)",
            100.0 * (peak as f64 / declared as f64 - 1.0),
            hoard.connections,
        );
        assert!(peak <= declared * 12 / 10, "{peak} KiB, and {declared} KiB were declared");
        assert_ne!(ended, "0", "nothing was put to the test");
    }

    /// The server's process: serves until the parent is done, and tells how much memory it has had.
    fn hoarded(hoard: &Hoard) {
        use leads_comm::callback::Event;

        let (recorder, events) = recorder();
        let echo = callback::on_receive(|connection: &Connection, message: &[u8]| {
            if message == b"alive" {
                let _ = connection.send(message);
            }
        });
        let server = Server::builder()
            .port(0)
            .max_received_len(hoard.len)
            .memory_limits(
                MemoryLimits::new()
                    .max_total_unfinished_bytes(hoard.total)
                    .max_total_queued_bytes(hoard.total.max(4 << 20)),
            )
            .callback((echo, recorder))
            .build()
            .unwrap();
        server.start(true).unwrap();
        child::say(&server.port().to_string());
        child::say(&(vitals::memory() / 1024).to_string());
        let (stop, stopped) = mpsc::channel::<()>();
        let flood = {
            let (server, hoarded) = (server.clone(), hoard.connections);
            thread::spawn(move || {
                while stopped.recv_timeout(Duration::from_millis(1)) == Err(mpsc::RecvTimeoutError::Timeout) {
                    // The prober came first, and those that read nothing next.
                    let wanted =
                        |connection: &Connection| (2..2 + hoarded / 10).contains(&number_of_connection(connection));
                    (0..50).for_each(|_| drop(server.broadcast_where(b"", wanted)));
                }
            })
        };
        child::wait_for_parent();
        let ended = events.try_iter().filter(|event| {
            let Event::Disconnect { reason, .. } = event else { return false };
            matches!(reason.cause, DisconnectCause::TotalUnfinishedBytes { .. })
        });
        let ended = ended.count();
        child::say(&(vitals::peak_memory() / 1024).to_string());
        child::say(&ended.to_string());
        child::say(&server.num_connections().to_string());
        drop(stop);
        flood.join().unwrap();
        server.close();
    }

    fn number_of_connection(connection: &Connection) -> usize {
        connection.id().to_string().parse().unwrap()
    }

    /// A peer that never reads, and whose system takes little.
    fn stalled_peer(port: u16) -> socket2::Socket {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4 * KIB).unwrap();
        socket.connect(&std::net::SocketAddr::from(([127, 0, 0, 1], port)).into()).unwrap();
        socket
    }
}

//! Who is slow, who is stopped, and what ends whom: peers that read fast, slowly or not at all, while nothing, little
//! or much waits for them, over every transport and under every policy.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::callback::Event;
use leads_comm::crossbeam_channel::{Receiver, RecvTimeoutError};
use leads_comm::{DisconnectCause, DisconnectReason, Error, MemoryLimits, OutboundLimit, SlowConsumer, Timeouts};
use leads_comm_testing::*;

const STALL: Duration = Duration::from_secs(2);

/// How long a peer that is not to be ended is looked at: longer than one that is takes on a quiet machine.
const LOOK: Duration = Duration::from_secs(5);

/// Whether a peer whose window is closed can be told from one that is gone.
const TELLS_GONE: bool = cfg!(all(target_os = "linux", not(leads_comm_emulated)));

const POLICIES: [SlowConsumer; 4] = [
    SlowConsumer::Disconnect,
    SlowConsumer::Block(Duration::from_secs(60)),
    SlowConsumer::DropOldest,
    SlowConsumer::DropNewest,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reads {
    Fast,
    Slowly,
    Never,
}

/// What is sent to the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Nothing,
    /// What the system takes at once; over TCP more than the peer's system does, whose window closes.
    Little,
    /// As much as keeps the outbox from being empty, as soon as the peer does not read fast.
    Much,
}

/// Few enough bytes a second that less than what the system has to have free, before it calls the stream ready, is read
/// in the stall time-out; more than a peer's window opens by at once.
fn slowly(net: Net) -> usize {
    match net {
        #[cfg(unix)]
        Net::Unix => 70_000,
        _ => 400_000,
    }
}

/// How many messages of 1000 bytes the system takes at once: Linux, of a pseudo-terminal, 13 to 22 KB, the less the
/// longer the writes are.
fn little(net: Net) -> usize {
    match net {
        Net::Tcp => 1000,
        #[cfg(feature = "tls")]
        Net::Tls => 1000,
        _ => 10,
    }
}

/// Reads for ever: so many bytes a second, in small parts, where that is said.
fn read(peer: &Raw, bytes_per_second: Option<usize>) {
    let part = Duration::from_millis(20);
    let mut chunk = vec![0; bytes_per_second.map_or(64 * 1024, |bytes| bytes.div_ceil(50))];
    let mut next = Instant::now();
    while let Ok(1..) = peer.stream.read(&mut chunk) {
        if bytes_per_second.is_some() {
            next += part;
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }
}

/// One cell of the table: why the connection has ended, if it has.
fn look(net: Net, policy: SlowConsumer, reads: Reads, sent: Sent) -> Option<DisconnectReason> {
    let dead_after = TELLS_GONE.then_some(STALL);
    let started = net.start_server(|builder| {
        builder
            .slow_consumer(policy)
            .timeouts(Timeouts::new().stall_timeout(STALL).dead_peer_timeout(dead_after))
            .memory_limits(MemoryLimits::new().max_total_queued_bytes(128 << 20))
    });
    let peer = started.raw();
    let connection = connected(&started.events);
    if sent == Sent::Little {
        (0..little(net)).for_each(|_| connection.send(&[b'x'; 1000]).unwrap());
        connection.flush(PATIENCE).unwrap();
    }
    let (stop, until) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let peer = &peer;
        scope.spawn(move || match reads {
            Reads::Fast => read(peer, None),
            Reads::Slowly => read(peer, Some(slowly(net))),
            Reads::Never => {}
        });
        let sender = connection.clone();
        scope.spawn(move || {
            let message = [b'x'; 1000];
            while sent == Sent::Much && !sender.is_closed() {
                // The queue of a peer that is disconnected for it is not to be full.
                if policy != SlowConsumer::Disconnect || sender.queued_bytes() < 500_000 {
                    let _: Vec<Result<(), Error>> = (0..50).map(|_| sender.send(&message)).collect();
                }
                if until.recv_timeout(Duration::from_millis(5)) != Err(mpsc::RecvTimeoutError::Timeout) {
                    break;
                }
            }
        });
        let is_to_end = (reads, sent) == (Reads::Never, Sent::Much);
        let ended = ended_within(if is_to_end { PATIENCE } else { LOOK }, &started.events);
        drop(stop);
        connection.abort();
        let _ = peer.stream.shutdown(std::net::Shutdown::Both);
        ended
    })
}

fn ended_within(time: Duration, events: &Receiver<Event>) -> Option<DisconnectReason> {
    match events.recv_timeout(time) {
        Ok(Event::Disconnect { reason, .. }) => Some(reason),
        Err(RecvTimeoutError::Timeout) => None,
        other => panic!("{other:?}"),
    }
}

over_every_transport! {
    fn who_reads_is_never_ended_and_who_reads_nothing_only_when_something_waits(net: Net) {
        let reads = [Reads::Fast, Reads::Slowly, Reads::Never].into_iter();
        let cells = reads.flat_map(|reads| {
            // The policy is about what waits.
            let few = [Sent::Nothing, Sent::Little].map(|sent| (SlowConsumer::Disconnect, reads, sent));
            few.into_iter().chain(POLICIES.map(|policy| (policy, reads, Sent::Much)))
        });
        thread::scope(|scope| {
            let cells: Vec<_> = cells
                .map(|(policy, reads, sent)| (policy, reads, sent, scope.spawn(move || look(net, policy, reads, sent))))
                .collect();
            for (policy, reads, sent, ended) in cells {
                let ended = ended.join().unwrap();
                let stalled = |reason: &DisconnectReason| {
                    matches!(reason.cause, DisconnectCause::SlowConsumer { limit: OutboundLimit::Stalled(STALL) })
                };
                let expected = match (reads, sent) {
                    (Reads::Never, Sent::Much) => ended.as_ref().is_some_and(stalled),
                    _ => ended.is_none(),
                };
                assert!(expected, "{net:?}, {policy:?}, reads {reads:?}, sent {sent:?}: {ended:?}");
            }
        });
    }
}

/// A layer that has no write without blocking, so that a thread writes, over sockets of the library's own.
mod thread_over_sockets {
    use std::io;
    use std::net::{TcpListener, TcpStream};

    use leads_comm::Client;
    use leads_comm::transport::{Stream, tcp};
    use leads_comm_testing::net::blocking::blocking;

    use super::*;

    fn who_reads_slowly_is_not_ended(net: Net, peer: Raw, stream: Box<dyn Stream>) {
        let (callback, events) = recorder();
        let (give, given) = mpsc::sync_channel(1);
        give.send(blocking(stream)).unwrap();
        let given = std::sync::Mutex::new(given);
        let connect = move |_: &str| given.lock().unwrap().try_recv().map_err(io::Error::other);
        let builder =
            Client::builder().transport(connect).callback(callback).timeouts(Timeouts::new().stall_timeout(STALL));
        let client = builder.max_queued_bytes(8 << 20).build().unwrap();
        client.start("", true).unwrap();
        let connection = connected(&events);
        for _ in 0..6000 {
            connection.send(&[b'x'; 1000]).unwrap();
        }
        read_aside(peer, slowly(net));
        assert!(connection.queued_bytes() > 0, "the system has taken all of it");
        let ended = ended_within(LOOK, &events);
        assert!(ended.is_none(), "{net:?}: {ended:?}");
        connection.abort();
    }

    #[test]
    #[cfg_attr(windows, ignore = "Wine has more to be free than a slow peer reads, before it tells that there is room")]
    fn tcp() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let stream = tcp::TcpStream::new(listener.accept().unwrap().0).unwrap();
        who_reads_slowly_is_not_ended(Net::Tcp, Raw::over_tcp(peer), Box::new(stream));
    }

    #[cfg(unix)]
    #[test]
    fn unix() {
        use std::os::unix::net::UnixStream;

        use leads_comm::transport::unix;

        let (peer, stream) = UnixStream::pair().unwrap();
        let [peer, stream] = [peer, stream].map(|socket| Box::new(unix::UnixStream::new(socket).unwrap()));
        who_reads_slowly_is_not_ended(Net::Unix, Raw::of(peer), stream);
    }
}

/// Reads so many bytes a second on a thread of its own.
fn read_aside(peer: Raw, bytes_per_second: usize) {
    thread::spawn(move || read(&peer, Some(bytes_per_second)));
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "long: takes 100 seconds"]
fn a_few_kilobytes_a_second_are_enough_with_the_defaults() {
    let cases = [
        (Net::Tcp, SlowConsumer::Disconnect, 10_000),
        (Net::Tcp, SlowConsumer::Disconnect, 100_000),
        (Net::Unix, SlowConsumer::Disconnect, 3_000),
        (Net::Tcp, SlowConsumer::DropOldest, 2_000),
        // Its program does something else.
        (Net::Tcp, SlowConsumer::DropOldest, 0),
    ];
    thread::scope(|scope| {
        for (net, policy, speed) in cases {
            scope.spawn(move || {
                let started = net.start_server(|builder| builder.slow_consumer(policy));
                let peer = started.raw();
                let connection = connected(&started.events);
                let peer = match speed {
                    0 => Some(peer),
                    _ => {
                        read_aside(peer, speed);
                        None
                    }
                };
                while connection.queued_bytes() < 1_000_000 {
                    connection.send(&[b'x'; 1000]).unwrap();
                }
                let ended = ended_within(Duration::from_secs(100), &started.events);
                assert!(ended.is_none(), "{net:?}, {policy:?}, {speed} bytes a second: {ended:?}");
                connection.abort();
                drop(peer);
            });
        }
    });
}

/// A transport that says itself whether its peer answers.
mod answers {
    use std::io;
    use std::sync::{Arc, Mutex};

    use leads_comm::transport::{Stream, memory};
    use leads_comm::{Client, Connection, Server};
    use leads_comm_testing::layer::{self, Layer};

    use super::*;

    const DEAD_AFTER: Duration = Duration::from_millis(400);

    type Answer = fn() -> io::Result<Option<Duration>>;

    struct Asked {
        answer: Answer,
        asked: Mutex<mpsc::Sender<()>>,
    }

    impl Layer for Asked {
        fn unanswered_for(&self, _: &dyn Stream) -> io::Result<Option<Duration>> {
            let _ = self.asked.lock().unwrap().send(());
            (self.answer)()
        }
    }

    /// A client's connection to a peer about which this is said; it is told of each time that is asked for.
    fn with(answer: Answer, then: impl FnOnce(&Connection, &mpsc::Receiver<()>, &Receiver<Event>)) {
        let (listener, connector) = memory::listener();
        let server = Server::builder().transport(listener).build().unwrap();
        server.start(true).unwrap();
        let (callback, events) = recorder();
        let (ask, asked) = mpsc::channel();
        let connect = layer::connector(connector, &Arc::new(Asked { answer, asked: Mutex::new(ask) }));
        let client = Client::builder()
            .transport(connect)
            .callback(callback)
            .timeouts(Timeouts::new().dead_peer_timeout(DEAD_AFTER))
            .build()
            .unwrap();
        client.start("", true).unwrap();
        // Whether it can be told at all.
        asked.recv_timeout(PATIENCE).unwrap();
        then(&connected(&events), &asked, &events);
        client.close();
        server.close();
    }

    fn is_left_alone(asked: &mpsc::Receiver<()>) {
        assert_eq!(asked.recv_timeout(3 * DEAD_AFTER), Err(mpsc::RecvTimeoutError::Timeout));
    }

    #[test]
    fn it_is_asked_only_while_something_may_be_unanswered() {
        with(
            || Ok(None),
            |connection, asked, _| {
                is_left_alone(asked);
                for _ in 0..2 {
                    connection.send(b"m").unwrap();
                    asked.recv_timeout(PATIENCE).unwrap();
                    is_left_alone(asked);
                }
            },
        );
    }

    #[test]
    fn it_is_not_asked_again_when_it_cannot_tell() {
        with(
            || Err(io::ErrorKind::Unsupported.into()),
            |connection, asked, _| {
                connection.send(b"m").unwrap();
                asked.recv_timeout(PATIENCE).unwrap();
                is_left_alone(asked);
                connection.send(b"m").unwrap();
                is_left_alone(asked);
            },
        );
    }

    #[test]
    fn a_peer_stays_that_answers_or_of_which_nothing_is_known() {
        for answer in [|| Ok(Some(Duration::ZERO)), || Err(io::Error::other("no descriptor is left"))] as [Answer; 2] {
            with(answer, |connection, asked, events| {
                connection.send(b"m").unwrap();
                for _ in 0..12 {
                    asked.recv_timeout(PATIENCE).unwrap();
                }
                assert!(events.try_recv().is_err() && !connection.is_closed());
            });
        }
    }

    #[test]
    fn a_peer_that_has_not_answered_for_so_long_is_gone() {
        // Before anything was sent its silence means nothing.
        with(
            || Ok(Some(Duration::from_secs(3600))),
            |connection, _, events| {
                let sent = Instant::now();
                connection.send(b"m").unwrap();
                let reason = disconnected(events);
                let DisconnectCause::Io { source } = &reason.cause else { panic!("{reason:?}") };
                assert_eq!(source.kind(), io::ErrorKind::TimedOut);
                assert!(sent.elapsed() >= DEAD_AFTER, "too early: {:?}", sent.elapsed());
            },
        );
    }
}

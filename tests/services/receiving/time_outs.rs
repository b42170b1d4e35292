//! How long a peer may keep a connection waiting: for a message that it has begun, and for anything at all.

use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::callback::{self, Event};
use leads_comm::{
    Client, Closing, Connection, DisconnectCause, DisconnectReason, Error, MemoryLimits, OutboundLimit, Server,
    ServerBuilder, SlowConsumer, Timeouts,
};
use leads_comm_testing::figures::{Prober, p99};
use leads_comm_testing::*;

const SHORT: Duration = Duration::from_millis(150);

/// For tests in which the time-out must not come, one after the other: a busy machine may keep a thread from running
/// for longer than the first.
const LONG: [Duration; 3] = [Duration::from_millis(400), Duration::from_secs(2), Duration::from_secs(10)];

/// How long peers that do not know of the end of their connection hold the tests up.
const DRAIN: Duration = Duration::from_millis(50);

/// Runs each test over every transport at once: they spend their time in waiting.
macro_rules! at_once_over_every_transport {
    ($($(#[$attribute:meta])* fn $name:ident($net:ident: Net) $body:block)*) => {
        $(
            $(#[$attribute])*
            #[test]
            fn $name() {
                fn run($net: Net) $body

                thread::scope(|scope| {
                    for &net in Net::ALL {
                        thread::Builder::new().name(format!("{net:?}")).spawn_scoped(scope, move || run(net)).unwrap();
                    }
                });
            }
        )*
    };
}

fn impatient(builder: ServerBuilder) -> ServerBuilder {
    builder.timeouts(Timeouts::new().partial_message_timeout(SHORT)).closing(Closing::new().drain_timeout(DRAIN))
}

fn silent(builder: ServerBuilder) -> ServerBuilder {
    builder.idle_timeout(SHORT).closing(Closing::new().drain_timeout(DRAIN))
}

fn assert_partial(reason: &DisconnectReason) {
    assert!(matches!(reason.cause, DisconnectCause::PartialMessageTimeout { timeout: SHORT }), "{reason:?}");
}

fn assert_idle(reason: &DisconnectReason) {
    assert!(matches!(reason.cause, DisconnectCause::IdleTimeout { timeout: SHORT }), "{reason:?}");
}

/// Runs `test` with longer and longer time-outs until it returns true: the time-out has not come.
fn with_longer_and_longer(test: impl FnMut(Duration) -> bool) {
    assert!(LONG.into_iter().any(test), "the time-out has come, however long it is");
}

/// Lets `act` act again and again, for twice as `long`, in steps of a tenth.
fn in_steps(long: Duration, mut act: impl FnMut()) {
    let begun = Instant::now();
    while begun.elapsed() < 2 * long {
        act();
        thread::sleep(long / 10);
    }
}

/// Callbacks that tell of what they are given, and then wait for as long as they are told to.
fn slow(builder: ServerBuilder) -> (ServerBuilder, mpsc::Receiver<Vec<u8>>, mpsc::Sender<()>) {
    let ((begin, begun), (release, released)) = (mpsc::channel(), mpsc::channel());
    let released = Mutex::new(released);
    let slow = callback::on_receive(move |_, message| {
        begin.send(message.to_vec()).unwrap();
        let _ = released.lock().unwrap().recv();
    });
    (builder.callback(slow), begun, release)
}

/// What the callback tells next; `None` when the one connection of `server` has ended instead.
fn next_unless_ended(begun: &mpsc::Receiver<Vec<u8>>, server: &Server) -> Option<Vec<u8>> {
    let mut told = None;
    until("a message or the end", || {
        told = begun.try_recv().ok();
        told.is_some() || server.stats().ended.total() > 0
    });
    told.or_else(|| begun.try_recv().ok())
}

at_once_over_every_transport! {
    fn a_message_that_is_not_finished_ends_the_connection(net: Net) {
        let started = net.start_server(impatient);
        let raw = started.raw();
        let connection = connected(&started.events);
        let begun = Instant::now();
        raw.write(b"whole;unfinished");
        assert_eq!(received(&started.events), b"whole");
        let reason = disconnected(&started.events);
        assert!(begun.elapsed() >= SHORT, "after {:?}", begun.elapsed());
        assert_partial(&reason);
        assert_eq!(reason.undelivered.unfinished_bytes, b"unfinished".len());
        assert_eq!(connection.disconnect_reason().unwrap().undelivered, reason.undelivered);
        assert_eq!(
            reason.to_string(),
            "the peer did not finish a message within 150ms, 10 bytes of an unfinished message discarded"
        );
        assert_eq!(raw.read_to_end().0, b"disconnect;", "a peer is told");
    }

    fn dripping_does_not_help(net: Net) {
        let started = net.start_server(impatient);
        let raw = started.raw();
        let begun = Instant::now();
        let dripper = thread::spawn(move || {
            while raw.try_write(b"x").is_ok() {
                thread::sleep(SHORT / 50);
            }
        });
        let reason = disconnected(&started.events);
        assert!(begun.elapsed() >= SHORT, "after {:?}", begun.elapsed());
        assert_partial(&reason);
        assert_ne!(reason.undelivered.unfinished_bytes, 0);
        in_time("the dripper", move || dripper.join().unwrap());
    }

    fn long_messages_in_large_pieces_are_timed_as_well(net: Net) {
        let started = net.start_server(|builder| impatient(builder).max_received_len(3_000_000));
        let raw = started.raw();
        let piece = b"x".repeat(100_000);
        (0..20).for_each(|_| drop(raw.try_write(&piece)));
        let reason = disconnected(&started.events);
        assert_partial(&reason);
        assert_ne!(reason.undelivered.unfinished_bytes, 0);
    }

    /// Each read leaves the beginning of a message behind, and at no time is there none; but none takes long.
    fn a_peer_that_sends_many_messages_is_not_concerned(net: Net) {
        with_longer_and_longer(|long| {
            let started = net.start_server(|builder| {
                let closing = Closing::new().drain_timeout(DRAIN);
                builder.timeouts(Timeouts::new().partial_message_timeout(long)).closing(closing)
            });
            let raw = started.raw();
            raw.write(b"a");
            let mut sent = 0;
            in_steps(long, || sent += usize::from(raw.try_write(b";a").is_ok()));
            drop(raw);
            let mut arrived = 0;
            let reason = find(&started.events, |event| match event {
                Event::Receive { message, .. } => {
                    assert_eq!(message, b"a");
                    arrived += 1;
                    None
                }
                Event::Disconnect { reason, .. } => Some(reason),
                _ => None,
            });
            let in_time = matches!(reason.cause, DisconnectCause::PeerClosed);
            assert!(in_time || matches!(reason.cause, DisconnectCause::PartialMessageTimeout { .. }), "{reason:?}");
            assert!(arrived == sent || !in_time, "{arrived} of {sent}");
            in_time
        });
    }

    /// The second half of a message comes in time, but the callback was busy with the message before it.
    fn the_time_of_our_own_callback_does_not_count(net: Net) {
        with_longer_and_longer(|long| {
            let (builder, dial) = net.server();
            let closing = Closing::new().drain_timeout(DRAIN);
            let (builder, begun, release) = slow(builder.timeouts(Timeouts::new().partial_message_timeout(long)).closing(closing));
            let server = leads_comm::CloseOnDrop::new(builder.build().unwrap());
            server.start(true).unwrap();
            let raw = dial.raw(&server);
            // By itself, so that its time has begun to run, in all likelihood.
            raw.write(b"fi");
            thread::sleep(SHORT / 10);
            let _ = raw.try_write(b"rst;sec");
            let Some(first) = next_unless_ended(&begun, &server) else { return false };
            assert_eq!(first, b"first");
            thread::sleep(2 * long);
            raw.write(b"ond;");
            release.send(()).unwrap();
            let Some(second) = next_unless_ended(&begun, &server) else { return false };
            assert_eq!(second, b"second");
            release.send(()).unwrap();
            // The third is late by itself.
            raw.write(b"thi");
            until("the end", || server.num_connections() == 0);
            drop(release);
            true
        });
    }

    fn a_silent_peer_is_closed_when_it_is_asked_for(net: Net) {
        let started = net.start_server(silent);
        let begun = Instant::now();
        let raw = started.raw();
        let connection = connected(&started.events);
        // What is sent to it does not count.
        connection.send(b"are you there").unwrap();
        let reason = disconnected(&started.events);
        assert!(begun.elapsed() >= SHORT, "after {:?}", begun.elapsed());
        assert_idle(&reason);
        assert_eq!(reason.undelivered, leads_comm::Undelivered::default());
        assert_eq!(reason.to_string(), "nothing arrived from the peer for 150ms");
        assert_eq!(raw.read_to_end().0, b"are you there;disconnect;");
    }

    /// Its end is told when its time is over, although it does not close its side.
    fn a_silent_peer_is_not_waited_for(net: Net) {
        let started = net.start_server(|builder| {
            builder.idle_timeout(SHORT).closing(Closing::new().drain_timeout(2 * PATIENCE).close_timeout(2 * PATIENCE))
        });
        let raw = started.raw();
        assert_idle(&disconnected(&started.events));
        assert_eq!(raw.read_to_end().0, b"disconnect;", "it is told all the same");
    }

    /// Nor is one that takes nothing, whatever waits for it.
    fn a_peer_that_takes_nothing_is_not_waited_for(net: Net) {
        let started = net.start_server(|builder| {
            let builder = builder.slow_consumer(SlowConsumer::DropNewest).timeouts(Timeouts::new().stall_timeout(SHORT));
            let closing = Closing::new().flush_timeout(2 * PATIENCE).drain_timeout(2 * PATIENCE).close_timeout(2 * PATIENCE);
            builder.closing(closing)
        });
        let raw = started.raw();
        let connection = connected(&started.events);
        let begun = Instant::now();
        while !connection.is_closed() {
            let _ = connection.send(&[b'x'; 10_000]);
        }
        let reason = disconnected(&started.events);
        let stalled = OutboundLimit::Stalled(SHORT);
        assert!(matches!(reason.cause, DisconnectCause::SlowConsumer { limit } if limit == stalled), "{reason:?}");
        assert!(begun.elapsed() >= SHORT, "after {:?}", begun.elapsed());
        drop(raw);
    }

    /// A peer in the midst of a message may be sending: it has its time to read the goodbye, on top.
    fn a_peer_in_the_midst_of_a_message_is_waited_for(net: Net) {
        let started = net.start_server(|builder| {
            let closing = Closing::new().drain_timeout(2 * SHORT);
            builder.timeouts(Timeouts::new().partial_message_timeout(SHORT)).closing(closing)
        });
        let raw = started.raw();
        let begun = Instant::now();
        raw.write(b"unfinished");
        assert_partial(&disconnected(&started.events));
        assert!(begun.elapsed() >= 3 * SHORT, "after {:?}", begun.elapsed());
        assert_eq!(raw.read_to_end().0, b"disconnect;");
    }

    /// Also one that never finishes a message: that is another time-out's affair.
    fn whatever_arrives_is_no_silence(net: Net) {
        with_longer_and_longer(|long| {
            let started = net.start_server(|builder| {
                let closing = Closing::new().drain_timeout(DRAIN);
                builder.idle_timeout(long).closing(closing)
            });
            let raw = started.raw();
            let connection = connected(&started.events);
            in_steps(long, || drop(raw.try_write(b"x")));
            let in_time = !connection.is_closed();
            let reason = disconnected(&started.events);
            assert!(matches!(reason.cause, DisconnectCause::IdleTimeout { timeout } if timeout == long), "{reason:?}");
            assert_eq!(reason.undelivered.unfinished_bytes, 0, "the end began here, for another cause");
            in_time
        });
    }

    fn a_callback_is_no_silence(net: Net) {
        with_longer_and_longer(|long| {
            let (builder, dial) = net.server();
            let closing = Closing::new().drain_timeout(DRAIN);
            let (builder, begun, release) = slow(builder.idle_timeout(long).closing(closing));
            let server = leads_comm::CloseOnDrop::new(builder.build().unwrap());
            server.start(true).unwrap();
            let raw = dial.raw(&server);
            raw.write(b"first;");
            let Some(first) = next_unless_ended(&begun, &server) else { return false };
            assert_eq!(first, b"first");
            thread::sleep(2 * long);
            raw.write(b"second;");
            release.send(()).unwrap();
            let Some(second) = next_unless_ended(&begun, &server) else { return false };
            assert_eq!(second, b"second");
            drop(release);
            until("the end", || server.num_connections() == 0);
            true
        });
    }

    fn clients_have_the_same_time_outs(net: Net) {
        let started = net.start_server(|builder| builder);
        let (callback, events) = recorder();
        let client = started.client().idle_timeout(SHORT).callback(callback).build().unwrap();
        client.start(started.address(), true).unwrap();
        assert_idle(&disconnected(&events));
        assert!(matches!(disconnected(&started.events).cause, DisconnectCause::PeerGoodbye));
        assert!(client.wait_timeout(PATIENCE), "a client ends with its connection");
    }

    /// L3, in short.
    fn drippers_are_ended_and_the_others_do_not_notice(net: Net) {
        drippers(net, 50, Duration::from_millis(300), Duration::from_millis(20), 100);
    }
}

#[test]
#[ignore = "long: takes 1 minute"]
fn five_hundred_drippers() {
    let slowest = drippers(Net::Tcp, 500, Duration::from_secs(30), Duration::from_secs(1), 5_000);
    assert!(slowest <= Duration::from_secs(31), "{slowest:?}");
}

/// `count` peers that send a byte per `pause`; how long the slowest of them lasted from its first byte.
fn drippers(net: Net, count: usize, timeout: Duration, pause: Duration, probes: usize) -> Duration {
    let (callback, events) = recorder();
    let echo = callback::on_receive(|connection: &Connection, message: &[u8]| drop(connection.send(message)));
    let started = net.start_server(|builder| {
        builder.timeouts(Timeouts::new().partial_message_timeout(timeout)).callback((echo, callback))
    });
    let prober = Prober::start(started.client(), started.address());
    let without = p99(prober.probes(probes, b"alive"));

    let begun = Instant::now();
    let raws: Vec<_> = (0..count).map(|_| started.raw()).collect();
    let dripper = thread::spawn(move || {
        let mut left = raws;
        while !left.is_empty() {
            left.retain(|raw| raw.try_write(b"x").is_ok());
            thread::sleep(pause);
        }
    });
    let (mut during, mut ended, mut slowest) = (Vec::new(), 0, Duration::ZERO);
    let mut note = |event| {
        if let Event::Disconnect { reason, .. } = event {
            assert!(matches!(reason.cause, DisconnectCause::PartialMessageTimeout { .. }), "{reason:?}");
            ended += 1;
            slowest = begun.elapsed();
        }
        ended
    };
    while events.try_iter().map(&mut note).last() != Some(count) && begun.elapsed() < timeout + PATIENCE {
        during.push(prober.probe(b"alive"));
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(ended, count, "{net:?}: not all were ended");
    assert!(slowest >= timeout, "too early: {slowest:?}");
    let during = p99(during);
    println!(
        "L3: {ended} of {count} drippers over {net:?} ended by the deadline of {timeout:?} + {:?}; healthy p99 {during:?}, \
         ratio {:.2}",
        slowest - timeout,
        during.as_secs_f64() / without.as_secs_f64()
    );
    in_time("the drippers", move || dripper.join().unwrap());
    slowest
}

#[test]
fn what_does_not_fit_is_refused() {
    type Adapt = fn(ServerBuilder) -> ServerBuilder;
    let refused = |setting: &str, builder: ServerBuilder| match builder.build() {
        Err(Error::InvalidSetting { setting: named, .. }) => assert_eq!(named, setting),
        other => panic!("{setting}: {other:?}"),
    };
    refused("timeouts", Server::builder().timeouts(Timeouts::new().partial_message_timeout(Duration::ZERO)));
    refused("idle_timeout", Server::builder().idle_timeout(Duration::ZERO));
    refused("timeouts", Server::builder().timeouts(Timeouts::new().dead_peer_timeout(Duration::ZERO)));
    let tight = |builder: ServerBuilder| builder.separator("end;").max_received_len(1000);
    refused(
        "memory_limits",
        tight(Server::builder()).memory_limits(MemoryLimits::new().max_total_unfinished_bytes(1003)),
    );
    assert!(Client::builder().timeouts(Timeouts::new().dead_peer_timeout(Duration::ZERO)).build().is_err());

    let accepted: [Adapt; 5] = [
        |builder| {
            builder
                .timeouts(Timeouts::new().partial_message_timeout(Duration::MAX).dead_peer_timeout(Duration::MAX))
                .idle_timeout(Duration::MAX)
        },
        |builder| builder.idle_timeout(None).timeouts(Timeouts::new().dead_peer_timeout(None)),
        |builder| builder.max_received_len(1000).memory_limits(MemoryLimits::new().max_total_unfinished_bytes(1001)),
        |builder| builder.memory_limits(MemoryLimits::new().max_total_unfinished_bytes(usize::MAX)),
        |builder| {
            builder
                .timeouts(Timeouts::new().stall_timeout(Duration::MAX))
                .slow_consumer(SlowConsumer::Block(Duration::MAX))
        },
    ];
    for adapt in accepted {
        // They also work: nothing overflows.
        let started = Net::Tcp.start_server(adapt);
        let (client, _events) = started.start_client();
        client.send(b"hello").unwrap();
        assert_eq!(received(&started.events), b"hello");
    }
}

/// What the clock on the wall shows decides nothing: a monitor says it, and nobody else looks at it. No time is
/// subtracted from another one that may be closer to the beginning of the clock.
#[test]
fn no_wall_clock_is_read() {
    fn check(folder: &std::path::Path) -> usize {
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files.map(|path| if path.is_dir() { check(&path) } else { check_file(&path) }).sum()
    }
    fn check_file(path: &std::path::Path) -> usize {
        let text = std::fs::read_to_string(path).unwrap();
        let says_it = path.ends_with("server/monitor/message.rs");
        let wall: &[_] = if says_it { &[] } else { &["SystemTime", "UNIX_EPOCH"] };
        for wrong in ["now() - ", "now().checked_sub"].iter().chain(wall) {
            assert!(!text.contains(wrong), "{}: {wrong}", path.display());
        }
        1
    }
    assert!(check(&checkout().join("src")) > 30);
}

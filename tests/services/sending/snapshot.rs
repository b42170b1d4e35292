//! What newcomers get: the last message of each key, and from then on every broadcast.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use leads_comm::callback;
use leads_comm::{
    Closing, Connection, Delivery, DisconnectCause, Error, Key, Server, ServerBuilder, SlowConsumer, Snapshot, key,
};
use leads_comm_testing::net::Net;
use leads_comm_testing::valve::{self, EITHER, Valve, Writes};
use leads_comm_testing::*;

/// Long enough never to be over in a test.
const PATIENT: SlowConsumer = SlowConsumer::Block(Duration::from_secs(60));

/// How many keys each broadcaster has.
const KEYS: u64 = 10;

/// How many messages a newcomer is watched for.
const WATCHED: usize = 300;

fn keyed(builder: ServerBuilder) -> ServerBuilder {
    builder.key(key::prefix(b':')).snapshot(Snapshot::new())
}

fn with(snapshot: Snapshot) -> impl FnOnce(ServerBuilder) -> ServerBuilder {
    move |builder| builder.key(key::prefix(b':')).snapshot(snapshot)
}

fn some_net() -> Net {
    Net::Memory
}

/// The messages that a newcomer gets.
fn newcomer(started: &Started) -> Receiver<Vec<u8>> {
    started.raw().into_messages()
}

fn next_of(messages: &Receiver<Vec<u8>>) -> String {
    String::from_utf8(messages.recv_timeout(PATIENCE).expect("no further message")).unwrap()
}

/// What a newcomer gets before the message `last`, which is broadcast when it is there.
fn snapshot_of(started: &Started) -> Vec<String> {
    let messages = newcomer(started);
    let connection = connected(&started.events);
    started.server.broadcast_where(b"last", |other| *other == connection).unwrap();
    let got = std::iter::from_fn(|| Some(next_of(&messages)).filter(|message| message != "last")).collect();
    drop(messages);
    connection.abort();
    disconnected(&started.events);
    got
}

fn broadcast_all<M: AsRef<[u8]>>(server: &Server, messages: impl IntoIterator<Item = M>) {
    for message in messages {
        server.broadcast(message.as_ref()).unwrap();
    }
}

/// Broadcasts until told to stop: message after message, of each key in turn.
struct Broadcaster {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Broadcaster {
    /// The first message of each key is out when this returns.
    fn start(server: &Server, name: u64, pause: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (server, stopped) = (server.clone(), Arc::clone(&stop));
        let (begun, has_begun) = mpsc::channel();
        let thread = thread::spawn(move || {
            for number in 0.. {
                server.broadcast(format!("{name}.{}:{number}", number % KEYS).as_bytes()).unwrap();
                if number == KEYS {
                    begun.send(()).unwrap();
                }
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                if !pause.is_zero() {
                    thread::sleep(pause);
                }
            }
        });
        has_begun.recv_timeout(PATIENCE).unwrap();
        Self { stop, thread }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        in_time("broadcasting", move || self.thread.join().unwrap());
    }
}

/// Of which broadcaster a message is, and which it is.
fn parse(message: &[u8]) -> (usize, u64) {
    let text = std::str::from_utf8(message).unwrap();
    let parts = text.split_once(':').and_then(|(key, number)| Some((key.split_once('.')?.0, number)));
    let (name, number) = parts.unwrap_or_else(|| panic!("torn: {text}"));
    (name.parse().unwrap(), number.parse().unwrap())
}

/// Because each broadcaster's keys take turns, its last values and what follows are a row of numbers without a gap.
fn assert_gapless(messages: &Receiver<Vec<u8>>, broadcasters: usize) {
    let mut expected = vec![None; broadcasters];
    for _ in 0..WATCHED {
        let (name, number) = parse(&messages.recv_timeout(PATIENCE).expect("no further message"));
        if let Some(expected) = expected[name] {
            assert_eq!(number, expected, "of {name}");
        }
        expected[name] = Some(number + 1);
    }
}

/// Each newcomer leaves when it has been watched for long enough; some of them are there at the same time.
fn join_while_others_broadcast(net: Net, broadcasters: u64, pause: Duration, joins: usize) {
    let started = net.start_server(|builder| keyed(builder).slow_consumer(PATIENT));
    let broadcasting: Vec<_> = (0..broadcasters).map(|name| Broadcaster::start(&started.server, name, pause)).collect();
    let started = Arc::new(started);
    let joining: Vec<_> = (0..2)
        .map(|_| {
            let started = Arc::clone(&started);
            thread::spawn(move || {
                for _ in 0..joins / 2 {
                    assert_gapless(&newcomer(&started), broadcasters as usize);
                }
            })
        })
        .collect();
    joining.into_iter().for_each(|thread| thread.join().unwrap());
    println!("O5: gaps 0, doubled 0 for {joins} newcomers ({net:?}, {broadcasters} broadcasting)");
    broadcasting.into_iter().for_each(Broadcaster::stop);
    in_time("closing", move || started.server.close());
}

#[test]
fn newcomers_get_the_last_values_and_all_that_follows_without_a_gap_in_a_tight_loop() {
    for &net in &[Net::Memory, Net::Tcp] {
        join_while_others_broadcast(net, 1, Duration::ZERO, 500);
    }
}

#[cfg(unix)]
#[test]
fn newcomers_get_the_last_values_and_all_that_follows_over_unix_sockets() {
    join_while_others_broadcast(Net::Unix, 1, Duration::ZERO, 200);
}

#[test]
fn newcomers_get_the_last_values_and_all_that_follows_without_a_gap_one_by_one() {
    for &net in &[Net::Memory, Net::Tcp] {
        join_while_others_broadcast(net, 1, Duration::from_micros(50), 50);
    }
}

#[test]
fn newcomers_get_the_last_values_and_all_that_follows_of_several_broadcasters() {
    for pause in [Duration::ZERO, Duration::from_micros(50)] {
        join_while_others_broadcast(Net::Tcp, 2, pause, 50);
    }
}

#[test]
fn a_newcomer_gets_the_last_message_of_each_key_that_first_which_came_first() {
    for &net in Net::ALL {
        let started = net.start_server(keyed);
        broadcast_all(&started.server, ["a:1", "b:1", "an event", "a:2", "c:1", "c:2"]);
        assert_eq!(started.server.snapshot_len(), 3);
        assert_eq!(snapshot_of(&started), ["b:1", "a:2", "c:2"], "{net:?}");
        broadcast_all(&started.server, ["b:2"]);
        assert_eq!(snapshot_of(&started), ["a:2", "c:2", "b:2"], "{net:?}");
    }
}

#[test]
fn what_was_not_broadcast_to_all_is_not_kept() {
    let started = some_net().start_server(keyed);
    let messages = newcomer(&started);
    let connection = connected(&started.events);
    started.server.broadcast(b"a:1").unwrap();
    connection.send(b"a:2").unwrap();
    connection.send(b"b:1").unwrap();
    started.server.broadcast_where(b"a:3", |_| true).unwrap();
    assert_eq!(["a:1", "a:2", "b:1", "a:3"], [0; 4].map(|_| next_of(&messages)).each_ref().map(String::as_str));
    assert_eq!(started.server.snapshot_len(), 1);
    assert_eq!(snapshot_of(&started), ["a:1"]);
}

#[test]
fn the_keys_that_were_set_first_go_where_there_are_too_many() {
    let started = some_net().start_server(with(Snapshot::new().max_keys(2)));
    broadcast_all(&started.server, ["a:1", "b:1", "a:2", "c:1"]);
    assert_eq!(snapshot_of(&started), ["a:2", "c:1"]);
    broadcast_all(&started.server, ["d:1", "e:1"]);
    assert_eq!(snapshot_of(&started), ["d:1", "e:1"]);
}

#[test]
fn the_keys_that_were_set_first_go_where_there_are_too_many_bytes() {
    // Three messages of five bytes.
    let started = some_net().start_server(with(Snapshot::new().max_bytes(3 * (5 + 64))));
    broadcast_all(&started.server, ["a:11", "b:11", "c:11", "a:22"]);
    assert_eq!(snapshot_of(&started), ["b:11", "c:11", "a:22"]);
    broadcast_all(&started.server, ["c:a longer one"]);
    assert_eq!(snapshot_of(&started), ["a:22", "c:a longer one"]);
    // The message before it is the last one no more.
    broadcast_all(&started.server, ["a:33", &format!("c:{}", "x".repeat(300))]);
    assert_eq!(snapshot_of(&started), ["a:33"]);
    broadcast_all(&started.server, ["c:44"]);
    assert_eq!(snapshot_of(&started), ["a:33", "c:44"]);
}

#[test]
fn what_is_too_old_is_not_sent_and_goes() {
    let started = some_net().start_server(with(Snapshot::new().max_age(Duration::from_millis(50))));
    broadcast_all(&started.server, ["a:1", "b:1"]);
    until("the age", || started.server.snapshot_len() == 0);
    broadcast_all(&started.server, ["b:2"]);
    let snapshot = snapshot_of(&started);
    assert!(snapshot.is_empty() || snapshot == ["b:2"], "{snapshot:?}");
    let started = some_net().start_server(with(Snapshot::new().max_age(Duration::from_secs(1000))));
    broadcast_all(&started.server, ["a:1"]);
    assert_eq!(snapshot_of(&started), ["a:1"]);
}

#[test]
fn a_key_can_be_forgotten() {
    let started = some_net().start_server(keyed);
    broadcast_all(&started.server, ["a:1", "b:1"]);
    assert!(started.server.forget(&Key::new("a")));
    assert!(!started.server.forget(&Key::new("a")));
    assert!(!started.server.forget(&Key::new("c")));
    assert_eq!((started.server.snapshot_len(), snapshot_of(&started)), (1, vec!["b:1".to_owned()]));
    broadcast_all(&started.server, ["a:2"]);
    assert_eq!(snapshot_of(&started), ["b:1", "a:2"]);
}

#[test]
fn keys_may_be_empty_and_long() {
    let started = some_net().start_server(with(Snapshot::new().max_bytes(2 << 20)));
    let long = format!("{}:1", "k".repeat(64 * 1024));
    broadcast_all(&started.server, [":1", &long, "a:1", ":2"]);
    assert_eq!(snapshot_of(&started), [&long, "a:1", ":2"]);
    // A long key counts, also where the message is short.
    let by_len = |message: &[u8]| Some(Key::new(vec![b'k'; message.len() * 1000]));
    let started = some_net().start_server(|builder| builder.key(by_len).snapshot(Snapshot::new().max_bytes(5000)));
    broadcast_all(&started.server, ["", "1", "22", "333", "4444", "55555"]);
    assert_eq!(snapshot_of(&started), ["4444"]);
}

#[test]
fn a_filter_chooses_what_a_newcomer_gets() {
    let wanted = |key: Option<&Key>, message: &[u8]| {
        assert!(key.is_some_and(|key| message.starts_with(key.as_bytes())) && !message.ends_with(b";"));
        message != b"b:1"
    };
    let started = some_net().start_server(|builder| keyed(builder).delivery(Delivery::new().filter(wanted)));
    broadcast_all(&started.server, ["a:1", "b:1", "c:1"]);
    let messages = newcomer(&started);
    let connection = connected(&started.events);
    assert_eq!([next_of(&messages), next_of(&messages)], ["a:1", "c:1"]);
    let traffic = connection.stats().traffic;
    assert_eq!((traffic.accepted.messages, traffic.accepted.bytes), (2, 8));
    assert_eq!((traffic.filtered.messages, traffic.filtered.bytes), (1, 4));
    // One that wants nothing.
    connection.set_delivery(Delivery::new().filter(|_, _| false)).unwrap();
    assert_eq!(connection.send_snapshot().unwrap(), 0);
    assert_eq!(connection.stats().traffic.filtered.messages, 4);
}

#[test]
fn a_filter_that_panics_ends_the_newcomer_and_nobody_else() {
    expect_panics_in_callbacks();
    let panicking = |_: Option<&Key>, message: &[u8]| if message == b"b:1" { panic!("boom") } else { true };
    let started = some_net().start_server(|builder| keyed(builder).delivery(Delivery::new().filter(panicking)));
    let healthy = newcomer(&started);
    connected(&started.events).set_delivery(Delivery::new()).unwrap();
    broadcast_all(&started.server, ["a:1"]);
    started.server.broadcast_where(b"c:1", |_| true).unwrap();
    assert_eq!(next_of(&healthy), "a:1");
    broadcast_all(&started.server, ["b:1"]);
    let (bytes, end) = started.raw().read_to_end();
    end.unwrap();
    assert_eq!(bytes, b"disconnect;");
    let reason = disconnected(&started.events);
    let is_told = |cause: &DisconnectCause| matches!(cause, DisconnectCause::CallbackPanicked { callback: "filter", message } if message == "boom");
    assert!(is_told(&reason.cause), "{reason}");
    assert_eq!([next_of(&healthy), next_of(&healthy)], ["c:1", "b:1"]);
    // Also one that asks.
    started.server.forget(&Key::new("b"));
    let asking = newcomer(&started);
    let connection = connected(&started.events);
    assert_eq!(next_of(&asking), "a:1");
    connection.set_delivery(Delivery::new()).unwrap();
    broadcast_all(&started.server, ["b:1"]);
    connection.set_delivery(Delivery::new().filter(panicking)).unwrap();
    let error = connection.send_snapshot().unwrap_err();
    assert!(matches!(error, Error::CallbackPanicked { callback: "filter", .. }), "{error}");
    let reason = disconnected(&started.events);
    assert!(is_told(&reason.cause), "{reason}");
    assert!(matches!(connection.send_snapshot(), Err(Error::Disconnected)));
}

#[test]
fn what_on_connect_broadcasts_comes_behind_the_last_values() {
    for &net in Net::ALL {
        let greeting = callback::closures().on_connect(|service, connection| {
            service.broadcast(b"a:hello").unwrap();
            connection.send(b"welcome").unwrap();
        });
        let started = net.start_server(|builder| keyed(builder).callback(greeting));
        broadcast_all(&started.server, ["a:1", "b:1"]);
        let first = newcomer(&started);
        assert_eq!([(); 4].map(|()| next_of(&first)), ["a:1", "b:1", "a:hello", "welcome"], "{net:?}");
        let second = newcomer(&started);
        assert_eq!([(); 4].map(|()| next_of(&second)), ["b:1", "a:hello", "a:hello", "welcome"], "{net:?}");
        assert_eq!(next_of(&first), "a:hello");
    }
}

/// What a filter asks by, and is answered by.
struct Choice {
    is_asked: Receiver<()>,
    answer: mpsc::Sender<bool>,
}

/// A filter that asks about `a:1`, and takes its time.
fn choosing() -> (impl Fn(Option<&Key>, &[u8]) -> bool + Send + Sync, Choice) {
    let (asked, is_asked) = mpsc::channel();
    let (answer, answers) = mpsc::channel();
    let (asked, answers) = (Mutex::new(asked), Mutex::new(answers));
    let filter = move |_: Option<&Key>, message: &[u8]| {
        if message == b"a:1" {
            asked.lock().unwrap().send(()).unwrap();
            return answers.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        }
        true
    };
    (filter, Choice { is_asked, answer })
}

/// What others send to a newcomer waits for the filter, and comes behind what that lets through.
#[test]
fn nothing_comes_before_the_last_values() {
    for writes in EITHER {
        let (slow, Choice { is_asked, answer }) = choosing();
        let (started, valves) =
            valve::start_server(writes, |builder| keyed(builder).delivery(Delivery::new().filter(slow)));
        broadcast_all(&started.server, ["a:1", "b:1"]);
        let valve = valves.connect();
        valve.open();
        is_asked.recv_timeout(PATIENCE).unwrap();
        let connection = started.server.connections().remove(0);
        connection.send(b"sent").unwrap();
        // So many that they are gathered.
        broadcast_all(&started.server, (0..50).map(|number| format!("c:{number}")));
        let traffic = connection.stats().traffic;
        assert_eq!((traffic.written.messages, traffic.waiting.messages), (0, 51), "{writes:?}");
        assert_eq!(traffic.accepted, traffic.waiting);
        assert!(matches!(connection.flush(Duration::from_millis(1)), Err(Error::NotFlushed { .. })));
        assert!(valve.taken().is_empty());
        answer.send(true).unwrap();
        connection.flush(PATIENCE).unwrap();
        valve.wait_for_end(b"c:49;");
        let messages = valve.messages();
        assert_eq!(messages[..4], [&b"a:1"[..], b"b:1", b"sent", b"c:0"].map(<[u8]>::to_vec));
        assert_eq!(messages.len(), 53);
        let traffic = connection.stats().traffic;
        assert_eq!((traffic.accepted.messages, traffic.waiting.messages), (53, 0));
        assert_eq!(connection.queued_bytes(), 0);
    }
}

/// What has become of it is in its account, whoever ends it while it chooses.
#[test]
fn a_newcomer_may_end_while_it_chooses() {
    for writes in EITHER {
        for regularly in [true, false] {
            let (slow, Choice { is_asked, answer }) = choosing();
            let (started, valves) = valve::start_server(writes, |builder| {
                keyed(builder)
                    .delivery(Delivery::new().filter(slow))
                    .closing(Closing::new().flush_timeout(PATIENCE).close_timeout(PATIENCE))
            });
            broadcast_all(&started.server, ["a:1"]);
            let valve = valves.connect();
            valve.open();
            is_asked.recv_timeout(PATIENCE).unwrap();
            let connection = started.server.connections().remove(0);
            started.server.broadcast(b"b:1").unwrap();
            if regularly {
                connection.close();
            } else {
                connection.abort();
            }
            assert!(matches!(connection.send(b"more"), Err(Error::Disconnected)));
            answer.send(true).unwrap();
            if regularly {
                valve.wait_for_end(b"disconnect;");
                assert_eq!(valve.taken(), b"a:1;b:1;disconnect;", "{writes:?}");
                valve.hang_up();
            }
            let reason = disconnected(&started.events);
            let unsent = if regularly { 0 } else { 2 };
            assert_eq!(reason.undelivered.unsent.messages, unsent, "{writes:?}");
            let traffic = connection.stats().traffic;
            assert_eq!(traffic.accepted.messages, 2);
            assert_eq!(traffic.accepted, traffic.written + traffic.unsent, "{writes:?}");
            assert_eq!(connection.queued_bytes(), 0);
        }
    }
}

/// While a newcomer chooses, its queue may fill, and is then dealt with as any other.
#[test]
fn the_queue_of_a_newcomer_that_chooses_may_be_full() {
    const QUEUE: usize = 20_000;
    for policy in [SlowConsumer::DropOldest, SlowConsumer::DropNewest, SlowConsumer::Disconnect] {
        let (slow, Choice { is_asked, answer }) = choosing();
        let delivery = Delivery::new().filter(slow).slow_consumer(policy).max_queued_bytes(QUEUE);
        let (started, valves) = valve::start_server(Writes::Direct, |builder| {
            with(Snapshot::new().max_bytes(QUEUE / 2))(builder).delivery(delivery).max_sent_len(1000)
        });
        broadcast_all(&started.server, ["a:1", &format!("b:{}", "x".repeat(900))]);
        let valve = valves.connect();
        is_asked.recv_timeout(PATIENCE).unwrap();
        let connection = started.server.connections().remove(0);
        let sender = connection.clone();
        let accepted = in_time("sending", move || {
            let accepted = (0..60).filter(|number| sender.send(&numbered(*number, 1000)).is_ok()).count();
            assert!(sender.queued_bytes() <= QUEUE);
            accepted
        });
        answer.send(true).unwrap();
        if policy == SlowConsumer::Disconnect {
            assert!(matches!(disconnected(&started.events).cause, DisconnectCause::SlowConsumer { .. }));
        } else {
            valve.open();
            connection.flush(PATIENCE).unwrap();
            assert_eq!(valve.messages()[0], b"a:1");
        }
        let traffic = connection.stats().traffic;
        assert!((10..=60).contains(&accepted), "{policy:?}: {accepted}");
        let ends = traffic.written + traffic.waiting + traffic.unsent + traffic.dropped;
        assert_eq!(traffic.accepted + traffic.rejected, ends, "{policy:?}");
    }
}

/// Of each key, what a viewer that has asked for it gets; it never gets an older one behind a newer.
fn assert_never_back(messages: &Receiver<Vec<u8>>, until_number: u64) {
    let mut newest = [None; KEYS as usize];
    loop {
        let (_, number) = parse(&messages.recv_timeout(PATIENCE).expect("no further message"));
        let newest = &mut newest[(number % KEYS) as usize];
        assert!(newest.is_none_or(|newest| newest <= number), "{number} behind {newest:?}");
        *newest = Some(number);
        if number >= until_number {
            return;
        }
    }
}

#[test]
fn no_key_goes_back_in_time_when_the_snapshot_is_asked_for() {
    for &net in &[Net::Memory, Net::Tcp] {
        for (pause, conflate) in [(Duration::ZERO, false), (Duration::ZERO, true), (Duration::from_micros(50), false)] {
            let delivery = Delivery::new().slow_consumer(PATIENT).conflate(conflate);
            let started = net.start_server(|builder| keyed(builder).delivery(delivery));
            let messages = newcomer(&started);
            let connection = connected(&started.events);
            let broadcasting = Broadcaster::start(&started.server, 0, pause);
            let watched_until = if pause.is_zero() { 20_000 } else { 1_000 };
            let watching = thread::spawn(move || assert_never_back(&messages, watched_until));
            // Until it leaves.
            while let Ok(accepted) = connection.send_snapshot() {
                assert!(accepted <= KEYS as usize);
            }
            broadcasting.stop();
            watching.join().unwrap();
        }
    }
}

#[test]
fn the_snapshot_can_be_asked_for() {
    for &net in Net::ALL {
        let started = net.start_server(keyed);
        let messages = newcomer(&started);
        let connection = connected(&started.events);
        assert_eq!(connection.send_snapshot().unwrap(), 0);
        let all: Vec<_> = (0..200).map(|key| format!("{key}:1")).collect();
        broadcast_all(&started.server, &all);
        assert_eq!(connection.send_snapshot().unwrap(), 200);
        for message in all.iter().chain(&all) {
            assert_eq!(next_of(&messages), *message, "{net:?}");
        }
    }
    let started = some_net().start_server(|builder| builder.key(key::prefix(b':')));
    let _messages = newcomer(&started);
    let error = connected(&started.events).send_snapshot().unwrap_err();
    assert!(matches!(error, Error::InvalidSetting { setting: "snapshot", .. }), "{error}");
    assert_eq!((started.server.snapshot_len(), started.server.forget(&Key::new("a"))), (0, false));
}

/// Asked for by a peer that reads nothing, it goes by the rule for full queues.
#[test]
fn asking_again_and_again_fills_the_queue_as_sending_does() {
    const QUEUE: usize = 20_000;
    for writes in EITHER {
        for policy in [SlowConsumer::DropOldest, SlowConsumer::DropNewest, SlowConsumer::Disconnect] {
            let delivery = Delivery::new().slow_consumer(policy).max_queued_bytes(QUEUE);
            let (started, valves) = valve::start_server(writes, |builder| {
                with(Snapshot::new().max_bytes(QUEUE / 2))(builder).delivery(delivery).max_sent_len(1000)
            });
            broadcast_all(&started.server, (0..8).map(|key| format!("{key}:{}", "x".repeat(900))));
            let valve: Valve = valves.connect();
            let connection = connected(&started.events);
            // From now on a write holds what it has got when it joined, and takes nothing of what it asks for.
            valve.wait_until_blocked();
            let asking = connection.clone();
            let last = in_time("asking", move || {
                (0..19).for_each(|_| drop(asking.send_snapshot()));
                asking.send_snapshot()
            });
            match policy {
                SlowConsumer::DropOldest => assert_eq!(last.unwrap(), 8),
                SlowConsumer::DropNewest => assert_eq!(last.unwrap(), 0),
                _ => assert!(matches!(last, Err(Error::Disconnected)), "{last:?}"),
            }
            assert!(connection.queued_bytes() <= QUEUE);
            let traffic = connection.stats().traffic;
            let ends = traffic.written + traffic.waiting + traffic.unsent + traffic.dropped;
            assert_eq!(traffic.accepted + traffic.rejected, ends, "{writes:?} {policy:?}");
            connection.abort();
        }
    }
}

/// One that never reads holds nobody up, and is ended for it by the policy.
#[test]
fn a_newcomer_that_never_reads_holds_nobody_up() {
    for &net in Net::ALL {
        let started = net.start_server(|builder| keyed(builder).max_sent_len(100_000));
        let large = "x".repeat(90_000);
        broadcast_all(&started.server, (0..10).map(|key| format!("{key}:{large}")));
        let stalled = started.stalled();
        let connection = connected(&started.events);
        let healthy = newcomer(&started);
        (0..10).for_each(|key| assert!(next_of(&healthy).starts_with(&format!("{key}:x")), "{net:?}"));
        let (server, closed) = (started.server.clone(), connection.clone());
        in_time("broadcasting", move || {
            let mut number = 0;
            while !closed.is_closed() {
                server.broadcast(format!("{}:{large}", number % 10).as_bytes()).unwrap();
                number += 1;
                // The healthy one reads as fast as it can, and may have to be waited for.
                server.connections().iter().filter(|other| **other != closed).for_each(|healthy| {
                    healthy.flush(PATIENCE).unwrap();
                });
            }
        });
        assert!(matches!(disconnected(&started.events).cause, DisconnectCause::SlowConsumer { .. }));
        assert!(started.server.num_connections() == 1);
        drop(stalled);
    }
}

#[test]
fn peers_leave_and_the_server_closes_while_others_join() {
    for &net in Net::ALL {
        for round in 0..20 {
            let started = Arc::new(net.start_server(|builder| keyed(builder).slow_consumer(PATIENT)));
            let broadcasting = Broadcaster::start(&started.server, 0, Duration::ZERO);
            let (joined, is_joined) = mpsc::channel();
            let joining = {
                let started = Arc::clone(&started);
                thread::spawn(move || {
                    for turn in 0.. {
                        let client = started.client().build().unwrap();
                        if client.start(started.address(), true).is_err() {
                            break;
                        }
                        if turn % 2 == 0 {
                            client.close();
                        }
                        let _ = joined.send(());
                    }
                })
            };
            (0..=round % 5).for_each(|_| is_joined.recv_timeout(PATIENCE).unwrap());
            let closing = Arc::clone(&started);
            in_time("closing", move || closing.server.close());
            in_time("joining", move || joining.join().unwrap());
            broadcasting.stop();
            assert_eq!(started.server.num_connections(), 0, "{net:?}");
            let traffic = started.server.stats().traffic;
            assert_eq!(traffic.accepted, traffic.written + traffic.unsent + traffic.dropped, "{net:?}");
        }
    }
}

#[test]
fn settings_that_do_not_fit_are_refused() {
    let refused = |builder: ServerBuilder| match builder.build().unwrap_err() {
        Error::InvalidSetting { setting: "snapshot", requirement } => requirement,
        error => panic!("{error}"),
    };
    let builder = || Server::builder().port(0).key(key::all());
    assert!(refused(Server::builder().snapshot(Snapshot::new())).contains("key function"));
    assert!(refused(builder().snapshot(Snapshot::new().max_keys(0))).contains("max_keys"));
    assert!(refused(builder().snapshot(Snapshot::new().max_bytes(0))).contains("max_bytes"));
    assert!(refused(builder().snapshot(Snapshot::new().max_age(Duration::ZERO))).contains("max_age"));
    assert!(refused(builder().snapshot(Snapshot::new().max_bytes((2 << 20) + 1))).contains("half"));
    builder().snapshot(Snapshot::new().max_bytes(2 << 20)).build().unwrap();

    let started = some_net().start_server(|builder| keyed(builder).max_sent_len(1000));
    let _messages = newcomer(&started);
    let connection: Connection = connected(&started.events);
    let error = connection.set_delivery(Delivery::new().max_queued_bytes(1 << 20)).unwrap_err();
    assert!(matches!(error, Error::InvalidSetting { setting: "snapshot", .. }), "{error}");
    connection.set_delivery(Delivery::new().max_queued_bytes(2 << 20)).unwrap();
}

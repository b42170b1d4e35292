//! Keys, lifespans and intervals at bad moments: in the middle of a write, a rush or a wait, or when the delivery
//! changes.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::{
    Closing, Connection, Delivery, Error, Key, MemoryLimits, Server, ServerBuilder, SlowConsumer, Snapshot, key,
};
use leads_comm_testing::account::assert_adds_up;
use leads_comm_testing::seed::{Random, Seed};
use leads_comm_testing::valve::{self, EITHER, Valve, Valves, Writes};
use leads_comm_testing::*;

use super::conflation::{fall_behind, texts};

const HOUR: Duration = Duration::from_secs(60 * 60);
const SHORT: Duration = Duration::from_millis(20);

fn start(
    writes: Writes,
    delivery: &Delivery,
    adapt: impl FnOnce(ServerBuilder) -> ServerBuilder,
) -> (Started, Valves, Valve, Connection) {
    let (started, valves) =
        valve::start_server(writes, |builder| adapt(builder.key(key::prefix(b':')).delivery(delivery.clone())));
    let valve = valves.connect();
    let connection = connected(&started.events);
    (started, valves, valve, connection)
}

/// Waits until what has been sent is too old.
fn outlive() {
    let begun = Instant::now();
    until("it is too old", || begun.elapsed() > 2 * SHORT);
}

fn assert_forwards(valve: &Valve, key: &str) {
    let numbers: Vec<u64> = texts(valve)
        .iter()
        .filter_map(|text| text.strip_prefix(key)?.strip_prefix(':')?.split(':').next()?.parse().ok())
        .collect();
    assert!(numbers.is_sorted(), "{key}: {numbers:?}");
}

/// While messages that may be replaced are written by a sender, or by the thread that lets a newcomer in, what comes
/// meanwhile is not overtaken by what replaces those of them that the stream did not take.
#[test]
fn no_key_goes_back_in_time_when_a_write_takes_nothing() {
    type Work = fn(&Server, &Connection);
    let works: [Work; 2] = [
        |server, _| assert_eq!(server.broadcast(b"150:2").unwrap(), 1),
        |_, connection| {
            connection.set_delivery(Delivery::new()).unwrap();
            connection.send(b"150:2").unwrap();
            connection.set_delivery(Delivery::new().conflate(true)).unwrap();
        },
    ];
    for work in works {
        let (started, valves) = valve::start_server(Writes::Direct, |builder| {
            let builder = builder.key(key::prefix(b':')).snapshot(Snapshot::new());
            builder.delivery(Delivery::new().conflate(true))
        });
        // More than the writing thread has in hand at a time.
        (0..200).for_each(|key| assert_eq!(started.server.broadcast(format!("{key}:1").as_bytes()).unwrap(), 0));
        let server = started.server.clone();
        let valve = valves.connect_with(move || work(&server, &server.connections()[0]));
        let connection = connected(&started.events);
        valve.wait_until_blocked();
        started.server.broadcast(b"150:3").unwrap();
        valve.open();
        connection.flush(PATIENCE).unwrap();
        assert!(texts(&valve).contains(&"150:3".to_owned()));
        assert_forwards(&valve, "150");
        assert_adds_up(&connection.stats().traffic);
    }
}

/// Several messages at once, of which a part has waited for room, are not overtaken by what replaces older ones.
#[test]
fn no_key_goes_back_in_time_behind_several_at_once() {
    let delivery = Delivery::new().conflate(true).slow_consumer(SlowConsumer::Block(HOUR)).max_queued_bytes(200_000);
    let (_started, _valves, valve, connection) =
        start(Writes::Direct, &delivery, |builder| builder.max_sent_len(100_000));
    let padding = "x".repeat(20_000);
    let messages: Vec<_> = (0..12).map(|n| if n == 10 { "a:2".to_owned() } else { format!("{n}{padding}") }).collect();
    let sending = {
        let connection = connection.clone();
        thread::spawn(move || connection.send_all(messages).unwrap())
    };
    valve.wait_until_blocked();
    until("two parts wait", || connection.stats().traffic.accepted.messages == 8);
    connection.send(b"a:1").unwrap();
    valve.allow(6 * 20_002);
    assert_eq!(sending.join().unwrap(), 12);
    connection.send(b"a:3").unwrap();
    valve.open();
    connection.flush(PATIENCE).unwrap();
    assert_forwards(&valve, "a");
    assert_adds_up(&connection.stats().traffic);
}

/// What waits for its interval is older than what is sent of its key when the peer asks for that.
#[test]
fn no_key_goes_back_in_time_behind_a_snapshot() {
    let delivery = Delivery::new().min_interval(HOUR);
    let (started, _valves, valve, connection) =
        start(Writes::Direct, &delivery, |builder| builder.snapshot(Snapshot::new()));
    valve.open();
    for message in [b"a:1", b"a:2"] {
        assert_eq!(started.server.broadcast(message).unwrap(), 1);
    }
    connection.set_delivery(delivery.clone().filter(|_, _| false)).unwrap();
    assert_eq!(started.server.broadcast(b"a:3").unwrap(), 0);
    connection.set_delivery(delivery).unwrap();
    assert_eq!(connection.send_snapshot().unwrap(), 1);
    connection.close();
    disconnected(&started.events);
    assert_eq!(texts(&valve), ["a:1", "a:3", "disconnect"]);
    assert_eq!(connection.stats().traffic.conflated.messages, 1);
    assert_adds_up(&connection.stats().traffic);
}

/// What is broadcast in a tight loop is kept back as well from the moment on that a filter is set.
#[test]
fn a_filter_holds_at_once_also_in_a_rush() {
    let (started, _valves, valve, connection) = start(Writes::Direct, &Delivery::new(), |builder| builder);
    valve.open();
    for round in 0..20 {
        (0..300).for_each(|_| assert_eq!(started.server.broadcast(b"early").unwrap(), 1));
        connection.set_delivery(Delivery::new().filter(|_, _| false)).unwrap();
        (0..10).for_each(|_| assert_eq!(started.server.broadcast(b"late").unwrap(), 0, "in round {round}"));
        connection.set_delivery(Delivery::new()).unwrap();
    }
    started.server.flush(PATIENCE).unwrap();
    assert!(!texts(&valve).contains(&"late".to_owned()));
}

/// Whatever has become too old, the goodbye has not.
#[test]
fn the_goodbye_does_not_expire() {
    for message in [Some("a:1"), None] {
        let (started, _valves, valve, connection) = start(Writes::Direct, &Delivery::new(), |builder| {
            builder.closing(Closing::new().flush_timeout(PATIENCE).close_timeout(PATIENCE))
        });
        fall_behind(&valve, &connection);
        connection.set_delivery(Delivery::new().lifespan(SHORT)).unwrap();
        message.into_iter().for_each(|message| connection.send(message.as_bytes()).unwrap());
        connection.close();
        outlive();
        valve.open();
        valve.wait_for_end(b"disconnect;");
        disconnected(&started.events);
        assert_eq!(texts(&valve), ["first", "disconnect"]);
        assert_adds_up(&connection.stats().traffic);
    }
}

/// What waits already stays for ever when a lifespan is set, also what may be replaced, or waits for its interval.
#[test]
fn a_state_that_waits_already_does_not_expire() {
    let delivery = Delivery::new().conflate(true).min_interval(HOUR);
    let (_started, _valves, valve, connection) = start(Writes::Direct, &delivery, |builder| builder);
    fall_behind(&valve, &connection);
    ["a:1", "b:1", "a:2"].iter().for_each(|message| connection.send(message.as_bytes()).unwrap());
    connection.set_delivery(delivery.lifespan(SHORT)).unwrap();
    outlive();
    valve.open();
    connection.flush(PATIENCE).unwrap();
    assert_eq!(texts(&valve), ["first", "a:2", "b:1"]);
    assert_adds_up(&connection.stats().traffic);
}

/// Behind one that has been written in part as well.
#[test]
fn what_is_too_old_makes_room_behind_one_that_has_been_begun() {
    let delivery = Delivery::new().lifespan(SHORT).slow_consumer(SlowConsumer::DropNewest).max_queued_bytes(2000);
    let (_started, _valves, valve, connection) = start(Writes::Unready, &delivery, |builder| builder.max_sent_len(500));
    valve.allow(2);
    connection.send(b"first").unwrap();
    while connection.send(&[b'x'; 100]).is_ok() {}
    outlive();
    connection.send(&[b'x'; 500]).unwrap();
    assert_adds_up(&connection.stats().traffic);
    connection.abort();
}

/// However many messages are joined while nothing is written.
#[test]
fn the_oldest_that_waits_does_not_become_younger() {
    let (started, _valves, _valve, connection) = start(Writes::Unready, &Delivery::new(), |builder| builder);
    started.server.broadcast(b"first").unwrap();
    let since = connection.stats().waiting_since.unwrap();
    for _ in 0..16 {
        outlive_clock(since);
        started.server.broadcast(b"more").unwrap();
        assert_eq!(connection.stats().waiting_since, Some(since));
    }
    connection.abort();
}

fn outlive_clock(since: Instant) {
    until("the clock goes on", || Instant::now() > since);
}

/// A shorter interval is kept although somebody was to look after the longer one only.
#[test]
fn a_shorter_interval_is_not_waited_for_like_the_longer_one() {
    let (_started, _valves, valve, connection) =
        start(Writes::Direct, &Delivery::new().min_interval(HOUR), |builder| builder);
    valve.open();
    ["a:1", "a:2"].iter().for_each(|message| connection.send(message.as_bytes()).unwrap());
    connection.set_delivery(Delivery::new().min_interval(SHORT)).unwrap();
    ["a:3", "a:4"].iter().for_each(|message| connection.send(message.as_bytes()).unwrap());
    valve.wait_for_end(b"a:1;a:2;a:3;a:4;");
    assert_adds_up(&connection.stats().traffic);
}

/// The first one of a key, while somebody else's message is being written.
#[test]
fn a_long_message_does_not_wait_for_an_interval_that_has_not_begun() {
    let (_started, _valves, valve, connection) =
        start(Writes::Direct, &Delivery::new().min_interval(HOUR), |builder| builder);
    valve.open();
    let long = format!("a:{}", "x".repeat(100_000));
    {
        let (connection, long) = (connection.clone(), long.clone());
        valve.during_write(move || connection.send(long.as_bytes()).unwrap());
    }
    connection.send(b"first").unwrap();
    valve.wait_for_end(format!("first;{long};").as_bytes());
}

/// A message that waits for its interval has no room by what waits in the queue.
#[test]
fn what_waits_for_its_interval_counts_beside_what_is_queued() {
    let delivery = Delivery::new()
        .conflate(true)
        .min_interval(HOUR)
        .slow_consumer(SlowConsumer::DropNewest)
        .max_queued_bytes(2000);
    let (_started, _valves, valve, connection) = start(Writes::Direct, &delivery, |builder| builder.max_sent_len(500));
    fall_behind(&valve, &connection);
    for round in 0..2 {
        for key in 0..4 {
            let sent = connection.send(format!("{key}:{round:0300}").as_bytes());
            assert!(matches!(sent, Ok(()) | Err(Error::Dropped { .. })));
            assert!(connection.queued_bytes() <= 2000, "{} bytes", connection.queued_bytes());
        }
    }
    connection.abort();
}

/// What waits for its interval for long does not keep others waiting for the room that there is.
#[test]
fn a_sender_gets_the_room_that_is_left_beside_what_waits_for_its_interval() {
    let delivery = Delivery::new().min_interval(HOUR).slow_consumer(SlowConsumer::Block(HOUR)).max_queued_bytes(2000);
    let (_started, _valves, valve, connection) = start(Writes::Direct, &delivery, |builder| builder.max_sent_len(500));
    valve.allow("a:1;b:1;".len());
    let long = "x".repeat(500);
    ["a:1", "b:1"].iter().for_each(|message| connection.send(message.as_bytes()).unwrap());
    ["a", "b"].iter().for_each(|key| connection.send(format!("{key}:{}", &long[2..]).as_bytes()).unwrap());
    fall_behind(&valve, &connection);
    connection.send(long.as_bytes()).unwrap();
    let waiting = {
        let connection = connection.clone();
        thread::spawn(move || connection.send(long.as_bytes()).unwrap())
    };
    let begun = Instant::now();
    until("it waits", || begun.elapsed() > SHORT);
    valve.open();
    in_time("room", move || waiting.join().unwrap());
}

/// What a lifespan's messages take of memory comes back, message by message.
#[test]
fn keys_of_what_may_expire_take_no_memory_for_ever() {
    let limit = MemoryLimits::new().max_total_queued_bytes(128 * 1024);
    let delivery = Delivery::new().lifespan(HOUR).max_queued_bytes(64 * 1024);
    let (_started, _valves, valve, connection) =
        start(Writes::Direct, &delivery, |builder| builder.max_sent_len(1000).memory_limits(limit));
    fall_behind(&valve, &connection);
    let message = format!("{}:", "k".repeat(200));
    for _ in 0..2000 {
        connection.send(message.as_bytes()).unwrap();
        valve.allow(message.len() + 1);
        until("it is taken", || connection.queued_bytes() < 1000);
    }
    assert!(!connection.is_closed());
    valve.open();
}

/// Whatever is sent by whatever call, and however the delivery changes meanwhile: keys go forwards and end with their
/// newest, events all come, in order, and all is accounted for.
#[test]
fn keys_go_forwards_and_events_all_come_whatever_changes() {
    const SEQUENCES: u64 = 40;
    const STEPS: usize = 120;
    let seed = Seed::new();
    for sequence in 0..SEQUENCES {
        let mut random = seed.random(sequence);
        let writes = if sequence % 2 == 0 { Writes::Direct } else { Writes::Blocking };
        let snapshot = sequence % 4 < 2;
        let (started, _valves, valve, connection) =
            start(
                writes,
                &Delivery::new(),
                |builder| {
                    if snapshot { builder.snapshot(Snapshot::new()) } else { builder }
                },
            );
        let server = &started.server;
        let (mut next, mut events, mut newest) = (0, Vec::new(), HashMap::new());
        let mut message = |random: &mut Random| {
            next += 1;
            let padding = "x".repeat(if random.within(0..=19) == 0 { 70_000 } else { random.within(0..=39) });
            match random.within(0..=4) {
                0 => {
                    events.push(next);
                    format!("{next}.{padding}")
                }
                key => {
                    newest.insert(key, next);
                    format!("{key}:{next}:{padding}")
                }
            }
        };
        for _ in 0..STEPS {
            match random.within(0..=9) {
                0 | 1 => assert_eq!(server.broadcast(message(&mut random).as_bytes()).unwrap(), 1),
                2 => assert_eq!(server.queue_broadcast(message(&mut random).as_bytes()).unwrap(), 1),
                3 if snapshot => assert_eq!(server.queue_broadcast(message(&mut random).as_bytes()).unwrap(), 1),
                3 => connection.queue(message(&mut random).as_bytes()).unwrap(),
                4 => (0..30).for_each(|_| assert_eq!(server.broadcast(message(&mut random).as_bytes()).unwrap(), 1)),
                5 if snapshot => drop(connection.send_snapshot().unwrap()),
                5 => connection.send(message(&mut random).as_bytes()).unwrap(),
                6 if !snapshot => {
                    let several: Vec<_> = (0..random.within(0..=5)).map(|_| message(&mut random)).collect();
                    connection.send_all(&several).unwrap();
                }
                7 => {
                    let lifespan = (random.within(0..=2) == 0).then_some(HOUR);
                    let interval = [None, None, Some(HOUR), Some(Duration::from_micros(300))][random.within(0..=3)];
                    let delivery = Delivery::new().conflate(random.within(0..=1) == 0).lifespan(lifespan);
                    connection.set_delivery(delivery.min_interval(interval)).unwrap();
                }
                _ => valve.allow([1, 10, 100, 2_000, 50_000][random.within(0..=4)]),
            }
        }
        valve.open();
        connection.set_delivery(Delivery::new()).unwrap();
        connection.flush(PATIENCE).unwrap();
        assert_adds_up(&connection.stats().traffic);
        let mut last = HashMap::new();
        let mut seen = Vec::new();
        for text in texts(&valve) {
            match text.split_once(':') {
                Some((key, rest)) => {
                    let number: usize = rest.split(':').next().unwrap().parse().unwrap();
                    let before = last.insert(key.parse::<usize>().unwrap(), number);
                    assert!(before <= Some(number), "{writes:?}, {snapshot}: {key}: {before:?}, {number}");
                }
                None => seen.push(text.split('.').next().unwrap().parse::<usize>().unwrap()),
            }
        }
        assert_eq!(seen, events, "{writes:?}, {snapshot}");
        assert_eq!(last, newest, "{writes:?}, {snapshot}");
    }
}

/// How much fits for one peer that reads nothing until all memory is used.
fn room_of(valves: &Valves, started: &Started) -> u64 {
    let _valve = valves.connect();
    let connection = connected(&started.events);
    connection.set_delivery(Delivery::new().slow_consumer(SlowConsumer::DropNewest).max_queued_bytes(100_000)).unwrap();
    while connection.send(&[b'x'; 200]).is_ok() {}
    let accepted = connection.stats().traffic.accepted.messages;
    connection.abort();
    until("the end", || started.server.num_connections() == 0);
    accepted
}

/// The same beside viewers that lose messages, with little memory for all of them, which comes back.
#[test]
fn all_is_accounted_for_and_given_back_whatever_is_lost() {
    const SEQUENCES: u64 = 20;
    const STEPS: usize = 150;
    let seed = Seed::new();
    for sequence in 0..SEQUENCES {
        let mut random = seed.random(sequence);
        let writes = *random.pick(&EITHER);
        let limits = MemoryLimits::new().max_total_queued_bytes(100_000);
        let single = random.once_in(4);
        let (started, valves) = valve::start_server(writes, |builder| {
            let builder = builder.key(key::prefix(b':')).max_sent_len(2_900).memory_limits(limits).coalesce(!single);
            builder.delivery(Delivery::new().max_queued_bytes(50_000)).snapshot(Snapshot::new().max_bytes(2_000))
        });
        let server = &started.server;
        let room = room_of(&valves, &started);
        let mut viewers: Vec<(Valve, Connection)> = Vec::new();
        let mut next = 0;
        for _ in 0..STEPS {
            if viewers.len() < 3 && random.once_in(4) {
                viewers.push((valves.connect(), connected(&started.events)));
                continue;
            }
            next += 1;
            let padding = "x".repeat(if random.once_in(10) { 2_800 } else { random.within(0..=60) });
            let key = random.within(0..=4);
            let message = if key == 0 {
                format!("{next}.{padding}")
            } else {
                format!("{key}{}:{next}:{padding}", "k".repeat(10 * key))
            };
            match random.within(0..=9) {
                0 | 1 => assert!(server.broadcast(message.as_bytes()).is_ok()),
                2 | 3 => assert!(server.queue_broadcast(message.as_bytes()).is_ok()),
                4 => (0..30).for_each(|_| {
                    next += 1;
                    server.broadcast(format!("2:{next}:").as_bytes()).unwrap();
                }),
                5..=7 if !viewers.is_empty() => {
                    let (valve, connection) = &viewers[random.within(0..=viewers.len() - 1)];
                    valve.allow(*random.pick(&[1, 10, 100, 3_000, 50_000]));
                    let _ = connection;
                }
                8 if !viewers.is_empty() => {
                    let (_, connection) = &viewers[random.within(0..=viewers.len() - 1)];
                    let delivery = Delivery::new()
                        .slow_consumer(*random.pick(&[
                            SlowConsumer::DropOldest,
                            SlowConsumer::DropNewest,
                            SlowConsumer::Disconnect,
                            SlowConsumer::Block(Duration::ZERO),
                        ]))
                        .max_queued_bytes(*random.pick(&[4_100, 6_000, 50_000]))
                        .conflate(random.once_in(2))
                        .lifespan(*random.pick(&[None, None, Some(HOUR), Some(Duration::from_micros(500))]))
                        .min_interval(*random.pick(&[None, None, Some(HOUR), Some(Duration::from_micros(300))]));
                    let filtered = delivery.clone().filter(|key, _| key.is_some());
                    connection.set_delivery(if random.once_in(3) { filtered } else { delivery }).unwrap();
                }
                9 if !viewers.is_empty() => {
                    let (_, connection) = &viewers[random.within(0..=viewers.len() - 1)];
                    let _ = connection.send_snapshot();
                }
                _ => {}
            }
            viewers.iter().for_each(|(_, connection)| assert_adds_up(&connection.stats().traffic));
        }
        for (valve, connection) in &viewers {
            match random.within(0..=2) {
                0 => connection.abort(),
                1 => {
                    valve.open();
                    connection.close();
                }
                _ => {
                    valve.open();
                    let _ = connection.set_delivery(Delivery::new().max_queued_bytes(50_000));
                    let _ = connection.flush(PATIENCE);
                    connection.abort();
                }
            }
            until("the end", || connection.disconnect_reason().is_some());
            assert_adds_up(&connection.stats().traffic);
            let (mut last, mut event) = (HashMap::new(), 0);
            for text in texts(valve).into_iter().filter(|text| text != "disconnect") {
                match text.split_once(':') {
                    Some((key, rest)) => {
                        let number: usize = rest.split(':').next().unwrap().parse().unwrap();
                        let before = last.insert(key.to_owned(), number);
                        assert!(before <= Some(number), "{writes:?}: {key}: {before:?}, {number}");
                    }
                    None => {
                        let number: usize = text.split('.').next().unwrap().parse().unwrap();
                        assert!(number > event, "{writes:?}: {event}, {number}");
                        event = number;
                    }
                }
            }
        }
        until("all have ended", || server.num_connections() == 0);
        (1..=4).for_each(|key| {
            server.forget(&Key::new(format!("{key}{}", "k".repeat(10 * key))));
        });
        server.forget(&Key::new("2"));
        assert_eq!(server.snapshot_len(), 0);
        assert_eq!(room_of(&valves, &started), room, "{writes:?}: memory is not given back");
    }
}

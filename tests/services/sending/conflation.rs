//! Viewers that are behind get the newest of each key, and every event.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::callback::Event;
use leads_comm::{Connection, Delivery, DisconnectCause, Error, Key, Server, ServerBuilder, SlowConsumer, key};
use leads_comm_testing::account::assert_adds_up;
use leads_comm_testing::valve::{self, EITHER, Valve, Valves, Writes};
use leads_comm_testing::*;

/// `key:number`; without a colon it is an event.
fn keyed(builder: ServerBuilder) -> ServerBuilder {
    builder.key(key::prefix(b':')).delivery(Delivery::new().conflate(true))
}

fn start(writes: Writes, delivery: &Delivery) -> (Started, Valves, Valve, Connection) {
    let (started, valves) = valve::start_server(writes, |builder| keyed(builder).delivery(delivery.clone()));
    let valve = valves.connect();
    let connection = connected(&started.events);
    (started, valves, valve, connection)
}

/// Makes a peer be behind: a thread is in the middle of writing a message, and what comes next waits.
pub(super) fn fall_behind(valve: &Valve, connection: &Connection) {
    connection.send(b"first").unwrap();
    valve.wait_until_blocked();
}

pub(super) fn texts(valve: &Valve) -> Vec<String> {
    valve.messages().into_iter().map(|message| String::from_utf8(message).unwrap()).collect()
}

#[test]
fn for_who_is_behind_the_newest_of_a_key_takes_the_place_of_the_one_before() {
    for writes in EITHER {
        let (started, _valves, valve, connection) = start(writes, &Delivery::new().conflate(true));
        fall_behind(&valve, &connection);
        for message in ["a:1", "lap", "b:1", "a:2", "pit", "a:3", "b:2 is longer"] {
            assert_eq!(started.server.broadcast(message.as_bytes()).unwrap(), 1);
        }
        connection.send(b"c:1").unwrap();
        connection.send(b"c:2").unwrap();
        let traffic = connection.stats().traffic;
        assert_eq!((traffic.conflated.messages, traffic.conflated.bytes), (4, 4 * 4), "{writes:?}");
        assert_eq!(traffic.waiting.messages, 6);
        assert_adds_up(&traffic);
        valve.open();
        connection.flush(PATIENCE).unwrap();
        assert_eq!(texts(&valve), ["first", "a:3", "lap", "b:2 is longer", "pit", "c:2"], "{writes:?}");
        assert_eq!(connection.stats().waiting_since, None);
        assert_adds_up(&connection.stats().traffic);
    }
}

/// And nothing at all where it is not asked for, or for who keeps up.
#[test]
fn nothing_is_replaced_for_who_keeps_up_or_does_not_ask_for_it() {
    for (open, conflate) in [(true, true), (false, false)] {
        let (started, _valves, valve, connection) = start(Writes::Direct, &Delivery::new().conflate(conflate));
        if open {
            valve.open();
        } else {
            fall_behind(&valve, &connection);
        }
        (0..1000).for_each(|number| assert_eq!(started.server.broadcast(format!("a:{number}").as_bytes()).unwrap(), 1));
        valve.open();
        connection.flush(PATIENCE).unwrap();
        let expected: Vec<_> = (0..1000).map(|number| format!("a:{number}")).collect();
        assert!(texts(&valve).ends_with(&expected));
        assert_eq!(connection.stats().traffic.conflated.messages, 0);
    }
}

/// However much is sent: of each key one message waits.
#[test]
fn what_waits_is_bounded_by_the_keys() {
    const KEYS: usize = 100;
    for writes in EITHER {
        let (started, _valves, valve, connection) = start(writes, &Delivery::new().conflate(true));
        fall_behind(&valve, &connection);
        let padding = "x".repeat(300);
        let most = KEYS * (300 + 20 + 64) + 64 * 1024;
        for round in 0..50 {
            for key in 0..KEYS {
                started.server.broadcast(format!("{key}:{round}:{padding}").as_bytes()).unwrap();
            }
            assert!(connection.queued_bytes() <= most, "{writes:?}: {} bytes", connection.queued_bytes());
        }
        valve.open();
        connection.flush(PATIENCE).unwrap();
        let mut newest = HashMap::new();
        for text in texts(&valve).iter().skip(1) {
            let mut fields = text.split(':').map(|field| field.parse::<usize>().unwrap_or(0));
            let (key, round) = (fields.next().unwrap(), fields.next().unwrap());
            assert!(newest.insert(key, round) < Some(round), "the key {key} goes back in time");
        }
        assert!(newest.len() == KEYS && newest.values().all(|round| *round == 49), "{writes:?}");
        assert_adds_up(&connection.stats().traffic);
    }
}

/// What is flushed is written, or a newer one in its place: no more, and no less.
#[test]
fn a_flush_waits_for_what_took_the_place_and_for_nothing_else() {
    let (_started, _valves, valve, connection) = start(Writes::Direct, &Delivery::new().conflate(true));
    fall_behind(&valve, &connection);
    for message in ["a:1", "lap"] {
        connection.send(message.as_bytes()).unwrap();
    }
    let flushing = {
        let connection = connection.clone();
        let (begun, is_begun) = mpsc::channel();
        let flushing = thread::spawn(move || {
            begun.send(()).unwrap();
            connection.flush(PATIENCE)
        });
        is_begun.recv().unwrap();
        flushing
    };
    // Nothing tells when the flush has begun: with the one that is longer before or after it, it has to wait.
    let long = format!("a:{}", "2".repeat(1000));
    connection.send(long.as_bytes()).unwrap();
    connection.send(b"later").unwrap();
    valve.allow("first;".len() + long.len() + 1);
    valve.wait_for("the long one", |taken| taken.concat().len() > 1000);
    assert!(!flushing.is_finished() || !texts(&valve).contains(&"lap".to_owned()));
    valve.allow("lap;".len());
    // The event before the flush is written; what came later is not.
    valve.wait_for_end(b"lap;");
    connection.stats();
    valve.allow("later;".len());
    flushing.join().unwrap().unwrap();
}

#[test]
fn a_full_queue_takes_a_newer_message_in_the_place_of_the_older() {
    for policy in [SlowConsumer::Disconnect, SlowConsumer::DropNewest, SlowConsumer::Block(PATIENCE)] {
        let delivery = Delivery::new().conflate(true).slow_consumer(policy).max_queued_bytes(2000);
        let (started, valves) =
            valve::start_server(Writes::Direct, |builder| keyed(builder).max_sent_len(1000).delivery(delivery));
        let valve = valves.connect();
        let connection = connected(&started.events);
        fall_behind(&valve, &connection);
        let mut keys = 0;
        while connection.queued_bytes() + 500 < 2000 {
            connection.send(format!("{keys}:{}", "x".repeat(300)).as_bytes()).unwrap();
            keys += 1;
        }
        for number in 0..1000 {
            connection.send(format!("{}:{number:0300}", number % keys).as_bytes()).unwrap();
        }
        assert!(connection.queued_bytes() <= 2000);
        assert!(!connection.is_closed(), "{policy:?}");
        assert_eq!(connection.dropped_messages(), 0);
    }
}

#[test]
fn with_drop_oldest_keys_go_like_everything_else() {
    for writes in EITHER {
        let delivery = Delivery::new().conflate(true).slow_consumer(SlowConsumer::DropOldest).max_queued_bytes(4000);
        let (started, valves) =
            valve::start_server(writes, |builder| keyed(builder).max_sent_len(1000).delivery(delivery));
        let valve = valves.connect();
        let connection = connected(&started.events);
        fall_behind(&valve, &connection);
        for number in 0..500 {
            started.server.broadcast(format!("{}:{number:0400}", number % 50).as_bytes()).unwrap();
            assert!(connection.queued_bytes() <= 4000, "{}", connection.queued_bytes());
        }
        let traffic = connection.stats().traffic;
        assert!(traffic.dropped.messages > 0);
        assert_adds_up(&traffic);
        valve.open();
        connection.flush(PATIENCE).unwrap();
        assert!(texts(&valve).last().unwrap().ends_with("499"), "{writes:?}");
    }
}

/// What was queued by itself stays in its order with what comes when nothing is replaced any more.
#[test]
fn no_key_goes_back_in_time_when_the_delivery_changes() {
    for writes in EITHER {
        let (_started, _valves, valve, connection) = start(writes, &Delivery::new().conflate(true));
        fall_behind(&valve, &connection);
        let deliveries = [false, true, false, true].map(|conflate| Delivery::new().conflate(conflate));
        for (number, delivery) in deliveries.iter().cycle().take(20).enumerate() {
            connection.set_delivery(delivery.clone()).unwrap();
            connection.send(format!("a:{number:02}").as_bytes()).unwrap();
            connection.send(format!("b:{number:02}").as_bytes()).unwrap();
        }
        valve.open();
        connection.flush(PATIENCE).unwrap();
        for key in ["a:", "b:"] {
            let texts: Vec<_> = texts(&valve).into_iter().filter(|text| text.starts_with(key)).collect();
            assert!(texts.is_sorted(), "{texts:?}");
            assert_eq!(texts.last(), Some(&format!("{key}19")));
        }
    }
}

#[test]
fn several_messages_at_once_are_replaced_like_single_ones() {
    for writes in EITHER {
        let (_started, _valves, valve, connection) = start(writes, &Delivery::new().conflate(true));
        fall_behind(&valve, &connection);
        assert_eq!(connection.send_all(["a:1", "lap", "b:1", "a:2", "b:2"]).unwrap(), 5);
        assert_eq!(connection.send_all(["a:3", "pit"]).unwrap(), 2);
        valve.open();
        connection.flush(PATIENCE).unwrap();
        assert_eq!(texts(&valve), ["first", "a:3", "lap", "b:2", "pit"], "{writes:?}");
    }
}

#[test]
fn what_has_waited_for_too_long_is_not_sent() {
    let lifespan = Duration::from_millis(50);
    for writes in EITHER {
        let (_started, _valves, valve, connection) = start(writes, &Delivery::new().lifespan(PATIENCE));
        fall_behind(&valve, &connection);
        connection.send(b"from before").unwrap();
        connection.set_delivery(Delivery::new()).unwrap();
        connection.send(b"for ever").unwrap();
        connection.set_delivery(Delivery::new().lifespan(lifespan)).unwrap();
        ["a:1", "brake"].iter().for_each(|message| connection.send(message.as_bytes()).unwrap());
        let youngest = Instant::now();
        until("they are too old", || youngest.elapsed() > 2 * lifespan);
        assert!(connection.stats().waiting_since.is_some_and(|since| since < youngest));
        valve.open();
        connection.flush(PATIENCE).unwrap();
        connection.set_delivery(Delivery::new()).unwrap();
        connection.send(b"end").unwrap();
        connection.flush(PATIENCE).unwrap();
        assert_eq!(texts(&valve), ["first", "from before", "for ever", "end"], "{writes:?}");
        let traffic = connection.stats().traffic;
        assert_eq!((traffic.expired.messages, traffic.expired.bytes), (2, 10));
        assert_adds_up(&traffic);
    }
}

/// What would be refused for want of room makes way first where it is too old.
#[test]
fn what_is_too_old_makes_room() {
    let lifespan = Duration::from_millis(20);
    let delivery = Delivery::new().max_queued_bytes(1000);
    let (started, valves) =
        valve::start_server(Writes::Direct, |builder| keyed(builder).max_sent_len(500).delivery(delivery.clone()));
    let valve = valves.connect();
    let connection = connected(&started.events);
    fall_behind(&valve, &connection);
    connection.set_delivery(delivery.lifespan(lifespan)).unwrap();
    for round in 0..20 {
        let begun = Instant::now();
        connection.send(format!("{round:0500}").as_bytes()).unwrap();
        until("it is too old", || begun.elapsed() > 2 * lifespan);
    }
    assert!(!connection.is_closed());
    assert_adds_up(&connection.stats().traffic);
}

#[test]
fn a_key_comes_no_more_often_than_its_interval() {
    let interval = Duration::from_millis(40);
    for writes in EITHER {
        let (started, _valves, valve, connection) = start(writes, &Delivery::new().min_interval(interval));
        valve.open();
        let (begun, mut sent) = (Instant::now(), 0);
        while begun.elapsed() < 5 * interval {
            started.server.broadcast(format!("a:{sent}").as_bytes()).unwrap();
            started.server.broadcast(format!("b:{sent}").as_bytes()).unwrap();
            sent += 1;
        }
        started.server.broadcast(b"lap").unwrap();
        // The last one of each key, without anything else to wake anybody.
        let last = sent - 1;
        valve.wait_for("the last ones", |taken| {
            let taken = taken.concat();
            [format!("a:{last};"), format!("b:{last};")]
                .iter()
                .all(|last| taken.windows(last.len()).any(|window| window == last.as_bytes()))
        });
        let most = begun.elapsed().as_millis() / interval.as_millis() + 2;
        let texts = texts(&valve);
        for key in ["a:", "b:"] {
            let numbers: Vec<usize> = texts.iter().filter_map(|text| text.strip_prefix(key)?.parse().ok()).collect();
            assert!(numbers.is_sorted() && numbers.first() == Some(&0), "{writes:?}: {numbers:?}");
            assert!(numbers.len() as u128 <= most, "{writes:?}: {} of {sent} in {:?}", numbers.len(), begun.elapsed());
        }
        assert!(texts.contains(&"lap".to_owned()));
        connection.flush(PATIENCE).unwrap();
        let traffic = connection.stats().traffic;
        assert_eq!(traffic.conflated.messages + texts.len() as u64, 2 * sent as u64 + 1);
        assert_adds_up(&traffic);
    }
}

/// Waiting for its interval it is accepted and waits, and a flush waits for it; a close sends it off.
#[test]
fn what_waits_for_its_interval_is_not_lost() {
    let hour = Duration::from_secs(60 * 60);
    for writes in EITHER {
        let (started, _valves, valve, connection) = start(writes, &Delivery::new().min_interval(hour));
        valve.open();
        for message in ["a:1", "a:2", "lap", "b:1", "b:2", "a:3"] {
            assert_eq!(started.server.broadcast(message.as_bytes()).unwrap(), 1);
        }
        valve.wait_for_end(b"b:1;");
        until("only what waits for its interval is left", || {
            matches!(connection.flush(Duration::ZERO), Err(Error::NotFlushed { bytes: 8 }))
        });
        let traffic = connection.stats().traffic;
        assert_eq!((traffic.waiting.messages, traffic.waiting.bytes, traffic.conflated.messages), (2, 8, 1));
        assert_adds_up(&traffic);
        assert!(connection.stats().waiting_since.is_some());
        // Another interval, or none: it is sent at once.
        connection.set_delivery(Delivery::new()).unwrap();
        connection.flush(PATIENCE).unwrap();
        assert!(valve.taken().ends_with(b"a:3;b:2;"), "{:?}", texts(&valve));
        connection.set_delivery(Delivery::new().min_interval(hour)).unwrap();
        for message in ["a:4", "a:5", "a:6"] {
            connection.send(message.as_bytes()).unwrap();
        }
        connection.close();
        valve.wait_for_end(b"a:4;a:6;disconnect;");
        valve.hang_up();
        disconnected(&started.events);
        assert_adds_up(&connection.stats().traffic);
    }
}

/// However long the one before would have been waited for.
#[test]
fn a_shorter_interval_holds_at_once() {
    let hour = Duration::from_secs(60 * 60);
    let (_started, _valves, valve, connection) = start(Writes::Direct, &Delivery::new().min_interval(hour));
    valve.open();
    for round in 0..20 {
        ["a:1", "a:2"].iter().for_each(|message| connection.send(message.as_bytes()).unwrap());
        connection.set_delivery(Delivery::new().min_interval(Duration::from_millis(10))).unwrap();
        let last = format!("a:{round} again");
        ["a:3", &last].iter().for_each(|message| connection.send(message.as_bytes()).unwrap());
        valve.wait_for_end(format!("{last};").as_bytes());
        connection.set_delivery(Delivery::new().min_interval(hour)).unwrap();
    }
}

#[test]
fn what_waits_for_its_interval_is_unsent_when_the_connection_breaks() {
    let (started, _valves, valve, connection) =
        start(Writes::Direct, &Delivery::new().min_interval(Duration::from_secs(60 * 60)));
    valve.open();
    ["a:1", "a:2"].iter().for_each(|message| connection.send(message.as_bytes()).unwrap());
    connection.abort();
    let reason = disconnected(&started.events);
    assert_eq!((reason.undelivered.unsent.messages, reason.undelivered.unsent.bytes), (1, 4), "{reason:?}");
    assert_adds_up(&connection.stats().traffic);
}

#[test]
fn a_viewer_gets_what_its_filter_wants_of_what_is_broadcast() {
    for writes in EITHER {
        let (started, valves) = valve::start_server(writes, |builder| builder.key(key::prefix(b':')));
        let viewers: Vec<_> = (0..3).map(|_| (valves.connect(), connected(&started.events))).collect();
        viewers.iter().for_each(|(valve, _)| valve.open());
        let events = Delivery::new().filter(|key, _| key.is_none());
        let a = Delivery::new().filter(|key, message| {
            assert!(key.is_none_or(|key| message.starts_with(key.as_bytes())));
            key == Some(&Key::new("a"))
        });
        viewers[1].1.set_delivery(events).unwrap();
        viewers[2].1.set_delivery(a).unwrap();
        for round in 0..300 {
            assert_eq!(started.server.broadcast(format!("a:{round}").as_bytes()).unwrap(), 2);
            assert_eq!(started.server.broadcast(b"lap").unwrap(), 2);
            assert_eq!(started.server.broadcast_where(format!("b:{round}").as_bytes(), |_| true).unwrap(), 1);
        }
        viewers[1].1.send(b"a:only for you").unwrap();
        started.server.flush(PATIENCE).unwrap();
        assert_eq!(texts(&viewers[0].0).len(), 900, "{writes:?}");
        let of_events = texts(&viewers[1].0);
        assert!(of_events.len() == 301 && of_events[..300].iter().all(|text| text == "lap"), "{writes:?}");
        assert_eq!(texts(&viewers[2].0), (0..300).map(|round| format!("a:{round}")).collect::<Vec<_>>());
        let filtered = viewers[1].1.stats().traffic.filtered;
        assert_eq!((filtered.messages, filtered.bytes > 600 * 4), (600, true));
        viewers.iter().for_each(|(_, connection)| assert_adds_up(&connection.stats().traffic));
        // Not any more.
        viewers[1].1.set_delivery(Delivery::new()).unwrap();
        assert_eq!(started.server.broadcast(b"b:1").unwrap(), 2);
    }
}

/// In a tight loop, in which broadcasts are gathered.
#[test]
fn a_filter_holds_from_the_moment_on_that_it_is_set() {
    let (started, valves) = valve::start_server(Writes::Direct, |builder| builder.key(key::prefix(b':')));
    let (valve, connection) = (valves.connect(), connected(&started.events));
    valve.open();
    for round in 0..50 {
        connection.set_delivery(Delivery::new()).unwrap();
        (0..100).for_each(|_| assert_eq!(started.server.broadcast(b"wanted").unwrap(), 1));
        connection.set_delivery(Delivery::new().filter(|_, message| message != b"unwanted")).unwrap();
        (0..100).for_each(|at| assert_eq!(started.server.broadcast(b"unwanted").unwrap(), 0, "{round}: {at}"));
    }
    connection.flush(PATIENCE).unwrap();
    assert!(texts(&valve).iter().all(|text| text == "wanted"));
}

#[test]
fn a_filter_that_panics_ends_its_connection_and_nobody_elses() {
    expect_panics_in_callbacks();
    let (started, valves) = valve::start_server(Writes::Direct, keyed);
    let viewers: Vec<_> = (0..2).map(|_| (valves.connect(), connected(&started.events))).collect();
    viewers.iter().for_each(|(valve, _)| valve.open());
    viewers[0].1.set_delivery(Delivery::new().filter(|_, _| panic!("boom"))).unwrap();
    assert_eq!(started.server.broadcast(b"a:1").unwrap(), 1);
    let reason = disconnected(&started.events);
    assert!(
        matches!(&reason.cause, DisconnectCause::CallbackPanicked { callback: "filter", message } if message == "boom"),
        "{reason}"
    );
    assert_eq!(started.server.broadcast(b"a:2").unwrap(), 1);
    viewers[1].0.wait_for_end(b"a:2;");
}

#[test]
fn a_key_function_that_panics_is_an_error_of_the_call() {
    expect_panics_in_callbacks();
    let (started, valves) = valve::start_server(Writes::Direct, |builder| {
        builder.key(|message: &[u8]| if message == b"bad" { panic!("boom") } else { None })
    });
    let valve = valves.connect();
    let connection = connected(&started.events);
    valve.open();
    let is_told =
        |error: &Error| matches!(error, Error::CallbackPanicked { callback: "key", message } if message == "boom");
    assert!(is_told(&started.server.broadcast(b"bad").unwrap_err()));
    assert!(is_told(&started.server.broadcast_where(b"bad", |_| true).unwrap_err()));
    assert!(is_told(&connection.send(b"bad").unwrap_err()));
    connection.send(b"good").unwrap();
    valve.wait_for_end(b"good;");
    assert_eq!(texts(&valve), ["good"]);
}

/// The functions are called by the thread that sends, without a lock: they may call anything.
#[test]
fn key_and_filter_may_use_the_service() {
    let server: Arc<std::sync::OnceLock<Server>> = Arc::default();
    let calls = Arc::new(AtomicUsize::new(0));
    let (of_key, of_filter, counted) = (Arc::clone(&server), Arc::clone(&server), Arc::clone(&calls));
    let (started, valves) = valve::start_server(Writes::Direct, |builder| {
        let builder = builder.key(move |message| {
            of_key.get().into_iter().flat_map(Server::connections).for_each(|connection| {
                connection.stats();
            });
            key::prefix(b':')(message)
        });
        builder.delivery(Delivery::new().filter(move |_, _| {
            counted.fetch_add(1, Ordering::Relaxed);
            let Some(server) = of_filter.get() else { return true };
            server.connections().iter().for_each(|connection| {
                connection.stats();
                let _ = connection.delivery();
            });
            true
        }))
    });
    server.set(started.server.clone()).unwrap();
    let valve = valves.connect();
    connected(&started.events);
    valve.open();
    let broadcasting = started.server.clone();
    in_time("broadcasting", move || (0..1000).for_each(|_| assert_eq!(broadcasting.broadcast(b"a:1").unwrap(), 1)));
    assert_eq!(calls.load(Ordering::Relaxed), 1000);
}

#[test]
fn keys_of_any_length_replace_one_another() {
    for len in [0, 1, 22, 23, 64 * 1024] {
        let (started, valves) = valve::start_server(Writes::Direct, |builder| {
            builder
                .key(move |message: &[u8]| (message != b"first").then(|| Key::new(vec![b'k'; len])))
                .delivery(Delivery::new().conflate(true))
        });
        let valve = valves.connect();
        let connection = connected(&started.events);
        fall_behind(&valve, &connection);
        (0..100).for_each(|number| connection.send(format!("{number}").as_bytes()).unwrap());
        valve.open();
        connection.flush(PATIENCE).unwrap();
        assert_eq!(texts(&valve), ["first", "99"], "{len}");
    }
}

/// From several threads, beside a reader that takes a little at a time: each key is written forwards.
#[test]
fn keys_of_several_senders_go_forwards() {
    const SENDERS: usize = 4;
    const ROUNDS: usize = 500;
    for writes in EITHER {
        let (started, _valves, valve, connection) = start(writes, &Delivery::new().conflate(true));
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let (server, connection) = (started.server.clone(), connection.clone());
                thread::spawn(move || {
                    for round in 0..ROUNDS {
                        let message = format!("{sender}:{round}");
                        match round % 3 {
                            0 => drop(server.broadcast(message.as_bytes()).unwrap()),
                            1 => connection.send(message.as_bytes()).unwrap(),
                            _ => drop(connection.send_all([message]).unwrap()),
                        }
                    }
                })
            })
            .collect();
        while senders.iter().any(|sender| !sender.is_finished()) {
            valve.allow(37);
            thread::yield_now();
        }
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        valve.open();
        connection.flush(PATIENCE).unwrap();
        let mut last = HashMap::new();
        for text in texts(&valve) {
            let (sender, round) = text.split_once(':').unwrap();
            let round: usize = round.parse().unwrap();
            assert!(last.insert(sender.to_owned(), round) < Some(round), "{writes:?}: {text}");
        }
        assert!(last.len() == SENDERS && last.values().all(|round| *round == ROUNDS - 1), "{writes:?}: {last:?}");
        assert_adds_up(&connection.stats().traffic);
    }
}

#[test]
fn what_needs_a_key_function_is_refused_without_one() {
    let refused = |delivery: Delivery, setting: &str| {
        let error = Server::builder().delivery(delivery).build().unwrap_err();
        assert!(matches!(&error, Error::InvalidSetting { setting: named, .. } if *named == setting), "{error}");
    };
    refused(Delivery::new().conflate(true), "conflate");
    refused(Delivery::new().min_interval(Duration::from_secs(1)), "min_interval");
    refused(Delivery::new().lifespan(Duration::ZERO), "lifespan");
    refused(Delivery::new().max_unsent_bytes(0), "max_unsent_bytes");
    let (started, valves) = valve::start_server(Writes::Direct, |builder| builder);
    let _valve = valves.connect();
    let connection = connected(&started.events);
    assert!(connection.set_delivery(Delivery::new().conflate(true)).is_err());
    assert_eq!(connection.delivery(), Delivery::new());
    assert!(started.events.try_iter().all(|event| !matches!(event, Event::Fail { .. })));
}

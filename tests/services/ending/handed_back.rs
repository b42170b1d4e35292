//! What an end leaves unsent, handed back to the program that wants it.

use std::time::Duration;

use leads_comm::callback::Event;
use leads_comm::{
    Client, Closing, Connection, Delivery, DisconnectCause, DisconnectReason, Error, Reconnect, ServerBuilder,
    SlowConsumer, key,
};
use leads_comm_testing::account::assert_adds_up;
use leads_comm_testing::seed::Seed;
use leads_comm_testing::valve::{self, EITHER, Valve, Writes};
use leads_comm_testing::*;

/// From one that goes out beside its separator to one that is copied without a lock.
const LENS: [usize; 7] = [20, 40, 300, 20, 5000, 70_000, 25];

fn keeping(builder: ServerBuilder) -> ServerBuilder {
    builder.keep_unsent(true)
}

fn messages() -> Vec<Vec<u8>> {
    LENS.iter().enumerate().map(|(number, len)| numbered(number, *len)).collect()
}

/// A peer that has taken the first `taken` bytes of these messages, and then no more.
fn behind(writes: Writes, taken: usize, messages: &[Vec<u8>]) -> (Started, Valve, Connection) {
    let (started, valves) = valve::start_server(writes, keeping);
    let valve = valves.connect();
    let connection = connected(&started.events);
    valve.allow(taken);
    messages.iter().for_each(|message| connection.send(message).unwrap());
    until("the peer has taken what it may", || valve.is_spent());
    assert_eq!(connection.take_unsent(), [b""; 0], "before the end");
    (started, valve, connection)
}

/// Of what was accepted the peer has the first messages, and the others are handed back, each of them whole.
fn assert_nothing_lost(connection: &Connection, reason: &DisconnectReason, valve: &Valve, accepted: &[Vec<u8>]) {
    let unsent = connection.take_unsent();
    assert_eq!(unsent.len() as u64, reason.undelivered.unsent.messages, "{reason}");
    let taken: Vec<_> = valve.messages().into_iter().filter(|message| message != b"disconnect").collect();
    let shown = |messages: &[Vec<u8>]| messages.iter().map(|message| number_of(message)).collect::<Vec<_>>();
    assert_eq!(shown(&[taken, unsent].concat()), shown(accepted));
    assert_eq!(connection.take_unsent(), [b""; 0], "only once");
}

/// Every byte of the short ones, and around every edge of the others.
fn moments() -> impl Iterator<Item = usize> {
    let ends = LENS.iter().scan(0, |end, len| {
        *end += len + 1;
        Some(*end)
    });
    let total: usize = LENS.iter().map(|len| len + 1).sum();
    let edges = ends.flat_map(|end| end.saturating_sub(2)..end + 2);
    (0..70).chain(edges).chain([2000, 40_000]).filter(move |taken| *taken < total)
}

#[test]
fn an_abort_at_any_moment_hands_back_what_the_peer_has_not_taken() {
    for writes in EITHER {
        for taken in moments() {
            let accepted = messages();
            let (started, valve, connection) = behind(writes, taken, &accepted);
            connection.abort();
            let reason = disconnected(&started.events);
            assert_nothing_lost(&connection, &reason, &valve, &accepted);
        }
    }
}

#[test]
fn a_peer_that_is_gone_in_the_middle_of_a_message_did_not_get_it() {
    for writes in EITHER {
        for taken in [0, 10, 21, 200, 3000, 50_000] {
            let accepted = messages();
            let (started, valve, connection) = behind(writes, taken, &accepted);
            valve.reset();
            let reason = disconnected(&started.events);
            assert!(matches!(reason.cause, DisconnectCause::Io { .. }), "{reason}");
            assert_nothing_lost(&connection, &reason, &valve, &accepted);
        }
    }
}

/// Ended in the middle of the very write, of which a part has been taken.
#[test]
fn an_abort_during_a_write_hands_back_the_message_whole() {
    let (started, valves) = valve::start_server(Writes::Direct, keeping);
    let valve = valves.connect();
    let connection = connected(&started.events);
    valve.allow(100);
    let ending = connection.clone();
    valve.during_write(move || ending.abort());
    let accepted = [numbered(0, 3000)];
    connection.send(&accepted[0]).unwrap();
    let reason = disconnected(&started.events);
    assert_nothing_lost(&connection, &reason, &valve, &accepted);
}

/// However each was accepted, all of it is in one order: also what nobody has taken out of the intake.
#[test]
fn what_was_queued_is_handed_back_in_its_place() {
    let seed = Seed::new();
    let time = Duration::from_millis(20);
    let hasty = Closing::new().flush_timeout(time).drain_timeout(time).close_timeout(time);
    for round in 0..300 {
        let mut random = seed.random(round);
        let writes = *random.pick(&EITHER);
        let (started, valves) = valve::start_server(writes, |builder| keeping(builder).closing(hasty));
        let valve = valves.connect();
        let connection = connected(&started.events);
        let mut accepted = Vec::new();
        for _ in 0..random.skewed(200) {
            let message = numbered(accepted.len(), *random.pick(&LENS));
            match random.within(0..=9) {
                0 => connection.send(&message).unwrap(),
                1 | 2 => assert_eq!(started.server.broadcast(&message).unwrap(), 1),
                3 | 4 => assert_eq!(started.server.queue_broadcast(&message).unwrap(), 1),
                5 => assert_eq!(connection.send_all([&message]).unwrap(), 1),
                6 => {
                    valve.allow(random.skewed(3000));
                    continue;
                }
                _ => connection.queue(&message).unwrap(),
            }
            accepted.push(message);
        }
        match random.within(0..=2) {
            0 => connection.abort(),
            1 => valve.reset(),
            _ => connection.close(),
        }
        let reason = disconnected(&started.events);
        assert_nothing_lost(&connection, &reason, &valve, &accepted);
        assert_adds_up(&connection.stats().traffic);
    }
}

#[test]
fn a_slow_consumer_is_owed_what_its_queue_held() {
    let limit = |builder: ServerBuilder| keeping(builder).max_sent_len(1000).max_queued_bytes(20_000);
    for writes in EITHER {
        let (started, valves) = valve::start_server(writes, limit);
        let valve = valves.connect();
        let connection = connected(&started.events);
        valve.allow(500);
        let mut accepted = Vec::new();
        let refused = loop {
            let message = numbered(accepted.len(), 700);
            match connection.send(&message) {
                Ok(()) => accepted.push(message),
                Err(error) => break error,
            }
        };
        assert!(matches!(refused, Error::SlowConsumer { .. }), "{refused}");
        let reason = disconnected(&started.events);
        assert!(accepted.len() > 20);
        assert_nothing_lost(&connection, &reason, &valve, &accepted);
    }
}

/// The goodbye is not the program's.
#[test]
fn a_close_that_takes_too_long_hands_back_the_messages_and_not_the_goodbye() {
    let time = Duration::from_millis(50);
    let hasty = Closing::new().flush_timeout(time).drain_timeout(time).close_timeout(time);
    let total: usize = LENS.iter().map(|len| len + 1).sum();
    for taken in [0, 30, 5000, total - 1, total, total + 5] {
        let (started, valves) = valve::start_server(Writes::Direct, |builder| keeping(builder).closing(hasty));
        let valve = valves.connect();
        let connection = connected(&started.events);
        valve.allow(taken);
        let accepted = messages();
        accepted.iter().for_each(|message| connection.send(message).unwrap());
        connection.close();
        let reason = disconnected(&started.events);
        assert_nothing_lost(&connection, &reason, &valve, &accepted);
    }
}

#[test]
fn what_was_replaced_is_gone_and_the_newest_is_handed_back() {
    let (started, valves) = valve::start_server(Writes::Direct, |builder| {
        keeping(builder).key(key::prefix(b':')).delivery(Delivery::new().conflate(true))
    });
    let valve = valves.connect();
    let connection = connected(&started.events);
    valve.allow(3);
    for message in ["event 1", "speed:1", "lap:1", "speed:2", "event 2", "lap:2", "speed:3"] {
        connection.send(message.as_bytes()).unwrap();
    }
    connection.abort();
    let reason = disconnected(&started.events);
    let unsent = connection.take_unsent();
    // A newer one has the place of the one before.
    assert_eq!(unsent, [&b"event 1"[..], b"speed:3", b"lap:2", b"event 2"]);
    assert_eq!(unsent.len() as u64, reason.undelivered.unsent.messages);
    assert_eq!(connection.stats().traffic.conflated.messages, 3);
}

#[test]
fn what_waits_for_its_interval_is_handed_back() {
    let slowly = Delivery::new().min_interval(Duration::from_secs(3600));
    let (started, valves) =
        valve::start_server(Writes::Direct, |builder| keeping(builder).key(key::prefix(b':')).delivery(slowly));
    let valve = valves.connect();
    let connection = connected(&started.events);
    valve.open();
    for message in ["speed:1", "speed:2", "lap:1", "lap:2", "speed:3"] {
        connection.send(message.as_bytes()).unwrap();
    }
    connection.abort();
    let reason = disconnected(&started.events);
    assert_eq!(valve.messages(), [&b"speed:1"[..], b"lap:1"]);
    assert_eq!(connection.take_unsent(), [&b"speed:3"[..], b"lap:2"]);
    assert_eq!(reason.undelivered.unsent.messages, 2);
}

/// Messages that several peers share, gathered or not, and of which each has taken another part.
#[test]
fn each_peer_is_owed_its_own_part_of_what_was_broadcast() {
    for taken in [0, 500, 12_345, 64 * 1024] {
        let (started, valves) = valve::start_server(Writes::Direct, keeping);
        let [(reads, to_reader), (stops, to_stopper)] =
            [(); 2].map(|()| (valves.connect(), connected(&started.events)));
        reads.open();
        stops.allow(taken);
        let accepted: Vec<_> = (0..1500).map(|number| numbered(number, 60)).collect();
        for message in &accepted {
            assert_eq!(started.server.broadcast(message).unwrap(), 2);
        }
        until("the peer has taken what it may", || stops.is_spent());
        to_stopper.abort();
        let reason = disconnected(&started.events);
        assert_nothing_lost(&to_stopper, &reason, &stops, &accepted);
        reads.wait_for_end(&[&numbered(1499, 60)[..], b";"].concat());
        to_reader.abort();
        let reason = disconnected(&started.events);
        assert_nothing_lost(&to_reader, &reason, &reads, &accepted);
    }
}

#[test]
fn what_was_dropped_for_want_of_room_is_not_handed_back() {
    let dropping = |builder: ServerBuilder| {
        keeping(builder).max_sent_len(1000).max_queued_bytes(10_000).slow_consumer(SlowConsumer::DropOldest)
    };
    let (started, valves) = valve::start_server(Writes::Direct, dropping);
    let valve = valves.connect();
    let connection = connected(&started.events);
    valve.allow(100);
    connection.send(&numbered(0, 700)).unwrap();
    // Otherwise its writing thread may have all of the queue in hand, of which nothing can be dropped.
    valve.wait_until_blocked();
    (1..50).for_each(|number| connection.send(&numbered(number, 700)).unwrap());
    connection.abort();
    let reason = disconnected(&started.events);
    let unsent: Vec<_> = connection.take_unsent().iter().map(|message| number_of(message)).collect();
    let (kept, dropped) = (reason.undelivered.unsent.messages, reason.undelivered.dropped.messages);
    assert_eq!(kept + dropped, 50);
    assert_eq!(unsent.len() as u64, kept);
    // The first one had been begun, and cannot be dropped.
    assert_eq!(unsent[0], 0);
    assert_eq!(unsent[1..], (51 - unsent.len()..50).collect::<Vec<_>>());
}

#[test]
fn nothing_is_kept_unless_it_is_asked_for() {
    let (started, valves) = valve::start_server(Writes::Direct, |builder| builder);
    let _valve = valves.connect();
    let connection = connected(&started.events);
    connection.send(b"m1").unwrap();
    connection.abort();
    assert_eq!(disconnected(&started.events).undelivered.unsent.messages, 1);
    assert_eq!(connection.take_unsent(), [b""; 0]);
}

/// Kept for a program that hears of the end elsewhere; it counts for no limit any more.
#[test]
fn what_is_kept_keeps_no_room_from_others() {
    let (started, valves) = valve::start_server(Writes::Direct, |builder| {
        let limits = leads_comm::MemoryLimits::new().max_total_queued_bytes(40_000);
        keeping(builder).max_sent_len(1000).max_queued_bytes(30_000).memory_limits(limits)
    });
    let mut kept = Vec::new();
    for _ in 0..5 {
        let _valve = valves.connect();
        let connection = connected(&started.events);
        (0..20).for_each(|number| connection.send(&numbered(number, 1000)).unwrap());
        connection.abort();
        disconnected(&started.events);
        kept.push(connection);
    }
    assert!(kept.iter().all(|connection| connection.take_unsent().len() == 20));
}

/// What was to wait for a connection that never came.
#[test]
fn a_client_hands_back_what_it_has_kept_while_it_was_offline() {
    for keeps in [true, false] {
        let (callback, events) = recorder();
        let client = Client::builder()
            .port(free_port())
            .reconnect(Reconnect::new().at_start(true).keep_bytes(100_000))
            .keep_unsent(keeps)
            .callback(callback)
            .build()
            .unwrap();
        client.start("127.0.0.1", true).unwrap();
        client.send(b"m1").unwrap();
        client.send_all(["m2", "m3"]).unwrap();
        assert_eq!(client.take_unsent(), [b""; 0], "before the end");
        client.close();
        let unsent = find(&events, |event| match event {
            Event::Fail { error: Error::Unsent { messages, .. }, .. } => Some(messages),
            _ => None,
        });
        assert_eq!(unsent, 3);
        let expected: &[&[u8]] = if keeps { &[b"m1", b"m2", b"m3"] } else { &[] };
        assert_eq!(client.take_unsent(), expected);
        assert_eq!(client.take_unsent(), [b""; 0], "only once");
    }
}

//! What is queued is written by the pump, in one order with what is sent, and under the same rules.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::{Connection, Delivery, DisconnectCause, Error, OutboundLimit, Server, SlowConsumer, Snapshot, key};
use leads_comm_testing::account::assert_adds_up;
use leads_comm_testing::valve::{self, EITHER, Valve, Valves, Writes};
use leads_comm_testing::*;

use super::conflation::texts;

const LONG: Duration = Duration::from_secs(60);

/// What a message takes of a queue besides its own bytes.
const OVERHEAD: usize = 1 + 64;

const QUEUE: usize = 20_000;
const LEN: usize = 1000;

over_every_transport! {
    fn what_is_queued_comes_by_itself(net: Net) {
        let started = net.start_server(|builder| builder);
        let (client, client_events) = started.start_client();
        let connection = connected(&started.events);
        for number in 0..20 {
            client.queue(&numbered(number, 30)).unwrap();
            connection.queue(&numbered(number, 30)).unwrap();
            // Nothing else is sent, so each has to come before the next one goes.
            assert_eq!(number_of(&received(&started.events)), number);
            assert_eq!(number_of(&received(&client_events)), number);
        }
    }

    fn queued_and_sent_are_one_order(net: Net) {
        let started = net.start_server(|builder| builder.slow_consumer(SlowConsumer::Block(LONG)));
        let (client, client_events) = started.start_client();
        let connection = connected(&started.events);
        let server = started.server.clone();
        in_time("sending", move || {
            for number in 0..3000 {
                let len = if number % 500 == 7 { 100_000 } else { 30 };
                let message = numbered(number, len);
                match number % 11 {
                    0 => connection.send(&message).unwrap(),
                    1 => drop(server.broadcast(&message).unwrap()),
                    2 => drop(connection.send_all([&message]).unwrap()),
                    3 | 4 => assert_eq!(server.queue_broadcast(&message).unwrap(), 1),
                    _ => connection.queue(&message).unwrap(),
                }
            }
        });
        for number in 0..3000 {
            assert_eq!(number_of(&received(&client_events)), number);
        }
        assert_adds_up(&started.server.stats().traffic);
        drop(client);
    }

    fn a_flush_writes_what_is_queued(net: Net) {
        let started = net.start_server(|builder| builder);
        let (client, _client_events) = started.start_client();
        let connection = connected(&started.events);
        for number in 0..100 {
            connection.queue(&numbered(number, 20)).unwrap();
            client.queue(&numbered(number, 20)).unwrap();
            connection.flush(LONG).unwrap();
            client.flush(LONG).unwrap();
            assert_eq!((connection.queued_bytes(), client.connection().unwrap().queued_bytes()), (0, 0));
            assert_eq!(connection.stats().traffic.written.messages, number as u64 + 1);
        }
    }

    fn a_close_sends_what_is_queued(net: Net) {
        for round in 0..20 {
            let started = net.start_server(|builder| builder);
            let (client, client_events) = started.start_client();
            let connection = connected(&started.events);
            for number in 0..round {
                connection.queue(&numbered(number, 20)).unwrap();
            }
            match round % 2 {
                0 => connection.close(),
                _ => started.server.close(),
            }
            assert!(matches!(connection.queue(b"late"), Err(Error::Disconnected)));
            for number in 0..round {
                assert_eq!(number_of(&received(&client_events)), number);
            }
            assert!(matches!(disconnected(&client_events).cause, DisconnectCause::PeerGoodbye));
            assert_eq!(disconnected(&started.events).undelivered.unsent.messages, 0);
            assert!(matches!(client.queue(b"late"), Err(Error::NotConnected | Error::Disconnected)));
        }
    }

    fn several_threads_queue_and_send(net: Net) {
        const MESSAGES: usize = 2000;
        let started = net.start_server(|builder| builder.slow_consumer(SlowConsumer::Block(LONG)));
        let (client, client_events) = started.start_client();
        let connection = connected(&started.events);
        let threads = [false, true, false, true].map(|queues| {
            let connection = connection.clone();
            thread::spawn(move || {
                for number in 0..MESSAGES {
                    let text = format!("{:?}/{number}", thread::current().id());
                    // The queue holds all of them, so that nothing is refused.
                    match queues {
                        true => connection.queue(text.as_bytes()).unwrap(),
                        false => connection.send(text.as_bytes()).unwrap(),
                    }
                }
            })
        });
        let mut next = std::collections::HashMap::new();
        for _ in 0..threads.len() * MESSAGES {
            let message = String::from_utf8(received(&client_events)).unwrap();
            let (thread, number) = message.split_once('/').unwrap();
            let next = next.entry(thread.to_owned()).or_insert(0);
            assert_eq!(number.parse(), Ok(*next), "{thread}");
            *next += 1;
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        drop(client);
    }
}

/// A peer that has taken the first message and waits with the second, and how it is served.
fn behind(writes: Writes, delivery: Delivery) -> (Started, Valves, Valve, Connection) {
    let (started, valves) =
        valve::start_server(writes, |builder| builder.max_sent_len(LEN).key(key::prefix(b':')).delivery(delivery));
    let valve = valves.connect();
    let connection = connected(&started.events);
    super::conflation::fall_behind(&valve, &connection);
    (started, valves, valve, connection)
}

/// Queues until that is refused, with how many were accepted.
fn fill(connection: &Connection) -> (usize, Error) {
    for sent in 0.. {
        if let Err(error) = connection.queue(&numbered(sent, LEN)) {
            return (sent, error);
        }
    }
    unreachable!("the queue has a limit")
}

/// How many messages of [`LEN`] a queue of [`QUEUE`] takes besides the first one, which waits.
const FULL: usize = (QUEUE - 5 - OVERHEAD) / (LEN + OVERHEAD);

fn policy(slow_consumer: SlowConsumer) -> Delivery {
    Delivery::new().max_queued_bytes(QUEUE).slow_consumer(slow_consumer)
}

#[test]
fn a_full_queue_ends_the_connection_where_that_is_the_policy() {
    for writes in EITHER {
        let (started, _valves, _valve, connection) = behind(writes, policy(SlowConsumer::Disconnect));
        let (accepted, error) = fill(&connection);
        assert!(matches!(error, Error::SlowConsumer { limit: OutboundLimit::QueuedBytes(QUEUE) }), "{error}");
        assert_eq!(accepted, FULL, "{writes:?}");
        let reason = disconnected(&started.events);
        assert!(matches!(reason.cause, DisconnectCause::SlowConsumer { .. }), "{reason}");
        assert_eq!(reason.undelivered.unsent.messages, FULL as u64 + 1);
    }
}

/// Nobody waits: not for a minute, and not at all.
#[test]
fn a_full_queue_refuses_where_the_policy_is_to_wait_or_to_drop_the_newest() {
    for slow_consumer in [SlowConsumer::Block(LONG), SlowConsumer::DropNewest] {
        for writes in EITHER {
            let (started, _valves, valve, connection) = behind(writes, policy(slow_consumer));
            let (accepted, error) = in_time("queue", {
                let connection = connection.clone();
                move || fill(&connection)
            });
            assert!(matches!(error, Error::Dropped { limit: OutboundLimit::QueuedBytes(QUEUE) }), "{error}");
            assert_eq!(started.server.queue_broadcast(&numbered(0, LEN)).unwrap(), 0);
            assert_eq!(accepted, FULL, "{slow_consumer:?} {writes:?}");
            assert_eq!(connection.stats().traffic.rejected.messages, 2);
            valve.open();
            connection.flush(LONG).unwrap();
            connection.queue(b"again").unwrap();
            valve.wait_for_end(b"again;");
            assert_eq!(valve.messages().len(), 1 + FULL + 1);
            assert_adds_up(&started.server.stats().traffic);
        }
    }
}

#[test]
fn a_full_queue_loses_the_oldest_where_that_is_the_policy() {
    for writes in EITHER {
        let (started, _valves, valve, connection) = behind(writes, policy(SlowConsumer::DropOldest));
        for number in 0..5 * FULL {
            connection.queue(&numbered(number, LEN)).unwrap();
        }
        let dropped = connection.stats().traffic.dropped.messages as usize;
        assert_eq!(dropped, 4 * FULL, "{writes:?}");
        valve.open();
        valve.wait_for_end(&[&numbered(5 * FULL - 1, LEN)[..], b";"].concat());
        let numbers: Vec<_> = valve.messages()[1..].iter().map(|message| number_of(message)).collect();
        assert_eq!(numbers, (4 * FULL..5 * FULL).collect::<Vec<_>>());
        assert_adds_up(&started.server.stats().traffic);
    }
}

/// The queue is full because the pump has not looked yet: the peer is not slow.
#[test]
fn a_burst_that_is_longer_than_the_queue_ends_no_peer_that_reads() {
    let started = Net::Tcp.start_server(|builder| builder.max_sent_len(LEN).max_queued_bytes(QUEUE));
    let (_client, client_events) = started.start_client();
    let connection = connected(&started.events);
    for number in 0..20 * FULL {
        match connection.queue(&numbered(number, LEN)) {
            Ok(()) => {}
            // In the middle of a write of the pump's.
            Err(Error::Dropped { .. }) => {
                connection.flush(LONG).unwrap();
                connection.queue(&numbered(number, LEN)).unwrap();
            }
            Err(error) => panic!("{error}"),
        }
    }
    for number in 0..20 * FULL {
        assert_eq!(number_of(&received(&client_events)), number);
    }
}

/// The same where a thread of the connection's own writes, which nobody has told of what is queued. Now and then the pump
/// tells it in the middle of the burst: then it has the queue's beginning in hand, and the peer is behind.
#[test]
fn a_queue_that_is_full_before_anybody_writes_ends_no_peer() {
    for writes in EITHER {
        assert!((0..10).any(|_| outlives_a_burst(writes)), "{writes:?}");
    }
}

/// Whether a peer that reads stays when more is queued at once than may wait for it.
fn outlives_a_burst(writes: Writes) -> bool {
    let (started, valves) = valve::start_server(writes, |builder| builder.max_sent_len(LEN).max_queued_bytes(QUEUE));
    let valve = valves.connect();
    valve.open();
    let connection = connected(&started.events);
    connection.send(b"first").unwrap();
    connection.flush(LONG).unwrap();
    let mut accepted = 0;
    let refused = (0..2 * FULL).find_map(|number| {
        let refused = connection.queue(&numbered(number, LEN)).err();
        accepted += usize::from(refused.is_none());
        refused
    });
    match refused {
        None | Some(Error::Dropped { .. }) => {}
        Some(Error::SlowConsumer { .. }) => return false,
        Some(error) => panic!("{writes:?}: {error:?}"),
    }
    // Who may wait a moment is not refused either.
    connection.send(b"behind").unwrap();
    connection.flush(LONG).unwrap();
    assert_eq!(valve.messages().len(), 1 + accepted + 1);
    assert_adds_up(&started.server.stats().traffic);
    true
}

#[test]
fn what_is_queued_and_not_written_is_counted_as_unsent() {
    for writes in EITHER {
        let (started, _valves, _valve, connection) = behind(writes, Delivery::new());
        for number in 0..10 {
            connection.queue(&numbered(number, 20)).unwrap();
        }
        assert_eq!(connection.stats().traffic.waiting.messages, 11);
        assert_eq!(connection.queued_bytes(), 5 + OVERHEAD + 10 * (20 + OVERHEAD));
        connection.abort();
        assert!(matches!(connection.queue(b"late"), Err(Error::Disconnected)));
        let unsent = disconnected(&started.events).undelivered.unsent;
        assert_eq!((unsent.messages, unsent.bytes), (11, 6 + 10 * 21), "{writes:?}");
    }
}

#[test]
fn for_who_is_behind_the_newest_of_a_key_is_queued() {
    for writes in EITHER {
        let (started, _valves, valve, connection) = behind(writes, Delivery::new().conflate(true));
        for message in ["a:1", "lap", "b:1", "a:2", "pit", "a:3"] {
            connection.queue(message.as_bytes()).unwrap();
        }
        assert_eq!(started.server.queue_broadcast(b"b:2 is longer").unwrap(), 1);
        assert_eq!(connection.stats().traffic.conflated.messages, 3, "{writes:?}");
        valve.open();
        connection.flush(LONG).unwrap();
        assert_eq!(texts(&valve), ["first", "a:3", "lap", "b:2 is longer", "pit"]);
        assert_adds_up(&started.server.stats().traffic);
    }
}

#[test]
fn what_comes_too_soon_behind_its_key_waits_for_its_interval() {
    let delivery = Delivery::new().min_interval(Duration::from_millis(300));
    let (started, valves) =
        valve::start_server(Writes::Direct, |builder| builder.key(key::prefix(b':')).delivery(delivery));
    let valve = valves.connect();
    valve.open();
    let connection = connected(&started.events);
    for message in ["a:1", "a:2", "b:1", "a:3", "lap"] {
        connection.queue(message.as_bytes()).unwrap();
    }
    valve.wait_for_end(b"a:3;");
    assert_eq!(texts(&valve), ["a:1", "b:1", "lap", "a:3"]);
    assert_eq!(connection.stats().traffic.conflated.messages, 1);
}

/// The pump comes late to what waits for its interval: by then something newer has been queued.
#[test]
fn what_is_queued_takes_the_place_of_what_waits_for_its_interval() {
    let interval = Duration::from_millis(200);
    let (started, valves) = valve::start_server(Writes::Direct, |builder| {
        builder.key(key::prefix(b':')).delivery(Delivery::new().min_interval(interval))
    });
    let [(valve, connection), (holding, to_holding)] = [(); 2].map(|()| {
        let valve = valves.connect();
        valve.open();
        (valve, connected(&started.events))
    });
    connection.send(b"a:1").unwrap();
    connection.send(b"a:2").unwrap();
    let sent = Instant::now();
    let (held, is_held) = mpsc::channel();
    let (going_on, go_on) = mpsc::channel();
    holding.during_write(move || {
        held.send(()).unwrap();
        go_on.recv_timeout(PATIENCE).unwrap();
    });
    to_holding.queue(b"b:1").unwrap();
    is_held.recv_timeout(PATIENCE).unwrap();
    until("the interval is over", || sent.elapsed() > interval);
    connection.queue(b"a:3").unwrap();
    going_on.send(()).unwrap();
    valve.wait_for_end(b"a:3;");
    assert_eq!(texts(&valve), ["a:1", "a:3"]);
    assert_eq!(connection.stats().traffic.conflated.messages, 1);
}

#[test]
fn what_is_queued_for_everyone_goes_through_filters_and_is_kept_for_newcomers() {
    let (started, valves) =
        valve::start_server(Writes::Direct, |builder| builder.key(key::prefix(b':')).snapshot(Snapshot::new()));
    let [all, some] = [(); 2].map(|()| {
        let valve = valves.connect();
        valve.open();
        (valve, connected(&started.events))
    });
    some.1.set_delivery(Delivery::new().filter(|key, _| key.is_some_and(|key| key.as_bytes() == b"b"))).unwrap();
    assert_eq!(started.server.queue_broadcast(b"a:1").unwrap(), 1);
    assert_eq!(started.server.queue_broadcast(b"b:1").unwrap(), 2);
    all.0.wait_for_end(b"a:1;b:1;");
    some.0.wait_for_end(b"b:1;");
    assert_eq!(texts(&some.0), ["b:1"]);
    assert_eq!(some.1.stats().traffic.filtered.messages, 1);
    let newcomer = valves.connect();
    newcomer.open();
    newcomer.wait_for_end(b"a:1;b:1;");
    assert!(matches!(started.server.queue_broadcast(b"a;b"), Err(Error::InvalidMessage(_))));
}

/// What is longer than the short copies that each queue has is one piece of memory for all.
#[test]
fn what_is_queued_for_everyone_waits_in_one_copy() {
    let limits = leads_comm::MemoryLimits::new().max_total_queued_bytes(200_000);
    let (started, valves) = valve::start_server(Writes::Direct, |builder| {
        builder.max_sent_len(50_000).max_queued_bytes(100_000).memory_limits(limits)
    });
    let peers: Vec<_> = (0..20).map(|_| (valves.connect(), connected(&started.events))).collect();
    for (valve, connection) in &peers {
        super::conflation::fall_behind(valve, connection);
    }
    assert_eq!(started.server.queue_broadcast(&numbered(1, 50_000)).unwrap(), 20);
    for (valve, connection) in &peers {
        valve.open();
        connection.flush(LONG).unwrap();
        assert_eq!(number_of(&valve.messages()[1]), 1);
    }
}

/// A peer that takes what it is sent, and may lose messages, beside others that have used up what all may hold.
#[test]
fn what_finds_no_memory_is_refused_at_once() {
    let limits = leads_comm::MemoryLimits::new().max_total_queued_bytes(200_000);
    let (started, valves) = valve::start_server(Writes::Direct, |builder| {
        let patient = Delivery::new().max_queued_bytes(100_000).slow_consumer(SlowConsumer::Block(LONG));
        builder.max_sent_len(LEN).delivery(patient).memory_limits(limits)
    });
    let full: Vec<_> = (0..3).map(|_| (valves.connect(), connected(&started.events))).collect();
    for (valve, connection) in &full {
        super::conflation::fall_behind(valve, connection);
        assert!(matches!(fill(connection).1, Error::Dropped { .. }));
    }
    for slow_consumer in [SlowConsumer::DropOldest, SlowConsumer::DropNewest] {
        let (_valve, connection) = (valves.connect(), connected(&started.events));
        connection.set_delivery(policy(slow_consumer)).unwrap();
        let error = in_time("queue", move || connection.queue(&numbered(0, LEN)).unwrap_err());
        assert!(matches!(error, Error::Dropped { limit: OutboundLimit::TotalQueuedBytes(200_000) }), "{error:?}");
        // Those who wait for nobody have got none of it.
        assert_eq!(started.server.queue_broadcast(&numbered(0, LEN)).unwrap(), 0);
    }
}

#[test]
fn messages_of_one_look_are_one_write() {
    let (started, valves) = valve::start_server(Writes::Direct, |builder| builder);
    let valve = valves.connect();
    let connection = connected(&started.events);
    let (queued, wait) = mpsc::channel();
    // The pump is in the middle of its first write, while the others are queued.
    valve.during_write(move || wait.recv_timeout(PATIENCE).unwrap());
    valve.open();
    for number in 0..1000 {
        connection.queue(&numbered(number, 20)).unwrap();
    }
    queued.send(()).unwrap();
    valve.wait_for_end(&[&numbered(999, 20)[..], b";"].concat());
    let writes = valve.writes().len();
    assert!(writes <= 2, "{writes} writes");
    drop(started);
}

#[test]
fn a_handle_of_a_server_that_is_not_started_queues_for_nobody() {
    let server = Server::builder().port(0).build().unwrap();
    assert_eq!(server.queue_broadcast(b"anybody?").unwrap(), 0);
}

//! Flushing: what `Ok` promises, and what every other outcome says.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use leads_comm::{Callback, Connection, Error, Service, SlowConsumer};
use leads_comm_testing::valve::{self, EITHER};
use leads_comm_testing::*;

/// Long enough never to be over in a test.
const LONG: Duration = Duration::from_secs(60);

/// Over soon, where it is to be over.
const SHORT: Duration = Duration::from_millis(50);

const LEN: usize = 1000;

fn bytes_left(flushed: Result<(), Error>) -> usize {
    match flushed {
        Err(Error::NotFlushed { bytes }) => bytes,
        other => panic!("{other:?}"),
    }
}

/// Sends until a peer that does not read takes no more, and a good deal is left.
fn stall(connection: &Connection) -> usize {
    let mut sent = 0;
    while connection.queued_bytes() < 1_000_000 {
        connection.send(&numbered(sent, 50_000)).unwrap();
        sent += 1;
    }
    sent
}

over_every_transport! {
    fn ok_says_that_nothing_waits_also_in_a_tight_loop(net: Net) {
        let started = net.start_server(|builder| builder.slow_consumer(SlowConsumer::Block(LONG)));
        let (client, client_events) = started.start_client();
        let connection = connected(&started.events);
        let (server, to) = (started.server.clone(), connection.clone());
        in_time("flushing", move || {
            for number in 0..3000 {
                match number % 3 {
                    0 => drop(server.broadcast(&numbered(number, 20)).unwrap()),
                    _ => to.send(&numbered(number, 20)).unwrap(),
                }
                if number % 7 == 0 {
                    to.flush(LONG).unwrap();
                    assert_eq!(to.queued_bytes(), 0);
                }
                if number % 100 == 0 {
                    server.flush(LONG).unwrap();
                    assert_eq!(to.queued_bytes(), 0);
                }
            }
            for number in 0..3000 {
                client.send(&numbered(number, 20)).unwrap();
                if number % 10 == 0 {
                    client.flush(LONG).unwrap();
                    assert_eq!(client.connection().unwrap().queued_bytes(), 0);
                }
            }
        });
        for events in [&started.events, &client_events] {
            for number in 0..3000 {
                assert_eq!(number_of(&received(events)), number);
            }
        }
    }

    fn a_stalled_peer_is_not_flushed_until_it_reads(net: Net) {
        let started = net.start_server(|builder| builder);
        let raw = started.raw();
        let connection = connected(&started.events);
        let sent = stall(&connection);
        for flushed in [connection.flush(SHORT), started.server.flush(SHORT), connection.flush(Duration::ZERO)] {
            let left = bytes_left(flushed);
            // A stream may hold some of it, which is in no queue.
            assert!((1..=connection.queued_bytes() + 64 * 1024).contains(&left), "{left}");
        }
        let flushing = thread::spawn({
            let connection = connection.clone();
            move || connection.flush(LONG)
        });
        let messages = raw.into_messages();
        in_time("flush", || flushing.join().unwrap()).unwrap();
        assert_eq!(connection.queued_bytes(), 0);
        for number in 0..sent {
            assert_eq!(number_of(&messages.recv_timeout(PATIENCE).unwrap()), number);
        }
        started.server.flush(LONG).unwrap();
    }

    fn a_flush_ends_with_its_connection(net: Net) {
        let started = net.start_server(|builder| builder);
        let raw = started.raw();
        let connection = connected(&started.events);
        stall(&connection);
        let flushing: Vec<_> = (0..3)
            .map(|_| {
                let connection = connection.clone();
                thread::spawn(move || connection.flush(LONG))
            })
            .collect();
        let server = started.server.clone();
        let of_the_server = thread::spawn(move || server.flush(LONG));
        bytes_left(connection.flush(SHORT));
        connection.abort();
        for flushing in flushing {
            let flushed = in_time("flush", || flushing.join().unwrap());
            assert!(matches!(flushed, Err(Error::Disconnected)), "{flushed:?}");
        }
        // The reason tells what was lost; the others are flushed.
        in_time("flush", || of_the_server.join().unwrap()).unwrap();
        assert!(disconnected(&started.events).undelivered.unsent.bytes > 0);
        assert!(matches!(connection.flush(LONG), Err(Error::Disconnected)));
        drop(raw);
    }

    fn one_stalled_peer_of_many_does_not_keep_the_others_from_being_flushed(net: Net) {
        let started = net.start_server(|builder| builder);
        let stalled = started.raw();
        let to_stalled = connected(&started.events);
        let healthy: Vec<_> = (0..4).map(|_| (started.raw().into_messages(), connected(&started.events))).collect();
        stall(&to_stalled);
        assert_eq!(started.server.broadcast(b"news").unwrap(), 5);
        for (messages, connection) in &healthy {
            connection.flush(LONG).unwrap();
            assert_eq!(connection.queued_bytes(), 0);
            assert_eq!(messages.recv_timeout(PATIENCE).unwrap(), b"news");
        }
        assert!(bytes_left(started.server.flush(SHORT)) > 0);
        let _reading = stalled.into_messages();
        let server = started.server.clone();
        in_time("flush", move || server.flush(LONG)).unwrap();
        assert!(started.server.connections().iter().all(|connection| connection.queued_bytes() == 0));
    }

    fn callbacks_may_flush(net: Net) {
        struct Flush(mpsc::Sender<(bool, bool, usize)>);

        impl Callback for Flush {
            fn on_receive(&self, service: &dyn Service, connection: &Connection, message: &[u8]) {
                for _ in 0..20 {
                    connection.send(message).unwrap();
                    service.broadcast(message).unwrap();
                }
                let flushed = (connection.flush(LONG).is_ok(), service.flush(LONG).is_ok(), connection.queued_bytes());
                self.0.send(flushed).unwrap();
            }
        }

        let (flushed, outcomes) = mpsc::channel();
        let started = net.start_server(|builder| builder.callback(Flush(flushed)));
        let (client, events) = started.start_client();
        client.send(b"echo").unwrap();
        assert_eq!(outcomes.recv_timeout(PATIENCE).unwrap(), (true, true, 0));
        for _ in 0..40 {
            assert_eq!(received(&events), b"echo");
        }
    }
}

/// Exact, where the peer takes exactly so much.
#[test]
fn a_flush_tells_how_many_bytes_are_left() {
    for writes in EITHER {
        let (started, valves) = valve::start_server(writes, |builder| builder);
        let valve = valves.connect();
        let connection = connected(&started.events);
        for number in 0..10 {
            connection.send(&numbered(number, LEN)).unwrap();
        }
        valve.allow(LEN + 1 + 100);
        valve.wait_until_blocked();
        until("the account", || bytes_left(connection.flush(Duration::ZERO)) == 9 * (LEN + 1) - 100);
        assert_eq!(bytes_left(started.server.flush(Duration::ZERO)), 9 * (LEN + 1) - 100);
        valve.open();
        connection.flush(LONG).unwrap();
        assert_eq!(valve.messages().len(), 10);
    }
}

/// Also what has been gathered for many peers, and is in no queue yet.
#[test]
fn what_was_accepted_before_a_flush_is_out_when_it_returns() {
    for writes in EITHER {
        let (started, valves) = valve::start_server(writes, |builder| builder);
        let peers: Vec<_> = (0..2).map(|_| (valves.connect(), connected(&started.events))).collect();
        peers.iter().for_each(|(valve, _)| valve.open());
        let mut sent = 0;
        for rush in 1..100 {
            for number in 0..rush {
                assert_eq!(started.server.broadcast(&numbered(number, 20)).unwrap(), 2);
            }
            sent += rush * 21;
            if rush % 2 == 0 {
                started.server.flush(LONG).unwrap();
            } else {
                peers.iter().for_each(|(_, connection)| connection.flush(LONG).unwrap());
            }
            for (valve, _) in &peers {
                assert_eq!(valve.taken().len(), sent, "{writes:?}, behind a rush of {rush}");
            }
        }
    }
}

/// What comes later is not waited for, even if it never ends.
#[test]
fn a_flush_waits_only_for_what_was_accepted_before() {
    for writes in EITHER {
        let (started, valves) = valve::start_server(writes, |builder| {
            builder.max_sent_len(LEN).max_queued_bytes(10 * LEN).slow_consumer(SlowConsumer::Block(LONG))
        });
        let valve = valves.connect();
        let connection = connected(&started.events);
        let sending = thread::spawn({
            let connection = connection.clone();
            move || while connection.send(&[b'x'; 100]).is_ok() {}
        });
        // Takes a little at a time, so that something waits at every moment.
        let taking = thread::spawn({
            let (valve, connection) = (valve.clone(), connection.clone());
            move || {
                while !connection.is_closed() {
                    if valve.is_spent() && connection.queued_bytes() > 5 * LEN {
                        valve.allow(101);
                    }
                    thread::yield_now();
                }
            }
        });
        until("a full queue", || connection.queued_bytes() > 5 * LEN);
        let flushing = connection.clone();
        in_time("flush", move || (0..3).for_each(|_| flushing.flush(LONG).unwrap()));
        connection.abort();
        in_time("sending", || sending.join().unwrap());
        in_time("taking", || taking.join().unwrap());
    }
}

/// What is dropped is not waited for, but what is not dropped is: a message that has partly been written stays.
#[test]
fn under_drop_oldest_a_flush_waits_for_what_is_left() {
    for writes in EITHER {
        let (started, valves) = valve::start_server(writes, |builder| {
            builder.max_sent_len(LEN).max_queued_bytes(10 * LEN).slow_consumer(SlowConsumer::DropOldest)
        });
        let valve = valves.connect();
        let connection = connected(&started.events);
        valve.allow(LEN / 2);
        connection.send(&numbered(0, LEN)).unwrap();
        valve.wait_for("half a message", |taken| taken.concat().len() == LEN / 2);
        until("the account", || bytes_left(connection.flush(Duration::ZERO)) == LEN + 1 - LEN / 2);
        connection.send(&numbered(1, LEN)).unwrap();
        let (done, flushed) = mpsc::channel();
        let flushing = connection.clone();
        let flush = thread::spawn(move || {
            done.send(None).unwrap();
            done.send(Some(flushing.flush(LONG))).unwrap();
        });
        assert!(flushed.recv_timeout(PATIENCE).unwrap().is_none());
        // The other flush has begun by now, in all likelihood; if it has not, it waits for more, and this shows less.
        bytes_left(connection.flush(SHORT));
        for number in 2..100 {
            connection.send(&numbered(number, LEN)).unwrap();
        }
        assert!(connection.dropped_messages() > 80);
        bytes_left(connection.flush(SHORT));
        assert!(flushed.try_recv().is_err(), "{writes:?}: flushed, with half a message still to be written");
        valve.open();
        assert!(flushed.recv_timeout(PATIENCE).unwrap().unwrap().is_ok(), "{writes:?}");
        flush.join().unwrap();
        connection.flush(LONG).unwrap();
        assert_eq!(connection.queued_bytes(), 0);
        assert_eq!(number_of(valve.messages().last().unwrap()), 99);
    }
}

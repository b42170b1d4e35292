//! What each policy does to a peer that reads too slowly, or not at all.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use leads_comm::{
    Closing, Connection, DisconnectCause, Error, MemoryLimits, OutboundLimit, Server, SlowConsumer, Timeouts, callback,
};
use leads_comm_testing::valve::{self, EITHER, Valve};
use leads_comm_testing::*;

/// Long enough never to be over in a test.
const PATIENT: SlowConsumer = SlowConsumer::Block(Duration::from_secs(60));

/// What a message takes of a queue besides its own bytes.
const OVERHEAD: usize = 1 + 64;

/// The ways in which a message gets to the one peer of a server; how many were accepted.
type Way = fn(&Server, &Connection, &[u8]) -> usize;

const WAYS: [(&str, Way); 4] = [
    ("send", |_, connection, message| match connection.send(message) {
        Ok(()) => 1,
        Err(Error::Dropped { limit: OutboundLimit::QueuedBytes(QUEUE) }) => 0,
        Err(error) => panic!("{error}: {connection:?}"),
    }),
    ("broadcast", |server, _, message| server.broadcast(message).unwrap()),
    ("broadcast_where", |server, _, message| server.broadcast_where(message, |_| true).unwrap()),
    ("send_all", |_, connection, message| connection.send_all([message]).unwrap()),
];

const QUEUE: usize = 20_000;
const LEN: usize = 1000;

fn small(builder: leads_comm::ServerBuilder) -> leads_comm::ServerBuilder {
    builder.max_sent_len(LEN).max_queued_bytes(QUEUE)
}

/// More messages of [`LEN`] than a peer's system and the queue hold together.
fn too_many(net: Net) -> usize {
    net.holds() / LEN
}

over_every_transport! {
    fn disconnect_at_the_queue_limit(net: Net) {
        let started = net.start_server(small);
        let stalled = started.raw();
        let connection = connected(&started.events);
        let sent = in_time("send", {
            let connection = connection.clone();
            move || {
                let mut sent = 0;
                loop {
                    match connection.send(&numbered(sent, LEN)) {
                        Ok(()) => sent += 1,
                        Err(Error::SlowConsumer { limit: OutboundLimit::QueuedBytes(QUEUE) }) => break sent,
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        });
        assert!(connection.is_closed());
        assert!(matches!(connection.send(b"refused"), Err(Error::Disconnected)));
        let reason = disconnected(&started.events);
        assert!(
            matches!(reason.cause, DisconnectCause::SlowConsumer { limit: OutboundLimit::QueuedBytes(QUEUE) }),
            "{reason:?}"
        );
        let undelivered = reason.undelivered;
        assert!((1..=sent as u64).contains(&undelivered.unsent.messages), "{undelivered:?}");
        assert!(undelivered.unsent.bytes <= undelivered.unsent.messages * (LEN as u64 + 1), "{undelivered:?}");
        assert_eq!((undelivered.dropped.messages, connection.dropped_messages()), (0, 0));
        drop(stalled);
    }

    fn a_peer_that_takes_nothing_is_ended_under_every_policy(net: Net) {
        const STALL: Duration = Duration::from_millis(200);
        for policy in [SlowConsumer::Disconnect, SlowConsumer::DropOldest, SlowConsumer::DropNewest, PATIENT] {
            let started = net.start_server(|builder| {
                builder.max_sent_len(100_000).max_queued_bytes(400_000).slow_consumer(policy).timeouts(Timeouts::new().stall_timeout(STALL))
            });
            let stalled = started.raw();
            let connection = connected(&started.events);
            // Sending goes on to the end: what is queued once may all be taken when the system makes more room for it.
            // Where the queue's limit ends the connection, it is not reached.
            let sending = thread::spawn(move || {
                let is_enough = || policy == SlowConsumer::Disconnect && connection.queued_bytes() > 200_000;
                while !connection.is_closed() {
                    if is_enough() {
                        thread::yield_now();
                    } else if !matches!(connection.send(&[b'x'; 50_000]), Ok(()) | Err(Error::Dropped { .. })) {
                        break;
                    }
                }
            });
            let reason = disconnected(&started.events);
            assert!(
                matches!(reason.cause, DisconnectCause::SlowConsumer { limit: OutboundLimit::Stalled(STALL) }),
                "{policy:?}: {reason:?}"
            );
            in_time("sending", || sending.join().unwrap());
            drop(stalled);
        }
    }

    fn drop_oldest_drops_whole_messages_and_never_the_newest(net: Net) {
        for (way, send) in WAYS {
            let started = net.start_server(|builder| small(builder).slow_consumer(SlowConsumer::DropOldest));
            let raw = started.raw();
            let connection = connected(&started.events);
            let (server, to) = (started.server.clone(), connection.clone());
            let sent = too_many(net);
            in_time(way, move || {
                for number in 0..sent {
                    assert_eq!(send(&server, &to, &numbered(number, LEN)), 1, "{way}: the newest is dropped");
                }
            });
            let messages = raw.into_messages();
            let mut count = 0;
            let mut last = None;
            while last != Some(sent - 1) {
                let number = number_of(&messages.recv_timeout(PATIENCE).expect(way));
                assert!(last < Some(number), "{way}: {number} behind {last:?}");
                last = Some(number);
                count += 1;
            }
            assert!(count < sent, "{way}: it all fitted somewhere");
            assert_eq!(count + connection.dropped_messages() as usize, sent, "{way}");
            // The connection lives on, and what was dropped is all that was lost.
            connection.send(b"still here").unwrap();
            assert_eq!(messages.recv_timeout(PATIENCE).unwrap(), b"still here");
            connection.close();
            let undelivered = disconnected(&started.events).undelivered;
            let dropped = (sent - count) as u64;
            assert_eq!(undelivered.dropped.messages, dropped, "{way}");
            assert_eq!(undelivered.dropped.bytes, dropped * (LEN as u64 + 1), "{way}");
            assert_eq!((undelivered.unsent.messages, undelivered.unsent.bytes), (0, 0), "{way}");
        }
    }

    fn drop_newest_keeps_what_was_accepted(net: Net) {
        for (way, send) in WAYS {
            let started = net.start_server(|builder| small(builder).slow_consumer(SlowConsumer::DropNewest));
            let raw = started.raw();
            let connection = connected(&started.events);
            let (server, to) = (started.server.clone(), connection.clone());
            let sent = too_many(net);
            let accepted: Vec<usize> = in_time(way, move || {
                (0..sent).filter(|number| send(&server, &to, &numbered(*number, LEN)) == 1).collect()
            });
            let dropped = sent - accepted.len();
            assert!(dropped > 0, "{way}: it all fitted somewhere");
            assert_eq!(connection.dropped_messages() as usize, dropped, "{way}");
            let messages = raw.into_messages();
            for number in accepted {
                assert_eq!(number_of(&messages.recv_timeout(PATIENCE).expect(way)), number, "{way}");
            }
            connection.send(b"still here").unwrap();
            assert_eq!(messages.recv_timeout(PATIENCE).unwrap(), b"still here");
            connection.close();
            let undelivered = disconnected(&started.events).undelivered;
            let dropped = dropped as u64;
            let lost = (dropped, dropped * (LEN as u64 + 1));
            assert_eq!((undelivered.dropped.messages, undelivered.dropped.bytes), lost);
            assert_eq!((undelivered.unsent.messages, undelivered.unsent.bytes), (0, 0), "{way}");
        }
    }

    fn block_loses_nothing_whichever_way_it_is_sent(net: Net) {
        let started = net.start_server(|builder| small(builder).slow_consumer(PATIENT));
        let raw = started.raw();
        let connection = connected(&started.events);
        let (server, to) = (started.server.clone(), connection.clone());
        let sent = too_many(net);
        let sending = thread::spawn(move || {
            for number in 0..sent {
                let (way, send) = WAYS[number / 3 % WAYS.len()];
                assert_eq!(send(&server, &to, &numbered(number, LEN)), 1, "{way}");
            }
        });
        let messages = raw.into_messages();
        for number in 0..sent {
            assert_eq!(number_of(&messages.recv_timeout(PATIENCE).unwrap()), number);
        }
        in_time("sending", || sending.join().unwrap());
        assert_eq!(connection.dropped_messages(), 0);
    }

    /// Both ends answer each message with two, from their callbacks.
    fn mutual_amplification_ends_or_goes_on_under_every_policy(net: Net) {
        const ENOUGH: usize = 2000;
        let block = SlowConsumer::Block(Duration::from_millis(100));
        for policy in [SlowConsumer::Disconnect, SlowConsumer::DropOldest, SlowConsumer::DropNewest, block] {
            let (echoes, received) = mpsc::channel();
            let amplify = || {
                let echoes = echoes.clone();
                callback::on_receive(move |connection, message| {
                    let _ = connection.send(message);
                    let _ = connection.send(message);
                    let _ = echoes.send(());
                })
            };
            let started = net.start_server(|builder| small(builder).slow_consumer(policy).callback(amplify()));
            let client = started.client().max_sent_len(LEN).max_queued_bytes(QUEUE).slow_consumer(policy);
            let client = client.callback(amplify()).build().unwrap();
            client.start(started.address(), true).unwrap();
            client.send(&[b'x'; LEN]).unwrap();
            let deadline = std::time::Instant::now() + PATIENCE;
            let mut count = 0;
            while count < ENOUGH && client.connection().is_some() {
                assert!(std::time::Instant::now() < deadline, "{policy:?}: it hangs");
                count += usize::from(received.recv_timeout(Duration::from_millis(10)).is_ok());
            }
            let server = started.server.clone();
            in_time("the end", move || {
                client.close();
                server.close();
            });
        }
    }
}

/// Fills the queue of a peer that takes nothing, to less than one message of [`LEN`].
fn fill(connection: &Connection) {
    while connection.queued_bytes() + LEN + OVERHEAD <= QUEUE {
        connection.send(&numbered(0, LEN)).unwrap();
    }
}

/// What has partly been written is completed, whatever is dropped, and what is dropped leaves no gap in the bytes.
#[test]
fn a_message_that_is_partly_written_is_never_dropped() {
    for writes in EITHER {
        for (way, send) in WAYS {
            let (started, valves) =
                valve::start_server(writes, |builder| small(builder).slow_consumer(SlowConsumer::DropOldest));
            let valve = valves.connect();
            let connection = connected(&started.events);
            valve.allow(LEN / 2);
            assert_eq!(send(&started.server, &connection, &numbered(0, LEN)), 1);
            valve.wait_for("half a message", |taken| taken.concat().len() == LEN / 2);
            for number in 1..100 {
                assert_eq!(send(&started.server, &connection, &numbered(number, LEN)), 1, "{writes:?} {way} {number}");
            }
            let dropped = connection.dropped_messages() as usize;
            valve.open();
            connection.send(b"end").unwrap();
            valve.wait_for_end(b"end;");
            let mut messages = valve.messages();
            messages.pop();
            let numbers: Vec<_> = messages.iter().map(|message| number_of(message)).collect();
            assert_eq!((numbers[0], *numbers.last().unwrap()), (0, 99), "{writes:?} {way}");
            assert!(numbers.is_sorted());
            assert_eq!(numbers.len() + dropped, 100, "{writes:?} {way}");
            // No more was dropped than had to be: the queue holds so many.
            assert!(numbers.len() >= QUEUE / (LEN + OVERHEAD) - 1, "{writes:?} {way}: {numbers:?}");
        }
    }
}

/// Also while a writing thread is blocked in a write, and much more waits in the same batch than what it writes.
#[test]
fn a_blocked_write_keeps_nothing_else_from_being_dropped() {
    const QUEUE: usize = 60_000;
    for writes in EITHER {
        let (started, valves) = valve::start_server(writes, |builder| {
            builder.max_sent_len(LEN).max_queued_bytes(QUEUE).slow_consumer(SlowConsumer::DropOldest)
        });
        let valve = valves.connect();
        let connection = connected(&started.events);
        connection.send(b"first").unwrap();
        valve.wait_until_blocked();
        let mut sent = 0;
        while connection.queued_bytes() + LEN + OVERHEAD <= QUEUE {
            connection.send(&numbered(sent, LEN)).unwrap();
            sent += 1;
        }
        valve.allow(b"first;".len());
        // One more byte, so that the write that is blocked then is one of all that wait.
        valve.allow(1);
        valve.wait_until_blocked();
        let full = sent;
        for _ in 0..2 * full {
            connection.send(&numbered(sent, LEN)).unwrap();
            sent += 1;
        }
        valve.open();
        connection.send(b"end").unwrap();
        valve.wait_for_end(b"end;");
        let numbers: Vec<_> = valve.messages()[1..].split_last().unwrap().1.iter().map(|it| number_of(it)).collect();
        assert!(numbers.is_sorted());
        assert_eq!((numbers[0], numbers.last().unwrap() + 1), (0, sent), "{writes:?}");
        assert_eq!(numbers.len() + connection.dropped_messages() as usize, sent, "{writes:?}");
        let new = numbers.iter().filter(|number| **number >= full).count();
        assert!(new > full / 2, "{writes:?}: only {new} of {full} have made room");
    }
}

#[test]
fn a_blocked_broadcast_has_reached_those_with_room() {
    for writes in EITHER {
        let (started, valves) = valve::start_server(writes, |builder| small(builder).slow_consumer(PATIENT));
        let full = [valves.connect(), valves.connect()];
        let full_ones = [connected(&started.events), connected(&started.events)];
        let open: Vec<Valve> = (0..3).map(|_| valves.connect()).collect();
        for valve in &open {
            connected(&started.events);
            valve.open();
        }
        full_ones.iter().for_each(fill);
        let server = started.server.clone();
        let (done, returned) = mpsc::channel();
        thread::spawn(move || {
            for message in [b"first", b"other"] {
                done.send(server.broadcast(&message.repeat(LEN / 5)).unwrap()).unwrap();
            }
        });
        for valve in &open {
            valve.wait_for_end(b"first;");
        }
        assert!(returned.try_recv().is_err(), "{writes:?}: it does not wait for those who are full");
        full[0].open();
        full[0].wait_for_end(b"first;");
        assert!(returned.try_recv().is_err(), "{writes:?}: it does not wait for both");
        full[1].open();
        assert_eq!(returned.recv_timeout(PATIENCE), Ok(5));
        assert_eq!(returned.recv_timeout(PATIENCE), Ok(5));
        for valve in full.iter().chain(&open) {
            valve.wait_for_end(b"other;");
        }
    }
}

/// So many that waiting for each in turn would take longer than the test allows.
#[test]
fn a_broadcast_waits_once_for_all_and_ends_those_who_are_still_full() {
    const FULL: usize = 12;
    let (started, valves) = valve::start_server(valve::Writes::Direct, |builder| {
        small(builder).slow_consumer(SlowConsumer::Block(Duration::from_secs(2)))
    });
    let full: Vec<_> = (0..FULL).map(|_| (valves.connect(), connected(&started.events))).collect();
    full.iter().for_each(|(_, connection)| fill(connection));
    let open = valves.connect();
    connected(&started.events);
    open.open();
    let server = started.server.clone();
    assert_eq!(in_time("broadcast", move || server.broadcast(&numbered(1000, LEN)).unwrap()), 1);
    for _ in 0..FULL {
        let reason = disconnected(&started.events);
        let limit = OutboundLimit::QueuedBytes(QUEUE);
        assert!(matches!(reason.cause, DisconnectCause::SlowConsumer { limit: found } if found == limit), "{reason:?}");
    }
    assert_eq!(open.messages(), [numbered(1000, LEN)]);
    assert_eq!(started.server.broadcast(b"on it goes").unwrap(), 1);
}

/// Whether or not messages are joined for writing, a queue holds as many of them.
#[test]
fn a_queue_of_messages_that_are_not_joined_holds_as_many() {
    const QUEUE: usize = 1 << 20;
    for writes in EITHER {
        for len in [0, 20, 1000] {
            let mut held = [true, false].map(|coalesce| {
                let (started, valves) = valve::start_server(writes, |builder| {
                    let builder = builder
                        .max_sent_len(LEN)
                        .max_queued_bytes(QUEUE)
                        .memory_limits(MemoryLimits::new().max_total_queued_bytes(QUEUE * 4));
                    builder.coalesce(coalesce).slow_consumer(SlowConsumer::DropNewest)
                });
                let peers: Vec<_> = (0..3).map(|_| (valves.connect(), connected(&started.events))).collect();
                let held = peers.iter().map(|(_, connection)| {
                    let mut sent = 0;
                    loop {
                        match connection.send(&b"x".repeat(len)) {
                            Ok(()) => sent += 1,
                            Err(Error::Dropped { limit: OutboundLimit::QueuedBytes(QUEUE) }) => break sent,
                            Err(error) => panic!("{error} after {sent} messages of {len} bytes"),
                        }
                    }
                });
                let held: Vec<_> = held.collect();
                for ((valve, _), held) in peers.iter().zip(&held) {
                    valve.open();
                    valve.wait_for("all", |taken| taken.concat().len() == held * (len + 1));
                    let is_one = |write: &Vec<u8>| write.iter().filter(|byte| **byte == b';').count() == 1;
                    assert!(coalesce || valve.writes().iter().all(is_one), "joined");
                }
                held
            });
            held.iter_mut().flatten().for_each(|held| assert_eq!(*held, QUEUE / (len + OVERHEAD), "{writes:?} {len}"));
        }
    }
}

/// What the stall time-out's tries have brought through to a peer whom the system does not call ready is not waited for
/// any longer: what is sent next is written at once.
#[test]
fn a_peer_who_has_taken_everything_is_written_to_at_once() {
    let (started, valves) = valve::start_server(valve::Writes::Unready, |builder| {
        let builder = builder
            .slow_consumer(SlowConsumer::DropNewest)
            .timeouts(Timeouts::new().stall_timeout(Duration::from_millis(400)));
        // The pump is never told that it could write the goodbye.
        builder.closing(Closing::new().flush_timeout(Duration::from_millis(100)))
    });
    let valve = valves.connect();
    let connection = connected(&started.events);
    // Twice, because the pump may have kept something of the first time.
    for _ in 0..2 {
        connection.send(b"waits").unwrap();
        valve.allow(b"waits;next;".len());
        connection.flush(PATIENCE).unwrap();
        connection.send(b"next").unwrap();
        assert!(valve.taken().ends_with(b"waits;next;"), "it waits for the pump");
    }
}

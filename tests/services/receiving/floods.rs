//! Tight loops, which are joined into few writes: whole, in order, to the last message, for whoever is there.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use leads_comm::{Closing, Connection, Error, Server, SlowConsumer};
use leads_comm_testing::valve::{self, EITHER, Writes};
use leads_comm_testing::*;

/// Long enough never to be over in a test.
const PATIENT: SlowConsumer = SlowConsumer::Block(Duration::from_secs(60));

const FLOOD: usize = 100_000;

over_every_transport! {
    fn a_flood_arrives_whole_and_in_order_from_one_thread_and_from_four(net: Net) {
        for senders in [1, 4] {
            let started = net.start_server(|builder| builder.slow_consumer(PATIENT));
            let messages = started.raw().into_messages();
            let connection = connected(&started.events);
            let sending: Vec<_> = (0..senders)
                .map(|sender| {
                    let connection = connection.clone();
                    thread::spawn(move || {
                        for number in (sender..FLOOD).step_by(senders) {
                            connection.send(format!("{number}").as_bytes()).unwrap();
                        }
                    })
                })
                .collect();
            let mut next_of: Vec<_> = (0..senders).collect();
            for _ in 0..FLOOD {
                let message = messages.recv_timeout(PATIENCE).unwrap();
                let number: usize = std::str::from_utf8(&message).unwrap().parse().unwrap();
                assert_eq!(number, next_of[number % senders]);
                next_of[number % senders] += senders;
            }
            sending.into_iter().for_each(|sending| sending.join().unwrap());
        }
    }

    fn a_flood_of_broadcasts_arrives_whole_and_in_order_at_everyone(net: Net) {
        const CLIENTS: usize = 4;
        const MESSAGES: usize = FLOOD / CLIENTS;
        for senders in [1, 4] {
            let started = net.start_server(|builder| builder.slow_consumer(PATIENT));
            let clients: Vec<_> = (0..CLIENTS).map(|_| started.raw().into_messages()).collect();
            clients.iter().for_each(|_| drop(connected(&started.events)));
            let sending: Vec<_> = (0..senders)
                .map(|sender| {
                    let server = started.server.clone();
                    thread::spawn(move || {
                        for number in (sender..MESSAGES).step_by(senders) {
                            assert_eq!(server.broadcast(format!("{number}").as_bytes()).unwrap(), CLIENTS);
                        }
                    })
                })
                .collect();
            for client in &clients {
                let mut next_of: Vec<_> = (0..senders).collect();
                for _ in 0..MESSAGES {
                    let message = client.recv_timeout(PATIENCE).unwrap();
                    let number: usize = std::str::from_utf8(&message).unwrap().parse().unwrap();
                    assert_eq!(number, next_of[number % senders]);
                    next_of[number % senders] += senders;
                }
            }
            sending.into_iter().for_each(|sending| sending.join().unwrap());
        }
    }

    /// However long or short the rush was that came before, and though nobody calls anything any more.
    fn the_last_message_of_a_rush_arrives(net: Net) {
        let started = net.start_server(|builder| builder.slow_consumer(PATIENT));
        let messages = started.raw().into_messages();
        let connection = connected(&started.events);
        for rush in 1..150 {
            for number in 0..rush {
                match rush % 2 {
                    0 => connection.send(&numbered(number, 20)).unwrap(),
                    _ => assert_eq!(started.server.broadcast(&numbered(number, 20)).unwrap(), 1),
                }
            }
            for number in 0..rush {
                assert_eq!(number_of(&messages.recv_timeout(PATIENCE).unwrap()), number, "in a rush of {rush}");
            }
        }
    }

    /// Whichever way each message takes: gathered, by itself because it is long, to some, to one, in one go.
    fn one_thread_is_heard_in_its_order_whichever_way_it_sends(net: Net) {
        const MESSAGES: usize = 20_000;
        let started = net.start_server(|builder| builder.slow_consumer(PATIENT));
        let clients: Vec<_> = (0..3).map(|_| (started.raw().into_messages(), connected(&started.events))).collect();
        let (server, to) = (started.server.clone(), clients[1].1.clone());
        let sending = thread::spawn(move || {
            let mut number = 0;
            let mut next = |len| {
                number += 1;
                numbered(number - 1, len)
            };
            for round in 0..MESSAGES {
                match round % 500 {
                    100 | 101 => to.send(&next(30)).unwrap(),
                    200 => to.send(&next(100_000)).unwrap(),
                    250 => drop(server.broadcast(&next(100_000)).unwrap()),
                    300 => drop(to.send_all([next(30), next(40_000), next(30)]).unwrap()),
                    400 => drop(server.broadcast_where(&next(30), |connection| *connection == to).unwrap()),
                    _ => drop(server.broadcast(&next(30)).unwrap()),
                }
            }
            number
        });
        // The one who gets all of them misses none; the others get those of the broadcasts.
        let sent = MESSAGES + 2 * MESSAGES / 500;
        for number in 0..sent {
            assert_eq!(number_of(&clients[1].0.recv_timeout(PATIENCE).unwrap()), number);
        }
        assert_eq!(sending.join().unwrap(), sent);
        for other in [0, 2] {
            let mut last = None;
            for _ in 0..MESSAGES - MESSAGES / 500 * 5 {
                let number = number_of(&clients[other].0.recv_timeout(PATIENCE).unwrap());
                assert!(last < Some(number));
                last = Some(number);
            }
            assert_eq!(last, Some(sent - 1));
        }
    }

    fn newcomers_during_a_flood_miss_nothing_from_their_first_message_on(net: Net) {
        const NEWCOMERS: usize = 20;
        let started = net.start_server(|builder| builder.slow_consumer(PATIENT));
        let done = Arc::new(AtomicBool::new(false));
        let sending: Vec<_> = (0..2)
            .map(|sender| {
                let (server, done) = (started.server.clone(), Arc::clone(&done));
                thread::spawn(move || {
                    let mut number = sender;
                    loop {
                        let is_last = done.load(Ordering::Relaxed);
                        server.broadcast(&numbered(number, 20)).unwrap();
                        number += 2;
                        // Which everyone has got who is there by now.
                        if is_last {
                            break number;
                        }
                    }
                })
            })
            .collect();
        let newcomers: Vec<_> = (0..NEWCOMERS)
            .map(|_| {
                let messages = started.raw().into_messages();
                connected(&started.events);
                let first = number_of(&messages.recv_timeout(PATIENCE).unwrap());
                (messages, first)
            })
            .collect();
        done.store(true, Ordering::Relaxed);
        let ends: Vec<usize> = sending.into_iter().map(|sending| sending.join().unwrap()).collect();
        for (messages, first) in newcomers {
            let mut next_of = [None, None];
            next_of[first % 2] = Some(first + 2);
            while next_of[0] != Some(ends[0]) || next_of[1] != Some(ends[1]) {
                let number = number_of(&messages.recv_timeout(PATIENCE).unwrap());
                let next = &mut next_of[number % 2];
                assert_eq!(next.unwrap_or(number), number);
                *next = Some(number + 2);
            }
        }
    }

    fn close_right_behind_a_flood_delivers_all_of_it_and_then_the_goodbye(net: Net) {
        type Close = fn(&Server, &Connection);
        const CLOSES: [Close; 2] = [|_, connection| connection.close(), |server, _| server.close()];
        for close in CLOSES {
            for messages in [1, 10, 40, 1000, 20_000] {
                let started = net.start_server(|builder| {
                    let closing = Closing::new().flush_timeout(Duration::from_secs(3));
                    builder.slow_consumer(PATIENT).closing(closing)
                });
                let raw = started.raw();
                let connection = connected(&started.events);
                let reading = thread::spawn(move || raw.read_to_end().0);
                for number in 0..messages {
                    match number % 100 {
                        0..50 => assert_eq!(started.server.broadcast(&numbered(number, 20)).unwrap(), 1),
                        _ => connection.send(&numbered(number, 20)).unwrap(),
                    }
                }
                close(&started.server, &connection);
                let bytes = in_time("reading", || reading.join().unwrap());
                let mut arrived = bytes.split(|byte| *byte == b';');
                for number in 0..messages {
                    assert_eq!(number_of(arrived.next().unwrap()), number);
                }
                assert_eq!((arrived.next(), arrived.next(), arrived.next()), (Some(&b"disconnect"[..]), Some(&b""[..]), None));
                assert_eq!(disconnected(&started.events).undelivered.unsent.messages, 0);
            }
        }
    }
}

/// Accepted is written or reported, for each of those who leave in the midst of gathered broadcasts.
#[test]
fn nothing_is_lost_silently_to_those_who_leave_during_a_flood() {
    const LEN: usize = 20;
    for round in 0..60 {
        let (started, valves) = valve::start_server(EITHER[round % 2], |builder| {
            builder.max_sent_len(1000).max_queued_bytes(if round % 5 == 0 { 20_000 } else { 400_000 })
        });
        let leavers: Vec<_> = (0..3).map(|_| (valves.connect(), connected(&started.events))).collect();
        leavers.iter().for_each(|(valve, _)| valve.allow(1 + round * 911 % 60_000));
        let start = Arc::new(Barrier::new(2));
        let leaving = thread::spawn({
            let (leavers, start) = (leavers.clone(), Arc::clone(&start));
            move || {
                start.wait();
                for (number, (valve, connection)) in leavers.into_iter().enumerate() {
                    match (round + number) % 4 {
                        0 => connection.abort(),
                        1 => valve.reset(),
                        2 => {
                            valve.open();
                            connection.close();
                        }
                        _ => {
                            valve.open();
                            valve.hang_up();
                        }
                    }
                    thread::yield_now();
                }
            }
        });
        let mut accepted = 0;
        let mut number = 0;
        start.wait();
        while started.server.num_connections() > 0 {
            accepted += started.server.broadcast(&numbered(number, LEN)).unwrap();
            if number % 50 == 0 {
                match leavers[round % 3].1.send(&numbered(number, LEN)) {
                    Ok(()) => accepted += 1,
                    Err(Error::Disconnected | Error::SlowConsumer { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            number += 1;
        }
        leaving.join().unwrap();
        let mut accounted = 0;
        for _ in 0..leavers.len() {
            let undelivered = disconnected(&started.events).undelivered;
            assert_eq!(undelivered.dropped.messages, 0);
            assert!(undelivered.unsent.bytes <= undelivered.unsent.messages * (LEN as u64 + 1));
            accounted += undelivered.unsent.bytes as usize;
        }
        for (valve, _) in &leavers {
            let taken = valve.taken();
            // Without the goodbye, or the part of it that was taken.
            let messages = taken.strip_suffix(b"disconnect;").unwrap_or(&taken);
            let end = messages.rsplit(|byte| *byte == b';').next().unwrap_or_default();
            accounted += messages.len() - if b"disconnect".starts_with(end) { end.len() } else { 0 };
        }
        assert_eq!(accounted, accepted * (LEN + 1), "round {round}");
    }
}

/// A gathered batch that is in no queue yet belongs to those whom it was accepted for.
#[test]
fn what_was_gathered_for_a_peer_is_reported_when_it_is_gone() {
    for writes in EITHER {
        for messages in [1, 6, 20, 500] {
            let (started, valves) = valve::start_server(writes, |builder| builder);
            let _valve = valves.connect();
            let connection = connected(&started.events);
            for number in 0..messages {
                assert_eq!(started.server.broadcast(&numbered(number, 20)).unwrap(), 1);
            }
            connection.abort();
            let undelivered = disconnected(&started.events).undelivered;
            assert_eq!(
                (undelivered.unsent.messages, undelivered.unsent.bytes),
                (messages as u64, messages as u64 * 21),
                "{writes:?}"
            );
        }
    }
}

/// Each write carries one message, whoever sends and however many do.
#[test]
fn without_coalescing_each_write_carries_one_message() {
    const SENDERS: usize = 4;
    const MESSAGES: usize = 500;
    for writes in EITHER {
        let (started, valves) = valve::start_server(writes, |builder| builder.coalesce(false).slow_consumer(PATIENT));
        let peers: Vec<_> = (0..2).map(|_| (valves.connect(), connected(&started.events))).collect();
        // What waits until the valve is opened is not joined either.
        for number in 0..100 {
            started.server.broadcast(&numbered(number, 20)).unwrap();
        }
        peers.iter().for_each(|(valve, _)| valve.open());
        let sending: Vec<_> = (0..SENDERS)
            .map(|_| {
                let (server, to) = (started.server.clone(), peers[0].1.clone());
                thread::spawn(move || {
                    for number in 0..MESSAGES {
                        match number % 3 {
                            0 => assert_eq!(server.broadcast(&numbered(number, 300)).unwrap(), 2),
                            1 => to.send(&numbered(number, 30)).unwrap(),
                            _ => assert_eq!(to.send_all([b"one", b"two"]).unwrap(), 2),
                        }
                    }
                })
            })
            .collect();
        sending.into_iter().for_each(|sending| in_time("sending", || sending.join().unwrap()));
        started.server.flush(PATIENCE).unwrap();
        for (valve, connection) in &peers {
            connection.close();
            valve.wait_for_end(b"disconnect;");
            for write in valve.writes() {
                let ends = write.iter().filter(|byte| **byte == b';').count();
                assert!(ends == 1 && write.ends_with(b";"), "{writes:?}: {}", write.escape_ascii());
            }
        }
    }
}

/// A flood is joined into far fewer writes than it has messages.
#[test]
#[cfg_attr(leads_comm_emulated, ignore = "qemu slows a loop that sends, and not its calls of the system: no flood")]
fn with_coalescing_a_flood_takes_few_writes() {
    const MESSAGES: usize = 20_000;
    for writes in EITHER {
        for broadcast in [false, true] {
            let (started, valves) = valve::start_server(writes, |builder| builder.slow_consumer(PATIENT));
            let (valve, connection) = (valves.connect(), connected(&started.events));
            valve.open();
            // Made beforehand: that takes much longer than to send them, where memory is slow to get.
            let messages: Vec<_> = (0..MESSAGES).map(|number| numbered(number, 20)).collect();
            for message in &messages {
                match broadcast {
                    true => assert_eq!(started.server.broadcast(message).unwrap(), 1),
                    false => connection.send(message).unwrap(),
                }
            }
            connection.flush(PATIENCE).unwrap();
            let numbers: Vec<_> = valve.messages().iter().map(|message| number_of(message)).collect();
            assert!(numbers.into_iter().eq(0..MESSAGES));
            let count = valve.writes().len();
            // A thread of its own that writes takes what there is each time that it gets a turn, and on a busy machine
            // those may be many.
            let most = if matches!(writes, Writes::Blocking) { MESSAGES / 2 } else { MESSAGES / 4 };
            assert!(count < most, "{writes:?}, broadcast {broadcast}: {count} writes");
        }
    }
}

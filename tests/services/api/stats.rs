//! The numbers of connections and services: exact, in every snapshot, whatever is sent and however it ends.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::callback::{self, Event};
use leads_comm::stats::{Traffic, Volume};
use leads_comm::{Callback, Closing, Connection, Error, ServerBuilder, Service, SlowConsumer};
use leads_comm_testing::account::{assert_adds_up, assert_service_adds_up, sums};
use leads_comm_testing::*;

/// A volume's two numbers.
fn numbers(volume: Volume) -> (u64, u64) {
    (volume.messages, volume.bytes)
}

/// Messages of `len` payload bytes with their separators.
fn of(messages: u64, len: usize) -> (u64, u64) {
    (messages, messages * (len as u64 + 1))
}

/// Looks at the numbers in each `on_receive`.
struct Looking(mpsc::Sender<(Volume, Volume)>);

impl Callback for Looking {
    fn on_receive(&self, service: &dyn Service, connection: &Connection, _message: &[u8]) {
        self.0.send((connection.stats().traffic.received, service.stats().traffic.received)).unwrap();
    }
}

const QUEUE: usize = 20_000;
const LEN: usize = 1000;

fn small(builder: ServerBuilder) -> ServerBuilder {
    builder.max_sent_len(LEN).max_queued_bytes(QUEUE)
}

/// More messages of [`LEN`] than a peer's system and the queue hold together.
fn too_many(net: Net) -> u64 {
    (net.holds() / LEN) as u64
}

over_every_transport! {
    fn both_ends_count_the_same_in_every_way_of_sending(net: Net) {
        const LONE: u64 = 10;
        const BATCH: u64 = 1000;
        const BROADCAST: u64 = 2000;
        let before = Instant::now();
        let started = net.start_server(|builder| builder);
        let (client, client_events) = started.start_client();
        let connection = connected(&started.events);
        let fresh = connection.stats();
        assert_eq!(fresh.traffic, Traffic::default());
        assert!((before..=Instant::now()).contains(&fresh.connected_since));

        for number in 0..LONE {
            client.send(&numbered(number as usize, 20)).unwrap();
            assert_eq!(number_of(&received(&started.events)) as u64, number);
            connection.send(b"").unwrap();
            assert_eq!(received(&client_events), b"");
        }
        let batch: Vec<_> = (0..BATCH).map(|number| numbered(number as usize, 30)).collect();
        assert_eq!(client.send_all(&batch).unwrap(), BATCH as usize);
        // So many in a row are gathered.
        for number in 0..BROADCAST {
            assert_eq!(started.server.broadcast(&numbered(number as usize, 40)).unwrap(), 1);
            let traffic = connection.stats().traffic;
            assert_eq!(traffic.accepted.messages, LONE + number + 1);
            assert_adds_up(&traffic);
        }
        (0..BATCH).for_each(|_| drop(received(&started.events)));
        (0..BROADCAST).for_each(|_| drop(received(&client_events)));
        client.close();
        let _ = disconnected(&started.events);
        started.server.close();

        let client_sent = (LONE + BATCH, of(LONE, 20).1 + of(BATCH, 30).1);
        let server_sent = (LONE + BROADCAST, of(LONE, 0).1 + of(BROADCAST, 40).1);
        let ends = [(client.stats(), client_sent, server_sent), (started.server.stats(), server_sent, client_sent)];
        for (stats, sent, received) in ends {
            let traffic = stats.traffic;
            assert_eq!((numbers(traffic.accepted), numbers(traffic.written)), (sent, sent));
            assert_eq!(numbers(traffic.received), received);
            assert_eq!([traffic.waiting, traffic.unsent, traffic.dropped, traffic.rejected], [Volume::default(); 4]);
            assert_eq!((traffic.queued_bytes, stats.connections, stats.opened), (0, 0, 1));
            assert!((1..=sent.0 + 1).contains(&traffic.writes), "{traffic:?}");
            let times = [stats.started, traffic.last_received, traffic.last_written].map(Option::unwrap);
            assert!(times.iter().all(|time| (before..=Instant::now()).contains(time)));
            assert_service_adds_up(&stats);
        }
        assert_eq!(connection.stats().traffic, started.server.stats().traffic);
        assert_eq!(connection.stats().connected_since, fresh.connected_since);
    }

    fn a_message_is_counted_before_it_is_delivered(net: Net) {
        let (tell, told) = mpsc::channel();
        let started = net.start_server(|builder| {
            builder.separator("end;").callback(Looking(tell))
        });
        // In one chunk or in several.
        started.raw().write(b"end;abcend;disconnectend;");
        for expected in [(1, 4), (2, 11)] {
            let (connection, service) = told.recv_timeout(PATIENCE).unwrap();
            assert_eq!((numbers(connection), numbers(service)), (expected, expected));
        }
    }

    fn what_is_dropped_adds_up(net: Net) {
        for policy in [SlowConsumer::DropOldest, SlowConsumer::DropNewest] {
            let started = net.start_server(|builder| small(builder).slow_consumer(policy));
            let stalled = started.raw();
            let connection = connected(&started.events);
            let many = too_many(net);
            let outcomes = (0..many).map(|number| {
                let outcome = connection.send(&numbered(number as usize, LEN));
                assert_adds_up(&connection.stats().traffic);
                outcome
            });
            let refused = outcomes.filter(|outcome| matches!(outcome, Err(Error::Dropped { .. }))).count() as u64;
            let traffic = connection.stats().traffic;
            let dropped = connection.dropped_messages();
            assert!(dropped > 0);
            assert_eq!(refused, if policy == SlowConsumer::DropNewest { dropped } else { 0 });
            assert_eq!(numbers(traffic.accepted), of(many - refused, LEN));
            assert_eq!(numbers(traffic.rejected), of(refused, LEN));
            assert_eq!(numbers(traffic.dropped), of(dropped, LEN));
            // A thread that writes may have been late, and have written all that was left by now.
            assert!(traffic.waiting.messages > 0 || !net.writes_without_blocking());
            assert!(traffic.queued_bytes <= QUEUE);
            // One more did not fit.
            assert!((QUEUE - LEN - 65..=QUEUE).contains(&traffic.peak_queued_bytes), "{traffic:?}");

            // What was written, and nothing else, arrives.
            let reading = stalled.into_messages();
            connection.close();
            let arrived: Vec<_> = reading.iter().collect();
            assert_eq!(arrived.last().unwrap(), b"disconnect");
            let reason = disconnected(&started.events);
            assert_eq!(reason.undelivered.unsent.messages, 0);
            let traffic = connection.stats().traffic;
            assert_eq!(numbers(traffic.written), of(arrived.len() as u64 - 1, LEN));
            assert_adds_up(&traffic);
        }
    }

    fn what_is_cut_off_adds_up(net: Net) {
        let cuts: [fn(&Connection); 2] = [Connection::abort, |connection| {
            // The peer reads nothing, so the goodbye does not get out before the time is over.
            connection.close();
        }];
        for cut in cuts {
            let started = net.start_server(|builder| {
                let closing = Closing::new().flush_timeout(Duration::from_millis(20));
                builder.closing(closing)
            });
            let _stalled = started.raw();
            let connection = connected(&started.events);
            // Until the system takes nothing more: it may, a moment later, what waits at one time.
            let mut written = None;
            while written != Some(connection.stats().traffic.written) {
                written = Some(connection.stats().traffic.written);
                while connection.stats().traffic.waiting.messages < 100 {
                    connection.send(&[b'x'; 10_000]).unwrap();
                }
                thread::sleep(Duration::from_millis(50));
            }
            cut(&connection);
            assert_adds_up(&connection.stats().traffic);
            let undelivered = disconnected(&started.events).undelivered;
            let traffic = connection.stats().traffic;
            let unsent = numbers(undelivered.unsent);
            assert_eq!((numbers(traffic.unsent), traffic.waiting), (unsent, Volume::default()));
            assert!(unsent.0 > 0 && traffic.peak_queued_bytes >= 100 * 10_000);
            assert_eq!(traffic.queued_bytes, 0);
            assert_adds_up(&traffic);
            assert_eq!(started.server.stats().traffic, traffic);
        }
    }

    fn a_policy_that_ends_the_connection_drops_nothing(net: Net) {
        for policy in [SlowConsumer::Disconnect, SlowConsumer::Block(Duration::from_millis(20))] {
            let started = net.start_server(|builder| small(builder).slow_consumer(policy));
            let _stalled = started.raw();
            let connection = connected(&started.events);
            let mut accepted = 0;
            while connection.send(&numbered(accepted, LEN)).is_ok() {
                accepted += 1;
            }
            let undelivered = disconnected(&started.events).undelivered;
            let traffic = connection.stats().traffic;
            assert_eq!(numbers(traffic.accepted), of(accepted as u64, LEN));
            assert_eq!(numbers(traffic.unsent).0, undelivered.unsent.messages);
            assert_eq!([traffic.dropped, traffic.rejected], [Volume::default(); 2]);
            assert_adds_up(&traffic);
        }
    }

    fn nothing_is_lost_silently_when_connections_are_killed(net: Net) {
        const KILLS: usize = 40;
        let started = net.start_server(|builder| builder.max_sent_len(20_000).max_queued_bytes(100_000));
        let mut adding_up = 0;
        for round in 0..KILLS {
            let raw = started.raw();
            let connection = connected(&started.events);
            let accepted = AtomicU64::new(0);
            thread::scope(|scope| {
                for sender in 0..2 {
                    let (connection, accepted, server) = (&connection, &accepted, &started.server);
                    scope.spawn(move || {
                        for number in 0.. {
                            let message = vec![b'x'; 1 + (number * 37 + round * 101) % 20_000];
                            let sent = match sender {
                                0 => connection.send(&message).is_ok(),
                                _ => server.broadcast(&message).unwrap() == 1,
                            };
                            if !sent {
                                break;
                            }
                            accepted.fetch_add(message.len() as u64 + 1, Ordering::Relaxed);
                        }
                    });
                }
                // At some point, in some way.
                let (mut read, mut chunk) = (0, [0; 10_000]);
                while read < round * 3_000 {
                    match raw.stream.read(&mut chunk) {
                        Ok(count @ 1..) => read += count,
                        // It reads too slowly.
                        _ => break,
                    }
                }
                match round % 4 {
                    0 => raw.reset(),
                    1 => drop(raw),
                    2 => connection.abort(),
                    _ => connection.close(),
                }
                assert_adds_up(&connection.stats().traffic);
            });
            let undelivered = disconnected(&started.events).undelivered;
            let Traffic { written, waiting, .. } = connection.stats().traffic;
            let accepted = accepted.into_inner();
            assert_eq!(waiting, Volume::default());
            assert_adds_up(&connection.stats().traffic);
            adding_up += usize::from(accepted == written.bytes + undelivered.unsent.bytes);
        }
        println!("O2: accepted - written - reported = 0 in {adding_up} of {KILLS}");
        assert_eq!(adding_up, KILLS);
    }

    fn sums_of_a_service_never_become_less(net: Net) {
        const THREADS: usize = 4;
        const CONNECTIONS: usize = 20;
        let (callback, events) = recorder();
        let greeting = callback::closures().on_connect(|_, connection| connection.send(b"welcome").unwrap());
        let started = net.start_server(|builder| builder.callback((callback, greeting)));
        let over = Arc::new(AtomicBool::new(false));
        let watcher = {
            let (server, over) = (started.server.clone(), Arc::clone(&over));
            thread::spawn(move || {
                let mut before = sums(&server.stats());
                let mut looks = 0;
                while !over.load(Ordering::Relaxed) {
                    let stats = server.stats();
                    assert_service_adds_up(&stats);
                    let now = sums(&stats);
                    assert!(before.iter().zip(&now).all(|(before, now)| before <= now), "{before:?} {now:?}");
                    before = now;
                    looks += 1;
                }
                looks
            })
        };
        let clients = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|_| {
                    scope.spawn(|| {
                        let mut sum = 0;
                        for round in 0..CONNECTIONS {
                            let (client, client_events) = started.start_client();
                            // So that the server has seen it.
                            received(&client_events);
                            for number in 0..round {
                                client.send(&numbered(number, 50)).unwrap();
                                started.server.broadcast(b"from another").unwrap();
                            }
                            if round % 2 == 0 { client.close() } else { client.connection().unwrap().abort() }
                            client.wait();
                            sum += client.stats().traffic.received.messages;
                        }
                        sum
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u64>()
        });
        let mut expected = Traffic::default();
        let mut ended = 0;
        while ended < THREADS * CONNECTIONS {
            if let Event::Disconnect { connection, .. } = next(&events) {
                expected += connection.stats().traffic;
                ended += 1;
            }
        }
        over.store(true, Ordering::Relaxed);
        assert!(watcher.join().unwrap() > 0);
        let stats = started.server.stats();
        assert_eq!((stats.connections, stats.opened), (0, (THREADS * CONNECTIONS) as u64));
        assert_eq!(stats.traffic, expected);
        assert!((1..=stats.traffic.written.messages).contains(&clients));
        println!("stats are {stats}");
    }
}

/// A goodbye is not counted, nor a part of it.
#[test]
fn a_goodbye_that_is_cut_off_is_in_no_number() {
    for out in [0, 5] {
        let started = Net::Memory
            .start_server(|builder| builder.closing(Closing::new().flush_timeout(Duration::from_millis(20))));
        let _stalled = started.raw();
        let connection = connected(&started.events);
        // So much of the goodbye gets out.
        let len = net::memory::capacity() - out - 1;
        connection.send(&vec![b'x'; len]).unwrap();
        connection.close();
        assert_eq!(disconnected(&started.events).undelivered.unsent.messages, 0);
        let traffic = connection.stats().traffic;
        assert_eq!((numbers(traffic.accepted), numbers(traffic.written)), (of(1, len), of(1, len)));
        assert_adds_up(&traffic);
    }
}

#[test]
fn a_service_that_has_not_run_has_no_numbers() {
    let server = leads_comm::Server::builder().port(0).build().unwrap();
    assert_eq!(server.stats(), leads_comm::stats::ServiceStats::default());
}

//! Sending: order, whole messages, and what happens to a peer that does not read.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use leads_comm::transport::{Stream, memory};
use leads_comm::{DisconnectCause, Error, OutboundLimit, Server, SlowConsumer, callback};
use leads_comm_testing::layer::{self, How, Layer};
use leads_comm_testing::*;

/// Long enough never to be over in a test.
const PATIENT: SlowConsumer = SlowConsumer::Block(Duration::from_secs(60));

over_every_transport! {
    fn each_senders_messages_arrive_whole_and_in_order_beside_broadcasts(net: Net) {
        const SENDERS: usize = 4;
        const MESSAGES: usize = 2000;
        let started = net.start_server(|builder| builder.slow_consumer(PATIENT));
        let (_client, client_events) = started.start_client();
        let connection = connected(&started.events);
        let sending: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let (server, connection) = (started.server.clone(), connection.clone());
                thread::spawn(move || {
                    for number in 0..MESSAGES {
                        let message = format!("{sender}:{number}:{}", "x".repeat(number * 7 % 300));
                        match number % 2 {
                            0 => connection.send(message.as_bytes()).unwrap(),
                            _ => assert_eq!(server.broadcast(message.as_bytes()).unwrap(), 1),
                        }
                    }
                })
            })
            .collect();
        let mut next_of = [0; SENDERS];
        for _ in 0..SENDERS * MESSAGES {
            let message = String::from_utf8(received(&client_events)).unwrap();
            let mut parts = message.split(':');
            let sender: usize = parts.next().unwrap().parse().unwrap();
            let number: usize = parts.next().unwrap().parse().unwrap();
            assert_eq!(number, next_of[sender], "sender {sender}");
            assert_eq!(parts.next().unwrap().len(), number * 7 % 300);
            next_of[sender] += 1;
        }
        sending.into_iter().for_each(|sending| sending.join().unwrap());
    }

    fn every_client_sees_one_threads_broadcasts_in_the_same_order(net: Net) {
        let started = net.start_server(|builder| builder.slow_consumer(PATIENT));
        let clients: Vec<_> = (0..8).map(|_| started.start_client()).collect();
        for _ in &clients {
            connected(&started.events);
        }
        for number in 0..500 {
            assert_eq!(started.server.broadcast(format!("{number}").as_bytes()).unwrap(), 8);
        }
        for (_, events) in &clients {
            for number in 0..500 {
                assert_eq!(received(events), format!("{number}").into_bytes());
            }
        }
    }

    fn one_peer_that_never_reads_holds_up_nobody(net: Net) {
        let started = net.start_server(|builder| builder.max_queued_bytes(1200 * 1024));
        // More than the buffers of the system and the queue hold together.
        let messages = (net.holds() + 2 * 1200 * 1024) / (64 * 1024);
        let stalled = started.raw();
        connected(&started.events);
        let healthy: Vec<_> = (0..15).map(|_| started.start_client()).collect();
        for _ in &healthy {
            connected(&started.events);
        }
        let mut dropped = None;
        for number in 0..messages {
            let mut message = format!("{number}:").into_bytes();
            message.resize(64 * 1024, b'x');
            let server = started.server.clone();
            let accepted = in_time("broadcast", move || server.broadcast(&message)).unwrap();
            if accepted == 15 {
                dropped.get_or_insert(number);
            }
            // In step with those who read, so that only the stalled one falls behind.
            for (_, events) in &healthy {
                assert!(received(events).starts_with(format!("{number}:").as_bytes()));
            }
        }
        assert!(dropped.is_some(), "it all fitted somewhere");
        let reason = disconnected(&started.events);
        assert!(matches!(reason.cause, DisconnectCause::SlowConsumer { .. }), "{reason:?}");
        assert_eq!(started.server.num_connections(), 15);
        drop(stalled);
    }

    fn blocking_loses_nothing_to_a_slow_reader(net: Net) {
        let started = net.start_server(|builder| {
            builder.max_sent_len(100_000).max_queued_bytes(200_000).slow_consumer(PATIENT)
        });
        let raw = started.raw();
        let connection = connected(&started.events);
        let sending = thread::spawn(move || {
            for number in 0..200 {
                connection.send(&[number as u8 | 0x80; 100_000]).unwrap();
            }
            connection.close();
        });
        for number in 0..200 {
            let bytes = raw.read_exact(100_001);
            assert!(bytes[..100_000].iter().all(|byte| *byte == number as u8 | 0x80));
            assert_eq!(bytes[100_000], b';');
        }
        in_time("sending", || sending.join().unwrap());
        assert_eq!(raw.read_to_end().0, b"disconnect;");
    }

    fn blocking_ends_at_its_deadline(net: Net) {
        let started = net.start_server(|builder| {
            builder
                .max_sent_len(100_000)
                .max_queued_bytes(200_000)
                .slow_consumer(SlowConsumer::Block(Duration::from_millis(100)))
        });
        let stalled = [started.raw(), started.raw()];
        let one = connected(&started.events);
        connected(&started.events);
        let error = in_time("send", move || {
            loop {
                if let Err(error) = one.send(&[b'x'; 100_000]) {
                    break error;
                }
            }
        });
        assert!(matches!(error, Error::SlowConsumer { limit: OutboundLimit::QueuedBytes(200_000) }), "{error:?}");
        // The same for a broadcast: who is still full then is dropped, and it returns.
        let server = started.server.clone();
        in_time("broadcast", move || while server.broadcast(&[b'x'; 100_000]).unwrap() > 0 {});
        for _ in &stalled {
            assert!(matches!(disconnected(&started.events).cause, DisconnectCause::SlowConsumer { .. }));
        }
    }

    fn a_blocked_sender_is_freed_when_the_connection_ends(net: Net) {
        let started = net.start_server(|builder| {
            builder.max_sent_len(100_000).max_queued_bytes(200_000).slow_consumer(PATIENT)
        });
        let raw = started.raw();
        let connection = connected(&started.events);
        let sending = thread::spawn({
            let connection = connection.clone();
            move || while connection.send(&[b'x'; 100_000]).is_ok() {}
        });
        // Until nothing is taken any more, at the latest, the sender is blocked.
        raw.read_exact(1_000_000);
        connection.abort();
        in_time("sending", || sending.join().unwrap());
        assert!(matches!(disconnected(&started.events).cause, DisconnectCause::LocalAbort));
    }

    /// Both ends answer each message with two, from their callbacks: by policy this ends, and never hangs.
    fn mutual_amplification_does_not_hang(net: Net) {
        let amplify = || {
            callback::on_receive(|connection, message| {
                let _ = connection.send(message);
                let _ = connection.send(message);
            })
        };
        let started = net.start_server(|builder| {
            let builder = builder.max_sent_len(1000).max_queued_bytes(20_000);
            builder.slow_consumer(SlowConsumer::Block(Duration::from_millis(100))).callback(amplify())
        });
        let client = started.client().max_sent_len(1000).max_queued_bytes(20_000).callback(amplify()).build().unwrap();
        client.start(started.address(), true).unwrap();
        client.send(&[b'x'; 1000]).unwrap();
        let server = started.server.clone();
        in_time("the end", move || {
            client.wait_timeout(PATIENCE);
            client.close();
            server.close();
        });
    }
}

/// Counts what the stream takes.
struct Counting {
    taken: Arc<AtomicUsize>,
    direct: bool,
}

impl Layer for Counting {
    fn is_bare(&self) -> bool {
        !self.direct
    }

    fn write(&self, stream: &dyn Stream, buffers: &[IoSlice<'_>], how: How) -> io::Result<usize> {
        how.write(stream, buffers).inspect(|count| {
            self.taken.fetch_add(*count, Ordering::SeqCst);
        })
    }
}

/// Nothing is lost silently: what was accepted is what the stream took and what is reported unsent, however and
/// whenever the connection ends.
#[test]
fn accepted_is_written_or_reported_unsent() {
    for round in 0..200 {
        let (listener, connector) = memory::listener();
        let taken = Arc::new(AtomicUsize::new(0));
        let listener =
            layer::listener(listener, &Arc::new(Counting { taken: Arc::clone(&taken), direct: round % 2 == 0 }));
        let (callback, events) = recorder();
        let server = Server::builder().transport(listener).callback(callback).max_sent_len(1000);
        let server = server.max_queued_bytes(100_000).build().unwrap();
        server.start(true).unwrap();
        let raw = connector.open().unwrap();
        let connection = connected(&events);
        let ending = thread::spawn(move || {
            // Takes some of it, then ends it in one way or another.
            let mut chunk = vec![0; 1 + round * 911 % 60_000];
            // Fails when the server has given up first.
            let _ = raw.read(&mut chunk);
            match round % 3 {
                0 => drop(raw),
                1 => raw.abort().unwrap(),
                _ => raw.shutdown(Shutdown::Both).unwrap(),
            }
        });
        let mut accepted = 0;
        let mut messages = 0;
        for len in (0..1000).cycle() {
            match connection.send(&[b'x'; 1000][..len]) {
                Ok(()) => accepted += len + 1,
                Err(Error::Disconnected | Error::SlowConsumer { .. }) => break,
                Err(error) => panic!("{error}"),
            }
            messages += 1;
        }
        ending.join().unwrap();
        let undelivered = disconnected(&events).undelivered;
        let taken = taken.load(Ordering::SeqCst);
        // The goodbye is no message; it may have been taken too.
        let goodbye = taken + undelivered.unsent.bytes as usize - accepted;
        assert!(goodbye == 0 || goodbye <= b"disconnect;".len(), "round {round}: {goodbye}");
        assert!(undelivered.unsent.messages <= messages);
        assert_eq!(undelivered.unsent.messages == 0, undelivered.unsent.bytes == 0);
        server.close();
    }
}

/// A message over the limit is refused, and the connection lives.
#[test]
fn a_message_that_is_too_long_to_send_is_refused() {
    // The second is what the queue just holds.
    for (queue, longest) in [(10_000, 1500), (1200, 1200 - 64 - 1)] {
        let started = Net::Tcp.start_server(|builder| builder.max_sent_len(longest).max_queued_bytes(queue));
        let (client, events) = started.start_client();
        let connection = connected(&started.events);
        let too_long = vec![b'x'; longest + 1];
        for refused in [connection.send(&too_long), started.server.broadcast(&too_long).map(drop)] {
            assert!(
                matches!(refused, Err(Error::MessageTooLong { len, limit }) if len == longest + 1 && limit == longest),
                "{refused:?}"
            );
        }
        connection.send(&too_long[1..]).unwrap();
        assert_eq!(received(&events).len(), longest);
        client.close();
    }
}

/// What is received takes no room in a queue.
#[test]
fn a_server_that_sends_little_may_receive_much() {
    let started = Net::Tcp
        .start_server(|builder| builder.max_received_len(2 << 20).max_sent_len(1000).max_queued_bytes(1000 + 64 + 1));
    let long = vec![b'x'; 2 << 20];
    let client = started.client().max_sent_len(long.len()).build().unwrap();
    client.start(started.address(), true).unwrap();
    client.send(&long).unwrap();
    assert_eq!(received(&started.events).len(), long.len());
    client.close();
}

/// What is sent by default is received by default.
#[test]
fn the_longest_message_to_send_is_the_longest_that_is_received() {
    let started = Net::Tcp.start_server(|builder| builder);
    let (client, _events) = started.start_client();
    let longest = vec![b'x'; 1024 * 1024];
    client.send(&longest).unwrap();
    assert_eq!(received(&started.events), longest);
    let too_long = vec![b'x'; longest.len() + 1];
    assert!(matches!(client.send(&too_long), Err(Error::MessageTooLong { .. })));
    client.send(b"still connected").unwrap();
    assert_eq!(received(&started.events), b"still connected");
}

/// A broadcast that one client refuses half-way, because it is just leaving, reaches all the others.
#[test]
fn a_broadcast_counts_those_that_took_it() {
    let started = Net::Tcp.start_server(|builder| builder);
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (_client, events) = started.start_client();
            (connected(&started.events), events)
        })
        .collect();
    clients[1].0.close();
    assert_eq!(started.server.broadcast(b"to three").unwrap(), 3);
    for (number, (_, events)) in clients.iter().enumerate() {
        if number == 1 {
            disconnected(events);
        } else {
            assert_eq!(received(events), b"to three");
        }
    }
}

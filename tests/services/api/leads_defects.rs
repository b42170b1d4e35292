//! What LEADS gets wrong: each test fails on its behaviour, which is stated above it.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Instant;

use leads_comm::callback::{self, Event};
use leads_comm::codec::EncodeError;
use leads_comm::crossbeam_channel::Receiver;
use leads_comm::{
    Client, CloseOnDrop, Closing, DisconnectCause, DisconnectReason, Error, Server, SlowConsumer, create_server,
    start_server,
};
use leads_comm_testing::leads_peer::LeadsPeer;
use leads_comm_testing::{PATIENCE, connected, disconnected, in_time, next, received, recorder, unhurried, until};

/// Loses nothing to a busy machine: senders wait for room, and an end for all that was accepted.
macro_rules! lossless {
    ($builder:expr) => {
        $builder
            .slow_consumer(SlowConsumer::Block(2 * PATIENCE))
            .timeouts(unhurried(2 * PATIENCE))
            .closing(Closing::new().flush_timeout(2 * PATIENCE).close_timeout(3 * PATIENCE))
    };
}

/// A server that runs, and what it tells.
fn start(separator: &[u8]) -> (CloseOnDrop<Server>, Receiver<Event>) {
    let (callback, events) = recorder();
    let server = lossless!(Server::builder()).port(0).separator(separator).callback(callback).build().unwrap();
    server.start(true).unwrap();
    (CloseOnDrop::new(server), events)
}

fn address(server: &Server) -> SocketAddr {
    server.local_addr().unwrap()
}

// Receiving.

/// LEADS delivers what a read ends with as a message: `a`, `b`, `cd`.
#[test]
fn a_message_that_two_reads_share_is_one_message() {
    let (server, events) = start(b";");
    let mut peer = LeadsPeer::connect(address(&server));
    peer.write(b"a;b");
    assert_eq!(received(&events), b"a");
    // The first read is over, and ended with `b`.
    peer.write(b"cd;");
    assert_eq!(received(&events), b"bcd");
}

/// LEADS takes every separator for one byte long and delivers its rest too: `frame0`, `nd;`, `frame1`, `nd;`, or `f0`
/// and `nd;f1` when they come at once.
#[test]
fn a_separator_of_several_bytes_ends_a_message_and_leaves_nothing() {
    let (server, events) = start(b"end;");
    let mut peer = LeadsPeer::connect(address(&server));
    connected(&events);
    peer.write(b"frame0end;frame1end;");
    assert_eq!(received(&events), b"frame0");
    assert_eq!(received(&events), b"frame1");
    peer.write(b"frame2end;");
    assert_eq!(received(&events), b"frame2");
    peer.write(b"disconnectend;");
    assert!(matches!(
        next(&events),
        Event::Disconnect { reason: DisconnectReason { cause: DisconnectCause::PeerGoodbye, .. }, .. }
    ));
}

/// LEADS looks for the separator in the newest read alone, and delivers nothing until the next one has come.
#[test]
fn a_separator_cut_across_reads_is_found() {
    let separator = b"end;";
    let (server, events) = start(separator);
    let mut peer = LeadsPeer::connect(address(&server));
    for cut in 1..separator.len() {
        let (left, right) = separator.split_at(cut);
        // Delivered when the read that ends within the second separator is over.
        peer.write(&[b"before", &separator[..], b"frame", left].concat());
        assert_eq!(received(&events), b"before");
        peer.write(right);
        assert_eq!(received(&events), b"frame");
    }
}

/// LEADS takes a fragment equal to `disconnect` for a goodbye, and misses a goodbye that two reads share.
#[test]
fn only_a_whole_message_is_a_goodbye_and_a_cut_one_is_one() {
    let (server, events) = start(b";");
    let mut peer = LeadsPeer::connect(address(&server));
    peer.write(b"x;disconnect");
    assert_eq!(received(&events), b"x");
    peer.write(b"ed at 12:00;y;discon");
    assert_eq!(received(&events), b"disconnected at 12:00");
    assert_eq!(received(&events), b"y");
    peer.write(b"nect;");
    assert!(matches!(
        next(&events),
        Event::Disconnect { reason: DisconnectReason { cause: DisconnectCause::PeerGoodbye, .. }, .. }
    ));
    peer.expect_to_end(b"disconnect;");
}

/// LEADS reads on at the end of the stream, for ever, keeps the connection, and never calls `on_disconnect`.
#[test]
fn the_end_of_the_stream_without_goodbye_ends_the_connection() {
    let (server, events) = start(b";");
    for unfinished in [&b""[..], b"half a mess"] {
        let mut peer = LeadsPeer::connect(address(&server));
        let connection = connected(&events);
        assert_eq!(server.num_connections(), 1);
        peer.write(unfinished);
        drop(peer);
        match next(&events) {
            Event::Disconnect { connection: ended, reason } => {
                assert_eq!(ended, connection);
                assert!(matches!(reason.cause, DisconnectCause::PeerClosed), "{reason:?}");
                assert_eq!(reason.undelivered.unfinished_bytes, unfinished.len());
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(server.num_connections(), 0);
    }
    // Waits for the readers: whatever else they would have told has been told.
    in_time("closing the server", {
        let server = server.clone();
        move || server.close()
    });
    assert!(events.is_empty(), "{:?}", events.try_recv());
}

// Sending.

const SENDERS: usize = 8;
const MESSAGES: usize = 5_000;

/// The message of a sender with this number: it can be told from every other one, and some take several writes.
fn message(sender: usize, number: usize) -> Vec<u8> {
    let letter = b'a' + u8::try_from(sender).unwrap();
    let len = if number % 1_000 == 0 { 1_000_000 } else { (sender * 31 + number * 7) % 200 };
    [&[letter][..], number.to_string().as_bytes(), b":", &vec![letter; len]].concat()
}

/// Calls `send` from eight threads at once.
fn send_from_eight_threads(send: impl Fn(usize, &[u8]) + Sync) {
    let together = Barrier::new(SENDERS);
    thread::scope(|scope| {
        for sender in 0..SENDERS {
            let (send, together) = (&send, &together);
            scope.spawn(move || {
                together.wait();
                for number in 0..MESSAGES {
                    send(sender, &message(sender, number));
                }
            });
        }
    });
}

/// Checks that a stream consists of all those messages, whole, each sender's in order, and the goodbye.
fn check_interleaving(stream: &[u8]) {
    let mut numbers = [0; SENDERS];
    let mut messages = stream.split(|byte| *byte == b';');
    assert_eq!(messages.next_back(), Some(&b""[..]), "the stream ends within a message");
    assert_eq!(messages.next_back(), Some(&b"disconnect"[..]));
    for received in messages {
        let sender = usize::from(received[0] - b'a');
        let expected = message(sender, numbers[sender]);
        assert!(
            received == expected,
            "instead of number {} of sender {sender} comes {}",
            numbers[sender],
            received[..received.len().min(40)].escape_ascii()
        );
        numbers[sender] += 1;
    }
    assert_eq!(numbers, [MESSAGES; SENDERS]);
}

/// LEADS writes without a lock, and takes a part that was written for all of it: messages from two threads mix.
#[test]
fn eight_threads_that_send_on_a_client_interleave_no_bytes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = lossless!(Client::builder()).port(listener.local_addr().unwrap().port()).build().unwrap();
    client.start("127.0.0.1", true).unwrap();
    let mut peer = LeadsPeer::accept(&listener);
    let reading = thread::spawn(move || peer.read_to_end());
    send_from_eight_threads(|_, message| client.send(message).unwrap());
    client.close();
    check_interleaving(&reading.join().unwrap());
}

/// The same on a server, where broadcasts and messages to one connection meet.
#[test]
fn eight_threads_that_send_and_broadcast_on_a_server_interleave_no_bytes() {
    let (callback, events) = recorder();
    let server = lossless!(Server::builder()).port(0).callback(callback).build().unwrap();
    server.start(true).unwrap();
    let mut peer = LeadsPeer::connect(address(&server));
    let connection = connected(&events);
    let reading = thread::spawn(move || peer.read_to_end());
    send_from_eight_threads(|sender, message| {
        if sender % 2 == 0 {
            assert_eq!(server.broadcast(message).unwrap(), 1);
        } else {
            connection.send(message).unwrap();
        }
    });
    server.close();
    check_interleaving(&reading.join().unwrap());
}

/// LEADS sends any payload: `bye;disconnect` makes its receiver hang up, whoever the text came from.
#[test]
fn a_payload_with_a_separator_inside_is_refused_and_nobody_is_cut() {
    let (server, events) = start(b";");
    let mut peers: Vec<LeadsPeer> = (0..3).map(|_| LeadsPeer::connect(address(&server))).collect();
    let connections: Vec<_> = peers.iter().map(|_| connected(&events)).collect();
    let client = Client::builder().port(server.port()).build().unwrap();
    client.start("127.0.0.1", true).unwrap();
    connected(&events);

    let hostile = b"bye;disconnect";
    for refused in [
        server.broadcast(hostile).map(drop),
        server.broadcast_where(hostile, |_| true).map(drop),
        connections[0].send(hostile),
        client.send(hostile),
    ] {
        let Err(Error::InvalidMessage(EncodeError::ContainsSeparator { at: 3 })) = refused else {
            panic!("{refused:?}");
        };
    }
    for refused in [server.broadcast(b"disconnect").map(drop), client.send(b"disconnect")] {
        assert!(matches!(refused, Err(Error::InvalidMessage(EncodeError::IsGoodbye))), "{refused:?}");
    }

    // Everybody is there, and has got nothing of it.
    assert_eq!(server.num_connections(), 4);
    assert_eq!(server.broadcast(b"bye, disconnect").unwrap(), 4);
    for peer in &mut peers {
        peer.expect(b"bye, disconnect;");
    }
    client.send(b"still here").unwrap();
    assert!(matches!(next(&events), Event::Receive { message, .. } if message == b"still here"));
    client.close();
}

// Broadcasting.

/// LEADS changes the list of its connections while it goes through it: whoever comes behind a leaver is skipped.
#[test]
fn a_broadcast_that_meets_a_dead_connection_reaches_everyone_behind_it() {
    for dead in 0..4 {
        let (server, events) = start(b";");
        let mut peers = Vec::new();
        for _ in 0..4 {
            // One after the other, so that the table's order is the list's.
            peers.push(LeadsPeer::connect(address(&server)));
            connected(&events);
        }
        peers.remove(dead).reset();
        let numbers: Vec<String> = (0..100).map(|number| format!("{number};")).collect();
        for number in &numbers {
            assert!(server.broadcast(number.trim_end_matches(';').as_bytes()).unwrap() >= 3);
        }
        for peer in &mut peers {
            peer.expect(numbers.concat().as_bytes());
        }
    }
}

/// The same while clients keep coming and leaving, in every way there is to leave.
#[test]
fn broadcasting_while_clients_come_and_go_skips_nobody_who_stays() {
    const BROADCASTS: usize = 2_000;
    const LEAVERS: usize = 200;
    let left = Arc::new(AtomicUsize::new(0));
    let count = callback::closures().on_disconnect({
        let left = Arc::clone(&left);
        move |_, _, _| {
            left.fetch_add(1, Ordering::Relaxed);
        }
    });
    let server = lossless!(Server::builder()).port(0).callback(count).build().unwrap();
    server.start(true).unwrap();
    let address = address(&server);

    // Those who stay have neighbours who leave.
    let mut neighbours = Vec::new();
    let mut staying = Vec::new();
    for number in 1..=8 {
        neighbours.push(LeadsPeer::connect(address));
        let mut peer = LeadsPeer::connect(address);
        until("both are connected", || server.num_connections() == 2 * number);
        staying.push(thread::spawn(move || peer.read_to_end()));
    }

    let done = Arc::new(AtomicBool::new(false));
    let coming_and_going: Vec<_> = (0..3)
        .map(|way| {
            let done = Arc::clone(&done);
            thread::spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    leave(LeadsPeer::connect(address), way);
                }
            })
        })
        .collect();

    let mut sent = Vec::new();
    let mut number = 0;
    let deadline = Instant::now() + 3 * PATIENCE;
    while number < BROADCASTS || left.load(Ordering::Relaxed) < LEAVERS {
        assert!(Instant::now() < deadline, "after {number} broadcasts, {left:?} have left");
        let message = number.to_string();
        assert!(server.broadcast(message.as_bytes()).unwrap() >= staying.len());
        sent.extend_from_slice(message.as_bytes());
        sent.push(b';');
        number += 1;
        if number % 100 == 0 {
            if let Some(neighbour) = neighbours.pop() {
                leave(neighbour, number / 100);
            }
        }
    }
    done.store(true, Ordering::Relaxed);
    for thread in coming_and_going {
        thread.join().unwrap();
    }
    server.close();
    sent.extend_from_slice(b"disconnect;");
    for reading in staying {
        assert!(reading.join().unwrap() == sent, "somebody who stayed was skipped");
    }
}

/// Leaves by a goodbye, by the end of the stream, or by a reset.
fn leave(mut peer: LeadsPeer, way: usize) {
    match way % 3 {
        0 => peer.write(b"disconnect;"),
        1 => peer.end(),
        _ => peer.reset(),
    }
}

// Beginning and ending.

/// LEADS goes through a list that shrinks under it: every other client gets a goodbye, and none an end.
#[test]
fn closing_the_server_reaches_every_client() {
    let (server, events) = start(b";");
    let clients: Vec<_> = (0..16)
        .map(|_| {
            let mut peer = LeadsPeer::connect(address(&server));
            connected(&events);
            thread::spawn(move || {
                peer.expect_to_end(b"last words;disconnect;");
                peer.try_write(b"disconnect;");
            })
        })
        .collect();
    assert_eq!(server.broadcast(b"last words").unwrap(), 16);
    server.close();
    for client in clients {
        client.join().unwrap();
    }
    assert_eq!(server.num_connections(), 0);
    for _ in 0..16 {
        assert!(matches!(disconnected(&events).cause, DisconnectCause::ServiceClosed));
    }
    assert!(events.is_empty());
}

/// LEADS ends a connection that it closes only when the peer answers: until then its reader waits, the peer sees no
/// end, and `on_disconnect` is not called.
#[test]
fn closing_the_server_does_not_depend_on_the_clients() {
    let (server, events) = start(b";");
    let mut silent: Vec<LeadsPeer> = (0..4).map(|_| LeadsPeer::connect(address(&server))).collect();
    let connections: BTreeSet<_> = silent.iter().map(|_| connected(&events).id()).collect();
    in_time("closing the server", {
        let server = server.clone();
        move || server.close()
    });
    let ended: BTreeSet<_> = (0..4)
        .map(|_| match events.try_recv() {
            Ok(Event::Disconnect {
                connection,
                reason: DisconnectReason { cause: DisconnectCause::ServiceClosed, .. },
            }) => connection.id(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ended, connections);
    for peer in &mut silent {
        peer.expect_to_end(b"disconnect;");
    }
}

/// LEADS closes a descriptor that its accepting thread still waits on: one more client is accepted and obeyed.
#[test]
fn a_client_that_connects_after_close_is_refused() {
    for _ in 0..5 {
        let (server, events) = start(b";");
        let address = address(&server);
        server.close();
        let refused = TcpStream::connect(address).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        assert!(matches!(next(&events), Event::Initialize { .. }));
        assert!(events.is_empty(), "{:?}", events.try_recv());
    }
}

/// LEADS tells nobody but `on_fail`, which does nothing by default: the start looks as if it had worked.
#[test]
fn a_bind_failure_is_returned_by_start() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    let (callback, events) = recorder();
    let server = CloseOnDrop::new(Server::builder().port(port).callback(callback).build().unwrap());
    for parallel in [true, false] {
        match server.start(parallel).unwrap_err() {
            Error::Bind { address, source } => {
                assert_eq!(address, format!("127.0.0.1:{port}"));
                assert_eq!(source.kind(), ErrorKind::AddrInUse);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(events.is_empty(), "{:?}", events.try_recv());
    assert!(matches!(start_server(create_server(port, ()), true), Err(Error::Bind { .. })));

    drop(holder);
    server.start(true).unwrap();
    LeadsPeer::connect(address(&server));
    connected(&events);
}

/// LEADS finds its own port in use for a minute when it has closed connections first.
#[test]
fn a_server_restarts_on_the_same_port_at_once() {
    let mut port = 0;
    for round in 0..5 {
        let (callback, events) = recorder();
        let server = lossless!(Server::builder()).port(port).callback(callback).build().unwrap();
        server.start(true).unwrap_or_else(|error| panic!("round {round}: {error}"));
        port = server.port();
        let clients: Vec<_> = (0..3)
            .map(|_| {
                let mut peer = LeadsPeer::connect(address(&server));
                connected(&events);
                thread::spawn(move || peer.expect_to_end(b"disconnect;"))
            })
            .collect();
        // The server closes first, so that its side keeps the port in `TIME_WAIT`.
        server.close();
        for client in clients {
            client.join().unwrap();
        }
    }
}

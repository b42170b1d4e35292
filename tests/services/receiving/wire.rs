//! The bytes on the wire, one by one, with a LEADS peer in either role: a plain socket that knows nothing of this
//! library.

use std::cell::Cell;
use std::net::TcpListener;
use std::thread;

use leads_comm::callback::Event;
use leads_comm::crossbeam_channel::Receiver;
use leads_comm::{
    Client, CloseOnDrop, Closing, Connection, DisconnectCause, DisconnectReason, Server, Service, create_client,
    create_server, start_client, start_server,
};
use leads_comm_testing::leads_peer::LeadsPeer;
use leads_comm_testing::{PATIENCE, connected, in_time, next, recorder};

/// LEADS's separator, and the one of its video.
const SEPARATORS: [&[u8]; 2] = [b";", b"end;"];

/// This library's end of a connection to a LEADS peer.
struct Ours {
    service: Box<dyn Service>,
    connection: Connection,
    events: Receiver<Event>,
}

impl Ours {
    /// The messages that come next, with nothing else in between.
    fn expect_messages(&self, messages: &[Vec<u8>]) {
        for expected in messages {
            match next(&self.events) {
                Event::Receive { message, connection } => {
                    assert_eq!(message.escape_ascii().to_string(), expected.escape_ascii().to_string());
                    assert_eq!(connection, self.connection);
                }
                other => panic!("instead of {:?}: {other:?}", expected.escape_ascii().to_string()),
            }
        }
    }

    /// The end of the connection, which comes next, is the last thing told, and has left nothing unsent.
    fn expect_end(&self) -> DisconnectReason {
        let reason = match next(&self.events) {
            Event::Disconnect { reason, connection } => {
                assert_eq!(connection, self.connection);
                reason
            }
            other => panic!("instead of the end: {other:?}"),
        };
        assert_eq!(self.service.num_connections(), 0);
        assert!(self.events.is_empty());
        assert_eq!((reason.undelivered.unsent.messages, reason.undelivered.unsent.bytes), (0, 0));
        reason
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        self.service.close();
    }
}

/// Leaves a slow machine's peer the time to answer.
macro_rules! patient {
    ($builder:expr) => {
        $builder.closing(Closing::new().drain_timeout(PATIENCE).flush_timeout(PATIENCE).close_timeout(2 * PATIENCE))
    };
}

fn serve(separator: &[u8]) -> (Ours, LeadsPeer) {
    let (callback, events) = recorder();
    let server = patient!(Server::builder()).port(0).separator(separator).callback(callback).build().unwrap();
    server.start(true).unwrap();
    let peer = LeadsPeer::connect(server.local_addr().unwrap());
    let connection = connected(&events);
    (Ours { service: Box::new(server), connection, events }, peer)
}

fn connect(separator: &[u8]) -> (Ours, LeadsPeer) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (callback, events) = recorder();
    let port = listener.local_addr().unwrap().port();
    let client = patient!(Client::builder()).port(port).separator(separator).callback(callback).build().unwrap();
    client.start("127.0.0.1", true).unwrap();
    let peer = LeadsPeer::accept(&listener);
    let connection = connected(&events);
    (Ours { service: Box::new(client), connection, events }, peer)
}

/// Runs `test` with this library as the server and as the client of a LEADS peer, with either separator.
fn in_both_roles(test: impl Fn(&dyn Fn() -> (Ours, LeadsPeer), &[u8])) {
    for separator in SEPARATORS {
        println!("as the server, with {}", separator.escape_ascii());
        test(&|| serve(separator), separator);
        println!("as the client, with {}", separator.escape_ascii());
        test(&|| connect(separator), separator);
    }
}

fn frame(payload: &[u8], separator: &[u8]) -> Vec<u8> {
    [payload, separator].concat()
}

/// Messages that are nothing but data, whatever they look like.
fn data(separator: &[u8]) -> Vec<Vec<u8>> {
    let mut payloads: Vec<Vec<u8>> = [
        &b"a"[..],
        b"bcd",
        b"",
        b"disconnected",
        b" disconnect",
        b"disconnect ",
        b"disconnect\n",
        b"\0\0",
        b"\xff\xfe\xc3(",
        b"",
        b"",
        b"{\"speed\": 12.5, \"gear\": null}",
    ]
    .map(<[u8]>::to_vec)
    .into();
    // With more than one byte, parts of the separator are data too, and so is `;`.
    payloads.extend((1..separator.len()).map(|len| separator[..len].to_vec()));
    payloads.extend((1..separator.len()).map(|from| [b"disconnect", &separator[from..]].concat()));
    payloads
}

#[test]
fn what_is_sent_is_on_the_wire_byte_for_byte_and_the_goodbye_is_last() {
    in_both_roles(|open, separator| {
        let (ours, mut peer) = open();
        let mut wire = Vec::new();
        for payload in data(separator) {
            ours.connection.send(&payload).unwrap();
            assert_eq!(ours.service.broadcast(&payload).unwrap(), 1);
            wire.extend(frame(&payload, separator).repeat(2));
        }
        ours.connection.close();
        assert!(ours.connection.send(b"late").is_err());
        wire.extend(frame(b"disconnect", separator));
        peer.expect_to_end(&wire);
        peer.write(&frame(b"disconnect", separator));
        drop(peer);
        assert!(matches!(ours.expect_end().cause, DisconnectCause::LocalClose));
    });
}

#[test]
fn closing_the_service_says_goodbye_once() {
    in_both_roles(|open, separator| {
        let (ours, mut peer) = open();
        let goodbye = frame(b"disconnect", separator);
        ours.connection.send(b"hello").unwrap();
        thread::scope(|scope| {
            let closing = scope.spawn(|| ours.service.close());
            peer.expect_to_end(&[frame(b"hello", separator), goodbye.clone()].concat());
            // As LEADS answers. It is not answered again: the stream from here has ended.
            peer.write(&goodbye);
            drop(peer);
            closing.join().unwrap();
        });
        assert!(matches!(ours.expect_end().cause, DisconnectCause::ServiceClosed));
    });
}

#[test]
fn goodbyes_that_cross_are_not_answered() {
    in_both_roles(|open, separator| {
        for round in 0..10 {
            let (ours, mut peer) = open();
            let goodbye = frame(b"disconnect", separator);
            peer.write(&goodbye);
            if round % 2 == 0 {
                ours.connection.close();
            } else {
                thread::scope(|scope| {
                    scope.spawn(|| ours.service.close());
                    peer.end();
                });
            }
            peer.expect_to_end(&goodbye);
            drop(peer);
            ours.expect_end();
        }
    });
}

#[test]
fn messages_in_one_segment_are_all_delivered() {
    in_both_roles(|open, separator| {
        let (ours, mut peer) = open();
        let messages = data(separator);
        let stream: Vec<u8> = messages.iter().flat_map(|message| frame(message, separator)).collect();
        peer.write(&stream);
        ours.expect_messages(&messages);
        // And byte by byte.
        for byte in &stream {
            peer.write(&[*byte]);
        }
        ours.expect_messages(&messages);
        // None of them was a goodbye.
        ours.connection.send(b"still here").unwrap();
        peer.expect(&frame(b"still here", separator));
    });
}

/// Writes `stream` with a cut at `at` that the reader is sure to see: a message in front of the first part, written
/// together with it, is delivered before the second part is written.
fn write_cut(ours: &Ours, peer: &mut LeadsPeer, separator: &[u8], stream: &[u8], at: usize) {
    let (left, right) = stream.split_at(at);
    peer.write(&[&frame(b"cut", separator), left].concat());
    ours.expect_messages(&[b"cut".to_vec()]);
    if !right.is_empty() {
        peer.write(right);
    }
}

#[test]
fn a_stream_may_be_cut_in_every_place() {
    let cuts = Cell::new(0);
    in_both_roles(|open, separator| {
        let (ours, mut peer) = open();
        let messages = data(separator);
        let stream: Vec<u8> = messages.iter().flat_map(|message| frame(message, separator)).collect();
        for at in 0..=stream.len() {
            let (left, right) = stream.split_at(at);
            let finished = messages
                .iter()
                .scan(0, |end, message| {
                    *end += message.len() + separator.len();
                    Some(*end)
                })
                .take_while(|end| *end <= at)
                .count();
            peer.write(&[&frame(b"cut", separator), left].concat());
            ours.expect_messages(&[b"cut".to_vec()]);
            ours.expect_messages(&messages[..finished]);
            assert!(ours.events.is_empty(), "cut at {at}: an unfinished message has been delivered");
            peer.write(right);
            ours.expect_messages(&messages[finished..]);
            cuts.set(cuts.get() + 1);
        }
    });
    println!("D6, D7: differences 0, false goodbyes 0 in {} streams cut in one place", cuts.get());
}

#[test]
fn a_goodbye_is_answered_by_one_goodbye_and_the_end_wherever_it_is_cut() {
    let cuts = Cell::new(0);
    in_both_roles(|open, separator| {
        let goodbye = frame(b"disconnect", separator);
        for at in 0..=goodbye.len() {
            let (ours, mut peer) = open();
            write_cut(&ours, &mut peer, separator, &goodbye, at);
            peer.expect_to_end(&goodbye);
            drop(peer);
            let reason = ours.expect_end();
            assert!(matches!(reason.cause, DisconnectCause::PeerGoodbye), "cut at {at}: {reason:?}");
            assert_eq!(reason.undelivered.unfinished_bytes, 0);
            cuts.set(cuts.get() + 1);
        }
    });
    println!("D7: goodbyes missed 0 of {}", cuts.get());
}

#[test]
fn what_was_sent_before_the_peers_goodbye_came_is_in_front_of_the_answer() {
    in_both_roles(|open, separator| {
        let (ours, mut peer) = open();
        ours.connection.send(b"one").unwrap();
        ours.connection.send(b"two").unwrap();
        peer.write(&frame(b"disconnect", separator));
        let answer: Vec<u8> = [&b"one"[..], b"two", b"disconnect"].map(|payload| frame(payload, separator)).concat();
        peer.expect_to_end(&answer);
        drop(peer);
        assert!(matches!(ours.expect_end().cause, DisconnectCause::PeerGoodbye));
    });
}

#[test]
fn nothing_behind_a_goodbye_is_delivered() {
    in_both_roles(|open, separator| {
        let (ours, mut peer) = open();
        let stream: Vec<u8> =
            [&b"before"[..], b"disconnect", b"behind"].map(|payload| frame(payload, separator)).concat();
        peer.write(&[&stream, &b"unfinished"[..]].concat());
        ours.expect_messages(&[b"before".to_vec()]);
        peer.expect_to_end(&frame(b"disconnect", separator));
        // May find the socket closed already.
        peer.try_write(&frame(b"still behind", separator));
        drop(peer);
        let reason = ours.expect_end();
        assert!(matches!(reason.cause, DisconnectCause::PeerGoodbye), "{reason:?}");
    });
}

#[test]
fn nothing_is_delivered_once_this_side_has_closed() {
    in_both_roles(|open, separator| {
        let (ours, mut peer) = open();
        ours.connection.close();
        peer.expect_to_end(&frame(b"disconnect", separator));
        peer.write(&[frame(b"late", separator), frame(b"disconnect", separator)].concat());
        drop(peer);
        assert!(matches!(ours.expect_end().cause, DisconnectCause::LocalClose));
    });
}

#[test]
fn what_is_unfinished_at_the_end_of_the_stream_is_counted_and_never_delivered() {
    let ends = Cell::new(0);
    in_both_roles(|open, separator| {
        let unfinished = [b"disconnect", &separator[..separator.len() - 1]].concat();
        for len in 0..=unfinished.len() {
            let (ours, mut peer) = open();
            peer.write(&[&frame(b"whole", separator), &unfinished[..len]].concat());
            peer.end();
            ours.expect_messages(&[b"whole".to_vec()]);
            // A peer that has only ended its own half can still read.
            peer.expect_to_end(&frame(b"disconnect", separator));
            let reason = ours.expect_end();
            assert!(matches!(reason.cause, DisconnectCause::PeerClosed), "{reason:?}");
            assert_eq!(reason.undelivered.unfinished_bytes, len);
            ends.set(ends.get() + 1);
        }
    });
    println!("D8: unfinished messages delivered 0, miscounted 0 of {}", ends.get());
}

#[test]
fn a_reset_ends_the_connection_and_counts_what_was_unfinished() {
    in_both_roles(|open, separator| {
        let (ours, mut peer) = open();
        peer.write(&[&frame(b"whole", separator), &b"unfinished"[..]].concat());
        ours.expect_messages(&[b"whole".to_vec()]);
        peer.reset();
        let reason = ours.expect_end();
        assert!(matches!(reason.cause, DisconnectCause::Io { .. }), "{reason:?}");
        assert_eq!(reason.undelivered.unfinished_bytes, 10);
    });
}

/// LEADS's own words, with a LEADS peer on the other side of each.
#[test]
fn the_functions_of_leads_speak_its_protocol() {
    let (callback, events) = recorder();
    let server = CloseOnDrop::new(start_server(create_server(0, callback), true).unwrap());
    let mut peer = LeadsPeer::connect(([127, 0, 0, 1], server.port()).into());
    connected(&events);
    server.broadcast(b"hello").unwrap();
    peer.expect(b"hello;");
    peer.write(b"time_lap;disconnect;");
    peer.expect_to_end(b"disconnect;");

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = create_client(listener.local_addr().unwrap().port(), ());
    let client = CloseOnDrop::new(start_client("127.0.0.1", client, true).unwrap());
    let mut peer = LeadsPeer::accept(&listener);
    client.send(b"hazard").unwrap();
    peer.expect(b"hazard;");
    let closed = in_time("closing the client", {
        let client = client.clone();
        move || {
            client.close();
            client.num_connections()
        }
    });
    assert_eq!(closed, 0);
    peer.expect_to_end(b"disconnect;");
}

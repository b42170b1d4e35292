//! Any bytes arrive as they were sent, by whichever way they are sent, in both directions.

use std::thread;

use leads_comm::callback::Event;
use leads_comm::codec::Framing;
use leads_comm::{Client, Reconnect};
use leads_comm_testing::account::assert_adds_up;
use leads_comm_testing::*;

use super::{binary, frame, framings, start};

over_every_transport! {
    fn any_bytes_arrive_as_they_were_sent(net: Net) {
        for framing in framings() {
            let started = start(net, &framing);
            let (callback, events) = recorder();
            let client = started.client().framing(framing.clone()).callback(callback).build().unwrap();
            client.start(started.address(), true).unwrap();
            let connection = connected(&started.events);
            let sent = binary();
            for message in &sent {
                client.send(message).unwrap();
                assert_eq!(received(&started.events), *message);
                connection.send(message).unwrap();
                assert_eq!(received(&events), *message);
            }
            assert_eq!(client.send_all(&sent).unwrap(), sent.len());
            assert_eq!(connection.send_all(&sent).unwrap(), sent.len());
            for message in &sent {
                assert_eq!(received(&started.events), *message);
                assert_eq!(received(&events), *message);
            }
            for message in &sent {
                assert_eq!(started.server.broadcast(message).unwrap(), 1);
                assert_eq!(received(&events), *message);
            }
            // On the wire, each with what its framing adds; so are they counted, at both ends.
            connection.flush(PATIENCE).unwrap();
            let once: usize = sent.iter().map(|message| frame(message, &framing).len()).sum();
            let stats = connection.stats();
            assert_eq!((stats.traffic.written.bytes, stats.traffic.received.bytes), (3 * once as u64, 2 * once as u64));
            assert_adds_up(&stats.traffic);
            client.close();
            assert_eq!(disconnected(&started.events).kind(), leads_comm::DisconnectKind::PeerGoodbye);
            assert_eq!(disconnected(&events).kind(), leads_comm::DisconnectKind::ServiceClosed);
        }
    }

    fn any_bytes_are_queued_and_called_for(net: Net) {
        for framing in framings() {
            let started = start(net, &framing);
            let (callback, events) = recorder();
            let client = started.client().framing(framing.clone()).callback(callback).build().unwrap();
            client.start(started.address(), true).unwrap();
            let connection = connected(&started.events);
            let sent = binary();
            for message in &sent {
                client.queue(message).unwrap();
                connection.queue(message).unwrap();
                assert_eq!(started.server.queue_broadcast(message).unwrap(), 1);
            }
            for message in &sent {
                assert_eq!(received(&started.events), *message);
                assert_eq!(received(&events), *message);
                assert_eq!(received(&events), *message);
            }
            let server = started.server.clone();
            thread::scope(|scope| {
                // What is asked is answered by itself, and by something else in front of it.
                scope.spawn(|| {
                    for message in &sent {
                        assert_eq!(received(&started.events), *message);
                        server.broadcast(b"\0something else").unwrap();
                        connection.queue(message).unwrap();
                    }
                });
                for message in &sent {
                    let expected = message.clone();
                    let answer = client.call(message, move |message| message == expected, PATIENCE).unwrap();
                    assert!(answer == *message);
                    assert_eq!(received(&events), b"\0something else");
                }
            });
            assert_adds_up(&connection.stats().traffic);
        }
    }

    fn floods_from_all_sides_arrive_whole_and_in_order(net: Net) {
        const COUNT: usize = 2000;
        for framing in framings() {
            let started = start(net, &framing);
            let (callback, events) = recorder();
            let client = started.client().framing(framing.clone()).callback(callback).build().unwrap();
            client.start(started.address(), true).unwrap();
            connected(&started.events);
            let message = |number: usize| {
                let mut message = (number as u32).to_be_bytes().to_vec();
                message.resize(4 + number % 50, 0);
                message
            };
            let check = |events: &leads_comm::crossbeam_channel::Receiver<Event>| {
                (0..COUNT).for_each(|number| assert_eq!(received(events), message(number)));
            };
            thread::scope(|scope| {
                scope.spawn(|| (0..COUNT).for_each(|number| client.send(&message(number)).unwrap()));
                scope.spawn(|| {
                    (0..COUNT).for_each(|number| assert_eq!(started.server.broadcast(&message(number)).unwrap(), 1));
                });
                scope.spawn(|| check(&started.events));
                scope.spawn(|| check(&events));
            });
        }
    }

    fn a_client_with_a_token_is_let_in(net: Net) {
        for framing in framings() {
            let secret = b"\0;binary\xff";
            let started = net.start_server(|builder| builder.framing(framing.clone()).token(secret));
            let client = started.client().framing(framing.clone()).token(secret).build().unwrap();
            client.start(started.address(), true).unwrap();
            client.send(b"\0first\0").unwrap();
            assert_eq!(received(&started.events), b"\0first\0");
            client.close();
            let wrong = started.client().framing(framing.clone()).token(b"\0;binary\xfe").build().unwrap();
            let outcome = wrong.start(started.address(), true);
            assert!(outcome.is_err() || !net.writes_without_blocking(), "{outcome:?}");
            wrong.close();
        }
    }
}

#[test]
fn what_is_kept_while_there_is_no_connection_is_sent_on_the_next() {
    for framing in framings() {
        let port = free_port();
        let reconnect = Reconnect::new().keep_bytes(1 << 20);
        let (callback, events) = recorder();
        let server = || leads_comm::Server::builder().port(port).framing(framing.clone());
        let first = server().build().unwrap();
        first.start(true).unwrap();
        let client = Client::builder().port(port).framing(framing.clone()).reconnect(reconnect).build().unwrap();
        client.start("127.0.0.1", true).unwrap();
        first.close();
        until("the end has been noticed", || client.connection().is_none_or(|connection| connection.is_closed()));
        let sent = binary();
        sent[..3].iter().for_each(|message| client.send(message).unwrap());
        assert_eq!(client.send_all(&sent[3..]).unwrap(), sent.len() - 3);
        let second = server().callback(callback).build().unwrap();
        second.start(true).unwrap();
        for message in &sent {
            assert_eq!(received(&events), *message);
        }
        client.close();
        second.close();
    }
}

/// What is called last holds.
#[test]
fn a_separator_is_a_shortcut_for_its_framing() {
    for (builder, expected) in [
        (leads_comm::Server::builder().framing(Framing::Length).separator("end;"), &b"m1end;"[..]),
        (leads_comm::Server::builder().separator("").framing(Framing::Length), b"\0\0\0\x02m1"),
        (leads_comm::Server::builder(), b"m1;"),
    ] {
        let (listener, connector) = leads_comm::transport::memory::listener();
        let (callback, events) = recorder();
        let server = builder.transport(listener).callback(callback).build().unwrap();
        server.start(true).unwrap();
        let raw = Raw::of(Box::new(connector.open().unwrap()));
        connected(&events);
        server.broadcast(b"m1").unwrap();
        assert_eq!(raw.read_exact(expected.len()), expected);
        server.close();
    }
}

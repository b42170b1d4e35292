//! Calls that get no answer: refused, without a connection, and cut short by the end of one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use leads_comm::answer::{self, Numbers};
use leads_comm::callback::{self, Event};
use leads_comm::codec::EncodeError;
use leads_comm::{Client, Connection, Delivery, Error, Reconnect, Server, SlowConsumer};
use leads_comm_testing::seed::Seed;
use leads_comm_testing::*;

use super::{call_in_background, result};

over_every_transport! {
    fn a_request_that_cannot_be_sent_is_refused_as_by_send(net: Net) {
        let started = net.start_server(|builder| builder.max_sent_len(1000).max_queued_bytes(10_000));
        let client = started.client().max_sent_len(1000).build().unwrap();
        let call = |request: &[u8]| client.call(request, |_| true, Duration::MAX);
        assert!(matches!(call(b"m1"), Err(Error::NotConnected)), "before the start");
        client.start(started.address(), true).unwrap();
        assert!(matches!(
            call(b"a;b"),
            Err(Error::InvalidMessage(EncodeError::ContainsSeparator { at: 1 }))
        ));
        assert!(matches!(call(&[b'x'; 1001]), Err(Error::MessageTooLong { len: 1001, limit: 1000 })));
        client.close();
        assert!(matches!(call(b"m1"), Err(Error::NotConnected)), "after the end");
        assert!(!started.events.try_iter().any(|event| matches!(event, Event::Receive { .. })));
    }

    fn a_peer_that_does_not_read_refuses_a_request(net: Net) {
        for policy in [SlowConsumer::DropNewest, SlowConsumer::Disconnect] {
            let started = net.start_server(|builder| builder.max_sent_len(1000).max_queued_bytes(10_000));
            let raw = started.stalled();
            let connection = connected(&started.events);
            connection.set_delivery(Delivery::new().max_queued_bytes(10_000).slow_consumer(policy)).unwrap();
            let error = loop {
                match connection.call(&[b'x'; 1000], |_| true, Duration::ZERO) {
                    Err(Error::TimedOut { .. }) => {}
                    other => break other.unwrap_err(),
                }
            };
            match policy {
                SlowConsumer::DropNewest => assert!(matches!(error, Error::Dropped { .. }), "{error:?}"),
                // Whoever is first: the sender that finds the queue full, or the end that it brings about.
                _ => assert!(matches!(error, Error::SlowConsumer { .. }), "{error:?}"),
            }
            connection.abort();
            drop(raw);
        }
    }

    fn whatever_ends_the_connection_ends_its_calls_at_once(net: Net) {
        type End = fn(&Started, &Client, &Connection);
        let ends: [End; 6] = [
            |_, client, _| client.connection().unwrap().close(),
            |_, client, _| client.connection().unwrap().abort(),
            |_, client, _| client.close(),
            |_, _, there| there.close(),
            |_, _, there| there.abort(),
            |started, _, _| started.server.close(),
        ];
        for (number, end) in ends.into_iter().enumerate() {
            let started = net.start_server(|builder| builder);
            let (client, events) = started.start_client();
            let (here, there) = (client.connection().unwrap(), connected(&started.events));
            let calls = [(); 3].map(|()| call_in_background(&here, b"request", |_| false, &started.events));
            end(&started, &client, &there);
            for call in &calls {
                let error = result(call).unwrap_err();
                assert!(matches!(error, Error::Disconnected), "{number}: {error:?}");
            }
            disconnected(&events);
            assert!(matches!(client.call(b"m1", |_| true, Duration::MAX), Err(Error::NotConnected)));
            assert!(matches!(here.call(b"m1", |_| true, Duration::MAX), Err(Error::Disconnected)));
        }
    }
}

/// Nobody waits for a callback that is running, nor for what a peer does or does not say.
#[test]
fn a_call_ends_with_its_connection_while_a_callback_holds_the_reader() {
    let started = Net::Tcp.start_server(|builder| builder);
    let (holding, held) = std::sync::mpsc::channel();
    let (going_on, go_on) = std::sync::mpsc::channel();
    let go_on = std::sync::Mutex::new(go_on);
    let client = started.start_client_with(callback::on_receive(move |_, _| {
        holding.send(()).unwrap();
        go_on.lock().unwrap().recv_timeout(PATIENCE).unwrap();
    }));
    let (here, there) = (client.connection().unwrap(), connected(&started.events));
    let call = call_in_background(&here, b"request", |message| message == b"answer", &started.events);
    there.send(b"m1").unwrap();
    held.recv_timeout(PATIENCE).unwrap();
    here.close();
    assert!(matches!(result(&call), Err(Error::Disconnected)));
    going_on.send(()).unwrap();
}

#[test]
fn an_answer_in_front_of_the_goodbye_counts() {
    for _ in 0..50 {
        let server = Server::builder().port(0).callback(callback::on_receive(|connection, _| {
            connection.send(b"answer").unwrap();
            connection.close();
        }));
        let server = leads_comm::CloseOnDrop::new(server.build().unwrap());
        server.start(true).unwrap();
        let client = Client::connect(&format!("127.0.0.1:{}", server.port()), ()).unwrap();
        assert_eq!(client.call(b"request", |_| true, Duration::MAX).unwrap(), b"answer");
    }
}

#[test]
fn a_client_that_has_received_on_the_calling_thread_leaves_no_call_behind() {
    let started = Net::Tcp.start_server(|builder| builder);
    let client = started.client().build().unwrap();
    let (here, address) = (client.clone(), started.address().to_owned());
    let running = thread::spawn(move || here.start(&address, false));
    let there = connected(&started.events);
    until("the client is connected", || client.connection().is_some());
    let call = call_in_background(&client.connection().unwrap(), b"request", |_| false, &started.events);
    there.close();
    assert!(matches!(result(&call), Err(Error::Disconnected)));
    in_time("the client that runs there", move || running.join().unwrap()).unwrap();
}

/// A call belongs to one connection, however soon there is another.
#[test]
fn a_client_that_reconnects_keeps_no_call_for_its_next_connection() {
    let started = Net::Tcp.start_server(|builder| builder);
    let reconnect = Reconnect::new()
        .first_delay(Duration::from_millis(1))
        .longest_delay(Duration::from_millis(20))
        .keep_bytes(1_000_000);
    let (callback, events) = recorder();
    let client = started.client().reconnect(reconnect).callback(callback).build().unwrap();
    client.start(started.address(), true).unwrap();
    for _ in 0..20 {
        let (here, there) = (connected(&events), connected(&started.events));
        assert_eq!(client.connection(), Some(here.clone()));
        let call = call_in_background(&here, b"request", |_| true, &started.events);
        there.abort();
        assert!(matches!(result(&call), Err(Error::Disconnected)));
        // Without a connection, or with one that goes before there is an answer, which nobody gives.
        let error = client.call(b"request", |_| false, Duration::from_millis(1)).unwrap_err();
        assert!(matches!(error, Error::NotConnected | Error::Disconnected | Error::TimedOut { .. }), "{error:?}");
    }
    let (address, server) = (started.address().to_owned(), started.server.clone());
    server.close();
    until("there is no connection", || client.connection().is_none());
    let error = client.call(b"request", |_| true, Duration::MAX).unwrap_err();
    assert!(matches!(error, Error::NotConnected), "{error:?}, {address}");
    client.close();
    // Nothing was kept.
    assert!(!events.try_iter().any(|event| matches!(event, Event::Fail { error: Error::Unsent { .. }, .. })));
}

const CALLERS: usize = 8;
const ROUNDS: usize = 200;

/// Each call returns, with its own answer or with the end, and no answer is lost or delivered twice.
#[test]
fn connections_end_at_any_moment_and_no_call_stays() {
    let seed = Seed::new();
    let answered = Arc::new(AtomicUsize::new(0));
    let server = Server::builder().port(0).callback(callback::on_receive(|connection, message| {
        // Fails when the connection is over.
        let _ = connection.send(&[message, b"!"].concat());
    }));
    let server = leads_comm::CloseOnDrop::new(server.build().unwrap());
    server.start(true).unwrap();
    let address = format!("127.0.0.1:{}", server.port());
    let mut random = seed.random(0);
    for round in 0..ROUNDS {
        let (callback, events) = recorder();
        let client = Client::connect(&address, callback).unwrap();
        let connection = client.connection().unwrap();
        let numbers = Arc::new(Numbers::new());
        let enough = random.skewed(200);
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let (connection, numbers, answered) = (connection.clone(), Arc::clone(&numbers), Arc::clone(&answered));
                thread::spawn(move || {
                    let mut own = Vec::new();
                    loop {
                        let number = numbers.next();
                        let is_answer = answer::prefix(format!("{number}!"));
                        match connection.call(number.to_string().as_bytes(), is_answer, Duration::MAX) {
                            Ok(answer) => {
                                assert_eq!(answer, format!("{number}!").as_bytes());
                                own.push(answer);
                            }
                            Err(Error::Disconnected) => return own,
                            Err(error) => panic!("{error:?}"),
                        }
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let before = answered.load(Ordering::Relaxed);
        until("enough is answered", || answered.load(Ordering::Relaxed) >= before + enough);
        // Not that of the round before, which may still be leaving; and this one may still be coming.
        let peers = server.connections();
        let peer = peers.iter().find(|peer| peer.peer_addr() == connection.local_addr());
        match (random.within(0..=3), peer) {
            (0, _) => connection.close(),
            (1, _) => connection.abort(),
            (2, Some(peer)) => peer.close(),
            (_, Some(peer)) => peer.abort(),
            (_, None) => connection.abort(),
        }
        let mut told = Vec::new();
        for caller in callers {
            told.extend(in_time(&format!("a caller in round {round}"), move || caller.join()).unwrap());
        }
        client.close();
        // The answer to a call that has just been told of the end is a message like any other.
        told.extend(events.try_iter().filter_map(|event| match event {
            Event::Receive { message, .. } => Some(message),
            _ => None,
        }));
        let all = told.len();
        told.sort_unstable();
        told.dedup();
        assert_eq!(told.len(), all, "an answer was given twice");
    }
    println!("{} calls were answered in {ROUNDS} connections", answered.load(Ordering::Relaxed));
}

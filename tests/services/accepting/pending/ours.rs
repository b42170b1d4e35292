//! A client whose streams shake hands.

use std::io;
use std::sync::mpsc;
use std::thread;

use leads_comm::transport::memory;
use leads_comm::{Client, Error, Reconnect, Timeouts};

use super::shaking::HELLO;
use super::*;

/// A client that shakes hands, and the peer that each of its connections finds.
fn client() -> (leads_comm::ClientBuilder, mpsc::Receiver<Raw>) {
    let (opened, peers) = mpsc::channel();
    let connector = move |_: &str| {
        let (here, there) = memory::pair();
        let _ = opened.send(Raw::of(Box::new(there)));
        Ok(Box::new(here) as Box<dyn leads_comm::transport::Stream>)
    };
    (
        Client::builder().transport(shaking::connector(connector)).timeouts(Timeouts::new().handshake_timeout(NEVER)),
        peers,
    )
}

#[test]
fn a_server_that_says_something_else_is_an_error_of_the_start() {
    let (builder, peers) = client();
    let client = builder.build().unwrap();
    let starting = {
        let client = client.clone();
        thread::spawn(move || client.start("somewhere", true))
    };
    let wrong = peers.recv_timeout(PATIENCE).unwrap();
    wrong.write(b"oh\n");
    match in_time("the start", || starting.join().unwrap()) {
        Err(Error::Connect { address, source }) => {
            assert_eq!((address.as_str(), source.kind()), ("somewhere", io::ErrorKind::InvalidData));
        }
        other => panic!("{other:?}"),
    }
    // It may be tried again.
    let starting = {
        let client = client.clone();
        thread::spawn(move || client.start("somewhere", true))
    };
    let peer = peers.recv_timeout(PATIENCE).unwrap();
    peer.write(HELLO);
    in_time("the second start", || starting.join().unwrap()).unwrap();
    client.send(b"hello").unwrap();
    assert_eq!(peer.read_exact(9), b"hi\nhello;");
    client.close();
}

#[test]
fn a_server_that_is_silent_is_given_up_in_time() {
    let (builder, peers) = client();
    let client = builder.timeouts(Timeouts::new().handshake_timeout(Duration::from_millis(200))).build().unwrap();
    match in_time("the start", move || client.start("somewhere", true)) {
        Err(Error::Connect { source, .. }) => {
            assert_eq!(source.kind(), io::ErrorKind::TimedOut);
            assert_eq!(source.to_string(), "the handshake was not over within 200ms");
        }
        other => panic!("{other:?}"),
    }
    let (_, end) = peers.recv_timeout(PATIENCE).unwrap().read_to_end();
    end.expect_err("this is no regular end");
}

#[test]
fn closing_a_client_that_shakes_hands_takes_no_time() {
    let (builder, peers) = client();
    let client = builder.build().unwrap();
    let starting = {
        let client = client.clone();
        thread::spawn(move || client.start("somewhere", true))
    };
    let peer = peers.recv_timeout(PATIENCE).unwrap();
    assert_eq!(peer.read_exact(3), HELLO);
    client.close();
    let started = in_time("the start", || starting.join().unwrap());
    assert!(matches!(started, Err(Error::Closed)), "{started:?}");
}

#[test]
fn a_client_that_connects_again_shakes_hands_again() {
    let (builder, peers) = client();
    let (callback, events) = recorder();
    let quick = Reconnect::new().first_delay(Duration::from_millis(1)).longest_delay(Duration::from_millis(20));
    let client = builder.reconnect(quick.at_start(true)).callback(callback).build().unwrap();
    let starting = {
        let client = client.clone();
        thread::spawn(move || client.start("somewhere", true))
    };
    let wrong = peers.recv_timeout(PATIENCE).unwrap();
    wrong.write(b"oh\n");
    in_time("the start", || starting.join().unwrap()).unwrap();
    let failed = find(&events, |event| match event {
        Event::Fail { error, .. } => Some(error),
        Event::Connect { .. } => panic!("it is connected"),
        _ => None,
    });
    assert!(
        matches!(&failed, Error::Connect { source, .. } if source.kind() == io::ErrorKind::InvalidData),
        "{failed}"
    );
    for number in 0..3 {
        let peer = peers.recv_timeout(PATIENCE).unwrap();
        peer.write(b"hi\nhello;");
        connected(&events);
        assert_eq!(received(&events), b"hello", "connection {number}");
        drop(peer);
        disconnected(&events);
    }
    // In the middle of the next handshake.
    let peer = peers.recv_timeout(PATIENCE).unwrap();
    assert_eq!(peer.read_exact(3), HELLO);
    in_time("closing", move || client.close());
    let (_, end) = peer.read_to_end();
    end.expect_err("this is no regular end");
    let told: Vec<_> = events.try_iter().filter(|event| matches!(event, Event::Fail { .. })).collect();
    assert!(told.is_empty(), "{told:?}");
}

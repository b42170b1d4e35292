//! What a client that connects again costs, and that it leaves nothing behind: threads and descriptors of this process,
//! counted.
//!
//! One test only, so that nothing else runs in the process while it counts.
#![cfg(target_os = "linux")]

use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use leads_comm::callback::Event;
use leads_comm::{Client, Reconnect};
use leads_comm_testing::leftovers::{expect, threads_and_descriptors};
use leads_comm_testing::*;

#[test]
fn a_client_costs_the_same_after_any_number_of_connections_and_leaves_nothing_behind() {
    alone!();
    let (threads, descriptors) = threads_and_descriptors();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let accept = |listener: &TcpListener| -> TcpStream { listener.accept().unwrap().0 };

    let (callback, events) = recorder();
    let quick = Reconnect::new().first_delay(Duration::from_millis(1)).longest_delay(Duration::from_millis(20));
    let client = Client::builder().port(port).reconnect(quick.clone()).callback(callback).build().unwrap();
    expect("built", threads, descriptors + 1);
    client.start("127.0.0.1", true).unwrap();
    let mut peer = accept(&listener);
    let mut kept = Vec::new();
    for _ in 0..50 {
        kept.push(connected(&events));
        // The reader and the pump; the listener and the peer, the connection, and two to wake the pump.
        expect("connected", threads + 2, descriptors + 2 + 1 + 2);
        drop(peer);
        peer = accept(&listener);
    }
    // The same pump serves them all: it still writes what waits, and keeps deadlines.
    let connection = connected(&events);
    let mut sent = 0;
    while connection.queued_bytes() < 100_000 {
        client.send(&[b'x'; 10_000]).unwrap();
        sent += 10_001;
    }
    let mut received = 0;
    let mut chunk = vec![0; 1 << 20];
    while received < sent {
        received += std::io::Read::read(&mut peer, &mut chunk).unwrap();
    }
    assert_eq!(received, sent);

    // While nobody is there: no more than the pump needs.
    drop((peer, listener));
    for _ in 0..5 {
        find(&events, |event| matches!(event, Event::Fail { .. }).then_some(()));
    }
    expect("waiting", threads + 2, descriptors + 2);
    client.close();
    expect("closed", threads, descriptors);

    // By a name, which a thread of its own looks up, and closed at any moment.
    for round in 0..30 {
        let client = Client::builder().port(port).reconnect(quick.clone().at_start(true)).build().unwrap();
        let starting = client.clone();
        let start = std::thread::spawn(move || starting.start("localhost", true));
        if round % 3 == 0 {
            std::thread::yield_now();
        } else if round % 3 == 1 {
            let _ = client.wait_timeout(Duration::from_millis(1));
        } else {
            until("it has begun", || start.is_finished());
        }
        client.close();
        let _ = in_time("the start", move || start.join().unwrap());
    }
    expect("closed in between", threads, descriptors);
    drop(kept);
}

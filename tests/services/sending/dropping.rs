//! A peer that falls behind under `SlowConsumer::DropOldest`, and catches up.

use std::io::Read;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::{Server, SlowConsumer};

#[test]
fn a_peer_that_catches_up_gets_the_newest_messages_and_the_goodbye() {
    const MESSAGE: usize = 64 * 1024;
    let server = Server::builder()
        .port(0)
        .slow_consumer(SlowConsumer::DropOldest)
        .max_sent_len(MESSAGE)
        .max_queued_bytes(4 * MESSAGE)
        .build()
        .unwrap();
    server.start(true).unwrap();
    let mut peer = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while server.num_connections() == 0 {
        assert!(Instant::now() < deadline, "the server has not accepted");
        thread::yield_now();
    }
    let connection = server.connections().remove(0);
    let mut last = 0;
    while connection.dropped_messages() < 8 {
        last += 1;
        connection.send(format!("{last:0>width$}", width = MESSAGE / 2).as_bytes()).unwrap();
    }
    connection.close();
    let mut bytes = Vec::new();
    peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    peer.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let messages: Vec<_> = text.split_terminator(';').collect();
    let (goodbye, messages) = messages.split_last().unwrap();
    assert_eq!(*goodbye, "disconnect");
    let numbers: Vec<usize> = messages.iter().map(|message| message.parse().unwrap()).collect();
    assert!(numbers.is_sorted());
    assert_eq!(numbers.last(), Some(&last), "the newest is never dropped");
    assert_eq!(numbers.len() + connection.dropped_messages() as usize, last);
    server.close();
}

//! What was accepted before a regular close arrives, also over a slow network and while the peer floods: every message,
//! then the goodbye, then the regular end, never a reset.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;

use leads_comm::codec::{Decoder, Separator};
use leads_comm::{Closing, Server};
use leads_comm_testing::counted::Streams;
use leads_comm_testing::proxy::{Direction, Faults, Proxy, Slices};
use leads_comm_testing::seed::Seed;
use leads_comm_testing::stamp::{Book, Stamp};
use leads_comm_testing::*;

/// More than the buffers of the system and the proxy hold together.
const QUEUED: usize = 1024 * 1024;

const SYSTEM_BUFFER: usize = 64 * 1024;

/// Reads to the end while it floods: the book of what came, and how many ends were no regular ones behind a goodbye.
fn read_while_flooding(mut socket: TcpStream) -> (Book, u64) {
    let mut writer = socket.try_clone().unwrap();
    let flooding = thread::spawn(move || {
        // Until the server has ended its half, and the reader below this one.
        while writer.write_all(&b"flood;".repeat(100)).is_ok() {}
    });
    let mut decoder = Decoder::new(Separator::default(), usize::MAX);
    let mut book = Book::default();
    let mut last_was_goodbye = false;
    let mut chunk = [0; 4096];
    let end = loop {
        match socket.read(&mut chunk) {
            Ok(0) => break Ok(()),
            Ok(count) => {
                let mut arrived = decoder.decode(&chunk[..count]);
                while let Ok(Some(message)) = arrived.next_message() {
                    last_was_goodbye = message == b"disconnect";
                    if !last_was_goodbye {
                        book.enter(message);
                    }
                }
            }
            Err(error) => break Err(error),
        }
    };
    let irregular = u64::from(end.is_err() || !last_was_goodbye);
    let _ = socket.shutdown(Shutdown::Write);
    flooding.join().unwrap();
    (book, irregular)
}

fn run(rounds: u64) {
    let seed = Seed::new();
    let (mut sent, mut lost, mut resets, mut queued) = (0, 0, 0, 0);
    for round in 0..rounds {
        let mut random = seed.random(round);
        let listener = Streams::with_send_buffer(SYSTEM_BUFFER).listener();
        let server = Server::builder().transport(listener);
        let server =
            server.closing(Closing::new().flush_timeout(PATIENCE).drain_timeout(PATIENCE).close_timeout(PATIENCE));
        let server = server.build().unwrap();
        server.start(true).unwrap();
        let slow = Faults {
            slices: Slices::Skewed(8000),
            rate: Some(20_000_000),
            buffers: Some(SYSTEM_BUFFER),
            ..Faults::default()
        };
        let proxy = Proxy::start(server.local_addr().unwrap(), random.part(0), slow.clone(), slow);
        let socket = TcpStream::connect(proxy.addr()).unwrap();
        until("the connection", || server.num_connections() == 1);
        let connection = server.connections().remove(0);
        let link = proxy.link(0);
        let reading = thread::spawn(move || read_while_flooding(socket));
        link.wait_until_forwarded(Direction::ToServer, 10_000);
        link.stall(Direction::ToClient);
        let (mut number, mut bytes) = (0, 0);
        let mut message = Vec::new();
        while bytes < QUEUED {
            Stamp { kind: b's', sender: 0, number }.write(random.skewed(20_000), &mut message);
            connection.send(&message).unwrap();
            number += 1;
            bytes += message.len();
        }
        queued += connection.queued_bytes();
        let (closing, all) = ((server.clone(), connection.clone()), random.once_in(2));
        let closing = thread::spawn(move || if all { closing.0.close() } else { closing.1.close() });
        until("the close", || connection.is_closed());
        link.resume(Direction::ToClient);
        let (mut book, irregular) = in_time("reading", || reading.join().unwrap());
        book.expect(0, number);
        assert_eq!(book.faults().torn + book.faults().duplicated + book.faults().reordered, 0, "{}", book.faults());
        sent += number;
        lost += book.faults().lost;
        resets += irregular;
        in_time("closing", || closing.join().unwrap());
        server.close();
        assert_eq!(connection.disconnect_reason().unwrap().undelivered.unsent.messages, 0);
    }
    println!("O4: messages lost {lost} of {sent}, resets {resets} in {rounds} closes");
    println!("{} KiB were queued at each of them", queued / 1024 / rounds as usize);
    assert_eq!((lost, resets), (0, 0));
    assert!(queued > 0, "it has tried nothing");
}

#[test]
fn a_regular_close_delivers_everything_through_a_slow_network() {
    run(3);
}

#[test]
#[ignore = "long: takes 2 minutes"]
fn a_regular_close_delivers_everything_through_a_slow_network_for_long() {
    run(200);
}

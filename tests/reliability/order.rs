//! O: in what order broadcasts are seen, and what is delivered before a close.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Barrier, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use leads_comm::{Closing, SlowConsumer, callback};
use leads_comm_testing::*;

use crate::in_two_lengths;

const BROADCASTERS: usize = 4;
const CLIENTS: usize = 16;

/// What each client gets of what four threads broadcast, `count` messages each, alternately in a tight loop and with
/// pauses; with `one_at_a_time` they take turns at a lock of the program's own.
fn broadcast_from_four_threads(count: usize, one_at_a_time: bool) -> Vec<Vec<(usize, usize)>> {
    let started = Net::Tcp.start_server(|builder| builder.slow_consumer(SlowConsumer::Block(2 * PATIENCE)));
    let clients: Vec<_> = (0..CLIENTS).map(|_| started.raw().into_messages()).collect();
    clients.iter().for_each(|_| drop(connected(&started.events)));
    let (turn, together) = (Mutex::new(()), Barrier::new(BROADCASTERS));
    thread::scope(|scope| {
        for broadcaster in 0..BROADCASTERS {
            let (server, turn, together) = (&started.server, &turn, &together);
            scope.spawn(move || {
                together.wait();
                for number in 0..count {
                    let turn = one_at_a_time.then(|| turn.lock().unwrap());
                    assert_eq!(server.broadcast(format!("{broadcaster} {number}").as_bytes()).unwrap(), CLIENTS);
                    drop(turn);
                    if number / 50 % 2 == 1 {
                        // So that no tight loop is taken for one, and each is written by itself.
                        thread::sleep(Duration::from_micros(50));
                    }
                }
            });
        }
        let parse = |message: Vec<u8>| {
            let text = String::from_utf8(message).unwrap();
            let (broadcaster, number) = text.split_once(' ').unwrap();
            (broadcaster.parse().unwrap(), number.parse().unwrap())
        };
        let all = |client: &mpsc::Receiver<Vec<u8>>| {
            (0..BROADCASTERS * count).map(|_| parse(client.recv_timeout(PATIENCE).unwrap())).collect()
        };
        clients.iter().map(all).collect()
    })
}

/// How many clients have seen each broadcaster's messages in another order than they were sent in, or not all of them.
fn out_of_order(count: usize, seen: &[Vec<(usize, usize)>]) -> usize {
    let is_in_order = |seen: &Vec<(usize, usize)>| {
        let mut next = [0; BROADCASTERS];
        seen.iter().all(|(broadcaster, number)| {
            next[*broadcaster] += 1;
            next[*broadcaster] == number + 1
        }) && next == [count; BROADCASTERS]
    };
    seen.iter().filter(|seen| !is_in_order(seen)).count()
}

in_two_lengths! {
    fn o3_each_threads_broadcasts_come_in_its_order(count: 300, or 20_000: "long: takes half a minute") {
        let seen = broadcast_from_four_threads(count, false);
        let wrong = out_of_order(count, &seen);
        let differ = seen.iter().filter(|other| **other != seen[0]).count();
        let turns = broadcast_from_four_threads(count, true);
        let wrong_in_turns = out_of_order(count, &turns);
        let differ_in_turns = turns.iter().filter(|other| **other != turns[0]).count();
        println!(
            "O3: clients with another order of one thread's broadcasts {wrong} of {CLIENTS}, {BROADCASTERS} x {count} messages; \
             of all threads' broadcasts {differ} of {CLIENTS}, with a lock around each broadcast {differ_in_turns}"
        );
        assert_eq!((wrong, wrong_in_turns, differ_in_turns), (0, 0, 0));
    }

    /// The peer sends all the time and reads slowly, while a mebibyte waits for it.
    fn o4_what_was_accepted_arrives_before_the_end(count: 4, or 200: "long: takes half a minute") {
        const MESSAGES: usize = 64;
        const LEN: usize = 16 * 1024;
        let (mut lost, mut resets) = (0, 0);
        for round in 0..count {
            let (tell, connections) = mpsc::channel();
            let started = Net::Tcp.start_server(|builder| {
                let closing = Closing::new().flush_timeout(PATIENCE).drain_timeout(PATIENCE).close_timeout(2 * PATIENCE);
                let builder = builder.closing(closing);
                builder.callback(callback::closures().on_connect(move |_, peer| tell.send(peer.clone()).unwrap()))
            });
            let peer = TcpStream::connect(started.addr()).unwrap();
            let connection = connections.recv_timeout(PATIENCE).unwrap();
            let enough = AtomicBool::new(false);
            let (bytes, is_reset) = thread::scope(|scope| {
                scope.spawn(|| {
                    while !enough.load(Ordering::Relaxed) {
                        if (&peer).write_all(&[b';'; 4096]).is_err() {
                            break;
                        }
                    }
                });
                let reading = scope.spawn(|| {
                    peer.set_read_timeout(Some(PATIENCE)).unwrap();
                    let mut bytes = Vec::new();
                    let mut chunk = [0; 1500];
                    let end = loop {
                        match (&peer).read(&mut chunk) {
                            Ok(0) => break Ok(()),
                            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
                            Err(error) => break Err(error),
                        }
                        if bytes.len() % 16 == 0 {
                            thread::sleep(Duration::from_micros(20));
                        }
                    };
                    enough.store(true, Ordering::Relaxed);
                    // The close waits for this end, which ends the flood too.
                    let _ = peer.shutdown(Shutdown::Write);
                    (bytes, end.is_err())
                });
                for number in 0..MESSAGES {
                    connection.send(&numbered(number, LEN)).unwrap();
                }
                match round % 2 {
                    0 => connection.close(),
                    _ => in_time("close", {
                        let server = started.server.clone();
                        move || server.close()
                    }),
                }
                reading.join().unwrap()
            });
            let mut parts = bytes.split(|byte| *byte == b';');
            let arrived = parts.by_ref().take(MESSAGES).enumerate();
            lost += MESSAGES - arrived.filter(|(number, message)| **message == numbered(*number, LEN)).count();
            resets += usize::from(is_reset);
            assert!(parts.eq([&b"disconnect"[..], b""]), "the goodbye, and nothing behind it");
        }
        println!("O4: messages lost {lost} of {}, resets {resets} of {count}", count * MESSAGES);
        assert_eq!((lost, resets), (0, 0));
    }
}

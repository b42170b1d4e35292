//! What is sent while there is no connection.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use leads_comm::codec::{Decoder, EncodeError, Separator};
use leads_comm::transport::{Connector, Stream, memory};
use leads_comm::{Closing, DisconnectReason, Error, OutboundLimit, Service};

use super::*;

/// A client without a server, which keeps up to so many bytes.
fn waiting(keep_bytes: usize) -> (Client, Receiver<Event>) {
    let (callback, events) = recorder();
    let reconnect = quick().at_start(true).keep_bytes(keep_bytes);
    let client = Client::builder().port(free_port()).reconnect(reconnect).callback(callback).build().unwrap();
    client.start("127.0.0.1", true).unwrap();
    (client, events)
}

/// One of which what it keeps expires.
fn short_lived(lifespan: Duration) -> (Client, Receiver<Event>) {
    let (callback, events) = recorder();
    let client = Client::builder()
        .port(free_port())
        .delivery(leads_comm::Delivery::new().lifespan(lifespan))
        .reconnect(quick().at_start(true).keep_bytes(1000))
        .callback(callback)
        .build()
        .unwrap();
    client.start("127.0.0.1", true).unwrap();
    (client, events)
}

#[test]
fn what_is_kept_comes_first_and_in_order() {
    let (client, events) = waiting(1 << 20);
    // Of several batches, and a long one.
    for number in 0..3_000 {
        match number % 3 {
            0 => client.queue(&numbered(number, 100)).unwrap(),
            _ => client.send(&numbered(number, 100)).unwrap(),
        }
    }
    client.send(&numbered(3_000, 100_000)).unwrap();
    assert_eq!(client.send_all((3_001..3_100).map(|number| numbered(number, 20))).unwrap(), 99);
    assert_eq!(client.broadcast(b"to nobody").unwrap(), 0);
    client.set_callback(callback::closures().on_connect(|service, connection| {
        connection.send(&numbered(3_100, 20)).unwrap();
        service.broadcast(&numbered(3_101, 20)).unwrap();
        connection.queue(&numbered(3_102, 20)).unwrap();
    }));
    let (server, server_events) = serve(client.port());
    connected(&events);
    client.flush(PATIENCE).unwrap();
    for number in 0..=3_102 {
        assert_eq!(number_of(&received(&server_events)), number);
    }
    client.close();
    server.close();
    assert!(events.iter().all(|event| !matches!(event, Event::Fail { error: Error::Unsent { .. }, .. })));
}

/// What has become too old meanwhile does not keep out what is new.
#[test]
fn what_is_kept_for_too_long_makes_room() {
    let lifespan = Duration::from_millis(20);
    let (client, events) = short_lived(lifespan);
    while client.send(b"old").is_ok() {}
    let begun = std::time::Instant::now();
    until("they are too old", || begun.elapsed() > 2 * lifespan);
    client.send(b"new").unwrap();
    drop(events);
}

/// Of what is kept, each key has one place, in which its newest message is.
#[test]
fn of_what_is_kept_the_newest_of_each_key_is_sent_and_every_event() {
    let (callback, events) = recorder();
    let reconnect = quick().at_start(true).keep_bytes(10 * (5 + 1 + 64));
    let client = Client::builder()
        .port(free_port())
        .key(leads_comm::key::prefix(b':'))
        .delivery(leads_comm::Delivery::new().conflate(true))
        .reconnect(reconnect)
        .callback(callback)
        .build()
        .unwrap();
    client.start("127.0.0.1", true).unwrap();
    client.send(b"start").unwrap();
    for round in 0..1000 {
        client.send(format!("a:{round:03}").as_bytes()).unwrap();
        client.send_all([format!("b:{round:03}"), format!("c:{round:03}")]).unwrap();
        if round % 300 == 0 {
            client.send(format!("lap {}", round / 300).as_bytes()).unwrap();
        }
    }
    // Three messages of one key are one; but two of other keys and an event are three more than there is room for.
    assert_eq!(client.send_all(["a:one", "a:two", "a:end"]).unwrap(), 3);
    assert!(matches!(client.send_all(["a:no!", "d:no!", "e:no!", "none!"]), Err(Error::KeptFull { .. })));
    client.send(b"pit 1").unwrap();
    let (server, server_events) = serve(client.port());
    connected(&events);
    client.flush(PATIENCE).unwrap();
    let expected = ["start", "a:end", "b:999", "c:999", "lap 0", "lap 1", "lap 2", "lap 3", "pit 1"];
    expected.iter().for_each(|expected| assert_eq!(received(&server_events), expected.as_bytes()));
    // What was replaced had not been accepted by a connection.
    let traffic = client.stats().traffic;
    assert_eq!((traffic.accepted.messages, traffic.conflated.messages), (9, 0));
    client.close();
    server.close();
}

/// What was kept for too long is not sent.
#[test]
fn what_is_kept_expires() {
    let lifespan = Duration::from_millis(50);
    let (client, events) = short_lived(lifespan);
    client.send(b"brake").unwrap();
    let begun = std::time::Instant::now();
    until("it is too old", || begun.elapsed() > 2 * lifespan);
    let (server, server_events) = serve(client.port());
    connected(&events);
    until("it is counted", || client.stats().traffic.expired.messages == 1);
    client.send(b"end").unwrap();
    assert_eq!(received(&server_events), b"end");
    client.close();
    server.close();
}

#[test]
fn no_more_is_kept_than_there_is_room_for() {
    // Each is charged its length, the separator's, and 64.
    let (client, events) = waiting(10 * (35 + 1 + 64));
    for _ in 0..9 {
        client.send(&[b'x'; 35]).unwrap();
    }
    // All or none of a batch.
    let limit = OutboundLimit::QueuedBytes(1_000);
    assert!(matches!(client.send_all([[b'x'; 35]; 2]), Err(Error::KeptFull { limit: of }) if of == limit));
    assert!(matches!(client.send(&[b'x'; 36]), Err(Error::KeptFull { limit: of }) if of == limit));
    client.send(&[b'x'; 35]).unwrap();
    let error = client.send(b"").unwrap_err();
    assert!(error.to_string().contains("1000 bytes"), "{error}");
    // What is wrong with a message comes first.
    assert!(matches!(client.send(b"a;b"), Err(Error::InvalidMessage(EncodeError::ContainsSeparator { at: 1 }))));
    assert!(matches!(client.send(&vec![b'x'; 1 << 21]), Err(Error::MessageTooLong { .. })));
    // There is room again once it has been sent.
    let listener = listen(client.port());
    let (mut socket, _) = listener.accept().unwrap();
    drop(listener);
    let mut sent = [0; 10 * 36];
    socket.read_exact(&mut sent).unwrap();
    assert_eq!(&sent[..], [&[b'x'; 35][..], b";"].concat().repeat(10));
    drop(socket);
    disconnected(&events);
    client.send(&[b'y'; 900]).unwrap();
    client.close();
    assert!(matches!(failures(&events)[..], [Error::Unsent { messages: 1, bytes: 901 }]));
}

/// Kept or not, a message that must not be joined with others has a write of its own.
#[test]
fn what_is_kept_is_not_joined_where_nothing_is() {
    const MESSAGES: usize = 10;
    let (callback, events) = recorder();
    let reconnect = quick().at_start(true).keep_bytes(1 << 20);
    let client = Client::builder().port(free_port()).coalesce(false).reconnect(reconnect).callback(callback);
    let client = client.build().unwrap();
    client.start("127.0.0.1", true).unwrap();
    for number in 0..MESSAGES {
        client.send(&numbered(number, 20)).unwrap();
    }
    assert_eq!(client.send_all((0..MESSAGES).map(|number| numbered(number, 20))).unwrap(), MESSAGES);
    let listener = listen(client.port());
    let (mut socket, _) = listener.accept().unwrap();
    let connection = connected(&events);
    socket.read_exact(&mut [0; 2 * MESSAGES * 21]).unwrap();
    connection.flush(PATIENCE).unwrap();
    let traffic = connection.stats().traffic;
    assert_eq!((traffic.written.messages, traffic.writes), (2 * MESSAGES as u64, 2 * MESSAGES as u64));
    client.close();
}

/// All failures but those to connect.
fn failures(events: &Receiver<Event>) -> Vec<Error> {
    let failures = events.iter().filter_map(|event| match event {
        Event::Fail { error, .. } if !matches!(error, Error::Connect { .. }) => Some(error),
        _ => None,
    });
    failures.collect()
}

#[test]
fn what_is_kept_when_the_client_is_closed_or_gives_up_is_told_once() {
    let (client, events) = waiting(1 << 20);
    client.send_all(["one", "two"]).unwrap();
    client.send(b"three").unwrap();
    client.close();
    assert!(matches!(client.send(b"too late"), Err(Error::NotConnected)));
    assert!(matches!(failures(&events)[..], [Error::Unsent { messages: 3, bytes: 14 }]));

    let reconnect = quick().max_attempts(2).keep_bytes(1 << 20);
    let listener = listen(0);
    let (callback, events) = recorder();
    let builder = Client::builder().port(listener.local_addr().unwrap().port());
    let client = builder.reconnect(reconnect).callback(callback).build().unwrap();
    let keeping = client.clone();
    client.set_callback(callback::closures().on_disconnect(move |_, _, _| keeping.send(b"kept").unwrap()));
    client.start("127.0.0.1", true).unwrap();
    let (socket, _) = listener.accept().unwrap();
    drop(listener);
    drop(socket);
    assert!(client.wait_timeout(PATIENCE));
    assert!(matches!(
        failures(&events)[..],
        [Error::GaveUp { attempts: 2, .. }, Error::Unsent { messages: 1, bytes: 5 }]
    ));
}

#[test]
fn what_a_connection_was_to_take_that_came_too_late_is_told_as_well() {
    let (_listener, memory) = memory::listener();
    let (entered, connecting) = mpsc::channel();
    let (go, let_go) = mpsc::channel::<()>();
    let let_go = Mutex::new(let_go);
    let is_first = AtomicBool::new(true);
    let connector = move |address: &str| {
        if is_first.swap(false, Ordering::Relaxed) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        entered.send(()).unwrap();
        let_go.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        memory.connect(address)
    };
    let builder = Client::builder().transport(connector).reconnect(quick().at_start(true).keep_bytes(1000));
    let (client, events) = start(
        builder
            .closing(Closing::new().flush_timeout(Duration::from_millis(50)).close_timeout(Duration::from_millis(50))),
    );
    client.send(b"kept").unwrap();
    connecting.recv_timeout(PATIENCE).unwrap();
    client.close();
    go.send(()).unwrap();
    assert!(matches!(failures(&events)[..], [Error::Unsent { messages: 1, bytes: 5 }]));
}

#[test]
fn flushing_waits_for_what_is_kept() {
    let (client, events) = waiting(1 << 20);
    client.flush(Duration::ZERO).unwrap();
    client.send(b"kept").unwrap();
    assert!(matches!(client.flush(Duration::from_millis(1)), Err(Error::NotFlushed { bytes: 5 })));
    let flushing = client.clone();
    let flush = thread::spawn(move || flushing.flush(PATIENCE));
    let (server, server_events) = serve(client.port());
    in_time("flushing", || flush.join().unwrap()).unwrap();
    assert_eq!(received(&server_events), b"kept");
    client.close();
    server.close();

    // The end of the client is an end of it, too: what is lost, `on_fail` is told.
    let (client, _ended) = waiting(1 << 20);
    client.send(b"kept").unwrap();
    let flushing = client.clone();
    let flush = thread::spawn(move || flushing.flush(PATIENCE));
    client.close();
    in_time("flushing", || flush.join().unwrap()).unwrap();
    drop(events);
}

#[test]
fn without_a_buffer_nothing_is_kept() {
    let (client, events) = waiting(0);
    assert!(matches!(client.send(b"m"), Err(Error::NotConnected)));
    assert!(matches!(client.send_all([b"m"]), Err(Error::NotConnected)));
    client.close();
    assert!(failures(&events).is_empty());
}

#[test]
fn nothing_is_kept_before_the_start() {
    let client = Client::builder().port(free_port()).reconnect(quick().keep_bytes(1 << 20)).build().unwrap();
    assert!(matches!(client.send(b"m"), Err(Error::NotConnected)));
    assert!(client.start("127.0.0.1", true).is_err());
    assert!(matches!(client.send(b"m"), Err(Error::NotConnected)));
}

/// Fails to connect, and takes its time to be stopped.
struct SlowToStop {
    stopping: mpsc::Sender<()>,
    release: Mutex<mpsc::Receiver<()>>,
}

impl Connector for SlowToStop {
    fn connect(&self, _: &str) -> io::Result<Box<dyn Stream>> {
        Err(io::ErrorKind::ConnectionRefused.into())
    }

    fn stop(&self) {
        let _ = self.stopping.send(());
        let _ = self.release.lock().unwrap().recv_timeout(PATIENCE);
    }
}

#[test]
fn nothing_is_kept_once_the_client_has_ended() {
    let (stopping, stops) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let connector = SlowToStop { stopping, release: Mutex::new(released) };
    let (client, events) =
        start(Client::builder().transport(connector).reconnect(never().at_start(true).keep_bytes(1 << 20)));
    client.send(b"kept").unwrap();
    let closing = client.clone();
    let close = thread::spawn(move || closing.close());
    stops.recv_timeout(PATIENCE).unwrap();
    assert!(client.wait_timeout(PATIENCE));
    // Whoever closes is not done with it yet; but nobody is left who would tell of this message.
    assert!(matches!(client.send(b"late"), Err(Error::NotConnected)));
    release.send(()).unwrap();
    in_time("closing", || close.join().unwrap());
    let unsent = |error: &&Error| matches!(error, Error::Unsent { messages: 1, .. });
    assert_eq!(failures(&events).iter().filter(unsent).count(), 1);
}

/// What a server got from one client, of which it ends one connection after the other, by ending its own half and
/// reading the rest.
struct Restarting {
    received: Vec<Vec<u8>>,
    most_at_once: usize,
}

/// Serves `restarts` connections, each until `enough` messages have come; then one more, to its end.
fn restart(first: TcpListener, restarts: usize, enough: usize) -> Restarting {
    let port = first.local_addr().unwrap().port();
    let mut result = Restarting { received: Vec::new(), most_at_once: 0 };
    let mut listener = Some(first);
    for round in 0..=restarts {
        let mut listening = Some(listener.take().unwrap_or_else(|| listen(port)));
        let (mut socket, _) = listening.as_ref().unwrap().accept().unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut decoder = Decoder::new(Separator::default(), 1 << 20);
        let mut chunk = [0; 4096];
        let mut count = 0;
        loop {
            let len = socket.read(&mut chunk).unwrap();
            if len == 0 {
                break;
            }
            let mut arrived = decoder.decode(&chunk[..len]);
            while let Some(message) = arrived.next_message().unwrap() {
                if message != b"disconnect" {
                    result.received.push(message.to_vec());
                    count += 1;
                }
            }
            let over = count >= enough && round < restarts;
            if let Some(listening) = listening.take_if(|_| over) {
                // Whoever has called by now has done so while this one was connected.
                listening.set_nonblocking(true).unwrap();
                let callers = 1 + std::iter::from_fn(|| listening.accept().ok()).count();
                result.most_at_once = result.most_at_once.max(callers);
                // First, so that nobody is left in its queue, whose messages would be lost unseen.
                drop(listening);
                socket.shutdown(Shutdown::Write).unwrap();
            }
        }
    }
    result
}

/// Four threads send as fast as they are let, over 20 restarts of the server.
///
/// With `in_turn`, one after the other, so that the order of all is known.
fn send_across_restarts(in_turn: bool) {
    const SENDERS: usize = 4;
    const RESTARTS: usize = 20;
    let listener = listen(0);
    let port = listener.local_addr().unwrap().port();
    let serving = thread::spawn(move || restart(listener, RESTARTS, 200));
    let reconnect = quick().keep_bytes(20_000);
    let (client, events) = start(Client::builder().port(port).reconnect(reconnect));

    let done = Arc::new(AtomicBool::new(false));
    let turns: Vec<_> = (0..if in_turn { 1 } else { SENDERS }).map(|_| Arc::new(Mutex::new(0_usize))).collect();
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (client, done) = (client.clone(), Arc::clone(&done));
            let turn = Arc::clone(&turns[sender % turns.len()]);
            let name = sender % turns.len();
            thread::spawn(move || {
                let mut since_pause = 0;
                while !done.load(Ordering::Relaxed) {
                    let mut accepted = turn.lock().unwrap();
                    let is_full = match client.send(format!("{name}:{accepted}").as_bytes()) {
                        Ok(()) => {
                            *accepted += 1;
                            false
                        }
                        Err(Error::KeptFull { .. }) => true,
                        Err(error) => panic!("{error:?}"),
                    };
                    drop(accepted);
                    since_pause += 1;
                    if is_full || since_pause == 50 {
                        since_pause = 0;
                        // So that the others are not held up for long by what is sent meanwhile.
                        thread::sleep(Duration::from_micros(200));
                    }
                }
            })
        })
        .collect();
    // The last connection is served to its end; that is when the client is closed.
    for _ in 0..=RESTARTS {
        connected(&events);
    }
    done.store(true, Ordering::Relaxed);
    in_time("sending", move || senders.into_iter().for_each(|sender| sender.join().unwrap()));
    let closing = client.clone();
    in_time("closing", move || closing.close());
    let Restarting { received, most_at_once } = in_time("serving", move || serving.join().unwrap());

    let accepted: usize = turns.iter().map(|turn| *turn.lock().unwrap()).sum();
    let mut reported = 0;
    for event in events.iter() {
        match event {
            Event::Disconnect { reason, .. } => reported += unsent(&reason),
            Event::Fail { error: Error::Unsent { messages, .. }, .. } => reported += messages,
            _ => {}
        }
    }
    let (mut reordered, mut last) = (0, HashMap::new());
    for message in &received {
        let text = std::str::from_utf8(message).unwrap();
        let (name, number) = text.split_once(':').unwrap();
        let number: usize = number.parse().unwrap();
        if last.insert(name.to_owned(), number).is_some_and(|last| last >= number) {
            reordered += 1;
        }
    }
    println!(
        "L7: {RESTARTS} restarts, {SENDERS} senders{}: accepted {accepted}, received {}, reported {reported}; reordered or duplicated {reordered}; connections at once {most_at_once}",
        if in_turn { " in turn" } else { "" },
        received.len(),
    );
    assert_eq!(accepted as u64, received.len() as u64 + reported);
    assert_eq!((reordered, most_at_once), (0, 1));
}

fn unsent(reason: &DisconnectReason) -> u64 {
    reason.undelivered.unsent.messages
}

#[test]
fn senders_at_the_same_time_lose_nothing_silently_across_restarts() {
    send_across_restarts(false);
}

#[test]
fn what_was_accepted_earlier_is_sent_earlier_across_restarts() {
    send_across_restarts(true);
}

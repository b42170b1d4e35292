//! A viewer that takes nothing for a while, and then goes on: what it gets, over every transport.

use std::collections::HashMap;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use leads_comm::crossbeam_channel::{self, Sender};
use leads_comm::{Client, Connection, Delivery, callback, key};
use leads_comm_testing::account::assert_adds_up;
use leads_comm_testing::*;

const KEYS: usize = 4;

/// A viewer whose callback is blocked until it goes on.
struct Viewer {
    _client: Client,
    /// Its callback waits until this is gone.
    held: Option<Sender<()>>,
    arrived: mpsc::Receiver<Vec<u8>>,
    /// The server's.
    connection: Connection,
    seen: Seen,
}

/// What has arrived.
#[derive(Default)]
struct Seen {
    messages: usize,
    /// Of each key.
    newest: HashMap<usize, usize>,
    /// The number behind the last one's.
    events: usize,
    ended: bool,
}

fn start(net: Net, delivery: Delivery) -> (Started, Viewer) {
    let started = net.start_server(|builder| builder.key(key::prefix(b':')).delivery(delivery));
    let (held, goes_on) = crossbeam_channel::bounded(0);
    let (tell, arrived) = mpsc::channel();
    let client = started.start_client_with(callback::on_receive(move |_, message| {
        let _ = goes_on.recv();
        let _ = tell.send(message.to_vec());
    }));
    let connection = connected(&started.events);
    (started, Viewer { _client: client, held: Some(held), arrived, connection, seen: Seen::default() })
}

/// Broadcasts rounds, each of a message of every key and now and then an event, until it holds; how many.
fn broadcast_until(started: &Started, holds: impl FnMut() -> bool) -> Seen {
    let mut sent = Seen::default();
    go_on_until(started, &mut sent, holds);
    sent
}

/// The same behind what was sent already.
fn go_on_until(started: &Started, sent: &mut Seen, mut holds: impl FnMut() -> bool) {
    let padding = "x".repeat(1000);
    let mut rounds = sent.newest.get(&0).map_or(0, |newest| newest + 1);
    let send = |message: String, sent: &mut Seen| {
        assert_eq!(started.server.broadcast(message.as_bytes()).unwrap(), 1);
        sent.messages += 1;
    };
    until("it is behind", || {
        for key in 0..KEYS {
            send(format!("{key}:{rounds}:{padding}"), sent);
            sent.newest.insert(key, rounds);
        }
        if rounds % 10 == 0 {
            send(format!("event {}", sent.events), sent);
            sent.events += 1;
        }
        rounds += 1;
        holds()
    });
}

impl Viewer {
    fn go_on(&mut self) {
        self.held = None;
    }

    /// Takes messages, each key's and the events forwards, until it has seen enough.
    fn see_until(&mut self, enough: impl Fn(&Seen) -> bool) {
        while !enough(&self.seen) {
            let message = self.arrived.recv_timeout(PATIENCE).expect("a message does not arrive");
            let message = String::from_utf8(message).unwrap();
            self.seen.messages += 1;
            let mut words = message.splitn(3, [':', ' ']);
            match (words.next().unwrap(), words.next().map(|number| number.parse().unwrap())) {
                ("event", Some(number)) => {
                    assert!(number >= self.seen.events, "the event {number} is overtaken");
                    self.seen.events = number + 1;
                }
                ("end", None) => self.seen.ended = true,
                (key, Some(round)) => {
                    let before = self.seen.newest.insert(key.parse().unwrap(), round);
                    assert!(before < Some(round), "the key {key} goes back in time, from {before:?} to {round}");
                }
                other => panic!("nobody has sent this: {other:?}"),
            }
        }
    }
}

over_every_transport! {
    fn it_gets_the_newest_of_each_key_and_every_event(net: Net) {
        let (started, mut viewer) = start(net, Delivery::new().conflate(true));
        let connection = viewer.connection.clone();
        let sent = broadcast_until(&started, || connection.stats().traffic.conflated.messages > 100);
        viewer.go_on();
        started.server.broadcast(b"end").unwrap();
        viewer.see_until(|seen| seen.ended);
        assert_eq!((&viewer.seen.newest, viewer.seen.events), (&sent.newest, sent.events));
        connection.flush(PATIENCE).unwrap();
        let traffic = connection.stats().traffic;
        assert_eq!(viewer.seen.messages as u64 + traffic.conflated.messages, sent.messages as u64 + 1);
        assert_adds_up(&traffic);
    }

    /// Whatever comes between two intervals, the last one comes, and nothing else has to happen for it.
    fn it_gets_the_last_of_each_key_when_its_interval_is_over(net: Net) {
        for conflate in [false, true] {
            let interval = Duration::from_millis(20);
            let (started, mut viewer) = start(net, Delivery::new().min_interval(interval).conflate(conflate));
            let connection = viewer.connection.clone();
            let sent = broadcast_until(&started, || connection.stats().traffic.conflated.messages > 100);
            viewer.go_on();
            viewer.see_until(|seen| seen.newest == sent.newest && seen.events == sent.events);
            connection.flush(PATIENCE).unwrap();
            let traffic = connection.stats().traffic;
            assert_eq!(viewer.seen.messages as u64 + traffic.conflated.messages, sent.messages as u64);
            assert_adds_up(&traffic);
        }
    }

    /// What was with the system already arrives; of the rest nothing does, and what comes later does.
    fn it_gets_nothing_that_has_waited_for_too_long(net: Net) {
        let lifespan = Duration::from_millis(50);
        let (started, mut viewer) = start(net, Delivery::new().lifespan(lifespan).max_unsent_bytes(16 * 1024));
        let connection = viewer.connection.clone();
        let waits = |more_than: u64| {
            let traffic = connection.stats().traffic;
            traffic.waiting.messages + traffic.expired.messages > more_than
        };
        let mut sent = Seen::default();
        // Until the system takes nothing more: what waits before that is taken in time.
        while !waits(0) {
            // More than a thread may have taken to write it.
            go_on_until(&started, &mut sent, || waits(200));
            let youngest = Instant::now();
            until("what waits is too old", || youngest.elapsed() > 2 * lifespan);
        }
        viewer.go_on();
        connection.flush(PATIENCE).unwrap();
        connection.set_delivery(Delivery::new()).unwrap();
        started.server.broadcast(b"end").unwrap();
        viewer.see_until(|seen| seen.ended);
        let traffic = connection.stats().traffic;
        assert!(traffic.expired.messages > 0, "{traffic:?}");
        assert_eq!(viewer.seen.messages as u64 + traffic.expired.messages, sent.messages as u64 + 1);
        assert_adds_up(&traffic);
    }
}

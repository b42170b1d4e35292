//! Newcomers and broadcasts under the model checker: the real store, table, outboxes and broadcaster.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::sync::{Arc, Mutex as PlainMutex, Weak};

use loom::thread;

use super::join;
use crate::connection::engine::Engine;
use crate::connection::outbox::Broadcast;
use crate::connection::{Connection, ConnectionId};
use crate::service::broadcast::Broadcaster;
use crate::service::table::ConnectionTable;
use crate::service::table::model::NoRelief;
use crate::settings::{Delivery, Key, KeyFunction, Settings, Snapshot, key};
use crate::sync::explore::explore;
use crate::transport::Stream;

/// After so many broadcasts without a pause, those that follow are gathered.
const GATHERING: u8 = 5;

/// It takes everything, and remembers it.
#[derive(Default)]
struct Wire(PlainMutex<Vec<u8>>);

/// The parts of a server that newcomers and broadcasts meet at.
struct Service {
    engine: Arc<Engine>,
    table: ConnectionTable,
    broadcaster: Broadcaster,
}

impl Service {
    fn new() -> Arc<Self> {
        let settings = Settings {
            key: Some(KeyFunction::new(key::all())),
            snapshot: Some(Snapshot::new()),
            ..Settings::default()
        };
        let engine = Arc::new(Engine::new(settings, Weak::<NoRelief>::new()));
        Arc::new(Self { engine, table: ConnectionTable::new(), broadcaster: Broadcaster::new() })
    }

    /// Broadcasts these numbers, all of one key.
    fn broadcast(&self, numbers: impl IntoIterator<Item = u8>) {
        for number in numbers {
            let key = Key::new([]);
            let message = &[b'0' + number];
            let broadcast = Broadcast { message, body: message, key: Some(&key) };
            self.broadcaster.broadcast(&self.engine, &self.table, broadcast, || ());
        }
    }

    /// A newcomer comes in, and is told the last values.
    fn join(&self, id: u64) -> (Connection, Arc<Wire>) {
        let wire = Arc::<Wire>::default();
        let stream: Arc<dyn Stream> = Arc::<Wire>::clone(&wire);
        let delivery = Delivery::clone(&self.engine.rules.delivery);
        let connection = Connection::new(ConnectionId(id), stream, delivery, Arc::clone(&self.engine));
        let values = join(&self.engine, &self.table, &connection).expect("the table is open");
        if !values.is_empty() {
            connection.link().welcome(values).expect("there is no filter");
        }
        (connection, wire)
    }

    /// Writes what is left for a tick.
    fn tick(&self) {
        self.engine.broadcast_batch.end();
        self.table.snapshot().connections.iter().for_each(|connection| connection.link().write_ready());
    }
}

impl Wire {
    /// What has been written.
    fn numbers(&self) -> Vec<u8> {
        let bytes = self.0.lock().expect("no model goes on after a panic").clone();
        let text = String::from_utf8(bytes).expect("it is text");
        text.split_terminator(';').map(|number| number.parse().expect("whole")).collect()
    }

    /// These are numbers that follow one another, up to the `last`.
    fn assert_gapless(&self, last: u8) {
        let numbers = self.numbers();
        let is_row = numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]);
        assert!(is_row && numbers.last() == Some(&last), "a gap, or something twice: {numbers:?}");
    }
}

/// A newcomer while two messages are broadcast, each by itself: it gets the last one that there was, and all others.
#[test]
fn join_and_broadcast() {
    explore("join_and_broadcast", 4, || {
        let service = Service::new();
        service.broadcast([0]);
        let joining = thread::spawn({
            let service = Arc::clone(&service);
            move || service.join(1)
        });
        service.broadcast([1, 2]);
        let (_newcomer, wire) = joining.join().expect("no model goes on after a panic");
        wire.assert_gapless(2);
    });
}

/// The same in a rush, in which messages are gathered for those who were there when the batch was begun.
#[test]
fn join_and_gather() {
    explore("join_and_gather", 3, || {
        let service = Service::new();
        let (_there, there) = service.join(1);
        service.broadcast(0..GATHERING);
        let joining = thread::spawn({
            let service = Arc::clone(&service);
            move || service.join(2)
        });
        service.broadcast([GATHERING, GATHERING + 1]);
        let (_newcomer, wire) = joining.join().expect("no model goes on after a panic");
        service.broadcast([GATHERING + 2]);
        service.tick();
        there.assert_gapless(GATHERING + 2);
        wire.assert_gapless(GATHERING + 2);
    });
}

/// One that is there asks for the last values while others are broadcast, after so many: it never gets an older one
/// behind a newer.
fn ask_while_others_broadcast(name: &str, before: u8) {
    explore(name, 3, move || {
        let service = Service::new();
        let (there, wire) = service.join(1);
        service.broadcast(0..before);
        let asking = thread::spawn({
            let service = Arc::clone(&service);
            move || {
                let last_values = service.engine.last_values.as_ref().expect("they are kept");
                there.link().push_last_values(last_values).expect("it is open");
                there
            }
        });
        service.broadcast([before, before + 1]);
        let _there = asking.join().expect("no model goes on after a panic");
        service.tick();
        let numbers = wire.numbers();
        assert!(numbers.is_sorted() && numbers.last() == Some(&(before + 1)), "back in time: {numbers:?}");
    });
}

#[test]
fn ask_and_broadcast() {
    ask_while_others_broadcast("ask_and_broadcast", 1);
}

#[test]
fn ask_and_gather() {
    ask_while_others_broadcast("ask_and_gather", GATHERING);
}

impl Stream for Wire {
    fn read(&self, _: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut written = self.0.lock().expect("no model goes on after a panic");
        let before = written.len();
        buffers.iter().for_each(|buffer| written.extend_from_slice(buffer));
        Ok(written.len() - before)
    }

    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_vectored(buffers)
    }

    fn shutdown(&self, _: Shutdown) -> io::Result<()> {
        Ok(())
    }

    fn peer(&self) -> String {
        "wire".to_owned()
    }
}

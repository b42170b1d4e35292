//! Publishers and subscribers, as programs use them.

mod cuts;
mod example;
mod kills;
mod peers;
mod slow;
mod subscribing;

use std::net::TcpStream;
use std::ops::Deref;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use leads_comm::{Callback, Client, ClientBuilder, Reconnect, Server, ServerBuilder};
use leads_comm_resume::{Bounds, Gap, History, Position, Publisher, Subscriber, Subscription};
use leads_comm_testing::{PATIENCE, Raw, number_of, numbered};

/// What a subscription has been told.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    Message(Position, Vec<u8>),
    Gap(Gap),
}

struct Telling(Sender<Told>);

impl Subscription for Telling {
    fn on_message(&self, position: Position, message: &[u8]) {
        self.0.send(Told::Message(position, message.to_vec())).unwrap();
    }

    fn on_gap(&self, gap: &Gap) {
        self.0.send(Told::Gap(*gap)).unwrap();
    }
}

fn in_memory() -> History {
    History::in_memory(Bounds::new()).unwrap()
}

fn start_publisher(
    adapt: impl FnOnce(ServerBuilder) -> ServerBuilder,
    history: History,
    callback: impl Callback,
) -> Publisher {
    let publisher = Publisher::new(adapt(Server::builder().port(0)), history, callback).unwrap();
    publisher.start(true).unwrap();
    publisher
}

/// A client that is soon there again.
fn client(port: u16) -> ClientBuilder {
    let reconnect = Reconnect::new().at_start(true);
    let reconnect = reconnect.first_delay(Duration::from_millis(1)).longest_delay(Duration::from_millis(20));
    Client::builder().port(port).reconnect(reconnect)
}

/// A subscriber that is closed when it is dropped: those of the tests that are over would go on to connect, without a
/// pause, and hold up the others.
struct Subscribed(Subscriber);

impl Deref for Subscribed {
    type Target = Subscriber;

    fn deref(&self) -> &Subscriber {
        &self.0
    }
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Subscribed {
    fn start(subscriber: Subscriber) -> Self {
        subscriber.start("127.0.0.1", true).unwrap();
        Self(subscriber)
    }
}

/// A subscriber at this port that has everything up to `last`, and what it is told.
fn subscribe(port: u16, last: Option<Position>, callback: impl Callback) -> (Subscribed, Receiver<Told>) {
    let (telling, told) = mpsc::channel();
    let subscriber = Subscriber::new(client(port), last, Telling(telling), callback).unwrap();
    (Subscribed::start(subscriber), told)
}

fn next(told: &Receiver<Told>) -> Told {
    told.recv_timeout(PATIENCE).expect("nothing more is told")
}

/// The next ones are these messages, and nothing is told in between.
fn assert_messages(told: &Receiver<Told>, numbers: impl Iterator<Item = usize>) -> Option<Position> {
    let mut last = None;
    for expected in numbers {
        match next(told) {
            Told::Message(position, message) => {
                assert_eq!((position.number as usize, number_of(&message)), (expected, expected));
                last = Some(position);
            }
            gap => panic!("before {expected}: {gap:?}"),
        }
    }
    last
}

/// Publishes messages with these numbers, which they get.
fn publish(publisher: &Publisher, numbers: impl Iterator<Item = usize>) {
    for number in numbers {
        let position = publisher.publish(&numbered(number, 20 + number % 50)).unwrap();
        assert_eq!(position.number as usize, number);
    }
}

/// Bytes that come over a raw connection, up to a separator.
fn read_message(raw: &Raw) -> Vec<u8> {
    let mut message = Vec::new();
    loop {
        match raw.read_exact(1)[..] {
            [b';'] => return message,
            [byte] => message.push(byte),
            _ => unreachable!("one byte"),
        }
    }
}

/// A peer that speaks raw bytes.
fn connect(publisher: &Publisher) -> Raw {
    Raw::over_tcp(TcpStream::connect(("127.0.0.1", publisher.server().port())).unwrap())
}

//! How much the system may hold for a peer that does not read, and how much it does.

use std::io;
use std::sync::Arc;

use leads_comm::transport::{Stream, memory};
use leads_comm::{Delivery, Server, SlowConsumer, key};
use leads_comm_testing::layer::{self, Layer};
use leads_comm_testing::*;
use parking_lot::Mutex;

const LEN: usize = 2000;
const LIMIT: usize = 16 * 1024;

/// Served like a display, for which the system may hold so much.
fn display(limit: impl Into<Option<usize>>) -> Delivery {
    Delivery::new().slow_consumer(SlowConsumer::DropOldest).max_queued_bytes(20 * LEN).max_unsent_bytes(limit)
}

/// Notes what the stream is told, and refuses it.
#[derive(Default)]
struct Refusing(Mutex<Vec<Option<usize>>>);

impl Layer for Refusing {
    fn limit_unsent(&self, _: &dyn Stream, bytes: Option<usize>) -> io::Result<()> {
        self.0.lock().push(bytes);
        assert_ne!(bytes, Some(13), "as asked");
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

#[test]
fn a_stream_is_told_what_is_asked_for_and_nothing_else() {
    expect_panics_in_callbacks();
    let (listener, connector) = memory::listener();
    let refusing = Arc::new(Refusing::default());
    let told = || refusing.0.lock().clone();
    let (callback, events) = recorder();
    let server = Server::builder()
        .transport(layer::listener(listener, &refusing))
        .max_sent_len(LEN)
        .key(key::all())
        .callback(callback)
        .build()
        .unwrap();
    server.start(true).unwrap();
    let peer = Raw::of(Box::new(connector.open().unwrap()));
    let connection = connected(&events);
    assert_eq!(told(), []);
    let without = [display(None), Delivery::new().max_unsent_bytes(None).conflate(true), Delivery::new()];
    for delivery in without {
        connection.set_delivery(delivery).unwrap();
        assert_eq!(told(), []);
    }
    let with = [
        (Delivery::new().conflate(true), Some(LIMIT)),
        (display(LIMIT), Some(LIMIT)),
        (display(1), Some(1)),
        (display(13), Some(13)),
        (Delivery::new(), None),
    ];
    let mut expected = Vec::new();
    for (delivery, limit) in with {
        connection.set_delivery(delivery).unwrap();
        expected.push(limit);
        expected.dedup();
        assert_eq!(told(), expected);
    }
    // Whatever has come of it.
    connection.send(b"hello").unwrap();
    assert_eq!(peer.read_exact(6), b"hello;");
    assert_eq!(connection.stats().system_queued_bytes, None);
    connection.abort();
    disconnected(&events);
    connection.set_delivery(display(LIMIT)).unwrap();
    assert_eq!(told(), expected, "nobody is there");
    server.close();
}

/// Before anybody can send.
#[test]
fn a_stream_is_told_when_the_connection_is_made() {
    let (listener, connector) = memory::listener();
    let refusing = Arc::new(Refusing::default());
    let (callback, events) = recorder();
    let server = Server::builder()
        .transport(layer::listener(listener, &refusing))
        .max_sent_len(LEN)
        .delivery(display(LIMIT))
        .callback(callback)
        .build()
        .unwrap();
    server.start(true).unwrap();
    let _peer = connector.open().unwrap();
    connected(&events);
    assert_eq!(*refusing.0.lock(), [Some(LIMIT)]);
    server.close();
}

/// Many threads set one limit after the other: the last one holds.
#[test]
fn the_limit_is_that_of_the_delivery_in_the_end() {
    let (listener, connector) = memory::listener();
    let refusing = Arc::new(Refusing::default());
    let (callback, events) = recorder();
    let server = Server::builder()
        .transport(layer::listener(listener, &refusing))
        .max_sent_len(LEN)
        .callback(callback)
        .build()
        .unwrap();
    server.start(true).unwrap();
    let _peer = connector.open().unwrap();
    let connection = connected(&events);
    std::thread::scope(|scope| {
        for thread in 1..=4 {
            let connection = &connection;
            scope.spawn(move || {
                (0..500).for_each(|number| connection.set_delivery(display(4000 * thread + number)).unwrap());
            });
        }
    });
    let last = refusing.0.lock().last().copied().flatten().unwrap();
    assert_eq!(connection.delivery(), display(last));
    server.close();
}

/// What Linux really does.
#[cfg(target_os = "linux")]
mod system {
    use std::time::Instant;

    use leads_comm::Connection;

    use super::*;

    const NETS: &[Net] = &[
        Net::Tcp,
        Net::Unix,
        #[cfg(feature = "tls")]
        Net::Tls,
    ];

    /// What comes on top of a limit: a message, and with TLS what makes a record of it; or a packet of joined ones.
    const ONE: usize = LEN + 500;
    const JOINED: usize = 64 * 1024;

    fn held(connection: &Connection) -> usize {
        connection.stats().system_queued_bytes.expect("Linux tells").try_into().unwrap()
    }

    /// What is under way to the peer's system is held until that has said that it has it.
    fn wait_until_held(connection: &Connection, most: usize, what: &str) {
        let deadline = Instant::now() + PATIENCE;
        while held(connection) > most {
            assert!(Instant::now() < deadline, "{what}, no more than {most}: {}", connection.stats());
            std::thread::yield_now();
        }
    }

    /// Sends until the system seems to take no more, and part of it waits here.
    fn fill(connection: &Connection) {
        let mut looks = 0;
        until("the system takes no more", || {
            let before = connection.stats().traffic.written;
            (0..20).for_each(|number| connection.send(&numbered(number, LEN)).unwrap());
            looks = if connection.stats().traffic.written == before { looks + 1 } else { 0 };
            looks >= 50
        });
    }

    #[test]
    #[cfg_attr(leads_comm_emulated, ignore = "qemu passes no questions on to NETLINK_SOCK_DIAG")]
    fn the_system_holds_no_more_than_it_may() {
        for &net in NETS {
            for coalesce in [true, false] {
                for limit in [6 * 1024, LIMIT, 4 * LIMIT] {
                    let started = net
                        .start_server(|builder| builder.max_sent_len(LEN).delivery(display(limit)).coalesce(coalesce));
                    let peer = started.raw();
                    let connection = connected(&started.events);
                    let most = limit + if coalesce { JOINED } else { ONE };
                    for _ in 0..2 {
                        fill(&connection);
                        wait_until_held(&connection, most, &format!("{net:?} {coalesce}"));
                    }
                    let messages = peer.into_messages();
                    connection.send(&numbered(1000, LEN)).unwrap();
                    let mut before = None;
                    while before != Some(1000) {
                        let message = messages.recv_timeout(PATIENCE).unwrap();
                        before = Some(number_of(&message));
                    }
                }
            }
        }
    }

    #[test]
    #[cfg_attr(leads_comm_emulated, ignore = "qemu passes no questions on to NETLINK_SOCK_DIAG")]
    fn a_limit_can_be_taken_back() {
        for &net in NETS {
            let started = net.start_server(|builder| builder.max_sent_len(LEN).delivery(display(LIMIT)));
            let _peer = started.raw();
            let connection = connected(&started.events);
            fill(&connection);
            wait_until_held(&connection, LIMIT + JOINED, &format!("{net:?}"));
            connection.set_delivery(display(None)).unwrap();
            fill(&connection);
            let much = held(&connection);
            assert!(much > LIMIT + JOINED, "{net:?}: {much}");
        }
    }

    /// Where messages replace one another there is a limit without being asked for, unless that is taken back.
    #[test]
    #[cfg_attr(leads_comm_emulated, ignore = "qemu passes no questions on to NETLINK_SOCK_DIAG")]
    fn what_is_conflated_is_not_held_by_the_system() {
        let conflated = || display(None).conflate(true);
        for (delivery, is_limited) in
            [(Delivery::new().max_queued_bytes(20 * LEN).conflate(true), true), (conflated(), false)]
        {
            let delivery = delivery.slow_consumer(SlowConsumer::DropOldest);
            let started =
                Net::Tcp.start_server(|builder| builder.max_sent_len(LEN).key(key::prefix(b':')).delivery(delivery));
            let _peer = started.raw();
            let connection = connected(&started.events);
            fill(&connection);
            if is_limited {
                wait_until_held(&connection, LIMIT + JOINED, "conflated");
            } else {
                assert!(held(&connection) > 20 * LIMIT);
            }
        }
    }

    #[test]
    #[cfg_attr(leads_comm_emulated, ignore = "qemu passes no questions on to NETLINK_SOCK_DIAG")]
    fn what_is_held_is_told_as_long_as_there_is_a_connection() {
        for &net in NETS {
            let started = net.start_server(|builder| builder.max_sent_len(LEN).delivery(display(None)));
            let peer = started.raw();
            let connection = connected(&started.events);
            connection.send(&numbered(1, LEN)).unwrap();
            if net == Net::Unix {
                assert_eq!(held(&connection), LEN + 1, "nothing is read");
            }
            assert_eq!(peer.read_exact(LEN + 1).len(), LEN + 1);
            until("it is acknowledged", || held(&connection) == 0);
            connection.abort();
            disconnected(&started.events);
            assert_eq!(connection.stats().system_queued_bytes, None);
        }
    }

    /// Whoever reads gets all of it, in whatever pieces it is written.
    #[test]
    fn a_peer_that_reads_gets_everything() {
        for &net in NETS {
            for limit in [1, 5000, LIMIT] {
                let delivery = Delivery::new()
                    .slow_consumer(SlowConsumer::Block(PATIENCE))
                    .max_queued_bytes(200_000)
                    .max_unsent_bytes(limit);
                let started = net.start_server(|builder| builder.max_sent_len(100_000).delivery(delivery));
                let messages = started.raw().into_messages();
                let connection = connected(&started.events);
                let len = |number: usize| 10 + (number * 7919) % if number % 20 == 0 { 99_000 } else { 500 };
                let sending = std::thread::spawn(move || {
                    (0..1000).for_each(|number| connection.send(&numbered(number, len(number))).unwrap());
                });
                for number in 0..1000 {
                    let message = messages.recv_timeout(PATIENCE).unwrap();
                    assert_eq!((number_of(&message), message.len()), (number, len(number)));
                }
                sending.join().unwrap();
            }
        }
    }
}

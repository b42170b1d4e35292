//! How connections end: for every cause, `on_disconnect` comes once, last, and with the right reason.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use leads_comm::callback::{self, Event};
use leads_comm::crossbeam_channel::Receiver;
use leads_comm::transport::{Stream, memory};
use leads_comm::{
    Connection, ConnectionId, DisconnectCause, DisconnectReason, Error, OutboundLimit, Server, ServerBuilder, Timeouts,
    Undelivered,
};
use leads_comm_testing::child::{self, Process};
use leads_comm_testing::layer::{self, How, Layer};
use leads_comm_testing::*;

/// Asserts that a connection's events were in order, with exactly one end, and returns its reason.
fn only_end(events: &Receiver<Event>) -> DisconnectReason {
    let reason = disconnected(events);
    assert!(events.try_recv().is_err(), "something came after on_disconnect");
    reason
}

fn unsent(reason: &DisconnectReason) -> u64 {
    reason.undelivered.unsent.messages
}

fn small(builder: ServerBuilder) -> ServerBuilder {
    builder.max_received_len(1000).max_sent_len(1000).max_queued_bytes(64 * 1024)
}

over_every_transport! {
    fn the_peer_says_goodbye(net: Net) {
        let started = net.start_server(|builder| builder);
        let raw = started.raw();
        raw.write(b"last words;disconnect;never seen;");
        assert_eq!(received(&started.events), b"last words");
        let reason = only_end(&started.events);
        assert!(matches!(reason.cause, DisconnectCause::PeerGoodbye), "{reason:?}");
        assert_eq!(reason.undelivered, Undelivered::default());
        assert_eq!(raw.read_to_end().0, b"disconnect;");
    }

    fn the_peer_closes_without_goodbye(net: Net) {
        let started = net.start_server(|builder| builder);
        let raw = started.raw();
        raw.write(b"whole;par");
        drop(raw);
        assert_eq!(received(&started.events), b"whole");
        let reason = only_end(&started.events);
        assert!(matches!(reason.cause, DisconnectCause::PeerClosed), "{reason:?}");
        assert_eq!(reason.undelivered.unfinished_bytes, 3);
    }

    fn the_peer_closes_its_half_and_still_gets_everything(net: Net) {
        if !net.has_half_close() {
            return;
        }
        let started = net.start_server(|builder| {
            builder.callback(callback::on_receive(|connection, message| connection.send(message).unwrap()))
        });
        let raw = started.raw();
        raw.write(b"one;two;");
        raw.half_close();
        assert_eq!(raw.read_to_end().0, b"one;two;disconnect;");
    }

    fn the_peer_resets(net: Net) {
        let started = net.start_server(|builder| builder);
        let raw = started.raw();
        connected(&started.events);
        raw.reset();
        match only_end(&started.events).cause {
            DisconnectCause::Io { source } => assert_eq!(source.kind(), io::ErrorKind::ConnectionReset),
            DisconnectCause::PeerClosed if !net.resets() => {}
            other => panic!("{other:?}"),
        }
    }

    fn the_peer_sends_too_long_a_message(net: Net) {
        let started = net.start_server(small);
        let raw = started.raw();
        let mut bytes = b"short;".to_vec();
        bytes.extend([b'x'; 1000]);
        bytes.extend(b";");
        bytes.extend([b'y'; 1001]);
        raw.write(&bytes);
        assert_eq!(received(&started.events), b"short");
        assert_eq!(received(&started.events), [b'x'; 1000]);
        raw.write(b";");
        let reason = only_end(&started.events);
        assert!(matches!(reason.cause, DisconnectCause::MessageTooLong { limit: 1000 }), "{reason:?}");
        assert_eq!(raw.read_to_end().0, b"disconnect;");
    }

    fn the_connection_is_closed_here(net: Net) {
        let started = net.start_server(|builder| builder);
        let raw = started.raw();
        let connection = connected(&started.events);
        connection.send(b"before").unwrap();
        connection.close();
        assert!(connection.is_closed());
        assert!(matches!(connection.send(b"after"), Err(Error::Disconnected)));
        assert_eq!(raw.read_to_end().0, b"before;disconnect;");
        let reason = only_end(&started.events);
        assert!(matches!(reason.cause, DisconnectCause::LocalClose), "{reason:?}");
        assert!(matches!(connection.disconnect_reason().unwrap().cause, DisconnectCause::LocalClose));
    }

    fn the_connection_is_aborted_here(net: Net) {
        let started = net.start_server(|builder| builder);
        let raw = started.raw();
        let connection = connected(&started.events);
        connection.abort();
        connection.abort();
        let reason = only_end(&started.events);
        assert!(matches!(reason.cause, DisconnectCause::LocalAbort), "{reason:?}");
        // A regular end without goodbye would leave a LEADS peer spinning; a reset tells it.
        let (bytes, end) = raw.read_to_end();
        assert!(bytes.is_empty());
        if net.resets() {
            assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        }
    }

    fn the_server_is_closed(net: Net) {
        let started = net.start_server(|builder| builder);
        let raws: Vec<_> = (0..16).map(|_| started.raw()).collect();
        for _ in &raws {
            connected(&started.events);
        }
        let closing = thread::spawn({
            let server = started.server.clone();
            move || server.close()
        });
        for raw in raws {
            let (bytes, end) = raw.read_to_end();
            assert_eq!(bytes, b"disconnect;");
            end.unwrap();
        }
        in_time("close", || closing.join().unwrap());
        for _ in 0..16 {
            assert!(matches!(disconnected(&started.events).cause, DisconnectCause::ServiceClosed));
        }
        assert!(started.events.try_recv().is_err());
    }

    fn the_client_is_closed(net: Net) {
        let started = net.start_server(|builder| builder);
        let (client, client_events) = started.start_client();
        client.close();
        assert!(matches!(only_end(&client_events).cause, DisconnectCause::ServiceClosed));
        assert!(matches!(only_end(&started.events).cause, DisconnectCause::PeerGoodbye));
    }

    fn a_callback_panics(net: Net) {
        expect_panics_in_callbacks();
        let (callback, events) = recorder();
        let started = net.start_server(|builder| {
            let faulty = callback::on_receive(|_, message| assert_ne!(message, b"panic", "as asked"));
            builder.callback((callback, faulty))
        });
        let (bystander, _bystander_events) = started.start_client();
        let raw = started.raw();
        raw.write(b"fine;panic;never seen;");
        assert_eq!(received(&events), b"fine");
        assert_eq!(received(&events), b"panic");
        let reason = only_end(&events);
        assert!(
            matches!(&reason.cause, DisconnectCause::CallbackPanicked { callback: "on_receive", message }
                if message.contains("as asked")),
            "{reason:?}"
        );
        assert_eq!(raw.read_to_end().0, b"disconnect;");
        bystander.send(b"unharmed").unwrap();
        assert_eq!(received(&events), b"unharmed");
    }

    fn on_connect_panics(net: Net) {
        expect_panics_in_callbacks();
        let (callback, events) = recorder();
        let started = net.start_server(|builder| {
            let faulty = callback::closures().on_connect(|_, _| panic!("as asked"));
            builder.callback((callback, faulty))
        });
        let raw = started.raw();
        raw.write(b"never seen;");
        assert_eq!(raw.read_to_end().0, b"disconnect;");
        connected(&events);
        let reason = only_end(&events);
        assert!(matches!(reason.cause, DisconnectCause::CallbackPanicked { callback: "on_connect", .. }), "{reason:?}");
    }

    fn the_queue_is_full(net: Net) {
        let started = net.start_server(small);
        let raw = started.raw();
        let connection = connected(&started.events);
        let mut accepted = 0;
        let limit = loop {
            match connection.send(&[b'x'; 1000]) {
                Ok(()) => accepted += 1,
                Err(Error::SlowConsumer { limit }) => break limit,
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(limit, OutboundLimit::QueuedBytes(64 * 1024));
        let reason = only_end(&started.events);
        assert!(matches!(reason.cause, DisconnectCause::SlowConsumer { limit: OutboundLimit::QueuedBytes(65536) }));
        // 64 KiB hold 61 messages of 1001 bytes, each charged 64 more, and what is left of one that is written in part;
        // writing goes on until the connection is cut.
        assert!(unsent(&reason) <= 62, "{reason:?}");
        assert!(accepted >= 61);
        drop(raw);
    }

    fn the_peer_takes_nothing(net: Net) {
        let started = net.start_server(|builder| builder.timeouts(Timeouts::new().stall_timeout(Duration::from_millis(300))));
        let raw = started.raw();
        let connection = connected(&started.events);
        // Enough to fill every buffer of the system, and not enough to fill the queue.
        let mut refused = false;
        for _ in 0..100 {
            refused |= connection.send(&[b'x'; 100_000]).is_err();
            if connection.is_closed() {
                break;
            }
        }
        let reason = only_end(&started.events);
        let stalled = OutboundLimit::Stalled(Duration::from_millis(300));
        assert!(
            matches!(reason.cause, DisconnectCause::SlowConsumer { limit } if limit == stalled || refused),
            "{reason:?}"
        );
        assert!(unsent(&reason) > 0);
        drop(raw);
    }

    fn two_causes_at_once_end_a_connection_once(net: Net) {
        expect_panics_in_callbacks();
        let (callback, events) = recorder();
        let started = net.start_server(|builder| {
            let faulty = callback::on_receive(|_, message| assert_ne!(message, b"panic"));
            small(builder).callback((callback, faulty))
        });
        let mut rounds = 0;
        let mut ended: HashMap<ConnectionId, usize> = HashMap::new();
        let mut count = |event| match event {
            Event::Disconnect { connection, .. } => {
                *ended.entry(connection.id()).or_default() += 1;
                None
            }
            Event::Receive { connection, .. } => {
                assert!(!ended.contains_key(&connection.id()), "a message came after on_disconnect");
                None
            }
            Event::Connect { connection } => Some(connection),
            _ => None,
        };
        for first in CAUSES {
            for second in CAUSES {
                let raw = started.raw();
                let connection = find(&events, &mut count);
                let both = Barrier::new(2);
                thread::scope(|scope| {
                    for cause in [first, second] {
                        let (raw, connection, both) = (&raw, &connection, &both);
                        scope.spawn(move || {
                            both.wait();
                            cause(raw, connection);
                        });
                    }
                });
                drop(raw);
                rounds += 1;
            }
        }
        started.server.close();
        let newcomers = events.try_iter().filter_map(&mut count).count();
        assert_eq!(newcomers, 0);
        assert_eq!(ended.len(), rounds);
        assert!(ended.values().all(|ends| *ends == 1), "{ended:?}");
    }

    fn closing_the_server_races_with_every_other_cause(net: Net) {
        expect_panics_in_callbacks();
        for cause in CAUSES {
            let (callback, events) = recorder();
            let started = net.start_server(|builder| {
                let faulty = callback::on_receive(|_, message| assert_ne!(message, b"panic"));
                small(builder).callback((callback, faulty))
            });
            let raw = started.raw();
            let connection = connected(&events);
            let both = Arc::new(Barrier::new(2));
            let closing = thread::spawn({
                let (server, both) = (started.server.clone(), Arc::clone(&both));
                move || {
                    both.wait();
                    server.close();
                }
            });
            both.wait();
            cause(&raw, &connection);
            drop(raw);
            in_time("close", || closing.join().unwrap());
            only_end(&events);
        }
    }
}

/// Ways to end a connection that can be asked for at any moment.
const CAUSES: [fn(&Raw, &Connection); 8] = [
    |raw, _| drop(raw.try_write(b"disconnect;")),
    |raw, _| drop(raw.stream.shutdown(Shutdown::Write)),
    |raw, _| drop(raw.stream.abort()),
    |raw, _| drop(raw.try_write(&[b'x'; 1100])),
    |raw, _| drop(raw.try_write(b"panic;")),
    |_, connection| connection.close(),
    |_, connection| connection.abort(),
    |_, connection| while connection.send(&[b'x'; 900]).is_ok() {},
];

/// Reads like another one but cannot be written.
struct Unwritable;

impl Layer for Unwritable {
    fn write(&self, _: &dyn Stream, _: &[IoSlice<'_>], _: How) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
}

#[test]
fn writing_fails() {
    let (listener, connector) = memory::listener();
    let (callback, events) = recorder();
    let server = Server::builder()
        .transport(layer::listener(listener, &Arc::new(Unwritable)))
        .callback(callback)
        .build()
        .unwrap();
    server.start(true).unwrap();

    let raw = connector.open().unwrap();
    let connection = connected(&events);
    raw.write_vectored(&[IoSlice::new(b"sent before;")]).unwrap();
    assert_eq!(received(&events), b"sent before");
    connection.send(b"lost").unwrap();
    let reason = only_end(&events);
    assert!(
        matches!(&reason.cause, DisconnectCause::Io { source } if source.kind() == io::ErrorKind::BrokenPipe),
        "{reason:?}"
    );
    assert_eq!((reason.undelivered.unsent.messages, reason.undelivered.unsent.bytes), (1, 5));
    assert!(matches!(connection.send(b"refused"), Err(Error::Disconnected)));
    server.close();
}

/// An over-long message that is found after a failed write stops the reader all the same.
#[test]
fn a_message_too_long_after_a_failed_write_ends_the_connection() {
    let (listener, connector) = memory::listener();
    let (callback, events) = recorder();
    let answer = callback::on_receive(|connection, _| drop(connection.send(b"answer")));
    let builder = Server::builder().max_received_len(1000).transport(layer::listener(listener, &Arc::new(Unwritable)));
    let server = builder.callback((answer, callback)).build().unwrap();
    server.start(true).unwrap();
    let raw = connector.open().unwrap();
    raw.write_vectored(&[IoSlice::new(b"first;"), IoSlice::new(&[b'x'; 2000])]).unwrap();
    assert_eq!(received(&events), b"first");
    assert!(matches!(only_end(&events).cause, DisconnectCause::Io { .. }));
    server.close();
}

/// What a peer said before it went away is not lost because writing to it failed first, and its goodbye is the reason.
#[test]
fn a_goodbye_explains_a_failed_write() {
    let (listener, connector) = memory::listener();
    let (callback, events) = recorder();
    // The first message sends, which fails, while the goodbye is waiting to be read.
    let answer = callback::on_receive(|connection, message| {
        if message == b"first" {
            connection.send(b"answer").unwrap();
        }
    });
    let callback = (answer, callback);
    let server = Server::builder()
        .transport(layer::listener(listener, &Arc::new(Unwritable)))
        .callback(callback)
        .build()
        .unwrap();
    server.start(true).unwrap();

    let raw = connector.open().unwrap();
    raw.write_vectored(&[IoSlice::new(b"first;second;disconnect;")]).unwrap();
    assert_eq!(received(&events), b"first");
    assert_eq!(received(&events), b"second");
    let reason = only_end(&events);
    assert!(matches!(reason.cause, DisconnectCause::PeerGoodbye), "{reason:?}");
    assert_eq!(unsent(&reason), 1);
    server.close();
}

/// Nor would the peer of one that has ended hear of it, before that process ends.
#[test]
fn a_process_that_is_started_keeps_no_connection() {
    if child::task().is_some() {
        child::say("runs");
        return child::wait_for_parent();
    }
    let started = Net::Tcp.start_server(|builder| builder);
    let raw = started.raw();
    let connection = connected(&started.events);
    let child = Process::start("ending::endings::a_process_that_is_started_keeps_no_connection", "run");
    assert_eq!(child.line(), "runs");
    connection.abort();
    only_end(&started.events);
    assert_eq!(raw.read_to_end().1.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

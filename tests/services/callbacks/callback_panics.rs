//! Callbacks that panic: each panic costs at most its own connection, is told once, and is survived.

use std::panic::panic_any;
use std::thread;

use leads_comm::callback::{self, Closures, Event};
use leads_comm::crossbeam_channel::Receiver;
use leads_comm::{DisconnectCause, Error};
use leads_comm_testing::*;

/// Something to panic with whose drop panics again.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

/// Each kind of panic, and the message that is told for it.
const PANICS: [(fn(), &str); 4] = [
    (|| panic!("a literal"), "a literal"),
    (|| panic_any(String::from("a string")), "a string"),
    (|| panic_any(42), "(not text)"),
    (|| panic_any(Bomb), "(not text)"),
];

/// A callback that panics in one method; in `on_fail`, after it has brought it about.
fn panics_in(method: &str, panic: fn()) -> Closures {
    let closures = callback::closures();
    match method {
        "on_initialize" => closures.on_initialize(move |_| panic()),
        "on_connect" => closures.on_connect(move |_, _| panic()),
        "on_receive" => closures.on_receive(move |_, _| panic()),
        "on_disconnect" => closures.on_disconnect(move |_, _, _| panic()),
        "on_fail" => closures.on_disconnect(|_, _, _| panic!("provoked")).on_fail(move |_, _| panic()),
        _ => unreachable!("there is no {method}"),
    }
}

/// Asserts that the next disconnection is for a panic.
fn assert_ended_for(events: &Receiver<Event>, method: &str, expected: &str) {
    match disconnected(events).cause {
        DisconnectCause::CallbackPanicked { callback, message } => {
            assert_eq!((callback, &*message), (method, expected));
        }
        cause => panic!("{method}: {cause:?}"),
    }
}

/// Asserts that the next failure is a panic.
fn assert_failed_for(events: &Receiver<Event>, method: &str, expected: &str) {
    let error = find(events, |event| match event {
        Event::Fail { error, .. } => Some(error),
        _ => None,
    });
    match error {
        Error::CallbackPanicked { callback, message } => assert_eq!((callback, &*message), (method, expected)),
        error => panic!("{method}: {error:?}"),
    }
}

/// The names of the methods that a server calls, from its start to the end of its first connection.
fn calls(events: &Receiver<Event>, count: usize) -> Vec<&'static str> {
    let name = |event| match event {
        Event::Initialize { .. } => "on_initialize",
        Event::Connect { .. } => "on_connect",
        Event::Receive { .. } => "on_receive",
        Event::Disconnect { .. } => "on_disconnect",
        Event::Fail { .. } => "on_fail",
        _ => "another",
    };
    (0..count).map(|_| name(next(events))).collect()
}

over_every_transport! {
    fn a_servers_connection_ends_with_the_panics_message(net: Net) {
        expect_panics_in_callbacks();
        for method in ["on_connect", "on_receive"] {
            for (panic, message) in PANICS {
                let (callback, events) = recorder();
                let started = net.start_server(|builder| builder.callback((panics_in(method, panic), callback.clone())));
                let raw = started.raw();
                // The connection may have ended before this is written.
                let _ = raw.try_write(b"m;");
                drop(raw);
                assert_ended_for(&events, method, message);

                started.server.replace_callback(callback);
                let (unharmed, _unharmed_events) = started.start_client();
                unharmed.send(b"unharmed").unwrap();
                assert_eq!(received(&events), b"unharmed");
            }
        }
    }

    fn a_clients_connection_ends_with_the_panics_message(net: Net) {
        expect_panics_in_callbacks();
        let started = net.start_server(|builder| {
            builder.callback(callback::closures().on_connect(|_, connection| connection.send(b"m").unwrap()))
        });
        for method in ["on_connect", "on_receive"] {
            for (panic, message) in PANICS {
                let (callback, events) = recorder();
                let client = started.start_client_with((panics_in(method, panic), callback));
                assert_ended_for(&events, method, message);
                client.wait();
                assert!(client.connection().is_none());
            }
        }
    }

    fn a_panic_without_a_connection_to_end_is_a_failure(net: Net) {
        expect_panics_in_callbacks();
        for method in ["on_initialize", "on_disconnect"] {
            for (panic, message) in PANICS {
                let (callback, events) = recorder();
                let started = net.start_server(|builder| builder.callback((panics_in(method, panic), callback)));
                let (client_callback, client_events) = recorder();
                let client = started.start_client_with((panics_in(method, panic), client_callback));
                if method == "on_initialize" {
                    assert_failed_for(&events, method, message);
                    assert_failed_for(&client_events, method, message);
                }
                let connection = connected(&events);
                connection.send(b"to the client").unwrap();
                assert_eq!(received(&client_events), b"to the client");
                client.send(b"to the server").unwrap();
                assert_eq!(received(&events), b"to the server");
                client.close();
                assert!(matches!(disconnected(&events).cause, DisconnectCause::PeerGoodbye));
                assert!(matches!(disconnected(&client_events).cause, DisconnectCause::ServiceClosed));
                if method == "on_disconnect" {
                    assert_failed_for(&events, method, message);
                    assert_failed_for(&client_events, method, message);
                }
            }
        }
    }

    fn a_panic_in_on_fail_is_survived(net: Net) {
        expect_panics_in_callbacks();
        for (panic, _) in PANICS {
            let (callback, events) = recorder();
            let started = net.start_server(|builder| builder.callback((panics_in("on_fail", panic), callback)));
            for _ in 0..2 {
                let (callback, client_events) = recorder();
                let client = started.start_client_with((panics_in("on_fail", panic), callback));
                client.send(b"served").unwrap();
                assert_eq!(received(&events), b"served");
                client.close();
                assert_failed_for(&events, "on_disconnect", "provoked");
                assert_failed_for(&client_events, "on_disconnect", "provoked");
                client.wait();
            }
        }
    }

    fn both_of_a_pair_are_called_when_one_panics(net: Net) {
        expect_panics_in_callbacks();
        let whole_life: [(&str, &[&str]); 5] = [
            ("on_initialize", &["on_initialize", "on_fail", "on_connect", "on_receive", "on_disconnect"]),
            ("on_connect", &["on_initialize", "on_connect", "on_disconnect"]),
            ("on_receive", &["on_initialize", "on_connect", "on_receive", "on_disconnect"]),
            ("on_disconnect", &["on_initialize", "on_connect", "on_receive", "on_disconnect", "on_fail"]),
            ("on_fail", &["on_initialize", "on_connect", "on_receive", "on_disconnect", "on_fail"]),
        ];
        for (method, expected) in whole_life {
            for panics_first in [true, false] {
                let (callback, events) = recorder();
                let panics = panics_in(method, || panic!("one of two"));
                let started = net.start_server(|builder| match panics_first {
                    true => builder.callback((panics, callback)),
                    false => builder.callback((callback, panics)),
                });
                let raw = started.raw();
                let _ = raw.try_write(b"m;disconnect;");
                drop(raw);
                assert_eq!(calls(&events, expected.len()), expected, "{method}, first: {panics_first}");
                started.server.close();
                assert!(events.try_recv().is_err(), "{method}: something came after the end");
            }
        }
    }

    fn when_both_of_a_pair_panic_the_first_is_told(net: Net) {
        expect_panics_in_callbacks();
        for (panic, message) in PANICS {
            for (second_panic, _) in PANICS {
                let (callback, events) = recorder();
                let pair = (panics_in("on_receive", panic), panics_in("on_receive", second_panic));
                let started = net.start_server(|builder| builder.callback((pair, callback)));
                started.raw().write(b"m;");
                assert_ended_for(&events, "on_receive", message);
                started.server.close();
                assert!(events.try_recv().is_err());
            }
        }
    }

    fn a_panic_in_a_connection_that_ends_already_is_a_failure(net: Net) {
        expect_panics_in_callbacks();
        let (callback, events) = recorder();
        let faulty = callback::on_receive(|connection, _| {
            connection.close();
            panic!("after the end has begun\nsecond line");
        });
        let started = net.start_server(|builder| builder.callback((faulty, callback)));
        let raw = started.raw();
        raw.write(b"m;");
        let error = find(&events, |event| match event {
            Event::Fail { error, .. } => Some(error),
            _ => None,
        });
        assert!(
            matches!(&error, Error::CallbackPanicked { callback: "on_receive", message }
                if message == "after the end has begun\nsecond line"),
            "{error:?}"
        );
        assert_eq!(error.to_string(), "the callback on_receive panicked: after the end has begun");
        drop(raw);
        assert!(matches!(disconnected(&events).cause, DisconnectCause::LocalClose));
    }

    fn what_was_sent_before_the_panic_arrives(net: Net) {
        expect_panics_in_callbacks();
        let started = net.start_server(|builder| {
            builder.callback(callback::on_receive(|connection, _| {
                connection.send(b"sent before").unwrap();
                panic!("and now");
            }))
        });
        let raw = started.raw();
        raw.write(b"m;");
        let (bytes, end) = raw.read_to_end();
        assert_eq!(bytes, b"sent before;disconnect;");
        end.unwrap();
    }

    fn a_panic_does_not_reach_whoever_called_start(net: Net) {
        expect_panics_in_callbacks();
        let started = net.start_server(|builder| builder);
        for method in ["on_initialize", "on_connect", "on_disconnect", "on_fail"] {
            let client = started.client().callback(panics_in(method, || panic!("on the caller's thread")));
            let client = client.build().unwrap();
            let receiving = thread::Builder::new().name("leads-comm caller".into()).spawn({
                let (client, address) = (client.clone(), started.address().to_owned());
                move || client.start(&address, false)
            });
            connected(&started.events).close();
            in_time("the client's start", || receiving.unwrap().join()).expect("the panic reached the caller").unwrap();
        }
    }
}

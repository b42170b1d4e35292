//! Calls, and the program's code: in callbacks a call would wait for itself, and what tells an answer may panic.

use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use leads_comm::callback::{self, closures};
use leads_comm::{Callback, Client, Connection, DisconnectReason, Error, Server, Service};
use leads_comm_testing::*;

use super::{call_in_background, result};

type Told = Sender<(&'static str, Result<Vec<u8>, Error>)>;

/// Calls whoever it is connected to, in every callback.
struct Calling(Told);

impl Calling {
    fn call(&self, within: &'static str, service: &dyn Service, connection: Option<&Connection>) {
        let first = service.connections().into_iter().next();
        if let Some(connection) = connection.or(first.as_ref()) {
            self.0.send((within, connection.call(b"request", |_| true, Duration::MAX))).unwrap();
        }
    }
}

impl Callback for Calling {
    fn on_initialize(&self, service: &dyn Service) {
        self.call("on_initialize", service, None);
    }

    fn on_connect(&self, service: &dyn Service, connection: &Connection) {
        self.call("on_connect", service, Some(connection));
    }

    fn on_receive(&self, service: &dyn Service, connection: &Connection, _: &[u8]) {
        self.call("on_receive", service, Some(connection));
    }

    fn on_disconnect(&self, service: &dyn Service, connection: &Connection, _: &DisconnectReason) {
        self.call("on_disconnect", service, Some(connection));
    }
}

over_every_transport! {
    fn in_its_own_callbacks_a_call_fails_at_once(net: Net) {
        let (told, results) = mpsc::channel();
        let started = net.start_server(|builder| builder.callback(Calling(told.clone())));
        let (callback, events) = recorder();
        let client = started.start_client_with((Calling(told), callback));
        let on_server = started.server.connections();
        // Nobody has been called by the other, so they hear nothing but this.
        until("they meet", || started.server.num_connections() == 1);
        started.server.broadcast(b"m1").unwrap();
        assert_eq!(received(&events), b"m1");
        client.send(b"m1").unwrap();
        until("it is received", || started.server.stats().traffic.received.messages == 1);
        drop(on_server);
        client.close();
        started.server.close();
        drop(client);
        drop(started);
        let mut within: Vec<&str> = Vec::new();
        for (callback, result) in results.try_iter() {
            match result {
                Err(Error::WouldDeadlock) if callback != "on_disconnect" => {}
                Err(Error::Disconnected) if callback == "on_disconnect" => {}
                other => panic!("{callback}: {other:?}"),
            }
            within.push(callback);
        }
        within.sort_unstable();
        let expected = [
            "on_connect", "on_connect", "on_disconnect", "on_disconnect", "on_initialize", "on_receive", "on_receive",
        ];
        assert_eq!(within, expected);
    }
}

#[test]
fn a_client_that_receives_on_the_calling_thread_cannot_call_there() {
    let started = Net::Tcp.start_server(|builder| builder);
    let (results, told) = mpsc::channel();
    let slot = Arc::new(Mutex::new(None::<Client>));
    let in_callback = Arc::clone(&slot);
    let client = started
        .client()
        .callback(closures().on_initialize(move |service| {
            let client = in_callback.lock().unwrap().clone().unwrap();
            results.send(client.call(b"request", |_| true, Duration::MAX)).unwrap();
            service.close();
        }))
        .build()
        .unwrap();
    *slot.lock().unwrap() = Some(client.clone());
    let address = started.address().to_owned();
    in_time("a client on a thread of the program's", move || client.start(&address, false)).unwrap();
    assert!(matches!(told.try_recv().unwrap(), Err(Error::WouldDeadlock)));
    slot.lock().unwrap().take();
}

/// Where events are received a call may wait as long as the channel has room: otherwise the reader waits for that.
#[test]
fn where_events_are_received_a_call_waits_while_the_channel_has_room() {
    let server = Server::builder().port(0).callback(callback::on_receive(|connection, message| {
        connection.send_all([b"state 1", b"state 2", message]).unwrap();
    }));
    let server = leads_comm::CloseOnDrop::new(server.build().unwrap());
    server.start(true).unwrap();
    let address = format!("127.0.0.1:{}", server.port());
    // What there is before: `on_initialize` and `on_connect`.
    for (capacity, has_room) in [(4, true), (3, false)] {
        let (callback, events) = callback::channel(capacity);
        let client = Client::connect(&address, callback).unwrap();
        until("it has connected", || events.len() == 2);
        let time = if has_room { PATIENCE } else { Duration::from_millis(50) };
        let outcome = client.call(b"request", |message| message == b"request", time);
        match has_room {
            true => assert_eq!(outcome.unwrap(), b"request"),
            false => assert!(matches!(outcome, Err(Error::TimedOut { .. })), "{outcome:?}"),
        }
        assert_eq!(received(&events), b"state 1");
        assert_eq!(received(&events), b"state 2");
        if !has_room {
            assert_eq!(received(&events), b"request");
        }
        client.close();
    }
}

/// A callback of another connection may wait, and so may one of a service that runs within: only the thread counts.
#[test]
fn in_the_callback_of_another_connection_a_call_waits() {
    let echo = Server::builder().port(0).callback(callback::on_receive(|connection, message| {
        connection.send(message).unwrap();
    }));
    let echo = leads_comm::CloseOnDrop::new(echo.build().unwrap());
    echo.start(true).unwrap();
    let address = format!("127.0.0.1:{}", echo.port());
    let upstream = Client::connect(&address, ()).unwrap();
    let started = Net::Tcp.start_server(|builder| {
        builder.callback(callback::on_receive(move |connection, message| {
            let answer = upstream.call(message, |_| true, PATIENCE).unwrap();
            connection.send(&answer).unwrap();
            // Within this callback runs a client whose callback may call for itself, and for the one without.
            let (outer, inner_address) = (connection.clone(), address.clone());
            let inner = Client::builder().callback(closures().on_connect(move |service, inner| {
                for connection in [&outer, inner] {
                    let refused = connection.call(b"request", |_| true, Duration::MAX);
                    assert!(matches!(refused, Err(Error::WouldDeadlock)), "{refused:?}");
                }
                service.close();
            }));
            inner.build().unwrap().start(&inner_address, false).unwrap();
            connection.send(b"done").unwrap();
        }))
    });
    let (client, events) = started.start_client();
    assert_eq!(client.call(b"m1", |message| message == b"m1", PATIENCE).unwrap(), b"m1");
    assert_eq!(received(&events), b"done");
}

#[test]
fn what_tells_an_answer_may_call_anything() {
    let started = Net::Tcp.start_server(|builder| builder);
    let (client, client_events) = started.start_client();
    let there = connected(&started.events);
    let inner = client.clone();
    let call = call_in_background(
        &client.connection().unwrap(),
        b"request",
        move |_| {
            let refused = inner.call(b"request", |_| true, Duration::MAX);
            assert!(matches!(refused, Err(Error::WouldDeadlock)), "{refused:?}");
            inner.send(b"seen").unwrap();
            inner.close();
            true
        },
        &started.events,
    );
    there.send(b"answer").unwrap();
    // It has closed its own connection, with which every call is over.
    assert!(matches!(result(&call), Err(Error::Disconnected)));
    assert_eq!(received(&started.events), b"seen");
    disconnected(&client_events);
}

#[test]
fn a_panic_of_what_tells_an_answer_ends_its_call_and_nothing_else() {
    expect_panics_in_callbacks();
    let started = Net::Tcp.start_server(|builder| builder);
    let (client, client_events) = started.start_client();
    let (here, there) = (client.connection().unwrap(), connected(&started.events));
    let panics = call_in_background(&here, b"first", |_| panic!("no such answer"), &started.events);
    let waits = call_in_background(&here, b"second", |message| message == b"m2", &started.events);
    there.send_all(["m1", "m2", "m3"]).unwrap();
    let error = result(&panics).unwrap_err();
    assert!(
        matches!(&error, Error::CallbackPanicked { callback: "call", message } if message == "no such answer"),
        "{error:?}"
    );
    assert_eq!(result(&waits).unwrap(), b"m2");
    // What nobody has taken is delivered.
    assert_eq!(received(&client_events), b"m1");
    assert_eq!(received(&client_events), b"m3");
    assert!(!here.is_closed());
}

/// Its destructor is the program's as well, and its panic costs the call nothing.
#[test]
fn a_panic_in_the_destructor_of_what_tells_an_answer_is_contained() {
    struct Panicking(thread::ThreadId);

    impl Drop for Panicking {
        fn drop(&mut self) {
            // On either thread that may let it go.
            let _ = self.0;
            std::panic::resume_unwind(Box::new("dropped"));
        }
    }

    let started = Net::Tcp.start_server(|builder| builder);
    let (client, client_events) = started.start_client();
    let there = connected(&started.events);
    let given_up = Panicking(thread::current().id());
    let error = client.call(b"first", move |_| drop_nothing(&given_up), Duration::ZERO).unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
    assert_eq!(received(&started.events), b"first");
    let taken = Panicking(thread::current().id());
    let here = client.connection().unwrap();
    let call = call_in_background(&here, b"second", move |_| !drop_nothing(&taken), &started.events);
    there.send_all(["answer", "m1"]).unwrap();
    assert_eq!(result(&call).unwrap(), b"answer");
    assert_eq!(received(&client_events), b"m1");

    fn drop_nothing(_: &Panicking) -> bool {
        false
    }
}

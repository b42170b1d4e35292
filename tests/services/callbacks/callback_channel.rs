//! Events through a channel instead of calls: all of them, in order, none dropped, whatever the receiver does.

use std::collections::HashMap;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use leads_comm::callback::{self, ChannelCallback, Event, closures};
use leads_comm::crossbeam_channel::{self, Receiver, RecvTimeoutError};
use leads_comm::{
    Client, CloseOnDrop, Closing, ConnectionId, DisconnectCause, DisconnectKind, Error, Reconnect, Server, SlowConsumer,
};
use leads_comm_testing::*;

/// The number in a message of [`numbered`].
fn number(message: &[u8]) -> usize {
    String::from_utf8_lossy(message).trim_end().parse().unwrap()
}

/// Messages of 1000 bytes that say which one they are.
fn numbered(count: usize) -> impl Iterator<Item = Vec<u8>> {
    (0..count).map(|number| format!("{number:<1000}").into_bytes())
}

over_every_transport! {
    fn every_event_comes_with_its_facts(net: Net) {
        expect_panics_in_callbacks();
        let (channel, events) = callback::channel(16);
        let fails = closures().on_disconnect(|_, _, _| panic!("provoked"));
        let started = net.start_server(|builder| builder.callback((channel, fails)));
        let (channel, client_events) = callback::channel(16);
        let fails = closures().on_disconnect(|_, _, _| panic!("provoked"));
        let client = started.start_client_with((channel, fails));

        assert!(matches!(next(&events), Event::Initialize { .. }));
        let Event::Connect { connection: peer } = next(&events) else { panic!("on_connect comes second") };
        assert_eq!(started.server.connections(), std::slice::from_ref(&peer));
        assert!(matches!(next(&client_events), Event::Initialize { .. }));
        let Event::Connect { connection: server } = next(&client_events) else { panic!("on_connect comes second") };
        assert_eq!(client.connection(), Some(server.clone()));

        for message in [&b"hello"[..], b"", b"\0\xff"] {
            peer.send(message).unwrap();
            server.send(message).unwrap();
            for (events, from) in [(&events, &peer), (&client_events, &server)] {
                match next(events) {
                    Event::Receive { connection, message: received } => {
                        assert_eq!((&connection, &*received), (from, message));
                    }
                    other => panic!("expected a message, got {other:?}"),
                }
            }
        }
        client.close();
        match next(&events) {
            Event::Disconnect { connection, reason } if reason.kind() == DisconnectKind::PeerGoodbye => {
                assert_eq!(connection, peer);
            }
            other => panic!("expected the client's goodbye, got {other:?}"),
        }
        match next(&client_events) {
            Event::Disconnect { connection, reason } if reason.kind() == DisconnectKind::ServiceClosed => {
                assert_eq!(connection, server);
            }
            other => panic!("expected the client's end, got {other:?}"),
        }
        for events in [&events, &client_events] {
            match next(events) {
                Event::Fail { error: Error::CallbackPanicked { callback: "on_disconnect", message }, .. } => {
                    assert_eq!(message, "provoked");
                }
                other => panic!("expected the panic, got {other:?}"),
            }
        }
    }

    fn several_channels_are_waited_for_at_once(net: Net) {
        let started = net.start_server(|builder| builder);
        let (client, client_events) = started.start_client();
        let (peer, server) = (connected(&started.events), connected(&client_events));
        let (stop, stopped) = crossbeam_channel::bounded::<()>(0);

        // A number goes back and forth, one more each time.
        client.send(b"0").unwrap();
        let mut passes = 0;
        while passes < 100 {
            let (event, from) = crossbeam_channel::select! {
                recv(started.events) -> event => (event.unwrap(), &peer),
                recv(client_events) -> event => (event.unwrap(), &server),
                recv(stopped) -> _ => unreachable!("nobody stops the game"),
                default(PATIENCE) => panic!("nothing comes"),
            };
            if let Event::Receive { connection, message } = event {
                assert_eq!(connection, *from);
                assert_eq!(number(&message), passes);
                passes += 1;
                connection.send(passes.to_string().as_bytes()).unwrap();
            }
        }
        drop(stop);
    }

    /// Whatever the receiver does, each connection's events come whole and in order; and as long as it does nothing,
    /// the program can still send to everyone, and newcomers are let in.
    fn a_full_channel_drops_nothing_and_holds_up_nobodys_sending(net: Net) {
        let (channel, events) = callback::channel(1);
        let started = net.start_server(|builder| builder.callback(channel));
        let flood = started.client().max_sent_len(1000).max_queued_bytes(64 * 1024);
        let flood = flood.slow_consumer(SlowConsumer::Block(PATIENCE)).timeouts(unhurried(PATIENCE)).build().unwrap();
        flood.start(started.address(), true).unwrap();
        let flooding = thread::spawn({
            let flood = flood.clone();
            move || numbered(300).for_each(|message| flood.send(&message).unwrap())
        });
        let (newcomer, newcomer_events) = started.start_client();
        numbered(10).for_each(|message| newcomer.send(&message).unwrap());
        until("the newcomer is let in", || started.server.num_connections() == 2);
        assert_eq!(started.server.broadcast(b"to all").unwrap(), 2);
        assert_eq!(received(&newcomer_events), b"to all");
        assert_eq!(events.len(), 1);

        let mut messages: HashMap<ConnectionId, usize> = HashMap::new();
        assert!(matches!(next(&events), Event::Initialize { .. }));
        while messages.values().sum::<usize>() < 310 || messages.len() < 2 {
            match next(&events) {
                Event::Connect { connection } => assert_eq!(messages.insert(connection.id(), 0), None),
                Event::Receive { connection, message } => {
                    let count = messages.get_mut(&connection.id()).expect("a message comes after on_connect");
                    assert_eq!(number(&message), *count);
                    *count += 1;
                }
                other => panic!("expected a message, got {other:?}"),
            }
        }
        in_time("sending", || flooding.join().unwrap());
        let mut counts: Vec<_> = messages.into_values().collect();
        counts.sort_unstable();
        assert_eq!(counts, [10, 300]);
        let closing = thread::spawn(move || {
            flood.close();
            newcomer.close();
        });
        disconnected(&events);
        disconnected(&events);
        in_time("closing the clients", || closing.join().unwrap());
    }

    fn a_service_goes_on_when_the_receiver_is_dropped(net: Net) {
        let (entered, waiting) = mpsc::channel();
        let (channel, events) = callback::channel(1);
        let announce = callback::on_receive(move |_, _| entered.send(()).unwrap());
        let echo = callback::on_receive(|connection, message| connection.send(message).unwrap());
        let started = net.start_server(|builder| builder.callback((announce, (channel, echo))));
        let (client, client_events) = started.start_client();
        client.send(b"waits for room").unwrap();
        assert!(matches!(next(&events), Event::Initialize { .. }));
        waiting.recv_timeout(PATIENCE).unwrap();
        drop(events);
        assert_eq!(received(&client_events), b"waits for room");
        client.send(b"thrown away").unwrap();
        assert_eq!(received(&client_events), b"thrown away");
        started.server.close();
        assert!(matches!(disconnected(&client_events).cause, DisconnectCause::PeerGoodbye));
    }

    fn closing_over_a_full_channel_is_bounded_and_what_waits_comes_out(net: Net) {
        let (entered, waiting) = mpsc::channel();
        let (channel, events) = callback::channel(2);
        let announce = callback::on_receive(move |_, _| entered.send(()).unwrap());
        let (builder, dial) = net.server();
        let (flush, close) = (Duration::from_millis(50), Duration::from_millis(100));
        let builder = builder.closing(Closing::new().flush_timeout(flush).close_timeout(close));
        let server = builder.callback((announce, channel)).build().unwrap();
        server.start(true).unwrap();
        let client = dial.client(&server).build().unwrap();
        client.start(dial.address(), true).unwrap();
        numbered(10).for_each(|message| client.send(&message).unwrap());
        waiting.recv_timeout(PATIENCE).unwrap();

        let closing = server.clone();
        in_time("close", move || closing.close());
        assert!(server.wait_timeout(PATIENCE), "the server does not end");
        client.close();
        drop(server);
        assert!(matches!(next(&events), Event::Initialize { .. }));
        assert!(matches!(next(&events), Event::Connect { .. }));
        assert!(matches!(next(&events), Event::Receive { message, .. } if number(&message) == 0));
        let reason = match next(&events) {
            Event::Disconnect { reason, .. } => reason,
            other => panic!("expected the end, got {other:?}"),
        };
        assert!(matches!(reason.cause, DisconnectCause::ServiceClosed), "{reason:?}");
        assert_over(&events);
    }

    fn no_capacity_is_taken_for_one(net: Net) {
        let (channel, events) = callback::channel(0);
        assert_eq!(events.capacity(), Some(1));
        let started = net.start_server(|builder| builder.callback(channel));
        // With on_initialize in the channel, and nobody there to take it out, callers are let in.
        let (_client, client_events) = started.start_client();
        until("the client is let in", || started.server.num_connections() == 1);
        assert_eq!(started.server.broadcast(b"hello").unwrap(), 1);
        assert_eq!(received(&client_events), b"hello");
        drop(events);
    }
}

/// Asserts that nothing more will ever come.
fn assert_over(events: &Receiver<Event>) {
    match events.recv_timeout(PATIENCE) {
        Err(RecvTimeoutError::Disconnected) => {}
        other => panic!("expected the end of the channel, got {other:?}"),
    }
}

#[test]
fn services_can_share_a_channel() {
    let (channel, events) = recorder();
    let servers = [Net::Tcp, Net::Memory].map(|net| net.start_server(|builder| builder.callback(channel.clone())));
    for server in &servers {
        let (client, _client_events) = server.start_client();
        client.send(b"to one of them").unwrap();
        assert_eq!(received(&events), b"to one of them");
    }
    drop(servers);
    drop(channel);
    find(&events, |event| matches!(event, Event::Disconnect { .. }).then_some(()));
}

/// Every kind of event says whose it is.
#[test]
fn events_in_a_shared_channel_say_whose_they_are() {
    expect_panics_in_callbacks();
    let (channel, events) = recorder();
    let panics = || closures().on_disconnect(|_, _, _| panic!("so that on_fail is called"));
    let servers =
        [Net::Tcp, Net::Memory].map(|net| net.start_server(|builder| builder.callback((channel.clone(), panics()))));
    let client = servers[0].client().callback((channel.clone(), panics()));
    let client = client.reconnect(Reconnect::new().first_delay(Duration::from_millis(1))).build().unwrap();
    client.start(servers[0].address(), true).unwrap();
    let (other, _other_events) = servers[1].start_client();
    let ids = [servers[0].server.id(), servers[1].server.id(), client.id()];
    let names = HashMap::from([(ids[0], "first"), (ids[1], "second"), (ids[2], "client")]);
    assert_eq!(names.len(), 3, "two services have one id");
    assert!(ids.iter().all(|id| id.to_string() == id.get().to_string() && u64::from(*id) == id.get()));
    assert_eq!(client.connection().unwrap().service(), client.id());
    until("everybody is there", || servers.iter().all(|started| started.server.num_connections() == 1));
    for started in &servers {
        assert_eq!(started.server.connections()[0].service(), started.server.id());
        started.server.broadcast(b"from a server").unwrap();
    }
    client.send(b"to the first").unwrap();
    other.send(b"to the second").unwrap();
    until("all is received", || servers.iter().all(|started| started.server.stats().traffic.received.messages == 1));
    until("all is received", || client.stats().traffic.received.messages == 1);
    other.close();
    servers.iter().for_each(|started| started.server.close());
    let mut told = HashMap::<&str, Vec<String>>::new();
    let mut note = |event: &Event| {
        let what = match event {
            Event::Initialize { .. } => "initialize",
            Event::Connect { .. } => "connect",
            Event::Receive { message, .. } => std::str::from_utf8(message).unwrap(),
            Event::Disconnect { .. } => "disconnect",
            Event::Reconnect { .. } => "reconnect",
            Event::Fail { .. } => "fail",
            other => panic!("{other:?}"),
        };
        told.entry(names[&event.service()]).or_default().push(what.to_owned());
    };
    find(&events, |event| {
        note(&event);
        matches!(event, Event::Reconnect { .. }).then_some(())
    });
    client.close();
    events.try_iter().for_each(|event| note(&event));
    assert_eq!(told["first"], ["initialize", "connect", "to the first", "disconnect", "fail"]);
    assert_eq!(told["second"], ["initialize", "connect", "to the second", "disconnect", "fail"]);
    assert_eq!(told["client"][..6], ["initialize", "connect", "from a server", "disconnect", "fail", "reconnect"]);
}

/// By name, where the program's own inputs come through the same channel.
#[test]
fn each_service_may_put_its_events_into_a_type_of_the_programs() {
    #[derive(Debug)]
    enum Input {
        Left(Event),
        Right(Event),
        Own(&'static str),
    }

    let (inputs, receiver) = crossbeam_channel::bounded(100);
    let start = |callback: ChannelCallback<Input>| {
        let server = CloseOnDrop::new(Server::builder().port(0).callback(callback).build().unwrap());
        server.start(true).unwrap();
        server
    };
    let left = start(ChannelCallback::new(inputs.clone(), Input::Left));
    let right = start(ChannelCallback::new(inputs.clone(), Input::Right));
    inputs.send(Input::Own("the program's")).unwrap();
    drop(inputs);
    for (server, message) in [(&left, "to the left"), (&right, "to the right")] {
        let client = Client::builder().port(server.port()).build().unwrap();
        client.start("127.0.0.1", true).unwrap();
        client.send(message.as_bytes()).unwrap();
        client.close();
    }
    let (mut of_left, mut of_right, mut own) = (Vec::new(), Vec::new(), Vec::new());
    let mut is_over = [false; 2];
    while is_over != [true; 2] {
        match receiver.recv_timeout(PATIENCE).unwrap() {
            Input::Left(Event::Receive { message, .. }) => of_left.push(message),
            Input::Right(Event::Receive { message, .. }) => of_right.push(message),
            Input::Left(Event::Disconnect { .. }) => is_over[0] = true,
            Input::Right(Event::Disconnect { .. }) => is_over[1] = true,
            Input::Own(text) => own.push(text),
            Input::Left(_) | Input::Right(_) => {}
        }
    }
    assert_eq!((of_left, of_right), (vec![b"to the left".to_vec()], vec![b"to the right".to_vec()]));
    assert_eq!(own, ["the program's"]);
    drop((left, right));
    assert_eq!(
        receiver.recv_timeout(PATIENCE).unwrap_err(),
        RecvTimeoutError::Disconnected,
        "nobody feeds it any more"
    );
}

/// A server whose very first event finds no room lets nobody in, and is closed all the same.
#[test]
fn closing_is_bounded_while_on_initialize_waits_for_room() {
    let (channel, events) = callback::channel(1);
    let build = || {
        let (flush, close) = (Duration::from_millis(50), Duration::from_millis(100));
        let builder = Server::builder().port(0).closing(Closing::new().flush_timeout(flush).close_timeout(close));
        let server = builder.callback(channel.clone()).build().unwrap();
        server.start(true).unwrap();
        server
    };
    let servers = [build(), build()];
    let closing = servers.clone();
    in_time("close", move || closing.each_ref().map(Server::close));
    assert!(matches!(next(&events), Event::Initialize { .. }));
    assert!(matches!(next(&events), Event::Initialize { .. }));
    for server in servers {
        assert!(server.wait_timeout(PATIENCE));
    }
    assert!(events.try_recv().is_err());
}

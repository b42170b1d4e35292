//! A program that takes its time: it is given the newest of each key, all the rest in order, and slows nobody down.

use std::collections::HashMap;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use leads_comm::callback::{self, Closures, Event, LatestReceiver};
use leads_comm::crossbeam_channel::{self, RecvTimeoutError, TryRecvError};
use leads_comm::key::{self, Key};
use leads_comm::{
    Client, Closing, Connection, DisconnectCause, DisconnectKind, Error, Reconnect, Server, transport::memory,
};
use leads_comm_testing::*;

/// Tells when a message has been given to the callback in front of this one.
fn announce() -> (Closures, mpsc::Receiver<()>) {
    let (given, is_given) = mpsc::channel();
    (callback::on_receive(move |_, _| given.send(()).unwrap_or_default()), is_given)
}

fn wait_for(count: usize, given: &mpsc::Receiver<()>) {
    (0..count).for_each(|_| given.recv_timeout(PATIENCE).expect("a message does not arrive"));
}

fn next_of(events: &LatestReceiver) -> Event {
    events.recv_timeout(PATIENCE).expect("no further event")
}

fn connected_to(events: &LatestReceiver) -> Connection {
    loop {
        if let Event::Connect { connection } = next_of(events) {
            return connection;
        }
    }
}

/// An event in a word, or the message.
fn word(event: Event) -> String {
    match event {
        Event::Initialize { .. } => "initialize".into(),
        Event::Connect { .. } => "connect".into(),
        Event::Receive { message, .. } => String::from_utf8(message).unwrap(),
        Event::Disconnect { .. } => "disconnect".into(),
        Event::Reconnect { .. } => "reconnect".into(),
        Event::Fail { .. } => "fail".into(),
        _ => "another".into(),
    }
}

/// All that waits.
fn waiting(events: &LatestReceiver) -> Vec<String> {
    events.try_iter().map(word).collect()
}

over_every_transport! {
    fn what_waits_is_the_newest_of_each_key_and_every_event_in_order(net: Net) {
        let (latest, events) = callback::latest(key::prefix(b':'));
        let (announce, given) = announce();
        let started = net.start_server(|builder| builder.callback((latest, announce)));
        let (client, _client_events) = started.start_client();
        client.send(b"event 0").unwrap();
        for round in 0..1000 {
            client.send(format!("a:{round}").as_bytes()).unwrap();
            client.send(format!("b:{round}").as_bytes()).unwrap();
            if round % 500 == 499 {
                client.send(format!("event {round}").as_bytes()).unwrap();
            }
        }
        client.send(b"c:0").unwrap();
        wait_for(2004, &given);
        assert_eq!(events.len(), 8);
        let first: Vec<String> = events.try_iter().take(3).map(word).collect();
        assert_eq!(first, ["initialize", "connect", "event 0"]);
        // What has been taken is not replaced any more, and what waits still is.
        assert_eq!(word(next_of(&events)), "a:999");
        client.send(b"a:1000").unwrap();
        client.send(b"b:1000").unwrap();
        wait_for(2, &given);
        assert_eq!(waiting(&events), ["b:1000", "event 499", "event 999", "c:0", "a:1000"]);
        assert_eq!((events.conflated(), events.dropped()), (2 * 999 + 1, 0));
        assert!(events.is_empty());
        client.close();
        assert_eq!(word(next_of(&events)), "disconnect");
    }

    fn states_of_several_connections_do_not_replace_one_another(net: Net) {
        let (latest, events) = callback::latest(key::all());
        let (announce, given) = announce();
        let started = net.start_server(|builder| builder.callback((latest, announce)));
        let clients: Vec<_> = (0..3).map(|_| {
            let (client, _) = started.start_client();
            (client, connected_to(&events))
        }).collect();
        for round in 0..100 {
            for (number, (client, _)) in clients.iter().enumerate() {
                client.send(format!("{number} {round}").as_bytes()).unwrap();
            }
        }
        wait_for(300, &given);
        let mut newest = HashMap::new();
        for event in events.try_iter() {
            let Event::Receive { connection, message } = event else { panic!("expected a message, got {event:?}") };
            assert!(newest.insert(connection.id(), message).is_none(), "two of one connection");
        }
        for (number, (_, connection)) in clients.iter().enumerate() {
            assert_eq!(newest[&connection.id()], format!("{number} 99").as_bytes());
        }
        assert_eq!(events.conflated(), 3 * 99);
    }

    /// While the program takes what there is, as it comes.
    fn a_key_never_goes_back_in_time_and_its_last_message_arrives(net: Net) {
        const ROUNDS: usize = 2000;
        let (latest, events) = callback::latest(key::prefix(b':'));
        let started = net.start_server(|builder| builder.callback(latest));
        let (client, _client_events) = started.start_client();
        let sending = thread::spawn({
            let client = client.clone();
            move || {
                for round in 0..ROUNDS {
                    for key in ["a:", "b:", "", "c:"] {
                        if !key.is_empty() || round % 4 == 0 {
                            client.send(format!("{key}{round}").as_bytes()).unwrap();
                        }
                    }
                }
                assert!(client.flush(PATIENCE).is_ok());
                client.close();
            }
        });
        events.set_max_events(ROUNDS);
        let mut newest: HashMap<String, usize> = HashMap::new();
        let mut plain = Vec::new();
        let mut taken = 0;
        loop {
            match next_of(&events) {
                Event::Receive { message, .. } => {
                    taken += 1;
                    let message = String::from_utf8(message).unwrap();
                    match message.split_once(':') {
                        Some((key, round)) => {
                            let round = round.parse().unwrap();
                            let before = newest.insert(key.to_owned(), round);
                            assert!(before.is_none_or(|before| before < round), "{key} goes back in time");
                        }
                        None => plain.push(message.parse::<usize>().unwrap()),
                    }
                }
                Event::Disconnect { .. } => break,
                _ => {}
            }
        }
        in_time("sending", || sending.join().unwrap());
        assert_eq!(newest, ["a", "b", "c"].map(|key| (key.to_owned(), ROUNDS - 1)).into());
        assert!(plain.into_iter().eq((0..ROUNDS).step_by(4)));
        assert_eq!(taken as u64 + events.conflated(), 3 * ROUNDS as u64 + ROUNDS.div_ceil(4) as u64);
        assert_eq!(events.dropped(), 0);
    }

    fn the_oldest_goes_when_too_many_wait_but_no_connection_does(net: Net) {
        let (newest, events) = callback::newest(3);
        let (announce, given) = announce();
        let started = net.start_server(|builder| builder.callback((newest, announce)));
        let (client, _client_events) = started.start_client();
        (0..10).for_each(|number| client.send(number.to_string().as_bytes()).unwrap());
        wait_for(10, &given);
        client.close();
        until("the end", || events.len() == 6);
        assert_eq!(waiting(&events), ["initialize", "connect", "7", "8", "9", "disconnect"]);
        assert_eq!((events.conflated(), events.dropped()), (0, 7));
    }

    fn a_key_too_many_counts_as_none(net: Net) {
        let (latest, events) = callback::latest(key::prefix(b':'));
        events.set_max_keys(2);
        events.set_max_events(0);
        let (announce, given) = announce();
        let started = net.start_server(|builder| builder.callback((latest, announce)));
        let (client, _client_events) = started.start_client();
        for message in ["a:1", "b:1", "c:1", "c:2", "a:2", "d:1", "b:2"] {
            client.send(message.as_bytes()).unwrap();
        }
        wait_for(7, &given);
        // No limit is taken for one.
        assert_eq!(waiting(&events), ["initialize", "connect", "a:2", "b:2", "d:1"]);
        assert_eq!((events.conflated(), events.dropped()), (2, 2));
    }

    fn a_key_may_be_empty_and_long(net: Net) {
        let (latest, events) = callback::latest(key::prefix(b':'));
        let (announce, given) = announce();
        let started = net.start_server(|builder| builder.callback((latest, announce)));
        let (client, _client_events) = started.start_client();
        let long = "k".repeat(64 * 1024);
        let other = format!("{}j", &long[1..]);
        for round in 0..3 {
            for key in ["", &long, &other] {
                client.send(format!("{key}:{round}").as_bytes()).unwrap();
            }
        }
        wait_for(9, &given);
        assert_eq!(waiting(&events)[2..], [":2".to_owned(), format!("{long}:2"), format!("{other}:2")]);
        assert_eq!(events.conflated(), 6);
    }

    fn a_key_function_that_panics_ends_its_connection_and_no_other(net: Net) {
        expect_panics_in_callbacks();
        let (latest, events) = callback::latest(|message| {
            assert_ne!(message, b"bad", "no such key");
            Some(Key::new("state"))
        });
        let (announce, given) = announce();
        let started = net.start_server(|builder| builder.callback((latest, announce)));
        let (bad, _bad_events) = started.start_client();
        let ended = connected_to(&events);
        let (good, _good_events) = started.start_client();
        connected_to(&events);
        bad.send(b"before").unwrap();
        wait_for(1, &given);
        bad.send(b"bad").unwrap();
        assert_eq!(word(next_of(&events)), "before");
        match next_of(&events) {
            Event::Disconnect { connection, reason } => {
                assert_eq!(connection, ended);
                assert!(
                    matches!(&reason.cause, DisconnectCause::CallbackPanicked { callback: "on_receive", message }
                        if message.contains("no such key")),
                    "{reason:?}"
                );
            }
            other => panic!("expected the end, got {other:?}"),
        }
        good.send(b"unharmed").unwrap();
        assert_eq!(word(next_of(&events)), "unharmed");
    }

    fn it_ends_behind_the_last_event(net: Net) {
        let (latest, events) = callback::latest(key::all());
        let (announce, given) = announce();
        let started = net.start_server(|builder| builder.callback((latest.clone(), announce)));
        let (client, _client_events) = started.start_client();
        client.send(b"last words").unwrap();
        wait_for(1, &given);
        client.close();
        started.server.close();
        drop(started);
        let words: Vec<String> = events.iter().take(4).map(word).collect();
        assert_eq!(words, ["initialize", "connect", "last words", "disconnect"]);
        // A clone of the callback may be given to another service.
        assert_eq!(events.try_recv().unwrap_err(), TryRecvError::Empty);
        assert_eq!(events.recv_timeout(Duration::from_millis(1)).unwrap_err(), RecvTimeoutError::Timeout);
        drop(latest);
        assert_eq!(events.recv_timeout(PATIENCE).unwrap_err(), RecvTimeoutError::Disconnected);
        assert_eq!(events.try_recv().unwrap_err(), TryRecvError::Disconnected);
        assert!(events.recv().is_err() && events.iter().next().is_none());
    }

    fn a_service_goes_on_when_nobody_receives_any_more(net: Net) {
        let (newest, events) = callback::newest(1);
        let echo = callback::on_receive(|connection, message| connection.send(message).unwrap());
        let started = net.start_server(|builder| builder.callback((newest, echo)));
        let (client, client_events) = started.start_client();
        for message in ["replaced", "thrown away", "thrown away as well"] {
            client.send(message.as_bytes()).unwrap();
            assert_eq!(received(&client_events), message.as_bytes());
            drop(events.try_recv());
        }
        drop(events);
        client.send(b"after").unwrap();
        assert_eq!(received(&client_events), b"after");
        started.server.close();
        assert!(matches!(disconnected(&client_events).cause, DisconnectCause::PeerGoodbye));
    }

    fn it_is_waited_for_beside_something_else(net: Net) {
        let (latest, states) = callback::latest(key::all());
        let started = net.start_server(|builder| builder.callback(latest));
        let (client, client_events) = started.start_client();
        let echo = connected(&client_events);
        connected_to(&states);
        client.send(b"0").unwrap();
        let mut passes = 0;
        while passes < 100 {
            let (event, back) = crossbeam_channel::select! {
                recv(states.ready()) -> ready => (ready.unwrap().event(), None),
                recv(client_events) -> event => (event.unwrap(), Some(&echo)),
                default(PATIENCE) => panic!("nothing comes"),
            };
            if let Event::Receive { connection, message } = event {
                assert_eq!(message, passes.to_string().as_bytes());
                passes += 1;
                back.unwrap_or(&connection).send(passes.to_string().as_bytes()).unwrap();
            }
        }
    }

    /// One that is not used costs the event it stands for.
    fn what_stands_for_an_event_may_be_kept_and_dropped(net: Net) {
        let (latest, events) = callback::latest(key::all());
        let (announce, given) = announce();
        let started = net.start_server(|builder| builder.callback((latest, announce)));
        let (client, _client_events) = started.start_client();
        client.send(b"1").unwrap();
        wait_for(1, &given);
        let ready: Vec<_> = events.ready().try_iter().collect();
        assert_eq!(ready.len(), 3);
        assert!(events.is_empty());
        client.send(b"2").unwrap();
        wait_for(1, &given);
        let mut ready = ready.into_iter();
        assert_eq!(word(ready.next().unwrap().event()), "initialize");
        drop(ready.next());
        // By now, it is another one.
        assert_eq!(word(ready.next().unwrap().event()), "2");
        assert!(events.is_empty());
    }
}

#[test]
fn several_threads_may_receive_and_several_services_may_feed_it() {
    const MESSAGES: usize = 1000;
    let (newest, events) = callback::newest(2 * MESSAGES);
    let servers = [Net::Tcp, Net::Memory].map(|net| net.start_server(|builder| builder.callback(newest.clone())));
    drop(newest);
    let receiving: Vec<_> = (0..4)
        .map(|_| {
            let events = events.clone();
            thread::spawn(move || events.iter().map(word).collect::<Vec<_>>())
        })
        .collect();
    drop(events);
    for server in &servers {
        let (client, _client_events) = server.start_client();
        (0..MESSAGES).for_each(|number| client.send(number.to_string().as_bytes()).unwrap());
        client.close();
    }
    until("the ends", || servers.iter().all(|started| started.server.num_connections() == 0));
    drop(servers);
    let received = receiving.into_iter().map(|thread| in_time("receiving", || thread.join().unwrap()));
    let mut received: Vec<String> = received.flatten().collect();
    received.sort();
    let mut expected: Vec<String> = (0..MESSAGES).flat_map(|number| [number.to_string(), number.to_string()]).collect();
    expected.extend(["initialize", "connect", "disconnect"].into_iter().flat_map(|word| [word.into(), word.into()]));
    expected.sort();
    assert_eq!(received, expected);
}

/// Connections of services that are told apart by nothing but themselves.
#[test]
fn a_state_of_one_service_does_not_replace_that_of_another() {
    let (latest, events) = callback::latest(key::all());
    let (announce, given) = announce();
    let callback = Arc::new((latest, announce));
    let servers = [(); 2].map(|()| Net::Memory.start_server(|builder| builder.callback(callback.clone())));
    let clients = servers.each_ref().map(Started::start_client);
    for ((client, _), message) in clients.iter().zip(["left", "right"]) {
        client.send(message.as_bytes()).unwrap();
        wait_for(1, &given);
    }
    let mut words = waiting(&events);
    words.retain(|word| word != "initialize" && word != "connect");
    assert_eq!(words, ["left", "right"]);
    assert_eq!(events.conflated(), 0);
}

#[test]
fn failures_and_attempts_are_told_and_count_as_messages() {
    let (latest, events) = callback::latest(key::all());
    events.set_max_events(4);
    let (listener, connector) = memory::listener();
    let server = Server::builder().transport(listener).build().unwrap();
    server.start(true).unwrap();
    let delays = Reconnect::new().first_delay(Duration::from_millis(1)).longest_delay(Duration::from_millis(1));
    let (attempts, tried) = mpsc::channel();
    let told = callback::closures().on_reconnect(move |_, attempt| attempts.send(attempt.number).unwrap_or_default());
    let client = Client::builder().transport(connector).reconnect(delays).callback((latest, told)).build().unwrap();
    client.start("", true).unwrap();
    server.close();
    while tried.recv_timeout(PATIENCE).expect("it does not try") < 10 {}
    client.close();
    let told = waiting(&events);
    assert_eq!(told[..3], ["initialize", "connect", "disconnect"]);
    assert_eq!(told.len(), 7);
    assert!(told[3..].iter().all(|word| word == "reconnect" || word == "fail"), "{told:?}");
    assert!(events.dropped() >= 5);
}

/// So that whoever connects again and again cannot fill the memory of a program that looks away.
#[test]
fn newcomers_wait_when_too_many_have_come_and_gone_and_nobody_else_does() {
    const LIMIT: usize = 1024;
    let (latest, events) = callback::latest(key::all());
    let (counts, connects) = mpsc::channel();
    let announce = callback::closures().on_connect(move |_, _| counts.send(()).unwrap_or_default());
    let (listener, connector) = memory::listener();
    let closing = Closing::new().flush_timeout(Duration::from_millis(50)).close_timeout(Duration::from_millis(100));
    let server = Server::builder().transport(listener).closing(closing).callback((latest, announce)).build().unwrap();
    server.start(true).unwrap();
    assert_eq!(word(next_of(&events)), "initialize");
    let stays = Raw::of(Box::new(connector.open().unwrap()));
    connects.recv_timeout(PATIENCE).unwrap();
    while events.len() < LIMIT {
        let len = events.len();
        drop(connector.open().unwrap());
        connects.recv_timeout(PATIENCE).unwrap();
        until("the end", || events.len() == len + 2);
    }
    let newcomers = [(); 3].map(|()| connector.open().unwrap());
    until("they are let in", || server.num_connections() == 4);
    // Who is there already is read, and ends.
    stays.write(b"m;");
    drop(stays);
    until("its end", || server.num_connections() == 3 && events.len() == LIMIT + 3);
    for _ in 0..2 {
        next_of(&events);
        assert!(connects.try_recv().is_err(), "there is no room for one more");
    }
    next_of(&events);
    connects.recv_timeout(PATIENCE).expect("there is room for one");
    assert!(connects.try_recv().is_err());
    // They hold up the end no longer than everybody may.
    let closing = server.clone();
    in_time("close", move || closing.close());
    drop(events);
    for _ in 0..2 {
        connects.recv_timeout(PATIENCE).expect("nobody receives any more");
    }
    assert!(server.wait_timeout(PATIENCE), "it does not end");
    // Its readers were in a callback when its time was over, and come to the end of theirs now.
    until("the ends", || server.stats().ended.total() == server.stats().opened);
    drop(newcomers);
}

#[test]
fn the_reason_of_an_end_is_told() {
    let (latest, events) = callback::latest(key::all());
    let started = Net::Memory.start_server(|builder| builder.callback(latest));
    let raw = started.raw();
    raw.write(b"unfinished");
    drop(raw);
    loop {
        if let Event::Disconnect { reason, .. } = next_of(&events) {
            assert_eq!(reason.kind(), DisconnectKind::PeerClosed);
            break;
        }
    }
    let failing = callback::closures().on_disconnect(|_, _, _| panic!("provoked"));
    expect_panics_in_callbacks();
    started.server.set_callback(failing);
    drop(started.raw());
    loop {
        if let Event::Fail { error, .. } = next_of(&events) {
            assert!(matches!(error, Error::CallbackPanicked { callback: "on_disconnect", .. }), "{error:?}");
            break;
        }
    }
}

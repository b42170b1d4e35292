//! What a client and a server say to each other about being let in: each of them against the other, against peers that
//! speak bytes, and against servers that cannot be asked.

use std::io;
use std::net::{Shutdown, TcpListener};
use std::thread;

use leads_comm::transport::{Stream, memory};
use leads_comm::{Caller, Client, DenialCause, DisconnectCause, DisconnectKind, Reconnect, RefusalKind, Timeouts};

use super::*;

/// What a client with this token says first.
const QUESTION: &[u8] = b"disconnect;secret;";

fn start(net: Net) -> Started {
    net.start_server(|builder| builder.token("secret").timeouts(Timeouts::new().handshake_timeout(NEVER)))
}

fn is_refused(started: Result<(), Error>) {
    match started {
        Err(error @ Error::NotLetIn { .. }) => assert!(error.to_string().ends_with(" does not let the client in")),
        other => panic!("{other:?}"),
    }
}

over_every_transport! {
    fn a_client_with_a_wrong_token_is_told_and_sends_nothing(net: Net) {
        let started = start(net);
        let (callback, events) = recorder();
        let client = started.client().token("wrong").callback(callback).build().unwrap();
        let (starting, address) = (client.clone(), started.address().to_owned());
        let outcome = in_time("the start", move || starting.start(&address, true));
        if net.writes_without_blocking() {
            is_refused(outcome);
            assert_eq!(events.try_iter().count(), 0);
        } else {
            // Neither is the refusal said, nor can one wait for it.
            outcome.unwrap();
            assert_eq!(disconnected(&events).kind(), DisconnectKind::PeerClosed);
        }
        assert_unheard_but_failures(&started.events);
        // The start may be tried again.
        client.close();
    }

    fn a_client_that_does_not_ask_is_not_answered(net: Net) {
        let started = start(net);
        started.server.set_callback(leads_comm::callback::on_receive(|connection, message| {
            connection.send(message).unwrap();
        }));
        let raw = started.raw();
        raw.write(b"secret;m1;");
        assert_eq!(raw.read_exact(3), b"m1;");
        raw.write(b"disconnect;");
        assert_eq!(raw.read_exact(11), b"disconnect;");
    }
}

fn assert_unheard_but_failures(events: &Receiver<Event>) {
    let heard = |event: &Event| !matches!(event, Event::Initialize { .. } | Event::Fail { .. });
    assert_eq!(events.try_iter().filter(heard).count(), 0);
}

#[test]
fn a_question_may_come_in_any_pieces() {
    for separator in ["; ", "end;", "\n"] {
        let question = ["disconnect", separator, "secret", separator].concat();
        for at in 0..question.len() {
            let started = Net::Memory.start_server(|builder| builder.separator(separator).token("secret"));
            let raw = started.raw();
            let (first, second) = question.as_bytes().split_at(at);
            raw.write(first);
            assert_eq!(started.server.broadcast(b"secret").unwrap(), 0);
            raw.write(second);
            assert_eq!(raw.read_exact(separator.len()), separator.as_bytes(), "cut at {at}");
            connected(&started.events);
            raw.write(["m1", separator].concat().as_bytes());
            assert_eq!(received(&started.events), b"m1");
        }
    }
}

/// It is the first thing that such a caller hears, also beside a server that sends all the time.
#[test]
fn the_answer_comes_before_everything_else() {
    let started = start(Net::Tcp);
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let server = started.server.clone();
    let sending = thread::spawn(move || {
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            let _ = server.broadcast(b"state");
        }
    });
    for _ in 0..100 {
        let raw = started.raw();
        raw.write(QUESTION);
        assert_eq!(raw.read_exact(13), b";state;state;");
        raw.reset();
    }
    stop.send(()).unwrap();
    sending.join().unwrap();
}

#[test]
fn whoever_asks_with_something_else_is_refused_and_that_is_held_against_it() {
    let started = start(Net::Tcp);
    for (said, is_expected) in [
        (&b"disconnect;wrong;"[..], (|cause| matches!(cause, DenialCause::WrongToken)) as fn(&DenialCause) -> bool),
        (b"disconnect;;secret;", |cause| matches!(cause, DenialCause::WrongToken)),
        (b"disconnect;disconnect;secret;", |cause| matches!(cause, DenialCause::Goodbye)),
        (b"disconnect;", |cause| matches!(cause, DenialCause::Goodbye)),
        (b"disconnect;sec", |cause| matches!(cause, DenialCause::Closed { unfinished_bytes: 3 })),
    ] {
        let raw = started.raw();
        raw.write(said);
        if said != b"disconnect;" {
            raw.half_close();
        }
        assert_reads(raw, REFUSAL);
        match refused(&started.events) {
            RefusalCause::NotAuthenticated { cause } => assert!(is_expected(&cause), "{cause:?}"),
            other => panic!("{other:?}"),
        }
    }
    assert_unheard(&started.events);
}

#[test]
fn an_authenticator_is_asked_about_what_is_behind_the_goodbye() {
    let started = Net::Tcp.start_server(|builder| {
        builder.authenticate(|_: &Caller<'_>, message: &[u8]| match message {
            b"me:secret" => Ok(()),
            _ => Err("unknown".into()),
        })
    });
    for (token, is_let_in) in [("me:secret", true), ("you:secret", false)] {
        let client = started.client().token(token).build().unwrap();
        let outcome = client.start(started.address(), true);
        if is_let_in {
            outcome.unwrap();
        } else {
            is_refused(outcome);
        }
        client.close();
    }
}

#[test]
fn every_reason_to_refuse_is_told_to_a_client_with_a_token() {
    let full = Net::Tcp.start_server(|builder| builder.token("secret").max_connections(1));
    let inside = full.client().token("secret").build().unwrap();
    inside.start(full.address(), true).unwrap();
    let unwanted = Net::Tcp.start_server(|builder| builder.token("secret").admit(|_: &Caller<'_>| false));
    let failures = Net::Tcp.start_server(|builder| builder.token("secret"));
    for _ in 0..5 {
        let raw = failures.raw();
        raw.write(b"wrong;");
        assert_reads(raw, REFUSAL);
    }
    for (started, kind) in [
        (&full, RefusalKind::MaxConnections),
        (&unwanted, RefusalKind::NotAdmitted),
        (&failures, RefusalKind::TooManyFailures),
    ] {
        for times in 1..=20 {
            let client = started.client().token("secret").build().unwrap();
            is_refused(client.start(started.address(), true));
            // At the first try: it is not taken for a server that cannot be asked.
            assert_eq!(started.server.stats().callers_refused.get(kind), times);
        }
    }
    inside.close();
}

/// A client without a token cannot ask, and is told all the same; whatever the client does meanwhile, and whether it
/// has sent something that was not wanted, or was not heard at all.
#[test]
fn a_client_without_a_token_learns_that_it_is_not_let_in() {
    let full = Net::Tcp.start_server(|builder| builder.max_connections(1));
    let _inside = full.raw();
    connected(&full.events);
    let asking = start(Net::Tcp);
    for (started, count) in [(&full, 100), (&asking, 4)] {
        for round in 0..count {
            let (client, events) = started.start_client();
            // Unless it has been refused by then.
            let accepted = u64::from(client.send(b"m1").is_ok());
            match round % 3 {
                0 => {}
                1 => client.connection().into_iter().for_each(|connection| connection.close()),
                _ => client.close(),
            }
            let reason = disconnected(&events);
            assert!(matches!(reason.cause, DisconnectCause::NotLetIn), "round {round}: {reason:?}");
            assert_eq!(reason.undelivered.unsent.messages, accepted, "it was thrown away");
            assert!(client.wait_timeout(PATIENCE));
            assert_eq!(client.stats().ended.get(DisconnectKind::NotLetIn), 1);
        }
    }
}

/// A peer that speaks bytes, in the place of a server.
fn serve_raw(serve: impl FnOnce(&TcpListener) + Send + 'static) -> (u16, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (port, thread::spawn(move || serve(&listener)))
}

fn accept(listener: &TcpListener) -> Raw {
    Raw::over_tcp(listener.accept().unwrap().0)
}

fn finish(server: thread::JoinHandle<()>) {
    in_time("the raw server", move || server.join()).unwrap();
}

#[test]
fn a_refusal_is_heard_in_whatever_pieces_it_comes_and_nothing_else_is_one() {
    let kinds = |refusal: &'static [u8], separator: &'static str, at: usize, token: bool| {
        let (port, server) = serve_raw(move |listener| {
            let raw = accept(listener);
            raw.write(&refusal[..at]);
            // Both halves are seen by themselves, in most cases.
            thread::yield_now();
            let _ = raw.try_write(&refusal[at..]);
            raw.half_close();
            let _ = raw.read_to_end();
        });
        let (callback, events) = recorder();
        let builder = Client::builder().port(port).separator(separator).callback(callback);
        if token {
            is_refused(builder.token("secret").build().unwrap().start("127.0.0.1", true));
            finish(server);
            return None;
        }
        let client = builder.build().unwrap();
        client.start("127.0.0.1", true).unwrap();
        let kind = disconnected(&events).kind();
        finish(server);
        Some(kind)
    };
    for (refusal, separator) in [(REFUSAL, ";"), (b"disconnectend;end;", "end;"), (b"disconnectaaaa", "aa")] {
        for at in 0..=refusal.len() {
            assert_eq!(kinds(refusal, separator, at, false), Some(DisconnectKind::NotLetIn), "cut at {at}");
            assert_eq!(kinds(refusal, separator, at, true), None);
        }
    }
    let others: [&[u8]; 6] = [
        b"disconnect;",
        b"m1;disconnect;;",
        b";disconnect;;",
        b"disconnect;x;;",
        b"disconnect;disconnect;;",
        b"disconnect;x",
    ];
    for other in others {
        for at in [0, 5, other.len()] {
            assert_eq!(kinds(other, ";", at, false), Some(DisconnectKind::PeerGoodbye), "{}", other.escape_ascii());
        }
    }
}

/// As one of this library was before there was a question, and as LEADS is: it takes the question for a goodbye.
#[test]
fn a_server_that_cannot_be_asked_is_told_the_token_as_before() {
    // How it ends the stream of somebody that says goodbye, and what it says then to the token.
    let goodbyes: [fn(Raw); 4] = [
        |raw| {
            raw.write(b"disconnect;");
            raw.half_close();
            let _ = raw.read_to_end();
        },
        // It had something to say to everybody.
        |raw| {
            raw.write(b"state;disconnect;");
            raw.half_close();
            let _ = raw.read_to_end();
        },
        drop,
        Raw::reset,
    ];
    for goodbye in goodbyes {
        for greets in [true, false] {
            let (port, server) = serve_raw(move |listener| {
                let raw = accept(listener);
                assert_eq!(raw.read_exact(QUESTION.len()), QUESTION);
                goodbye(raw);
                let raw = accept(listener);
                assert_eq!(raw.read_exact(7), b"secret;");
                if greets {
                    raw.write(b"hello;");
                }
                assert_eq!(raw.read_exact(3), b"m1;");
                raw.write(b"m2;");
                let (rest, _) = raw.read_to_end();
                assert_eq!(rest, b"");
            });
            let (callback, events) = recorder();
            let client = Client::builder().port(port).token("secret").callback(callback).build().unwrap();
            client.start("127.0.0.1", true).unwrap();
            client.send(b"m1").unwrap();
            if greets {
                assert_eq!(received(&events), b"hello");
            }
            assert_eq!(received(&events), b"m2");
            client.close();
            drop(server);
        }
    }
}

#[test]
fn a_server_that_cannot_be_asked_refuses_as_before() {
    let refusals: [fn(Raw); 2] = [
        |raw| {
            raw.write(b"disconnect;");
            raw.half_close();
            let _ = raw.read_to_end();
        },
        |raw| raw.half_close(),
    ];
    for refuse in refusals {
        let (port, server) = serve_raw(move |listener| {
            for said in [QUESTION, b"secret;"] {
                let raw = accept(listener);
                assert_eq!(raw.read_exact(said.len()), said);
                refuse(raw);
            }
        });
        let client = Client::builder().port(port).token("secret").build().unwrap();
        is_refused(client.start("127.0.0.1", true));
        finish(server);
    }
}

/// One that has no token takes what it is told for a message.
#[test]
fn a_server_without_a_token_lets_in_whoever_has_one() {
    let started = Net::Tcp.start_server(|builder| builder);
    let client = started.client().token("secret").build().unwrap();
    client.start(started.address(), true).unwrap();
    client.send(b"m1").unwrap();
    assert_eq!(received(&started.events), b"secret");
    assert_eq!(received(&started.events), b"m1");
    client.close();
}

/// The system accepts for a server that is frozen, and it says nothing. That is no connection, and every attempt
/// counts.
#[test]
fn a_frozen_server_is_no_connection() {
    let frozen = TcpListener::bind("127.0.0.1:0").unwrap();
    let (callback, events) = recorder();
    let quick = Reconnect::new().first_delay(Duration::from_millis(1)).longest_delay(Duration::from_millis(2));
    let client = Client::builder()
        .port(frozen.local_addr().unwrap().port())
        .token("secret")
        .timeouts(Timeouts::new().handshake_timeout(Duration::from_millis(50)))
        .reconnect(quick.at_start(true).max_attempts(3).keep_bytes(10_000))
        .callback(callback)
        .build()
        .unwrap();
    client.start("127.0.0.1", true).unwrap();
    let _ = client.send(b"kept");
    let mut failures = Vec::new();
    for event in events.iter() {
        match event {
            Event::Fail { error: Error::Connect { source, .. }, .. } => {
                assert_eq!(source.kind(), io::ErrorKind::TimedOut);
                assert_eq!(source.to_string(), "the server did not answer within 50ms");
                failures.push("not connected");
            }
            Event::Fail { error: Error::GaveUp { attempts: 3, .. }, .. } => failures.push("gave up"),
            Event::Fail { error: Error::Unsent { messages: 1, .. }, .. } => failures.push("unsent"),
            Event::Initialize { .. } | Event::Reconnect { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    let [before @ .., "gave up", "unsent"] = &failures[..] else { panic!("{failures:?}") };
    assert_eq!(before, ["not connected"; 4]);
}

/// Lines for a server that refuses them all, until there is one that wants them: a wrong token, and no room.
#[test]
fn what_is_kept_stays_kept_until_the_client_is_let_in() {
    const LINES: usize = 4009;
    let quick = Reconnect::new().first_delay(Duration::from_millis(1)).longest_delay(Duration::from_millis(20));
    let lines: Vec<_> = (0..LINES).map(|number| numbered(number, 20)).collect();
    for is_full in [true, false] {
        // No failure is held against a caller over a transport without addresses.
        let (listener, connector) = memory::listener();
        let token = if is_full { "secret" } else { "another one" };
        let room = if is_full { 1 } else { 2 };
        let builder = leads_comm::Server::builder().transport(listener).token(token).max_connections(room);
        let (callback, server_events) = recorder();
        let server = builder.callback(callback).build().unwrap();
        server.start(true).unwrap();
        let occupant = Client::builder().transport(connector.clone()).token(token).build().unwrap();
        occupant.start("", true).unwrap();
        connected(&server_events);

        let (callback, events) = recorder();
        let client = Client::builder()
            .transport(connector)
            .token("secret")
            .reconnect(quick.clone().at_start(true).keep_bytes(1 << 20))
            .callback(callback)
            .build()
            .unwrap();
        client.start("", true).unwrap();
        lines.iter().for_each(|line| client.send(line).unwrap());
        for _ in 0..10 {
            match find(&events, |event| match event {
                Event::Fail { error, .. } => Some(error),
                Event::Connect { .. } | Event::Disconnect { .. } => panic!("{event:?}"),
                _ => None,
            }) {
                Error::NotLetIn { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(matches!(client.flush(Duration::from_millis(1)), Err(Error::NotFlushed { .. })));
        if is_full {
            occupant.close();
            connected(&events);
            assert!(lines.iter().all(|line| received(&server_events) == *line));
            client.close();
        } else {
            client.close();
            let unsent = find(&events, |event| match event {
                Event::Fail { error: Error::Unsent { messages, .. }, .. } => Some(messages),
                _ => None,
            });
            assert_eq!(unsent, LINES as u64);
            assert_eq!(client.stats().opened, 0);
            occupant.close();
        }
        server.close();
    }
}

/// Without a token there is nothing to be asked, whatever comes first.
#[test]
fn a_client_without_a_token_says_nothing_by_itself() {
    let (here, there) = memory::pair();
    let raw = Raw::of(Box::new(there));
    let here = std::sync::Mutex::new(Some(here));
    let connector = move |_: &str| {
        let stream = here.lock().unwrap().take().ok_or(io::ErrorKind::ConnectionRefused)?;
        Ok(Box::new(stream) as Box<dyn Stream>)
    };
    let client = Client::builder().transport(connector).build().unwrap();
    client.start("", true).unwrap();
    client.send(b"m1").unwrap();
    assert_eq!(raw.read_exact(3), b"m1;");
    raw.stream.shutdown(Shutdown::Write).unwrap();
    assert_reads(raw, b"disconnect;");
}

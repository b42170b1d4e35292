//! A server whose streams shake hands.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use leads_comm::{RefusalKind, ServerBuilder, Timeouts};

use super::shaking::HELLO;
use super::*;

fn start(net: Net, adapt: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Started {
    start_scripted(net, || (), adapt)
}

fn start_scripted(
    net: Net,
    script: impl Fn() + Send + Sync + 'static,
    adapt: impl FnOnce(ServerBuilder) -> ServerBuilder,
) -> Started {
    shaking::start(net, script, |builder| adapt(builder.timeouts(Timeouts::new().handshake_timeout(NEVER))))
}

/// A peer that has come as far as the server's hello, and keeps it waiting for its own.
fn silent(started: &Started) -> Raw {
    let raw = started.raw();
    assert_eq!(raw.read_exact(HELLO.len()), HELLO);
    raw
}

fn both(run: impl Fn(Net)) {
    [Net::Tcp, Net::Memory].into_iter().for_each(run);
}

#[test]
fn nobody_is_a_connection_before_its_handshake_is_over() {
    both(|net| {
        let started = start(net, |builder| builder);
        let raw = silent(&started);
        assert_eq!((started.server.num_connections(), started.server.connections().len()), (0, 0));
        assert_eq!(started.server.broadcast(b"to nobody").unwrap(), 0);
        assert_eq!(started.server.stats().opened, 0);
        assert_unheard(&started.events);
        // A message right behind the handshake is a message.
        raw.write(b"hi\nfirst;");
        let connection = connected(&started.events);
        assert_eq!(received(&started.events), b"first");
        assert_eq!(connection.peer_certificates(), [&b"leaf"[..], b"issuer"]);
        assert_eq!(started.server.broadcast(b"to one").unwrap(), 1);
        assert_eq!(raw.read_exact(7), b"to one;");
        let traffic = connection.stats().traffic;
        assert_eq!((traffic.received.messages, traffic.received.bytes), (1, 6));
        assert_eq!(started.server.stats().opened, 1);
    });
}

#[test]
fn a_client_that_shakes_hands_is_served() {
    both(|net| {
        let started = start(net, |builder| builder);
        let (callback, events) = recorder();
        let client = started.client().callback(callback).build().unwrap();
        client.start("127.0.0.1", true).unwrap();
        client.send(b"there").unwrap();
        assert_eq!(received(&started.events), b"there");
        started.server.broadcast(b"and back").unwrap();
        assert_eq!(received(&events), b"and back");
        client.close();
        assert_eq!(disconnected(&started.events).kind(), leads_comm::DisconnectKind::PeerGoodbye);
    });
}

#[test]
fn a_handshake_that_fails_refuses_the_caller_and_says_nothing_more() {
    both(|net| {
        let started = start(net, |builder| builder);
        let raw = started.raw();
        raw.write(b"oh\n");
        // No goodbye: where no handshake was, it would mean nothing.
        assert_reads(raw, HELLO);
        let cause = refused(&started.events);
        assert!(
            matches!(&cause, RefusalCause::HandshakeFailed { source } if source.to_string() == "no hello"),
            "{cause:?}"
        );
        assert_eq!(chain(&cause), "the handshake failed: no hello");
        let refused = started.server.stats().callers_refused;
        assert_eq!((refused.get(RefusalKind::HandshakeFailed), refused.total()), (1, 1));
        assert_unheard(&started.events);
    });
}

#[test]
fn a_handshake_that_panics_refuses_the_caller_and_nobody_else() {
    expect_panics_in_callbacks();
    let panics = Arc::new(AtomicBool::new(true));
    let script = {
        let panics = Arc::clone(&panics);
        move || assert!(!panics.swap(false, Ordering::SeqCst), "as the test wants it")
    };
    let started = start_scripted(Net::Memory, script, |builder| builder);
    let raw = started.raw();
    assert!(matches!(refused(&started.events), RefusalCause::HandshakeFailed { .. }));
    assert_reads(raw, b"");
    let next = silent(&started);
    next.write(HELLO);
    connected(&started.events);
}

#[test]
fn a_handshake_has_a_deadline_however_the_bytes_drip() {
    const TIMEOUT: Duration = Duration::from_millis(300);
    both(|net| {
        let started = start(net, |builder| builder.timeouts(Timeouts::new().handshake_timeout(TIMEOUT)));
        let begun = Instant::now();
        let (silent, dripping) = (started.raw(), started.raw());
        let _ = dripping.try_write(b"h");
        for raw in [silent, dripping] {
            // In memory, an end of this kind takes back what has not been read.
            let (bytes, _) = raw.read_to_end();
            assert!(HELLO.starts_with(&bytes), "{}", bytes.escape_ascii());
        }
        assert!(begun.elapsed() >= TIMEOUT, "ended too early, after {:?}", begun.elapsed());
        let cause = refused(&started.events);
        assert!(matches!(cause, RefusalCause::HandshakeTimeout { timeout: TIMEOUT }), "{cause:?}");
        assert_eq!(cause.to_string(), "the handshake or the first message took longer than 300ms");
        until("both are counted", || started.server.stats().callers_refused.get(RefusalKind::HandshakeTimeout) == 2);
        started.server.close();
        let told: u64 = started.events.try_iter().map(callers).sum();
        assert!(told <= 1, "{told} told of besides the first");
    });
}

/// How many callers an event tells of that have been refused.
fn callers(event: Event) -> u64 {
    match event {
        Event::Fail { error: Error::Refused { callers, .. }, .. } => callers,
        Event::Initialize { .. } => 0,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_handshake_that_takes_its_time_holds_nobody_up() {
    let (go_on, waiting) = mpsc::channel::<()>();
    let waiting = std::sync::Mutex::new(Some(waiting));
    let script = move || {
        let waiting = waiting.lock().unwrap().take();
        if let Some(waiting) = waiting {
            let _ = waiting.recv();
        }
    };
    let started = start_scripted(Net::Memory, script, |builder| builder);
    let slow = started.raw();
    slow.write(b"hi\nslow;");
    // Unless the accepting thread itself waited for the first, the second is served.
    let quick = started.raw();
    quick.write(b"hi\nquick;");
    let first = received(&started.events);
    drop(go_on);
    let second = received(&started.events);
    // The system decides whose thread comes to the script first.
    assert!([&first, &second].contains(&&b"quick".to_vec()) && first != second, "{first:?} {second:?}");
}

#[test]
fn no_more_than_the_limit_are_on_their_way_at_once() {
    let started = start(Net::Tcp, |builder| builder.max_handshakes(2));
    let mut inside = vec![silent(&started), silent(&started)];
    let (bytes, end) = started.raw().read_to_end();
    assert_eq!(bytes, REFUSAL);
    end.expect("a regular end");
    let cause = refused(&started.events);
    assert!(matches!(cause, RefusalCause::MaxHandshakes { limit: 2 }), "{cause:?}");
    assert_eq!(cause.to_string(), "the limit on callers on their way in is 2");
    assert_eq!(started.server.stats().callers_refused.get(RefusalKind::MaxHandshakes), 1);
    // Who is through makes room.
    let through = inside.pop().unwrap();
    through.write(HELLO);
    connected(&started.events);
    inside.push(silent(&started));
    // So does who fails.
    inside.pop().unwrap().write(b"oh\n");
    until("the one that failed is gone", || {
        started.server.stats().callers_refused.get(RefusalKind::HandshakeFailed) == 1
    });
    until("there is room", || {
        let raw = started.raw();
        let greeted = raw.read_exact(HELLO.len()) == HELLO;
        inside.push(raw);
        greeted
    });
}

#[test]
fn who_is_on_the_way_counts_for_the_limit_on_connections() {
    let (asked, asking) = mpsc::channel();
    let started = start(Net::Tcp, move |builder| {
        builder.max_connections(3).max_connections_per_address(2).admit(move |caller| {
            asked.send((caller.num_connections(), caller.num_connections_from_address())).unwrap();
            assert!(caller.peer_certificates().is_empty());
            true
        })
    });
    let inside = [silent(&started), silent(&started)];
    assert_reads(started.raw(), REFUSAL);
    assert!(matches!(refused(&started.events), RefusalCause::MaxConnectionsPerAddress { limit: 2 }));
    assert_eq!(asking.try_iter().collect::<Vec<_>>(), [(0, 0), (1, 1)]);
    // As connections they count once.
    inside.iter().for_each(|raw| raw.write(HELLO));
    inside.iter().for_each(|_| drop(connected(&started.events)));
    assert_reads(started.raw(), REFUSAL);
    assert_eq!(started.server.stats().callers_refused.get(RefusalKind::MaxConnectionsPerAddress), 2);
    // And no more when they have left.
    drop(inside);
    disconnected(&started.events);
    disconnected(&started.events);
    let inside = [silent(&started), silent(&started)];
    assert_eq!(asking.try_iter().collect::<Vec<_>>(), [(0, 0), (1, 1)]);
    // Nor when they have failed.
    inside.iter().for_each(|raw| raw.write(b"oh\n"));
    until("both have failed", || started.server.stats().callers_refused.get(RefusalKind::HandshakeFailed) == 2);
    let _inside = [silent(&started), silent(&started)];
    assert_eq!(asking.try_iter().collect::<Vec<_>>(), [(0, 0), (1, 1)]);
}

#[test]
fn never_are_there_more_connections_than_may_be() {
    let started = start(Net::Memory, |builder| builder.max_connections(2));
    let inside = [silent(&started), silent(&started)];
    assert_reads(started.raw(), REFUSAL);
    assert!(matches!(refused(&started.events), RefusalCause::MaxConnections { limit: 2 }));
    inside.iter().for_each(|raw| raw.write(HELLO));
    inside.iter().for_each(|_| drop(connected(&started.events)));
    assert_reads(started.raw(), REFUSAL);
    assert_eq!(started.server.num_connections(), 2);
}

#[test]
fn closing_ends_those_who_are_on_their_way_at_once() {
    both(|net| {
        let started = start(net, |builder| builder);
        let inside: Vec<_> = (0..10).map(|_| silent(&started)).collect();
        let server = started.server.clone();
        in_time("closing", move || {
            let begun = Instant::now();
            server.close();
            // They have no share in the time that closing may take.
            assert!(begun.elapsed() < Duration::from_millis(2500), "{:?}", begun.elapsed());
        });
        for raw in inside {
            assert_reads(raw, b"");
        }
        assert_unheard(&started.events);
        assert_eq!(started.server.stats().callers_refused.total(), 0);
    });
}

#[test]
fn good_callers_are_served_beside_silent_ones() {
    let started = start(Net::Tcp, |builder| builder);
    let _silent: Vec<_> = (0..63).map(|_| silent(&started)).collect();
    // One place is left, for one after the other.
    for number in 0..20 {
        let good = silent(&started);
        good.write(format!("hi\n{number};").as_bytes());
        assert_eq!(received(&started.events), number.to_string().as_bytes());
    }
    assert_eq!(started.server.stats().callers_refused.total(), 0);
}

#[test]
fn places_that_silent_callers_hold_are_free_when_their_time_is_over() {
    const TIMEOUT: Duration = Duration::from_millis(500);
    let started =
        start(Net::Tcp, |builder| builder.timeouts(Timeouts::new().handshake_timeout(TIMEOUT)).max_handshakes(8));
    let silents: Vec<_> = (0..8).map(|_| started.raw()).collect();
    let mut good = Vec::new();
    until("a good caller is served", || {
        let raw = started.raw();
        if raw.read_exact(HELLO.len()) != HELLO {
            return false;
        }
        let _ = raw.try_write(b"hi\ngood;");
        good.push(raw);
        started.events.try_iter().any(|event| matches!(event, Event::Receive { .. }))
    });
    for raw in silents {
        let (bytes, _) = raw.read_to_end();
        assert_eq!(bytes, HELLO);
    }
    until("all of them are counted", || started.server.stats().callers_refused.get(RefusalKind::HandshakeTimeout) >= 8);
}

//! A server with a token, and who passes.

use std::sync::mpsc;

use leads_comm::transport::memory;
use leads_comm::{Client, DenialCause, DisconnectCause, Reconnect, RefusalKind, Server, ServerBuilder, Timeouts};

use super::*;

const TOKEN: &[u8] = b"correct horse\0\xff battery";

fn start(net: Net, adapt: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Started {
    net.start_server(|builder| adapt(builder.token(TOKEN).timeouts(Timeouts::new().handshake_timeout(NEVER))))
}

fn framed(message: &[u8]) -> Vec<u8> {
    [message, b";"].concat()
}

/// Why the next caller was not authenticated.
fn denied(events: &Receiver<Event>) -> DenialCause {
    match refused(events) {
        RefusalCause::NotAuthenticated { cause } => cause,
        other => panic!("{other:?}"),
    }
}

over_every_transport! {
    fn whoever_has_the_token_is_let_in(net: Net) {
        let started = start(net, |builder| builder);
        let (callback, events) = recorder();
        let client = started.client().token(TOKEN).callback(callback).build().unwrap();
        client.start(started.address(), true).unwrap();
        client.send(b"m1").unwrap();
        let connection = connected(&started.events);
        assert_eq!(received(&started.events), b"m1", "the token itself is not delivered");
        started.server.broadcast(b"state").unwrap();
        assert_eq!(received(&events), b"state");
        client.close();
        assert!(matches!(disconnected(&started.events).cause, DisconnectCause::PeerGoodbye));
        // Nor is it counted.
        let (there, here) = (connection.stats().traffic, client.stats().traffic);
        assert_eq!((there.received.messages, there.received.bytes), (1, 3));
        assert_eq!((here.written.messages, here.written.bytes), (1, 3));
        assert_eq!(started.server.stats().callers_refused.total(), 0);
    }

    fn before_it_a_caller_is_nobody(net: Net) {
        let started = start(net, |builder| builder);
        let raw = started.raw();
        raw.write(&TOKEN[..7]);
        assert_eq!(started.server.broadcast(b"secret").unwrap(), 0);
        assert_eq!((started.server.num_connections(), started.server.connections().len()), (0, 0));
        assert_eq!((started.server.stats().opened, started.server.stats().traffic.received.messages), (0, 0));
        assert_unheard(&started.events);
        // In one write with the rest: a whole message, and half of another.
        raw.write(&[&TOKEN[7..], b";whole;ha"].concat());
        connected(&started.events);
        assert_eq!(received(&started.events), b"whole");
        raw.write(b"lf;");
        assert_eq!(received(&started.events), b"half");
        raw.write(b"disconnect;");
        assert!(matches!(disconnected(&started.events).cause, DisconnectCause::PeerGoodbye));
        assert_eq!(raw.read_exact(11), b"disconnect;");
    }

    fn whoever_says_something_else_is_refused(net: Net) {
        let started = start(net, |builder| builder);
        let raw = started.raw();
        raw.write(b"correct horse;and;more;");
        // Only a goodbye that can be written without blocking is said.
        assert_reads(raw, if net.writes_without_blocking() { REFUSAL } else { b"" });
        if net == Net::Blocking {
            // Its listener cannot wait for a limited time, and so tells when the next one comes, or at the end.
            started.server.close();
        }
        let cause = denied(&started.events);
        assert!(matches!(cause, DenialCause::WrongToken), "{cause:?}");
        let refused = started.server.stats().callers_refused;
        assert_eq!((refused.get(RefusalKind::NotAuthenticated), refused.total()), (1, 1));
        assert_unheard(&started.events);
    }
}

#[test]
fn a_token_may_come_byte_by_byte() {
    let started = start(Net::Tcp, |builder| builder.separator("end;"));
    let raw = started.raw();
    for byte in [TOKEN, b"end;", b"message", b"end;"].concat() {
        raw.write(&[byte]);
    }
    connected(&started.events);
    assert_eq!(received(&started.events), b"message");
}

/// As much as one read takes, so that a longer message is begun in what was read with the token.
#[test]
fn what_follows_the_token_is_delivered_in_order() {
    let started = start(Net::Tcp, |builder| builder);
    let messages: Vec<Vec<u8>> = (0..200).map(|number| numbered(number, 10 + 37 * number)).collect();
    let raw = started.raw();
    let flood = messages.iter().flat_map(|message| framed(message));
    raw.write(&framed(TOKEN).into_iter().chain(flood).collect::<Vec<u8>>());
    for message in &messages {
        assert!(received(&started.events) == *message);
    }
}

#[test]
fn each_way_of_not_saying_it_has_its_reason() {
    type Wrong = fn(&DenialCause) -> bool;
    let almost = [&TOKEN[..TOKEN.len() - 1], b"Y"].concat();
    let other: &[(Vec<u8>, Wrong, &str)] = &[
        (b"wrong;".into(), |cause| matches!(cause, DenialCause::WrongToken), "its first message is not the token"),
        (b";".into(), |cause| matches!(cause, DenialCause::WrongToken), "its first message is not the token"),
        (framed(&almost), |cause| matches!(cause, DenialCause::WrongToken), "its first message is not the token"),
        (
            framed(&[TOKEN, b"!"].concat()),
            |cause| matches!(cause, DenialCause::WrongToken),
            "its first message is not the token",
        ),
        (b"disconnect;".into(), |cause| matches!(cause, DenialCause::Goodbye), "it said goodbye first"),
        (
            b"x".repeat(4097),
            |cause| matches!(cause, DenialCause::MessageTooLong { limit: 4096 }),
            "its first message is longer than 4096 bytes",
        ),
        (
            TOKEN[..9].into(),
            |cause| matches!(cause, DenialCause::Closed { unfinished_bytes: 9 }),
            "its stream ended 9 bytes into its first message",
        ),
        (
            Vec::new(),
            |cause| matches!(cause, DenialCause::Closed { unfinished_bytes: 0 }),
            "its stream ended 0 bytes into its first message",
        ),
    ];
    for (bytes, is_expected, text) in other {
        let started = start(Net::Tcp, |builder| builder);
        let raw = started.raw();
        raw.write(bytes);
        raw.half_close();
        assert_reads(raw, REFUSAL);
        let reason = denied(&started.events);
        assert!(is_expected(&reason), "{reason:?}");
        assert_eq!(reason.to_string(), *text);
        assert_unheard(&started.events);
    }
    let started = start(Net::Memory, |builder| builder);
    started.raw().reset();
    let reason = denied(&started.events);
    assert!(matches!(reason, DenialCause::Io { .. }), "{reason:?}");
}

#[test]
fn the_token_has_a_deadline() {
    const TIMEOUT: Duration = Duration::from_millis(300);
    let started = start(Net::Tcp, |builder| builder.timeouts(Timeouts::new().handshake_timeout(TIMEOUT)));
    let silent = started.raw();
    let half = started.raw();
    half.write(&TOKEN[..5]);
    for raw in [silent, half] {
        let (bytes, end) = raw.read_to_end();
        assert_eq!(bytes, REFUSAL);
        end.expect("a regular end");
    }
    assert!(matches!(refused(&started.events), RefusalCause::HandshakeTimeout { timeout: TIMEOUT }));
    assert_eq!(started.server.stats().callers_refused.get(RefusalKind::HandshakeTimeout), 2);
}

#[test]
fn closing_says_goodbye_to_those_who_have_not_said_it_yet() {
    let started = start(Net::Tcp, |builder| builder);
    let waiting: Vec<_> = (0..10).map(|_| started.raw()).collect();
    // So that they are in, and not in the system's queue.
    let (callback, events) = recorder();
    let client = started.client().token(TOKEN).callback(callback).build().unwrap();
    client.start(started.address(), true).unwrap();
    connected(&started.events);
    let server = started.server.clone();
    in_time("closing", move || server.close());
    for raw in waiting {
        let (bytes, end) = raw.read_to_end();
        assert_eq!(bytes, b"disconnect;");
        end.expect("a regular end");
    }
    assert!(matches!(disconnected(&events).cause, DisconnectCause::PeerGoodbye));
    assert!(matches!(disconnected(&started.events).cause, DisconnectCause::ServiceClosed));
    assert_unheard(&started.events);
}

#[test]
fn a_client_that_connects_again_says_it_again() {
    let (opened, peers) = mpsc::channel();
    let connector = move |_: &str| {
        let (here, there) = memory::pair();
        let _ = opened.send(Raw::of(Box::new(there)));
        Ok(Box::new(here) as Box<dyn leads_comm::transport::Stream>)
    };
    let quick = Reconnect::new().first_delay(Duration::from_millis(1)).longest_delay(Duration::from_millis(20));
    // What was kept for the connection comes behind it.
    let client = Client::builder().transport(connector).token("secret").reconnect(quick.keep_bytes(1000));
    let client = client.build().unwrap();
    let starting = client.clone();
    let started = std::thread::spawn(move || starting.start("somewhere", true));
    for round in 0..3 {
        let peer = peers.recv_timeout(PATIENCE).unwrap();
        assert_eq!(peer.read_exact(18), b"disconnect;secret;");
        if round == 0 {
            peer.write(b";hello;");
            until("the client has started", || client.send(b"m1").is_ok());
        } else {
            client.send(b"m1").unwrap();
            peer.write(b";hello;");
        }
        assert_eq!(peer.read_exact(3), b"m1;");
        peer.stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_reads(peer, b"disconnect;");
    }
    client.close();
    in_time("the start", || started.join().unwrap()).unwrap();
}

/// A client of which nothing is taken does not wait for ever to say it.
#[test]
fn a_token_that_is_not_taken_is_given_up_in_time() {
    let full = |_: &str| {
        let (here, there) = memory::pair();
        while leads_comm::transport::Stream::try_write_vectored(&here, &[std::io::IoSlice::new(&[0; 1024])]).is_ok() {}
        // Kept open.
        std::mem::forget(there);
        Ok(Box::new(here) as Box<dyn leads_comm::transport::Stream>)
    };
    let builder = Client::builder()
        .transport(full)
        .token("secret")
        .timeouts(Timeouts::new().handshake_timeout(Duration::from_millis(200)));
    let client = builder.build().unwrap();
    match in_time("the start", move || client.start("somewhere", true)) {
        Err(Error::Connect { source, .. }) => assert_eq!(source.kind(), std::io::ErrorKind::TimedOut),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_token_that_cannot_be_said_is_refused_when_the_service_is_built() {
    let setting = |error| match error {
        Error::InvalidSetting { setting, .. } => setting,
        other => panic!("{other:?}"),
    };
    assert_eq!(setting(Server::builder().token("").build().unwrap_err()), "token");
    assert_eq!(setting(Client::builder().token("").build().unwrap_err()), "token");
    assert_eq!(setting(Server::builder().token("x".repeat(4097)).build().unwrap_err()), "token");
    assert_eq!(
        setting(Server::builder().timeouts(Timeouts::new().handshake_timeout(Duration::ZERO)).build().unwrap_err()),
        "timeouts"
    );
    assert_eq!(setting(Server::builder().max_handshakes(0).build().unwrap_err()), "max_handshakes");
    assert_eq!(setting(Server::builder().token("a;b").build().unwrap_err()), "token");
    assert_eq!(setting(Client::builder().token("a").separator("aa").build().unwrap_err()), "token");
    assert_eq!(setting(Client::builder().token("disconnect").build().unwrap_err()), "token");
    // The separator decides.
    Server::builder().token("a;b").separator("end;").build().unwrap();
}

#[test]
fn the_longest_token_passes() {
    let token = "x".repeat(4096);
    let started = Net::Tcp.start_server(|builder| builder.token(&token));
    let client = started.client().token(&token).build().unwrap();
    client.start(started.address(), true).unwrap();
    connected(&started.events);
    client.close();
}

#[test]
fn no_debug_output_has_the_token() {
    let server = Server::builder().token("secret");
    let client = Client::builder().token("secret");
    let builders = format!("{server:?} {client:?}");
    let built = format!("{:?} {:?}", server.build().unwrap(), client.build().unwrap());
    assert!(!builders.contains("secret") && !built.contains("secret"), "{builders} {built}");
    // Nor has it the bytes.
    assert!(!builders.contains("115") && !built.contains("115"), "{builders} {built}");
}

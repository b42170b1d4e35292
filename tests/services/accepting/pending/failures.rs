//! Callers who try one token after the other.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Mutex, mpsc};

use leads_comm::{Caller, Denied, RefusalKind, Timeouts};
use socket2::{Domain, Socket, Type};

use super::*;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn start() -> Started {
    Net::Tcp.start_server(|builder| builder.token("secret"))
}

/// A peer that calls from this address of this machine.
fn from(address: IpAddr, started: &Started) -> Raw {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(address, 0).into()).unwrap();
    socket.connect(&started.addr().into()).unwrap();
    Raw::over_tcp(socket.into())
}

/// One after the other, so that each has failed before the next one comes.
fn fail(address: IpAddr, started: &Started, callers: u64) {
    for _ in 0..callers {
        let raw = from(address, started);
        // A server that has refused it already may be gone.
        let _ = raw.try_write(b"guess;");
        assert_reads(raw, REFUSAL);
    }
}

fn counted(started: &Started) -> (u64, u64) {
    let refused = started.server.stats().callers_refused;
    (refused.get(RefusalKind::NotAuthenticated), refused.get(RefusalKind::TooManyFailures))
}

/// Every address of 127.0.0.0/8 is this machine's on Linux.
#[cfg(target_os = "linux")]
#[test]
fn an_address_from_which_too_many_fail_is_refused_and_no_other() {
    let started = start();
    let inside = from(HERE, &started);
    inside.write(b"secret;");
    connected(&started.events);
    fail(HERE, &started, 20);
    let (failed, refused) = counted(&started);
    // On a slow machine one or another is forgotten meanwhile.
    assert_eq!(failed + refused, 20);
    assert!((5..=8).contains(&failed), "{failed}");
    // Also who has the token.
    let right = from(HERE, &started);
    let _ = right.try_write(b"secret;");
    assert_reads(right, REFUSAL);
    assert_eq!(counted(&started), (failed, refused + 1));
    // Those who are in stay.
    inside.write(b"still here;");
    assert_eq!(received(&started.events), b"still here");
    let elsewhere = from(Ipv4Addr::new(127, 0, 0, 2).into(), &started);
    elsewhere.write(b"secret;let in;");
    assert_eq!(received(&started.events), b"let in");
    started.server.close();
    println!("S3: of 20 wrong tokens from one address {failed} were looked at, {refused} callers were refused unheard");
}

#[test]
fn the_reason_names_the_limit() {
    let started = start();
    fail(HERE, &started, 6);
    let told = std::iter::repeat_with(|| refused(&started.events));
    let cause = told.into_iter().find(|cause| !matches!(cause, RefusalCause::NotAuthenticated { .. })).unwrap();
    assert!(matches!(cause, RefusalCause::TooManyFailures { limit: 5 }), "{cause:?}");
    assert_eq!(cause.to_string(), "5 callers from its address were not authenticated a short while ago");
}

/// Many at once, of whom none had failed when the others came.
#[test]
fn those_who_come_together_have_no_more_tries() {
    const CALLERS: u64 = 40;
    let started = start();
    let inside: Vec<_> = (0..CALLERS).map(|_| started.raw()).collect();
    for raw in inside {
        raw.write(b"guess;");
        assert_reads(raw, REFUSAL);
    }
    let (failed, refused) = counted(&started);
    assert_eq!(failed + refused, CALLERS);
    assert!((5..=8).contains(&failed), "{failed}");
}

/// Many who are asked at once, of whom one is right: to be one of many is no way to have more tries.
#[test]
fn who_is_found_right_when_too_many_have_failed_is_not_let_in() {
    let (asked, asking) = mpsc::channel();
    let (decide, decided) = mpsc::channel::<()>();
    let decided = Mutex::new(decided);
    let authenticator = move |_: &Caller<'_>, message: &[u8]| {
        if message != b"secret" {
            return Err(Denied::new("wrong"));
        }
        asked.send(()).unwrap();
        let _ = decided.lock().unwrap().recv_timeout(PATIENCE);
        Ok(())
    };
    let started = Net::Tcp
        .start_server(|builder| builder.timeouts(Timeouts::new().handshake_timeout(NEVER)).authenticate(authenticator));
    let right = from(HERE, &started);
    right.write(b"secret;");
    asking.recv_timeout(PATIENCE).unwrap();
    while counted(&started).1 == 0 {
        fail(HERE, &started, 1);
    }
    decide.send(()).unwrap();
    assert_reads(right, REFUSAL);
    assert_eq!(counted(&started).1, 2);
}

#[test]
fn who_leaves_without_a_word_is_not_held_against_anybody() {
    let started = start();
    for number in 0..20 {
        let raw = started.raw();
        if number % 2 == 0 {
            raw.write(b"disconnect;");
        }
        raw.half_close();
        assert_reads(raw, REFUSAL);
    }
    assert_eq!(counted(&started), (20, 0));
    let raw = started.raw();
    raw.write(b"secret;");
    connected(&started.events);
    drop(raw);
}

#[test]
fn whom_the_program_denies_is_held_against_its_address() {
    let started = Net::Tcp
        .start_server(|builder| builder.authenticate(|_: &Caller<'_>, _: &[u8]| Err(Denied::new("nobody is let in"))));
    fail(HERE, &started, 20);
    let (failed, refused) = counted(&started);
    assert_eq!(failed + refused, 20);
    assert!((5..=8).contains(&failed), "{failed}");
}

#[test]
fn peers_without_addresses_are_not_limited() {
    let started = Net::Memory.start_server(|builder| builder.token("secret"));
    for _ in 0..20 {
        let raw = started.raw();
        raw.write(b"guess;");
        assert_reads(raw, REFUSAL);
    }
    assert_eq!(counted(&started), (20, 0));
}

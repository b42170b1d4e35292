//! A server whose program decides who is let in.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use leads_comm::{Authenticator, Caller, DenialCause, Denied, RefusalKind, Server, Timeouts};

use super::*;

fn asking(answer: impl Fn(&Caller<'_>, &[u8]) -> Result<(), Denied> + Send + Sync + 'static) -> Started {
    Net::Tcp.start_server(|builder| builder.timeouts(Timeouts::new().handshake_timeout(NEVER)).authenticate(answer))
}

#[test]
fn it_sees_the_first_message_and_who_calls() {
    let (asked, asking_for) = mpsc::channel();
    let started = asking(move |caller: &Caller<'_>, message: &[u8]| {
        let name = thread::current().name().unwrap_or_default().to_owned();
        asked.send((caller.peer().to_owned(), caller.peer_addr(), message.to_vec(), name)).unwrap();
        assert_eq!((caller.num_connections(), caller.num_connections_from_address()), (0, 0));
        assert!(caller.peer_certificates().is_empty());
        Ok(())
    });
    let raw = started.raw();
    raw.write(b"\xff first;second;");
    let connection = connected(&started.events);
    assert_eq!(received(&started.events), b"second");
    let (peer, peer_addr, message, thread) = asking_for.recv_timeout(PATIENCE).unwrap();
    assert_eq!((peer, peer_addr), (connection.to_string(), connection.peer_addr()));
    assert_eq!(message, b"\xff first");
    // On the thread that becomes the reader.
    assert!(thread.contains("-rd-"), "{thread}");
}

#[test]
fn it_sees_the_certificates() {
    let started = shaking::start(
        Net::Memory,
        || (),
        |builder| {
            builder.timeouts(Timeouts::new().handshake_timeout(NEVER)).authenticate(|caller: &Caller<'_>, _: &[u8]| {
                match caller.peer_certificates() {
                    [leaf, _] if leaf == b"leaf" => Ok(()),
                    other => Err(Denied::new(format!("{other:?}"))),
                }
            })
        },
    );
    let raw = started.raw();
    raw.write(b"hi\nlet me in;");
    connected(&started.events);
    drop(raw);
}

#[test]
fn whom_it_denies_is_not_told_why() {
    let started = asking(|_: &Caller<'_>, message: &[u8]| match message {
        b"2" => Ok(()),
        b"3" => Err("too\nnew".into()),
        _ => Err(Denied::new("too old")),
    });
    let raw = started.raw();
    raw.write(b"1;more;");
    assert_reads(raw, REFUSAL);
    let cause = refused(&started.events);
    assert_eq!(chain(&cause), "not authenticated: denied by the program: too old");
    assert!(matches!(
        &cause,
        RefusalCause::NotAuthenticated { cause: DenialCause::ByProgram(denied) } if denied.text() == "too old"
    ));
    assert_eq!(started.server.stats().callers_refused.get(RefusalKind::NotAuthenticated), 1);
    let raw = started.raw();
    raw.write(b"3;");
    assert_reads(raw, REFUSAL);
    // One line, whatever the program says.
    assert_eq!(chain(&refused(&started.events)), "not authenticated: denied by the program: too");
    assert_unheard(&started.events);
    let raw = started.raw();
    raw.write(b"2;");
    connected(&started.events);
    drop(raw);
}

#[test]
fn a_panic_refuses_that_caller_and_is_told() {
    expect_panics_in_callbacks();
    let panics = AtomicUsize::new(0);
    let started = asking(move |_: &Caller<'_>, _: &[u8]| {
        if panics.fetch_add(1, Ordering::SeqCst) == 0 {
            panic!("as the test wants it");
        }
        Ok(())
    });
    let raw = started.raw();
    raw.write(b"first;");
    assert_reads(raw, REFUSAL);
    let mut told = Vec::new();
    while told.len() < 2 {
        if let Event::Fail { error, .. } = next(&started.events) {
            told.push(chain(&error));
        }
    }
    told.sort();
    assert_eq!(
        told,
        [
            "a caller was refused: not authenticated: the authenticator panicked",
            "the callback authenticate panicked: as the test wants it",
        ]
    );
    let raw = started.raw();
    raw.write(b"second;");
    connected(&started.events);
    drop(raw);
}

/// Panics of callers are told at the rate of everything that callers cause.
#[test]
fn many_panics_are_told_rarely() {
    const CALLERS: usize = 30;
    expect_panics_in_callbacks();
    let started = asking(|_: &Caller<'_>, _: &[u8]| panic!("as the test wants it"));
    let begun = std::time::Instant::now();
    for _ in 0..CALLERS {
        let raw = started.raw();
        raw.write(b"first;");
        assert_reads(raw, REFUSAL);
    }
    started.server.close();
    let seconds = begun.elapsed().as_secs() as usize;
    let failures: Vec<_> = started.events.try_iter().filter(|event| matches!(event, Event::Fail { .. })).collect();
    let is_panic = |event: &&Event| matches!(event, Event::Fail { error: Error::CallbackPanicked { .. }, .. });
    let panics = failures.iter().filter(is_panic).count();
    assert!((1..=seconds + 2).contains(&panics), "{panics} in {seconds} s");
    let callers: u64 = failures
        .iter()
        .map(|event| match event {
            Event::Fail { error: Error::Refused { callers, .. }, .. } => *callers,
            _ => 0,
        })
        .sum();
    assert_eq!(callers, CALLERS as u64, "each is told of once");
}

/// One that takes its time holds up its own caller, and nobody is let in after the deadline, whatever it says then.
#[test]
fn it_has_no_more_time_than_its_caller() {
    const TIMEOUT: Duration = Duration::from_millis(300);
    let (go_on, waiting) = mpsc::channel::<()>();
    let waiting = Mutex::new(waiting);
    let started = Net::Tcp.start_server(|builder| {
        builder.timeouts(Timeouts::new().handshake_timeout(TIMEOUT)).authenticate(
            move |_: &Caller<'_>, message: &[u8]| {
                if message == b"slow" {
                    let _ = waiting.lock().unwrap().recv();
                }
                Ok(())
            },
        )
    });
    let slow = started.raw();
    slow.write(b"slow;");
    assert_reads(slow, REFUSAL);
    assert!(matches!(refused(&started.events), RefusalCause::HandshakeTimeout { timeout: TIMEOUT }));
    drop(go_on);
    // Its thread is gone, and nothing came of what it said.
    started.server.close();
    assert_unheard(&started.events);
    assert_eq!(started.server.stats().opened, 0);
}

#[test]
fn it_may_call_anything() {
    let server: Arc<Mutex<Option<Server>>> = Arc::default();
    let shared = Arc::clone(&server);
    let started = asking(move |_: &Caller<'_>, message: &[u8]| {
        let server = shared.lock().unwrap().clone().expect("the test has put it there");
        assert_eq!(server.num_connections(), 0);
        assert_eq!(server.broadcast(b"to nobody").unwrap(), 0);
        if message == b"close" {
            server.close();
        }
        Ok(())
    });
    *server.lock().unwrap() = Some(started.server.clone());
    let raw = started.raw();
    raw.write(b"close;");
    assert_reads(raw, b"disconnect;");
    started.server.wait();
    assert_unheard(&started.events);
}

struct Noted(Arc<AtomicBool>);

impl Authenticator for Noted {
    fn authenticate(&self, _: &Caller<'_>, _: &[u8]) -> Result<(), Denied> {
        Ok(())
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn it_is_dropped_when_the_server_has_ended() {
    let dropped = Arc::new(AtomicBool::new(false));
    let noted = Noted(Arc::clone(&dropped));
    let started = Net::Tcp.start_server(|builder| builder.authenticate(noted));
    assert!(!dropped.load(Ordering::SeqCst));
    started.server.close();
    until("it is dropped", || dropped.load(Ordering::SeqCst));
}

#[test]
fn it_does_not_go_with_a_token() {
    let builder = Server::builder().token("secret").authenticate(|_: &Caller<'_>, _: &[u8]| Ok(()));
    let error = builder.build().unwrap_err();
    assert_eq!(error.to_string(), "invalid setting: authenticate must not be combined with token");
}

//! How a newcomer is served, decided before there is a connection.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use leads_comm::callback::{Event, closures};
use leads_comm::crossbeam_channel::Receiver;
use leads_comm::{
    Caller, Closing, Delivery, DisconnectKind, Error, MemoryLimits, RefusalCause, RefusalKind, Server, SlowConsumer,
    Timeouts,
};
use leads_comm_testing::valve::{self, EITHER};
use leads_comm_testing::*;

/// Longer than any test lasts.
const NEVER: Duration = Duration::from_secs(600);

/// One that can be told from others.
fn numbered_delivery(number: usize) -> Delivery {
    Delivery::new().slow_consumer(SlowConsumer::DropNewest).max_queued_bytes((2 << 20) + number)
}

/// The next two failures that are told: why callers were refused, and what else.
fn refused_for(events: &Receiver<Event>) -> (RefusalCause, String) {
    let (mut cause, mut besides) = (None, None);
    while cause.is_none() || besides.is_none() {
        match next(events) {
            Event::Fail { error: Error::Refused { callers: 1, cause: told }, .. } => cause = Some(told),
            Event::Fail { error, .. } => besides = Some(chain(&error)),
            Event::Connect { connection } => panic!("let in: {connection:?}"),
            _ => {}
        }
    }
    (cause.unwrap(), besides.unwrap())
}

over_every_transport! {
    fn it_is_asked_once_for_each_and_served_is_what_it_says(net: Net) {
        let (tell, asked) = mpsc::channel();
        let (open, opened) = mpsc::channel();
        let started = net.start_server(move |builder| {
            let builder = builder.delivery_for(move |caller: &Caller<'_>| {
                let name = thread::current().name().unwrap_or_default().to_owned();
                let certificates = caller.peer_certificates().to_vec();
                tell.send((name, caller.peer().to_owned(), caller.peer_addr(), certificates)).unwrap();
                let number = caller.num_connections();
                let from_here = if caller.peer_addr().is_some() { number } else { 0 };
                assert_eq!(caller.num_connections_from_address(), from_here);
                numbered_delivery(number)
            });
            // In the place of the events: what is there already when the first callback is called.
            builder.callback(closures().on_connect(move |_, connection| {
                open.send((connection.delivery(), connection.clone())).unwrap();
            }))
        });
        let _inside: Vec<_> = (0..3)
            .map(|number| {
                let raw = started.raw();
                let (delivery, connection) = opened.recv_timeout(PATIENCE).unwrap();
                assert_eq!(delivery, numbered_delivery(number));
                let (thread, peer, addr, certificates) = asked.recv_timeout(PATIENCE).unwrap();
                assert_eq!((peer, addr), (connection.to_string(), connection.peer_addr()));
                assert_eq!(certificates, connection.peer_certificates());
                let reader = if connection.peer_certificates().is_empty() { "-acc " } else { "-rd-" };
                assert!(thread.contains(reader), "{thread}");
                // Until the program says otherwise.
                connection.set_delivery(numbered_delivery(100)).unwrap();
                assert_eq!(connection.delivery(), numbered_delivery(100));
                raw
            })
            .collect();
        assert!(asked.try_recv().is_err());
    }

    fn a_caller_for_whom_it_panics_is_refused(net: Net) {
        expect_panics_in_callbacks();
        let calls = AtomicUsize::new(0);
        let started = net.start_server(move |builder| builder.delivery_for(move |_: &Caller<'_>| {
            assert!(calls.fetch_add(1, Ordering::Relaxed) > 0, "as asked");
            numbered_delivery(0)
        }));
        let _ = started.raw().read_to_end();
        let (cause, besides) = refused_for(&started.events);
        assert!(matches!(cause, RefusalCause::NotAdmitted), "{cause}");
        assert_eq!(besides, "the callback delivery_for panicked: as asked");
        let _next = started.raw();
        assert_eq!(connected(&started.events).delivery(), numbered_delivery(0));
        assert_eq!(started.server.stats().callers_refused.get(RefusalKind::NotAdmitted), 1);
    }

    fn a_caller_with_a_delivery_that_cannot_be_is_refused(net: Net) {
        let calls = AtomicUsize::new(0);
        let total = MemoryLimits::new().max_total_queued_bytes(4 << 20);
        let started = net.start_server(|builder| builder.memory_limits(total).delivery_for(move |_: &Caller<'_>| {
            match calls.fetch_add(1, Ordering::Relaxed) {
                0 => Delivery::new().max_queued_bytes((4 << 20) + 1),
                number => numbered_delivery(number),
            }
        }));
        let (bytes, _) = started.raw().read_to_end();
        // Over TLS it has shaken hands by then.
        let is_told = net.tells_the_refused() || net.has_addresses();
        assert_eq!(bytes, if is_told { REFUSAL } else { b"" });
        let (cause, besides) = refused_for(&started.events);
        assert!(matches!(cause, RefusalCause::NotAdmitted), "{cause}");
        assert_eq!(besides, "invalid setting: max_queued_bytes must not be more than max_total_queued_bytes");
        let _next = started.raw();
        assert_eq!(connected(&started.events).delivery(), numbered_delivery(1));
    }
}

/// A recorder is waited for, and a display loses what it does not take, from the first message on.
#[test]
fn each_is_served_in_its_own_way() {
    const LEN: usize = 1000;
    const QUEUE: usize = 20_000;
    for writes in EITHER {
        let (started, valves) = valve::start_server(writes, |builder| {
            let builder = builder.max_sent_len(LEN).closing(Closing::new().flush_timeout(Duration::from_millis(100)));
            builder.delivery_for(|caller: &Caller<'_>| {
                let policy = match caller.num_connections() {
                    0 => SlowConsumer::Block(NEVER),
                    _ => SlowConsumer::DropOldest,
                };
                Delivery::new().slow_consumer(policy).max_queued_bytes(QUEUE)
            })
        });
        let [(recorder, recording), (display, displaying)] =
            [(); 2].map(|()| (valves.connect(), connected(&started.events)));
        let server = started.server.clone();
        let broadcasting = thread::spawn(move || {
            (0..100).for_each(|number| assert_eq!(server.broadcast(&numbered(number, LEN)).unwrap(), 2));
        });
        recorder.open();
        broadcasting.join().unwrap();
        recording.flush(PATIENCE).unwrap();
        assert_eq!(recorder.messages().len(), 100, "{writes:?}");
        display.open();
        displaying.flush(PATIENCE).unwrap();
        assert!(displaying.dropped_messages() > 50, "{writes:?}");
        assert_eq!(display.messages().len() + displaying.dropped_messages() as usize, 100, "{writes:?}");
    }
}

/// Linux has the whole of 127.0.0.0/8.
#[cfg(target_os = "linux")]
#[test]
fn callers_are_told_apart_by_their_address() {
    use std::net::{IpAddr, Ipv4Addr, SocketAddr};

    use socket2::{Domain, Socket, Type};

    let recorder = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 7));
    let started = Net::Tcp.start_server(move |builder| {
        builder.delivery_for(move |caller: &Caller<'_>| {
            numbered_delivery(usize::from(caller.peer_addr().unwrap().ip() == recorder))
        })
    });
    for (from, number) in [("127.0.0.1:0", 0), ("127.0.0.7:0", 1), ("127.0.0.8:0", 0)] {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&from.parse::<SocketAddr>().unwrap().into()).unwrap();
        socket.connect(&started.addr().into()).unwrap();
        assert_eq!(connected(&started.events).delivery(), numbered_delivery(number), "{from}");
    }
}

#[test]
fn callers_are_told_apart_by_their_certificates() {
    let started = shaking::start(
        Net::Memory,
        || (),
        |builder| {
            builder.timeouts(Timeouts::new().handshake_timeout(NEVER)).delivery_for(|caller: &Caller<'_>| {
                numbered_delivery(usize::from(caller.peer_certificates().first().is_some_and(|leaf| leaf == b"leaf")))
            })
        },
    );
    let raw = started.raw();
    raw.write(b"hi\n");
    assert_eq!(connected(&started.events).delivery(), numbered_delivery(1));
    drop(raw);
}

/// Nobody is told that it is let in who is not.
#[test]
fn it_is_asked_when_the_token_is_right_and_before_the_caller_knows() {
    expect_panics_in_callbacks();
    let (tell, asked) = mpsc::channel();
    let verdicts = Mutex::new(vec![numbered_delivery(1), Delivery::new().max_queued_bytes(0)]);
    let started = Net::Tcp.start_server(move |builder| {
        let builder = builder.token("secret").timeouts(Timeouts::new().handshake_timeout(NEVER));
        builder.delivery_for(move |caller: &Caller<'_>| {
            assert_eq!((caller.num_connections(), caller.num_connections_from_address()), (0, 0));
            tell.send(thread::current().name().unwrap_or_default().to_owned()).unwrap();
            let verdict = verdicts.lock().unwrap().pop();
            verdict.expect("as asked")
        })
    });
    let start = |token: &str| {
        let client = started.client().token(token).build().unwrap();
        let (starting, address) = (client.clone(), started.address().to_owned());
        (client, in_time("the start", move || starting.start(&address, true)))
    };
    let is_not_let_in = |started: Result<(), Error>| assert!(matches!(started, Err(Error::NotLetIn { .. })));
    is_not_let_in(start("wrong").1);
    assert!(asked.try_recv().is_err());
    let refused = find(&started.events, |event| match event {
        Event::Fail { error: Error::Refused { cause, .. }, .. } => Some(cause),
        _ => None,
    });
    assert_eq!(refused.kind(), RefusalKind::NotAuthenticated);
    is_not_let_in(start("secret").1);
    assert!(asked.recv_timeout(PATIENCE).unwrap().contains("-rd-"));
    assert!(refused_for(&started.events).1.starts_with("invalid setting: max_queued_bytes must hold"));
    let (client, outcome) = start("secret");
    outcome.unwrap();
    let connection = connected(&started.events);
    assert_eq!(connection.delivery(), numbered_delivery(1));
    client.close();
    assert_eq!(disconnected(&started.events).kind(), DisconnectKind::PeerGoodbye);
    is_not_let_in(start("secret").1);
    assert_eq!(refused_for(&started.events).1, "the callback delivery_for panicked: as asked");
}

/// What callers cause is told rarely, and each of them once.
#[test]
fn many_errors_are_told_rarely() {
    const CALLERS: u64 = 30;
    for enters in [false, true] {
        let started = Net::Tcp.start_server(|builder| {
            let builder = if enters { builder.token("secret") } else { builder };
            builder.delivery_for(|_: &Caller<'_>| Delivery::new().max_queued_bytes(0))
        });
        let begun = std::time::Instant::now();
        for _ in 0..CALLERS {
            let raw = started.raw();
            if enters {
                raw.write(b"secret;");
            }
            assert_eq!(raw.read_to_end().0, REFUSAL);
        }
        started.server.close();
        let seconds = begun.elapsed().as_secs() as usize;
        let (mut callers, mut errors) = (0, 0);
        for event in started.events.try_iter() {
            match event {
                Event::Fail { error: Error::Refused { callers: more, .. }, .. } => callers += more,
                Event::Fail { error: Error::InvalidSetting { setting: "max_queued_bytes", .. }, .. } => errors += 1,
                Event::Fail { error, .. } => panic!("{error}"),
                _ => {}
            }
        }
        assert_eq!(callers, CALLERS);
        assert!((1..=seconds + 2).contains(&errors), "{errors} in {seconds} s");
    }
}

/// The hook runs on a thread that the close would wait for.
#[test]
fn it_may_close_the_server() {
    for enters in [false, true] {
        let server = Arc::new(Mutex::new(None::<Server>));
        let started = Net::Tcp.start_server({
            let server = Arc::clone(&server);
            move |builder| {
                let builder = if enters { builder.token("secret") } else { builder };
                // Far longer than the test waits, should the close wait for itself.
                builder.closing(Closing::new().close_timeout(3 * PATIENCE)).delivery_for(move |_: &Caller<'_>| {
                    server.lock().unwrap().as_ref().unwrap().close();
                    Delivery::new()
                })
            }
        });
        *server.lock().unwrap() = Some(started.server.clone());
        // It may be gone before it is anything more than a socket.
        let mut caller = TcpStream::connect(started.addr()).unwrap();
        if enters {
            caller.write_all(b"secret;").unwrap();
        }
        assert!(started.server.wait_timeout(PATIENCE));
        // Nobody is connected to a server that closes.
        assert!(started.events.try_iter().all(|event| !matches!(event, Event::Connect { .. })));
    }
}

/// Like callbacks, which may hold handles of their own service.
#[test]
fn it_is_dropped_with_the_server() {
    let (alive, dropped) = mpsc::channel::<()>();
    let alive = Mutex::new(alive);
    let started = Net::Tcp.start_server(move |builder| {
        builder.delivery_for(move |_: &Caller<'_>| {
            drop(alive.lock());
            Delivery::new()
        })
    });
    started.server.close();
    assert_eq!(dropped.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected));
}

//! Who is let in, who is turned away and how, and that accepting survives whatever goes wrong with it.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::callback::Event;
use leads_comm::crossbeam_channel::Receiver;
use leads_comm::transport::tcp::TcpStream;
use leads_comm::transport::{Listener, Stream, memory};
use leads_comm::{Caller, Closing, Error, RefusalCause, RefusalKind, Server};
use leads_comm_testing::layer::{self, Below, Layer};
use leads_comm_testing::*;

/// The next failure that is told.
fn failed(events: &Receiver<Event>) -> Error {
    find(events, |event| match event {
        Event::Fail { error, .. } => Some(error),
        _ => None,
    })
}

/// What a refused caller gets.
fn assert_refused(raw: Raw) {
    let (bytes, end) = raw.read_to_end();
    assert_eq!(bytes.escape_ascii().to_string(), REFUSAL.escape_ascii().to_string());
    end.expect("a regular end");
}

/// How many refused callers have been told of, by kind, once the server has closed; and that nobody else was heard of.
fn told(events: &Receiver<Event>) -> BTreeMap<RefusalKind, u64> {
    let mut told = BTreeMap::new();
    for event in events.try_iter() {
        if let Event::Fail { error: Error::Refused { callers, cause }, .. } = event {
            *told.entry(cause.kind()).or_default() += callers;
        }
    }
    told
}

over_every_transport! {
    fn turned_away(net: Net) {
        // A goodbye that could block is not said.
        let goodbye = if net.tells_the_refused() { "disconnect;;" } else { "" };
        let started = net.start_server(|builder| builder.max_connections(2));
        let inside = [started.raw(), started.raw()];
        let connections: Vec<_> = inside.iter().map(|_| connected(&started.events)).collect();
        for _ in 0..10 {
            let (bytes, end) = started.raw().read_to_end();
            assert_eq!(bytes.escape_ascii().to_string(), goodbye);
            end.expect("a regular end");
            assert_eq!(started.server.num_connections(), 2);
        }
        let error = failed(&started.events);
        match &error {
            Error::Refused { callers: 1.., cause: cause @ RefusalCause::MaxConnections { limit: 2 } } => {
                assert_eq!(cause.to_string(), "the limit on connections is 2");
            }
            other => panic!("{other:?}"),
        }
        // Those who are in are served, and when one leaves there is room.
        inside[1].write(b"still here;");
        assert_eq!(received(&started.events), b"still here");
        connections[0].close();
        drop(inside);
        disconnected(&started.events);
        disconnected(&started.events);
        let newcomer = started.raw();
        connected(&started.events);
        newcomer.write(b"let in;");
        assert_eq!(received(&started.events), b"let in");
    }
}

#[test]
fn refused_callers_are_told_of_at_a_bounded_rate_and_none_is_forgotten() {
    const CALLERS: u64 = 300;
    let started = Net::Tcp.start_server(|builder| builder.max_connections(1));
    let _inside = started.raw();
    connected(&started.events);
    let begin = Instant::now();
    for _ in 0..CALLERS {
        assert_refused(started.raw());
    }
    let seconds = begin.elapsed().as_secs();
    started.server.close();
    let events: Vec<_> = started.events.try_iter().collect();
    let counts: Vec<u64> = events
        .iter()
        .filter_map(|event| match event {
            Event::Fail {
                error: Error::Refused { callers, cause: RefusalCause::MaxConnections { limit: 1 } }, ..
            } => Some(*callers),
            _ => None,
        })
        .collect();
    assert_eq!(counts[0], 1, "the first is told of at once");
    assert_eq!(counts.iter().sum::<u64>(), CALLERS);
    // The first, one for each second, and the rest at the end.
    assert!(counts.len() as u64 <= seconds + 3, "{counts:?} in {seconds} s");
    let heard = |event: &&Event| matches!(event, Event::Connect { .. } | Event::Receive { .. });
    assert_eq!(events.iter().filter(heard).count(), 0, "a refused caller was heard of: {events:?}");
    println!("A4: refused {CALLERS}, reported {} in {} reports", counts.iter().sum::<u64>(), counts.len());
}

#[test]
fn what_is_told_late_is_told_without_another_caller() {
    let started = Net::Tcp.start_server(|builder| builder.max_connections(1));
    let _inside = started.raw();
    connected(&started.events);
    assert_refused(started.raw());
    assert!(matches!(failed(&started.events), Error::Refused { callers: 1, .. }));
    assert_refused(started.raw());
    assert_refused(started.raw());
    assert!(matches!(failed(&started.events), Error::Refused { callers: 2, .. }));
}

/// Unread, they would turn the goodbye into a reset when the stream is dropped.
#[test]
fn what_a_refused_caller_has_sent_before_is_thrown_away() {
    let (open, gate) = mpsc::channel();
    let gate = Mutex::new(gate);
    let started = Net::Tcp.start_server(move |builder| {
        builder.admit(move |_: &Caller<'_>| {
            gate.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            false
        })
    });
    let callers: Vec<_> = (0..5)
        .map(|_| {
            let mut caller = std::net::TcpStream::connect(started.addr()).unwrap();
            caller.write_all(&[b'x'; 20_000]).unwrap();
            open.send(()).unwrap();
            caller
        })
        .collect();
    // One after the other, so that they have been told when the last one has.
    open.send(()).unwrap();
    assert_refused(started.raw());
    // Nobody looks after them any more.
    started.server.close();
    for caller in callers {
        assert!(caller.take_error().unwrap().is_none(), "reset");
        assert_refused(Raw::of(Box::new(TcpStream::new(caller).unwrap())));
    }
}

/// The same for what a refused caller sends in the moment after its goodbye.
#[test]
fn what_a_refused_caller_sends_later_is_thrown_away() {
    let started =
        Net::Tcp.start_server(|builder| builder.max_connections(1).closing(Closing::new().drain_timeout(PATIENCE)));
    let _inside = started.raw();
    connected(&started.events);
    let caller = started.raw();
    assert!(matches!(failed(&started.events), Error::Refused { callers: 1, .. }));
    for _ in 0..3 {
        caller.write(b"hello;");
    }
    assert_refused(caller);
}

/// However many there are that neither read nor end, and nobody else waits for them.
#[test]
fn refused_callers_that_stay_hold_nobody_up() {
    let started =
        Net::Tcp.start_server(|builder| builder.max_connections(1).closing(Closing::new().drain_timeout(PATIENCE)));
    let inside = started.raw();
    connected(&started.events);
    let silent: Vec<_> = (0..50).map(|_| started.raw()).collect();
    assert_refused(started.raw());
    inside.write(b"served;");
    let mut refused = 0;
    find(&started.events, |event| match event {
        Event::Fail { error: Error::Refused { callers, .. }, .. } => {
            refused += callers;
            None
        }
        Event::Receive { message, .. } => (message == b"served").then_some(()),
        _ => None,
    });
    drop(inside);
    let closing = started.server.clone();
    in_time("close", move || closing.close());
    // All of them have been told.
    silent.into_iter().for_each(assert_refused);
    refused += told(&started.events).get(&RefusalKind::MaxConnections).copied().unwrap_or(0);
    assert_eq!(refused, 51);
}

#[test]
fn one_address_has_its_own_limit() {
    let started = Net::Tcp.start_server(|builder| builder.max_connections_per_address(2));
    let from = |last: u8| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, last], 0)).into()).unwrap();
        socket.connect(&started.addr().into()).unwrap();
        Raw::of(Box::new(TcpStream::new(socket.into()).unwrap()))
    };
    let mut inside = vec![from(1), from(1)];
    let first = connected(&started.events);
    connected(&started.events);
    assert_refused(from(1));
    match failed(&started.events) {
        Error::Refused { callers: 1, cause: cause @ RefusalCause::MaxConnectionsPerAddress { limit: 2 } } => {
            assert_eq!(cause.to_string(), "the limit on connections from one address is 2");
        }
        other => panic!("{other:?}"),
    }
    if cfg!(target_os = "linux") {
        // Where all of 127.0.0.0/8 is this machine.
        inside.extend([from(2), from(2)]);
        connected(&started.events);
        connected(&started.events);
        assert_refused(from(2));
    }
    first.close();
    disconnected(&started.events);
    inside.push(from(1));
    connected(&started.events);
    assert_refused(from(1));
}

/// Whose callers come from these addresses, one after the other.
struct From(Mutex<Vec<SocketAddr>>);

impl Layer for From {
    fn of(&self, _: &dyn Stream) -> Option<Arc<dyn Layer>> {
        let mut addresses = self.0.lock().unwrap();
        (!addresses.is_empty()).then(|| Arc::new(Self(Mutex::new(vec![addresses.remove(0)]))) as Arc<dyn Layer>)
    }

    fn peer_addr(&self, _: &dyn Stream) -> Option<SocketAddr> {
        Some(self.0.lock().unwrap()[0])
    }
}

/// A host has a whole network of 64 bits to itself, and takes whichever address of it it likes.
#[test]
fn the_limit_of_an_address_is_that_of_its_network_with_ipv6() {
    let mut callers: Vec<_> = (0..20).map(|host| (format!("[2001:db8:0:1:{host}::1]:1"), host == 0)).collect();
    let others = [("[2001:db8:0:2::1]:1", true), ("[fe80::1%2]:1", true), ("[fe80::2%2]:1", false)];
    // Those of each link have a network of their own; and the same address may come in two forms.
    let again =
        [("[fe80::1%3]:1", true), ("192.0.2.1:1", true), ("[::ffff:192.0.2.1]:1", false), ("192.0.2.2:1", true)];
    callers.extend(others.into_iter().chain(again).map(|(address, is_let_in)| (address.to_owned(), is_let_in)));
    let last = "[2001:db8:0:1:ffff::1]:1".to_owned();
    let addresses =
        callers.iter().map(|(address, _)| address).chain([&last]).map(|text| text.parse().unwrap()).collect();

    let (listener, connector) = memory::listener();
    let (tell, asked) = mpsc::channel();
    let (callback, events) = recorder();
    let server = Server::builder()
        .transport(layer::listener(listener, &Arc::new(From(Mutex::new(addresses)))))
        .max_connections_per_address(1)
        .admit(move |caller: &Caller<'_>| tell.send(caller.num_connections_from_address()).is_ok())
        .callback(callback)
        .build()
        .unwrap();
    server.start(true).unwrap();
    let call = || Raw::of(Box::new(connector.open().unwrap()));
    let let_in = |address: &str| {
        let raw = call();
        assert_eq!(connected(&events).peer_addr(), Some(address.parse().unwrap()));
        assert_eq!(asked.try_recv(), Ok(0));
        raw
    };
    let mut inside = Vec::new();
    for (address, is_let_in) in &callers {
        match is_let_in {
            true => inside.push(let_in(address)),
            false => assert_refused(call()),
        }
    }
    let refused = callers.len() - inside.len();
    assert_eq!(server.stats().callers_refused.get(RefusalKind::MaxConnectionsPerAddress), refused as u64);
    // Whoever leaves makes room for another one of its network.
    inside.clear();
    until("all have left", || server.num_connections() == 0);
    let_in(&last);
    server.close();
}

#[test]
fn peers_without_an_address_are_not_counted_by_it() {
    let started = Net::Memory.start_server(|builder| builder.max_connections_per_address(1));
    let _inside: Vec<_> = (0..5).map(|_| started.raw()).collect();
    for _ in 0..5 {
        connected(&started.events);
    }
}

over_every_transport! {
    fn the_program_has_its_say(net: Net) {
        let (tell, asked) = mpsc::channel();
        let tell = Mutex::new(tell);
        let started = net.start_server(move |builder| builder.admit(move |caller: &Caller<'_>| {
            let from_address = caller.num_connections_from_address();
            let facts = (caller.peer().to_owned(), caller.peer_addr(), caller.num_connections(), from_address);
            tell.lock().unwrap().send((thread::current().name().map(str::to_owned), facts)).unwrap();
            caller.num_connections() < 2
        }));
        let inside: Vec<_> = (0..2).map(|_| {
            let raw = started.raw();
            (raw, connected(&started.events))
        }).collect();
        let _ = started.raw().read_to_end();
        let asked: Vec<_> = (0..3).map(|_| asked.recv_timeout(PATIENCE).unwrap()).collect();
        for (number, (thread, (peer, addr, connections, from_address))) in asked.into_iter().enumerate() {
            assert!(thread.unwrap().contains("-acc "));
            assert_eq!((connections, from_address), (number, if addr.is_some() { number } else { 0 }));
            if let Some((_, connection)) = inside.get(number) {
                assert_eq!((peer, addr), (connection.to_string(), connection.peer_addr()));
            }
        }
        started.server.close();
        assert_eq!(told(&started.events), BTreeMap::from([(RefusalKind::NotAdmitted, 1)]));
        let counted = started.server.stats().callers_refused;
        assert_eq!((counted.get(RefusalKind::NotAdmitted), counted.total()), (1, 1));
    }

    fn a_hook_that_panics_refuses_that_caller(net: Net) {
        expect_panics_in_callbacks();
        let calls = AtomicUsize::new(0);
        let started = net.start_server(move |builder| builder.admit(move |_: &Caller<'_>| {
            assert!(calls.fetch_add(1, Ordering::Relaxed) > 0, "as asked");
            true
        }));
        let _ = started.raw().read_to_end();
        match failed(&started.events) {
            Error::CallbackPanicked { callback: "admit", message } => assert_eq!(message, "as asked"),
            other => panic!("{other:?}"),
        }
        assert!(matches!(failed(&started.events), Error::Refused { callers: 1, cause: RefusalCause::NotAdmitted }));
        let _next = started.raw();
        connected(&started.events);
    }
}

/// The hook runs on the thread that the close would wait for.
#[test]
fn the_hook_may_close_the_server() {
    let server = Arc::new(Mutex::new(None::<Server>));
    let started = Net::Tcp.start_server({
        let server = Arc::clone(&server);
        move |builder| {
            // Far longer than the test waits, should the close wait for itself.
            builder.closing(Closing::new().close_timeout(3 * PATIENCE)).admit(move |_: &Caller<'_>| {
                server.lock().unwrap().as_ref().unwrap().close();
                true
            })
        }
    });
    *server.lock().unwrap() = Some(started.server.clone());
    let _caller = std::net::TcpStream::connect(started.addr()).unwrap();
    assert!(started.server.wait_timeout(PATIENCE));
    // Nobody is connected to a server that closes.
    assert!(started.events.try_iter().all(|event| !matches!(event, Event::Connect { .. })));
}

/// Like callbacks, which may hold handles of their own service.
#[test]
fn the_hook_is_dropped_with_the_server() {
    let (alive, dropped) = mpsc::channel::<()>();
    let alive = Mutex::new(alive);
    let started = Net::Tcp.start_server(move |builder| {
        builder.admit(move |_: &Caller<'_>| {
            drop(alive.lock());
            true
        })
    });
    started.server.close();
    assert_eq!(dropped.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected));
}

#[test]
fn limits_of_nobody_are_refused() {
    let zero = Server::builder().max_connections(0).build().unwrap_err();
    assert!(matches!(zero, Error::InvalidSetting { setting: "max_connections", .. }), "{zero:?}");
    let zero = Server::builder().max_connections_per_address(0).build().unwrap_err();
    assert!(matches!(zero, Error::InvalidSetting { setting: "max_connections_per_address", .. }), "{zero:?}");
    Server::builder().max_connections_per_address(None).build().unwrap();
}

#[test]
fn a_client_is_told_that_it_is_not_let_in() {
    let started = Net::Tcp.start_server(|builder| builder.max_connections(1));
    let _inside = started.raw();
    connected(&started.events);
    let (client, events) = started.start_client();
    let reason = disconnected(&events);
    assert!(matches!(reason.cause, leads_comm::DisconnectCause::NotLetIn), "{reason:?}");
    client.close();
}

/// Has room for so many streams at a time, as a process has descriptors, and says when accepting fails. A stream takes
/// up room until it is dropped.
struct Scarce {
    error: fn() -> io::Error,
    room: usize,
    open: AtomicUsize,
    failures: Mutex<mpsc::Sender<Instant>>,
}

impl Layer for Scarce {
    fn accept(&self, listener: &dyn Listener) -> io::Result<Option<Box<dyn Stream>>> {
        if self.open.load(Ordering::SeqCst) == self.room {
            let _ = self.failures.lock().unwrap().send(Instant::now());
            return Err((self.error)());
        }
        let accepted = listener.accept()?;
        self.open.fetch_add(usize::from(accepted.is_some()), Ordering::SeqCst);
        Ok(accepted)
    }

    fn accept_for(&self, _: &dyn Listener, _: Duration) -> io::Result<Option<Box<dyn Stream>>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn dropped(&self, below: Below<'_>) {
        if let Below::Stream(_) = below {
            self.open.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// The longest rest is a second; it ends when one of the server's own connections does.
#[test]
fn accepting_goes_on_as_soon_as_a_connection_has_ended() {
    let (listener, connector) = memory::listener();
    let (tell, failures) = mpsc::channel();
    let error = || io::ErrorKind::OutOfMemory.into();
    let scarce = Scarce { error, room: 2, open: AtomicUsize::new(0), failures: Mutex::new(tell) };
    let (callback, events) = recorder();
    let server =
        Server::builder().transport(layer::listener(listener, &Arc::new(scarce))).callback(callback).build().unwrap();
    server.start(true).unwrap();
    let mut inside: Vec<_> = (0..2).map(|_| connector.open().unwrap()).collect();
    (0..2).for_each(|_| drop(connected(&events)));
    let mut delays = Vec::new();
    for _ in 0..3 {
        inside.push(connector.open().unwrap());
        // A rest of 640 ms has begun.
        let mut last = failures.recv_timeout(PATIENCE).unwrap();
        loop {
            let next = failures.recv_timeout(PATIENCE).unwrap();
            if next.duration_since(last) > Duration::from_millis(250) {
                break;
            }
            last = next;
        }
        let freed = Instant::now();
        drop(inside.remove(0));
        connected(&events);
        delays.push(freed.elapsed());
    }
    let best = delays.iter().min().unwrap();
    println!("A1: time from free to accept {:.1} ms at best of 3, in a rest of 640 ms", best.as_secs_f64() * 1e3);
    // The rest would have had this much to go.
    assert!(*best < Duration::from_millis(550), "{delays:?}");
    server.close();
}

/// The same failure again and again is told once a second, and tried no more often than the pauses allow.
#[test]
fn accepting_that_keeps_failing_neither_spins_nor_floods() {
    // How many attempts are made quickly, and how many at most in each second that follows.
    type Case = (usize, u64, fn() -> io::Error);
    let cases: [Case; 3] = [
        (7, 1, || io::ErrorKind::OutOfMemory.into()),
        (64 + 7, 200, || io::ErrorKind::ConnectionAborted.into()),
        (7, 1, || io::ErrorKind::WouldBlock.into()),
    ];
    for (quick, rate, error) in cases {
        let (listener, _connector) = memory::listener();
        let (tell, failures) = mpsc::channel();
        let scarce = Scarce { error, room: 0, open: AtomicUsize::new(0), failures: Mutex::new(tell) };
        let (callback, events) = recorder();
        let server = Server::builder()
            .transport(layer::listener(listener, &Arc::new(scarce)))
            .callback(callback)
            .build()
            .unwrap();
        let begin = Instant::now();
        server.start(true).unwrap();
        assert!(matches!(failed(&events), Error::Accept { .. }));
        for _ in 0..quick {
            failures.recv_timeout(PATIENCE).expect("accepting is not tried again");
        }
        server.close();
        let seconds = begin.elapsed().as_secs();
        let more = failures.try_iter().count() as u64;
        assert!(more <= rate * (seconds + 1) + 10, "{more} more in {seconds} s");
        let told = events.try_iter().filter(|event| matches!(event, Event::Fail { .. })).count() as u64;
        assert!(told <= seconds + 1, "told {told} times in {seconds} s");
    }
}

/// Waits for whole milliseconds, and so not quite as long as it is asked to.
struct Hasty;

impl Layer for Hasty {
    fn accept_for(&self, listener: &dyn Listener, time: Duration) -> io::Result<Option<Box<dyn Stream>>> {
        listener.accept_for(Duration::from_millis(u64::try_from(time.as_millis()).unwrap()))
    }
}

#[test]
fn a_wait_that_ends_early_is_no_failure() {
    let (listener, connector) = memory::listener();
    let (callback, events) = recorder();
    let builder =
        Server::builder().transport(layer::listener(listener, &Arc::new(Hasty))).max_connections(1).callback(callback);
    let server = builder.build().unwrap();
    server.start(true).unwrap();
    let _only = connector.open().unwrap();
    connected(&events);
    // Those who are refused, and do not leave, are waited for in short steps.
    let _refused: Vec<_> = (0..3).map(|_| connector.open().unwrap()).collect();
    let mut refused = 0;
    while refused < 3 {
        match failed(&events) {
            Error::Refused { callers, .. } => refused += callers,
            error => panic!("{error}"),
        }
    }
    server.close();
    assert!(!events.iter().any(|event| matches!(event, Event::Fail { .. })));
}

//! When a client connects again, and what it tells meanwhile.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use leads_comm::transport::Connector;
use leads_comm::transport::tcp::TcpConnector;
use leads_comm::{Callback, DisconnectCause, DisconnectReason, Error, Service};

use super::*;

#[test]
fn a_client_that_is_not_told_to_does_not_connect_again() {
    let (server, _) = serve(0);
    let (client, events) = start(Client::builder().port(server.port()));
    connected(&events);
    server.close();
    assert!(client.wait_timeout(PATIENCE));
    assert!(events.iter().all(|event| !matches!(event, Event::Reconnect { .. })));
}

#[test]
fn a_server_that_comes_back_on_its_port_gets_its_client_back() {
    let (mut server, mut server_events) = serve(0);
    let port = server.port();
    let (client, events) = start(Client::builder().port(port).reconnect(quick()));
    assert!(matches!(next(&events), Event::Initialize { .. }));
    let mut last = None;
    let mut open: Option<Connection> = None;
    for round in 0..5 {
        // On the way it may have got into the queue of the server that was closing, and out again.
        let own = connected(&server_events).peer_addr();
        let connection = loop {
            match next(&events) {
                Event::Connect { connection } => {
                    assert_eq!(open, None, "two at once");
                    assert!(last < Some(connection.id()));
                    last = Some(connection.id());
                    open = Some(connection.clone());
                    if connection.local_addr() == own {
                        break connection;
                    }
                }
                Event::Disconnect { connection, .. } => assert_eq!(open.take(), Some(connection)),
                Event::Reconnect { attempt, .. } if round > 0 => {
                    assert_eq!(open, None);
                    assert!(attempt.number > 0);
                }
                Event::Fail { error: Error::Connect { address, .. }, .. } if round > 0 => {
                    assert_eq!(address, format!("127.0.0.1:{port}"));
                }
                other => panic!("{other:?} in round {round}"),
            }
        };
        assert_eq!(client.connection(), Some(connection.clone()));
        assert_eq!(client.connections(), std::slice::from_ref(&connection));
        assert_eq!((client.num_connections(), client.port()), (1, port));
        assert_eq!(client.local_addr(), connection.local_addr());
        assert!(format!("{client:?}").contains(&connection.to_string()));
        client.send(b"to the server").unwrap();
        assert_eq!(received(&server_events), b"to the server");
        assert_eq!(server.broadcast(b"to the client").unwrap(), 1);
        assert!(matches!(next(&events), Event::Receive { message, .. } if message == b"to the client"));

        server.close();
        match next(&events) {
            Event::Disconnect {
                connection: ended,
                reason: DisconnectReason { cause: DisconnectCause::PeerGoodbye, .. },
            } => {
                assert_eq!(ended, connection);
                open = None;
            }
            other => panic!("{other:?}"),
        }
        (server, server_events) = serve(port);
    }
    client.close();
    assert_eq!((client.num_connections(), client.connection()), (0, None));
    assert!(matches!(client.send(b"too late"), Err(Error::NotConnected)));
}

over_every_transport! {
    fn what_ends_a_connection_here_does_not_end_the_client(net: Net) {
        let started = net.start_server(|builder| builder);
        let (client, events) = start_at(started.address(), started.client().reconnect(quick()));
        let first = connected(&events);
        first.close();
        assert!(matches!(disconnected(&events).cause, DisconnectCause::LocalClose));
        assert_eq!(next_attempt(&events).number, 1);
        let second = connected(&events);
        second.abort();
        assert!(matches!(disconnected(&events).cause, DisconnectCause::LocalAbort));
        let third = connected(&events);
        assert!(first.id() < second.id() && second.id() < third.id());
        // And one that is closed while it is being told.
        client.set_callback(callback::closures().on_connect(|_, connection| connection.close()));
        third.close();
        for _ in 0..3 {
            assert!(matches!(disconnected(&events).cause, DisconnectCause::LocalClose));
        }
        client.close();
    }

    fn each_reset_is_followed_by_another_connection(net: Net) {
        let started = net.start_server(|builder| builder);
        let (client, events) = start_at(started.address(), started.client().reconnect(quick()));
        for _ in 0..20 {
            connected(&events);
            connected(&started.events).abort();
            disconnected(&events);
        }
        connected(&events);
        client.close();
        assert!(matches!(disconnected(&events).cause, DisconnectCause::ServiceClosed));
    }
}

#[test]
fn attempts_are_numbered_and_a_client_gives_up_after_as_many_as_it_was_told() {
    let (client, events) = start_and_leave(|port| Client::builder().port(port).reconnect(quick().max_attempts(3)));
    disconnected(&events);
    for number in 1..=3 {
        match next(&events) {
            Event::Reconnect { attempt, .. } => assert_eq!(attempt.number, number),
            other => panic!("{other:?}"),
        }
        assert!(matches!(next(&events), Event::Fail { error: Error::Connect { .. }, .. }));
    }
    match next(&events) {
        Event::Fail { error: Error::GaveUp { address, attempts }, .. } => {
            assert_eq!((address, attempts), (format!("127.0.0.1:{}", client.port()), 3));
        }
        other => panic!("{other:?}"),
    }
    assert!(client.wait_timeout(PATIENCE));
    assert!(events.iter().next().is_none(), "the channel ends with the client");
    assert!(matches!(client.send(b"m"), Err(Error::NotConnected)));
    assert!(matches!(client.start("127.0.0.1", true), Err(Error::AlreadyStarted)));
}

#[test]
fn a_server_that_turns_callers_away_does_not_make_the_delays_short_again() {
    let listener = listen(0);
    // No connection lasts so long that it is a good one for that.
    let reconnect = quick().longest_delay(PATIENCE).max_attempts(6);
    let (client, events) = start(Client::builder().port(listener.local_addr().unwrap().port()).reconnect(reconnect));
    for number in 1..=7 {
        turn_away(&listener.accept().unwrap().0);
        assert!(matches!(disconnected(&events).cause, DisconnectCause::PeerGoodbye));
        if number <= 6 {
            assert_eq!(next_attempt(&events).number, number);
        }
    }
    assert!(matches!(failure(&events), Error::GaveUp { attempts: 6, .. }));
    assert!(client.wait_timeout(PATIENCE));
}

#[test]
fn a_message_makes_a_connection_a_good_one() {
    use std::io::Write;

    let listener = listen(0);
    let (client, events) =
        start(Client::builder().port(listener.local_addr().unwrap().port()).reconnect(quick().max_attempts(2)));
    for _ in 0..5 {
        let (mut socket, _) = listener.accept().unwrap();
        socket.write_all(b"welcome;").unwrap();
        assert_eq!(received(&events), b"welcome");
        drop(socket);
        disconnected(&events);
        assert_eq!(next_attempt(&events).number, 1);
    }
    client.close();
}

#[test]
fn a_connection_that_lasts_is_a_good_one() {
    let listener = listen(0);
    let longest = Duration::from_millis(20);
    let (client, events) =
        start(Client::builder().port(listener.local_addr().unwrap().port()).reconnect(quick().longest_delay(longest)));
    for _ in 0..3 {
        let (socket, _) = listener.accept().unwrap();
        connected(&events);
        // Longer than the longest delay: that is the condition, and nothing is waited for.
        thread::sleep(2 * longest);
        drop(socket);
        disconnected(&events);
        assert_eq!(next_attempt(&events).number, 1);
    }
    client.close();
}

/// One message, and some time after it the end: all that was sent has been delivered.
#[test]
fn a_connection_through_which_something_went_is_a_good_one() {
    let listener = listen(0);
    let reconnect = quick().longest_delay(PATIENCE).max_attempts(2);
    let (client, events) = start(Client::builder().port(listener.local_addr().unwrap().port()).reconnect(reconnect));
    for _ in 0..5 {
        let (socket, _) = listener.accept().unwrap();
        connected(&events).send(b"m1").unwrap();
        let raw = Raw::over_tcp(socket);
        assert_eq!(raw.read_exact(3), b"m1;");
        // Longer than the first delay: that is the condition, and nothing is waited for.
        thread::sleep(Duration::from_millis(5));
        drop(raw);
        disconnected(&events);
        assert_eq!(next_attempt(&events).number, 1);
    }
    client.close();
}

#[test]
fn a_connection_that_is_closed_here_and_there_is_a_good_one() {
    let (server, _) = serve(0);
    let reconnect = quick().first_delay(Duration::from_millis(20)).max_attempts(2);
    let (client, events) = start(Client::builder().port(server.port()).reconnect(reconnect));
    for _ in 0..5 {
        connected(&events).close();
        disconnected(&events);
        assert_eq!(next_attempt(&events).number, 1);
    }
    client.close();
    server.close();
}

/// The system accepts, and takes what it gets: for somebody who is frozen.
#[test]
fn a_peer_that_gives_no_sign_of_life_is_a_failed_attempt() {
    let listener = listen(0);
    let builder = Client::builder().port(listener.local_addr().unwrap().port()).idle_timeout(Duration::from_millis(40));
    let (client, events) = start(builder.reconnect(quick().max_attempts(3)));
    for number in 1..=4 {
        connected(&events).send(b"are you there?").unwrap();
        assert!(matches!(disconnected(&events).cause, DisconnectCause::IdleTimeout { .. }));
        if number < 4 {
            assert_eq!(next_attempt(&events).number, number);
        }
    }
    assert!(matches!(failure(&events), Error::GaveUp { attempts: 3, .. }));
    assert!(client.wait_timeout(PATIENCE));
}

/// Where the writes of the server cannot block, so that it says that it refuses.
#[test]
fn not_to_be_let_in_is_a_failed_attempt() {
    let full = Net::Tcp.start_server(|builder| builder.max_connections(1));
    let _inside = full.raw();
    connected(&full.events);
    let sending = callback::closures().on_connect(|_, connection| drop(connection.send(b"m1")));
    let (callback, events) = recorder();
    let client = full.client().reconnect(quick().max_attempts(3)).callback((sending, callback)).build().unwrap();
    client.start(full.address(), true).unwrap();
    for number in 1..=4 {
        assert!(matches!(disconnected(&events).cause, DisconnectCause::NotLetIn));
        if number < 4 {
            assert_eq!(next_attempt(&events).number, number);
        }
    }
    assert!(matches!(failure(&events), Error::GaveUp { attempts: 3, .. }));
    assert!(client.wait_timeout(PATIENCE));
}

/// However long the end of its connection takes.
#[test]
fn a_server_that_says_goodbye_and_does_not_close_is_a_failed_attempt() {
    const FIRST: Duration = Duration::from_millis(400);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let mut open = Vec::new();
        for caller in listener.incoming() {
            let mut caller = caller.unwrap();
            // The test, when it is over.
            if caller.read_exact(&mut [0; 3]).is_err() {
                break;
            }
            caller.write_all(b"disconnect;").unwrap();
            open.push(caller);
        }
    });
    let sending = callback::closures().on_connect(|_, connection| drop(connection.send(b"m1")));
    let (callback, events) = recorder();
    let closing = leads_comm::Closing::new().drain_timeout(2 * FIRST);
    let reconnect = Reconnect::new().first_delay(FIRST).longest_delay(FIRST).max_attempts(3);
    let client = Client::builder().port(port).reconnect(reconnect).closing(closing).callback((sending, callback));
    let client = client.build().unwrap();
    client.start("127.0.0.1", true).unwrap();
    assert!(matches!(failure(&events), Error::GaveUp { attempts: 3, .. }));
    assert!(client.wait_timeout(PATIENCE));
    drop(TcpStream::connect(("127.0.0.1", port)).unwrap());
    server.join().unwrap();
}

#[test]
fn without_a_server_a_start_fails_unless_told_otherwise() {
    let client = Client::builder().port(free_port()).reconnect(quick()).build().unwrap();
    assert!(matches!(client.start("127.0.0.1", true), Err(Error::Connect { .. })));
    assert!(client.wait_timeout(PATIENCE));
    // The start may be tried again.
    let (server, server_events) = serve(client.port());
    client.start("127.0.0.1", true).unwrap();
    connected(&server_events);
    client.close();
    server.close();
}

#[test]
fn a_client_may_be_started_before_its_server() {
    for parallel in [true, false] {
        let port = free_port();
        let (callback, events) = recorder();
        let client = Client::builder().port(port).reconnect(quick().at_start(true)).callback(callback).build().unwrap();
        let starting = client.clone();
        let started = thread::spawn(move || starting.start("127.0.0.1", parallel));
        assert!(matches!(next(&events), Event::Initialize { .. }));
        // The first failure comes from the start, and is told all the same.
        assert!(matches!(next(&events), Event::Fail { error: Error::Connect { .. }, .. }));
        assert_eq!(next_attempt(&events).number, 1);
        assert_eq!(next_attempt(&events).number, 2);
        assert!(matches!(client.start("127.0.0.1", true), Err(Error::AlreadyStarted)));
        assert_eq!((client.num_connections(), client.connection(), client.port()), (0, None, port));
        assert!(matches!(client.send(b"m"), Err(Error::NotConnected)));
        let (server, server_events) = serve(port);
        connected(&events);
        client.send(b"at last").unwrap();
        assert_eq!(received(&server_events), b"at last");
        if !parallel {
            assert!(!started.is_finished());
        }
        client.close();
        in_time("the start", || started.join().unwrap()).unwrap();
        server.close();
    }
}

#[test]
fn a_callback_that_is_set_meanwhile_serves_from_the_next_connection_on() {
    let (server, server_events) = serve(0);
    let (client, events) = start(Client::builder().port(server.port()).reconnect(quick()));
    connected(&server_events);
    connected(&events);
    let (callback, new_events) = recorder();
    client.replace_callback(callback);
    server.broadcast(b"to the old one").unwrap();
    assert_eq!(received(&events), b"to the old one");
    connected_again(&client, &server_events);
    assert!(matches!(next(&new_events), Event::Reconnect { .. }));
    connected(&new_events);
    // The old one is told of the end of what it was told the beginning of, and is let go.
    assert!(matches!(events.iter().last(), Some(Event::Disconnect { .. })));
    client.close();
    server.close();
}

/// Ends the client's connection, and waits until the server has the next one.
fn connected_again(client: &Client, server_events: &Receiver<Event>) {
    client.connection().unwrap().close();
    connected(server_events);
}

#[test]
fn every_form_of_callback_is_told_of_attempts() {
    struct Counting(mpsc::Sender<&'static str>, &'static str);
    impl Callback for Counting {
        fn on_reconnect(&self, _: &dyn Service, _: &Attempt) {
            self.0.send(self.1).unwrap();
        }
    }
    let (tell, told) = mpsc::channel();
    let object = Counting(tell.clone(), "object");
    let shared = std::sync::Arc::new(Counting(tell.clone(), "arc"));
    let boxed: Box<dyn Callback> = Box::new(Counting(tell.clone(), "box"));
    let closure = callback::closures().on_reconnect(move |service, attempt| {
        assert_eq!((service.num_connections(), attempt.number), (0, 1));
        tell.send("closure").unwrap();
    });
    let (channel, events) = callback::channel(100);
    let (server, _) = serve(0);
    let all = ((object, shared), (boxed, (closure, channel)));
    let client = Client::builder().port(server.port()).reconnect(never()).callback(all).build().unwrap();
    client.start("127.0.0.1", true).unwrap();
    server.close();
    for name in ["object", "arc", "box", "closure"] {
        assert_eq!(told.recv_timeout(PATIENCE), Ok(name));
    }
    assert!(next_attempt(&events).delay > Duration::ZERO);
    client.close();
}

#[test]
fn a_panic_in_on_reconnect_is_told_and_changes_nothing() {
    expect_panics_in_callbacks();
    let (server, server_events) = serve(0);
    let (recording, events) = recorder();
    let panicking = callback::closures().on_reconnect(|_, _| panic!("on purpose"));
    let client =
        Client::builder().port(server.port()).reconnect(quick()).callback((panicking, recording)).build().unwrap();
    client.start("127.0.0.1", true).unwrap();
    connected(&server_events);
    for _ in 0..3 {
        connected(&events);
        connected_again(&client, &server_events);
        match failure(&events) {
            Error::CallbackPanicked { callback: "on_reconnect", message } => assert_eq!(message, "on purpose"),
            other => panic!("{other:?}"),
        }
    }
    client.close();
    server.close();
}

#[test]
fn a_panicking_connector_is_a_failed_attempt() {
    expect_panics_in_callbacks();
    let (server, _) = serve(0);
    let tries = AtomicUsize::new(0);
    let tcp = TcpConnector::new(server.port(), PATIENCE);
    let connector = move |address: &str| {
        assert!(tries.fetch_add(1, Ordering::Relaxed) % 2 == 0, "on purpose");
        tcp.connect(address)
    };
    let (client, events) = start(Client::builder().transport(connector).reconnect(quick()));
    connected(&events).close();
    assert!(matches!(failure(&events), Error::Connect { .. }));
    connected(&events);
    client.close();
    server.close();
}

/// Whoever keeps knocking at a port of its own machine where nobody listens is in time given that very port to call
/// from, and TCP then connects it to itself.
#[test]
#[cfg(target_os = "linux")]
fn nobody_is_connected_to_itself() {
    // Linux calls from the even ports first.
    let port = free_port() & !1;
    let connector = TcpConnector::new(port, PATIENCE);
    for _ in 0..40_000 {
        match connector.connect("127.0.0.1") {
            Ok(stream) => assert_ne!(stream.local_addr(), stream.peer_addr()),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused, "{error}"),
        }
    }
}

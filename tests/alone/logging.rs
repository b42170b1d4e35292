//! What is logged, and at which level; and that no byte of a message is, nor gets into an error or a reason.
//!
//! The logger belongs to the whole process, so that each test has one of its own.

use std::fmt;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use leads_comm::transport::{Keepalive, Stream, memory};
use leads_comm::{Closing, Connection, Error, Server, ServerBuilder, Timeouts, callback};
use leads_comm_testing::layer::{self, Layer};
use leads_comm_testing::logged::Turn;
use leads_comm_testing::*;
use log::Level;

#[test]
fn start_and_stop_are_information() {
    alone!();
    let turn = Turn::take();
    let started = Net::Tcp.start_server(|builder| builder);
    let address = started.addr().to_string();
    let port = started.addr().port().to_string();
    turn.assert_one(Level::Info, &["server", &address]);
    let (client, _events) = started.start_client();
    turn.assert_one(Level::Info, &["client", &address]);
    assert_eq!(turn.at(Level::Info).len(), 2);

    client.close();
    turn.assert_one(Level::Info, &["client", &port, "closed"]);
    assert_eq!(turn.at(Level::Info).len(), 3);
    started.server.close();
    turn.assert_one(Level::Info, &["server", &port, "closed"]);
    assert_eq!(turn.at(Level::Info).len(), 4);
}

/// Whether the system knows all that it is asked to do for a connection: Wine 8 counts no questions to a silent peer.
#[cfg(windows)]
fn knows_all_options() -> bool {
    use socket2::{Domain, Socket, TcpKeepalive, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(Duration::from_secs(15)).with_retries(3)).is_ok()
}

#[cfg(not(windows))]
fn knows_all_options() -> bool {
    true
}

over_every_transport! {
    fn an_undisturbed_life_is_of_no_concern(net: Net) {
        alone!();
        let turn = Turn::take();
        let started = net.start_server(|builder| builder);
        let (client, client_events) = started.start_client();
        let connection = connected(&started.events);
        let peer = connection.to_string();
        client.send(b"eleven byte").unwrap();
        assert_eq!(received(&started.events), b"eleven byte");
        connection.send(b"").unwrap();
        assert_eq!(received(&client_events), b"");
        client.close();
        started.server.close();

        turn.assert_one(Level::Debug, &[&peer, "opened"]);
        turn.assert_one(Level::Debug, &[&peer, "ended", "the peer said goodbye"]);
        turn.assert_one(Level::Debug, &["ended", "the service was closed"]);
        turn.assert_one(Level::Trace, &["11 bytes received", &peer]);
        // With the separator.
        turn.assert_one(Level::Trace, &["12 bytes accepted"]);
        turn.assert_one(Level::Trace, &["1 bytes accepted", &peer]);
        turn.assert_one(Level::Trace, &["0 bytes received"]);
        assert_eq!(turn.at(Level::Trace).len(), 4);
        let (refused, told): (Vec<_>, Vec<_>) =
            turn.at(Level::Debug).into_iter().partition(|line| line.contains("does not serve"));
        assert_eq!(told.len(), 4);
        assert!(refused.is_empty() || !knows_all_options(), "{refused:?}");
        assert_eq!(turn.at(Level::Info).len(), 4);
        assert_eq!((turn.at(Level::Warn), turn.at(Level::Error)), (vec![], vec![]));
    }

    fn a_peer_that_leaves_in_its_own_way_is_of_no_concern(net: Net) {
        alone!();
        let turn = Turn::take();
        let started = net.start_server(|builder| builder);
        let leave: [fn(Raw); 3] = [drop, Raw::reset, |raw| raw.write(b"unfinished")];
        for leave in leave {
            let raw = started.raw();
            let connection = connected(&started.events);
            // Peers of one process may have one name.
            let peer = format!("connection {} {connection} ", connection.id());
            leave(raw);
            let reason = disconnected(&started.events);
            turn.assert_one(Level::Debug, &[&peer, "ended", &format!("{reason:#}")]);
        }
        started.server.close();
        assert_eq!((turn.at(Level::Warn), turn.at(Level::Error)), (vec![], vec![]));
    }

    fn a_peer_dropped_for_cause_is_warned_of(net: Net) {
        alone!();
        expect_panics_in_callbacks();
        let turn = Turn::take();
        let (callback, events) = recorder();
        let faulty = callback::on_receive(|_, message| assert_ne!(message, b"panic", "as asked"));
        let started = net.start_server(|builder| {
            let builder = builder.callback((callback, faulty)).max_received_len(1000);
            let limited = builder.max_sent_len(1000).max_queued_bytes(64 * 1024);
            let closing = Closing::new().drain_timeout(Duration::from_millis(20));
            limited.timeouts(Timeouts::new().partial_message_timeout(Duration::from_millis(100))).closing(closing)
        });
        let causes: [fn(&Raw, &Connection); 4] = [
            |raw, _| raw.write(&[b'x'; 1001]),
            |raw, _| raw.write(b"panic;"),
            |_, connection| while connection.send(&[b'x'; 1000]).is_ok() {},
            |raw, _| raw.write(b"unfinished"),
        ];
        for (before, cause) in causes.into_iter().enumerate() {
            let raw = started.raw();
            let connection = connected(&events);
            cause(&raw, &connection);
            let reason = disconnected(&events);
            drop(raw);
            assert_eq!(turn.at(Level::Warn).len(), before + 1);
            turn.assert_one(Level::Warn, &[&connection.to_string(), &format!("{reason:#}")]);
        }
        started.server.close();
        assert_eq!(turn.at(Level::Warn).len(), 4);
        assert_eq!(turn.at(Level::Error), [""; 0]);
    }

    fn a_failure_is_warned_of_and_one_that_cannot_be_told_is_an_error(net: Net) {
        alone!();
        expect_panics_in_callbacks();
        let turn = Turn::take();
        let faulty = callback::closures().on_initialize(|_| panic!("first")).on_fail(|_, _| panic!("second"));
        let started = net.start_server(|builder| builder.callback(faulty));
        started.server.close();
        turn.assert_one(Level::Warn, &["server", "the callback on_initialize panicked: first"]);
        turn.assert_one(Level::Error, &["server", "on_fail", "second"]);
        assert_eq!((turn.at(Level::Warn).len(), turn.at(Level::Error).len()), (1, 1));
    }

    fn contents_appear_nowhere(net: Net) {
        alone!();
        expect_panics_in_callbacks();
        let turn = Turn::take();
        let mut told = Told::default();
        converse(net, &mut told);
        end_in_every_way(net, &mut told);

        turn.assert_one(Level::Trace, &["12 bytes received"]);
        let logged = turn.lines();
        assert!([Level::Warn, Level::Info, Level::Debug].iter().all(|level| !turn.at(*level).is_empty()));
        for text in told.texts.iter().chain(logged.iter().map(|line| &line.text)) {
            assert!(!gives_away(text), "{text}");
        }
    }
}

/// The system refuses to look after the peer.
struct Refusing;

impl Layer for Refusing {
    fn keep_alive(&self, _: &dyn Stream, _: Option<Keepalive>, _: Option<Duration>) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::PermissionDenied, "as asked"))
    }
}

#[test]
fn what_the_system_refuses_is_told_once_and_ends_nothing() {
    alone!();
    let turn = Turn::take();
    let (callback, events) = recorder();
    let (listener, connector) = memory::listener();
    let listener = layer::listener(listener, &Arc::new(Refusing));
    let server = Server::builder().transport(listener).callback(callback).build().unwrap();
    server.start(true).unwrap();
    for _ in 0..3 {
        let here = connector.open().unwrap();
        connected(&events);
        here.write_vectored(&[IoSlice::new(b"hello;")]).unwrap();
        assert_eq!(received(&events), b"hello");
        turn.assert_one(Level::Debug, &["the system does not serve", "as asked"]);
    }
    server.close();
    assert_eq!((turn.at(Level::Warn), turn.at(Level::Error)), (vec![], vec![]));
}

/// What must not be seen.
const SECRET: &[u8] = b"SECRET-4711";

/// Whether a text shows a part of the secret, in any form in which bytes are usually printed.
fn gives_away(text: &str) -> bool {
    let forms = ["SECRET", "-4711", "83, 69, 67", "45, 52, 55", "534543524554", "2d34373131", "2D34373131"];
    forms.iter().any(|part| text.contains(part))
}

#[test]
fn the_secret_is_recognised_in_every_form() {
    alone!();
    let shown = [
        format!("{:?}", SECRET),
        format!("{:02x?}", SECRET).replace(", ", ""),
        SECRET.escape_ascii().to_string(),
        String::from_utf8_lossy(&SECRET[..6]).into_owned(),
        String::from_utf8_lossy(&SECRET[6..]).into_owned(),
        format!("{:?}", &SECRET[6..]),
    ];
    for text in shown {
        assert!(gives_away(&text), "{text}");
    }
}

/// What a program was told, as it would print it.
#[derive(Default)]
struct Told {
    texts: Vec<String>,
}

impl Told {
    fn keep(&mut self, what: impl fmt::Display + fmt::Debug) {
        self.texts.push(format!("{what} {what:?} {what:#?}"));
    }

    fn keep_error<T>(&mut self, result: Result<T, Error>) {
        self.keep(result.err().expect("the secret was accepted"));
    }
}

/// Sends the secret in every way that works, and in every way that is refused.
fn converse(net: Net, told: &mut Told) {
    let started = net.start_server(impatient);
    let (client, client_events) = started.start_client();
    let connection = connected(&started.events);
    // A byte more, so that the length in its line is its own.
    client.send(&[SECRET, b"!"].concat()).unwrap();
    received(&started.events);
    connection.send(SECRET).unwrap();
    started.server.broadcast(SECRET).unwrap();
    started.server.broadcast_where(SECRET, |_| true).unwrap();
    for _ in 0..3 {
        assert_eq!(received(&client_events), SECRET);
    }

    let cut = [SECRET, b";", SECRET].concat();
    let too_long = SECRET.repeat(4_000_000);
    told.keep_error(connection.send(&cut));
    told.keep_error(connection.send(&too_long));
    told.keep_error(started.server.broadcast(&cut));
    told.keep_error(started.server.broadcast_where(&too_long, |_| true));
    client.close();
    told.keep_error(client.send(SECRET));
    told.keep(disconnected(&started.events));
    told.keep_error(connection.send(SECRET));
    told.texts.push(format!("{connection:?} {:?} {client:?} {client:#?}", started.server));
}

/// Lets connections end with the secret on its way: received in part, over the limit, or not sent.
fn end_in_every_way(net: Net, told: &mut Told) {
    let (callback, events) = recorder();
    let faulty = callback::on_receive(|_, _| panic!("as asked"));
    let started = net.start_server(|builder| impatient(builder).callback((callback, faulty)));
    // More than every buffer of the system holds, and less than the queue.
    let large = SECRET.repeat(90_000);
    let fill = |connection: &Connection| (0..28).for_each(|_| connection.send(&large).unwrap());
    let overfill = |connection: &Connection| {
        loop {
            if let Err(error) = connection.send(&large) {
                break error;
            }
        }
    };
    type Leave<'a> = &'a dyn Fn(Raw, &Connection) -> Option<Error>;
    let ways: [Leave<'_>; 6] = [
        &|raw, _| {
            raw.write(SECRET);
            None
        },
        &|raw, _| {
            raw.write(SECRET);
            raw.reset();
            None
        },
        &|raw, _| {
            raw.write(&SECRET.repeat(100));
            None
        },
        &|raw, _| {
            raw.write(SECRET);
            raw.write(b";");
            None
        },
        &|_raw, connection| Some(overfill(connection)),
        &|_raw, connection| {
            fill(connection);
            connection.abort();
            None
        },
    ];
    for way in ways {
        let raw = started.raw();
        let connection = connected(&events);
        if let Some(error) = way(raw, &connection) {
            told.keep(error);
        }
        told.keep(disconnected(&events));
        told.texts.push(format!("{connection:?}"));
    }

    // The server itself is closed while a peer reads nothing.
    let _raw = started.raw();
    let connection = connected(&events);
    fill(&connection);
    started.server.close();
    let reason = disconnected(&events);
    assert_ne!(reason.undelivered.unsent.messages, 0);
    told.keep(reason);
    told.texts.push(format!("{connection:?} {:?}", started.server));
}

/// A server that receives short messages only, has room for many long ones, and little patience.
fn impatient(builder: ServerBuilder) -> ServerBuilder {
    let (flush, close) = (Duration::from_millis(50), Duration::from_millis(100));
    builder
        .max_received_len(1000)
        .max_queued_bytes(32 * 1024 * 1024)
        .closing(Closing::new().flush_timeout(flush).close_timeout(close))
}

#[test]
fn a_server_that_is_only_built_says_nothing() {
    alone!();
    let turn = Turn::take();
    let server = Server::builder().port(0).build().unwrap();
    server.close();
    drop(server);
    assert_eq!(turn.lines(), []);
}

/// What a peer is called, and what a panic says, can neither begin a line nor hide in one.
#[test]
fn a_line_is_one_line_in_which_all_can_be_seen() {
    alone!();
    expect_panics_in_callbacks();
    struct Named;
    impl Layer for Named {
        fn peer(&self, _: &dyn Stream) -> String {
            "a\u{2028}b\u{202e}c".into()
        }
    }
    let turn = Turn::take();
    let (callback, events) = recorder();
    let (listener, connector) = memory::listener();
    let failing = callback::closures().on_fail(|_, _| panic!("one\ntwo\u{200b}"));
    let bomb = callback::closures().on_disconnect(|_, _, _| panic!("as asked"));
    let server = Server::builder()
        .transport(layer::listener(listener, &Arc::new(Named)))
        .callback((callback, bomb))
        .build()
        .unwrap();
    server.set_callback(failing);
    server.start(true).unwrap();
    drop(connector.open().unwrap());
    let shown = "a\\u{2028}b\\u{202e}c";
    assert_eq!(connected(&events).to_string(), shown);
    disconnected(&events);
    server.close();
    turn.assert_one(Level::Debug, &[shown, "opened"]);
    turn.assert_one(Level::Error, &["on_fail panicked: one\\ntwo\\u{200b}"]);
}

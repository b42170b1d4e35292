//! Every error and every reason for an end: how each comes about, what it tells, and how it reads.

use std::collections::VecDeque;
use std::error;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use leads_comm::callback::{self, Event};
use leads_comm::codec::{EncodeError, FramingError, MAX_SEPARATOR_LEN, SeparatorError};
use leads_comm::crossbeam_channel::Receiver;
use leads_comm::transport::tcp::ListenOptions;
use leads_comm::transport::{Listener, Stream, memory};
use leads_comm::{
    Client, Closing, Connection, DenialCause, Denied, DisconnectCause, DisconnectKind, DisconnectReason, Error,
    MemoryLimits, OutboundLimit, RefusalCause, RefusalKind, Server, Service, Timeouts, Undelivered,
};
use leads_comm_testing::layer::{self, Layer};
use leads_comm_testing::*;
use socket2::{Domain, Socket, Type};

/// A stack that no system has room for, so that the reader thread cannot be started. Half of what an address of 32 bits
/// can tell is free in a process.
const IMPOSSIBLE_STACK: usize = usize::MAX / 4 * 3;

/// Asserts that a text reads as one clause: one line, no capital at its beginning, no full stop at its end.
fn assert_one_clause(text: &impl fmt::Display) {
    let text = text.to_string();
    assert!(text.starts_with(|first: char| first.is_lowercase()), "{text:?}");
    assert!(!text.contains('\n') && !text.ends_with(['.', ' ']), "{text:?}");
}

/// Asserts how an error reads with what caused it.
fn assert_reads(error: &Error, text: &str) {
    assert_one_clause(error);
    assert_eq!(format!("{error:#}"), text);
    assert_eq!(chain(error), text);
}

/// What an error was caused by.
fn source<T: error::Error + 'static>(error: &Error) -> &T {
    error::Error::source(error).expect("no source").downcast_ref().expect("the source is something else")
}

/// The next failure that is told.
fn failed(events: &Receiver<Event>) -> Error {
    find(events, |event| match event {
        Event::Fail { error, .. } => Some(error),
        _ => None,
    })
}

#[test]
fn errors_and_reasons_can_be_kept_and_sent() {
    fn is_a_value<T: Clone + Send + Sync + 'static>() {}
    fn is_an_error<T: error::Error>() {}
    is_a_value::<Error>();
    is_an_error::<Error>();
    is_a_value::<DisconnectReason>();
    is_an_error::<DisconnectReason>();
    is_an_error::<DisconnectCause>();
    is_an_error::<RefusalCause>();
    is_an_error::<DenialCause>();
    // A large error would make every result large.
    assert!(size_of::<Error>() <= 64, "{}", size_of::<Error>());
}

#[test]
fn a_separator_is_refused_by_build() {
    let sixty_five = [b';'; MAX_SEPARATOR_LEN + 1];
    let refused: [(&[u8], _, _); 3] = [
        (b"", SeparatorError::Empty, "a separator needs at least one byte"),
        (&sixty_five, SeparatorError::TooLong { len: 65 }, "a separator of 65 bytes is over the limit of 64"),
        (
            b"disconnect",
            SeparatorError::CannotCarryGoodbye,
            "the goodbye `disconnect` cannot be framed with this separator",
        ),
    ];
    for (separator, expected, text) in refused {
        let server = Server::builder().separator(separator).build().map(drop);
        let client = Client::builder().separator(separator).build().map(drop);
        for error in [server.unwrap_err(), client.unwrap_err()] {
            assert!(matches!(error, Error::InvalidSeparator(cause) if cause == expected), "{error:?}");
            assert_eq!(source::<SeparatorError>(&error), &expected);
            assert_one_clause(&expected);
            assert_eq!(expected.to_string(), text);
            assert_reads(&error, &format!("invalid separator: {text}"));
        }
    }
}

#[test]
fn a_setting_is_refused_by_build_with_its_name() {
    let second = Duration::from_secs(1);
    let refused = [
        (Server::builder().max_received_len(9).build().map(drop), "max_received_len"),
        (Server::builder().max_sent_len(936).max_queued_bytes(1000).build().map(drop), "max_queued_bytes"),
        (Server::builder().max_sent_len(usize::MAX).build().map(drop), "max_queued_bytes"),
        (Server::builder().max_received_len(usize::MAX).build().map(drop), "memory_limits"),
        (Server::builder().timeouts(Timeouts::new().stall_timeout(Duration::ZERO)).build().map(drop), "timeouts"),
        (
            Server::builder().closing(Closing::new().flush_timeout(2 * second).close_timeout(second)).build().map(drop),
            "closing",
        ),
        (Server::builder().listen_options(ListenOptions::new().backlog(0)).build().map(drop), "listen_options"),
        (Client::builder().max_received_len(0).build().map(drop), "max_received_len"),
        (Client::builder().connect_timeout(Duration::ZERO).build().map(drop), "connect_timeout"),
    ];
    for (result, expected) in refused {
        match result {
            Err(error @ Error::InvalidSetting { setting, requirement }) => {
                assert_eq!(setting, expected);
                assert_reads(&error, &format!("invalid setting: {expected} {requirement}"));
                assert!(error::Error::source(&error).is_none());
            }
            other => panic!("{expected}: {other:?}"),
        }
    }
    // One byte less than what was refused, and everything else that is only just right.
    Server::builder().max_sent_len(935).max_queued_bytes(1000).build().unwrap();
    Server::builder()
        .closing(Closing::new().flush_timeout(second).close_timeout(second).drain_timeout(Duration::ZERO))
        .build()
        .unwrap();
    Server::builder()
        .max_received_len(10)
        .max_sent_len(10)
        .max_queued_bytes(75)
        .listen_options(ListenOptions::new().backlog(1))
        .build()
        .unwrap();
}

#[test]
fn a_call_without_an_answer_says_why() {
    let started = Net::Memory.start_server(|builder| builder);
    let client = started.start_client_with(());
    connected(&started.events);
    let call = move |time| client.call(b"request", |_| true, time).unwrap_err();
    let error = call(Duration::from_millis(2));
    assert!(matches!(error, Error::TimedOut { timeout } if timeout == Duration::from_millis(2)), "{error:?}");
    assert_reads(&error, "no answer has come within 2ms");
    let (told, refused) = std::sync::mpsc::channel();
    let within = callback::on_receive(move |connection, _| {
        told.send(connection.call(b"request", |_| true, Duration::MAX).unwrap_err()).unwrap();
    });
    let client = started.start_client_with(within);
    connected(&started.events).send(b"call now").unwrap();
    let error = refused.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(error, Error::WouldDeadlock), "{error:?}");
    assert_reads(&error, "a call cannot wait in a callback of its own connection");
    client.close();
}

#[test]
fn a_message_that_cannot_be_framed_is_refused() {
    let started = Net::Memory.start_server(|builder| builder.separator("aa"));
    let client = started.client().separator("aa").build().unwrap();
    client.start(started.address(), true).unwrap();
    let refused: [(&[u8], _, _); 3] = [
        (b"xyaaz", EncodeError::ContainsSeparator { at: 2 }, "the separator would split the message at byte 2"),
        (b"xya", EncodeError::ContainsSeparator { at: 2 }, "the separator would split the message at byte 2"),
        (b"disconnect", EncodeError::IsGoodbye, "the message is the reserved goodbye `disconnect`"),
    ];
    for (message, expected, text) in refused {
        let everyone = |_: &Connection| true;
        let errors = [
            client.send(message).unwrap_err(),
            client.connection().unwrap().send(message).unwrap_err(),
            started.server.broadcast(message).unwrap_err(),
            started.server.broadcast_where(message, everyone).unwrap_err(),
            started.server.check_message(message).unwrap_err(),
            client.check_message(message).unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error, Error::InvalidMessage(ref cause) if *cause == expected), "{error:?}");
            assert_eq!(source::<EncodeError>(&error), &expected);
            assert_one_clause(&expected);
            assert_eq!(expected.to_string(), text);
            assert_reads(&error, &format!("invalid message: {text}"));
        }
    }
    client.check_message(b"could be sent").unwrap();
    client.send(b"nothing of them was written").unwrap();
    assert_eq!(received(&started.events), b"nothing of them was written");
}

#[test]
fn a_message_that_no_queue_could_hold_is_refused() {
    let started = Net::Memory.start_server(|builder| builder.max_sent_len(935).max_queued_bytes(1000));
    let (_client, events) = started.start_client();
    let connection = connected(&started.events);
    // 64 bytes of overhead and the separator are charged as well.
    let longest = [b'x'; 935];
    for error in [connection.send(&[b'x'; 936]).unwrap_err(), started.server.broadcast(&[b'x'; 936]).unwrap_err()] {
        assert!(matches!(error, Error::MessageTooLong { len: 936, limit: 935 }), "{error:?}");
        assert_reads(&error, "a message of 936 bytes is over the limit of 935 bytes");
        assert!(error::Error::source(&error).is_none());
    }
    connection.send(&longest).unwrap();
    assert_eq!(received(&events), longest);
}

#[test]
fn what_is_asked_at_the_wrong_time_is_refused() {
    let (listener, connector) = memory::listener();
    let server = Server::builder().transport(listener).build().unwrap();
    let client = Client::builder().transport(connector.clone()).build().unwrap();

    let not_connected = client.send(b"m").unwrap_err();
    assert!(matches!(not_connected, Error::NotConnected), "{not_connected:?}");
    assert_reads(&not_connected, "the client is not connected");

    server.start(true).unwrap();
    let already_started = server.start(true).unwrap_err();
    assert!(matches!(already_started, Error::AlreadyStarted), "{already_started:?}");
    assert_reads(&already_started, "the service has been started before");

    client.start("the server", true).unwrap();
    let connection = client.connection().unwrap();
    connection.close();
    let disconnected = connection.send(b"m").unwrap_err();
    assert!(matches!(disconnected, Error::Disconnected), "{disconnected:?}");
    assert_reads(&disconnected, "the connection has ended");
    server.close();

    let never_started = Client::builder().transport(connector).build().unwrap();
    never_started.close();
    let closed = never_started.start("the server", true).unwrap_err();
    assert!(matches!(closed, Error::Closed), "{closed:?}");
    assert_reads(&closed, "the service has been closed");
    for error in [not_connected, already_started, disconnected, closed] {
        assert!(error::Error::source(&error).is_none());
    }
}

over_every_transport! {
    fn a_peer_that_reads_too_slowly_is_an_error_to_the_sender(net: Net) {
        let started = net.start_server(|builder| builder.max_sent_len(1000).max_queued_bytes(10_000));
        let raw = started.raw();
        let connection = connected(&started.events);
        let error = loop {
            if let Err(error) = connection.send(&[b'x'; 1000]) {
                break error;
            }
        };
        assert!(matches!(error, Error::SlowConsumer { limit: OutboundLimit::QueuedBytes(10_000) }), "{error:?}");
        assert_reads(&error, "the peer reads too slowly: more than 10000 bytes are waiting for it");
        assert!(error::Error::source(&error).is_none());
        drop(raw);
    }

    fn a_caller_without_a_thread_is_sent_away_and_the_server_goes_on(net: Net) {
        let started = net.start_server(|builder| builder.memory_limits(MemoryLimits::new().reader_stack(IMPOSSIBLE_STACK)));
        for number in 1..=3 {
            let client = started.client().build().unwrap();
            // May come too late to see the connection.
            let _ = client.start(started.address(), true);
            assert!(client.wait_timeout(PATIENCE), "the client is not sent away");
            if number > 1 {
                continue;
            }
            let error = failed(&started.events);
            match &error {
                Error::Refused { callers: 1, cause: RefusalCause::NoThread { source: system } } => {
                    let cause_of_cause = error::Error::source(source::<RefusalCause>(&error));
                    assert_eq!(cause_of_cause.unwrap().downcast_ref::<io::Error>().unwrap().kind(), system.kind());
                    assert_reads(&error, &format!("a caller was refused: no thread left: {system}"));
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(started.server.num_connections(), 0);
        }
        started.server.close();
        // The others are told of later, and together.
        let others = started.events.try_iter().map(|event| match event {
            Event::Fail { error: Error::Refused { callers, cause: RefusalCause::NoThread { .. } }, .. } => callers,
            other => panic!("{other:?}"),
        });
        assert_eq!(others.sum::<u64>(), 2);
    }

    fn a_client_without_a_thread_does_not_start(net: Net) {
        let started = net.start_server(|builder| builder);
        let client = started.client().memory_limits(MemoryLimits::new().reader_stack(IMPOSSIBLE_STACK)).build().unwrap();
        let error = client.start(started.address(), true).unwrap_err();
        assert!(matches!(&error, Error::SpawnThread { name, .. } if name.contains("-rd-1 ")), "{error:?}");
        source::<io::Error>(&error);
        assert!(matches!(client.send(b"m"), Err(Error::NotConnected)));
        assert!(client.wait_timeout(PATIENCE));
        // The next one is accepted behind it, and is alone then.
        let (_next, next_events) = started.start_client();
        let next = connected(&next_events);
        next.send(b"behind it").unwrap();
        assert_eq!(received(&started.events), b"behind it");
        until("the server is rid of it", || started.server.num_connections() == 1);
    }
}

#[test]
fn a_server_whose_port_is_in_use_starts_once_it_is_free() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap();
    let server = Server::builder().port(taken.port()).build().unwrap();
    for parallel in [true, false] {
        let error = server.start(parallel).unwrap_err();
        match &error {
            Error::Bind { address, source: cause } => {
                assert_eq!(*address, taken.to_string());
                assert_eq!(source::<io::Error>(&error).kind(), io::ErrorKind::AddrInUse);
                assert_reads(&error, &format!("cannot listen on {taken}: {cause}"));
            }
            other => panic!("{other:?}"),
        }
    }
    drop(holder);
    // Another program may take the port for a moment.
    until("the server starts", || server.start(true).is_ok());
    assert_eq!(server.local_addr(), Some(taken));
    server.close();
}

#[test]
fn a_client_whose_server_is_not_there_starts_once_it_is() {
    // Bound, so that nobody else listens there, and not listening.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    let client = Client::builder().port(port).build().unwrap();
    for parallel in [true, false] {
        let error = client.start("127.0.0.1", parallel).unwrap_err();
        match &error {
            Error::Connect { address, source: cause } => {
                assert_eq!(*address, format!("127.0.0.1:{port}"));
                assert_eq!(source::<io::Error>(&error).kind(), io::ErrorKind::ConnectionRefused);
                assert_reads(&error, &format!("cannot connect to 127.0.0.1:{port}: {cause}"));
            }
            other => panic!("{other:?}"),
        }
    }
    socket.listen(1).unwrap();
    client.start("127.0.0.1", true).unwrap();
    client.send(b"here at last").unwrap();
    client.close();
}

#[test]
fn a_connectors_own_errors_are_kept() {
    let (listener, connector) = memory::listener();
    drop(listener);
    let client = Client::builder().transport(connector).build().unwrap();
    let error = client.start("the listener that is gone", true).unwrap_err();
    assert_eq!(source::<io::Error>(&error).kind(), io::ErrorKind::ConnectionRefused);

    let connector = |address: &str| -> io::Result<Box<dyn Stream>> { Err(io::Error::other(format!("no {address}"))) };
    let client = Client::builder().transport(connector).build().unwrap();
    let error = client.start("carrier pigeon", true).unwrap_err();
    assert_reads(&error, "cannot connect to carrier pigeon: no carrier pigeon");
}

/// Accepting fails a few times before it goes on.
struct Failing(Mutex<VecDeque<fn() -> io::Error>>);

impl Layer for Failing {
    fn accept(&self, listener: &dyn Listener) -> io::Result<Option<Box<dyn Stream>>> {
        let failure = self.0.lock().unwrap().pop_front();
        match failure {
            Some(failure) => Err(failure()),
            None => listener.accept(),
        }
    }
}

#[test]
fn a_server_goes_on_when_accepting_fails_and_tells_unless_it_was_the_callers_affair() {
    expect_panics_in_callbacks();
    let (listener, connector) = memory::listener();
    let failures: [fn() -> io::Error; 6] = [
        || io::ErrorKind::OutOfMemory.into(),
        || io::ErrorKind::ConnectionAborted.into(),
        || io::ErrorKind::PermissionDenied.into(),
        || io::ErrorKind::Interrupted.into(),
        || panic!("as asked"),
        || io::ErrorKind::ResourceBusy.into(),
    ];
    let listener = layer::listener(listener, &Arc::new(Failing(Mutex::new(failures.into()))));
    let (callback, events) = recorder();
    let server = Server::builder().transport(listener).callback(callback).build().unwrap();
    server.start(true).unwrap();
    let client = Client::builder().transport(connector).build().unwrap();
    client.start("the server", true).unwrap();
    client.send(b"accepted in the end").unwrap();

    assert!(matches!(next(&events), Event::Initialize { .. }));
    let (first, second) = (io::ErrorKind::OutOfMemory, io::ErrorKind::PermissionDenied);
    for kind in [first, second, io::ErrorKind::Other, io::ErrorKind::ResourceBusy] {
        match next(&events) {
            Event::Fail { error: error @ Error::Accept { .. }, .. } => {
                assert_eq!(source::<io::Error>(&error).kind(), kind);
                assert_one_clause(&error);
                assert_eq!(error.to_string(), "cannot accept a connection");
                assert!(chain(&error).starts_with("cannot accept a connection: "), "{error:#}");
            }
            other => panic!("expected {kind}, got {other:?}"),
        }
    }
    assert!(matches!(next(&events), Event::Connect { .. }));
    assert_eq!(received(&events), b"accepted in the end");
    client.close();
    server.close();
}

#[test]
fn a_panic_that_ends_no_connection_is_told() {
    expect_panics_in_callbacks();
    let (callback, events) = recorder();
    let panics = callback::closures().on_initialize(|_| panic!("as asked"));
    let started = Net::Memory.start_server(|builder| builder.callback((panics, callback)));
    let error = failed(&events);
    assert!(matches!(&error, Error::CallbackPanicked { callback: "on_initialize", message } if message == "as asked"));
    assert_reads(&error, "the callback on_initialize panicked: as asked");
    assert!(error::Error::source(&error).is_none());
    drop(started);
}

/// Every kind once, in the order of [`DisconnectKind::ALL`].
fn causes(io: &Arc<io::Error>) -> Vec<(DisconnectCause, &'static str)> {
    let message = || "as asked\nand more".to_owned();
    let time = Duration::from_millis(1500);
    vec![
        (DisconnectCause::PeerGoodbye, "the peer said goodbye"),
        (DisconnectCause::NotLetIn, "the server did not let the client in"),
        (DisconnectCause::PeerClosed, "the peer closed the stream without goodbye"),
        (DisconnectCause::Truncated, "the stream was cut off"),
        (DisconnectCause::LocalClose, "the connection was closed here"),
        (DisconnectCause::LocalAbort, "the connection was aborted here"),
        (DisconnectCause::ServiceClosed, "the service was closed"),
        (DisconnectCause::MessageTooLong { limit: 100 }, "the peer sent a message over the limit of 100 bytes"),
        (
            DisconnectCause::MalformedFrame { source: FramingError::new("a zero in it\nat 3") },
            "the peer sent what is no frame: a zero in it",
        ),
        (DisconnectCause::PartialMessageTimeout { timeout: time }, "the peer did not finish a message within 1.5s"),
        (DisconnectCause::IdleTimeout { timeout: time }, "nothing arrived from the peer for 1.5s"),
        (
            DisconnectCause::TotalUnfinishedBytes { limit: 100 },
            "the unfinished messages of all peers together need more than 100 bytes",
        ),
        (
            DisconnectCause::SlowConsumer { limit: OutboundLimit::QueuedBytes(4096) },
            "the peer reads too slowly: more than 4096 bytes are waiting for it",
        ),
        (
            DisconnectCause::CallbackPanicked { callback: "on_receive", message: message() },
            "the callback on_receive panicked: as asked",
        ),
        (DisconnectCause::ServiceFailed { message: message() }, "the service failed: as asked"),
        (DisconnectCause::Io { source: Arc::clone(io) }, "the stream failed: reset by somebody"),
    ]
}

#[test]
fn reasons_read_with_their_facts() {
    let none = Undelivered::default();
    let mut both = none;
    both.unfinished_bytes = 3;
    both.unsent.messages = 2;
    both.unsent.bytes = 15;
    let lost = ", 3 bytes of an unfinished message discarded, 2 messages (15 bytes) unsent";
    let reset = Arc::new(io::Error::other("reset by somebody"));
    let causes = causes(&reset);
    let kinds: Vec<_> = causes.iter().map(|(cause, _)| cause.kind()).collect();
    assert_eq!(kinds, DisconnectKind::ALL);
    for (cause, text) in causes {
        assert_eq!((chain(&cause), format!("{cause:#}")), (text.to_owned(), text.to_owned()));
        for (undelivered, lost) in [(none, ""), (both, lost)] {
            let reason = DisconnectReason::new(cause.clone(), undelivered);
            assert_eq!((reason.kind(), reason.undelivered), (cause.kind(), undelivered));
            assert_eq!(format!("{reason:#}"), format!("{text}{lost}"));
            chain(&reason);
            assert_one_clause(&reason);
            // The stream's failure, and what the program says of a frame, was caused by something.
            let source = error::Error::source(&reason).map(ToString::to_string);
            assert_eq!(source, error::Error::source(&cause).map(ToString::to_string));
            assert_eq!(
                source,
                match &cause {
                    DisconnectCause::Io { source } => Some(source.to_string()),
                    DisconnectCause::MalformedFrame { source } => Some(source.to_string()),
                    _ => None,
                }
            );
        }
    }
    let reason = DisconnectReason::new(DisconnectCause::Io { source: reset }, none);
    assert!(error::Error::source(&reason).unwrap().is::<io::Error>());
}

/// What peers and programs have written can neither begin a line nor hide in one.
#[test]
fn texts_of_others_are_shown_in_one_line_in_which_all_can_be_seen() {
    let forged = "a\u{2028}b\u{202e}c\u{200b}d\te\u{feff}f\u{e0041}\u{e9} \u{4e2d} \\";
    let shown = "a\\u{2028}b\\u{202e}c\\u{200b}d\\te\\u{feff}f\\u{e0041}\u{e9} \u{4e2d} \\";
    let source = || Arc::new(io::Error::other(forged));
    let (name, message) = (|| forged.to_owned(), || format!("{forged}\nsecond line"));
    let texts = [
        format!("{}", Error::Bind { address: name(), source: source() }),
        format!("{}", Error::Connect { address: name(), source: source() }),
        format!("{}", Error::GaveUp { address: name(), attempts: 1 }),
        format!("{}", Error::GaveUp { address: name(), attempts: 2 }),
        format!("{:#}", Error::Accept { source: source() }),
        format!("{}", Error::SpawnThread { name: name(), source: source() }),
        format!("{}", Error::ServiceFailed { name: name(), message: "failed".into() }),
        format!("{}", Error::ServiceFailed { name: "name".into(), message: message() }),
        format!("{}", Error::CallbackPanicked { callback: "on_fail", message: message() }),
        format!("{}", DisconnectCause::CallbackPanicked { callback: "on_receive", message: message() }),
        format!("{}", DisconnectCause::ServiceFailed { message: message() }),
        format!("{:#}", DisconnectCause::Io { source: source() }),
        format!("{:#}", DisconnectReason::new(DisconnectCause::Io { source: source() }, Undelivered::default())),
        format!("{:#}", RefusalCause::HandshakeFailed { source: source() }),
        format!("{:#}", DenialCause::ByProgram(Denied::new(message()))),
        format!("{}", Denied::new(message())),
    ];
    for text in texts {
        assert!(text.contains(shown), "{text:?}");
        assert_eq!(text.lines().count(), 1, "{text:?}");
    }
}

#[test]
fn what_was_lost_reads_as_one_or_many() {
    let mut lost = Undelivered::default();
    lost.unsent.messages = 1;
    lost.unsent.bytes = 7;
    lost.dropped.messages = 3;
    lost.dropped.bytes = 24;
    let reason = DisconnectReason::new(DisconnectCause::LocalAbort, lost);
    let text = "the connection was aborted here, 1 message (7 bytes) unsent, 3 messages (24 bytes) dropped";
    assert_eq!(reason.to_string(), text);
}

#[test]
fn refusals_read_with_their_facts() {
    let io = Arc::new(io::Error::other("the system says no"));
    let source = || Arc::clone(&io);
    // Every kind once, in the order of `RefusalKind::ALL`.
    let causes = [
        (RefusalCause::MaxConnections { limit: 2 }, "the limit on connections is 2"),
        (RefusalCause::MaxConnectionsPerAddress { limit: 2 }, "the limit on connections from one address is 2"),
        (RefusalCause::MaxHandshakes { limit: 2 }, "the limit on callers on their way in is 2"),
        (RefusalCause::NotAdmitted, "not admitted by the program"),
        (RefusalCause::NoDescriptor { source: source() }, "no descriptor left: the system says no"),
        (RefusalCause::NoThread { source: source() }, "no thread left: the system says no"),
        (RefusalCause::HandshakeFailed { source: source() }, "the handshake failed: the system says no"),
        (
            RefusalCause::HandshakeTimeout { timeout: Duration::from_millis(1500) },
            "the handshake or the first message took longer than 1.5s",
        ),
        (
            RefusalCause::NotAuthenticated { cause: DenialCause::WrongToken },
            "not authenticated: its first message is not the token",
        ),
        (
            RefusalCause::TooManyFailures { limit: 5 },
            "5 callers from its address were not authenticated a short while ago",
        ),
    ];
    let kinds: Vec<_> = causes.iter().map(|(cause, _)| cause.kind()).collect();
    assert_eq!(kinds, RefusalKind::ALL);
    for (cause, text) in causes {
        assert_eq!((chain(&cause), format!("{cause:#}")), (text.to_owned(), text.to_owned()));
        let source = error::Error::source(&cause);
        let kind = cause.kind();
        match kind {
            RefusalKind::NoDescriptor | RefusalKind::NoThread | RefusalKind::HandshakeFailed => {
                assert!(source.unwrap().is::<io::Error>(), "{kind}");
            }
            RefusalKind::NotAuthenticated => assert!(source.unwrap().is::<DenialCause>(), "{kind}"),
            _ => assert!(source.is_none(), "{kind}"),
        }
        let error = Error::Refused { callers: 1, cause };
        assert_reads(&error, &format!("a caller was refused: {text}"));
        assert_eq!(self::source::<RefusalCause>(&error).kind(), kind);
    }
}

#[test]
fn denials_read_with_their_facts() {
    let io = Arc::new(io::Error::other("reset by somebody"));
    let causes = [
        (DenialCause::WrongToken, "its first message is not the token"),
        (DenialCause::ByProgram(Denied::new("too old\nby far")), "denied by the program: too old"),
        (DenialCause::AuthenticatorPanicked, "the authenticator panicked"),
        (DenialCause::MessageTooLong { limit: 4096 }, "its first message is longer than 4096 bytes"),
        (
            DenialCause::MalformedFrame { source: FramingError::new("a zero in it") },
            "its first message is no frame: a zero in it",
        ),
        (DenialCause::Goodbye, "it said goodbye first"),
        (DenialCause::Closed { unfinished_bytes: 3 }, "its stream ended 3 bytes into its first message"),
        (DenialCause::Io { source: io }, "its stream failed before its first message: reset by somebody"),
    ];
    for (cause, text) in causes {
        assert_eq!((chain(&cause), format!("{cause:#}")), (text.to_owned(), text.to_owned()));
        assert_one_clause(&cause);
        let source = error::Error::source(&cause);
        match &cause {
            DenialCause::ByProgram(denied) => {
                assert_eq!(denied.text(), "too old\nby far");
                assert!(source.unwrap().is::<Denied>());
            }
            DenialCause::Io { .. } => assert!(source.unwrap().is::<io::Error>()),
            DenialCause::MalformedFrame { .. } => assert!(source.unwrap().is::<FramingError>()),
            _ => assert!(source.is_none(), "{cause}"),
        }
    }
}

#[test]
fn what_is_told_of_an_end_can_be_asked_for_later() {
    let started = Net::Memory.start_server(|builder| builder);
    let raw = started.raw();
    let connection = connected(&started.events);
    assert!(connection.disconnect_reason().is_none());
    raw.write(b"part");
    // Nine bytes more than the stream takes, then the separator; and a message behind them.
    connection.send(&vec![b'x'; net::memory::capacity() + 9]).unwrap();
    connection.send(b"lost").unwrap();
    drop(raw);
    let reason = disconnected(&started.events);
    let Undelivered { unfinished_bytes, unsent, .. } = reason.undelivered;
    assert_eq!((unfinished_bytes, unsent.messages, unsent.bytes), (4, 2, 15));
    assert!(reason.to_string().ends_with(", 4 bytes of an unfinished message discarded, 2 messages (15 bytes) unsent"));
    assert_eq!(connection.disconnect_reason().unwrap().to_string(), reason.to_string());
}

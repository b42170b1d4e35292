//! Servers and clients over TLS, where it makes a difference to them.

use std::io::Write;
use std::net::TcpStream;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::callback::{self, Event};
use leads_comm::crossbeam_channel::Receiver;
use leads_comm::transport::memory;
use leads_comm::transport::tls::rustls;
use leads_comm::{
    Caller, Client, DisconnectCause, DisconnectKind, Error, RefusalCause, RefusalKind, Server, SlowConsumer, Timeouts,
};

use leads_comm_testing::certificates::Pki;
use leads_comm_testing::figures::p99;
use leads_comm_testing::net::Net;
use leads_comm_testing::{PATIENCE, connected, disconnected, in_time, number_of, numbered, received, recorder, until};

#[test]
fn a_stream_that_is_cut_off_is_truncated_unless_the_goodbye_was_said() {
    let pki = Pki::new();
    let (events, heard) = recorder();
    let server = Server::builder().port(0).tls(pki.server()).callback(events).build().unwrap();
    server.start(true).unwrap();
    for said in [&b"first;"[..], b"first;seco", b"disconnect;"] {
        let raw = Raw::connect(&server, &pki);
        connected(&heard);
        raw.write(said);
        raw.cut();
        let reason = disconnected(&heard);
        let kind = if said == b"disconnect;" { DisconnectKind::PeerGoodbye } else { DisconnectKind::Truncated };
        assert_eq!(reason.kind(), kind, "{reason}");
        if said.ends_with(b"seco") {
            assert_eq!(reason.undelivered.unfinished_bytes, 4);
        }
    }
    assert_eq!(server.stats().ended.get(DisconnectKind::Truncated), 2);
    server.close();
}

/// A client of TLS whose stream can be ended below.
struct Raw {
    stream: leads_comm::transport::tls::TlsStream,
    socket: TcpStream,
}

impl Raw {
    fn connect(server: &Server, pki: &Pki) -> Self {
        use leads_comm::transport::Stream;
        let socket = TcpStream::connect(server.local_addr().unwrap()).unwrap();
        let below = leads_comm::transport::tcp::TcpStream::new(socket.try_clone().unwrap()).unwrap();
        let name = "localhost".try_into().unwrap();
        let stream = leads_comm::transport::tls::TlsStream::client(Box::new(below), &pki.client(), name).unwrap();
        stream.handshake().unwrap();
        Self { stream, socket }
    }

    fn write(&self, bytes: &[u8]) {
        super::pairs::write_all(&self.stream, bytes).unwrap();
    }

    fn cut(&self) {
        self.socket.shutdown(std::net::Shutdown::Write).unwrap();
    }
}

/// Whoever is turned away in the middle of it sees a regular end as well, behind the goodbye.
#[test]
fn who_is_not_let_in_before_the_server_closes_is_not_cut_off() {
    let pki = Pki::new();
    let (asked, asking) = mpsc::channel();
    let (decide, decided) = mpsc::channel::<()>();
    let decided = std::sync::Mutex::new(decided);
    let server = Server::builder().port(0).tls(pki.server()).authenticate(move |_: &Caller<'_>, _: &[u8]| {
        asked.send(()).unwrap();
        let _ = decided.lock().unwrap().recv_timeout(PATIENCE);
        Ok(())
    });
    let server = server.build().unwrap();
    server.start(true).unwrap();
    let raw = Raw::connect(&server, &pki);
    raw.write(b"me;");
    asking.recv_timeout(PATIENCE).unwrap();
    let closing = thread::spawn(move || server.close());
    let read = in_time("the end", move || super::pairs::read_exact(&raw.stream, 100, 100));
    drop(decide);
    closing.join().unwrap();
    assert_eq!(read.unwrap(), b"disconnect;");
}

#[test]
fn a_regular_close_is_no_truncation_on_either_side() {
    for by_server in [true, false] {
        let started = Net::Tls.start_server(|builder| builder);
        let (client, client_events) = started.start_client();
        let connection = connected(&started.events);
        for number in 0..1000 {
            client.send(&numbered(number, 100)).unwrap();
            connection.send(&numbered(number, 100)).unwrap();
        }
        if by_server {
            connection.close();
        } else {
            client.close();
        }
        for events in [&started.events, &client_events] {
            let kinds = [DisconnectKind::PeerGoodbye, DisconnectKind::LocalClose, DisconnectKind::ServiceClosed];
            let reason = disconnected(events);
            assert!(kinds.contains(&reason.kind()), "{reason}");
            assert_eq!(reason.undelivered.unfinished_bytes, 0, "{reason}");
        }
    }
}

/// The messages that are dropped are those that nothing has been encrypted of.
#[test]
fn what_is_dropped_for_a_stalled_peer_leaves_the_stream_whole() {
    let started = Net::Tls.start_server(|builder| {
        builder.slow_consumer(SlowConsumer::DropOldest).max_sent_len(100_000).max_queued_bytes(500_000)
    });
    let raw = started.stalled();
    let connection = connected(&started.events);
    let mut sent = 0;
    while connection.dropped_messages() < 100 {
        connection.send(&numbered(sent, 20 + sent * 7919 % 60_000)).unwrap();
        sent += 1;
    }
    let messages = raw.into_messages();
    let mut last = None;
    while last != Some(sent - 1) {
        let number = number_of(&messages.recv_timeout(PATIENCE).expect("the newest does not come"));
        assert!(last.is_none_or(|last| last < number), "{number} after {last:?}");
        last = Some(number);
    }
}

#[test]
fn a_close_under_load_ends_in_time() {
    let started = Net::Tls.start_server(|builder| builder.slow_consumer(SlowConsumer::Block(Duration::from_secs(5))));
    let clients: Vec<_> = (0..4).map(|_| started.start_client().0).collect();
    (0..4).for_each(|_| drop(connected(&started.events)));
    let senders: Vec<_> = clients
        .iter()
        .cloned()
        .map(|client| thread::spawn(move || while client.send(&[b'a'; 10_000]).is_ok() {}))
        .collect();
    let server = started.server.clone();
    let broadcasting = thread::spawn(move || while server.broadcast(&[b'b'; 10_000]).is_ok_and(|count| count > 0) {});
    until("everybody is sending", || started.server.stats().traffic.received.messages > 100);
    let server = started.server.clone();
    in_time("the close", move || server.close());
    in_time("the senders", move || {
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        broadcasting.join().unwrap();
    });
    clients.iter().for_each(Client::close);
}

#[test]
fn whatever_is_below_serves() {
    let pki = Pki::new();
    let talk = |server: Server, client: Client, address: &str, heard: &Receiver<Event>| {
        server.start(true).unwrap();
        client.start(address, true).unwrap();
        client.send(b"hello").unwrap();
        assert_eq!(received(heard), b"hello");
        assert_eq!(server.connections()[0].peer_certificates(), [pki.client.der()]);
        client.close();
        server.close();
    };
    let named = || pki.mutual_client().server_name("localhost").unwrap();
    let (events, heard) = recorder();
    let (listener, connector) = memory::listener();
    talk(
        Server::builder().transport(listener).tls(pki.mutual_server()).callback(events).build().unwrap(),
        Client::builder().transport(connector).tls(named()).build().unwrap(),
        "",
        &heard,
    );
    #[cfg(unix)]
    {
        let path = leads_comm_testing::net::unix::free_path();
        let (events, heard) = recorder();
        talk(
            Server::builder().unix(&path).tls(pki.mutual_server()).callback(events).build().unwrap(),
            Client::builder().unix().tls(named()).build().unwrap(),
            path.to_str().unwrap(),
            &heard,
        );
    }
    let (events, heard) = recorder();
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    talk(
        Server::builder().listener(socket).tls(pki.mutual_server()).callback(events).build().unwrap(),
        Client::builder().port(port).tls(pki.mutual_client()).build().unwrap(),
        "localhost",
        &heard,
    );
}

#[test]
fn a_token_goes_through_tls() {
    let started = Net::Tls.start_server(|builder| builder.token("secret"));
    let good = started.client().token("secret").build().unwrap();
    good.start(started.address(), true).unwrap();
    connected(&started.events);
    let (events, heard) = recorder();
    let bad = started.client().token("guessed").callback(events).build().unwrap();
    assert!(matches!(bad.start(started.address(), true), Err(Error::NotLetIn { .. })));
    assert_eq!(heard.try_iter().count(), 0);
    good.close();
    // What the server's TLS says by itself is no answer of one that cannot be asked.
    let open = Net::Tls.start_server(|builder| builder);
    let client = open.client().token("secret").build().unwrap();
    client.start(open.address(), true).unwrap();
    client.send(b"m1").unwrap();
    assert_eq!([received(&open.events), received(&open.events)], [b"secret".to_vec(), b"m1".to_vec()]);
    client.close();
}

/// In TLS 1.3 a client hears of that when it believes itself connected.
#[test]
fn a_client_with_a_token_and_no_certificate_is_told_and_sends_nothing() {
    let pki = Pki::new();
    let (events, heard) = recorder();
    let server = Server::builder().port(0).tls(pki.mutual_server()).token("secret").callback(events).build().unwrap();
    server.start(true).unwrap();
    for _ in 0..20 {
        let (events, told) = recorder();
        let client = Client::builder().port(server.port()).tls(pki.client()).token("secret").callback(events);
        let client = client.build().unwrap();
        let error = client.start("127.0.0.1", true).unwrap_err();
        assert!(matches!(error, Error::Connect { .. }), "{error:#}");
        assert_eq!(told.try_iter().count(), 0);
    }
    server.close();
    assert!(heard.try_iter().all(|event| !matches!(event, Event::Connect { .. } | Event::Receive { .. })));
}

/// S2.
#[test]
fn silent_handshakes_keep_nobody_waiting_and_end_at_their_deadline() {
    const SILENT: usize = 200;
    const GOOD: usize = 50;
    let time = Duration::from_secs(5);
    let pki = Pki::new();
    let (events, heard) = recorder();
    let echo = callback::on_receive(|connection, message| drop(connection.send(message)));
    let server = Server::builder()
        .port(0)
        .tls(pki.mutual_server())
        .timeouts(Timeouts::new().handshake_timeout(time))
        .max_handshakes(SILENT + GOOD)
        .callback((echo, events))
        .build()
        .unwrap();
    server.start(true).unwrap();
    let begun = Instant::now();
    let (ended, ends) = mpsc::channel();
    let silent: Vec<_> = (0..SILENT).map(|_| TcpStream::connect(server.local_addr().unwrap()).unwrap()).collect();
    for mut socket in silent {
        let ended = ended.clone();
        thread::Builder::new()
            .stack_size(64 * 1024)
            .spawn(move || {
                let begun = Instant::now();
                let _ = std::io::Read::read(&mut socket, &mut [0; 64]);
                ended.send(begun.elapsed()).unwrap();
            })
            .unwrap();
    }
    let served: Vec<_> = (0..GOOD)
        .map(|_| {
            let begun = Instant::now();
            let (events, heard) = recorder();
            let client =
                Client::builder().port(server.port()).tls(pki.mutual_client()).callback(events).build().unwrap();
            client.start("127.0.0.1", true).unwrap();
            client.send(b"hello").unwrap();
            assert_eq!(received(&heard), b"hello");
            let time = begun.elapsed();
            client.close();
            time
        })
        .collect();
    let all_served = begun.elapsed();
    let silent: Vec<_> = (0..SILENT).map(|_| ends.recv_timeout(2 * PATIENCE).expect("a silent one stays")).collect();
    until("the silent ones are counted", || {
        server.stats().callers_refused.get(RefusalKind::HandshakeTimeout) == SILENT as u64
    });
    server.close();
    let (first, last) = (silent.iter().min().unwrap(), silent.iter().max().unwrap());
    println!(
        "S2: {GOOD} served beside {SILENT} silent, p99 {:?}, all within {all_served:?}; silent ended after {first:?} to {last:?}",
        p99(served),
    );
    assert!(*first > time / 2, "ended too early, after {first:?}");
    let callers: u64 = heard
        .try_iter()
        .map(|event| match event {
            Event::Fail { error: Error::Refused { callers, cause }, .. } => {
                assert!(matches!(cause, RefusalCause::HandshakeTimeout { .. }), "{cause}");
                callers
            }
            _ => 0,
        })
        .sum();
    assert_eq!(callers, SILENT as u64);
}

/// Finds certificates for those who ask for this machine by its name, and panics about everybody else.
#[derive(Debug)]
struct Panicking(Arc<rustls::sign::CertifiedKey>);

impl rustls::server::ResolvesServerCert for Panicking {
    fn resolve(&self, hello: rustls::server::ClientHello<'_>) -> Option<Arc<rustls::sign::CertifiedKey>> {
        assert_eq!(hello.server_name(), Some("localhost"), "nobody asks for that");
        Some(Arc::clone(&self.0))
    }
}

#[test]
fn a_panic_in_what_the_program_gave_rustls_costs_that_caller_its_connection() {
    leads_comm_testing::expect_panics_in_callbacks();
    let pki = Pki::new();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = provider.key_provider.load_private_key(pki.server.private_key()).unwrap();
    let key = rustls::sign::CertifiedKey::new(vec![pki.server.certificate.der().clone()], key);
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Panicking(Arc::new(key))));
    let (events, heard) = recorder();
    let server = Server::builder().port(0).tls(Arc::new(config)).callback(events).max_handshakes(1).build().unwrap();
    server.start(true).unwrap();
    for address in ["127.0.0.1", "localhost", "127.0.0.1", "localhost"] {
        let client = Client::builder().port(server.port()).tls(pki.client()).build().unwrap();
        if address == "localhost" {
            client.start(address, true).unwrap();
            client.send(b"served").unwrap();
            assert_eq!(received(&heard), b"served");
        } else {
            assert!(client.start(address, true).is_err());
            let cause = leads_comm_testing::find(&heard, |event| match event {
                Event::Fail { error: Error::Refused { cause, .. }, .. } => Some(cause),
                _ => None,
            });
            assert!(matches!(cause, RefusalCause::HandshakeFailed { .. }), "{cause}");
        }
        client.close();
    }
    let closing = server.clone();
    in_time("close", move || closing.close());
    assert!(server.wait_timeout(PATIENCE));
}

/// However slowly its bytes come, and whatever there would be in it.
#[test]
fn a_record_that_is_begun_has_to_be_finished_in_time() {
    let pki = Pki::new();
    let (events, heard) = recorder();
    let timeouts = Timeouts::new().partial_message_timeout(Duration::from_millis(400));
    let builder = Server::builder().port(0).tls(pki.server()).callback(events).timeouts(timeouts);
    // Which a record that comes in drops does not exceed.
    let server = builder.idle_timeout(Some(Duration::from_secs(60))).build().unwrap();
    server.start(true).unwrap();
    let connect = || {
        let name = "localhost".try_into().unwrap();
        let config = pki.rustls_client(&rustls::version::TLS13, None);
        let mut tls = rustls::ClientConnection::new(config, name).unwrap();
        let mut socket = TcpStream::connect(server.local_addr().unwrap()).unwrap();
        socket.set_nodelay(true).unwrap();
        while tls.is_handshaking() {
            tls.complete_io(&mut socket).unwrap();
        }
        (tls, socket, connected(&heard))
    };
    let record = |tls: &mut rustls::ClientConnection, message: &[u8]| {
        tls.writer().write_all(message).unwrap();
        let mut record = Vec::new();
        tls.write_tls(&mut record).unwrap();
        record
    };
    // In time.
    let (mut tls, mut socket, _connection) = connect();
    for cut in 1..8 {
        let record = record(&mut tls, b"m;");
        socket.write_all(&record[..cut]).unwrap();
        socket.write_all(&record[cut..]).unwrap();
        assert_eq!(received(&heard), b"m");
    }
    // The beginning of its header, and all but its last byte.
    for len in [1, 4, 5, 23] {
        let (mut tls, mut socket, _connection) = connect();
        let record = record(&mut tls, b"m;");
        assert_eq!(record.len(), 24);
        socket.write_all(&record[..len]).unwrap();
        let reason = disconnected(&heard);
        assert!(matches!(reason.cause, DisconnectCause::PartialMessageTimeout { .. }), "{len}: {reason}");
    }
    // By drops, behind a message that was whole.
    let (mut tls, mut socket, connection) = connect();
    let record = [record(&mut tls, b"m;"), record(&mut tls, &[b'x'; 10_000])].concat();
    thread::spawn(move || {
        for byte in record {
            if socket.write_all(&[byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    });
    assert_eq!(received(&heard), b"m");
    until("it is ended", || connection.is_closed());
    let reason = disconnected(&heard);
    assert!(matches!(reason.cause, DisconnectCause::PartialMessageTimeout { .. }), "{reason}");
    server.close();
}

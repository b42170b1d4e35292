//! What the monitor says.

use std::io::{self, BufRead, BufReader, IoSlice, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use leads_comm::transport::memory::{self, MemoryStream};
use leads_comm::transport::{Listener, Stream, tcp};
use leads_comm::{Callback, Client, Error, Monitor, Reconnect, Server, ServerBuilder, Service};
use leads_comm_testing::layer::{self, Layer};
use leads_comm_testing::*;
use proptest::collection;
use proptest::prelude::*;
use serde_json::Value;

use super::{Looker, connections, watched};

fn started(builder: ServerBuilder) -> Server {
    let server = builder.port(0).build().unwrap();
    server.start(true).unwrap();
    server
}

#[test]
fn it_says_what_went_through_each_connection() {
    let (callback, events) = recorder();
    let server = started(Server::builder().callback(callback));
    let client = Client::connect(&format!("127.0.0.1:{}", server.port()), ()).unwrap();
    client.send(b"hello").unwrap();
    received(&events);
    server.broadcast(b"speed:1").unwrap();
    server.flush(PATIENCE).unwrap();

    let monitor = Monitor::builder(&server).port(0).name("the \"vehicle\"\n").start().unwrap();
    let numbers = Looker::at(&monitor).next().unwrap();
    assert_eq!(numbers["version"], 1);
    assert_eq!(numbers["name"], "the \"vehicle\"\n");
    assert_eq!(numbers["role"], "server");
    assert_eq!(numbers["port"], server.port());
    assert_eq!(numbers["left_out"], 0);
    assert_eq!(numbers["departures"], serde_json::json!([]));
    let service = &numbers["service"];
    assert_eq!((&service["connections"], &service["opened"]), (&1.into(), &1.into()));
    assert_eq!((&service["ended"], &service["callers_refused"]), (&serde_json::json!({}), &serde_json::json!({})));
    let [connection] = &connections(&numbers)[..] else { panic!("{numbers:#}") };
    assert_eq!(connection["id"], 1);
    assert_eq!(connection["peer"], client.local_addr().unwrap().to_string());
    assert_eq!(connection["state"], "live");
    assert_eq!((&connection["policy"], &connection["conflate"]), (&"disconnect".into(), &false.into()));
    assert_eq!(connection["max_queued_bytes"], 4 * 1024 * 1024);
    for traffic in [&service["traffic"], &connection["traffic"]] {
        assert_eq!(traffic["received"], serde_json::json!({"messages": 1, "bytes": 6}));
        for key in ["accepted", "written"] {
            assert_eq!(traffic[key], serde_json::json!({"messages": 1, "bytes": 8}));
        }
        assert_eq!((&traffic["writes"], &traffic["queued_bytes"]), (&1.into(), &0.into()));
        assert!(traffic["last_received_ms"].is_u64() && traffic["last_written_ms"].is_u64(), "{traffic:#}");
    }
    client.close();
    server.close();
}

/// Each key of the format, so that none goes unnoticed.
#[test]
fn the_stats_have_each_number_as_json() {
    let server = started(Server::builder());
    let (callback, events) = recorder();
    let client = Client::builder().port(server.port()).callback(callback).build().unwrap();
    client.start("127.0.0.1", true).unwrap();
    let connection = connected(&events);
    let keys = |json: &Value| json.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let service: Value = serde_json::from_str(&client.stats().to_json()).unwrap();
    assert_eq!(keys(&service), ["callers_refused", "connections", "ended", "opened", "traffic", "uptime_ms"]);
    let one: Value = serde_json::from_str(&connection.stats().to_json()).unwrap();
    assert_eq!(keys(&one), ["age_ms", "oldest_ms", "peer_unread_bytes", "system_queued_bytes", "traffic"]);
    let traffic = [
        "accepted",
        "conflated",
        "dropped",
        "expired",
        "filtered",
        "last_received_ms",
        "last_written_ms",
        "peak_queued_bytes",
        "queued_bytes",
        "received",
        "rejected",
        "unsent",
        "waiting",
        "writes",
        "written",
    ];
    assert_eq!(keys(&service["traffic"]), traffic);
    assert_eq!(keys(&one["traffic"]), traffic);
    assert_eq!(one["traffic"]["last_received_ms"], Value::Null, "nothing has been");
    client.close();
    server.close();
    let service: Value = serde_json::from_str(&client.stats().to_json()).unwrap();
    assert_eq!(service["ended"], serde_json::json!({"service_closed": 1}));
}

#[test]
fn it_is_a_line_a_second_for_any_program() {
    let server = started(Server::builder());
    let monitor = watched(&server);
    let socket = TcpStream::connect(monitor.local_addr().unwrap()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut lines = BufReader::new(socket).lines();
    for _ in 0..2 {
        let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(line["port"], server.port());
    }
    server.close();
    let rest: Vec<_> = lines.map(Result::unwrap).collect();
    assert_eq!(rest.last().unwrap(), "disconnect", "the goodbye of the library");
}

#[test]
fn clients_are_watched_as_well_also_before_they_connect() {
    let server = started(Server::builder());
    let client = Client::builder().port(server.port()).build().unwrap();
    let monitor = watched(&client);
    let looker = Looker::at(&monitor);
    let before = looker.next().unwrap();
    assert_eq!((&before["role"], &before["service"]["uptime_ms"]), (&"client".into(), &Value::Null));
    client.start("127.0.0.1", true).unwrap();
    let numbers = looker.until("it is connected", |numbers| connections(numbers).len() == 1);
    assert_eq!(numbers["name"], format!("127.0.0.1:{}", server.port()));
    server.close();
    while looker.next().is_some() {}
    assert!(monitor.wait_timeout(PATIENCE), "the client has ended with its connection");
}

#[test]
fn a_callback_may_start_one_for_its_own_service() {
    let (monitors, started) = mpsc::channel();
    struct Starts(mpsc::Sender<Monitor>);
    impl Callback for Starts {
        fn on_initialize(&self, service: &dyn Service) {
            self.0.send(Monitor::builder(service).port(0).start().unwrap()).unwrap();
        }
    }
    let server = self::started(Server::builder().callback(Starts(monitors)));
    let monitor = started.recv_timeout(PATIENCE).unwrap();
    assert_eq!(Looker::at(&monitor).next().unwrap()["port"], server.port());
    server.close();
}

#[test]
fn its_port_is_nine_above_that_of_the_service() {
    // Two ports of which nobody else has the second at this moment, or else two others.
    let monitor = (0..100).find_map(|_| {
        let server = started(Server::builder());
        let monitor = Monitor::builder(&server).start();
        let outcome = monitor.ok().map(|monitor| (server.port(), monitor));
        if outcome.is_none() {
            server.close();
        }
        outcome.map(|outcome| (server, outcome))
    });
    let (server, (port, monitor)) = monitor.expect("a hundred ports are taken");
    assert_eq!(monitor.port(), port + Monitor::PORT_OFFSET);
    assert!(monitor.local_addr().unwrap().ip().is_loopback());
    server.close();
}

#[test]
fn what_stands_in_its_way_is_an_error_of_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = started(Server::builder());
    let error = Monitor::builder(&server).port(taken.local_addr().unwrap().port()).start().unwrap_err();
    assert!(matches!(&error, Error::Bind { .. }), "{error}");
    let high = Client::builder().port(65_530).build().unwrap();
    let error = Monitor::builder(&high).start().unwrap_err();
    assert!(matches!(&error, Error::InvalidSetting { setting: "port", .. }), "{error}");
    server.close();
    assert!(matches!(Monitor::builder(&server).port(0).start(), Err(Error::Closed)));
    let builder = Monitor::builder(&server).port(0);
    drop(server);
    assert!(matches!(builder.start(), Err(Error::Closed)), "it is gone");
}

#[test]
fn only_those_with_the_token_see_the_numbers() {
    let server = started(Server::builder());
    let monitor = Monitor::builder(&server).port(0).token("correct horse").start().unwrap();
    let address = monitor.local_addr().unwrap();
    let ask = |first: &str| {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.write_all(first.as_bytes()).unwrap();
        BufReader::new(socket).lines().next().unwrap().unwrap()
    };
    assert_eq!(ask("wrong horse\n"), "disconnect");
    assert!(ask("correct horse\n").starts_with(r#"{"version":1,"#));
    server.close();
}

#[test]
fn it_ends_with_the_service_and_its_port_is_free() {
    for looks in [false, true] {
        let server = started(Server::builder());
        let client = Client::connect(&format!("127.0.0.1:{}", server.port()), ()).unwrap();
        let monitor = watched(&server);
        let address = monitor.local_addr().unwrap();
        let looker = looks.then(|| Looker::at(&monitor));
        if let Some(looker) = &looker {
            looker.until("it is connected", |numbers| connections(numbers).len() == 1);
        }
        server.close();
        TcpListener::bind(address).expect("the port is free");
        assert!(monitor.wait_timeout(PATIENCE));
        if let Some(looker) = looker {
            let last = looker.until("the end", |numbers| numbers["service"]["connections"] == 0);
            assert_eq!(last["departures"][0]["kind"], "service_closed");
            assert!(looker.next().is_none());
        }
        client.close();
    }
}

/// A stream of which a look is told when the test lets it.
struct Asked {
    asked: mpsc::Sender<()>,
    may_tell: Mutex<mpsc::Receiver<()>>,
}

impl Layer for Asked {
    fn peer_unread_bytes(&self, stream: &dyn Stream) -> io::Result<u64> {
        let _ = self.asked.send(());
        // When the other end is gone it is told at once.
        let _ = self.may_tell.lock().unwrap().recv_timeout(PATIENCE);
        stream.peer_unread_bytes()
    }
}

#[test]
fn the_end_is_said_although_somebody_looks_just_then() {
    let ((asked, was_asked), (tell, may_tell)) = (mpsc::channel(), mpsc::channel());
    let layer = Arc::new(Asked { asked, may_tell: Mutex::new(may_tell) });
    let listener = tcp::TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let server = started(Server::builder().transport(layer::listener(listener, &layer)));
    let client = Client::connect(&address.to_string(), ()).unwrap();
    until("it is connected", || server.num_connections() == 1);
    let monitor = watched(&server);
    let looker = Looker::at(&monitor);
    was_asked.recv_timeout(PATIENCE).unwrap();

    let closing = server.clone();
    let (closed, is_closed) = mpsc::channel();
    thread::spawn(move || {
        closing.close();
        let _ = closed.send(());
    });
    // It waits for the look; but for one that takes for ever it does not.
    let _ = is_closed.recv_timeout(Duration::from_millis(200));
    drop(tell);
    looker.until("the end", |numbers| numbers["service"]["connections"] == 0);
    client.close();
}

#[test]
fn it_does_not_keep_a_service_alive() {
    struct Told(mpsc::Sender<()>);
    impl Callback for Told {}
    impl Drop for Told {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let (told, is_gone) = mpsc::channel();
    let server = Server::builder().port(0).callback(Told(told)).build().unwrap();
    let monitor = watched(&server);
    drop(server);
    is_gone.recv_timeout(PATIENCE).expect("the service that never ran is gone");
    assert!(monitor.wait_timeout(PATIENCE), "and its monitor");
}

#[test]
fn one_that_is_closed_earlier_leaves_the_service_as_it_is() {
    let server = started(Server::builder());
    for _ in 0..3 {
        let monitor = watched(&server);
        let looker = Looker::at(&monitor);
        looker.next().unwrap();
        monitor.close();
        while looker.next().is_some() {}
    }
    assert_eq!(server.broadcast(b"still here").unwrap(), 0);
    server.close();
}

#[test]
fn a_second_who_looks_has_numbers_at_once_and_each_sees_the_newest() {
    let server = started(Server::builder());
    let monitor = watched(&server);
    let lookers: Vec<_> = (0..5).map(|_| Looker::at(&monitor)).collect();
    lookers.iter().for_each(|looker| drop(looker.next().unwrap()));
    let client = Client::connect(&format!("127.0.0.1:{}", server.port()), ()).unwrap();
    for looker in &lookers {
        looker.until("the newcomer", |numbers| connections(numbers).len() == 1);
    }
    client.close();
    server.close();
}

#[cfg(unix)]
#[test]
fn it_listens_on_unix_sockets_as_well() {
    let path = net::unix::free_path();
    let server = started(Server::builder());
    let monitor = Monitor::builder(&server).unix(&path).start().unwrap();
    let (callback, events) = recorder();
    let client = Client::builder().unix().separator("\n").callback(callback).build().unwrap();
    client.start(path.to_str().unwrap(), true).unwrap();
    let numbers: Value = serde_json::from_slice(&received(&events)).unwrap();
    assert_eq!(numbers["port"], server.port());
    assert_eq!(monitor.local_addr(), None);
    server.close();
}

/// However many there are, a reader that takes what the library takes by itself can read it, and sees the worst.
#[test]
fn a_message_is_no_longer_than_what_readers_take() {
    let (listener, connector) = memory::listener();
    let server = Server::builder().transport(listener).max_connections(3000).build().unwrap();
    server.start(true).unwrap();
    let peers: Vec<_> = (0..2000).map(|_| connector.open().unwrap()).collect();
    until("all are connected", || server.num_connections() == peers.len());
    let monitor = watched(&server);
    let numbers = Looker::at(&monitor).next().unwrap();
    let listed = connections(&numbers).len();
    assert!(listed > 1000, "{listed}");
    assert_eq!(listed as u64 + numbers["left_out"].as_u64().unwrap(), 2000);
    assert_eq!(numbers["service"]["connections"], 2000);
    server.close();
}

/// A stream whose peer is called like that, and whose reads fail like that.
struct Named {
    name: String,
    error: String,
    stream: MemoryStream,
}

impl Stream for Named {
    fn read(&self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other(self.error.clone()))
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.stream.write_vectored(buffers)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.stream.shutdown(how)
    }

    fn peer(&self) -> String {
        self.name.clone()
    }
}

proptest! {
    // Each takes a second or two, which is how often a monitor tells.
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever peers are called, and whatever they end with.
    #[test]
    fn every_line_is_json(
        name in ".*",
        peers in collection::vec(
            ("\\PC*|.*|[\u{0}-\u{1f}\"\\\\]*", ".*|[\u{0}-\u{9f}\"\\\\\u{2028}\u{202e}]*"),
            1..=8,
        ),
    ) {
        let (count, coming) = (peers.len(), Mutex::new(peers.into_iter()));
        let connect = move |_: &str| {
            let (name, error) = coming.lock().unwrap().next().ok_or(io::ErrorKind::ConnectionRefused)?;
            let (stream, _) = memory::pair();
            Ok(Box::new(Named { name, error, stream }) as Box<dyn Stream>)
        };
        // It goes on, and with it the monitor, which ends with its service.
        let reconnect = Reconnect::new().first_delay(Duration::from_millis(1)).longest_delay(Duration::from_millis(10));
        let client = Client::builder().transport(connect).reconnect(reconnect).build().unwrap();
        let monitor = Monitor::builder(&client).port(0).name(&name).start().unwrap();
        let looker = Looker::at(&monitor);
        let cut = |text: &str| text.chars().take(200).collect::<String>();
        let first = looker.next().unwrap();
        prop_assert_eq!(first["name"].as_str().unwrap(), cut(&name));
        client.start("", true).unwrap();
        // Each line is read as JSON.
        let last = looker.until("the departures", |numbers| numbers["departures"].as_array().unwrap().len() == count);
        let departures = client.departures();
        prop_assert_eq!(departures.len(), count);
        for (told, departure) in last["departures"].as_array().unwrap().iter().zip(departures) {
            prop_assert_eq!(&told["kind"], "stream_failed");
            prop_assert!(told["reason"].as_str().unwrap().chars().count() <= 200);
            prop_assert_eq!(told["peer"].as_str().unwrap(), cut(&departure.peer));
            prop_assert!(!departure.reason.contains(char::is_control));
        }
        client.close();
    }
}

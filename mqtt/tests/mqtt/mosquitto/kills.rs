//! A broker that is killed in the middle of it, and what it has then.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::transport::Connector;
use leads_comm::transport::tcp::TcpConnector;
use leads_comm_mqtt::{Event, Offline};
use leads_comm_testing::folder::Folder;

use super::{Mosquitto, bridge_to};
use crate::broker::{Publish, parse_publish, read_raw};
use crate::{PATIENCE, connected, find, until};

/// What a consumer with a session that stays gets, over restarts of the broker: how often each number came.
#[derive(Default)]
struct Consumer {
    numbers: BTreeMap<u64, u32>,
    /// How many messages have come.
    total: u64,
    is_subscribed: bool,
}

impl Consumer {
    /// Takes what comes until the connection ends, or `enough`.
    fn run(&mut self, port: u16, mut enough: impl FnMut(&Self) -> bool) {
        self.is_subscribed = false;
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return };
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        // A session that stays, and two topics with QoS 1.
        let connect = b"\x10\x14\0\x04MQTT\x04\x00\0\x3C\0\x08consumer";
        let subscribe = b"\x82\x2B\0\x01\0\x10leads/car/s/up/#\x01\0\x13leads/car/s/backlog\x01";
        if stream.write_all(&[&connect[..], subscribe].concat()).is_err() {
            return;
        }
        while !enough(self) {
            let mut first = [0];
            // Looks whether something comes, so that a packet is never cut in two by the time-out.
            match stream.peek(&mut first) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
                Err(_) => return,
            }
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let Ok(Some((first, body))) = read_raw(&mut stream) else { return };
            stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            match first >> 4 {
                3 => {
                    let publish = parse_publish(first & 0x0F, &body);
                    self.note(&publish);
                    let Some(id) = publish.id else { continue };
                    // A broker that has been killed does not hear it; what it has sent before is read to the end.
                    let _ = stream.write_all(&[&[0x40, 2], &id.to_be_bytes()[..]].concat());
                }
                9 => self.is_subscribed = true,
                _ => {}
            }
        }
    }

    fn note(&mut self, publish: &Publish) {
        let payload = match publish.topic.ends_with("/backlog") {
            true => publish.payload.splitn(2, |byte| *byte == b'\n').nth(1).unwrap(),
            false => &publish.payload,
        };
        *self.numbers.entry(std::str::from_utf8(payload).unwrap().parse().unwrap()).or_default() += 1;
        self.total += 1;
    }
}

/// What has come of killing the broker again and again.
#[derive(Debug)]
struct Outcome {
    /// Messages that came out of the backlog.
    replayed: u64,
    /// How many came more often than once, each time counted.
    twice: u64,
    /// Messages that the broker has acknowledged, and that the consumer never got.
    missing: u64,
}

/// How long nothing has to come for nothing more to come.
const QUIET: Duration = Duration::from_secs(3);

/// Publishes so many messages at a broker that is killed so many times meanwhile, with a consumer that is given
/// whatever the broker has at once: there is no limit on what it has not acknowledged.
fn publish_over_kills(config: &str, messages: u64, kills: u64) -> Option<Outcome> {
    let config =
        format!("allow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\nset_tcp_nodelay true\n{config}");
    let mut broker = Mosquitto::start(&config)?;
    let port = broker.port();
    let (stop, stopped) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    let consumer = thread::spawn(move || {
        let mut consumer = Consumer::default();
        let (mut is_last, mut changed, mut count) = (false, Instant::now(), 0);
        loop {
            let (mut has_told, mut is_over) = (false, false);
            consumer.run(port, |consumer| {
                if consumer.is_subscribed && !std::mem::replace(&mut has_told, true) {
                    tell.send(()).unwrap();
                }
                is_last |= stopped.try_recv().is_ok();
                if consumer.total != count {
                    (changed, count) = (Instant::now(), consumer.total);
                }
                is_over = is_last && (consumer.numbers.len() as u64 == messages || changed.elapsed() > QUIET);
                is_over
            });
            if is_over {
                return consumer.numbers;
            }
            thread::yield_now();
        }
    });
    let subscribed = || told.recv_timeout(PATIENCE).expect("the consumer is not subscribed");
    subscribed();

    let folder = Folder::new("mqtt-spool");
    // The bridge is not let through while the consumer is not back: what the broker would have done for a consumer that
    // is not there is not what is looked at.
    let is_open = Arc::new(AtomicBool::new(true));
    let way = {
        let (is_open, tcp) = (Arc::clone(&is_open), TcpConnector::new(port, PATIENCE));
        move |address: &str| match is_open.load(Ordering::SeqCst) {
            true => tcp.connect(address),
            false => Err(ErrorKind::ConnectionRefused.into()),
        }
    };
    let (bridge, events) = bridge_to(&broker, |builder| {
        let builder = builder.offline(Offline::spool(folder.path(), 256 << 20)).catch_up(64 << 20);
        builder.acknowledged(true).max_in_flight(64).max_live_bytes(4 << 20).transport(way)
    });
    connected(&events);
    for number in 0..messages {
        bridge.publish(number.to_string().as_bytes()).unwrap();
        if number % (messages / kills) == messages / kills / 2 {
            // In the middle of it, while messages are on their way.
            is_open.store(false, Ordering::SeqCst);
            broker.kill();
            find(&events, |event| matches!(event, Event::Disconnected { .. }).then_some(()));
            broker.run();
            subscribed();
            is_open.store(true, Ordering::SeqCst);
            connected(&events);
        }
        // No faster than the broker takes them, so that most go live.
        until(&bridge, "it keeps up", |stats| stats.acknowledged + 200 > number);
    }
    let stats = until(&bridge, "all have arrived", |stats| stats.waiting == 0 && stats.acknowledged >= messages);
    stop.send(()).unwrap();
    let numbers = consumer.join().unwrap();
    bridge.close();
    // Between the bridge and the broker nothing is lost.
    assert_eq!((stats.accepted, stats.dropped, stats.lost), (messages, 0, 0), "{stats:?}");
    assert_eq!(stats.published + stats.replayed, messages, "{stats:?}");
    let twice = numbers.values().map(|times| u64::from(times - 1)).sum();
    let outcome = Outcome { replayed: stats.replayed, twice, missing: messages - numbers.len() as u64 };
    println!("{kills} kills, {messages} messages: {outcome:?}");
    Some(outcome)
}

/// With what mosquitto writes down what it has whenever it has something new.
const WRITES_DOWN: &str = "persistence true\nautosave_on_changes true\nautosave_interval 1\n";

/// Whatever the broker writes down, the bridge hands over all of it, as is looked at above. What the broker has
/// acknowledged and handed on to nobody when it is killed is its own affair: with a consumer that keeps up, next to
/// nothing where it writes everything down, and else what has not got through to the consumer.
///
/// `LEADS_COMM_KILLS` says how many kills there are of a broker that writes nothing down, and then there are no others;
/// `LEADS_COMM_MESSAGES` how many messages.
#[test]
fn nothing_is_lost_between_the_bridge_and_a_broker_that_is_killed() {
    if let Ok(kills) = std::env::var("LEADS_COMM_KILLS") {
        let kills = kills.parse().unwrap();
        let messages = std::env::var("LEADS_COMM_MESSAGES").map_or(2000 * kills, |text| text.parse().unwrap());
        assert!(messages >= kills, "there is something to be sent before each");
        let Some(outcome) = publish_over_kills("persistence false\n", messages, kills) else { return };
        assert!(outcome.replayed > 0 && outcome.twice <= kills * 64, "{outcome:?}");
        return;
    }
    let Some(outcome) = publish_over_kills(WRITES_DOWN, 2000, 10) else { return };
    assert!(outcome.replayed > 0 && outcome.missing <= 10, "{outcome:?}");
    for config in ["persistence true\n", "persistence false\n"] {
        let Some(outcome) = publish_over_kills(config, 20_000, 10) else { return };
        // What was on its way comes again.
        assert!(outcome.replayed > 0 && outcome.twice <= 10 * 64, "{outcome:?}");
    }
}

/// What the broker has for a consumer that is not there is what it has written down.
#[test]
fn what_a_broker_that_is_killed_has_acknowledged_is_what_it_has_written_down() {
    for (config, kept) in [("persistence false\n", 0), ("persistence true\n", 0), (WRITES_DOWN, 100)] {
        let Some(mut broker) = Mosquitto::start(&format!("allow_anonymous true\n{config}")) else { return };
        let mut consumer = Consumer::default();
        let deadline = Instant::now() + PATIENCE;
        while !consumer.is_subscribed && Instant::now() < deadline {
            consumer.run(broker.port(), |consumer| consumer.is_subscribed);
        }
        let (bridge, events) = bridge_to(&broker, |builder| builder.acknowledged(true));
        connected(&events);
        for number in 1_000_000..1_000_100 {
            bridge.publish(number.to_string().as_bytes()).unwrap();
        }
        until(&bridge, "all have arrived", |stats| stats.acknowledged == 100);
        let file = broker.folder.path().join("mosquitto.db");
        let is_written = || fs::read(&file).is_ok_and(|bytes| bytes.windows(7).any(|window| window == b"1000099"));
        leads_comm_testing::until("what is kept is written", || kept == 0 || is_written());
        broker.kill();
        broker.run();
        let deadline = Instant::now() + if kept == 0 { Duration::from_millis(500) } else { PATIENCE };
        while consumer.numbers.len() < 100 && Instant::now() < deadline {
            consumer.run(broker.port(), |consumer| consumer.numbers.len() == 100 || Instant::now() >= deadline);
        }
        assert_eq!(consumer.numbers.len(), kept, "with {config:?}");
        bridge.close();
    }
}

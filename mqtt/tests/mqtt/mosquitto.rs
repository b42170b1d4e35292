//! Against mosquitto, and with clients that are not ours. Skipped where it is not installed.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::key;
use leads_comm::transport::Connector;
use leads_comm::transport::tcp::TcpConnector;
use leads_comm_mqtt::{Bridge, Commands, Event, Offline, Refusal};
use leads_comm_testing::folder::Folder;
use leads_comm_testing::{child, skipped};

use super::broker::{Publish, parse_publish, read_raw};
use super::{PATIENCE, builder, connected, find, until};

/// A broker in a folder of its own, which can be killed and started again.
struct Mosquitto {
    folder: Folder,
    port: u16,
    child: Option<Child>,
}

impl Mosquitto {
    /// Starts one; says that a test is skipped where there is none. `config` is what it is told besides where it
    /// listens, `FOLDER` in it where its files are.
    fn start(config: &str) -> Option<Self> {
        let mut this = Self::new(config)?;
        this.run();
        Some(this)
    }

    /// One that is not started yet.
    fn new(config: &str) -> Option<Self> {
        let mut command = Command::new("mosquitto");
        if command.arg("-h").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
            skipped("what is tested against a real broker needs mosquitto");
            return None;
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let this = Self { folder: Folder::new("mosquitto"), port, child: None };
        let folder = this.folder.path().display().to_string();
        let config = config.replace("FOLDER", &folder);
        // As whoever runs this test, who can write there.
        let user = if cfg!(unix) { "user root\n" } else { "" };
        let begin = format!("listener {port} 127.0.0.1\n{user}persistence_location {folder}/\n");
        this.write("mosquitto.conf", &(begin + &config));
        Some(this)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn run(&mut self) {
        let mut command = Command::new("mosquitto");
        command.arg("-c").arg(self.folder.path().join("mosquitto.conf"));
        self.child = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < deadline, "mosquitto does not listen");
            thread::yield_now();
        }
    }

    /// By SIGKILL.
    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What a foreign client prints, line by line; none where there is no such client.
    fn subscribe(&self, arguments: &[&str]) -> Option<Subscriber> {
        let mut command = Command::new("stdbuf");
        command.args(["-oL", "mosquitto_sub", "-h", "127.0.0.1", "-p", &self.port.to_string(), "-F", "%t %r %q %x"]);
        let child = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let Ok(mut child) = child else {
            skipped("clients that are not ours: there is no mosquitto_sub, or no stdbuf");
            return None;
        };
        let (tell, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Some(Subscriber { child, lines })
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}

struct Subscriber {
    child: Child,
    lines: Receiver<String>,
}

impl Subscriber {
    /// Topic, whether it is retained, QoS and payload.
    fn next(&self) -> (String, bool, u8, Vec<u8>) {
        let line = self.lines.recv_timeout(PATIENCE).expect("nothing comes");
        let mut words = line.split(' ');
        let mut word = || words.next().unwrap().to_owned();
        let (topic, retained, qos, payload) = (word(), word(), word(), word());
        let digits = |at: usize| u8::from_str_radix(&payload[at..at + 2], 16).unwrap();
        (topic, retained == "1", qos.parse().unwrap(), (0..payload.len()).step_by(2).map(digits).collect())
    }

    /// The next message for which this holds.
    fn find(&self, mut holds: impl FnMut(&str, &[u8]) -> bool) -> (String, bool, u8, Vec<u8>) {
        loop {
            let found = self.next();
            if holds(&found.0, &found.3) {
                return found;
            }
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const OPEN: &str = "allow_anonymous true\npersistence false\n";

fn bridge_to(
    broker: &Mosquitto,
    adapt: impl FnOnce(leads_comm_mqtt::BridgeBuilder) -> leads_comm_mqtt::BridgeBuilder,
) -> (Bridge, Receiver<Event>) {
    let (builder, events) = builder();
    let bridge = adapt(builder.close_timeout(Duration::from_secs(5))).build().unwrap();
    bridge.start(&broker.address()).unwrap();
    (bridge, events)
}

#[test]
fn foreign_clients_see_all_of_it_and_send_commands() {
    let Some(broker) = Mosquitto::start(OPEN) else { return };
    let Some(viewer) = broker.subscribe(&["-t", "leads/car/s/#", "-q", "1"]) else { return };
    let (tell, told) = mpsc::channel();
    let commands = Commands::new(move |command| tell.send(command.to_vec()).unwrap()).allow(["box"]);
    let (bridge, events) =
        bridge_to(&broker, |builder| builder.key(key::prefix(b':')).retain(true).split_fields(true).commands(commands));
    connected(&events);
    // The first may be there already, when it subscribes.
    viewer.find(|topic, payload| topic.ends_with("/status") && payload.starts_with(br#"{"state":"online""#));
    bridge.publish(b"speed:38.5\0;").unwrap();
    bridge.publish(br#"{"volt":3.9}"#).unwrap();
    let message = |topic: &str, qos, payload: &[u8]| (topic.to_owned(), false, qos, payload.to_vec());
    assert_eq!(viewer.next(), message("leads/car/s/up/speed", 0, b"speed:38.5\0;"));
    let json_key = r#"leads/car/s/up/{"volt""#;
    assert_eq!(viewer.next(), message(json_key, 0, br#"{"volt":3.9}"#));
    assert_eq!(viewer.next(), message(r#"leads/car/s/field/{"volt"/volt"#, 0, b"3.9"));

    let mut publisher = Command::new("mosquitto_pub");
    publisher.args(["-h", "127.0.0.1", "-p", &broker.port.to_string(), "-q", "1"]);
    publisher.args(["-t", "leads/car/s/down", "-m", "box"]);
    assert!(publisher.status().unwrap().success());
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), b"box");

    // Who comes later has the state, and not the events; and nothing once the bridge has been closed.
    let later = broker.subscribe(&["-t", "leads/car/s/up/#"]).unwrap();
    let mut retained = [later.next(), later.next()];
    retained.sort();
    assert_eq!(
        retained.map(|(topic, retained, ..)| (topic, retained)),
        [("leads/car/s/up/speed".to_owned(), true), (json_key.to_owned(), true),]
    );
    bridge.close();
    let (_, _, qos, payload) = viewer.find(|topic, _| topic.ends_with("/status"));
    assert_eq!((qos, &*payload), (1, &br#"{"state":"offline","waiting":0,"lost":0}"#[..]));
    let last = broker.subscribe(&["-t", "leads/car/s/#"]).unwrap();
    assert_eq!(last.next().0, "leads/car/s/status", "nothing else is retained");
    assert!(last.lines.recv_timeout(Duration::from_millis(300)).is_err());
}

#[test]
fn the_will_is_published_when_the_process_is_killed() {
    if let Some(address) = child::task() {
        let (bridge, events) = builder();
        let bridge = bridge.build().unwrap();
        bridge.start(&address).unwrap();
        connected(&events);
        child::say("connected");
        return child::wait_for_parent();
    }
    let Some(broker) = Mosquitto::start(OPEN) else { return };
    let Some(viewer) = broker.subscribe(&["-t", "leads/car/s/status"]) else { return };
    let name = "mosquitto::the_will_is_published_when_the_process_is_killed";
    let mut process = child::Process::start(name, &broker.address());
    assert_eq!(process.line(), "connected");
    assert!(viewer.next().3.starts_with(br#"{"state":"online""#));
    process.kill();
    assert!(viewer.next().3.starts_with(br#"{"state":"offline""#));
}

#[test]
fn what_is_retained_is_there_again_when_the_broker_has_forgotten_it() {
    let Some(mut broker) = Mosquitto::start(OPEN) else { return };
    let (bridge, events) = bridge_to(&broker, |builder| builder.key(key::prefix(b':')).retain(true));
    connected(&events);
    bridge.publish(b"speed:1").unwrap();
    bridge.publish(b"speed:2").unwrap();
    until(&bridge, "it is published", |stats| stats.published == 2);
    for _ in 0..3 {
        broker.kill();
        find(&events, |event| matches!(event, Event::Disconnected { .. }).then_some(()));
        broker.run();
        connected(&events);
        let Some(viewer) = broker.subscribe(&["-t", "leads/car/s/up/#"]) else { return };
        let (topic, _, _, payload) = viewer.next();
        assert_eq!((&*topic, &*payload), ("leads/car/s/up/speed", &b"speed:2"[..]));
    }
    bridge.close();
}

#[test]
fn a_wrong_password_is_told_in_one_line() {
    let Some(mut broker) = Mosquitto::new("allow_anonymous false\npassword_file FOLDER/users\n") else { return };
    let users = broker.folder.path().join("users");
    let made = Command::new("mosquitto_passwd").args(["-b", "-c"]).arg(&users).args(["car", "right"]).status();
    if !made.is_ok_and(|status| status.success()) {
        return skipped("passwords: there is no mosquitto_passwd");
    }
    broker.run();
    for credentials in [None, Some(("car", "wrong")), Some(("nobody", "right"))] {
        let (bridge, events) = bridge_to(&broker, |builder| match credentials {
            Some((user, password)) => builder.credentials(user, password),
            None => builder,
        });
        let event = find(&events, Some);
        let Event::Refused { refusal, again_in } = event else { panic!("{event:?}") };
        assert!(matches!(refusal, Refusal::NotAuthorised | Refusal::Credentials), "{refusal:?}");
        assert!(again_in > Duration::from_secs(4));
        assert!(events.recv_timeout(Duration::from_millis(500)).is_err(), "it is told once, and not tried at once");
        bridge.close();
    }
    let (bridge, events) = bridge_to(&broker, |builder| builder.credentials("car", "right"));
    connected(&events);
    bridge.close();
}

/// Of what its list does not let a client do mosquitto says nothing in MQTT 3.1.1: it grants the subscription and gives
/// nothing, and takes messages and gives them to nobody.
#[test]
fn what_the_list_of_mosquitto_refuses_nobody_is_told() {
    let Some(mut broker) = Mosquitto::new("allow_anonymous true\nacl_file FOLDER/acl\n") else { return };
    broker.write("acl", "topic write leads/car/+/status\ntopic write leads/car/+/down\ntopic read leads/car/+/up/#\n");
    broker.run();
    let Some(viewer) = broker.subscribe(&["-t", "leads/car/s/up/#", "-t", "leads/car/s/down"]) else { return };
    let (tell, told) = mpsc::channel();
    let commands = Commands::new(move |command| tell.send(command.to_vec()).unwrap()).allow(["box"]);
    let (bridge, events) = bridge_to(&broker, |builder| builder.commands(commands).acknowledged(true));
    connected(&events);
    bridge.publish(b"speed:38.5").unwrap();
    until(&bridge, "it is acknowledged", |stats| stats.acknowledged == 1);
    let mut publisher = Command::new("mosquitto_pub");
    publisher.args(["-h", "127.0.0.1", "-p", &broker.port.to_string(), "-q", "1"]);
    publisher.args(["-t", "leads/car/s/down", "-m", "box"]);
    assert!(publisher.status().unwrap().success());
    let moment = Duration::from_millis(300);
    assert!(told.recv_timeout(moment).is_err() && viewer.lines.try_recv().is_err() && events.try_recv().is_err());
    bridge.close();
}

/// Each throws the other out, and comes back; but less and less often.
#[test]
fn two_bridges_with_one_client_id_do_not_storm_the_broker() {
    let Some(broker) = Mosquitto::start(OPEN) else { return };
    let both = [(), ()]
        .map(|()| bridge_to(&broker, |builder| builder.reconnect(Duration::from_millis(20), Duration::from_secs(60))));
    for (_, events) in &both {
        find(events, |event| match event {
            Event::Disconnected { again_in, .. } => (again_in > Duration::from_millis(600)).then_some(()),
            _ => None,
        });
    }
    let sessions: u64 = both.iter().map(|(bridge, _)| bridge.stats().sessions).sum();
    assert!(sessions < 30, "{sessions}");
    both.iter().for_each(|(bridge, _)| bridge.close());
}

/// Two vehicles, and two streams of one, are in nobody's way.
#[test]
fn bridges_of_several_vehicles_share_a_broker() {
    let Some(broker) = Mosquitto::start(OPEN) else { return };
    let Some(viewer) = broker.subscribe(&["-t", "leads/+/+/up"]) else { return };
    let bridges = [("a", "s"), ("b", "s"), ("b", "video")].map(|(vehicle, stream)| {
        let (tell, connected) = mpsc::channel();
        let builder = Bridge::builder(vehicle, stream).events(move |event| {
            let _ = tell.send(matches!(event, Event::Connected));
        });
        let bridge = builder.build().unwrap();
        bridge.start(&broker.address()).unwrap();
        assert!(connected.recv_timeout(PATIENCE).unwrap());
        bridge
    });
    // Who subscribes is there when it gets something.
    let mut seen = BTreeMap::new();
    let deadline = Instant::now() + PATIENCE;
    while seen.len() < 3 {
        assert!(Instant::now() < deadline, "{seen:?}");
        bridges.iter().for_each(|bridge| bridge.publish(bridge.client_id().as_bytes()).unwrap());
        while let Ok(line) = viewer.lines.recv_timeout(Duration::from_millis(50)) {
            seen.insert(line, ());
        }
    }
    let expected = [("a/s", "leads-a-s"), ("b/s", "leads-b-s"), ("b/video", "leads-b-video")].map(|(name, payload)| {
        let hex: String = payload.bytes().map(|byte| format!("{byte:02X}")).collect();
        format!("leads/{name}/up 0 0 {hex}").to_lowercase()
    });
    assert_eq!(seen.into_keys().map(|line| line.to_lowercase()).collect::<Vec<_>>(), expected);
    bridges.iter().for_each(Bridge::close);
}

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
    let port = broker.port;
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
        builder.acknowledged(true).max_live_bytes(4 << 20).transport(way)
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
#[test]
fn nothing_is_lost_between_the_bridge_and_a_broker_that_is_killed() {
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
            consumer.run(broker.port, |consumer| consumer.is_subscribed);
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
            consumer.run(broker.port, |consumer| consumer.numbers.len() == 100 || Instant::now() >= deadline);
        }
        assert_eq!(consumer.numbers.len(), kept, "with {config:?}");
        bridge.close();
    }
}

/// A broker that stands still is one that is slow, and then one that is gone.
#[cfg(unix)]
#[test]
fn a_broker_that_stands_still_holds_up_nobody() {
    let Some(broker) = Mosquitto::start(OPEN) else { return };
    let (bridge, events) =
        bridge_to(&broker, |builder| builder.keep_alive(Duration::from_secs(1)).offline(Offline::Memory(64 << 20)));
    connected(&events);
    let id = broker.child.as_ref().unwrap().id().to_string();
    let signal = |name: &str| assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    signal("-STOP");
    let mut slowest = Duration::ZERO;
    for _ in 0..1000 {
        let begin = Instant::now();
        bridge.publish(&[b'x'; 16 * 1024]).unwrap();
        slowest = slowest.max(begin.elapsed());
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    find(&events, |event| match event {
        Event::Disconnected { fault: Some(fault), .. } => Some(fault),
        _ => None,
    });
    signal("-CONT");
    connected(&events);
    bridge.close();
}

#[cfg(feature = "tls")]
mod tls {
    use leads_comm::transport::tls::{Authorities, ClientConfig};
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

    use super::*;

    /// A broker that has a certificate for this machine, which is good until then, and those who vouch for it.
    fn start(until_year: i32) -> Option<(Mosquitto, Authorities)> {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let mut params = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        params.not_after = date_time_ymd(until_year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        let mut broker = Mosquitto::new(&format!("{OPEN}certfile FOLDER/certificate.pem\nkeyfile FOLDER/key.pem\n"))?;
        broker.write("certificate.pem", &certificate.pem());
        broker.write("key.pem", &key.serialize_pem());
        broker.run();
        Some((broker, Authorities::from_pem(authority.pem().as_bytes()).unwrap()))
    }

    #[test]
    fn it_goes_over_tls() {
        let Some((broker, authorities)) = start(3000) else { return };
        let tls = ClientConfig::new(authorities);
        let (bridge, events) = bridge_to(&broker, |builder| builder.tls(tls).acknowledged(true));
        connected(&events);
        bridge.publish(&vec![b'x'; 1 << 19]).unwrap();
        until(&bridge, "it has arrived", |stats| stats.acknowledged == 1);
        bridge.close();
    }

    #[test]
    fn an_expired_certificate_is_told_in_one_line_and_not_asked_again_soon() {
        let Some((broker, authorities)) = start(2006) else { return };
        let (bridge, events) = bridge_to(&broker, |builder| builder.tls(ClientConfig::new(authorities)));
        let event = find(&events, Some);
        let said = event.to_string();
        let Event::Unreachable { again_in, .. } = event else { panic!("{event:?}") };
        assert!(again_in > Duration::from_secs(4), "{again_in:?}");
        assert!(said.contains("certificate is refused") && said.contains("expired"), "{said}");
        assert!(events.recv_timeout(Duration::from_millis(500)).is_err(), "it is told once, and not tried at once");
        bridge.close();
    }
}

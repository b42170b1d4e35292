//! `bridge --resume`: what a vehicle keeps comes to the broker, whatever becomes of the bridge.

use std::collections::HashMap;
use std::fs;

use leads_comm::Server;
use leads_comm_resume::{Bounds, History, Position, Publisher};
use leads_comm_testing::folder::Folder;
use leads_comm_testing::until;
use leads_comm_testing::wire::Listening;

use super::{Broker, NOBODY};
use crate::endpoint::path;
use crate::process::{Process, run};

/// A vehicle that keeps what it says, and a bridge that is started again and again.
struct Way {
    vehicle: Publisher,
    broker: Broker,
    folder: Folder,
    /// What a consumer gets, line by line.
    heard: Process,
    /// How often each number came.
    numbers: HashMap<u64, u64>,
}

impl Way {
    fn begin() -> Option<Self> {
        let broker = Broker::start("allow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0")?;
        let history = History::in_memory(Bounds::new().max_messages(10_000_000).max_bytes(1 << 30)).unwrap();
        let vehicle = Publisher::new(Server::builder().port(0), history, ()).unwrap();
        vehicle.start(true).unwrap();
        let heard = broker.subscribe("leads/+/+/+");
        Some(Self { vehicle, broker, folder: Folder::new("resumed"), heard, numbers: HashMap::new() })
    }

    fn bridge(&self) -> Process {
        let process = self.bridge_to(&self.broker.address());
        process.error_line_with("broker: the broker is there");
        process
    }

    fn bridge_to(&self, broker: &str) -> Process {
        let from = format!("127.0.0.1:{}", self.vehicle.server().port());
        let spool = format!("spool={},max=64k", path(&self.folder, "spool"));
        let words = ["bridge", "mqtt", "--pull", &from, "--broker", broker, "--vehicle", "car", "--acknowledged"];
        let resume = ["--offline", &spool, "--catch-up", "64M", "--resume", &path(&self.folder, "position")];
        Process::start(&[&words[..], &resume].concat())
    }

    /// The position up to which the bridge has passed on what the vehicle says.
    fn position(&self) -> Option<Position> {
        let text = fs::read_to_string(path(&self.folder, "position")).ok()?;
        text.trim_end().parse().ok()
    }

    fn publish(&self, numbers: impl Iterator<Item = u64>) {
        for number in numbers {
            self.vehicle.publish(number.to_string().as_bytes()).unwrap();
        }
    }

    /// Takes what comes until so many different messages have.
    fn hear(&mut self, bridge: &Process, enough: usize) {
        while self.numbers.len() < enough {
            let Some(line) = self.heard.line_in_time() else {
                let missing = (0..).find(|number| !self.numbers.contains_key(number));
                let (count, position, said) = (self.numbers.len(), self.position(), bridge.said());
                panic!("{count} of {enough} have come, not {missing:?}; the bridge is at {position:?}: {said:?}");
            };
            // By itself where it stands behind the line of the backlog.
            if let Ok(number) = line.strip_prefix("leads/car/telemetry/up ").unwrap_or(&line).parse() {
                *self.numbers.entry(number).or_default() += 1;
            }
        }
    }

    fn twice(&self) -> u64 {
        self.numbers.values().map(|times| times - 1).sum()
    }
}

/// `LEADS_COMM_KILLS` and `LEADS_COMM_MESSAGES` say how often the bridge is killed, and how many messages there are.
#[test]
fn nothing_is_lost_where_the_bridge_is_killed() {
    let number = |name, usual| std::env::var(name).map_or(usual, |text| text.parse().unwrap());
    let (kills, messages) = (number("LEADS_COMM_KILLS", 4), number("LEADS_COMM_MESSAGES", 8000));
    let Some(mut way) = Way::begin() else { return };
    for kill in 0..kills {
        let mut bridge = way.bridge();
        let (from, to) = (messages / kills * kill, messages / kills * (kill + 1));
        way.publish(from..to);
        // In the middle of it.
        way.hear(&bridge, (from + (to - from) / 2) as usize);
        bridge.kill();
    }
    let bridge = way.bridge();
    way.publish(messages / kills * kills..messages);
    way.hear(&bridge, messages as usize);
    bridge.signal("INT");
    let ended = bridge.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(way.position(), way.vehicle.last());
    println!("{kills} kills, {messages} messages: {} came twice", way.twice());
}

#[test]
fn it_goes_on_where_it_was() {
    let Some(mut way) = Way::begin() else { return };
    for part in 0..3 {
        let bridge = way.bridge();
        way.publish(100 * part..100 * part + 50);
        way.hear(&bridge, 100 * part as usize + 50);
        bridge.signal("INT");
        assert_eq!(bridge.end().code, 0);
        // While nobody is there.
        way.publish(100 * part + 50..100 * (part + 1));
    }
    let bridge = way.bridge();
    way.hear(&bridge, 300);
    bridge.signal("INT");
    assert_eq!(bridge.end().code, 0);
    assert_eq!(way.twice(), 0);
}

/// However little room the spool has, and however long there is no broker: the vehicle keeps the rest.
#[test]
fn a_spool_that_is_full_loses_nothing() {
    let Some(mut way) = Way::begin() else { return };
    let bridge = way.bridge_to(NOBODY);
    way.publish(0..20_000);
    until("half of the spool is taken", || way.position().is_some_and(|position| position.number > 500));
    bridge.signal("INT");
    let ended = bridge.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    let summary = ended.stderr.last().unwrap();
    assert!(summary.starts_with("0 messages published, ") && summary.ends_with(" waiting"), "{ended:?}");
    assert!(way.position().unwrap().number < 20_000);
    let bridge = way.bridge();
    way.hear(&bridge, 20_000);
    bridge.signal("INT");
    assert_eq!(bridge.end().code, 0);
}

/// The folder goes while the bridge runs: what could not be kept stays with the vehicle.
#[cfg(unix)]
#[test]
fn a_spool_that_cannot_be_written_ends_it() {
    let Some(mut way) = Way::begin() else { return };
    let bridge = way.bridge_to(NOBODY);
    way.publish(0..100);
    until("it is kept", || way.position() == way.vehicle.last());
    fs::remove_dir_all(path(&way.folder, "spool")).unwrap();
    way.publish(100..1000);
    let ended = bridge.end();
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.last().unwrap().starts_with("leads-comm: "), "{ended:?}");
    // What was in the folder that is gone is gone.
    let first = way.position().unwrap().number;
    assert!((100..1000).contains(&first), "{first}");
    let bridge = way.bridge();
    way.hear(&bridge, 1000 - first as usize);
    assert!((first..1000).all(|number| way.numbers.contains_key(&number)));
    bridge.signal("INT");
    assert_eq!(bridge.end().code, 0);
}

#[test]
fn a_vehicle_that_keeps_nothing_is_told() {
    let Some(broker) = Broker::start("allow_anonymous true") else { return };
    let (vehicle, folder) = (Listening::start(), Folder::new("resumed"));
    let (spool, position) = (format!("spool={}", path(&folder, "spool")), path(&folder, "position"));
    let bridge = super::bridge(&vehicle, &broker, &["--acknowledged", "--offline", &spool, "--resume", &position]);
    let car = vehicle.accept();
    car.expect("resume 0000000000000000:0;");
    car.write("hello;");
    bridge.error_line_with("leads-comm: nothing is taken from the vehicle, which does not say where it goes on");
}

#[test]
fn what_cannot_be_resumed_is_told() {
    let folder = Folder::new("resumed");
    let (spool, position) = (format!("spool={}", path(&folder, "spool")), path(&folder, "position"));
    fs::write(&position, "somewhere").unwrap();
    let call = ["bridge", "mqtt", "--pull", "car", "--broker", "b", "--vehicle", "x", "--acknowledged"];
    let nowhere = path(&folder, "nowhere/position");
    for (words, code, why) in [
        (&["--resume", &position][..], 2, "--resume needs --offline spool="),
        (&["--resume", &position, "--offline", "memory=1M"], 2, "--resume needs --offline spool="),
        (&["--resume", &position, "--offline", &spool], 1, "--resume: "),
        (&["--resume", &nowhere, "--offline", &spool], 1, "--resume: "),
    ] {
        let ended = run(&[&call, words].concat());
        assert_eq!((ended.code, ended.stderr.len()), (code, 1), "{words:?}: {ended:?}");
        assert!(ended.stderr[0].starts_with(&format!("leads-comm: {why}")), "instead of {why}: {ended:?}");
    }
    let rest = ["--broker", "b", "--vehicle", "x", "--offline", &spool, "--resume", &position];
    for words in [&["--accept", ":0", "--acknowledged"][..], &["--pull", "car"]] {
        assert_eq!(run(&[&["bridge", "mqtt"], words, &rest].concat()).code, 2, "{words:?}");
    }
}

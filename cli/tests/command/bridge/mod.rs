//! `bridge`: what mosquitto's own clients see of a vehicle, and what they may say to it.

mod paho;
mod resumed;

use std::fs;
use std::process::Command;

use leads_comm_testing::child;
use leads_comm_testing::folder::Folder;
use leads_comm_testing::mosquitto::Mosquitto;
use leads_comm_testing::wire::Listening;

use crate::endpoint::path;
use crate::process::{Process, run};

/// Where no broker is. Not a free port, on which that of another test may be a moment later.
const NOBODY: &str = "127.0.0.1:1";

/// mosquitto, and its own clients.
struct Broker(Mosquitto);

impl Broker {
    /// With these lines in its configuration; `None` where it is not installed.
    fn start(lines: &str) -> Option<Self> {
        let programs = ["mosquitto_sub", "mosquitto_pub", "stdbuf"];
        if !programs.iter().all(|program| child::is_there(program, "a broker of MQTT")) {
            return None;
        }
        Mosquitto::start(lines).map(Self)
    }

    fn address(&self) -> String {
        self.0.address()
    }

    fn port(&self) -> String {
        self.0.port().to_string()
    }

    /// A line for each message of these topics: the topic, and what it says.
    fn subscribe(&self, topic: &str) -> Process {
        let mut command = Command::new("stdbuf");
        command.args(["-oL", "mosquitto_sub", "-p", &self.port(), "-v", "-d", "-q", "1", "-t", topic]);
        crate::process::prepare(&mut command);
        let subscriber = Process::spawn(&mut command);
        subscriber.line_with("received SUBACK");
        subscriber
    }

    fn publish(&self, topic: &str, message: &str) {
        self.publish_with(&["-t", topic, "-m", message]);
    }

    fn publish_retained(&self, topic: &str, message: &str) {
        self.publish_with(&["-r", "-t", topic, "-m", message]);
    }

    fn publish_with(&self, words: &[&str]) {
        let publish = Command::new("mosquitto_pub").args(["-p", &self.port(), "-q", "1"]).args(words).status();
        assert!(publish.unwrap().success());
    }
}

/// A bridge from a vehicle, whose session has begun.
fn bridge(vehicle: &Listening, broker: &Broker, options: &[&str]) -> Process {
    let (from, to) = (vehicle.address(), broker.address());
    let words = ["bridge", "mqtt", "--pull", &from, "--broker", &to, "--vehicle", "car 7"];
    let bridge = Process::start(&[&words, options].concat());
    bridge.error_line_with("broker: the broker is there");
    bridge
}

#[test]
fn a_broker_gets_what_the_vehicle_says_and_the_vehicle_what_is_allowed() {
    let Some(broker) = Broker::start("allow_anonymous true") else { return };
    let vehicle = Listening::start();
    let heard = broker.subscribe("leads/#");
    let bridge = bridge(&vehicle, &broker, &["--key", "field=topic", "--split-fields", "--allow", "time_lap,hazard"]);
    let car = vehicle.accept();
    heard.line_with(r#"leads/car 7/telemetry/status {"state":"online""#);
    car.write(r#"{"topic":"a/b","x":1.50};hello;"#);
    heard.line_with(r#"leads/car 7/telemetry/up/a%2Fb {"topic":"a/b","x":1.50}"#);
    heard.line_with("leads/car 7/telemetry/field/a%2Fb/x 1.50");
    heard.line_with("leads/car 7/telemetry/up hello");
    // Newcomers get the last of each key.
    broker.subscribe("leads/+/+/up/#").line_with(r#"up/a%2Fb {"topic":"a/b","x":1.50}"#);
    for command in ["time_lap", "reboot", "hazard"] {
        broker.publish("leads/car 7/telemetry/down", command);
    }
    car.expect("time_lap;hazard;");
    bridge.error_line_with("broker: a command was refused: --allow names those that may come");
    bridge.signal("INT");
    car.expect_goodbye();
    let ended = bridge.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(ended.stderr.last().unwrap(), "2 messages published, 2 commands passed on, 1 not allowed");
    heard.line_with(r#"leads/car 7/telemetry/status {"state":"offline""#);
}

#[test]
fn what_comes_while_there_is_no_broker_waits_for_it() {
    let folder = Folder::new("spool");
    let spool = format!("spool={}", path(&folder, "spool"));
    let Some(mut broker) = Broker::start("allow_anonymous true") else { return };
    let vehicle = Listening::start();
    let bridge = bridge(&vehicle, &broker, &["--offline", &spool]);
    let car = vehicle.accept();
    broker.0.kill();
    bridge.error_line_with("broker: the broker is gone");
    car.write("1;2;3;");
    car.say_goodbye();
    bridge.error_line_with("from: disconnected: the peer said goodbye");
    bridge.signal("INT");
    let ended = bridge.end();
    assert_eq!(
        (ended.code, ended.stderr.last().unwrap().as_str()),
        (0, "0 messages published, 3 waiting"),
        "{ended:?}"
    );

    // They wait for the next start as well.
    let broker = Broker::start("allow_anonymous true").unwrap();
    let heard = broker.subscribe("leads/+/+/backlog");
    let vehicle = Listening::start();
    let bridge = self::bridge(&vehicle, &broker, &["--offline", &spool]);
    for number in ["1", "2", "3"] {
        heard.line_with(r#"leads/car 7/telemetry/backlog {"time_ms":"#);
        assert_eq!(heard.line(), number);
    }
    bridge.error_line_with("broker: all that waited has arrived, 3 messages");
}

#[test]
fn a_broker_that_refuses_is_told_in_a_line() {
    let Some(broker) = Broker::start("allow_anonymous false") else { return };
    let (vehicle, to) = (Listening::start(), broker.address());
    let secret = path(&broker.0.folder, "secret");
    fs::write(&secret, "wrong").unwrap();
    let bridge = Process::start(&[
        "bridge",
        "mqtt",
        "--pull",
        &vehicle.address(),
        "--broker",
        &to,
        "--vehicle",
        "car",
        "--user",
        "car",
        "--password-file",
        &secret,
    ]);
    let line = bridge.error_line_with("broker: ");
    assert!(line.starts_with("broker: the broker does not ") && line.contains(", again in "), "{line}");
}

#[test]
fn wrong_calls_are_told() {
    for (words, why) in [
        (&["kafka"][..], "invalid value 'kafka' for '<mqtt>'"),
        (
            &["mqtt", "--pull", "car", "--vehicle", "x"],
            "the following required arguments were not provided: --broker <HOST>",
        ),
        (
            &["mqtt", "--pull", "car", "--broker", "b", "--vehicle", ""],
            "invalid value '' for '--vehicle <NAME>': a name has",
        ),
        (&["mqtt", "--pull", "car", "--broker", "unix:x", "--vehicle", "x"], "a broker is at HOST[:PORT], or tls://"),
        (&["mqtt", "--pull", "car", "--broker", "b:0", "--vehicle", "x"], "port 0 is for a server"),
        (&["mqtt", "--pull", "car", "--broker", "tls://b", "--vehicle", "x"], "tls:// needs --broker-tls-ca"),
        (
            &["mqtt", "--pull", "car", "--broker", "b", "--vehicle", "x", "--broker-tls-ca", "x"],
            "--broker-tls-... need",
        ),
        (
            &["mqtt", "--pull", "car", "--broker", "b", "--vehicle", "x", "--offline", "latest"],
            "--offline latest is for relay",
        ),
        (
            &["mqtt", "--pull", "car", "--broker", "b", "--vehicle", "x", "--offline", "memory=1"],
            "--offline: the bounds of",
        ),
        (
            &["mqtt", "--pull", "car", "--broker", "b", "--vehicle", "x", "--max-in-flight", "0"],
            "--max-in-flight must be 1 to 10,000",
        ),
        (
            &["mqtt", "--pull", "car", "--broker", "b", "--vehicle", "x", "--user", "y"],
            "the following required arguments",
        ),
        (
            &["mqtt", "--pull", "car", "--broker", "b", "--vehicle", "x", "--max-message-len", "1G"],
            "--max-message-len, and 128 KiB, must be at most",
        ),
    ] {
        let ended = run(&[&["bridge"], words].concat());
        assert_eq!((ended.code, ended.stderr.len()), (2, 1), "{words:?}: {ended:?}");
        assert!(ended.stderr[0].starts_with(&format!("leads-comm: {why}")), "instead of {why}: {ended:?}");
    }
}

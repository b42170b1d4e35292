//! The consumer in the README of `mqtt/`, as it stands there, with paho.
//!
//! `python3 cli/tests/tools/fetch.py paho` gets that.

use std::fs;

use leads_comm_testing::folder::Folder;
use leads_comm_testing::wire::Listening;

use super::{Broker, NOBODY, bridge};
use crate::endpoint::path;
use crate::kits;
use crate::process::{Process, prepare};

/// The example in Python, for this broker and the vehicle of these tests.
fn consumer(broker: &Broker) -> String {
    let readme = fs::read_to_string(kits::root().join("mqtt/README.md")).unwrap();
    let (_, code) = readme.split_once("```python\n").unwrap();
    let (code, _) = code.split_once("```").unwrap();
    for part in ["car-7", "\"broker.example.org\""] {
        assert!(code.contains(part), "{code}");
    }
    code.replace("car-7", "car 7").replace("\"broker.example.org\"", &format!("\"127.0.0.1\", {}", broker.port()))
}

#[test]
fn the_consumer_of_the_readme_gets_all_of_it() {
    let Some(mut python) = kits::python("paho") else { return };
    let Some(broker) = Broker::start("allow_anonymous true") else { return };
    let folder = Folder::new("paho");
    let options = ["--key", "field=topic", "--offline", &format!("spool={}", path(&folder, "spool"))];

    // Something waits, from when there was no broker.
    let vehicle = Listening::start();
    let words = ["bridge", "mqtt", "--pull", &vehicle.address(), "--broker", NOBODY, "--vehicle", "car 7"];
    let before = Process::start(&[&words[..], &options].concat());
    let car = vehicle.accept();
    car.write(r#"{"topic":"a/b"};"#);
    car.say_goodbye();
    before.error_line_with("from: disconnected: the peer said goodbye");
    before.signal("INT");
    assert_eq!(before.end().stderr.last().unwrap(), "0 messages published, 1 waiting");

    python.args(["-u", "-c", &consumer(&broker)]);
    prepare(&mut python);
    let consumer = Process::spawn(&mut python);
    broker.publish_retained("leads/car 7/telemetry/up/probe", "it has subscribed");
    assert_eq!(consumer.line(), "None b'probe' b'it has subscribed'");

    let vehicle = Listening::start();
    let bridge = bridge(&vehicle, &broker, &options);
    let waited = consumer.line();
    let time = waited.strip_suffix(r#" b'a/b' b'{"topic":"a/b"}'"#).unwrap_or_else(|| panic!("{waited}"));
    assert!(time.parse::<f64>().unwrap() > 1.7e9, "{waited}");
    vehicle.accept().write(r#"{"topic":"a/b","x":1};hello;"#);
    assert_eq!(consumer.line(), r#"None b'a/b' b'{"topic":"a/b","x":1}'"#);
    assert_eq!(consumer.line(), "None None b'hello'");
    bridge.signal("INT");
    assert_eq!(bridge.end().code, 0);
    // What was retained is taken back.
    assert_eq!(consumer.line(), "None b'a/b' b''");
}

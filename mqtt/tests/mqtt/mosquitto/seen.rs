//! What other clients see of a bridge.

use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use leads_comm::key;
use leads_comm_mqtt::{Commands, Event};
use leads_comm_testing::child;

use super::{Mosquitto, OPEN, bridge_to, subscribe};
use crate::{PATIENCE, builder, connected, find, until};

#[test]
fn foreign_clients_see_all_of_it_and_send_commands() {
    let Some(broker) = Mosquitto::start(OPEN) else { return };
    let Some(viewer) = subscribe(&broker, &["-t", "leads/car/s/#", "-q", "1"]) else { return };
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
    publisher.args(["-h", "127.0.0.1", "-p", &broker.port().to_string(), "-q", "1"]);
    publisher.args(["-t", "leads/car/s/down", "-m", "box"]);
    assert!(publisher.status().unwrap().success());
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), b"box");

    // Who comes later has the state, and not the events; and nothing once the bridge has been closed.
    let later = subscribe(&broker, &["-t", "leads/car/s/up/#"]).unwrap();
    let mut retained = [later.next(), later.next()];
    retained.sort();
    assert_eq!(
        retained.map(|(topic, retained, ..)| (topic, retained)),
        [("leads/car/s/up/speed".to_owned(), true), (json_key.to_owned(), true),]
    );
    bridge.close();
    let (_, _, qos, payload) = viewer.find(|topic, _| topic.ends_with("/status"));
    assert_eq!((qos, &*payload), (1, &br#"{"state":"offline","waiting":0,"lost":0}"#[..]));
    let last = subscribe(&broker, &["-t", "leads/car/s/#"]).unwrap();
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
    let Some(viewer) = subscribe(&broker, &["-t", "leads/car/s/status"]) else { return };
    let name = "mosquitto::seen::the_will_is_published_when_the_process_is_killed";
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
        let Some(viewer) = subscribe(&broker, &["-t", "leads/car/s/up/#"]) else { return };
        let (topic, _, _, payload) = viewer.next();
        assert_eq!((&*topic, &*payload), ("leads/car/s/up/speed", &b"speed:2"[..]));
    }
    bridge.close();
}

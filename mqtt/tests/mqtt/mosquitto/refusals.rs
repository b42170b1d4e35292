//! What mosquitto refuses, and how one learns of it.

use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use leads_comm_mqtt::{Commands, Event, Refusal};
use leads_comm_testing::skipped;

use super::{Mosquitto, bridge_to, subscribe};
use crate::{connected, find, until};

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
    let Some(viewer) = subscribe(&broker, &["-t", "leads/car/s/up/#", "-t", "leads/car/s/down"]) else { return };
    let (tell, told) = mpsc::channel();
    let commands = Commands::new(move |command| tell.send(command.to_vec()).unwrap()).allow(["box"]);
    let (bridge, events) = bridge_to(&broker, |builder| builder.commands(commands).acknowledged(true));
    connected(&events);
    bridge.publish(b"speed:38.5").unwrap();
    until(&bridge, "it is acknowledged", |stats| stats.acknowledged == 1);
    let mut publisher = Command::new("mosquitto_pub");
    publisher.args(["-h", "127.0.0.1", "-p", &broker.port().to_string(), "-q", "1"]);
    publisher.args(["-t", "leads/car/s/down", "-m", "box"]);
    assert!(publisher.status().unwrap().success());
    let moment = Duration::from_millis(300);
    assert!(told.recv_timeout(moment).is_err() && viewer.lines.try_recv().is_err() && events.try_recv().is_err());
    bridge.close();
}

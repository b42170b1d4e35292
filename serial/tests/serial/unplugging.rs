//! Devices that go, and come back.

use std::time::Duration;

use leads_comm::callback::Event;
use leads_comm::{DisconnectCause, DisconnectReason, Error, Reconnect};
use leads_comm_serial::{Ports, SerialConnector};

use crate::support::pty::{Device, Names};
use crate::support::{connected, disconnected, find, in_time, received, until};
use crate::{client, connected_to, patient};

fn quickly() -> Reconnect {
    Reconnect::new().first_delay(Duration::from_millis(20)).longest_delay(Duration::from_millis(100))
}

fn echo(wire: &crate::support::pty::Wire, message: &[u8]) {
    wire.say([message, b";"].concat());
}

fn assert_gone(reason: &DisconnectReason) {
    let DisconnectCause::Io { source } = &reason.cause else { panic!("{reason}") };
    assert_eq!(source.kind(), std::io::ErrorKind::ConnectionAborted);
    assert!(source.to_string().starts_with("the device is gone"), "{source}");
}

#[test]
fn unplugging_ends_the_connection_with_a_reason() {
    let device = Device::silent();
    let (client, events) = connected_to(&device);
    device.say("whole;hal");
    assert_eq!(received(&events), b"whole");
    drop(device);
    // Half a message is not delivered.
    let reason = find(&events, |event| match event {
        Event::Disconnect { reason, .. } => Some(reason),
        Event::Receive { message, .. } => panic!("{}", message.escape_ascii()),
        _ => None,
    });
    assert_gone(&reason);
    in_time("the end of the client", move || client.wait());
}

#[test]
fn unplugging_is_noticed_by_who_sends() {
    let device = Device::silent();
    let (client, events) = connected_to(&device);
    client.send(b"first").unwrap();
    assert_eq!(device.next(), b"first");
    drop(device);
    until("a send fails", || client.send(b"more").is_err());
    assert_gone(&disconnected(&events));
    in_time("the end of the client", move || client.wait());
}

#[test]
fn a_device_that_returns_is_connected_again() {
    let names = Names::new();
    let port = names.name("ttyUSB0");
    let mut device = Device::at(&port, echo);
    let (client, events) = client(SerialConnector::new(), |builder| builder.reconnect(quickly().keep_bytes(10_000)));
    client.start(device.port(), true).unwrap();
    connected(&events);
    for _ in 0..3 {
        client.send(b"ping").unwrap();
        assert_eq!(received(&events), b"ping");
        drop(device);
        assert_gone(&disconnected(&events));
        // While it is away, every attempt says so.
        let error = find(&events, |event| match event {
            Event::Fail { error, .. } => Some(error),
            _ => None,
        });
        let Error::Connect { source, .. } = &error else { panic!("{error}") };
        assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
        device = Device::at(&port, echo);
        connected(&events);
    }
    client.send(b"ping").unwrap();
    assert_eq!(received(&events), b"ping");
    client.close();
}

#[test]
fn a_device_that_returns_elsewhere_is_found_again() {
    let names = Names::new();
    let answer = |wire: &crate::support::pty::Wire, message: &[u8]| match message {
        b"ic" => wire.say("VeC;"),
        message => echo(wire, message),
    };
    let device = Device::at(&names.name("ttyUSB0"), answer);
    let connector = SerialConnector::new().identity(patient("VeC")).ports(Ports::with_list(names.list()));
    let (client, events) = client(connector, |builder| builder.reconnect(quickly()));
    client.start("auto", true).unwrap();
    assert_eq!(connected(&events).to_string(), device.port());
    drop(device);
    assert_gone(&disconnected(&events));
    let device = Device::at(&names.name("ttyUSB1"), answer);
    assert_eq!(connected(&events).to_string(), device.port());
    client.send(b"ping").unwrap();
    assert_eq!(received(&events), b"ping");
    client.close();
}

#[test]
fn a_device_plugged_in_later_is_found() {
    let names = Names::new();
    let connector = SerialConnector::new().identity(patient("VeC")).ports(Ports::with_list(names.list()));
    let (client, events) = client(connector, |builder| builder.reconnect(quickly().at_start(true)));
    client.start("auto", true).unwrap();
    let error = find(&events, |event| match event {
        Event::Fail { error, .. } => Some(error),
        _ => None,
    });
    assert_eq!(crate::support::chain(&error), "cannot connect to auto: no available port");
    let device = Device::at(&names.name("ttyACM0"), |wire, message| {
        if message == b"ic" {
            wire.say("VeC 1;hello;");
        }
    });
    assert_eq!(received(&events), b"hello");
    assert_eq!(client.num_connections(), 1);
    client.close();
    drop(device);
}

//! What a line carries, and how a connection over one ends.

use std::thread;
use std::time::Duration;

use leads_comm::{Closing, DisconnectCause, SlowConsumer, Timeouts};
use leads_comm_serial::SerialConnector;

use crate::support::pty::Device;
use crate::support::{connected, disconnected, in_time, received, until};
use crate::{client, connected_to};

#[test]
fn messages_go_both_ways() {
    let device = Device::new(|wire, message| wire.say([b"you said ", message, b";"].concat()));
    let (client, events) = connected_to(&device);
    let connection = connected(&events);
    assert_eq!(connection.to_string(), device.port());
    for number in 0..100 {
        client.send(format!("{number}").as_bytes()).unwrap();
        assert_eq!(received(&events), format!("you said {number}").as_bytes());
    }
    client.close();
    assert!(device.heard().ends_with(&[b"99".to_vec(), b"disconnect".to_vec()]));
    assert!(matches!(disconnected(&events).cause, DisconnectCause::ServiceClosed));
}

#[test]
fn every_byte_goes_through_as_it_is() {
    let device = Device::new(|wire, message| wire.say([message, b";"].concat()));
    let (client, events) = connected_to(&device);
    let all: Vec<u8> = (0..=255).filter(|byte| *byte != b';').collect();
    client.send(&all).unwrap();
    assert_eq!(received(&events), all);
    client.close();
}

#[test]
fn a_device_says_goodbye() {
    let device = Device::silent();
    let (client, events) = connected_to(&device);
    device.say("last;disconnect;");
    assert_eq!(received(&events), b"last");
    assert!(matches!(disconnected(&events).cause, DisconnectCause::PeerGoodbye));
    assert_eq!(device.next(), b"disconnect");
    in_time("the end of the client", move || client.wait());
}

#[test]
fn half_a_message_waits_for_the_other_half() {
    let device = Device::silent();
    let (client, events) = connected_to(&device);
    for _ in 0..3 {
        device.say("ha");
        // Longer than a read waits at a time, where it has a time-out.
        thread::sleep(Duration::from_millis(120));
        device.say("lf;");
        assert_eq!(received(&events), b"half");
    }
    client.close();
    assert!(!events.try_iter().any(|event| matches!(event, leads_comm::callback::Event::Receive { .. })));
}

#[test]
fn a_device_that_babbles_is_dropped() {
    let device = Device::silent();
    let (client, events) = client(SerialConnector::new(), |builder| builder.max_received_len(1000));
    client.start(device.port(), true).unwrap();
    device.say("in a message;");
    assert_eq!(received(&events), b"in a message");
    device.say([0x55; 2000]);
    assert!(matches!(disconnected(&events).cause, DisconnectCause::MessageTooLong { limit: 1000 }));
    in_time("the end of the client", move || client.wait());
}

#[test]
fn a_client_of_a_silent_device_closes_after_the_drain_time_out() {
    let device = Device::silent();
    let (client, events) = connected_to(&device);
    in_time("the close", move || client.close());
    assert_eq!(device.next(), b"disconnect");
    assert!(matches!(disconnected(&events).cause, DisconnectCause::ServiceClosed));
}

/// There is no end of the stream to wait for.
#[test]
fn a_connection_is_over_when_both_have_said_goodbye() {
    let patient = |builder: leads_comm::ClientBuilder| {
        let hours = Duration::from_secs(3600);
        builder.closing(Closing::new().drain_timeout(hours).close_timeout(hours))
    };
    let device = Device::new(|wire, message| {
        if message == b"disconnect" {
            wire.say("late;disconnect is not it;disco");
            wire.say("nnect;");
        }
    });
    let (closing, events) = client(SerialConnector::new(), patient);
    closing.start(device.port(), true).unwrap();
    in_time("the close", move || closing.close());
    assert!(matches!(disconnected(&events).cause, DisconnectCause::ServiceClosed));

    let (closed, events) = client(SerialConnector::new(), patient);
    closed.start(device.port(), true).unwrap();
    connected(&events);
    device.say("disconnect;");
    assert!(matches!(disconnected(&events).cause, DisconnectCause::PeerGoodbye));
    in_time("the end of the client", move || closed.wait());
}

/// Also when it arrives in pieces, where the separator has several bytes.
#[test]
fn a_goodbye_is_heard_in_any_pieces() {
    let device = Device::silent();
    let (client, events) = client(SerialConnector::new(), |builder| {
        let hours = Duration::from_secs(3600);
        builder.separator("\r\n").closing(Closing::new().drain_timeout(hours).close_timeout(hours))
    });
    client.start(device.port(), true).unwrap();
    let connection = connected(&events);
    connection.close();
    for piece in ["late\r\ndisconnect", "\r", "\n"] {
        // So that each is read by itself, as a rule.
        thread::sleep(Duration::from_millis(50));
        device.say(piece);
    }
    assert!(matches!(disconnected(&events).cause, DisconnectCause::LocalClose));
    in_time("the end of the client", move || client.wait());
}

/// A device that takes nothing, as behind a flow control that has said stop.
#[test]
fn a_device_that_is_stuck_blocks_neither_send_nor_close() {
    let device = crate::support::pty::Pair::open();
    let (client, events) = client(SerialConnector::new(), |builder| {
        builder.slow_consumer(SlowConsumer::DropNewest).max_queued_bytes(200_000).max_sent_len(10_000)
    });
    client.start(&device.name, true).unwrap();
    let connection = connected(&events);
    let client = in_time("sending", move || {
        for _ in 0..100 {
            let _ = client.send(&[b'x'; 8000]);
        }
        client
    });
    until("messages wait", || connection.stats().traffic.queued_bytes > 100_000);
    in_time("the close", move || client.close());
    let reason = disconnected(&events);
    assert!(matches!(reason.cause, DisconnectCause::ServiceClosed), "{reason}");
    assert!(reason.undelivered.unsent.messages > 0, "{reason}");
    assert!(!connection.is_closed() || connection.disconnect_reason().is_some());
}

#[test]
fn a_stuck_device_ends_by_the_stall_time_out() {
    let device = crate::support::pty::Pair::open();
    let (client, events) = client(SerialConnector::new(), |builder| {
        builder.timeouts(Timeouts::new().stall_timeout(Duration::from_millis(200)))
    });
    client.start(&device.name, true).unwrap();
    client.send(&[b'x'; 100_000]).unwrap();
    assert!(matches!(disconnected(&events).cause, DisconnectCause::SlowConsumer { .. }));
    assert_eq!(client.num_connections(), 0);
    in_time("the end of the client", move || client.wait());
}

/// Far more than the system keeps for a line.
#[test]
fn much_goes_through_whole_and_in_order() {
    let device = Device::new(|wire, message| wire.say([message, b";"].concat()));
    let (client, events) = connected_to(&device);
    let messages: Vec<Vec<u8>> = (0..200).map(|number| crate::support::numbered(number, 1500)).collect();
    for message in &messages {
        client.send(message).unwrap();
    }
    for message in &messages {
        assert!(received(&events) == *message);
    }
    client.close();
}

//! What comes down.

use std::sync::mpsc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use leads_comm_mqtt::{Bridge, Commands, Event};

use super::broker::{Broker, Packet, Peer};
use super::{PATIENCE, connected, find, start, until};

const DOWN: &str = "leads/car/s/down";

/// A session that is subscribed to commands.
fn subscribed(broker: &Broker) -> Peer {
    let (mut peer, _) = broker.online();
    assert_eq!(peer.subscription(), (DOWN.to_owned(), 1));
    peer
}

#[test]
fn what_is_on_the_list_is_given_to_the_program() {
    let broker = Broker::new();
    let (tell, told) = mpsc::channel();
    let commands = Commands::new(move |command| tell.send(command.to_vec()).unwrap());
    let commands = commands.allow(["hazard", "disconnect"]).allow_prefix("box:");
    let (bridge, events) = start(&broker, |builder| builder.commands(commands));
    let mut peer = subscribed(&broker);
    peer.send_message(DOWN, b"hazard", Some(1), false);
    assert_eq!(peer.packet(), Packet::Puback(1));
    peer.send_message(DOWN, b"box:now", None, false);
    for (id, refused) in [(2, &b"hazards"[..]), (3, b"disconnect"), (4, b""), (5, b"reboot")] {
        peer.send_message(DOWN, refused, Some(id), false);
        assert_eq!(peer.packet(), Packet::Puback(id), "it has arrived all the same");
    }
    // One that is retained, and one that nobody has subscribed to.
    peer.send_message(DOWN, b"hazard", Some(6), true);
    assert_eq!(peer.packet(), Packet::Puback(6));
    peer.send_message("leads/car/s/up", b"hazard", Some(7), false);
    assert_eq!(peer.packet(), Packet::Puback(7));
    peer.send_message(DOWN, b"box:later", Some(8), false);
    assert_eq!(peer.packet(), Packet::Puback(8));
    for expected in [&b"hazard"[..], b"box:now", b"box:later"] {
        assert_eq!(told.recv_timeout(PATIENCE).unwrap(), expected);
    }
    assert!(told.try_recv().is_err());
    let stats = bridge.stats();
    assert_eq!((stats.commands_passed, stats.commands_refused), (3, 6));
    let mut refused = 0;
    while refused < 6 {
        refused += find(&events, |event| match event {
            Event::CommandsRefused { messages } => Some(messages),
            _ => None,
        });
    }
    assert_eq!(refused, 6);
    bridge.close();
}

#[test]
fn each_session_subscribes_anew() {
    let broker = Broker::new();
    let (bridge, _events) = start(&broker, |builder| builder.commands(Commands::new(|_| ()).allow(["go"])));
    for _ in 0..3 {
        subscribed(&broker).cut();
    }
    bridge.close();
}

#[test]
fn a_subscription_that_is_refused_is_told_and_everything_else_goes_on() {
    let broker = Broker::new();
    let (bridge, events) = start(&broker, |builder| builder.commands(Commands::new(|_| ()).allow(["go"])));
    let (mut peer, _) = broker.online();
    let Packet::Subscribe { id, .. } = peer.packet() else { panic!("it does not subscribe") };
    peer.send(&[&[0x90, 3], &id.to_be_bytes()[..], &[0x80]].concat());
    find(&events, |event| matches!(event, Event::NotSubscribed).then_some(()));
    bridge.publish(b"live").unwrap();
    assert_eq!(peer.publish().payload, b"live");
    bridge.close();
}

#[test]
fn a_function_that_panics_is_told_of_and_called_again() {
    leads_comm_testing::expect_panics_in_callbacks();
    let broker = Broker::new();
    let (tell, told) = mpsc::channel();
    let commands = Commands::new(move |command| {
        tell.send(command.to_vec()).unwrap();
        assert_ne!(command, b"panic", "as it was told");
    });
    let (bridge, events) = start(&broker, |builder| builder.commands(commands.allow_prefix("")));
    let mut peer = subscribed(&broker);
    for (id, command) in [(1, &b"panic"[..]), (2, b"go")] {
        peer.send_message(DOWN, command, Some(id), false);
        assert_eq!(peer.packet(), Packet::Puback(id));
        assert_eq!(told.recv_timeout(PATIENCE).unwrap(), command);
    }
    let message = find(&events, |event| match event {
        Event::CommandPanicked { message } => Some(message),
        _ => None,
    });
    assert!(message.contains("as it was told"), "{message}");
    bridge.close();
}

#[test]
fn a_function_may_close_the_bridge() {
    let broker = Broker::new();
    let (tell, told) = mpsc::channel();
    let bridge = Arc::new(OnceLock::<Bridge>::new());
    let commands = Commands::new({
        let bridge = Arc::clone(&bridge);
        move |_| {
            let bridge = bridge.get().unwrap();
            bridge.close();
            tell.send(bridge.publish(b"late").is_err()).unwrap();
        }
    });
    let (started, events) =
        start(&broker, |builder| builder.commands(commands.allow(["end"])).close_timeout(Duration::from_secs(5)));
    bridge.set(started.clone()).unwrap();
    let mut peer = subscribed(&broker);
    connected(&events);
    peer.send_message(DOWN, b"end", None, false);
    assert!(told.recv_timeout(PATIENCE).unwrap(), "it had returned, and the bridge was closed");
    let offline = peer.publish();
    assert!(offline.payload.starts_with(br#"{"state":"offline""#));
    peer.acknowledge(&offline);
    assert_eq!(peer.packet(), Packet::Disconnect);
    drop(peer);
    started.close();
    assert!(!until(&started, "it is over", |stats| !stats.is_online).is_online);
}

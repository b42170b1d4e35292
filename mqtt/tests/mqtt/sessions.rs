//! How sessions begin and end, and how soon there is another one.

use std::time::Duration;

use leads_comm_mqtt::{Bridge, Commands, Error, Event, Fault, Offline, Refusal};

use super::broker::{Broker, Packet, Publish};
use super::{builder, connected, find, start, until};

#[test]
fn the_first_that_a_broker_hears() {
    let broker = Broker::new();
    let commands = Commands::new(|_| ()).allow(["go"]);
    let (bridge, events) = start(&broker, |builder| builder.credentials("ann", b"x\0y").commands(commands));
    let (mut peer, connect) = broker.session();
    assert_eq!(connect.protocol, ("MQTT".to_owned(), 4));
    assert_eq!((&*connect.client_id, connect.keep_alive, connect.is_clean), ("leads-car-s", 10, true));
    assert_eq!((connect.user.as_deref(), connect.password.as_deref()), (Some("ann"), Some(&b"x\0y"[..])));
    let will = connect.will.unwrap();
    assert_eq!((&*will.topic, will.qos, will.is_retained), ("leads/car/s/status", 1, true));
    assert_eq!(will.payload, br#"{"state":"offline","waiting":0,"lost":0}"#);

    let Publish { topic, payload, qos, is_retained, is_again, id } = peer.publish();
    assert_eq!((&*topic, qos, is_retained, is_again), ("leads/car/s/status", 1, true, false));
    assert!(id.is_some_and(|id| id > 0));
    let payload = String::from_utf8(payload).unwrap();
    assert!(payload.starts_with(r#"{"state":"online","offline_s":0."#), "{payload}");
    assert!(payload.ends_with(r#","waiting":0,"lost":0,"oldest_s":0.0}"#), "{payload}");
    assert_eq!(peer.subscription(), ("leads/car/s/down".to_owned(), 1));
    connected(&events);
    assert!(bridge.stats().is_online);
    bridge.close();
    assert!(!bridge.stats().is_online);
}

#[test]
fn nothing_is_subscribed_to_without_a_list() {
    for commands in [None, Some(Commands::new(|_| ()))] {
        let broker = Broker::new();
        let (bridge, _events) = start(&broker, |builder| match commands {
            Some(commands) => builder.commands(commands),
            None => builder,
        });
        let (mut peer, _) = broker.online();
        bridge.close();
        // The next thing that it says is that it is gone.
        assert_eq!(peer.publish().payload, br#"{"state":"offline","waiting":0,"lost":0}"#);
    }
}

#[test]
fn names_and_ids_are_what_is_set() {
    let broker = Broker::new();
    let (builder, _events) = builder();
    let bridge = builder.client_id("me").prefix("team/leads").keep_alive(Duration::from_millis(1500)).build().unwrap();
    assert_eq!(bridge.client_id(), "me");
    bridge.start(&broker.address()).unwrap();
    let (_peer, connect) = broker.session();
    assert_eq!((&*connect.client_id, connect.keep_alive), ("me", 2));
    assert_eq!(connect.will.unwrap().topic, "team/leads/car/s/status");
    bridge.close();
}

#[test]
fn a_refusal_is_told_once_and_not_asked_again_soon() {
    for (code, refusal) in [
        (1, Refusal::Protocol),
        (2, Refusal::ClientId),
        (3, Refusal::Unavailable),
        (4, Refusal::Credentials),
        (5, Refusal::NotAuthorised),
    ] {
        let broker = Broker::new();
        let (bridge, events) = start(&broker, |builder| builder);
        let mut peer = broker.accept();
        peer.connect();
        peer.send(&[0x20, 2, 0, code]);
        let told = find(&events, Some);
        let Event::Refused { refusal: said, again_in } = &told else { panic!("{told:?}") };
        assert_eq!(*said, refusal);
        assert!(*again_in > Duration::from_millis(4_500) && *again_in <= Duration::from_secs(10), "{again_in:?}");
        assert!(told.to_string().contains("again in"), "{told}");
        assert!(broker.accept_within(Duration::from_millis(300)).is_none(), "it asks again at once");
        assert!(events.try_recv().is_err(), "one line is enough");
        bridge.close();
    }
}

#[test]
fn a_broker_that_does_not_answer_is_given_up() {
    let broker = Broker::new();
    let (bridge, events) = start(&broker, |builder| builder.connect_timeout(Duration::from_millis(200)));
    let mut peer = broker.accept();
    peer.connect();
    assert_eq!(peer.rest(), []);
    find(&events, |event| match event {
        Event::Disconnected { fault: Some(Fault::NoAnswer(_)), lasted: None, .. } => Some(()),
        _ => None,
    });
    broker.online();
    connected(&events);
    bridge.close();
}

#[test]
fn a_broker_that_falls_silent_is_given_up() {
    let broker = Broker::new();
    let (bridge, events) = start(&broker, |builder| builder.keep_alive(Duration::from_millis(200)));
    let (mut peer, _) = broker.online();
    for _ in 0..5 {
        assert_eq!(peer.packet(), Packet::Ping);
        peer.send(b"\xD0\0");
    }
    // What is asked in vain; and no DISCONNECT, so that the broker publishes the will.
    let rest = peer.rest();
    assert!(!rest.is_empty() && rest.iter().all(|packet| *packet == Packet::Ping), "{rest:?}");
    let fault = find(&events, |event| match event {
        Event::Disconnected { fault, lasted: Some(_), .. } => Some(fault),
        _ => None,
    });
    assert_eq!(fault, Some(Fault::Silent(Duration::from_millis(300))));
    broker.online();
    bridge.close();
}

/// It answers whether it is there, and has lost a message, or wants no more of them.
#[test]
fn a_broker_that_does_not_acknowledge_is_given_up() {
    let broker = Broker::new();
    let (bridge, events) = start(&broker, |builder| {
        builder.keep_alive(Duration::from_millis(200)).acknowledged(true).offline(Offline::Memory(1 << 20))
    });
    let (mut peer, _) = broker.online();
    for message in ["first", "second"] {
        bridge.publish(message.as_bytes()).unwrap();
    }
    let first = peer.publish();
    let second = peer.publish();
    peer.acknowledge(&second);
    while let Ok(Some(packet)) = peer.try_packet() {
        assert_eq!(packet, Packet::Ping);
        peer.send(b"\xD0\0");
    }
    let fault = find(&events, |event| match event {
        Event::Disconnected { fault, lasted: Some(_), .. } => Some(fault),
        _ => None,
    });
    assert_eq!(fault, Some(Fault::Unacknowledged(Duration::from_millis(400))));
    let (mut peer, _) = broker.online();
    let again = peer.publish();
    assert!(again.topic.ends_with("/backlog") && again.payload.ends_with(&first.payload), "{again:?}");
    peer.acknowledge(&again);
    until(&bridge, "all have arrived", |stats| stats.acknowledged == 2 && stats.waiting == 0);
    bridge.close();
}

#[test]
fn what_is_not_mqtt_ends_the_session() {
    for said in [&b"\xF0\0"[..], b"\x20\x02\0\0", b"\x30\x03\0\x09a", b"\x10\0", b"HTTP/1.1 400 Bad Request\r\n\r\n"] {
        let broker = Broker::new();
        let (bridge, events) = start(&broker, |builder| builder);
        let (mut peer, _) = broker.online();
        peer.send(said);
        find(&events, |event| matches!(event, Event::Disconnected { .. }).then_some(()));
        drop(peer);
        broker.online();
        bridge.close();
    }
}

#[test]
fn what_comes_before_the_answer_is_no_answer() {
    let broker = Broker::new();
    let (bridge, events) = start(&broker, |builder| builder);
    let mut peer = broker.accept();
    peer.connect();
    peer.send(b"\xD0\0");
    let fault = find(&events, |event| match event {
        Event::Disconnected { fault, lasted, .. } => Some((fault, lasted)),
        _ => None,
    });
    assert_eq!(fault, (Some(Fault::Malformed), None));
    bridge.close();
}

#[test]
fn a_session_follows_on_another_with_the_same_id() {
    let broker = Broker::new();
    let (bridge, events) = start(&broker, |builder| builder);
    let (first, connect) = broker.session();
    connected(&events);
    first.cut();
    let (mut second, again) = broker.session();
    assert_eq!((again.client_id, again.is_clean), (connect.client_id, true));
    assert_eq!(second.publish().topic, "leads/car/s/status");
    connected(&events);
    assert_eq!(bridge.stats().sessions, 2);
    bridge.close();
}

/// As if there were another bridge with this client id, which the broker lets in next, and so on.
#[test]
fn who_is_thrown_out_again_and_again_comes_less_and_less_often() {
    let broker = Broker::new();
    let (builder, events) = builder();
    let bridge = builder.reconnect(Duration::from_millis(200), Duration::from_secs(30)).build().unwrap();
    bridge.start(&broker.address()).unwrap();
    let mut waits = Vec::new();
    for _ in 0..5 {
        let (peer, _) = broker.session();
        peer.cut();
        waits.push(find(&events, |event| match event {
            Event::Disconnected { again_in, .. } => Some(again_in),
            _ => None,
        }));
    }
    // Between half of 3200 ms and all of it, much of which may have passed when it is told.
    assert!(waits[4] > Duration::from_millis(400), "{waits:?}");
    bridge.close();
}

#[test]
fn a_broker_that_is_not_there_is_told_of_and_found_later() {
    let broker = Broker::new();
    let address = broker.address();
    drop(broker);
    let (builder, events) = builder();
    let bridge = builder.build().unwrap();
    bridge.start(&address).unwrap();
    let error = find(&events, |event| match event {
        Event::Unreachable { error, .. } => Some(error),
        other => panic!("{other:?}"),
    });
    assert!(matches!(error, leads_comm::Error::Connect { .. }), "{error:?}");
    assert!(!bridge.stats().is_online);
    bridge.close();
}

#[test]
fn a_bridge_runs_once() {
    let (first, _events) = builder();
    let bridge = first.build().unwrap();
    assert!(matches!(bridge.publish(b"early"), Err(Error::NotStarted)));
    bridge.start("127.0.0.1:1").unwrap();
    assert!(matches!(bridge.start("127.0.0.1:1"), Err(Error::AlreadyStarted)));
    bridge.close();
    bridge.close();
    assert!(matches!(bridge.publish(b"late"), Err(Error::Closed)));
    assert!(matches!(bridge.start("127.0.0.1:1"), Err(Error::Closed)));

    let (second, _events) = builder();
    let never_started = second.build().unwrap();
    never_started.close();
    assert!(matches!(never_started.start("127.0.0.1:1"), Err(Error::Closed)));
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let refused = |adapt: fn(leads_comm_mqtt::BridgeBuilder) -> leads_comm_mqtt::BridgeBuilder| match adapt(builder().0)
        .build()
    {
        Err(Error::InvalidSetting { setting, .. }) => setting,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(|builder| builder.prefix("")), "prefix");
    assert_eq!(refused(|builder| builder.prefix("a//b")), "prefix");
    assert_eq!(refused(|builder| builder.prefix("a/+")), "prefix");
    assert_eq!(refused(|builder| builder.prefix("$SYS")), "prefix");
    assert_eq!(refused(|builder| builder.retain(true)), "retain");
    assert_eq!(refused(|builder| builder.catch_up(0)), "catch_up");
    assert_eq!(refused(|builder| builder.max_live_bytes(0)), "max_live_bytes");
    assert_eq!(refused(|builder| builder.max_in_flight(0)), "max_in_flight");
    assert_eq!(refused(|builder| builder.max_in_flight(10_001)), "max_in_flight");
    assert_eq!(refused(|builder| builder.max_packet_len(1024)), "max_packet_len");
    assert_eq!(refused(|builder| builder.max_packet_len(usize::MAX)), "max_packet_len");
    assert_eq!(refused(|builder| builder.keep_alive(Duration::ZERO)), "keep_alive");
    assert_eq!(refused(|builder| builder.keep_alive(Duration::from_secs(70_000))), "keep_alive");
    assert_eq!(refused(|builder| builder.connect_timeout(Duration::ZERO)), "connect_timeout");
    assert_eq!(refused(|builder| builder.reconnect(Duration::ZERO, Duration::ZERO)), "reconnect");
    assert_eq!(refused(|builder| builder.reconnect(Duration::MAX, Duration::ZERO)), "reconnect");
    assert_eq!(refused(|builder| builder.status_interval(Duration::ZERO)), "status_interval");
    // What a clock cannot count to.
    assert_eq!(refused(|builder| builder.status_interval(Duration::MAX)), "status_interval");
    assert_eq!(refused(|builder| builder.connect_timeout(Duration::MAX)), "connect_timeout");
    assert_eq!(refused(|builder| builder.close_timeout(Duration::MAX)), "close_timeout");
    assert_eq!(refused(|builder| builder.reconnect(Duration::from_secs(1), Duration::MAX)), "reconnect");
    assert_eq!(refused(|builder| builder.client_id("a".repeat(70_000))), "client_id");
    assert_eq!(refused(|builder| builder.credentials("a".repeat(70_000), "")), "credentials");
    let long = "a".repeat(2000);
    for (vehicle, stream, setting) in [("", "s", "vehicle"), ("car", "", "stream"), (&*long, "s", "vehicle")] {
        let refused = Bridge::builder(vehicle, stream).build();
        assert!(matches!(refused, Err(Error::InvalidSetting { setting: said, .. }) if said == setting));
    }
    // The longest packets that there are.
    let longest = builder().0.max_packet_len(1 + 4 + 0x0FFF_FFFF).build().unwrap();
    longest.close();
}

//! What is published, and where.

use std::collections::VecDeque;
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use leads_comm::{Client, Key, Reconnect, Server, key};
use leads_comm_mqtt::{Error, Event, Offline, Stats};

use super::broker::Broker;
use super::{PATIENCE, connected, find, start, until};

/// Topic, payload, QoS, and whether it is retained.
fn said(publish: &super::broker::Publish) -> (&str, &[u8], u8, bool) {
    (&publish.topic, &publish.payload, publish.qos, publish.is_retained)
}

#[test]
fn messages_go_to_the_topic_of_their_key() {
    let broker = Broker::new();
    let (bridge, events) = start(&broker, |builder| builder.key(key::prefix(b':')));
    let (mut peer, _) = broker.online();
    connected(&events);
    for message in [&b"lap finished"[..], b"speed:38.5", b"bms/3#+%:\0;\xFF", b"\xFF:1", b":", b""] {
        bridge.publish(message).unwrap();
    }
    assert_eq!(said(&peer.publish()), ("leads/car/s/up", &b"lap finished"[..], 0, false));
    assert_eq!(said(&peer.publish()), ("leads/car/s/up/speed", &b"speed:38.5"[..], 0, false));
    assert_eq!(said(&peer.publish()), ("leads/car/s/up/bms%2F3%23%2B%25", &b"bms/3#+%:\0;\xFF"[..], 0, false));
    assert_eq!(said(&peer.publish()), ("leads/car/s/up/%FF", &b"\xFF:1"[..], 0, false));
    assert_eq!(said(&peer.publish()), ("leads/car/s/up/", &b":"[..], 0, false));
    assert_eq!(said(&peer.publish()), ("leads/car/s/up", &b""[..], 0, false));
    let stats = until(&bridge, "all are published", |stats| stats.published == 6);
    assert_eq!((stats.accepted, stats.waiting, stats.queued, stats.dropped, stats.lost), (6, 0, 0, 0, 0));
    bridge.close();
}

#[test]
fn only_what_has_a_key_is_retained_and_a_new_session_is_told_anew() {
    let broker = Broker::new();
    let (bridge, events) = start(&broker, |builder| builder.key(key::prefix(b':')).retain(true));
    let (mut peer, _) = broker.online();
    connected(&events);
    bridge.publish(b"speed:1").unwrap();
    bridge.publish(b"event").unwrap();
    bridge.publish(b"speed:2").unwrap();
    assert_eq!(said(&peer.publish()), ("leads/car/s/up/speed", &b"speed:1"[..], 0, true));
    assert_eq!(said(&peer.publish()), ("leads/car/s/up", &b"event"[..], 0, false));
    assert_eq!(said(&peer.publish()), ("leads/car/s/up/speed", &b"speed:2"[..], 0, true));
    peer.cut();

    // What comes while nobody is there is dropped; but that it is so now, everybody is to know.
    until(&bridge, "it is gone", |stats| !stats.is_online);
    bridge.publish(b"gear:3").unwrap();
    let (mut peer, _) = broker.online();
    connected(&events);
    let mut again = [peer.publish(), peer.publish()].map(|publish| {
        peer.acknowledge(&publish);
        (publish.topic, publish.payload, publish.is_retained)
    });
    again.sort();
    // That one may have come so late that it went live.
    assert_eq!(again[0], ("leads/car/s/up/gear".to_owned(), b"gear:3".to_vec(), true));
    assert_eq!(again[1], ("leads/car/s/up/speed".to_owned(), b"speed:2".to_vec(), true));
    bridge.close();
}

#[test]
fn numbers_have_topics_of_their_own() {
    let broker = Broker::new();
    let (bridge, events) = start(&broker, |builder| builder.key(key::json_field("id")).split_fields(true));
    let (mut peer, _) = broker.online();
    connected(&events);
    let with_key = br#"{"id":"bms/3","volt":3.95,"ok":true,"temp":-1e1}"#;
    bridge.publish(with_key).unwrap();
    bridge.publish(br#"{"km/h":38.5}"#).unwrap();
    bridge.publish(b"no object").unwrap();
    assert_eq!(said(&peer.publish()), ("leads/car/s/up/bms%2F3", &with_key[..], 0, false));
    assert_eq!(said(&peer.publish()), ("leads/car/s/field/bms%2F3/temp", &b"-1e1"[..], 0, false));
    assert_eq!(said(&peer.publish()), ("leads/car/s/field/bms%2F3/volt", &b"3.95"[..], 0, false));
    assert_eq!(peer.publish().topic, "leads/car/s/up");
    assert_eq!(said(&peer.publish()), ("leads/car/s/field/km%2Fh", &b"38.5"[..], 0, false));
    assert_eq!(said(&peer.publish()), ("leads/car/s/up", &b"no object"[..], 0, false));
    assert_eq!(until(&bridge, "all are published", |stats| stats.published == 3).accepted, 3);
    bridge.close();
}

#[test]
fn no_more_are_on_their_way_than_may_be() {
    let broker = Broker::new();
    let (bridge, events) = start(&broker, |builder| builder.acknowledged(true).max_in_flight(4));
    let (mut peer, _) = broker.online();
    connected(&events);
    for number in 0..10 {
        bridge.publish(format!("{number}").as_bytes()).unwrap();
    }
    let mut unanswered = Vec::new();
    for number in 0..10 {
        if unanswered.len() == 4 {
            // None comes before one is acknowledged: the next is the one that was waited for.
            peer.acknowledge(&unanswered.remove(0));
        }
        let publish = peer.publish();
        assert_eq!(said(&publish), ("leads/car/s/up", format!("{number}").as_bytes(), 1, false));
        assert!(unanswered.iter().all(|other: &super::broker::Publish| other.id != publish.id) && !publish.is_again);
        unanswered.push(publish);
    }
    unanswered.iter().for_each(|publish| peer.acknowledge(publish));
    until(&bridge, "all are acknowledged", |stats| stats.acknowledged == 10 && stats.published == 10);
    bridge.close();
}

#[test]
fn no_more_bytes_are_on_their_way_than_may_be() {
    let broker = Broker::new();
    let (bridge, events) = start(&broker, |builder| builder.acknowledged(true).max_live_bytes(16 << 20));
    let (mut peer, _) = broker.online();
    connected(&events);
    // Of 3 MiB and some more: the third goes while there is room for some of it. They are read, and not acknowledged.
    let mut unanswered = VecDeque::new();
    for number in 1..=5 {
        bridge.publish(&vec![b'x'; 3 << 20]).unwrap();
        if number <= 3 {
            unanswered.push_back(peer.publish());
        }
        until(&bridge, "three go", |stats| stats.published == number.min(3));
    }
    assert_eq!((bridge.stats().queued, bridge.stats().dropped), (2, 0));
    for published in 4..=5 {
        peer.acknowledge(&unanswered.pop_front().unwrap());
        unanswered.push_back(peer.publish());
        assert_eq!(until(&bridge, "the next one goes", |stats| stats.published >= published).published, published);
    }
    unanswered.iter().for_each(|publish| peer.acknowledge(publish));
    until(&bridge, "all are acknowledged", |stats| stats.acknowledged == 5);
    bridge.close();
}

#[test]
fn what_is_not_acknowledged_waits_when_the_session_ends() {
    let broker = Broker::new();
    let (bridge, events) =
        start(&broker, |builder| builder.acknowledged(true).offline(Offline::Memory(1 << 20)).key(key::prefix(b':')));
    let (mut peer, _) = broker.online();
    connected(&events);
    for message in [&b"a:1"[..], b"two", b"a:3", b"four"] {
        bridge.publish(message).unwrap();
    }
    let all: Vec<_> = (0..4).map(|_| peer.publish()).collect();
    // The broker has all of them, and was killed before it could say so of the others.
    peer.acknowledge(&all[1]);
    until(&bridge, "one is acknowledged", |stats| stats.acknowledged == 1);
    peer.cut();

    let (mut peer, status) = broker.online();
    assert!(status.contains(r#""waiting":3,"lost":0"#), "{status}");
    for (key, message) in [(r#""a""#, "a:1"), (r#""a""#, "a:3"), ("null", "four")] {
        let publish = peer.message();
        assert_eq!((&*publish.topic, publish.qos, publish.is_retained), ("leads/car/s/backlog", 1, false));
        let text = String::from_utf8(publish.payload.clone()).unwrap();
        let (head, payload) = text.split_once('\n').unwrap();
        assert!(head.starts_with(r#"{"time_ms":1"#) && head.ends_with(&format!(r#","key":{key}}}"#)), "{head}");
        assert_eq!(payload, message);
        peer.acknowledge(&publish);
    }
    let stats = until(&bridge, "all have arrived", |stats| stats.replayed == 3 && stats.waiting == 0);
    assert_eq!((stats.accepted, stats.published, stats.acknowledged, stats.lost), (4, 1, 4, 0));
    bridge.close();
}

#[test]
fn what_is_not_acknowledged_is_lost_where_nothing_waits() {
    let broker = Broker::new();
    let (bridge, events) = start(&broker, |builder| builder.acknowledged(true));
    let (mut peer, _) = broker.online();
    connected(&events);
    bridge.publish(b"one").unwrap();
    bridge.publish(b"two").unwrap();
    let one = peer.publish();
    peer.acknowledge(&one);
    peer.publish();
    until(&bridge, "one is acknowledged", |stats| stats.acknowledged == 1);
    peer.cut();
    let stats = until(&bridge, "the other is lost", |stats| stats.lost == 1);
    assert_eq!((stats.accepted, stats.published, stats.dropped), (2, 1, 0));
    bridge.close();
}

#[test]
fn a_bridge_publishes_what_its_service_receives() {
    let server = Server::builder().port(0).build().unwrap();
    server.start(true).unwrap();
    let broker = Broker::new();
    let (bridge, events) = start(&broker, |builder| builder.max_packet_len(16 * 1024));
    let (mut peer, _) = broker.online();
    connected(&events);
    let viewer = Client::builder().port(server.port()).reconnect(Reconnect::new()).callback(bridge.clone());
    let viewer = viewer.build().unwrap();
    viewer.start("127.0.0.1", true).unwrap();
    leads_comm_testing::until("the server has accepted it", || server.num_connections() == 1);
    server.broadcast(b"first").unwrap();
    server.broadcast(&[b'a'; 20_000]).unwrap();
    server.broadcast(b"last").unwrap();
    assert_eq!(said(&peer.publish()), ("leads/car/s/up", &b"first"[..], 0, false));
    assert_eq!(said(&peer.publish()), ("leads/car/s/up", &b"last"[..], 0, false));
    let stats = until(&bridge, "all are counted", |stats| stats.published == 2);
    assert_eq!((stats.accepted, stats.dropped), (3, 1), "the one that is too long");
    bridge.close();
    server.broadcast(b"behind the end").unwrap();
    until(&bridge, "it is counted", |stats| (stats.accepted, stats.dropped) == (4, 2));
    viewer.close();
    server.close();
}

#[test]
fn what_is_too_long_is_refused_at_once() {
    let broker = Broker::new();
    let long_key = |message: &[u8]| (message == b"key").then(|| Key::new(vec![b'k'; 9000]));
    let (bridge, events) = start(&broker, |builder| builder.max_packet_len(64 * 1024).key(long_key));
    let (mut peer, _) = broker.online();
    connected(&events);
    assert!(matches!(bridge.publish(b"key"), Err(Error::KeyTooLong { len: 9000, limit: 8192 })));
    let Err(Error::TooLong { len, limit }) = bridge.publish(&[0; 64 * 1024]) else { panic!("it is taken") };
    assert!(len == 64 * 1024 && limit < len && limit > len - 200, "{limit}");
    // The longest goes, and comes back out of a backlog as well.
    bridge.publish(&vec![7; limit]).unwrap();
    assert_eq!(peer.publish().payload.len(), limit);
    bridge.close();
}

#[test]
fn a_long_message_goes_in_one_packet() {
    let broker = Broker::new();
    let (bridge, events) = start(&broker, |builder| builder.max_live_bytes(16 << 20));
    let (mut peer, _) = broker.online();
    connected(&events);
    let message: Vec<u8> = (0..5_000_000_u32).map(|number| (number % 251) as u8).collect();
    bridge.publish(&message).unwrap();
    bridge.publish(b"behind it").unwrap();
    assert!(peer.publish().payload == message);
    assert_eq!(peer.publish().payload, b"behind it");
    bridge.close();
}

/// The broker begins a session while the sender is busy, so that what it takes then was to be set aside: no more of it
/// goes live than may be on its way, and of the rest no more than that.
#[test]
fn no_more_are_on_their_way_than_may_be_when_a_session_begins() {
    let broker = Broker::new();
    let (go_on, is_told) = mpsc::channel::<()>();
    let (tell, events) = mpsc::channel();
    let is_told = Mutex::new(is_told);
    let bridge = super::builder().0.events(move |event| {
        let _ = tell.send(event.clone());
        if matches!(event, Event::Disconnected { .. }) {
            is_told.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        }
    });
    let bridge = bridge.acknowledged(true).max_in_flight(4).offline(Offline::Memory(1 << 20)).catch_up(1 << 30);
    let bridge = bridge.build().unwrap();
    bridge.start(&broker.address()).unwrap();
    broker.accept().cut();
    find(&events, |event| matches!(event, Event::Disconnected { .. }).then_some(()));
    for number in 0..100 {
        bridge.publish(format!("{number}").as_bytes()).unwrap();
    }
    // It has answered before it was asked. That this has been heard shows by what comes behind it.
    let mut peer = broker.accept();
    peer.send(b"\x20\x02\0\0");
    peer.send_message("leads/car/s/down", b"stop", None, false);
    until(&bridge, "both are heard", |stats| stats.commands_refused == 1);
    go_on.send(()).unwrap();
    connected(&events);
    peer.connect();
    let status = peer.publish();
    let live: Vec<_> = (0..3).map(|_| peer.publish()).collect();
    let stats = until(&bridge, "the rest waits", |stats| stats.waiting == 97);
    assert_eq!((stats.published, stats.queued), (3, 0), "{stats:?}");
    for (number, publish) in live.iter().enumerate() {
        assert_eq!(said(publish), ("leads/car/s/up", number.to_string().as_bytes(), 1, false));
        peer.acknowledge(publish);
    }
    peer.acknowledge(&status);
    for number in 3..100 {
        let publish = peer.message();
        assert!(publish.payload.ends_with(format!("\n{number}").as_bytes()), "{publish:?}");
        peer.acknowledge(&publish);
    }
    until(&bridge, "nothing waits", |stats| stats.waiting == 0 && stats.replayed == 97);
    bridge.close();
}

/// How long nothing goes when nothing goes any more.
const STILL: Duration = Duration::from_millis(500);

/// All fields of a message may be many times as long as it is: they do not pile up in front of everything else.
#[test]
fn fields_are_left_out_where_the_broker_is_slow() {
    let broker = Broker::new();
    let (bridge, events) = start(&broker, |builder| builder.split_fields(true).keep_alive(Duration::from_secs(600)));
    let (mut peer, _) = broker.online();
    connected(&events);
    let fields: Vec<String> = (0..200).map(|number| format!("\"{number}\":{number}")).collect();
    let message = format!("{{{}}}", fields.join(","));
    // Where the bridge is slow, messages are dropped while the broker still has room: it has none when nothing goes any
    // more.
    let mut last = (0, Instant::now());
    let stats = until(&bridge, "the broker has no room", |stats| {
        bridge.publish(message.as_bytes()).unwrap();
        if stats.published != last.0 {
            last = (stats.published, Instant::now());
        }
        stats.dropped > 0 && last.1.elapsed() > STILL
    });
    assert!(stats.is_online);
    let (mut ups, mut fields) = (0, 0);
    bridge.publish(b"the end").unwrap();
    loop {
        let publish = peer.message();
        match publish.payload == b"the end" {
            true => break,
            false if publish.topic == "leads/car/s/up" => ups += 1,
            false => fields += 1,
        }
    }
    assert!(ups > 1 && fields > 0 && fields + 200 < ups * 200, "{ups} messages, {fields} fields");
    bridge.close();
}

/// What there is no room for waits; that it is the newest of its key is said all the same, and at once.
#[test]
fn what_is_set_aside_in_a_session_is_retained_as_well() {
    let broker = Broker::new();
    let (bridge, events) = start(&broker, |builder| {
        let builder = builder.key(key::prefix(b':')).retain(true).offline(Offline::Memory(64 << 20)).catch_up(1);
        builder.keep_alive(Duration::from_secs(600))
    });
    let (mut peer, _) = broker.online();
    connected(&events);
    let much = vec![b'x'; 32 * 1024];
    let overflow = |stats: &Stats| stats.queued_bytes > 1 << 20;
    until(&bridge, "the broker has no room", |stats| {
        if !overflow(stats) {
            bridge.publish(&much).unwrap();
        }
        stats.waiting > 0
    });
    bridge.publish(b"lap:3").unwrap();
    // What comes behind it has it set aside as well.
    for _ in 0..64 {
        bridge.publish(&much).unwrap();
        until(&bridge, "it is set aside", |stats| !overflow(stats));
    }
    assert_eq!(bridge.stats().dropped, 0);
    // Everything that is live, at the end of which only the status is said again and again.
    let publishes = (0..2000).map(|_| peer.publish());
    let mut found = publishes.inspect(|publish| assert!(!publish.topic.ends_with("backlog"), "it is not said"));
    let found = found.find(|publish| publish.topic.ends_with("/lap")).unwrap();
    assert_eq!(said(&found), ("leads/car/s/up/lap", &b"lap:3"[..], 1, true));
    bridge.close();
}

/// With many keys what is retained takes many round trips in a new session: what is live does not wait for it.
#[test]
fn what_is_retained_takes_turns_with_what_is_live() {
    let broker = Broker::new();
    for is_acknowledged in [false, true] {
        let (bridge, events) = start(&broker, |builder| {
            builder.key(key::prefix(b':')).retain(true).max_in_flight(4).acknowledged(is_acknowledged)
        });
        let peer = broker.accept();
        for number in 0..100 {
            bridge.publish(format!("{number}:").as_bytes()).unwrap();
        }
        until(&bridge, "all are known", |stats| stats.dropped == 100);
        drop(peer);
        let (mut peer, _) = broker.online();
        connected(&events);
        // Two of them are on their way, and nothing is acknowledged.
        assert!([peer.publish(), peer.publish()].iter().all(|publish| publish.is_retained));
        bridge.publish(b"live").unwrap();
        assert_eq!(peer.publish().payload, b"live");
        drop(peer);
        bridge.close();
    }
}

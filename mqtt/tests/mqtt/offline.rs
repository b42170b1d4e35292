//! What becomes of messages while there is no broker, and when it is there again.

use std::thread;
use std::time::Duration;

use leads_comm::key;
use leads_comm_mqtt::{Error, Event, Offline};
use leads_comm_testing::folder::Folder;

use super::broker::{Broker, Packet, Peer, Publish};
use super::{builder, connected, find, start, until};

/// The payload of a message that has waited, behind its line.
fn waited(publish: &Publish) -> &[u8] {
    assert_eq!((&*publish.topic, publish.qos, publish.is_retained), ("leads/car/s/backlog", 1, false));
    let end = publish.payload.iter().position(|byte| *byte == b'\n').unwrap();
    &publish.payload[end + 1..]
}

/// Takes a message that has waited, and says so.
fn take(peer: &mut Peer) -> Vec<u8> {
    let publish = peer.message();
    peer.acknowledge(&publish);
    waited(&publish).to_vec()
}

#[test]
fn messages_are_dropped_and_counted_by_default() {
    let broker = Broker::new();
    let (bridge, events) = start(&broker, |builder| builder);
    for _ in 0..10 {
        bridge.publish(b"early").unwrap();
    }
    until(&bridge, "all are dropped", |stats| stats.dropped == 10);
    let (mut peer, status) = broker.online();
    assert!(status.contains(r#""waiting":0,"lost":10"#), "{status}");
    connected(&events);
    bridge.publish(b"live").unwrap();
    assert_eq!(peer.publish().payload, b"live");
    let stats = until(&bridge, "one is published", |stats| stats.published == 1);
    assert_eq!((stats.accepted, stats.dropped, stats.lost, stats.waiting), (11, 10, 0, 0));
    bridge.close();
}

#[test]
fn what_has_waited_comes_in_order_with_qos_1() {
    let folder = Folder::new("mqtt-spool");
    for offline in [Offline::Memory(1 << 20), Offline::spool(folder.path(), 1 << 20)] {
        let broker = Broker::new();
        let (bridge, events) = start(&broker, |builder| builder.offline(offline).key(key::prefix(b':')));
        let mut peer = broker.accept();
        for number in 0..100 {
            bridge.publish(format!("lap:{number};\n").as_bytes()).unwrap();
        }
        until(&bridge, "all wait", |stats| stats.waiting == 100);
        peer.connect();
        peer.send(b"\x20\x02\0\0");
        for number in 0..100 {
            assert_eq!(take(&mut peer), format!("lap:{number};\n").as_bytes());
        }
        let messages = find(&events, |event| match event {
            Event::CaughtUp { messages } => Some(messages),
            _ => None,
        });
        assert_eq!(messages, 100);
        let stats = until(&bridge, "nothing waits", |stats| stats.waiting == 0);
        assert_eq!((stats.accepted, stats.replayed, stats.acknowledged, stats.published), (100, 100, 100, 0));
        bridge.close();
    }
}

#[test]
fn live_messages_go_first_and_the_backlog_behind_them_at_its_rate() {
    let broker = Broker::new();
    // One byte a second: the first message goes, and the second an hour later.
    let (bridge, events) = start(&broker, |builder| builder.offline(Offline::Memory(1 << 20)).catch_up(1));
    let mut peer = broker.accept();
    for _ in 0..3 {
        bridge.publish(&[b'w'; 4000]).unwrap();
    }
    until(&bridge, "all wait", |stats| stats.waiting == 3);
    peer.connect();
    peer.send(b"\x20\x02\0\0");
    connected(&events);
    assert_eq!(take(&mut peer).len(), 4000);
    for number in 0..1000 {
        bridge.publish(format!("live {number}").as_bytes()).unwrap();
        assert_eq!(peer.message().payload, format!("live {number}").as_bytes());
    }
    let stats = until(&bridge, "all are counted", |stats| stats.replayed == 1 && stats.published == 1000);
    assert_eq!(stats.waiting, 2);
    bridge.close();
}

#[test]
fn nothing_is_forgotten_before_it_is_acknowledged() {
    let folder = Folder::new("mqtt-spool");
    let offline = Offline::spool(folder.path(), 1 << 20);
    let broker = Broker::new();
    let (bridge, _events) = start(&broker, |builder| builder.offline(offline.clone()));
    let mut peer = broker.accept();
    for number in 0..10 {
        bridge.publish(format!("{number}").as_bytes()).unwrap();
    }
    until(&bridge, "all wait", |stats| stats.waiting == 10);
    peer.connect();
    peer.send(b"\x20\x02\0\0");
    let all: Vec<Publish> = (0..10).map(|_| peer.message()).collect();
    // The fourth is acknowledged as well, but not the third.
    [0, 1, 3].iter().for_each(|number: &usize| peer.acknowledge(&all[*number]));
    until(&bridge, "two are forgotten", |stats| stats.waiting == 8);
    peer.cut();

    let (mut peer, _) = broker.online();
    for number in 2..10 {
        let publish = peer.message();
        assert_eq!(waited(&publish), format!("{number}").as_bytes());
        assert!(!publish.is_again, "it is new in this session");
        // Some are acknowledged before this process ends.
        if number < 5 {
            peer.acknowledge(&publish);
        }
    }
    until(&bridge, "five are left", |stats| stats.waiting == 5);
    bridge.close();

    // Another process, as far as the folder is concerned. What was acknowledged may come again, because it shares a
    // file with what was not.
    let (bridge, _events) = start(&broker, |builder| builder.offline(offline));
    assert!(bridge.stats().waiting >= 5, "{bridge:?}");
    drop(peer);
    let (mut peer, _) = broker.online();
    let mut next = take(&mut peer);
    while next < b"5".to_vec() {
        next = take(&mut peer);
    }
    for number in 5..10 {
        assert_eq!(next, format!("{number}").as_bytes());
        if number < 9 {
            next = take(&mut peer);
        }
    }
    until(&bridge, "nothing waits", |stats| stats.waiting == 0);
    bridge.close();
}

#[test]
fn the_oldest_go_where_there_is_no_room() {
    let broker = Broker::new();
    let (bridge, events) = start(&broker, |builder| builder.offline(Offline::Memory(64 * 1024)));
    let mut peer = broker.accept();
    for number in 0..100 {
        let mut message = vec![b' '; 2000];
        message[0] = number;
        bridge.publish(&message).unwrap();
    }
    let stats = until(&bridge, "all were looked at", |stats| stats.waiting + stats.lost == 100);
    assert!(stats.lost > 60 && stats.waiting_bytes <= 64 * 1024, "{stats:?}");
    peer.connect();
    peer.send(b"\x20\x02\0\0");
    for number in stats.lost..100 {
        assert_eq!(u64::from(take(&mut peer)[0]), number);
    }
    connected(&events);
    let stats = until(&bridge, "nothing waits", |stats| stats.waiting == 0);
    assert_eq!(stats.accepted, stats.replayed + stats.lost);
    bridge.close();
}

#[test]
fn how_much_waits_is_said_again_and_again_while_something_does() {
    let broker = Broker::new();
    let (bridge, _events) = start(&broker, |builder| {
        builder.offline(Offline::Memory(1 << 20)).catch_up(1).status_interval(Duration::from_millis(50))
    });
    let mut peer = broker.accept();
    for _ in 0..3 {
        bridge.publish(&[b'w'; 100]).unwrap();
    }
    until(&bridge, "all wait", |stats| stats.waiting == 3);
    peer.connect();
    peer.send(b"\x20\x02\0\0");
    let mut said = Vec::new();
    while said.len() < 5 {
        let publish = peer.publish();
        peer.acknowledge(&publish);
        if publish.topic == "leads/car/s/status" {
            said.push(String::from_utf8(publish.payload).unwrap());
        }
    }
    assert!(said[0].contains(r#""waiting":3"#) && said[4].contains(r#""waiting":2"#), "{said:?}");
    // For how long there was no session is that of the time before it.
    let offline = |status: &str| status.split("offline_s\":").nth(1).unwrap().split(',').next().unwrap().to_owned();
    assert!(said.iter().all(|status| offline(status) == offline(&said[0])), "{said:?}");
    assert!(said.iter().all(|status| status.contains(r#","oldest_s":"#)), "{said:?}");
    bridge.close();
}

/// A broker that has what it says it has, and is cut off again and again in the middle of it.
#[test]
fn nothing_is_lost_however_often_the_connection_is_cut() {
    const MESSAGES: usize = 5000;
    let folder = Folder::new("mqtt-spool");
    let broker = Broker::new();
    let (bridge, _events) = start(&broker, |builder| {
        let builder = builder.offline(Offline::spool(folder.path(), 16 << 20)).catch_up(1 << 30);
        let builder = builder.acknowledged(true).max_in_flight(64);
        builder.reconnect(Duration::from_millis(1), Duration::from_millis(1))
    });
    let publishing = thread::spawn({
        let bridge = bridge.clone();
        move || {
            for number in 0..MESSAGES {
                bridge.publish(number.to_string().as_bytes()).unwrap();
                // No faster than they are taken, so that some are live.
                until(&bridge, "it keeps up", |stats| stats.acknowledged + 200 > number as u64);
            }
        }
    });
    // How often it has each of them: as often as it has said so.
    let mut has = vec![0_u32; MESSAGES];
    let mut cuts = 0;
    'sessions: loop {
        let (mut peer, _) = broker.session();
        for taken in 0.. {
            let Packet::Publish(publish) = peer.packet() else { continue };
            // This one arrives, and nobody says so, nor of those behind it.
            if taken >= 40 + cuts && cuts < 50 {
                cuts += 1;
                break;
            }
            peer.acknowledge(&publish);
            let payload = match &*publish.topic {
                "leads/car/s/up" => &publish.payload[..],
                "leads/car/s/backlog" => waited(&publish),
                _ => continue,
            };
            has[std::str::from_utf8(payload).unwrap().parse::<usize>().unwrap()] += 1;
            if has.iter().all(|times| *times > 0) {
                break 'sessions;
            }
        }
        peer.cut();
    }
    publishing.join().unwrap();
    let stats = until(&bridge, "all are acknowledged", |stats| stats.waiting == 0);
    assert_eq!((cuts, stats.dropped, stats.lost), (50, 0, 0), "{stats:?}");
    // What was acknowledged on the wire when it was cut comes again, and nothing else: no more than may be on its way.
    let twice: u32 = has.iter().map(|times| times - 1).sum();
    assert!(twice <= 50 * 64, "{twice}");
    bridge.close();
}

/// A broker that takes some of what it is sent and is killed: what was not written comes back, and waits.
#[test]
fn what_was_not_written_waits_as_well() {
    let broker = Broker::new();
    let (bridge, events) =
        start(&broker, |builder| builder.offline(Offline::Memory(64 << 20)).max_live_bytes(64 << 20).catch_up(1 << 30));
    let (peer, _) = broker.online();
    connected(&events);
    for _ in 0..400 {
        bridge.publish(&[b'x'; 32 * 1024]).unwrap();
    }
    // It reads nothing: what the system has taken is taken, and the rest does not go.
    peer.cut();
    until(&bridge, "it is gone", |stats| !stats.is_online);
    let stats = until(&bridge, "the rest waits", |stats| stats.waiting + stats.published == 400);
    // Some MiB are in the system's hands, which say nothing of what becomes of them.
    assert!(stats.waiting > 100 && stats.lost == 0 && stats.dropped == 0, "{stats:?}");
    let (mut peer, _) = broker.online();
    for _ in 0..stats.waiting {
        take(&mut peer);
    }
    until(&bridge, "nothing waits", |stats| stats.waiting == 0);
    bridge.close();
}

#[test]
fn two_bridges_have_no_folder_in_common() {
    let folder = Folder::new("mqtt-spool");
    let open = || builder().0.offline(Offline::spool(folder.path(), 1 << 20)).build();
    let first = open().unwrap();
    let Err(Error::Backlog(error)) = open() else { panic!("both have it") };
    assert!(matches!(error, leads_comm_resume::HistoryError::InUse { .. }), "{error:?}");
    first.close();
    open().unwrap().close();
    assert!(matches!(builder().0.offline(Offline::Memory(1)).build(), Err(Error::Backlog(_))));
}

/// What waits was longer than packets may be today: it is counted, and what is behind it goes on.
#[test]
fn what_has_become_too_long_is_lost_and_counted() {
    let folder = Folder::new("mqtt-spool");
    let offline = Offline::spool(folder.path(), 1 << 20);
    let broker = Broker::new();
    let (bridge, _events) = start(&broker, |builder| builder.offline(offline.clone()));
    let peer = broker.accept();
    for message in [&b"one"[..], &[b'x'; 40_000], b"two", &[b'x'; 40_000]] {
        bridge.publish(message).unwrap();
    }
    until(&bridge, "all wait", |stats| stats.waiting == 4);
    bridge.close();
    drop(peer);

    let (bridge, _events) = start(&broker, |builder| builder.offline(offline).max_packet_len(16 * 1024));
    let (mut peer, _) = broker.online();
    assert_eq!((take(&mut peer), take(&mut peer)), (b"one".to_vec(), b"two".to_vec()));
    let stats = until(&bridge, "nothing waits", |stats| stats.waiting == 0);
    assert_eq!((stats.replayed, stats.lost), (2, 2), "{stats:?}");
    bridge.close();
}

//! What a program may forget that could give its messages again, and how it is held up where there is no room.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use leads_comm_mqtt::{Bridge, Error, Event, Offline};

use super::broker::Broker;
use super::{PATIENCE, builder, connected, start, until};

#[test]
fn it_is_settled_up_to_the_first_message_that_is_on_its_way() {
    let broker = Broker::new();
    let (bridge, events) = start(&broker, |builder| builder.acknowledged(true).offline(Offline::Memory(1 << 20)));
    let (mut peer, _) = broker.online();
    connected(&events);
    for number in 1..=5 {
        assert_eq!(bridge.publish(b"message").unwrap(), number);
    }
    let all: Vec<_> = (0..5).map(|_| peer.publish()).collect();
    until(&bridge, "none is settled", |stats| stats.published == 5 && stats.settled == 0);
    peer.acknowledge(&all[0]);
    peer.acknowledge(&all[2]);
    until(&bridge, "the first is settled", |stats| stats.acknowledged == 2 && stats.settled == 1);
    peer.acknowledge(&all[1]);
    until(&bridge, "three are settled", |stats| stats.settled == 3);
    // The others wait from now on, and so does one that comes meanwhile.
    peer.cut();
    bridge.publish(b"message").unwrap();
    let stats = until(&bridge, "all are settled", |stats| stats.settled == 6);
    assert_eq!((stats.published, stats.waiting), (3, 3), "{stats:?}");
    bridge.close();
}

#[test]
fn it_is_settled_what_becomes_of_messages_that_nobody_acknowledges() {
    let broker = Broker::new();
    let (bridge, events) = start(&broker, |builder| builder);
    bridge.publish(b"early").unwrap();
    until(&bridge, "it is dropped", |stats| stats.dropped == 1 && stats.settled == 1);
    let (mut peer, _) = broker.online();
    connected(&events);
    assert_eq!(bridge.publish(b"live").unwrap(), 2);
    assert_eq!(peer.publish().payload, b"live");
    until(&bridge, "it is sent", |stats| stats.settled == 2);
    bridge.close();
}

#[test]
fn what_is_left_at_the_end_is_settled_with_it() {
    let broker = Broker::new();
    let (bridge, events) = start(&broker, |builder| builder.acknowledged(true).offline(Offline::Memory(1 << 20)));
    let (mut peer, _) = broker.online();
    connected(&events);
    bridge.publish(b"one").unwrap();
    bridge.publish(b"two").unwrap();
    assert_eq!(peer.publish().payload, b"one");
    // Nothing of it is acknowledged.
    bridge.close();
    let stats = bridge.stats();
    assert_eq!((stats.settled, stats.waiting), (2, 2), "{stats:?}");
}

/// Publishes so many messages of 32 KiB on a thread of its own; tells the numbers that they have, and how that ends.
fn publish_blocking(bridge: &Bridge, messages: u64) -> mpsc::Receiver<Result<u64, Error>> {
    let (tell, told) = mpsc::channel();
    let bridge = bridge.clone();
    thread::spawn(move || {
        for _ in 0..messages {
            let published = bridge.publish_blocking(&[b'x'; 32 * 1024]);
            let is_over = published.is_err();
            tell.send(published).unwrap();
            if is_over {
                return;
            }
        }
    });
    told
}

#[test]
fn who_can_wait_is_held_up_and_loses_nothing() {
    for offline in [Offline::Drop, Offline::Memory(64 << 20)] {
        let broker = Broker::new();
        let (bridge, events) = start(&broker, |builder| {
            builder
                .keep_alive(Duration::from_secs(600))
                .max_live_bytes(100_000)
                .offline(offline.clone())
                .catch_up(1 << 30)
        });
        let (mut peer, _) = broker.online();
        connected(&events);
        let told = publish_blocking(&bridge, 1000);
        let mut live = 0;
        let mut waited = 0;
        while live + waited < 1000 {
            let publish = peer.message();
            match publish.topic.ends_with("/backlog") {
                true => waited += 1,
                false => live += 1,
            }
            if publish.qos == 1 {
                peer.acknowledge(&publish);
            }
        }
        for number in 1..=1000 {
            assert_eq!(told.recv_timeout(PATIENCE).unwrap().unwrap(), number);
        }
        let stats = until(&bridge, "all are settled", |stats| stats.settled == 1000);
        assert_eq!((stats.dropped, stats.lost), (0, 0), "{stats:?}");
        assert!(waited == 0 || offline != Offline::Drop);
        bridge.close();
    }
}

/// While there is no broker either: half of the backlog is all that waits.
#[test]
fn who_can_wait_is_held_up_by_a_backlog_that_fills() {
    const MAX: u64 = 1 << 20;
    let broker = Broker::new();
    let (bridge, _events) = start(&broker, |builder| {
        builder.max_live_bytes(10_000).acknowledged(true).offline(Offline::Memory(MAX)).catch_up(1 << 30)
    });
    let told = publish_blocking(&bridge, 100);
    // The broker accepts, and does not answer.
    let mut peer = broker.accept();
    let stats = until(&bridge, "nearly half of it is taken", |stats| stats.waiting_bytes > MAX / 2 - 40_000);
    assert!(stats.waiting_bytes <= MAX / 2 && stats.accepted < 100, "{stats:?}");
    peer.connect();
    peer.send(b"\x20\x02\0\0");
    for _ in 0..100 {
        let publish = peer.message();
        peer.acknowledge(&publish);
    }
    for number in 1..=100 {
        assert_eq!(told.recv_timeout(PATIENCE).unwrap().unwrap(), number);
    }
    let stats = until(&bridge, "all are settled", |stats| stats.settled == 100 && stats.waiting == 0);
    assert_eq!((stats.dropped, stats.lost), (0, 0), "{stats:?}");
    bridge.close();
}

/// What the disk did not take is not settled, nor is anything behind it, so that the next process is given it again.
#[cfg(unix)]
#[test]
fn nothing_is_settled_behind_what_could_not_be_kept() {
    let folder = leads_comm_testing::folder::Folder::new("mqtt-spool");
    let offline = Offline::spool(folder.path().join("spool"), 64 * 1024);
    let broker = Broker::new();
    let (bridge, events) = start(&broker, |builder| builder.acknowledged(true).offline(offline));
    for _ in 0..10 {
        bridge.publish(&[b'x'; 1000]).unwrap();
    }
    until(&bridge, "ten wait", |stats| stats.waiting == 10 && stats.settled == 10);
    std::fs::remove_dir_all(folder.path().join("spool")).unwrap();
    // The file that is open takes some more of them.
    for _ in 0..20 {
        bridge.publish(&[b'x'; 1000]).unwrap();
    }
    crate::find(&events, |event| matches!(event, Event::BacklogFailed { .. }).then_some(()));
    let stats = until(&bridge, "none is queued", |stats| stats.queued == 0 && stats.lost + stats.waiting == 30);
    assert!((10..30).contains(&stats.settled), "{stats:?}");

    // The broker has what comes then.
    let (mut peer, _) = broker.online();
    bridge.publish(b"live").unwrap();
    while peer.message().payload != b"live" {}
    bridge.close();
    assert_eq!(bridge.stats().settled, stats.settled);
}

#[test]
fn the_end_lets_go_who_is_held_up() {
    let broker = Broker::new();
    let (bridge, events) = start(&broker, |builder| builder.keep_alive(Duration::from_secs(600)));
    let (peer, _) = broker.online();
    connected(&events);
    // More than the system takes for a broker that never reads.
    let told = publish_blocking(&bridge, 3072);
    until(&bridge, "there is no room", |stats| stats.queued_bytes > 900_000);
    bridge.close();
    let end = told.iter().find_map(Result::err).expect("it is not let go");
    assert!(matches!(end, Error::Closed), "{end}");
    drop(peer);
}

#[test]
fn what_the_bridge_calls_does_not_wait_for_it() {
    let broker = Broker::new();
    let (tell, told) = mpsc::channel();
    let (handle, given) = mpsc::channel::<Bridge>();
    let given = std::sync::Mutex::new(given);
    let (builder, _) = builder();
    let bridge = builder.max_live_bytes(1000).events(move |event| {
        if matches!(event, Event::Connected) {
            let bridge = given.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            for _ in 0..10 {
                bridge.publish_blocking(&[b'x'; 900]).unwrap();
            }
            tell.send(bridge.stats().dropped).unwrap();
        }
    });
    let bridge = bridge.build().unwrap();
    handle.send(bridge.clone()).unwrap();
    bridge.start(&broker.address()).unwrap();
    let _peer = broker.online();
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), 9);
    bridge.close();
}

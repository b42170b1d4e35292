//! The end in order.

use std::io::{self, ErrorKind};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use leads_comm::key;
use leads_comm::transport::{Connector, Stream};
use leads_comm_mqtt::{Error, Event, Offline};

use super::broker::{Broker, Packet};
use super::{PATIENCE, all_are_counted, connected, find, start};

#[test]
fn what_is_retained_is_taken_back_and_the_will_with_it() {
    let broker = Broker::new();
    let (bridge, events) =
        start(&broker, |builder| builder.key(key::prefix(b':')).retain(true).close_timeout(Duration::from_secs(10)));
    let (mut peer, _) = broker.online();
    connected(&events);
    for message in ["speed:1", "gear:2", "event"] {
        bridge.publish(message.as_bytes()).unwrap();
        peer.publish();
    }
    let closing = std::thread::spawn({
        let bridge = bridge.clone();
        move || bridge.close()
    });
    let mut cleared = [peer.publish(), peer.publish()].map(|publish| {
        peer.acknowledge(&publish);
        assert_eq!((&publish.payload[..], publish.qos, publish.is_retained), (&b""[..], 1, true));
        publish.topic
    });
    cleared.sort();
    assert_eq!(cleared, ["leads/car/s/up/gear", "leads/car/s/up/speed"]);
    let offline = peer.publish();
    assert_eq!((&*offline.topic, offline.qos, offline.is_retained), ("leads/car/s/status", 1, true));
    assert_eq!(offline.payload, br#"{"state":"offline","waiting":0,"lost":0}"#);
    assert!(matches!(bridge.publish(b"late"), Err(Error::Closed)));
    // It waits for this to be acknowledged.
    peer.acknowledge(&offline);
    assert_eq!(peer.packet(), Packet::Disconnect);
    drop(peer);
    closing.join().unwrap();
    assert!(broker.accept_within(Duration::from_millis(200)).is_none(), "it connects again");
}

#[test]
fn what_waits_to_go_live_goes_before_the_end() {
    let broker = Broker::new();
    let (bridge, events) =
        start(&broker, |builder| builder.acknowledged(true).max_in_flight(2).close_timeout(Duration::from_secs(10)));
    let (mut peer, _) = broker.online();
    connected(&events);
    for number in 0..50 {
        bridge.publish(format!("{number}").as_bytes()).unwrap();
    }
    let closing = std::thread::spawn({
        let bridge = bridge.clone();
        move || bridge.close()
    });
    for number in 0..50 {
        let publish = peer.publish();
        assert_eq!(publish.payload, format!("{number}").as_bytes());
        peer.acknowledge(&publish);
    }
    let offline = peer.publish();
    assert_eq!(offline.topic, "leads/car/s/status");
    peer.acknowledge(&offline);
    assert_eq!(peer.packet(), Packet::Disconnect);
    drop(peer);
    closing.join().unwrap();
    assert_eq!(bridge.stats().acknowledged, 50);
}

#[test]
fn a_broker_that_does_not_answer_costs_no_more_than_the_time() {
    let broker = Broker::new();
    let (bridge, events) = start(&broker, |builder| builder.close_timeout(Duration::from_millis(800)));
    let (peer, _) = broker.online();
    connected(&events);
    let begin = Instant::now();
    bridge.close();
    // Two seconds more are for the end of its threads.
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    let said = peer.rest();
    assert!(matches!(&said[..], [Packet::Publish(_), Packet::Disconnect, ..]), "{said:?}");
}

#[test]
fn without_a_broker_it_is_over_at_once_and_what_waits_stays() {
    let folder = leads_comm_testing::folder::Folder::new("mqtt-spool");
    let offline = Offline::spool(folder.path(), 1 << 20);
    let broker = Broker::new();
    let (bridge, _events) = start(&broker, |builder| builder.offline(offline.clone()));
    let peer = broker.accept();
    for number in 0..20 {
        bridge.publish(format!("{number}").as_bytes()).unwrap();
    }
    bridge.close();
    drop(peer);
    assert_eq!(bridge.stats().waiting, 20);
    let again = super::builder().0.offline(offline).build().unwrap();
    assert_eq!(again.stats().waiting, 20);
    again.close();
}

/// Connects until it is stopped.
struct Endless {
    begun: Sender<()>,
    stop: Sender<()>,
    stopped: Mutex<Receiver<()>>,
}

impl Connector for Endless {
    fn connect(&self, _address: &str) -> io::Result<Box<dyn Stream>> {
        let _ = self.begun.send(());
        let _ = self.stopped.lock().unwrap().recv_timeout(PATIENCE);
        Err(ErrorKind::TimedOut.into())
    }

    fn stop(&self) {
        let _ = self.stop.send(());
    }
}

#[test]
fn closing_while_it_connects_takes_no_time() {
    let (begin, begun) = mpsc::channel();
    let (stop, stopped) = mpsc::channel();
    let (builder, _events) = super::builder();
    let bridge = builder.transport(Endless { begun: begin, stop, stopped: Mutex::new(stopped) }).build().unwrap();
    bridge.start("somewhere").unwrap();
    begun.recv_timeout(PATIENCE).unwrap();
    let begin = Instant::now();
    bridge.close();
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
}

#[test]
fn closing_while_it_waits_to_connect_takes_no_time() {
    let (builder, events) = super::builder();
    let bridge = builder.reconnect(Duration::from_secs(600), Duration::from_secs(600)).build().unwrap();
    bridge.start("127.0.0.1:1").unwrap();
    let again_in = find(&events, |event| match event {
        Event::Unreachable { again_in, .. } => Some(again_in),
        _ => None,
    });
    assert!(again_in > Duration::from_secs(200), "{again_in:?}");
    let begin = Instant::now();
    bridge.close();
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
}

#[test]
fn what_waits_for_the_sender_is_counted_when_it_is_over() {
    let broker = Broker::new();
    let (bridge, events) = start(&broker, |builder| builder);
    let (peer, _) = broker.online();
    connected(&events);
    for _ in 0..1000 {
        bridge.publish(&[b'x'; 4096]).unwrap();
    }
    bridge.close();
    drop(peer);
    all_are_counted(&bridge);
}

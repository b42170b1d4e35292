//! Several bridges at one broker.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use leads_comm_mqtt::{Bridge, Event};

use super::{Mosquitto, OPEN, bridge_to, subscribe};
use crate::{PATIENCE, find};

/// Each throws the other out, and comes back; but less and less often.
#[test]
fn two_bridges_with_one_client_id_do_not_storm_the_broker() {
    let Some(broker) = Mosquitto::start(OPEN) else { return };
    let both = [(), ()]
        .map(|()| bridge_to(&broker, |builder| builder.reconnect(Duration::from_millis(20), Duration::from_secs(60))));
    for (_, events) in &both {
        find(events, |event| match event {
            Event::Disconnected { again_in, .. } => (again_in > Duration::from_millis(600)).then_some(()),
            _ => None,
        });
    }
    let sessions: u64 = both.iter().map(|(bridge, _)| bridge.stats().sessions).sum();
    assert!(sessions < 30, "{sessions}");
    both.iter().for_each(|(bridge, _)| bridge.close());
}

/// Two vehicles, and two streams of one, are in nobody's way.
#[test]
fn bridges_of_several_vehicles_share_a_broker() {
    let Some(broker) = Mosquitto::start(OPEN) else { return };
    let Some(viewer) = subscribe(&broker, &["-t", "leads/+/+/up"]) else { return };
    let bridges = [("a", "s"), ("b", "s"), ("b", "video")].map(|(vehicle, stream)| {
        let (tell, connected) = mpsc::channel();
        let builder = Bridge::builder(vehicle, stream).events(move |event| {
            let _ = tell.send(matches!(event, Event::Connected));
        });
        let bridge = builder.build().unwrap();
        bridge.start(&broker.address()).unwrap();
        assert!(connected.recv_timeout(PATIENCE).unwrap());
        bridge
    });
    // Who subscribes is there when it gets something.
    let mut seen = BTreeMap::new();
    let deadline = Instant::now() + PATIENCE;
    while seen.len() < 3 {
        assert!(Instant::now() < deadline, "{seen:?}");
        bridges.iter().for_each(|bridge| {
            bridge.publish(bridge.client_id().as_bytes()).unwrap();
        });
        while let Ok(line) = viewer.lines.recv_timeout(Duration::from_millis(50)) {
            seen.insert(line, ());
        }
    }
    let expected = [("a/s", "leads-a-s"), ("b/s", "leads-b-s"), ("b/video", "leads-b-video")].map(|(name, payload)| {
        let hex: String = payload.bytes().map(|byte| format!("{byte:02X}")).collect();
        format!("leads/{name}/up 0 0 {hex}").to_lowercase()
    });
    assert_eq!(seen.into_keys().map(|line| line.to_lowercase()).collect::<Vec<_>>(), expected);
    bridges.iter().for_each(Bridge::close);
}

//! The bridge against a broker that is played here, byte for byte, and against mosquitto.

mod broker;
mod closing;
mod commands;
mod mosquitto;
mod offline;
mod publishing;
mod sessions;
mod settled;
mod slow;

use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use broker::Broker;
use leads_comm_mqtt::{Bridge, BridgeBuilder, Event, Stats};

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A bridge that is quick to connect again, and what it tells.
fn builder() -> (BridgeBuilder, Receiver<Event>) {
    let (tell, events) = mpsc::channel();
    let builder = Bridge::builder("car", "s")
        .reconnect(Duration::from_millis(10), Duration::from_millis(100))
        .close_timeout(Duration::from_millis(500))
        .events(move |event| {
            let _ = tell.send(event.clone());
        });
    (builder, events)
}

/// Such a bridge, adapted and started.
fn start(broker: &Broker, adapt: impl FnOnce(BridgeBuilder) -> BridgeBuilder) -> (Bridge, Receiver<Event>) {
    let (builder, events) = builder();
    let bridge = adapt(builder).build().unwrap();
    bridge.start(&broker.address()).unwrap();
    (bridge, events)
}

/// The next event for which `pick` gives something; those before it are skipped.
fn find<T>(events: &Receiver<Event>, mut pick: impl FnMut(Event) -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let event = events.recv_timeout(left).expect("the event does not come");
        if let Some(found) = pick(event) {
            return found;
        }
    }
}

fn connected(events: &Receiver<Event>) {
    find(events, |event| matches!(event, Event::Connected).then_some(()));
}

/// Waits until the numbers are so, which nothing announces.
fn until(bridge: &Bridge, what: &str, mut holds: impl FnMut(&Stats) -> bool) -> Stats {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let stats = bridge.stats();
        if holds(&stats) {
            return stats;
        }
        assert!(Instant::now() < deadline, "{what} does not come true: {stats:?}");
        std::thread::yield_now();
    }
}

/// Waits until all messages are counted, which they are at the end, if need be some time after `close`.
fn all_are_counted(bridge: &Bridge) {
    until(bridge, "all are counted", |stats| {
        stats.queued == 0 && stats.accepted == stats.published + stats.dropped + stats.lost + stats.waiting
    });
}

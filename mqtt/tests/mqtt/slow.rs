//! A broker that accepts and never reads: the vehicle does not notice.

use std::time::{Duration, Instant};

use leads_comm_mqtt::Offline;

use super::broker::Broker;
use super::{all_are_counted, connected, start, until};

/// Publishes 96 MiB, and tells how long the slowest call took.
fn publish_much(bridge: &leads_comm_mqtt::Bridge) -> Duration {
    let message = vec![b'x'; 32 * 1024];
    let mut slowest = Duration::ZERO;
    for _ in 0..3072 {
        let begin = Instant::now();
        bridge.publish(&message).unwrap();
        slowest = slowest.max(begin.elapsed());
    }
    slowest
}

/// Far more than a call takes, and far less than one that waits for a broker.
const AT_ONCE: Duration = Duration::from_secs(2);

#[test]
fn a_broker_that_never_reads_holds_up_nobody() {
    let broker = Broker::new();
    let (bridge, events) = start(&broker, |builder| builder.keep_alive(Duration::from_secs(600)));
    let (peer, _) = broker.online();
    connected(&events);
    let slowest = publish_much(&bridge);
    assert!(slowest < AT_ONCE, "{slowest:?}");
    let stats = bridge.stats();
    assert!(stats.is_online && stats.dropped > 1000, "{stats:?}");
    assert!(stats.queued_bytes <= 1024 * 1024, "{stats:?}");
    let begin = Instant::now();
    bridge.close();
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    all_are_counted(&bridge);
    drop(peer);
}

#[test]
fn what_it_does_not_take_waits() {
    let broker = Broker::new();
    let (bridge, events) =
        start(&broker, |builder| builder.keep_alive(Duration::from_secs(600)).offline(Offline::Memory(16 << 20)));
    let (peer, _) = broker.online();
    connected(&events);
    let stats = until(&bridge, "the backlog is full", |stats| {
        for _ in 0..16 {
            bridge.publish(&[b'x'; 32 * 1024]).unwrap();
        }
        stats.lost > 100
    });
    assert!(stats.waiting_bytes > 14 << 20 && stats.waiting_bytes <= 16 << 20, "{stats:?}");
    assert!(stats.queued_bytes <= 2 << 20, "{stats:?}");
    bridge.close();
    all_are_counted(&bridge);
    drop(peer);
}

#[test]
fn one_that_never_reads_is_given_up_when_it_does_not_answer_either() {
    let broker = Broker::new();
    let (bridge, events) = start(&broker, |builder| builder.keep_alive(Duration::from_millis(400)));
    let (peer, _) = broker.online();
    connected(&events);
    publish_much(&bridge);
    let deadline = Instant::now() + super::PATIENCE;
    while bridge.stats().is_online && Instant::now() < deadline {
        // It goes on, so that there is always something that waits.
        bridge.publish(&[b'x'; 1024]).unwrap();
        std::thread::yield_now();
    }
    assert!(!bridge.stats().is_online || bridge.stats().sessions > 1);
    drop(peer);
    bridge.close();
}

/// Nothing live may go before something is acknowledged, some of it waits, and so does the backlog behind it.
#[cfg(target_os = "linux")]
#[test]
fn a_sender_that_waits_for_the_broker_sleeps() {
    leads_comm_testing::alone!();
    let broker = Broker::new();
    let (bridge, events) = start(&broker, |builder| {
        let builder = builder.acknowledged(true).max_live_bytes(4 << 20);
        builder.offline(Offline::Memory(64 << 20)).catch_up(1 << 30).keep_alive(Duration::from_secs(600))
    });
    let (mut peer, _) = broker.online();
    connected(&events);
    for number in 1..=6 {
        bridge.publish(&vec![b'x'; 3 << 20]).unwrap();
        if number <= 3 {
            peer.publish();
        }
    }
    until(&bridge, "some goes, some waits, and some is set aside", |stats| {
        (stats.published, stats.queued, stats.waiting) == (3, 1, 2)
    });
    let time = Duration::from_millis(500);
    let cpu = || leads_comm_testing::vitals::cpu_of(std::process::id());
    let before = cpu();
    std::thread::sleep(time);
    let used = cpu() - before;
    assert!(used < time / 5, "{used:?} of {time:?}");
    bridge.close();
}

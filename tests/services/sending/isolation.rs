//! Peers that never read, and those beside them, who do not notice.

use leads_comm::callback::Event;
use leads_comm::crossbeam_channel::Receiver;
use leads_comm::{Client, Closing, Connection, DisconnectCause, SlowConsumer};
use leads_comm_testing::valve::{self, EITHER};
use leads_comm_testing::*;

const CLIENTS: usize = 16;
const LEN: usize = 16_000;

/// In windows of this many messages the healthy ones keep pace. All of them are more than a system of Linux's holds for
/// one that does not, which is 4 MiB, and the queue.
const WINDOW: usize = 16;
const WINDOWS: usize = 24;

/// A peer that connects and never reads; its system takes as little as it can.
fn stalled(started: &Started) -> (Raw, Connection) {
    (started.stalled(), connected(&started.events))
}

struct Healthy {
    client: Client,
    events: Receiver<Event>,
    connection: Connection,
}

impl Healthy {
    fn expect(&self, numbers: impl Iterator<Item = usize>) {
        for number in numbers {
            assert_eq!(number_of(&received(&self.events)), number);
        }
    }
}

fn isolate(net: Net, count: usize, policy: SlowConsumer) {
    let started = net.start_server(|builder| {
        let builder = builder.max_sent_len(LEN).max_queued_bytes(400_000).slow_consumer(policy);
        // It takes a slow machine longer than a peer may take nothing.
        let builder = builder.timeouts(unhurried(10 * PATIENCE));
        builder.closing(Closing::new().flush_timeout(std::time::Duration::from_millis(200)))
    });
    let stalled: Vec<_> = (0..count).map(|_| stalled(&started)).collect();
    let healthy: Vec<_> = (count..CLIENTS)
        .map(|_| {
            let (client, events) = started.start_client();
            Healthy { client, events, connection: connected(&started.events) }
        })
        .collect();
    for window in 0..WINDOWS {
        let numbers = window * WINDOW..(window + 1) * WINDOW;
        let server = started.server.clone();
        in_time("a window of broadcasts", {
            let numbers = numbers.clone();
            let count = healthy.len();
            move || {
                for number in numbers {
                    let accepted = server.broadcast(&numbered(number, LEN)).unwrap();
                    assert!((count..=CLIENTS).contains(&accepted), "{accepted}");
                }
            }
        });
        for healthy in &healthy {
            healthy.expect(numbers.clone());
            // Each way, beside the flood.
            healthy.connection.send(&numbered(window, 30)).unwrap();
            healthy.expect(window..window + 1);
            healthy.client.send(&numbered(window, 40)).unwrap();
        }
        let mut heard = 0;
        while heard < healthy.len() {
            heard += usize::from(number_of(&received(&started.events)) == window);
        }
    }
    // What the stalled ones would have had to take was more than anybody holds for them.
    for (_, connection) in &stalled {
        match policy {
            SlowConsumer::Disconnect => {
                until("the end of a stalled peer", || connection.disconnect_reason().is_some());
                let reason = connection.disconnect_reason().unwrap();
                assert!(matches!(reason.cause, DisconnectCause::SlowConsumer { .. }), "{reason}");
            }
            _ => {
                assert!(!connection.is_closed(), "{:?}", connection.disconnect_reason());
                assert!(connection.dropped_messages() > 0, "somebody holds all of it");
            }
        }
    }
    for healthy in &healthy {
        assert_eq!(healthy.connection.dropped_messages(), 0);
    }
    let left = started.server.connections().len();
    assert_eq!(left, if policy == SlowConsumer::Disconnect { healthy.len() } else { CLIENTS });
    let server = started.server.clone();
    in_time("close", move || server.close());
    for healthy in &healthy {
        assert!(matches!(disconnected(&healthy.events).cause, DisconnectCause::PeerGoodbye));
    }
}

/// Broadcasts that are gathered for those who read are sent by themselves to one that does not, by its policy.
#[test]
fn a_flood_keeps_to_the_queue_and_the_policy_of_each_peer() {
    const QUEUE: usize = 300_000;
    const LEN: usize = 20;
    const MESSAGES: usize = 20_000;
    for writes in EITHER {
        for policy in [SlowConsumer::Disconnect, SlowConsumer::DropOldest, SlowConsumer::DropNewest] {
            let (started, valves) = valve::start_server(writes, |builder| {
                builder.max_sent_len(1000).max_queued_bytes(QUEUE).slow_consumer(policy)
            });
            let (stalled, to_stalled) = (valves.connect(), connected(&started.events));
            let (open, to_open) = (valves.connect(), connected(&started.events));
            open.open();
            let mut accepted = 0;
            for number in 0..MESSAGES {
                accepted += started.server.broadcast(&numbered(number, LEN)).unwrap();
                assert!(to_stalled.queued_bytes() <= QUEUE, "{policy:?}");
                if number % 500 == 0 {
                    to_open.flush(PATIENCE).unwrap();
                }
            }
            to_open.flush(PATIENCE).unwrap();
            assert!(open.messages().iter().map(|message| number_of(message)).eq(0..MESSAGES), "{writes:?} {policy:?}");
            assert_eq!(to_open.dropped_messages(), 0);
            stalled.open();
            to_stalled.close();
            let reason = disconnected(&started.events);
            let mut arrived = stalled.messages();
            arrived.retain(|message| message != b"disconnect");
            let arrived: Vec<_> = arrived.iter().map(|message| number_of(message)).collect();
            let lost = reason.undelivered;
            let (dropped, unsent) = (lost.dropped.messages as usize, lost.unsent.messages as usize);
            let accepted = accepted - MESSAGES;
            let what = format!("{writes:?} {policy:?}: {accepted} accepted, {} arrived, {lost:?}", arrived.len());
            match policy {
                SlowConsumer::DropOldest => {
                    assert_eq!((accepted, arrived.len() + dropped), (MESSAGES, MESSAGES), "{what}");
                    assert!(arrived.is_sorted() && arrived.ends_with(&[MESSAGES - 1]), "{what}");
                }
                SlowConsumer::DropNewest => {
                    assert_eq!((accepted, accepted + dropped), (arrived.len(), MESSAGES), "{what}");
                    assert!(arrived.is_sorted(), "{what}");
                }
                _ => {
                    assert!(matches!(reason.cause, DisconnectCause::SlowConsumer { .. }), "{what}");
                    assert_eq!((arrived.len(), unsent), (0, accepted), "{what}");
                }
            }
        }
    }
}

over_every_transport! {
    fn nobody_is_stalled(net: Net) {
        for policy in [SlowConsumer::Disconnect, SlowConsumer::DropOldest, SlowConsumer::DropNewest] {
            isolate(net, 0, policy);
        }
    }

    fn one_of_sixteen_is_stalled(net: Net) {
        for policy in [SlowConsumer::Disconnect, SlowConsumer::DropOldest, SlowConsumer::DropNewest] {
            isolate(net, 1, policy);
        }
    }

    fn fifteen_of_sixteen_are_stalled(net: Net) {
        for policy in [SlowConsumer::Disconnect, SlowConsumer::DropOldest, SlowConsumer::DropNewest] {
            isolate(net, 15, policy);
        }
    }
}

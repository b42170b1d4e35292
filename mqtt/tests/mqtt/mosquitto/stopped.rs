//! A broker that stands still, and how long the vehicle takes to broadcast meanwhile.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::{Client, Reconnect, Server};
use leads_comm_mqtt::{Event, Offline};

use super::{Mosquitto, OPEN, bridge_to};
use crate::{connected, find, until};

/// How often it is looked at with the broker running, and with it stopped.
const ROUNDS: usize = 20;

/// How many broadcasts there are each time.
const BROADCASTS: usize = 1000;

/// How long it is from one broadcast to the next.
const PERIOD: Duration = Duration::from_micros(500);

/// A broker that stands still is one that is slow, and then one that is gone.
#[test]
fn a_broker_that_stands_still_holds_up_nobody() {
    let Some(broker) = Mosquitto::start(OPEN) else { return };
    let (bridge, events) =
        bridge_to(&broker, |builder| builder.keep_alive(Duration::from_secs(1)).offline(Offline::Memory(64 << 20)));
    connected(&events);
    let id = broker.id().to_string();
    let signal = |name: &str| assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    signal("-STOP");
    let mut slowest = Duration::ZERO;
    for _ in 0..1000 {
        let begin = Instant::now();
        bridge.publish(&[b'x'; 16 * 1024]).unwrap();
        slowest = slowest.max(begin.elapsed());
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    find(&events, |event| match event {
        Event::Disconnected { fault: Some(fault), .. } => Some(fault),
        _ => None,
    });
    signal("-CONT");
    connected(&events);
    bridge.close();
}

/// Prints how long 99 of 100 broadcasts take at most, and how many times as long with the broker stopped. It is a
/// figure for people, and goes by the clock: run it by itself, with `--ignored --nocapture`.
#[test]
#[ignore = "long: takes half a minute"]
fn how_long_a_broadcast_takes_while_the_broker_is_stopped() {
    let Some(broker) = Mosquitto::start(OPEN) else { return };
    let id = broker.id().to_string();
    let signal = |name: &str| assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    let (bridge, events) = bridge_to(&broker, |builder| {
        builder.keep_alive(Duration::from_secs(600)).offline(Offline::Memory(16 << 20)).catch_up(1 << 30)
    });
    connected(&events);
    let server = Server::builder().port(0).build().unwrap();
    server.start(true).unwrap();
    let viewer = || Client::builder().port(server.port()).reconnect(Reconnect::new());
    let viewers = [viewer().callback(bridge.clone()).build().unwrap(), viewer().build().unwrap()];
    viewers.iter().for_each(|viewer| viewer.start("127.0.0.1", true).unwrap());
    leads_comm_testing::until("both viewers are there", || server.num_connections() == 2);

    let message = [b'x'; 1024];
    let broadcast = |times: &mut Vec<Duration>| {
        let mut next = Instant::now();
        for _ in 0..BROADCASTS {
            // The rate, and nothing else, goes by this.
            next += PERIOD;
            thread::sleep(next.saturating_duration_since(Instant::now()));
            let begin = Instant::now();
            server.broadcast(&message).unwrap();
            times.push(begin.elapsed());
        }
    };
    let (mut running, mut stopped) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        broadcast(&mut running);
        signal("-STOP");
        // What the system takes for it is full, and so is what may go live: the bridge sets aside whatever comes.
        let waiting = bridge.stats().waiting;
        until(&bridge, "the bridge has no room", |stats| {
            if stats.queued_bytes < 1 << 20 {
                bridge.publish(&[b'x'; 32 * 1024]).unwrap();
            }
            stats.waiting > waiting
        });
        broadcast(&mut stopped);
        signal("-CONT");
        until(&bridge, "nothing waits", |stats| stats.waiting + stats.queued == 0);
    }
    let p99 = |times: &mut Vec<Duration>| {
        times.sort();
        times[times.len() * 99 / 100]
    };
    let (running, stopped) = (p99(&mut running), p99(&mut stopped));
    let ratio = stopped.as_secs_f64() / running.as_secs_f64();
    println!("p99 of a broadcast: {running:?} with the broker running, {stopped:?} with it stopped: {ratio:.2} times");
    assert!(ratio <= 3.0, "{ratio}");
    viewers.iter().for_each(Client::close);
    server.close();
    bridge.close();
}

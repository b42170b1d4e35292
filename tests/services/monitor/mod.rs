//! A service's numbers, as others see them: what the monitor says, to whom, and for how long.

mod departures;
mod lines;
mod states;

use std::time::Instant;

use leads_comm::callback::{self, Event};
use leads_comm::crossbeam_channel::Receiver;
use leads_comm::{Client, Monitor, Service};
use leads_comm_testing::PATIENCE;
use serde_json::Value;

/// Somebody who looks at a monitor.
struct Looker {
    client: Client,
    events: Receiver<Event>,
}

impl Looker {
    fn at(monitor: &Monitor) -> Self {
        let (callback, events) = callback::channel(1024);
        let client = Client::builder().separator("\n").callback(callback).build().unwrap();
        client.start(&monitor.local_addr().unwrap().to_string(), true).unwrap();
        Self { client, events }
    }

    /// The next numbers; `None` when the monitor has ended.
    fn next(&self) -> Option<Value> {
        loop {
            match self.events.recv_timeout(PATIENCE).expect("nothing was said in time") {
                Event::Receive { message, .. } => return Some(serde_json::from_slice(&message).unwrap()),
                Event::Disconnect { .. } => return None,
                _ => {}
            }
        }
    }

    /// The first numbers for which it holds.
    fn until(&self, what: &str, mut holds: impl FnMut(&Value) -> bool) -> Value {
        let by = Instant::now() + 2 * PATIENCE;
        loop {
            let numbers = self.next().unwrap_or_else(|| panic!("the monitor has ended, and not: {what}"));
            if holds(&numbers) {
                return numbers;
            }
            assert!(Instant::now() < by, "not in time: {what}; last {numbers:#}");
        }
    }
}

impl Drop for Looker {
    fn drop(&mut self) {
        self.client.close();
    }
}

/// A monitor on a free port.
fn watched(service: &impl Service) -> Monitor {
    Monitor::builder(service).port(0).start().unwrap()
}

fn connections(numbers: &Value) -> &Vec<Value> {
    numbers["connections"].as_array().unwrap()
}

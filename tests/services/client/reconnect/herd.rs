//! Many clients of one server that goes away for a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use leads_comm::callback::ChannelCallback;
use leads_comm::{Callback, Error, Service};

use super::*;

const CLIENTS: usize = 100;

/// Notes when an attempt fails, and introduces itself.
struct Knocking {
    name: String,
    failed: Arc<Mutex<Vec<Instant>>>,
}

impl Callback for Knocking {
    fn on_connect(&self, _: &dyn Service, connection: &Connection) {
        let _ = connection.send(self.name.as_bytes());
    }

    fn on_fail(&self, _: &dyn Service, error: &Error) {
        assert!(matches!(error, Error::Connect { .. }), "{error:?}");
        self.failed.lock().unwrap().push(Instant::now());
    }
}

/// Lets the server go away for `down`, and come back.
fn come_back(reconnect: &Reconnect, longest: Duration, down: Duration) {
    let (server, _server_events) = serve(0);
    let port = server.port();
    let failed = Arc::new(Mutex::new(Vec::new()));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let callback = Knocking { name: number.to_string(), failed: Arc::clone(&failed) };
            let client = Client::builder().port(port).reconnect(reconnect.clone()).callback(callback).build().unwrap();
            client.start("127.0.0.1", true).unwrap();
            client
        })
        .collect();
    until("all are connected", || server.num_connections() == CLIENTS);
    server.close();
    let went = Instant::now();
    // What the server is away for is what this is about.
    thread::sleep(down);

    let (callback, events): (ChannelCallback, _) = callback::channel(100_000);
    let server = Server::builder().port(port).callback(callback).build().unwrap();
    until("the port is free", || server.start(true).is_ok());
    let came = Instant::now();
    let (mut names, mut connected_now, mut duplicates) = (HashMap::new(), HashMap::<String, usize>::new(), 0);
    while names.len() < CLIENTS {
        if let Event::Receive { connection, message } = next(&events) {
            let name = String::from_utf8(message).unwrap();
            names.insert(connection.id(), name.clone());
            let now = connected_now.entry(name).or_default();
            *now += 1;
            duplicates += usize::from(*now > 1);
        }
    }
    let back = came.elapsed();
    assert_eq!((server.num_connections(), connected_now.len()), (CLIENTS, CLIENTS));
    in_time("closing", move || clients.iter().for_each(Client::close));
    server.close();

    let failed = failed.lock().unwrap();
    let (mut first_second, mut later) = (0, 0);
    for from in failed.iter() {
        let count =
            failed.iter().filter(|at| **at >= *from && at.duration_since(*from) < Duration::from_secs(1)).count();
        // The caps have grown to the longest after as many seconds again.
        let at = from.duration_since(went);
        if at < down / 2 { first_second = first_second.max(count) } else { later = later.max(count) }
    }
    println!(
        "L7: server down {down:?}, {CLIENTS} clients: {} attempts, peak {first_second}/s in the first half and {later}/s in the second; duplicates {duplicates}; all back in {back:.2?} (cap {longest:?})",
        failed.len(),
    );
    assert_eq!(duplicates, 0);
}

#[test]
fn all_come_back_and_each_only_once() {
    let longest = Duration::from_millis(400);
    let reconnect = Reconnect::new().first_delay(Duration::from_millis(25)).longest_delay(longest);
    come_back(&reconnect, longest, Duration::from_secs(1));
}

#[test]
#[ignore = "long: takes 2 minutes"]
fn all_come_back_after_a_minute() {
    come_back(&Reconnect::new(), Duration::from_secs(30), Duration::from_secs(60));
}

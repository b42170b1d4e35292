//! Clients that connect again: when they do, how often, what they keep meanwhile, and how they are stopped.

mod attempts;
mod buffering;
mod herd;
mod settings;
mod stopping;

use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use leads_comm::callback::{self, Event};
use leads_comm::crossbeam_channel::Receiver;
use leads_comm::{Attempt, Client, ClientBuilder, Connection, Reconnect, Server};
use leads_comm_testing::*;

/// Delays that do not hold a test up.
fn quick() -> Reconnect {
    Reconnect::new().first_delay(Duration::from_millis(1)).longest_delay(Duration::from_millis(20))
}

/// Delays that no test lives to see the end of, in all likelihood: not one in a million is shorter than 80 s.
fn never() -> Reconnect {
    const YEARS: Duration = Duration::from_secs(80_000_000);
    Reconnect::new().first_delay(YEARS).longest_delay(YEARS)
}

/// A client with these settings that has been started, and what it tells.
fn start(builder: ClientBuilder) -> (Client, Receiver<Event>) {
    start_at("127.0.0.1", builder)
}

fn start_at(address: &str, builder: ClientBuilder) -> (Client, Receiver<Event>) {
    let (callback, events) = recorder();
    let client = builder.callback(callback).build().unwrap();
    client.start(address, true).unwrap();
    (client, events)
}

/// A client that has been started, and whose server has left without a trace: nobody is in its queue.
fn start_and_leave(builder: impl FnOnce(u16) -> ClientBuilder) -> (Client, Receiver<Event>) {
    let listener = listen(0);
    let (client, events) = start(builder(listener.local_addr().unwrap().port()));
    let (socket, _) = listener.accept().unwrap();
    connected(&events);
    drop(listener);
    drop(socket);
    (client, events)
}

/// A server on a port of its own, which a later one takes over.
fn serve(port: u16) -> (Server, Receiver<Event>) {
    let (callback, events) = recorder();
    let server = Server::builder().port(port).callback(callback).build().unwrap();
    // Some other test's socket may pass through this port meanwhile.
    until("the port is free", || server.start(true).is_ok());
    (server, events)
}

/// Listens like [`serve`], for a peer that speaks bytes.
fn listen(port: u16) -> TcpListener {
    let mut listener = None;
    until("the port is free", || {
        listener = TcpListener::bind(("127.0.0.1", port)).ok();
        listener.is_some()
    });
    listener.unwrap()
}

/// Says goodbye to a caller, and waits for its end.
fn turn_away(socket: &TcpStream) {
    use std::io::{Read, Write};

    let mut socket = socket;
    socket.write_all(b"disconnect;").unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    let _ = socket.read_to_end(&mut Vec::new());
}

fn next_attempt(events: &Receiver<Event>) -> Attempt {
    find(events, |event| match event {
        Event::Reconnect { attempt, .. } => Some(attempt),
        _ => None,
    })
}

fn failure(events: &Receiver<Event>) -> leads_comm::Error {
    find(events, |event| match event {
        Event::Fail { error, .. } => Some(error),
        _ => None,
    })
}

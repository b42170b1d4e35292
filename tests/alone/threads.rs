//! What a server takes of threads: two, and one for each connection, also of those who are behind.

use std::time::Duration;

use leads_comm::{Connection, Server};
use leads_comm_testing::child::{self, Process, tell};
use leads_comm_testing::*;
use socket2::{Domain, SockAddr, Socket, Type};

const CONNECTIONS: usize = 500;

/// As many of them read nothing.
const BEHIND: usize = 50;

/// A server that sends more to the first connections than their systems take, in a process that does nothing else.
fn serve() {
    let before = threads::count();
    let (callback, events) = recorder();
    let builder = Server::builder().port(0).max_connections(CONNECTIONS).callback(callback);
    let server = builder.timeouts(unhurried(Duration::from_secs(600))).build().unwrap();
    server.start(true).unwrap();
    tell("port", server.port());
    let connections: Vec<Connection> = (0..CONNECTIONS).map(|_| connected(&events)).collect();
    let is_behind = |connection: &&Connection| connection.id().to_string().parse::<usize>().unwrap() <= BEHIND;
    let behind: Vec<_> = connections.iter().filter(is_behind).collect();
    for connection in &behind {
        while connection.queued_bytes() < 64 * 1024 {
            connection.send(&[b'x'; 16 * 1024]).unwrap();
        }
    }
    let threads = threads::count() - before;
    let behind = behind.iter().filter(|connection| connection.queued_bytes() > 0).count();
    tell("behind", behind);
    tell("threads", threads);
    child::wait_for_parent();
    server.close();
}

#[test]
fn who_is_behind_costs_no_thread() {
    alone!();
    if child::task().is_some() {
        return serve();
    }
    let process = Process::start("threads::who_is_behind_costs_no_thread", "");
    let address = SockAddr::from(std::net::SocketAddr::from(([127, 0, 0, 1], process.hear("port").parse().unwrap())));
    let _peers: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            if number < BEHIND {
                // Their systems take as little as they can.
                socket.set_recv_buffer_size(4096).unwrap();
            }
            socket.connect(&address).unwrap();
            socket
        })
        .collect();
    let [behind, threads] = ["behind", "threads"].map(|key| process.hear(key).parse::<usize>().unwrap());
    println!("a server with {CONNECTIONS} connections, {behind} of them behind, has {threads} threads");
    assert_eq!(behind, BEHIND);
    // Its own two, and a reader of each.
    assert!(threads <= CONNECTIONS + 2, "{threads}");
}

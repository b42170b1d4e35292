//! What services cost, and that they leave nothing behind: threads and descriptors of this process, counted.
//!
//! One test only, so that nothing else runs in the process while it counts.
#![cfg(target_os = "linux")]

use leads_comm::callback::Event;
use leads_comm::crossbeam_channel::Receiver;
use leads_comm_testing::leftovers::{expect, threads_and_descriptors};
use leads_comm_testing::*;

fn wait_for(events: &Receiver<Event>, count: usize) -> Vec<leads_comm::Connection> {
    (0..count).map(|_| connected(events)).collect()
}

#[test]
fn a_service_costs_what_it_says_and_leaves_nothing_behind() {
    alone!();
    const PEERS: usize = 50;
    let (threads, descriptors) = threads_and_descriptors();

    // A service that is only built holds nothing.
    let built: Vec<_> = (0..10).map(|_| leads_comm::create_server(0, ())).collect();
    expect("built", threads, descriptors);
    drop(built);

    // One that runs: the accepting thread and the pump; the listener, two descriptors to wake each of them, and one to
    // spare.
    let started = Net::Tcp.start_server(|builder| builder);
    expect("started", threads + 2, descriptors + 6);

    // Each connection: a reader and one descriptor here, and the two of the peer in this same process.
    let raws: Vec<_> = (0..PEERS).map(|_| started.raw()).collect();
    let connections = wait_for(&started.events, PEERS);
    assert_eq!(started.server.broadcast(b"hello").unwrap(), PEERS);
    expect("connected", threads + 2 + PEERS, descriptors + 6 + PEERS + 2 * PEERS);

    // Half of them leave by themselves; kept handles hold no descriptor.
    let remaining: Vec<_> = raws.into_iter().enumerate().filter_map(|(n, raw)| (n % 2 == 0).then_some(raw)).collect();
    let left = remaining.len();
    expect("half has left", threads + 2 + left, descriptors + 6 + left + 2 * left);
    assert_eq!(connections.iter().filter(|connection| connection.is_closed()).count(), PEERS - left);

    started.server.close();
    expect("closed", threads, descriptors + 2 * left);
    drop(remaining);
    expect("closed, and the peers gone", threads, descriptors);
    drop((connections, started));

    // Over every transport, with every kind of end, again and again.
    for round in 0..30 {
        let net = Net::ALL[round % Net::ALL.len()];
        let started = net.start_server(|builder| builder.max_received_len(1000));
        let clients: Vec<_> = (0..4).map(|_| started.start_client().0).collect();
        let raws: Vec<_> = (0..8).map(|_| started.raw()).collect();
        let connections = wait_for(&started.events, 12);
        let last = connections.iter().max_by_key(|connection| connection.id()).unwrap();
        started.server.broadcast(b"hello").unwrap();
        clients.iter().for_each(|client| client.send(b"hello").unwrap());
        clients[0].close();
        connections[1].abort();
        connections[2].close();
        for (number, raw) in raws.into_iter().enumerate() {
            match number {
                0 => raw.reset(),
                1 => drop(raw.try_write(b"disconnect;")),
                2 => drop(raw.try_write(&[b'x'; 2000])),
                // The last to connect reads nothing.
                7 => while last.send(&[b'x'; 1000]).is_ok() {},
                _ => drop(raw),
            }
        }
        if round % 2 == 0 {
            started.server.close();
        }
        clients.iter().for_each(leads_comm::Client::close);
        started.server.close();
        // Handles of services and connections are still held here.
        expect("a round", threads, descriptors);
    }
}

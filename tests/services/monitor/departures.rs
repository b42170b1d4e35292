//! Who has left last.

use std::time::{Duration, Instant};

use leads_comm::{Client, DisconnectKind, Server};
use leads_comm_testing::*;

#[test]
fn the_last_sixteen_are_remembered_with_their_reasons_the_last_one_first() {
    let (callback, events) = recorder();
    let server = Server::builder().port(0).callback(callback).build().unwrap();
    server.start(true).unwrap();
    assert_eq!(server.departures(), []);
    let begin = Instant::now();
    let mut peers = Vec::new();
    for _ in 0..20 {
        let client = Client::connect(&format!("127.0.0.1:{}", server.port()), ()).unwrap();
        peers.push(client.local_addr().unwrap().to_string());
        client.close();
        let _ = disconnected(&events);
    }
    let departures = server.departures();
    assert_eq!(
        departures.iter().map(|departure| departure.id.get()).collect::<Vec<_>>(),
        Vec::from_iter((5..=20).rev())
    );
    for departure in &departures {
        assert_eq!(departure.peer, peers[departure.id.get() as usize - 1]);
        assert_eq!((departure.kind, &departure.reason[..]), (DisconnectKind::PeerGoodbye, "the peer said goodbye"));
        assert!(departure.at >= begin && departure.lasted <= begin.elapsed());
    }
    server.close();
    assert_eq!(server.departures(), departures, "they can be read afterwards");
}

#[test]
fn a_client_remembers_its_own() {
    let (callback, events) = recorder();
    let server = Server::builder().port(0).callback(callback).build().unwrap();
    server.start(true).unwrap();
    let client = Client::connect(&format!("127.0.0.1:{}", server.port()), ()).unwrap();
    connected(&events);
    server.close();
    assert!(client.wait_timeout(PATIENCE));
    let [departure] = &client.departures()[..] else { panic!("{:?}", client.departures()) };
    assert_eq!(departure.kind, DisconnectKind::PeerGoodbye);
    assert_eq!(departure.peer, format!("127.0.0.1:{}", server.port()));
    assert!(departure.lasted < Duration::from_secs(60));
}

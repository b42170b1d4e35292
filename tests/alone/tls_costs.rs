//! What a connection costs on which nothing moves.

use leads_comm::{Client, Server};

use leads_comm_testing::certificates::Pki;
use leads_comm_testing::{alone, until, vitals};

#[test]
#[ignore = "long: takes half a minute, and wants to be alone in the process"]
fn idle_connections() {
    alone!();
    const CONNECTIONS: usize = 500;
    let pki = Pki::new();
    let open = |tls: bool, len: usize| {
        let before = vitals::memory();
        let mut builder = Server::builder().port(0);
        if tls {
            builder = builder.tls(pki.mutual_server()).max_handshakes(CONNECTIONS);
        }
        let server = builder.build().unwrap();
        server.start(true).unwrap();
        let config = pki.mutual_client();
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let mut builder = Client::builder().port(server.port());
                if tls {
                    builder = builder.tls(config.clone());
                }
                let client = builder.build().unwrap();
                client.start("127.0.0.1", true).unwrap();
                client.send(&vec![b'a'; len]).unwrap();
                client
            })
            .collect();
        until("everybody is there", || server.stats().traffic.received.messages == CONNECTIONS as u64);
        std::thread::sleep(std::time::Duration::from_secs(1));
        let each = (vitals::memory() - before) as f64 / (2 * CONNECTIONS) as f64 / 1024.0;
        (each, server, clients)
    };
    // Both stay open, so that what one has freed does not help the other.
    for len in [1, 40_000] {
        let (plain, tls) = (open(false, len), open(true, len));
        let more = tls.0 - plain.0;
        println!(
            "S1: an idle end on which {len} bytes have been sent takes {:.1} KiB, with TLS {:.1} KiB, {more:.1} more",
            plain.0, tls.0
        );
    }
}

//! The same port again, behind a close and a crash.

use std::time::Instant;

use leads_comm_testing::alone;

use super::millis;
use super::server_process::{Peer, Process, Setup};

/// A port that the system gives to nobody by itself, and the next one is free as well.
pub(super) fn quiet_port() -> u16 {
    let free = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
    let first = 20_000 + 2 * (std::process::id() % 5_000) as u16;
    (first..).step_by(2).find(|port| free(*port) && free(port + 1)).unwrap()
}

/// Ends and starts again on the same port: by a close, which leaves its side waiting for the last of the peers'
/// packets, and by a crash.
fn restarts(closed: usize, killed: usize) {
    let setup = Setup { port: quiet_port(), ..Setup::default() };
    let mut server = Process::start(&setup);
    let begin = Instant::now();
    server.tell(&format!("restart {closed}"));
    let failed = server.line();
    let failed = failed.strip_prefix("restarted ").unwrap_or_else(|| panic!("{failed}"));
    let took = begin.elapsed();
    server.close();
    drop(server);
    for _ in 0..killed {
        let server = Process::start(&setup);
        let mut peers: Vec<_> = (0..5).map(|_| server.connect()).collect();
        assert!(peers.iter_mut().all(Peer::is_let_in));
        peers.iter_mut().for_each(|peer| peer.send("under load"));
        server.kill();
    }
    println!(
        "A6: failed binds {failed} of {closed} after a close ({:.1} ms for each round), 0 of {killed} after a crash",
        millis(took) / closed as f64
    );
    assert_eq!(failed, "0");
}

#[test]
fn a_server_starts_again_on_its_port_at_once() {
    alone!();
    restarts(20, 3);
}

#[test]
#[ignore = "long: takes half a minute"]
fn a_server_starts_again_on_its_port_at_once_every_time() {
    alone!();
    restarts(100, 100);
}

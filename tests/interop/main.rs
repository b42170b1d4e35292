//! This library and LEADS, the Python original, in both roles: LEADS is no imitation here but the module itself.
//!
//! `python3 tests/interop/fetch.py` puts it into `target/leads`; `LEADS_PATH` names another folder that has
//! `leads/comm`. Without it, or without Python, the tests are skipped, and say so.
//!
//! The receiver of LEADS breaks when messages arrive together. So what is sent to it is paced: the next message follows
//! when LEADS has sent the last one back. What LEADS sends comes all at once.

mod peer;
use std::path::Path;
use std::thread;
use std::time::Duration;

use leads_comm::callback::Event;
use leads_comm::crossbeam_channel::Receiver;
use leads_comm::{Client, Connection, DisconnectCause, RefusalKind, Server, Service, SlowConsumer};
use leads_comm_testing::*;
use peer::{Peer, leads};

/// How many messages are sent in each direction.
const MESSAGES: usize = 10_000;

/// What this library is in a test; LEADS is the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Server,
    Client,
}

/// Our service, connected to LEADS.
struct Joined {
    service: Box<dyn Service>,
    connection: Connection,
    events: Receiver<Event>,
    leads: Peer,
    role: Role,
}

impl Role {
    fn join(self, path: &Path, separator: &str) -> Joined {
        let (callback, events) = recorder();
        match self {
            Role::Server => {
                let server = Server::builder().port(0).separator(separator).coalesce(false).callback(callback);
                let server = server.slow_consumer(SlowConsumer::Block(PATIENCE)).build().unwrap();
                server.start(true).unwrap();
                let (leads, _) = Peer::start(path, "client", server.port(), separator);
                leads.expect("connect");
                Joined { connection: connected(&events), service: Box::new(server), events, leads, role: self }
            }
            Role::Client => {
                let (leads, port) = Peer::start(path, "server", 0, separator);
                let client = Client::builder().port(port).separator(separator).coalesce(false).callback(callback);
                let client = client.slow_consumer(SlowConsumer::Block(PATIENCE)).build().unwrap();
                client.start("127.0.0.1", true).unwrap();
                leads.expect("connect");
                Joined { connection: connected(&events), service: Box::new(client), events, leads, role: self }
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            Role::Server => "server",
            Role::Client => "client",
        }
    }
}

impl Joined {
    /// Sends to LEADS, each message when the one before has come back; how many came back as they were.
    fn paced(&mut self, messages: impl Iterator<Item = Vec<u8>>) -> usize {
        self.leads.tell("echo");
        self.leads.expect("echoing");
        let mut echoes = 0;
        for message in messages {
            self.connection.send(&message).unwrap();
            let echo = received(&self.events);
            assert!(echo == message, "{} instead of {}", echo.escape_ascii(), message.escape_ascii());
            echoes += 1;
        }
        echoes
    }

    /// Has LEADS send all at once; how many arrived whole and in order.
    fn burst(&mut self, separator: &str) -> usize {
        self.leads.tell(&format!("burst {MESSAGES}"));
        let mut arrived = 0;
        for message in burst(MESSAGES, separator.as_bytes()) {
            let got = received(&self.events);
            assert!(got == message, "{} instead of {}", got.escape_ascii(), message.escape_ascii());
            arrived += 1;
        }
        self.leads.expect("sent");
        arrived
    }

    /// LEADS closes: both sides learn of it, and nothing is left running in LEADS.
    fn leads_closes(mut self) {
        self.leads.tell("close");
        // In any order: one is said by the thread that closes, one by the thread that reads.
        let mut said = [self.leads.expect(""), self.leads.expect("")];
        said.sort();
        // Its reader may be about to read when it closes the socket: then LEADS calls that a failure.
        let end = ["disconnect", "fail OSError(9, 'Bad file descriptor')"];
        assert!(said[0] == "closed" && end.contains(&said[1].as_str()), "{said:?}");
        let reason = disconnected(&self.events);
        assert!(matches!(reason.cause, DisconnectCause::PeerGoodbye), "{reason:?}");
        self.rest_and_end();
    }

    /// We close: both sides learn of it, and nothing is left running in LEADS.
    fn we_close(self) {
        self.service.close();
        self.leads.expect("disconnect");
        let reason = disconnected(&self.events);
        assert!(matches!(reason.cause, DisconnectCause::ServiceClosed), "{reason:?}");
        assert_eq!(reason.undelivered, Default::default());
        self.rest_and_end();
    }

    fn rest_and_end(mut self) {
        // A server of LEADS goes on accepting, even when it is closed.
        self.leads.expect_rest(if self.role == Role::Client { 2 } else { 1 });
        self.leads.end();
        self.service.close();
    }
}

/// The messages of a burst, the same as in `peer.py`: numbered, with every byte that may occur, and empty ones.
fn burst(count: usize, separator: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let alphabet: Vec<u8> = (0..=255).filter(|byte| !separator.contains(byte)).collect();
    let alphabet = alphabet.repeat(5);
    (0..count).map(move |number| {
        if number % 100 == 7 {
            return Vec::new();
        }
        let at = number % 200;
        [format!("{number}:").as_bytes(), &alphabet[at..at + number % 700]].concat()
    })
}

fn exchange(role: Role) {
    let Some(path) = leads() else { return };
    let mut joined = role.join(path, ";");
    let echoes = joined.paced(burst(MESSAGES, b";"));
    let long = b"long".repeat(25 * 1024);
    assert_eq!(joined.paced([long, b"disconnected".to_vec()].into_iter()), 2);
    let arrived = joined.burst(";");
    println!(
        "interop: {} {echoes} of {MESSAGES} to LEADS, one by one; {arrived} of {MESSAGES} from LEADS, at once",
        role.name()
    );
    joined.leads_closes();
    let mut joined = role.join(path, ";");
    assert_eq!(joined.paced([b"once more".to_vec()].into_iter()), 1);
    joined.we_close();
}

#[test]
fn our_server_and_a_client_of_leads() {
    exchange(Role::Server);
}

#[test]
fn our_client_and_a_server_of_leads() {
    exchange(Role::Client);
}

/// The other way round the receiver of LEADS is at fault: behind each message it delivers the separator's rest as
/// another.
#[test]
fn a_separator_of_several_bytes_from_leads() {
    let Some(path) = leads() else { return };
    for role in [Role::Server, Role::Client] {
        let mut joined = role.join(path, "end;");
        let arrived = joined.burst("end;");
        println!("interop: {} {arrived} of {MESSAGES} from LEADS, at once, with `end;`", role.name());
        joined.leads_closes();
    }
}

/// LEADS notices a reset, and spins at an end of the stream without a goodbye; so it must be a reset that an abort
/// gives it.
#[test]
fn an_abort_leaves_nothing_running_in_leads() {
    let Some(path) = leads() else { return };
    for role in [Role::Server, Role::Client] {
        let mut joined = role.join(path, ";");
        assert_eq!(joined.paced([b"before".to_vec()].into_iter()), 1);
        joined.connection.abort();
        joined.leads.expect("disconnect");
        let reason = disconnected(&joined.events);
        assert!(matches!(reason.cause, DisconnectCause::LocalAbort), "{reason:?}");
        joined.rest_and_end();
    }
}

/// A client of LEADS that says a token is let in by it, and one that says another is not.
#[test]
fn a_client_of_leads_says_a_token() {
    const TOKEN: &str = "correct horse";
    let Some(path) = leads() else { return };
    let (callback, events) = recorder();
    let server = Server::builder().port(0).coalesce(false).token(TOKEN).callback(callback).build().unwrap();
    server.start(true).unwrap();
    let (stranger, _) = Peer::start_saying(Some("open sesame"), path, "client", server.port(), ";");
    let mut said = [stranger.expect(""), stranger.expect("")];
    said.sort();
    assert_eq!(said, ["connect", "disconnect"]);
    stranger.end();
    until("it is counted", || server.stats().callers_refused.get(RefusalKind::NotAuthenticated) == 1);
    assert_eq!(server.stats().opened, 0);

    let (leads, _) = Peer::start_saying(Some(TOKEN), path, "client", server.port(), ";");
    leads.expect("connect");
    let connection = connected(&events);
    let mut joined = Joined { connection, service: Box::new(server), events, leads, role: Role::Server };
    assert_eq!(joined.paced(burst(100, b";")), 100);
    assert_eq!(joined.burst(";"), MESSAGES);
    joined.leads_closes();
}

/// A server of LEADS cannot be asked whether it lets a client in: it sees one that says goodbye, and then the token,
/// which it would take for right or wrong in its callback.
#[test]
fn a_server_of_leads_is_told_a_token() {
    const TOKEN: &str = "correct horse";
    let Some(path) = leads() else { return };
    for separator in [";", "\n"] {
        let (mut leads, port) = Peer::start(path, "server", 0, separator);
        leads.tell("listen");
        leads.expect("listening");
        let (callback, events) = recorder();
        let client = Client::builder().port(port).separator(separator).token(TOKEN).callback(callback).build().unwrap();
        client.start("127.0.0.1", true).unwrap();
        connected(&events);
        for said in ["connect", "disconnect", "connect"] {
            leads.expect(said);
        }
        let hex = |message: &str| message.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(leads.expect("received"), hex(TOKEN));
        client.send(b"m1").unwrap();
        assert_eq!(leads.expect("received"), hex("m1"));
        client.close();
        leads.expect("disconnect");
        assert!(matches!(disconnected(&events).cause, DisconnectCause::ServiceClosed));
        leads.end();
    }
}

/// How far apart messages must be for LEADS to receive them whole. No gap is large enough for a machine that is busy,
/// and so nothing is asserted but that LEADS was sent every byte.
#[test]
#[ignore = "long: takes 1 minute"]
fn the_pace_that_leads_needs() {
    const PACED: usize = 5_000;
    let Some(path) = leads() else { return };
    let mut joined = Role::Client.join(path, ";");
    joined.leads.tell("listen");
    joined.leads.expect("listening");
    for gap in [0, 50, 100, 200, 500, 1_000, 2_000, 5_000] {
        for number in 0..PACED {
            joined.connection.send(&numbered(number, 300)).unwrap();
            if gap > 0 {
                thread::sleep(Duration::from_micros(gap));
            }
        }
        let (mut whole, mut bytes) = (0, 0);
        while bytes < 300 * PACED {
            let hex = joined.leads.expect("received");
            bytes += hex.len() / 2;
            whole += usize::from(hex.len() / 2 == 300);
        }
        assert_eq!(bytes, 300 * PACED);
        println!("interop: {whole} of {PACED} messages whole in LEADS, {gap} us or more apart");
    }
}

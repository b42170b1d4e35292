//! LEADS itself at the other end.

use crate::leads_peer::{Peer, leads};
use crate::process::{Process, run};

#[test]
fn what_a_leads_server_broadcasts_is_printed() {
    let Some(path) = leads() else { return };
    let (mut leads, port) = Peer::start(path, "server", 0, ";");
    let listen = Process::start(&["listen", "--leads", &format!("127.0.0.1:{port}"), "-c3000", "-f", "hex"]);
    leads.expect("connect");
    leads.tell("burst 3000");
    leads.expect("sent");
    let ended = listen.end();
    assert_eq!((ended.code, ended.stdout.len()), (0, 3000), "{:?}", ended.stderr);
    // Numbered, and every hundredth is empty.
    for (number, line) in ended.stdout.iter().enumerate() {
        let head: String = format!("{number}:").bytes().map(|byte| format!("{byte:02x}")).collect();
        assert!(if number % 100 == 7 { line.is_empty() } else { line.starts_with(&head) }, "{number}: {line}");
    }
    leads.expect("disconnect");
    leads.end();
}

#[test]
fn what_is_sent_reaches_a_leads_server() {
    let Some(path) = leads() else { return };
    let (mut leads, port) = Peer::start(path, "server", 0, ";");
    leads.tell("listen");
    leads.expect("listening");
    // LEADS breaks when messages arrive together, hence the pauses.
    let address = format!("127.0.0.1:{port}");
    let ended = run(&["send", "--leads", &address, "time_lap", "hazard", "m1", "--rate", "5"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    leads.expect("connect");
    for command in ["time_lap", "hazard", "m1"] {
        let hex: String = command.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(leads.expect("received"), hex);
    }
    leads.expect("disconnect");

    leads.tell("echo");
    leads.expect("echoing");
    let ended = run(&["send", "--leads", &address, "lap?", "--wait", "20s", "--answers", "1"]);
    assert_eq!((ended.code, &ended.stdout[..]), (0, &["lap?".to_owned()][..]), "{ended:?}");
    leads.end();
}

#[test]
fn a_leads_server_that_closes_is_a_regular_end() {
    let Some(path) = leads() else { return };
    let (mut leads, port) = Peer::start(path, "server", 0, "end;");
    let address = format!("127.0.0.1:{port}");
    let listen = Process::start(&["listen", "-q", "--leads-video", &address, "--no-reconnect"]);
    leads.expect("connect");
    leads.tell("burst 5");
    assert!(listen.line().starts_with("0:"));
    leads.tell("close");
    assert_eq!(listen.end().code, 0);
    leads.expect("sent");
}

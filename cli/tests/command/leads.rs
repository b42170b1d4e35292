//! LEADS itself at the other end.

use crate::leads_peer::{Peer, leads};
use crate::process::{Process, run};

/// As `peer.py` tells of a message.
pub(crate) fn hex(message: &str) -> String {
    message.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// States of a vehicle: all of them longer than what LEADS reads at once. With the last one's separator, it would read a
/// part of what comes behind.
pub(crate) fn states() -> Vec<String> {
    let lens = (800..810).chain([505]);
    lens.enumerate()
        .map(|(number, len)| format!("{{\"t\":{number:02},\"name\":\"{}\"}}", "x".repeat(len - 17)))
        .collect()
}

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
    let address = format!("127.0.0.1:{port}");
    let commands = ["time_lap", "hazard", "m1"];
    let ended = run(&[&["send", "--leads", &address], &commands[..]].concat());
    assert_eq!(ended.code, 0, "{ended:?}");
    leads.expect("connect");
    for command in commands {
        assert_eq!(leads.expect("received"), hex(command));
    }
    leads.expect("disconnect");

    // LEADS breaks when messages arrive together that it does not read in one piece, nor may the goodbye follow closely.
    let lines = states();
    let mut send = Process::start(&["send", "-q", "--leads", &address]);
    send.write(lines.join("\n") + "\n");
    let ended = send.end_input();
    assert_eq!((ended.code, ended.stderr.len()), (0, 0), "{ended:?}");
    leads.expect("connect");
    for line in &lines {
        assert_eq!(leads.expect("received"), hex(line));
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

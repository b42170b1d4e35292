//! A wrong separator does not look like a peer that says nothing.

use leads_comm_testing::wire::{Listening, Peer};

use crate::process::Process;

const SUSPICION: &str = ", but no whole message: is the separator ; right? (a LEADS vehicle's is ; and that of its \
                         pictures end;)";

/// Asserts that it is told once, whatever else comes on.
#[track_caller]
fn assert_tells(process: &Process, peer: &Peer) {
    peer.write("{\"speed\":1}\n");
    let line = process.error_line_with("no whole message");
    assert!(line.starts_with("bytes come from 127.0.0.1:") && line.ends_with(SUSPICION), "{line}");
    peer.write("{\"speed\":2}\n");
}

#[test]
fn clients_ask_whether_the_separator_is_right() {
    let folder = leads_comm_testing::folder::Folder::new("command");
    let file = folder.path().join("a.mcap");
    let file = file.to_str().unwrap();
    for verb in [&["listen"][..], &["record", "-o", file], &["send", "hello", "--wait", "1h"]] {
        let listening = Listening::start();
        let address = listening.address();
        let client = Process::start(&[&verb[..1], &[&address], &verb[1..]].concat());
        let peer = listening.accept();
        assert_tells(&client, &peer);
        if verb[0] == "send" {
            peer.expect("hello;");
        }
        client.signal("INT");
        peer.expect("disconnect;");
        peer.hang_up();
        let ended = client.end();
        assert_eq!(ended.code, 0, "{ended:?}");
        let rest = ended.stderr.join("\n");
        assert!(!rest.contains("no whole message"), "{verb:?}: {rest}");
    }
}

#[test]
fn one_that_ends_soon_says_it_at_its_end() {
    let listening = Listening::start();
    let listen = Process::start(&["listen", &listening.address(), "-c1", "-W2500ms"]);
    let peer = listening.accept();
    peer.write("{\"speed\":1}\n");
    let ended = listen.end();
    assert_eq!(ended.code, 3, "{ended:?}");
    // It may take longer than a moment on a machine that is busy.
    let is_told = |line: &str| line.starts_with("bytes c") && line.ends_with(SUSPICION);
    assert_eq!(ended.stderr.iter().filter(|line| is_told(line)).count(), 1, "{ended:?}");
}

#[test]
fn a_peer_that_says_nothing_is_no_suspect() {
    let (one, other) = (Listening::start(), Listening::start());
    let listens = [&one, &other].map(|at| Process::start(&["listen", &at.address(), "-W2500ms"]));
    let _silent = one.accept();
    let talks = other.accept();
    talks.write("whole;part");
    for listen in listens {
        let ended = listen.end();
        assert_eq!((ended.code, ended.stderr.len()), (0, 1), "{ended:?}");
    }
}

#[test]
fn servers_ask_it_of_each_client() {
    for verb in ["serve", "record"] {
        let folder = leads_comm_testing::folder::Folder::new("command");
        let mut server = crate::process::command(&[verb, "127.0.0.1:0"]);
        if verb == "record" {
            server.arg("--serve");
        }
        let server = Process::spawn(server.current_dir(folder.path()));
        let line = server.error_line_with("listening on ");
        let peers = [(); 2].map(|()| Peer::connect(line.rsplit_once(':').unwrap().1.parse().unwrap()));
        let talks = Peer::connect(line.rsplit_once(':').unwrap().1.parse().unwrap());
        talks.write("whole;and a part");
        for peer in &peers {
            peer.write("GET / HTTP/1.1\r\n");
        }
        let mut suspects = peers.each_ref().map(|_| server.error_line_with("no whole message"));
        suspects.sort();
        let mut names = peers.each_ref().map(|peer| format!("bytes come from {}{SUSPICION}", peer.name()));
        names.sort();
        assert_eq!(suspects, names);
    }
}

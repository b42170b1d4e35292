//! Signals that were ignored when an example was started: who starts it has decided about them.

use std::process::{Command, Stdio};

use crate::process::{Process, path};
use crate::wire::{Listening, Peer};

/// Starts an example as a shell does that ignores `signals`; `nohup` is one.
fn start_ignoring(signals: &str, example: &str, arguments: &[&str]) -> Process {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("trap '' {signals}; exec \"$0\" \"$@\"")).arg(path(example)).args(arguments);
    shell.env_remove("RUST_LOG").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Process::start_command(&mut shell)
}

#[test]
fn a_server_goes_on_where_they_were_ignored() {
    for signal in ["HUP", "INT"] {
        let server = start_ignoring(signal, "server", &["--port", "0", "--echo"]);
        let peer = Peer::connect(server.port());
        peer.write("before;");
        peer.expect("before;");
        server.signal(signal);
        peer.write("after;");
        peer.expect("after;");
        server.signal("TERM");
        peer.expect_goodbye();
        assert_eq!(server.end().code, 0);
    }
}

#[test]
fn so_do_chat_and_publisher() {
    for (example, arguments) in [("chat", &["--port", "0"][..]), ("telemetry", &["--serve", "--port", "0"])] {
        let process = start_ignoring("HUP INT", example, arguments);
        let port = process.port();
        process.signal("HUP");
        process.signal("INT");
        assert!(!Peer::connect(port).message().is_empty());
        process.signal("TERM");
        assert_eq!(process.end().code, 0);
    }
}

#[test]
fn so_does_a_client() {
    let listening = Listening::start();
    let mut client = start_ignoring("HUP", "client", &["127.0.0.1", "--port", &listening.port.to_string()]);
    let peer = listening.accept();
    client.write(b"before\n");
    peer.expect("before;");
    client.signal("HUP");
    client.write(b"after\n");
    peer.expect("after;");
    client.signal("TERM");
    peer.expect_goodbye();
    assert_eq!(client.end().code, 0);
}

#[test]
fn where_all_were_ignored_the_end_of_stdin_ends_it() {
    let listening = Listening::start();
    let mut client = start_ignoring("HUP INT TERM", "client", &["127.0.0.1", "--port", &listening.port.to_string()]);
    let peer = listening.accept();
    for signal in ["HUP", "INT", "TERM"] {
        client.signal(signal);
    }
    client.write(b"after\n");
    peer.expect("after;");
    client.close_stdin();
    peer.expect_goodbye();
    assert_eq!(client.end().code, 0);
}

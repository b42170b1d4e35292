//! The examples `server` and `client`: what is typed on one side is read on the other.

use leads_comm_testing::wire::Peer;

use crate::process::Process;

#[test]
fn they_talk_to_one_another() {
    let mut server = Process::start("server", &["0"]);
    let port = server.port();
    let mut first = Process::start("client", &[&format!("127.0.0.1:{port}")]);
    assert_eq!(first.line(), format!("connected to 127.0.0.1:{port}"));
    assert!(server.line().ends_with(" is here, one of 1"));
    let second = Process::start("client", &[&format!("localhost:{port}")]);
    second.line_with("connected to ");
    assert!(server.line().ends_with(" is here, one of 2"));

    first.write(b"time_lap\n");
    assert!(server.line().ends_with(" says time_lap"));
    assert_eq!(first.line(), "8 bytes, thank you");
    server.write(b"hazard\n");
    for client in [&first, &second] {
        assert_eq!(client.line(), "hazard");
    }
    // No message, and no reason to end.
    first.write(b"a;b\nlast words\n");
    assert!(first.error_line().starts_with("not sent: "));

    first.close_stdin();
    assert!(server.line().ends_with(" says last words"));
    assert!(server.line().ends_with(" has left: the peer said goodbye"));
    let ended = first.end();
    assert_eq!((ended.code, ended.stderr.len()), (0, 0), "{ended:?}");
    assert!(ended.stdout.last().is_some_and(|line| line.starts_with("disconnected: ")), "{ended:?}");

    server.close_stdin();
    let (server, second) = (server.end(), second.end());
    assert_eq!((server.code, server.stderr.len(), second.code, second.stderr.len()), (0, 0, 0, 0));
    assert_eq!(second.stdout, ["disconnected: the peer said goodbye"]);
}

#[test]
fn the_server_says_goodbye_behind_what_was_typed() {
    let mut server = Process::start("server", &["0"]);
    let peer = Peer::connect(server.port());
    server.line_with(" is here");
    server.write(b"one\n\nt\xc3\xb6o\r\n");
    server.close_stdin();
    peer.expect("one;;t\u{f6}o;");
    peer.expect_goodbye();
    assert_eq!(server.end().code, 0);
}

#[test]
fn a_port_that_is_taken_and_a_server_that_is_not_there_are_told() {
    let server = Process::start("server", &["0"]);
    let port = server.port();
    for (example, argument) in
        [("server", port.to_string()), ("client", format!("127.0.0.1:{}", leads_comm_testing::free_port()))]
    {
        let ended = crate::process::run(example, &[&argument]);
        assert_eq!((ended.code, ended.stderr.len()), (1, 1), "{ended:?}");
    }
}

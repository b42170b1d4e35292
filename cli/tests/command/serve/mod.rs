//! `serve`: what it prints, and what it says to whom.

mod peers;
mod slow;
#[cfg(unix)]
mod terminal;

use std::fmt::Display;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use leads_comm_testing::wire::{Peer, unused_address};

use crate::process::{Process, SIGNALS, command, run};

/// A server on a free port of this machine, and the port.
fn start(options: &[&str]) -> (Process, u16) {
    let server = Process::start(&[&["serve", "127.0.0.1:0"], options].concat());
    let port = port(&server);
    (server, port)
}

/// Where it says that it listens.
#[track_caller]
fn port(server: &Process) -> u16 {
    let line = server.error_line();
    let port = line.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).filter(|port| *port > 0);
    port.filter(|_| line.starts_with("listening on ")).unwrap_or_else(|| panic!("the first line is {line:?}"))
}

/// A client that the server has accepted.
#[track_caller]
fn join(server: &Process, port: u16) -> Peer {
    let peer = Peer::connect(port);
    let line = server.error_line();
    assert!(line.starts_with('#') && line.ends_with(&format!(" {} connected", peer.name())), "{line}");
    peer
}

/// The end of a client, as it is told: what stands behind its name.
#[track_caller]
fn end_of(name: impl Display, line: &str) -> &str {
    let end = line.split_once(&format!(" {name} disconnected: ")).filter(|(id, _)| id.starts_with('#'));
    end.unwrap_or_else(|| panic!("{line}")).1
}

#[test]
fn the_first_line_of_stderr_is_the_real_address() {
    let server = Process::start(&["serve", "127.0.0.1:0"]);
    let line = server.error_line();
    let address = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}"));
    // It can be given to a client as it is.
    TcpStream::connect(address).unwrap();
    assert!(server.error_line().ends_with(" connected"), "nothing else is said where only this machine comes");
}

#[test]
fn every_address_is_served_and_warned_of() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        leads_comm_testing::skipped("this machine has no IPv6");
        return;
    }
    let server = Process::start(&["serve", ":0"]);
    let port = port(&server);
    let warning = server.error_line();
    assert!(warning.contains("everybody") && warning.contains("--token-file"), "{warning}");
    TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap();
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    // One that asks for a token does not warn.
    let server = Process::spawn(command(&["serve", "0.0.0.0:0"]).env("LEADS_COMM_TOKEN", "secret"));
    TcpStream::connect((Ipv4Addr::LOCALHOST, self::port(&server))).unwrap();
    server.signal("TERM");
    let ended = server.end();
    assert!(ended.code == 0 && !ended.stderr.iter().any(|line| line.contains("everybody")), "{ended:?}");
}

#[test]
fn each_message_is_a_line_at_once() {
    let (server, port) = start(&[]);
    let peer = join(&server, port);
    peer.write("time_lap;haz");
    // Nothing else comes before this is read: the line has been flushed.
    assert_eq!(server.line(), "time_lap");
    peer.write("ard;;");
    assert_eq!(server.line(), "hazard");
    assert_eq!(server.line(), "");
    let bytes: Vec<u8> = (0..=255).filter(|byte| !b";\n".contains(byte)).collect();
    peer.write([&bytes[..], b";"].concat());
    assert_eq!(server.line_bytes(), bytes);
}

#[test]
fn another_separator_serves() {
    for options in [&["--separator", "end;"][..], &["--leads-video"]] {
        let (server, port) = start(&[&["--echo"], options].concat());
        let peer = join(&server, port);
        peer.write("frame;0en");
        peer.write("d;");
        assert_eq!(server.line(), "frame;0");
        peer.expect("frame;0end;");
    }
}

#[test]
fn stdout_carries_messages_and_stderr_who_comes_and_goes() {
    let (server, port) = start(&[]);
    let (polite, rude) = (join(&server, port), join(&server, port));
    let (polite_name, rude_name) = (polite.name(), rude.name());
    polite.say_goodbye();
    assert_eq!(end_of(polite_name, &server.error_line()), "the peer said goodbye");
    rude.write("unfini");
    rude.hang_up();
    assert!(end_of(rude_name, &server.error_line()).contains("6"), "how much was not a whole message is told");
    server.signal("TERM");
    let ended = server.end();
    assert_eq!((ended.code, ended.stdout, ended.stderr), (0, vec![], vec![]));
}

#[test]
fn quiet_says_nothing_of_all_that() {
    // Nothing says where, so it has to be known.
    let address = unused_address();
    let server = Process::start(&["serve", &address, "-q", "--echo"]);
    let peer = loop {
        match TcpStream::connect(&address) {
            Ok(socket) => break Peer::new(socket),
            Err(_) => thread::yield_now(),
        }
    };
    peer.write("m1;");
    peer.expect("m1;");
    server.signal("TERM");
    peer.expect_goodbye();
    let ended = server.end();
    assert_eq!((ended.code, ended.stdout, ended.stderr), (0, vec!["m1".to_owned()], vec![]));
}

#[test]
fn no_more_clients_than_it_is_told_to_have() {
    let (server, port) = start(&["--max-connections", "1", "--echo"]);
    let inside = join(&server, port);
    let refused = Peer::connect(port);
    assert_eq!(refused.rest(), b"disconnect;;");
    assert_eq!(server.error_line(), "a caller was refused: the limit on connections is 1");
    inside.write("m1;");
    inside.expect("m1;");
}

#[test]
fn it_prints_only_unless_asked_for_more() {
    let (mut server, port) = start(&[]);
    let (speaker, listener) = (join(&server, port), join(&server, port));
    speaker.write("m1;");
    assert_eq!(server.line(), "m1");
    server.write("later\n");
    // Nothing before it.
    speaker.expect("later;");
    listener.expect("later;");
}

#[test]
fn echo_answers_the_sender_alone() {
    let (mut server, port) = start(&["--echo"]);
    let (speaker, listener) = (join(&server, port), join(&server, port));
    speaker.write("m1;m3;");
    speaker.expect("m1;m3;");
    server.write("later\n");
    listener.expect("later;");
    speaker.expect("later;");
}

#[test]
fn relay_tells_the_others_alone() {
    let (mut server, port) = start(&["--relay"]);
    let (speaker, first, second) = (join(&server, port), join(&server, port), join(&server, port));
    speaker.write("m1;m3;");
    first.expect("m1;m3;");
    second.expect("m1;m3;");
    server.write("later\n");
    speaker.expect("later;");
}

#[test]
fn echo_and_relay_together_tell_everybody() {
    let (server, port) = start(&["--echo", "--relay"]);
    let (speaker, listener) = (join(&server, port), join(&server, port));
    speaker.write("m1;");
    speaker.expect("m1;");
    listener.expect("m1;");
}

#[test]
fn lines_of_stdin_are_sent_to_all() {
    let (mut server, port) = start(&[]);
    let (first, second) = (join(&server, port), join(&server, port));
    server.write(b"one\n\nt\xffo\r\nthree\r");
    server.close_stdin();
    for peer in [&first, &second] {
        peer.expect(b"one;;t\xffo;three\r;");
    }
}

#[test]
fn with_nul_between_them_messages_may_have_newlines() {
    let (mut server, port) = start(&["-0", "-c", "2"]);
    let peer = join(&server, port);
    server.write("a\nb\0\0");
    peer.expect("a\nb;;");
    peer.write("c\nd;e;");
    peer.expect_goodbye();
    assert_eq!(server.end().stdout, ["c", "d\0e\0"]);
}

#[test]
fn stdin_waits_for_the_first_client() {
    let (mut server, port) = start(&[]);
    // Like `serve < messages`: all of it is there, before anybody is.
    server.write("one\ntwo\n");
    server.close_stdin();
    let first = join(&server, port);
    first.expect("one;two;");
    // It goes on.
    first.write("still there;");
    assert_eq!(server.line(), "still there");
    let second = join(&server, port);
    second.write("me too;");
    assert_eq!(server.line(), "me too");
}

#[test]
fn what_nobody_was_sent_is_told() {
    let (mut server, port) = start(&[]);
    let first = join(&server, port);
    server.write("one\n");
    first.expect("one;");
    first.say_goodbye();
    server.error_line_with(" disconnected: ");
    server.write("two\nthree\n");
    // These have been sent before the end of stdin is seen.
    server.close_stdin();
    assert_eq!(server.error_line(), "lines of stdin for which no client was there: 2");
}

#[test]
fn a_line_that_cannot_be_sent_is_told_and_passed_over() {
    let (mut server, port) = start(&["--max-message-len", "1000"]);
    let peer = join(&server, port);
    server.write("a;b\ndisconnect\nafter\n");
    server.write("x".repeat(1_002));
    // As soon as it is certain.
    for (number, cause) in [
        (1, "the separator would split the message at byte 1"),
        (2, "the reserved goodbye"),
        (4, "it is longer than 1000 bytes"),
    ] {
        let line = server.error_line();
        let start = format!("leads-comm: line {number} was not sent: ");
        assert!(line.starts_with(&start) && line.contains(cause), "{line:?}");
    }
    server.write(format!("{}\n{}\n", "x".repeat(100_000), "y".repeat(1_000)));
    peer.expect(format!("after;{};", "y".repeat(1_000)));
}

#[test]
fn signals_end_it_with_a_goodbye_to_all() {
    for signal in SIGNALS {
        let (server, port) = start(&[]);
        let peers = [(); 3].map(|()| join(&server, port));
        server.signal(signal);
        peers.into_iter().for_each(Peer::expect_goodbye);
        // Stdin is still open: it holds nobody up.
        let ended = server.end();
        assert_eq!((ended.code, &ended.stdout[..], ended.stderr.len()), (0, &[][..], 3), "{ended:?}");
        assert!(ended.stderr.iter().all(|line| line.ends_with(" disconnected: the service was closed")), "{ended:?}");
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is still taken");
    }
}

#[test]
fn what_it_cannot_serve_is_one_clear_line() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let taken = taken.local_addr().unwrap();
    for (arguments, code, why) in [
        (&[&*taken.to_string()][..], 1, &*format!("cannot listen on {taken}: ")),
        (&["vehicle:0"], 2, "vehicle is no IP address to listen on"),
        (&["serial:/dev/null"], 2, "a serial line has a device at its other end"),
        (&["tls://127.0.0.1:0"], 2, "--tls-cert"),
        (&["tls://127.0.0.1:0", "--tls-name", "vehicle"], 2, "--tls-name is for clients"),
        (&["127.0.0.1:0", "--slow", "maybe"], 2, "wait, drop, latest, disconnect"),
        (&["127.0.0.1:0", "--tls-ca", "ca.pem"], 2, "tls://"),
        (&["tls://127.0.0.1:0", "--tls-cert", "/no/such", "--tls-key", "/no/such"], 1, "cannot read /no/such: "),
        #[cfg(unix)]
        (&["unix:/no/such/folder/socket"], 1, "cannot listen on /no/such/folder/socket: "),
        #[cfg(not(unix))]
        (&["unix:socket"], 2, "this system has no Unix sockets that can be used"),
        (&["127.0.0.1:0", "--token-file", "/no/such"], 1, "cannot read /no/such: "),
    ] {
        let ended = run(&[&["serve"][..], arguments].concat());
        assert_eq!((ended.code, ended.stdout.len(), ended.stderr.len()), (code, 0, 1), "{ended:?}");
        assert!(ended.stderr[0].starts_with("leads-comm: ") && ended.stderr[0].contains(why), "{ended:?}");
    }
}

#[test]
#[cfg_attr(windows, ignore = "nothing tells there before something is written")]
fn a_reader_that_leaves_ends_it_cleanly() {
    let (server, stdout) = Process::start_unread(&["serve", "127.0.0.1:0"]);
    let port = port(&server);
    let (first, second) = (join(&server, port), join(&server, port));
    // Like `| head -0`, and nothing is printed.
    drop(stdout);
    first.expect_goodbye();
    second.expect_goodbye();
    let ended = server.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stderr.iter().all(|line| line.ends_with(" disconnected: the service was closed")), "{ended:?}");
}

#[test]
fn a_stdout_that_nobody_reads_slows_its_client_down_and_holds_up_no_end() {
    let (server, _stdout) = Process::start_unread(&["serve", "127.0.0.1:0"]);
    let speaker = TcpStream::connect((Ipv4Addr::LOCALHOST, port(&server))).unwrap();
    speaker.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let chunk = [b"x".repeat(1_000), b";".to_vec()].concat();
    // Neither is everything taken, nor does it end.
    let taken = (0..100_000).take_while(|_| std::io::Write::write_all(&mut &speaker, &chunk).is_ok()).count();
    assert!(taken < 100_000);
    server.signal("INT");
    let ended = server.end();
    let lost = ended.stderr.iter().filter(|line| line.contains(" bytes were not printed")).count();
    assert_eq!((ended.code, lost), (1, 1), "{ended:?}");
}

#[test]
fn it_ends_after_so_many_messages_or_so_much_silence() {
    // Of several clients together, with every format.
    for (format, expected) in
        [("text", "m1"), ("hex", "6d31"), ("json", "\"text\":\"m1\"}"), ("line", " 2B m1"), ("raw", "m1")]
    {
        let (server, port) = start(&["--format", format, "-c", "2", "-W", "60s", "--echo"]);
        let (first, second) = (join(&server, port), join(&server, port));
        first.write("m1;");
        first.expect("m1;");
        second.write("m1;m2;m3;");
        // The last one that counts is answered as well.
        second.expect("m1;");
        second.expect_goodbye();
        first.expect_goodbye();
        let ended = server.end();
        let lines = if format == "raw" { vec!["m1m1".to_owned()] } else { ended.stdout.clone() };
        assert_eq!((ended.code, lines.len()), (0, if format == "raw" { 1 } else { 2 }), "{ended:?}");
        assert!(lines.iter().all(|line| line.ends_with(expected)), "{format}: {ended:?}");
    }
    let (server, port) = start(&["-c", "2", "-W", "1s"]);
    join(&server, port).write("m1;");
    let ended = server.end();
    assert_eq!((ended.code, &ended.stdout[..]), (3, &["m1".to_owned()][..]), "{ended:?}");
    assert!(ended.stderr.last().unwrap().ends_with(": 1 of 2 messages came, and then nothing for 1s"), "{ended:?}");
    for option in ["-W", "--duration"] {
        let (server, _) = start(&[option, "1ms"]);
        assert_eq!(server.end().code, 0);
    }
}

#[test]
fn it_says_of_which_client_a_message_is() {
    let (server, port) = start(&["--format", "json"]);
    let (first, second) = (Peer::connect(port), Peer::connect(port));
    for _ in 0..2 {
        server.error_line_with(" connected");
    }
    for peer in [&first, &second] {
        peer.write("{\"speed\":4.50};");
        let line = server.line();
        assert!(line.contains(&format!("\"peer\":\"{}\"", peer.name())), "{line}");
        assert!(line.ends_with("\"size\":14,\"message\":{\"speed\":4.50}}"), "{line}");
    }
    let (server, port) = start(&["--format", "line"]);
    let _first = join(&server, port);
    let second = join(&server, port);
    second.write("m1;");
    let line = server.line();
    assert!(line.ends_with(" #2 2B m1"), "{line}");
    let (server, port) = start(&["--fields", "speed"]);
    join(&server, port).write("{\"speed\":4.50};");
    assert_eq!([server.line(), server.line()], ["speed", "4.50"]);
}

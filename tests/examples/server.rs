//! The example `server`: what it prints, and what it says to whom.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::process::{Process, run};
use crate::wire::Peer;

/// A server on a free port, and the port.
fn start(options: &[&str]) -> (Process, u16) {
    let server = Process::start("server", &[&["--port", "0"], options].concat());
    let port = server.port();
    (server, port)
}

/// A client that the server has accepted.
fn join(server: &Process, port: u16) -> Peer {
    let peer = Peer::connect(port);
    assert_eq!(server.error_line(), format!("{} connected", peer.name()));
    peer
}

#[test]
fn the_first_line_tells_the_real_address() {
    let (_server, port) = start(&[]);
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
}

#[test]
fn it_listens_on_ipv6() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        eprintln!("not tested: this machine has no IPv6");
        return;
    }
    let server = Process::start("server", &["--bind", "::1", "--port", "0"]);
    let line = server.line();
    let port = line.strip_prefix("listening on [::1]:").and_then(|port| port.parse().ok()).expect("no address");
    TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap();
}

#[test]
fn each_message_is_a_line_at_once() {
    let (server, port) = start(&[]);
    let peer = join(&server, port);
    let name = peer.name();
    peer.write("time_lap;haz");
    // Nothing else comes before this is read: the line has been flushed.
    assert_eq!(server.line(), format!("{name} time_lap"));
    peer.write("ard;;");
    assert_eq!(server.line(), format!("{name} hazard"));
    assert_eq!(server.line(), format!("{name} "));
}

#[test]
fn bytes_that_are_no_text_are_printed_as_they_are() {
    let (server, port) = start(&[]);
    let peer = join(&server, port);
    let message: Vec<u8> = (0..=255).filter(|byte| !b";\n".contains(byte)).collect();
    peer.write([&message[..], b";"].concat());
    assert_eq!(server.line_bytes(), [format!("{} ", peer.name()).as_bytes(), &message].concat());
}

#[test]
fn another_separator_serves() {
    let (server, port) = start(&["--separator", "end;", "--echo"]);
    let peer = join(&server, port);
    peer.write("frame;0en");
    peer.write("d;");
    assert_eq!(server.line(), format!("{} frame;0", peer.name()));
    peer.expect("frame;0end;");
}

#[test]
#[cfg(unix)]
fn stdout_carries_messages_and_stderr_who_comes_and_goes() {
    let (server, port) = start(&[]);
    let (polite, rude) = (join(&server, port), join(&server, port));
    let (polite_name, rude_name) = (polite.name(), rude.name());
    polite.say_goodbye();
    assert_eq!(server.error_line(), format!("{polite_name} disconnected: the peer said goodbye"));
    rude.write("unfini");
    rude.hang_up();
    assert!(server.error_line().starts_with(&format!("{rude_name} disconnected: ")));
    server.signal("TERM");
    let ended = server.end();
    assert_eq!((ended.code, ended.stdout, ended.stderr), (0, vec![], vec![]));
}

#[test]
fn no_more_clients_than_it_is_told_to_have() {
    let (server, port) = start(&["--max-connections", "1", "--echo"]);
    let inside = join(&server, port);
    let refused = Peer::connect(port);
    assert_eq!(refused.rest(), b"disconnect;;");
    assert_eq!(server.error_line(), "server: a caller was refused: the limit on connections is 1");
    inside.write("m1;");
    inside.expect("m1;");
}

#[test]
fn it_prints_only_unless_asked_for_more() {
    let (mut server, port) = start(&[]);
    let (speaker, listener) = (join(&server, port), join(&server, port));
    speaker.write("m1;");
    assert_eq!(server.line(), format!("{} m1", speaker.name()));
    server.write(b"later\n");
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
    server.write(b"later\n");
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
    server.write(b"later\n");
    speaker.expect("later;");
}

/// Message `number` of many, which together are more than a peer that reads nothing is kept and its system takes.
fn numbered(number: usize) -> String {
    format!("{number} {};", "x".repeat(3_000))
}

const MANY: usize = 12_000;

/// How long it takes to relay them to six readers, beside a seventh that reads nothing, if so.
#[cfg(unix)]
fn relay_to_six(beside_another: bool) -> Duration {
    let (server, port) = start(&["--relay"]);
    let speaker = join(&server, port);
    let frozen = beside_another.then(|| join(&server, port));
    let readers = [(); 6].map(|()| join(&server, port));
    let begun = Instant::now();
    // In rounds, so that nobody is behind who reads.
    for first in (0..MANY).step_by(250) {
        let round: String = (first..first + 250).map(numbered).collect();
        speaker.write(&round);
        readers.iter().for_each(|reader| reader.expect(&round));
    }
    let time = begun.elapsed();
    server.signal("TERM");
    readers.into_iter().for_each(Peer::expect_goodbye);
    let ended = server.end();
    assert_eq!((ended.code, ended.stderr.len()), (0, 7 + usize::from(beside_another)), "{:?}", ended.stderr);
    if let Some(frozen) = frozen {
        // It has lost something, and that is all.
        let name = frozen.name().to_string();
        let told = ended.stderr.iter().find(|line| line.starts_with(&name)).expect("its end is told");
        assert!(told.starts_with(&format!("{name} disconnected: the service was closed")), "{told}");
        assert!(told.ends_with(" dropped"), "{told}");
    }
    time
}

#[test]
#[cfg(unix)]
fn one_that_stops_reading_holds_up_nobody() {
    relay_to_six(true);
}

#[test]
#[cfg(unix)]
#[ignore = "long: takes half a minute"]
fn how_long_it_takes_beside_one_that_stops_reading() {
    // By turns, so that what else the machine does is the same for both.
    let rounds = [(); 5].map(|()| [false, true].map(relay_to_six));
    for (what, at) in [("six readers", 0), ("six readers and one that reads nothing", 1)] {
        let mut times = rounds.map(|round| round[at]);
        times.sort_unstable();
        println!("I13: {MANY} messages to {what}: {:.2?} ({:.2?} to {:.2?})", times[2], times[0], times[4]);
    }
}

#[test]
fn a_recorder_that_wants_everything_is_waited_for() {
    let (server, port) = start(&["--relay"]);
    let (speaker, listener, recorder) = (join(&server, port), join(&server, port), join(&server, port));
    recorder.write("want everything;");
    assert_eq!(server.line(), format!("{} want everything", recorder.name()));
    assert_eq!(server.error_line(), format!("{} wants everything, and is waited for", recorder.name()));
    let speaking = thread::spawn(move || (0..MANY).for_each(|number| speaker.write(numbered(number))));
    // It begins to read when nearly all waits for it that may.
    server.line_with(" 5500 xx");
    (0..MANY).for_each(|number| recorder.expect(numbered(number)));
    speaking.join().unwrap();
    // Nobody else was told of its wish.
    listener.expect("0 ");
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
fn lines_of_stdin_are_broadcast() {
    let (mut server, port) = start(&[]);
    let (first, second) = (join(&server, port), join(&server, port));
    server.write(b"one\n\nt\xffo\r\nthree\r");
    server.close_stdin();
    for peer in [&first, &second] {
        peer.expect(b"one;;t\xffo;three\r;");
    }
}

#[test]
fn a_line_that_cannot_be_sent_is_told_and_passed_over() {
    let (mut server, port) = start(&[]);
    let peer = join(&server, port);
    server.write(b"a;b\ndisconnect\nafter\n");
    peer.expect("after;");
    for cause in ["the separator would split the message at byte 1", "the reserved goodbye"] {
        let line = server.error_line();
        assert!(line.starts_with("server: a line was not sent: ") && line.contains(cause), "{line:?}");
    }
}

#[test]
fn the_end_of_stdin_does_not_end_it() {
    let (mut server, port) = start(&[]);
    let before = join(&server, port);
    server.write(b"last words\n");
    server.close_stdin();
    before.expect("last words;");
    before.write("still there;");
    assert_eq!(server.line(), format!("{} still there", before.name()));
    let after = join(&server, port);
    after.write("me too;");
    assert_eq!(server.line(), format!("{} me too", after.name()));
}

#[cfg(unix)]
#[track_caller]
fn assert_ends_with_goodbye(signal: &str) {
    let (server, port) = start(&[]);
    let peers = [(); 3].map(|()| join(&server, port));
    server.signal(signal);
    for peer in peers {
        peer.expect_goodbye();
    }
    // Stdin is still open: whoever reads it does not hold the end up.
    let ended = server.end();
    assert_eq!((ended.code, &ended.stdout[..]), (0, &[][..]));
    assert_eq!(ended.stderr.len(), 3, "{ended:?}");
    assert!(ended.stderr.iter().all(|line| line.ends_with(" disconnected: the service was closed")), "{ended:?}");
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is still taken");
}

#[test]
#[cfg(unix)]
fn sigint_ends_it_with_a_goodbye_to_all() {
    assert_ends_with_goodbye("INT");
}

#[test]
#[cfg(unix)]
fn sigterm_ends_it_with_a_goodbye_to_all() {
    assert_ends_with_goodbye("TERM");
}

#[test]
fn a_port_that_is_taken_is_one_clear_line() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let ended = run("server", &["--port", &port.to_string()]);
    assert_eq!((ended.code, ended.stdout.len(), ended.stderr.len()), (1, 0, 1), "{ended:?}");
    assert!(ended.stderr[0].starts_with(&format!("server: cannot listen on 127.0.0.1:{port}: ")), "{ended:?}");
}

#[test]
fn a_reader_that_leaves_ends_it_cleanly() {
    let (server, stdout) = Process::start_unread("server", &["--port", "0"]);
    let mut stdout = BufReader::new(stdout);
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let port = line.trim().strip_prefix("listening on 127.0.0.1:").and_then(|port| port.parse().ok()).unwrap();
    let (first, second) = (join(&server, port), join(&server, port));
    // Like `server | head -1`, and nothing is printed any more.
    drop(stdout);
    first.expect_goodbye();
    second.expect_goodbye();
    let ended = server.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stderr.iter().all(|line| line.ends_with(" disconnected: the service was closed")), "{ended:?}");
}

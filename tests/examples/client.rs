//! The example `client`: what it sends and prints, and what its exit code tells.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ChildStdin;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use crate::process::{Ended, PATIENCE, Process, run};
use crate::wire::{Listening, Peer, unused_port};

/// A client, and its server's end of the connection.
fn start(options: &[&str]) -> (Process, Peer) {
    let listening = Listening::start();
    let client = Process::start("client", &[&["127.0.0.1", "--port", &listening.port.to_string()], options].concat());
    (client, listening.accept())
}

/// Asserts that it failed, and said why in one line.
#[track_caller]
fn assert_failed(ended: &Ended, why: &str) {
    assert_eq!((ended.code, ended.stdout.len(), ended.stderr.len()), (1, 0, 1), "{ended:?}");
    assert!(ended.stderr[0].starts_with(&format!("client: {why}")), "{ended:?}");
}

/// As many lines, all different, of 1 kB on average.
fn file(lines: usize) -> String {
    let mut file = String::new();
    for number in 0..lines {
        writeln!(file, "{number} {}", "=".repeat(number % 1_999)).unwrap();
    }
    file
}

/// 30 MB of lines: more than all buffers on the way hold together.
fn large_file() -> String {
    file(30_000)
}

/// Writes to stdin for as long as it takes, and then closes it; the outcome comes through the channel.
fn write_all(mut stdin: ChildStdin, file: String) -> Receiver<io::Result<()>> {
    let (tell, written) = mpsc::channel();
    thread::spawn(move || {
        let outcome = stdin.write_all(file.as_bytes());
        drop(stdin);
        let _ = tell.send(outcome);
    });
    written
}

#[test]
fn a_server_that_is_not_there_is_one_clear_line() {
    let ended = run("client", &["127.0.0.1", "--port", &unused_port().to_string()]);
    assert_failed(&ended, "cannot connect to 127.0.0.1");
}

#[test]
fn a_host_may_name_its_port() {
    let listening = Listening::start();
    let _client = Process::start("client", &[&format!("localhost:{}", listening.port), "--port", "1"]);
    listening.accept();
}

#[test]
fn lines_are_sent_and_then_the_goodbye() {
    let (mut client, peer) = start(&[]);
    client.write(b"time_lap\n\nh\xffzard\r\nthe last one\r");
    client.close_stdin();
    peer.expect(b"time_lap;;h\xffzard;the last one\r;");
    peer.expect_goodbye();
    let ended = client.end();
    assert_eq!((ended.code, ended.stdout.len(), ended.stderr.len()), (0, 0, 0), "{ended:?}");
}

#[test]
fn each_line_is_sent_at_once() {
    let (mut client, peer) = start(&[]);
    client.write(b"time_lap\n");
    peer.expect("time_lap;");
    client.write(b"hazard\n");
    peer.expect("hazard;");
}

#[test]
fn each_message_is_a_line_at_once() {
    let (client, peer) = start(&[]);
    peer.write("one;tw");
    assert_eq!(client.line(), "one");
    let bytes: Vec<u8> = (0..=255).filter(|byte| !b";\n".contains(byte)).collect();
    peer.write([b"o;;", &bytes[..], b";"].concat());
    assert_eq!(client.line(), "two");
    assert_eq!(client.line(), "");
    assert_eq!(client.line_bytes(), bytes);
}

#[test]
fn another_separator_serves() {
    let (mut client, peer) = start(&["--separator", "end;"]);
    client.write(b"frame;0\n");
    peer.expect("frame;0end;");
    peer.write("frame;1end;");
    assert_eq!(client.line(), "frame;1");
}

#[test]
fn a_large_file_arrives_whole_although_the_server_reads_slowly() {
    let (mut client, peer) = start(&[]);
    let file = large_file();
    let written = write_all(client.take_stdin(), file.clone());
    // Gives a client that does not wait for its server the time to show it; one that does cannot go on.
    let hasty = written.recv_timeout(Duration::from_secs(1));
    assert!(hasty.is_err(), "the client has read everything, or given up: {hasty:?}");
    let stream = file.replace('\n', ";");
    for expected in stream.as_bytes().chunks(1 << 20) {
        peer.expect(expected);
    }
    peer.expect_goodbye();
    written.recv_timeout(PATIENCE).unwrap().unwrap();
    let ended = client.end();
    assert_eq!((ended.code, ended.stderr.len()), (0, 0), "{ended:?}");
}

#[test]
fn the_end_of_stdin_waits_for_a_slow_server() {
    let (mut client, peer) = start(&[]);
    let file = file(4_000);
    let written = write_all(client.take_stdin(), file.clone());
    written.recv_timeout(PATIENCE).unwrap().unwrap();
    // Longer than the library gives a connection to flush unless told otherwise.
    client.expect_patience(Duration::from_secs(3));
    peer.expect(file.replace('\n', ";"));
    peer.expect_goodbye();
    let ended = client.end();
    assert_eq!((ended.code, ended.stderr.len()), (0, 0), "{ended:?}");
}

#[test]
#[cfg(unix)]
fn a_large_file_arrives_whole_at_the_example_server() {
    let server = Process::start("server", &["--port", "0"]);
    let port = server.port();
    let mut client = Process::start("client", &["127.0.0.1", "--port", &port.to_string()]);
    let file = large_file();
    let written = write_all(client.take_stdin(), file.clone());
    for expected in file.lines() {
        let line = server.line();
        let (_name, message) = line.split_once(' ').expect("no name");
        assert_eq!(message, expected);
    }
    written.recv_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!(client.end().code, 0);
    server.signal("TERM");
    let ended = server.end();
    assert_eq!((ended.code, ended.stdout.len()), (0, 0), "{ended:?}");
}

#[test]
fn a_line_that_cannot_be_sent_is_told_and_passed_over() {
    let (mut client, peer) = start(&[]);
    client.write(b"a;b\nfirst\ndisconnect\nsecond\n");
    client.close_stdin();
    peer.expect("first;second;");
    peer.expect_goodbye();
    let ended = client.end();
    assert_eq!((ended.code, ended.stderr.len()), (1, 3), "{ended:?}");
    let starts =
        ["client: line 1 was not sent: ", "client: line 3 was not sent: ", "client: lines that were not sent: 2"];
    for (line, start) in ended.stderr.iter().zip(starts) {
        assert!(line.starts_with(start), "{ended:?}");
    }
}

#[test]
fn a_goodbye_before_the_end_of_stdin_is_a_failure() {
    let (client, peer) = start(&[]);
    peer.write("disconnect;");
    peer.expect("disconnect;");
    peer.hang_up();
    // Stdin stays open: whoever reads it does not hold the end up.
    assert_failed(&client.end(), "disconnected: the peer said goodbye");
}

#[test]
fn an_end_without_goodbye_is_a_failure() {
    let (client, peer) = start(&[]);
    peer.hang_up();
    assert_failed(&client.end(), "disconnected: the peer closed the stream without goodbye");
}

#[test]
fn waiting_ends_well_with_the_goodbye() {
    let (mut client, peer) = start(&["--wait"]);
    client.write(b"question\n");
    client.close_stdin();
    peer.expect("question;");
    peer.write("answer;");
    assert_eq!(client.line(), "answer");
    peer.write("more;disconnect;");
    peer.expect("disconnect;");
    peer.hang_up();
    let ended = client.end();
    assert_eq!((ended.code, &ended.stdout[..], ended.stderr.len()), (0, &["more".to_owned()][..], 0), "{ended:?}");
}

#[test]
fn waiting_ends_well_with_the_goodbye_while_stdin_is_open() {
    let (client, peer) = start(&["--wait"]);
    peer.write("disconnect;");
    peer.expect("disconnect;");
    peer.hang_up();
    assert_eq!(client.end().code, 0);
}

#[test]
fn waiting_ends_badly_without_a_goodbye() {
    let (mut client, peer) = start(&["--wait"]);
    client.close_stdin();
    peer.hang_up();
    assert_failed(&client.end(), "disconnected: the peer closed the stream without goodbye");
}

#[cfg(unix)]
#[track_caller]
fn assert_ends_with_goodbye(signal: &str) {
    let (mut client, peer) = start(&[]);
    // Once a line has been sent, the client is past its beginning.
    client.write(b"last words\n");
    peer.expect("last words;");
    peer.write("heard;");
    assert_eq!(client.line(), "heard");
    client.signal(signal);
    peer.expect_goodbye();
    // Stdin is still open.
    let ended = client.end();
    assert_eq!((ended.code, ended.stdout.len(), ended.stderr.len()), (0, 0, 0), "{ended:?}");
}

#[test]
#[cfg(unix)]
fn sigint_ends_it_with_a_goodbye() {
    assert_ends_with_goodbye("INT");
}

#[test]
#[cfg(unix)]
fn sigterm_ends_it_with_a_goodbye() {
    assert_ends_with_goodbye("TERM");
}

#[test]
#[cfg(unix)]
fn a_signal_ends_it_also_while_the_server_does_not_read() {
    let (mut client, peer) = start(&[]);
    let written = write_all(client.take_stdin(), large_file());
    peer.expect("0 ;1 =;");
    client.signal("INT");
    let ended = client.end();
    assert_eq!((ended.code, ended.stderr.len()), (1, 1), "{ended:?}");
    written.recv_timeout(PATIENCE).unwrap().expect_err("everything was read");
}

/// A line on stderr about an attempt to connect again; why it is made.
#[track_caller]
fn attempt(line: &str, number: usize) -> &str {
    let (cause, attempt) = line.split_once("; reconnecting, ").unwrap_or_else(|| panic!("{line}"));
    let delay = attempt.strip_prefix(&format!("attempt {number} in ")).and_then(|delay| delay.strip_suffix(" s"));
    assert!(delay.is_some_and(|delay| delay.parse::<f64>().is_ok()), "{line}");
    cause
}

#[test]
fn reconnecting_tells_of_each_attempt_and_sends_each_line_once() {
    let port = unused_port();
    let mut client = Process::start("client", &["127.0.0.1", "--port", &port.to_string(), "--reconnect"]);
    for number in 1..=2 {
        let line = client.error_line();
        let cause = attempt(&line, number);
        assert!(cause.starts_with(&format!("client: cannot connect to 127.0.0.1:{port}: ")), "{line}");
    }
    client.write(b"one\n");
    let peer = Listening::start_on(port).accept();
    peer.expect("one;");
    peer.write("heard;");
    assert_eq!(client.line(), "heard");
    peer.hang_up();
    let reason = "client: the peer closed the stream without goodbye; ";
    let line = std::iter::repeat_with(|| client.error_line()).find(|line| line.starts_with(reason)).unwrap();
    attempt(&line, 1);
    client.write(b"two\n");
    let peer = Listening::start_on(port).accept();
    peer.expect("two;");
    client.close_stdin();
    peer.expect_goodbye();
    let ended = client.end();
    assert_eq!((ended.code, ended.stdout.len()), (0, 0), "{ended:?}");
}

#[test]
#[cfg(unix)]
fn a_signal_ends_it_while_it_waits_to_connect_again() {
    let client = Process::start("client", &["127.0.0.1", "--port", &unused_port().to_string(), "--reconnect"]);
    attempt(&client.error_line(), 1);
    client.signal("TERM");
    assert_eq!(client.end().code, 0);
}

#[test]
fn a_reader_that_leaves_ends_it_cleanly() {
    let listening = Listening::start();
    let (client, stdout) = Process::start_unread("client", &[&format!("127.0.0.1:{}", listening.port)]);
    let peer = listening.accept();
    // Like `client | head -0`.
    drop(stdout);
    peer.write("nobody reads this;");
    peer.expect_goodbye();
    let ended = client.end();
    assert_eq!((ended.code, ended.stderr.len()), (0, 0), "{ended:?}");
}

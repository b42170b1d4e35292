//! `send`: what goes over the wire, and what its exit code tells.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ChildStdin;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use leads_comm_testing::wire::{Listening, Peer, unused_address};

use crate::process::{Ended, PATIENCE, Process, run};

/// A `send`, and its server's end of the connection.
fn start(options: &[&str]) -> (Process, Peer) {
    let listening = Listening::start();
    let send = Process::start(&[&["send", "-q", &listening.address()], options].concat());
    (send, listening.accept())
}

/// Asserts that it failed, and said why in one line.
#[track_caller]
fn assert_failed(ended: &Ended, why: &str) {
    assert_eq!((ended.code, ended.stdout.len(), ended.stderr.len()), (1, 0, 1), "{ended:?}");
    assert!(ended.stderr[0].starts_with(&format!("leads-comm: {why}")), "{ended:?}");
}

/// Asserts that it did what it was asked to, and had nothing to say.
#[track_caller]
fn assert_done(ended: &Ended) {
    assert_eq!((ended.code, ended.stdout.len(), ended.stderr.len()), (0, 0, 0), "{ended:?}");
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
fn arguments_are_messages() {
    let listening = Listening::start();
    let send = Process::start(&["send", &listening.address(), "time_lap", "", "--", "-5", "--x"]);
    let peer = listening.accept();
    peer.expect("time_lap;;-5;--x;");
    peer.expect_goodbye();
    let ended = send.end();
    // Stdin stays open, and is not read.
    assert_eq!((ended.code, &ended.stderr[..]), (0, &[format!("connected to {}", listening.address())][..]));
}

#[test]
fn arguments_that_cannot_be_sent_are_told_and_passed_over() {
    let (send, peer) = start(&["a;b", "first", "disconnect", "--count", "2"]);
    peer.expect("first;first;");
    peer.expect_goodbye();
    let ended = send.end();
    assert_eq!((ended.code, ended.stderr.len()), (1, 3), "{ended:?}");
    assert!(ended.stderr[0].starts_with("leads-comm: message 1 was not sent: "), "{ended:?}");
    assert!(ended.stderr[1].starts_with("leads-comm: message 3 was not sent: "), "{ended:?}");
    assert_eq!(ended.stderr[2], "leads-comm: messages that were not sent: 4");
}

#[test]
fn a_server_that_is_not_there_is_one_clear_line() {
    assert_failed(&run(&["send", &unused_address()]), "cannot connect to 127.0.0.1");
}

#[test]
fn lines_are_sent_and_then_the_goodbye() {
    let (mut send, peer) = start(&[]);
    send.write(b"time_lap\n\nh\xffzard\r\nthe last one\r");
    send.close_stdin();
    peer.expect(b"time_lap;;h\xffzard;the last one\r;");
    peer.expect_goodbye();
    assert_done(&send.end());
}

#[test]
fn lines_may_end_with_nul() {
    let (mut send, peer) = start(&["-0", "--wait", "20s", "--answers", "2"]);
    send.write(b"a\r\nb\0\0c");
    send.close_stdin();
    peer.expect(b"a\r\nb;;c;");
    peer.write("x\ny;z;");
    peer.expect_goodbye();
    let ended = send.end();
    assert_eq!((ended.code, &ended.stdout[..]), (0, &["x".to_owned(), "y\0z\0".to_owned()][..]));
}

#[test]
fn each_line_is_sent_at_once() {
    let (mut send, peer) = start(&[]);
    send.write(b"time_lap\n");
    peer.expect("time_lap;");
    send.write(b"hazard\n");
    peer.expect("hazard;");
}

#[test]
fn each_message_is_sent_as_often_as_asked() {
    let (mut send, peer) = start(&["--count", "3"]);
    send.write("a\nb\n");
    send.close_stdin();
    peer.expect("a;a;a;b;b;b;");
    peer.expect_goodbye();
    assert_done(&send.end());
}

#[test]
fn a_rate_is_kept() {
    let begun = Instant::now();
    let (send, peer) = start(&["tick", "--count", "11", "--rate", "20"]);
    for number in 0..11 {
        peer.expect("tick;");
        // None of them sooner; how much later is the machine's affair.
        assert!(begun.elapsed() >= number * Duration::from_millis(50), "{number}: {:?}", begun.elapsed());
    }
    peer.expect_goodbye();
    assert_done(&send.end());
    // The first one at once, although the next is due in an hour. Nor does a vehicle's pace hold a single one up.
    for options in [&["tick", "tock", "--rate", "0.0003"][..], &["tick", "--leads"]] {
        let (_send, peer) = start(options);
        peer.expect("tick;");
    }
}

#[test]
fn options_for_what_is_printed_need_something_to_print() {
    for option in [&["-f", "json"][..], &["--fields", "t"]] {
        let ended = run(&[&["send", &unused_address(), "hi"], option].concat());
        assert_eq!((ended.code, ended.stdout.len(), ended.stderr.len()), (2, 0, 1), "{ended:?}");
        assert!(ended.stderr[0].contains("--wait <TIME>"), "{ended:?}");
    }
}

#[test]
fn another_separator_serves() {
    let (mut send, peer) = start(&["--separator", r"\x00end;", "--wait", "20s", "--answers", "1"]);
    send.write(b"frame;0\n");
    peer.expect("frame;0\0end;");
    peer.write("frame;1\0end;");
    assert_eq!(send.line(), "frame;1");
}

#[test]
fn a_large_file_arrives_whole_although_the_server_reads_slowly() {
    let (mut send, peer) = start(&[]);
    let file = large_file();
    let written = write_all(send.take_stdin(), file.clone());
    // Gives one that does not wait for its server the time to show it; one that does cannot go on.
    let hasty = written.recv_timeout(Duration::from_secs(1));
    assert!(hasty.is_err(), "everything was read, or given up: {hasty:?}");
    let stream = file.replace('\n', ";");
    for expected in stream.as_bytes().chunks(1 << 20) {
        peer.expect(expected);
    }
    peer.expect_goodbye();
    written.recv_timeout(PATIENCE).unwrap().unwrap();
    assert_done(&send.end());
}

#[test]
fn the_end_of_stdin_waits_for_a_slow_server() {
    let (mut send, peer) = start(&[]);
    let file = file(4_000);
    let written = write_all(send.take_stdin(), file.clone());
    written.recv_timeout(PATIENCE).unwrap().unwrap();
    // Longer than the library gives a connection to flush unless told otherwise.
    send.expect_patience(Duration::from_secs(3));
    peer.expect(file.replace('\n', ";"));
    peer.expect_goodbye();
    assert_done(&send.end());
}

#[test]
fn a_line_that_cannot_be_sent_is_told_and_passed_over() {
    let (mut send, peer) = start(&["--max-message-len", "10"]);
    send.write(b"a;b\nfirst\ndisconnect\nlong enough\nsecond\n");
    send.close_stdin();
    peer.expect("first;second;");
    peer.expect_goodbye();
    let ended = send.end();
    assert_eq!((ended.code, ended.stderr.len()), (1, 4), "{ended:?}");
    let starts = [
        "leads-comm: line 1 was not sent: ",
        "leads-comm: line 3 was not sent: ",
        "leads-comm: line 4 was not sent: it is longer than 10 bytes",
        "leads-comm: messages that were not sent: 3",
    ];
    for (line, start) in ended.stderr.iter().zip(starts) {
        assert!(line.starts_with(start), "{ended:?}");
    }
}

#[test]
fn a_goodbye_before_the_end_of_stdin_is_a_failure() {
    for options in [&[][..], &["--wait", "20s"]] {
        let (send, peer) = start(options);
        peer.write("disconnect;");
        peer.expect("disconnect;");
        peer.hang_up();
        // Stdin stays open: the thread that reads it does not hold the end up.
        assert_failed(&send.end(), "disconnected: the peer said goodbye");
    }
}

#[test]
fn an_end_without_goodbye_is_a_failure() {
    let (send, peer) = start(&[]);
    peer.hang_up();
    assert_failed(&send.end(), "disconnected: the peer closed the stream without goodbye");
}

#[test]
fn answers_are_printed_until_there_is_silence() {
    let (send, peer) = start(&["question", "--wait", "300ms"]);
    peer.expect("question;");
    peer.write("answer;");
    assert_eq!(send.line(), "answer");
    peer.write("more;");
    assert_eq!(send.line(), "more");
    peer.expect_goodbye();
    assert_done(&send.end());
}

#[test]
fn waiting_ends_at_once_with_the_server() {
    let (send, peer) = start(&["question", "--wait", "1h"]);
    peer.expect("question;");
    peer.write("answer;disconnect;");
    peer.expect("disconnect;");
    peer.hang_up();
    let ended = send.end();
    assert_eq!((ended.code, &ended.stdout[..], ended.stderr.len()), (0, &["answer".to_owned()][..], 0), "{ended:?}");

    let (send, peer) = start(&["question", "--wait", "1h"]);
    peer.expect("question;");
    peer.hang_up();
    assert_failed(&send.end(), "disconnected: the peer closed the stream without goodbye");
}

#[test]
fn enough_answers_end_it_and_too_few_are_exit_code_3() {
    let (send, peer) = start(&["question", "--wait", "1h", "--answers", "2"]);
    peer.expect("question;");
    peer.write("1;2;3;");
    peer.expect_goodbye();
    let ended = send.end();
    assert_eq!((ended.code, ended.stdout.len(), ended.stderr.len()), (0, 2, 0), "{ended:?}");

    let (send, peer) = start(&["question", "--wait", "300ms", "--answers", "2"]);
    peer.expect("question;");
    peer.write("1;");
    peer.expect_goodbye();
    let ended = send.end();
    assert_eq!((ended.code, ended.stdout.len(), ended.stderr.len()), (3, 1, 1), "{ended:?}");

    let (send, peer) = start(&["question", "--wait", "1h", "--answers", "2"]);
    peer.expect("question;");
    peer.write("1;disconnect;");
    peer.expect("disconnect;");
    peer.hang_up();
    let ended = send.end();
    assert_eq!(
        (ended.code, &ended.stderr[..]),
        (1, &["leads-comm: the server has left after 1 of 2 answers".into()][..])
    );
}

#[test]
fn it_ends_after_so_long_however_much_is_answered() {
    for (options, code) in [(&[][..], 0), (&["--answers", "1000000000"], 3)] {
        let (send, peer) = start(&[&["lap?", "--wait", "1h", "--duration", "500ms"], options].concat());
        // Until it has gone.
        while peer.try_write(b"m;").is_ok() {}
        let ended = send.end();
        assert_eq!((ended.code, ended.stderr.len()), (code, usize::from(code > 0)), "{ended:?}");
    }
    // Also while lines are read, and when there is nobody to send to.
    let (send, peer) = start(&["--duration", "300ms"]);
    peer.expect_goodbye();
    assert_done(&send.end());
    let address = unused_address();
    let send = Process::start(&["send", "-q", &address, "--reconnect", "--duration", "300ms"]);
    assert_done(&send.end());
}

#[test]
fn a_server_that_talks_on_and_ignores_the_goodbye_does_not_hold_it_up() {
    let (send, peer) = start(&["time_lap"]);
    let talking = thread::spawn(move || while peer.try_write(b"broadcast;").is_ok() {});
    assert_done(&send.end());
    talking.join().unwrap();
}

#[test]
fn without_waiting_nothing_is_printed() {
    let (mut send, peer) = start(&[]);
    peer.write("broadcast;");
    send.write("time_lap\n");
    peer.expect("time_lap;");
    peer.write("broadcast;");
    send.close_stdin();
    peer.expect_goodbye();
    assert_done(&send.end());
}

#[track_caller]
fn assert_ends_with_goodbye(signal: &str) {
    let (mut send, peer) = start(&["--wait", "1h"]);
    // Once a line has been sent, it is past its beginning.
    send.write(b"last words\n");
    peer.expect("last words;");
    peer.write("heard;");
    assert_eq!(send.line(), "heard");
    send.signal(signal);
    peer.expect_goodbye();
    // Stdin is still open.
    assert_done(&send.end());
}

#[test]
fn sigint_ends_it_with_a_goodbye() {
    assert_ends_with_goodbye("INT");
}

#[test]
fn sigterm_ends_it_with_a_goodbye() {
    assert_ends_with_goodbye("TERM");
}

#[test]
fn a_signal_before_all_arguments_are_sent_is_a_failure() {
    let (send, peer) = start(&["tick", "--count", "1000000", "--rate", "1"]);
    peer.expect("tick;");
    send.signal("INT");
    peer.expect_goodbye();
    assert_failed(&send.end(), "interrupted before everything was sent");
}

#[test]
fn a_signal_ends_it_also_while_the_server_does_not_read() {
    let (mut send, peer) = start(&[]);
    let written = write_all(send.take_stdin(), large_file());
    peer.expect("0 ;1 =;");
    send.signal("INT");
    let ended = send.end();
    assert_eq!((ended.code, ended.stderr.len()), (1, 1), "{ended:?}");
    written.recv_timeout(PATIENCE).unwrap().expect_err("everything was read");
}

/// Asserts that this is how it is told when it connects again, at once or soon.
#[track_caller]
fn assert_soon(when: &str) {
    let delay = when.strip_prefix(" in ").and_then(|when| when.strip_suffix(" s"));
    assert!(when.is_empty() || delay.is_some_and(|delay| delay.parse::<f64>().is_ok()), "{when}");
}

/// Why there is no connection any more, from the line that says so.
#[track_caller]
fn cause(line: &str) -> &str {
    let (cause, when) = line.split_once("; connecting again").unwrap_or_else(|| panic!("{line}"));
    assert_soon(when);
    cause
}

#[test]
fn reconnecting_tells_of_each_attempt_and_sends_each_line_once() {
    let address = unused_address();
    let mut send = Process::start(&["send", &address, "--reconnect", "--wait", "1h"]);
    let line = send.error_line();
    assert!(cause(&line).starts_with(&format!("cannot connect to {address}: ")), "{line}");
    for number in 2..=3 {
        let line = send.error_line();
        assert_soon(line.strip_prefix(&format!("attempt {number}")).expect(&line));
    }
    send.write(b"one\n");
    let peer = Listening::start_at(&address).accept();
    peer.expect("one;");
    send.error_line_with(&format!("connected to {address}"));
    peer.write("heard;");
    assert_eq!(send.line(), "heard");
    peer.hang_up();
    let line = send.error_line();
    assert_eq!(cause(&line), "disconnected: the peer closed the stream without goodbye");
    send.write(b"two\n");
    let peer = Listening::start_at(&address).accept();
    peer.expect("two;");
    send.close_stdin();
    send.signal("INT");
    peer.expect_goodbye();
    let ended = send.end();
    assert_eq!((ended.code, ended.stdout.len()), (0, 0), "{ended:?}");
}

#[test]
fn what_no_connection_has_written_goes_over_the_next_one() {
    let address = unused_address();
    let mut send = Process::start(&["send", "-q", &address, "--reconnect"]);
    let file = large_file();
    let written = write_all(send.take_stdin(), file.clone());
    let first = Listening::start_at(&address);
    let peer = first.accept();
    peer.expect("0 ;1 =;");
    drop(first);
    // More waits than systems hold, since this one does not read.
    peer.reset();
    let peer = Listening::start_at(&address).accept();
    // From some message on all of them come, each once and whole.
    let messages = peer.messages();
    let passed = file.lines().count().checked_sub(messages.len()).expect("some come twice");
    assert!(passed > 0 && file.lines().skip(passed).eq(&messages), "{passed} of them do not come");
    written.recv_timeout(PATIENCE).unwrap().unwrap();
    assert_done(&send.end());
}

#[test]
fn a_signal_ends_it_while_it_waits_to_connect_again() {
    let send = Process::start(&["send", &unused_address(), "--reconnect"]);
    cause(&send.error_line());
    send.signal("TERM");
    assert_eq!(send.end().code, 0);
}

#[test]
fn a_reader_that_leaves_ends_it_cleanly() {
    let listening = Listening::start();
    let (send, stdout) = Process::start_unread(&["send", "-q", &listening.address(), "--wait", "1h"]);
    let peer = listening.accept();
    // Like `| head -0`.
    drop(stdout);
    peer.write("nobody reads this;");
    peer.expect_goodbye();
    assert_done(&send.end());
}

#[test]
#[cfg_attr(windows, ignore = "nothing tells there before something is written")]
fn a_client_that_only_receives_notices_at_once_that_nobody_reads() {
    let listening = Listening::start();
    let (mut send, stdout) = Process::start_unread(&["send", "-q", &listening.address(), "--wait", "1h"]);
    let peer = listening.accept();
    // As long as there may be something to send, it is of use.
    drop(stdout);
    send.write(b"still here\n");
    peer.expect("still here;");
    send.close_stdin();
    peer.expect_goodbye();
    assert_done(&send.end());
}

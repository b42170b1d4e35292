//! Stdin, stdout and stderr that are non-blocking, full, without an end, or read by nobody any more.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::process::{PATIENCE, Process, command};
use crate::wire::{Listening, Peer};

/// Our end, and one for an example.
fn pair() -> (UnixStream, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(PATIENCE)).unwrap();
    (ours, theirs)
}

/// The same, and theirs takes nothing before ours has been read.
fn full() -> (UnixStream, UnixStream) {
    let (ours, mut theirs) = pair();
    theirs.set_nonblocking(true).unwrap();
    let error = loop {
        if let Err(error) = theirs.write_all(b"\n") {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    theirs.set_nonblocking(false).unwrap();
    (ours, theirs)
}

fn stdio(stream: UnixStream) -> Stdio {
    OwnedFd::from(stream).into()
}

/// A client of a server of bytes, which is given one of its streams by `set`.
fn client(options: &[&str], set: impl FnOnce(&mut Command)) -> (Process, Peer) {
    let listening = Listening::start();
    let mut command = command("client", &[&["127.0.0.1", "--port", &listening.port.to_string()], options].concat());
    set(&mut command);
    (Process::start_command(&mut command), listening.accept())
}

#[test]
fn a_stdin_that_does_not_block_is_waited_for() {
    let (mut ours, theirs) = pair();
    theirs.set_nonblocking(true).unwrap();
    let (client, peer) = client(&[], |command| {
        command.stdin(stdio(theirs));
    });
    ours.write_all(b"one\n").unwrap();
    peer.expect("one;");
    ours.write_all(b"two\nthree").unwrap();
    peer.expect("two;");
    drop(ours);
    peer.expect("three;");
    peer.expect_goodbye();
    let ended = client.end();
    assert_eq!((ended.code, ended.stderr.len()), (0, 0), "{ended:?}");
}

#[test]
fn a_stdout_that_does_not_block_gets_everything() {
    let (mut ours, theirs) = pair();
    theirs.set_nonblocking(true).unwrap();
    let (client, peer) = client(&["--wait"], |command| {
        command.stdout(stdio(theirs));
    });
    let mut lines = String::new();
    for number in 0..3_000 {
        writeln!(lines, "{number} {}", "=".repeat(number % 1_999)).unwrap();
    }
    let stream = lines.replace('\n', ";");
    let (tell, written) = mpsc::channel();
    let writing = thread::spawn(move || {
        peer.write(stream);
        let _ = tell.send(());
        peer.say_goodbye();
    });
    // Gives a client that does not wait for whoever reads the time to show it.
    let _ = written.recv_timeout(Duration::from_secs(1));
    let mut read = String::new();
    ours.read_to_string(&mut read).unwrap();
    assert!(read == lines, "{} of {} bytes", read.len(), lines.len());
    writing.join().unwrap();
    let ended = client.end();
    assert_eq!((ended.code, ended.stderr.len()), (0, 0), "{ended:?}");
}

#[test]
fn a_stderr_that_nobody_reads_holds_up_nobody() {
    let (ours, theirs) = full();
    let mut command = command("server", &["--port", "0", "--echo"]);
    // Far more lines than wait.
    command.stderr(stdio(theirs)).env("RUST_LOG", "trace");
    let server = Process::start_command(&mut command);
    drop(command);
    let port = server.port();
    for _ in 0..2_000 {
        let peer = Peer::connect(port);
        peer.write("m1;");
        peer.expect("m1;");
    }
    // Whoever reads it learns how much is missing, and of what comes then.
    let (tell, told) = mpsc::channel();
    let reading = thread::spawn(move || {
        for line in BufReader::new(ours).lines() {
            let line = line.unwrap();
            if line.ends_with(" lines were left out: nobody read them)") {
                let _ = tell.send(line);
            }
        }
    });
    let line = told.recv_timeout(PATIENCE).expect("nothing about what is missing");
    let count = line.strip_prefix('(').and_then(|line| line.split_once(' ')).and_then(|(count, _)| count.parse().ok());
    assert!(count.is_some_and(|count: u64| count > 100), "{line}");
    let peer = Peer::connect(port);
    peer.write("m2;");
    peer.expect("m2;");
    server.signal("TERM");
    peer.expect_goodbye();
    assert_eq!(server.end().code, 0);
    reading.join().unwrap();
}

#[test]
fn a_stderr_that_is_gone_or_does_not_block_is_no_matter() {
    for is_gone in [false, true] {
        let (ours, theirs) = full();
        theirs.set_nonblocking(true).unwrap();
        let kept = (!is_gone).then_some(ours);
        let mut command = command("server", &["--port", "0", "--echo"]);
        let server = Process::start_command(command.stderr(stdio(theirs)));
        let peer = Peer::connect(server.port());
        peer.write("m1;");
        peer.expect("m1;");
        server.signal("TERM");
        peer.expect_goodbye();
        assert_eq!(server.end().code, 0);
        drop(kept);
    }
}

/// An example that listens and has said so on a stdout that nobody reads from then on; and the port.
fn start_unread(example: &str, options: &[&str]) -> (Process, BufReader<ChildStdout>, u16) {
    let (process, stdout) = Process::start_unread(example, &[options, &["--port", "0"]].concat());
    let mut stdout = BufReader::new(stdout);
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let port = line.trim().strip_prefix("listening on 127.0.0.1:").and_then(|port| port.parse().ok());
    (process, stdout, port.unwrap_or_else(|| panic!("the first line is {line:?}")))
}

#[test]
fn a_stdout_that_nobody_reads_does_not_hold_up_the_end() {
    for (example, options) in [("server", &[][..]), ("chat", &[]), ("telemetry", &["--serve", "--rate", "1"])] {
        let (process, _stdout, port) = start_unread(example, options);
        let mut speaker = TcpStream::connect(("127.0.0.1", port)).unwrap();
        speaker.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
        // What is printed about all of these is more than may wait to be printed.
        for _ in 0..100_000 {
            if speaker.write_all(b"x;").is_err() {
                break;
            }
        }
        if example != "server" {
            // They leave out what nobody reads, and have dealt with all of it when they answer.
            speaker.write_all(b"disconnect;").unwrap();
            speaker.read_to_end(&mut Vec::new()).unwrap();
        }
        process.signal("INT");
        let ended = process.end();
        let lost = ended.stderr.iter().filter(|line| line.contains(" bytes were not printed")).count();
        assert_eq!((ended.code, lost), (1, 1), "{example}: {ended:?}");
    }
}

#[test]
fn a_stdout_that_nobody_reads_holds_up_no_conversation() {
    let (chat, stdout, port) = start_unread("chat", &[]);
    let peers = [(); 2].map(|()| Peer::connect(port));
    for peer in &peers {
        let welcome = peer.message();
        assert!(welcome.starts_with("welcome, guest"), "{welcome}");
    }
    let text = "=".repeat(500);
    for number in 0..3_000 {
        peers[0].write(format!("{text} {number};"));
        while !peers[1].message().ends_with(&format!(" {number}")) {}
    }
    // Whoever reads it again learns that it is not all.
    let reading = thread::spawn(move || {
        let lines = stdout.lines().map_while(Result::ok);
        lines.filter(|line| line.ends_with(" lines were left out: nobody read them)")).count()
    });
    chat.signal("TERM");
    peers.into_iter().for_each(|peer| drop(peer.rest()));
    assert_eq!(chat.end().code, 0);
    assert_eq!(reading.join().unwrap(), 1);
}

#[test]
fn a_line_without_end_is_told_and_passed_over() {
    let (mut client, peer) = client(&[], |_| {});
    client.write(b"first\n");
    peer.expect("first;");
    let endless = vec![b'x'; 1 << 20];
    // Longer than any message may be, and not at its end.
    client.write(&endless);
    client.write(b"xxxx");
    assert_eq!(client.error_line(), "client: line 2 was not sent: it is longer than 1048576 bytes");
    for _ in 0..20 {
        client.write(&endless);
    }
    client.write(b"\nafter\n");
    peer.expect("after;");
    client.close_stdin();
    peer.expect_goodbye();
    let ended = client.end();
    assert_eq!((ended.code, &ended.stderr[..]), (1, &["client: lines that were not sent: 1".to_owned()][..]));

    let mut server = Process::start("server", &["--port", "0"]);
    let peer = Peer::connect(server.port());
    assert!(server.error_line().ends_with(" connected"));
    server.write(&endless);
    server.write(b"xxxx");
    assert_eq!(server.error_line(), "server: a line was not sent: it is longer than 1048576 bytes");
    server.write(b"\nafter\n");
    peer.expect("after;");
}

#[test]
fn a_reader_that_leaves_is_noticed_at_once() {
    for (example, options) in [("server", &[][..]), ("chat", &[]), ("telemetry", &["--serve", "--rate", "0.001"])] {
        let (process, stdout, _) = start_unread(example, options);
        // Like `| head -1`. Nothing is printed any more.
        drop(stdout);
        let ended = process.end();
        assert_eq!((ended.code, ended.stderr.len()), (0, 0), "{example}: {ended:?}");
    }
}

#[test]
fn a_client_that_only_receives_notices_at_once_that_nobody_reads() {
    let listening = Listening::start();
    let (mut client, stdout) = Process::start_unread("client", &[&format!("127.0.0.1:{}", listening.port), "--wait"]);
    let peer = listening.accept();
    // As long as there may be something to send, it is of use.
    drop(stdout);
    client.write(b"still here\n");
    peer.expect("still here;");
    client.close_stdin();
    peer.expect_goodbye();
    let ended = client.end();
    assert_eq!((ended.code, ended.stderr.len()), (0, 0), "{ended:?}");
}

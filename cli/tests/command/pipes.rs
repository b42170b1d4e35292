//! Stdin, stdout and stderr that are non-blocking, full, without an end, or read by nobody any more.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::process::{ChildStdout, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};
#[cfg(target_os = "linux")]
use std::{fs::File, os::fd::AsRawFd};
#[cfg(unix)]
use std::{io::Write as _, os::fd::OwnedFd, os::unix::net::UnixStream, process::Stdio};

use leads_comm_testing::wire::{Listening, Peer};
#[cfg(target_os = "linux")]
use rustix::event::{PollFd, PollFlags, Timespec, poll};

#[cfg(unix)]
use crate::process::PATIENCE;
use crate::process::{Process, command};

/// Our end, and one for the command.
#[cfg(unix)]
fn pair() -> (UnixStream, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(PATIENCE)).unwrap();
    (ours, theirs)
}

/// The same, and theirs takes nothing before ours has been read.
#[cfg(unix)]
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

#[cfg(unix)]
fn stdio(stream: UnixStream) -> Stdio {
    OwnedFd::from(stream).into()
}

/// A client of a server of bytes, which is given one of its streams by `set`.
fn client(verb: &str, options: &[&str], set: impl FnOnce(&mut Command)) -> (Process, Peer) {
    let listening = Listening::start();
    let mut command = command(&[&[verb, "-q", &listening.address()], options].concat());
    set(&mut command);
    (Process::spawn(&mut command), listening.accept())
}

/// As many lines, all different, of 1 kB on average.
fn lines(count: usize) -> String {
    let mut lines = String::new();
    for number in 0..count {
        writeln!(lines, "{number} {}", "=".repeat(number % 1_999)).unwrap();
    }
    lines
}

#[cfg(unix)]
#[test]
fn a_stdin_that_does_not_block_is_waited_for() {
    let (mut ours, theirs) = pair();
    theirs.set_nonblocking(true).unwrap();
    let (send, peer) = client("send", &[], |command| {
        command.stdin(stdio(theirs));
    });
    ours.write_all(b"one\n").unwrap();
    peer.expect("one;");
    ours.write_all(b"two\nthree").unwrap();
    peer.expect("two;");
    drop(ours);
    peer.expect("three;");
    peer.expect_goodbye();
    let ended = send.end();
    assert_eq!((ended.code, ended.stderr.len()), (0, 0), "{ended:?}");
}

#[cfg(unix)]
#[test]
fn a_stdout_that_does_not_block_gets_everything() {
    let (mut ours, theirs) = pair();
    theirs.set_nonblocking(true).unwrap();
    let (listen, peer) = client("listen", &["--no-reconnect"], |command| {
        command.stdout(stdio(theirs));
    });
    let lines = lines(3_000);
    let stream = lines.replace('\n', ";");
    let (tell, written) = mpsc::channel();
    let writing = thread::spawn(move || {
        peer.write(stream);
        let _ = tell.send(());
        peer.say_goodbye();
    });
    // Gives a command that does not wait for the reader the time to show it.
    let _ = written.recv_timeout(Duration::from_secs(1));
    let mut read = String::new();
    ours.read_to_string(&mut read).unwrap();
    assert!(read == lines, "{} of {} bytes", read.len(), lines.len());
    writing.join().unwrap();
    let ended = listen.end();
    assert_eq!((ended.code, ended.stderr.len()), (0, 0), "{ended:?}");
}

#[test]
fn who_reads_stdout_slowly_slows_the_server_down_and_loses_nothing() {
    // 80 MB, more than all buffers on the way hold together: systems give a connection some 40 MB at most.
    let lines = lines(80_000);
    let stream = lines.replace('\n', ";");
    let listening = Listening::start();
    let (listen, stdout) = Process::start_unread(&["listen", "-q", &listening.address(), "-c80000", "-W", "1s"]);
    let peer = listening.accept();
    let (tell, written) = mpsc::channel();
    let writing = thread::spawn(move || {
        peer.write(stream);
        tell.send(()).unwrap();
        peer.expect_goodbye();
    });
    // Longer than the silence that it may end after: there is none while something waits to be printed.
    written.recv_timeout(Duration::from_secs(3)).expect_err("it has read everything");
    let mut read = String::new();
    BufReader::new(stdout).read_to_string(&mut read).unwrap();
    assert!(read == lines, "{} of {} bytes", read.len(), lines.len());
    writing.join().unwrap();
    let ended = listen.end();
    assert_eq!((ended.code, ended.stderr.len()), (0, 0), "{ended:?}");
}

#[cfg(unix)]
#[test]
fn a_stderr_that_nobody_reads_holds_up_nobody() {
    for is_blocking in [true, false] {
        let (ours, theirs) = full();
        theirs.set_nonblocking(!is_blocking).unwrap();
        let listening = Listening::start();
        let mut command = command(&["listen", "-vv", &listening.address()]);
        let listen = Process::spawn(command.stderr(stdio(theirs)));
        drop(command);
        let peer = listening.accept();
        // Far more lines of the log than wait.
        for number in 0..3_000 {
            peer.write(format!("{number};"));
            assert_eq!(listen.line(), number.to_string());
        }
        // Its reader learns that something is missing.
        let (tell, told) = mpsc::channel();
        let reading = thread::spawn(move || {
            for line in BufReader::new(ours).lines().map_while(Result::ok) {
                if line.ends_with(" lines were left out: nobody read them)") {
                    let _ = tell.send(line);
                }
            }
        });
        let line = told.recv_timeout(PATIENCE).expect("nothing about what is missing");
        let count = line.strip_prefix('(').and_then(|line| line.split_once(' ')).and_then(|line| line.0.parse().ok());
        assert!(count.is_some_and(|count: u64| count > 100), "{line}");
        peer.write("after;");
        assert_eq!(listen.line(), "after");
        listen.signal("TERM");
        peer.expect_goodbye();
        assert_eq!(listen.end().code, 0);
        reading.join().unwrap();
    }
}

#[cfg(unix)]
#[test]
fn a_stderr_that_nobody_has_or_reads_does_not_hold_up_the_end() {
    for is_gone in [false, true] {
        let (ours, theirs) = full();
        let kept = (!is_gone).then_some(ours);
        let listening = Listening::start();
        let mut command = command(&["listen", "-v", &listening.address()]);
        let listen = Process::spawn(command.stderr(stdio(theirs)));
        drop(command);
        let peer = listening.accept();
        peer.write("m1;");
        assert_eq!(listen.line(), "m1");
        listen.signal("TERM");
        peer.expect_goodbye();
        assert_eq!(listen.end().code, 0);
        drop(kept);
    }
}

/// Whether the pipe takes nothing more, which Linux says of its other end.
#[cfg(target_os = "linux")]
fn is_full(stdout: &ChildStdout) -> bool {
    let name = format!("/proc/self/fd/{}", stdout.as_raw_fd());
    let end = File::options().write(true).open(name).unwrap();
    let mut ends = [PollFd::new(&end, PollFlags::OUT)];
    poll(&mut ends, Some(&Timespec::default())).unwrap() == 0
}

/// Other systems do not let it be opened.
#[cfg(not(target_os = "linux"))]
fn is_full(_: &ChildStdout) -> bool {
    true
}

#[test]
fn a_stdout_that_nobody_reads_does_not_hold_up_the_end() {
    let listening = Listening::start();
    let (listen, stdout) = Process::start_unread(&["listen", "-q", &listening.address()]);
    let peer = listening.accept();
    let count = Arc::new(AtomicUsize::new(0));
    let written = Arc::clone(&count);
    let writing = thread::spawn(move || {
        // Until it is closed.
        let _ = peer.try_write("x".repeat(999).as_bytes());
        loop {
            if let Err(error) = peer.try_write(&b"x;".repeat(500)) {
                return error;
            }
            written.fetch_add(1, Ordering::Relaxed);
        }
    });
    // Until it stands still, since everything between the peer and stdout is full.
    let (mut before, deadline) = (0, Instant::now() + Duration::from_secs(60));
    while before == 0 || !is_full(&stdout) || count.load(Ordering::Relaxed) != before {
        assert!(Instant::now() < deadline, "it does not fill");
        before = count.load(Ordering::Relaxed);
        thread::sleep(Duration::from_millis(500));
    }
    listen.signal("INT");
    let ended = listen.end();
    let lost = ended.stderr.iter().filter(|line| line.ends_with(" bytes were not printed")).count();
    assert_eq!((ended.code, lost), (1, 1), "{ended:?}");
    // The server hears of it at once, and not when its system gives up: a LEADS vehicle would wait with all its clients.
    // It does where the system says that the goodbye has come over, which qemu does not pass on.
    let told = writing.join().unwrap();
    let hears = cfg!(all(target_os = "linux", not(leads_comm_emulated)));
    assert!(!hears || told.kind() != ErrorKind::WouldBlock, "{told}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    // This server does not answer the goodbye, and is waited for.
    let (send, peer) = client("send", &["--wait", "1h"], |_| {});
    peer.write("1;");
    assert_eq!(send.line(), "1");
    send.signal("INT");
    peer.expect("disconnect;");
    // Those that come right after the first are the same Ctrl-C.
    send.signal("INT");
    thread::sleep(Duration::from_millis(500));
    send.signal("TERM");
    let status = send.status();
    #[cfg(unix)]
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(15));
    // `STATUS_CONTROL_C_EXIT`.
    #[cfg(windows)]
    assert_eq!(status.code(), Some(0xc000_013a_u32 as i32));
}

#[test]
fn a_line_without_end_is_told_and_passed_over() {
    let (mut send, peer) = client("send", &["--max-message-len", "1M"], |_| {});
    send.write(b"first\n");
    peer.expect("first;");
    let endless = vec![b'x'; 1 << 20];
    // Longer than any message may be, and not at its end.
    send.write(&endless);
    send.write(b"xxxx");
    assert_eq!(send.error_line(), "leads-comm: line 2 was not sent: it is longer than 1048576 bytes");
    for _ in 0..20 {
        send.write(&endless);
    }
    send.write(b"\nafter\n");
    peer.expect("after;");
    send.close_stdin();
    peer.expect_goodbye();
    let ended = send.end();
    assert_eq!((ended.code, &ended.stderr[..]), (1, &["leads-comm: messages that were not sent: 1".to_owned()][..]));
}

#[test]
#[cfg_attr(windows, ignore = "nothing tells there before something is written")]
fn a_reader_that_leaves_is_noticed_at_once() {
    for (options, lines) in [(&[][..], 1), (&["--no-reconnect"], 1), (&["--fields", "t"], 2)] {
        let listening = Listening::start();
        let (listen, stdout) = Process::start_unread(&[&["listen", "-q", &listening.address()], options].concat());
        let peer = listening.accept();
        peer.write("1;");
        let mut stdout = BufReader::new(stdout);
        for _ in 0..lines {
            stdout.read_line(&mut String::new()).unwrap();
        }
        // Like `| head -1`. Nothing is printed any more.
        drop(stdout);
        peer.expect_goodbye();
        let ended = listen.end();
        assert_eq!((ended.code, ended.stderr.len()), (0, 0), "{ended:?}");
    }
    // Also while there is no server.
    let (listen, stdout) = Process::start_unread(&["listen", "-q", &leads_comm_testing::wire::unused_address()]);
    drop(stdout);
    assert_eq!(listen.end().code, 0);
}

#[test]
#[cfg(target_os = "linux")]
fn a_stdout_without_room_is_a_failure() {
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (listen, peer) = client("listen", &[], |command| {
        command.stdout(full());
    });
    peer.write("1;");
    // Also one that fails before there is a server.
    let mut header = command(&["listen", "-q", &leads_comm_testing::wire::unused_address(), "--fields", "t"]);
    for process in [listen, Process::spawn(header.stdout(full()))] {
        let ended = process.end();
        assert_eq!((ended.code, ended.stderr.len()), (1, 1), "{ended:?}");
        assert!(ended.stderr[0].starts_with("leads-comm: cannot write to stdout: No space left"), "{ended:?}");
    }
}

#[test]
fn help_that_nobody_reads_to_its_end_is_no_failure() {
    let (mut help, stdout) = Process::start_unread(&["listen", "--help"]);
    drop(stdout);
    let ended = help.wait();
    assert_eq!((ended.code, ended.stderr.len()), (0, 0), "{ended:?}");
}

//! Disks that are full, and such that are slow.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::thread;

use leads_comm_testing::folder::Folder;
use leads_comm_testing::wire::{Listening, Peer};
use leads_comm_testing::{child, runner};

use super::reading::Recording;
use super::{message, wait_for_messages};

use crate::process::{PROGRAM, Process, command, prepare, run};

/// The command, where a file may have 128 kB and no more.
fn limited(arguments: &[&str]) -> Process {
    // In units of 512 bytes, as the standard of shells says; others take 1024, which is as good.
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -f 256; exec \"$0\" \"$@\""]).args(runner::words(PROGRAM)).args(arguments);
    prepare(&mut command);
    Process::spawn(&mut command)
}

#[test]
fn a_full_disk_ends_a_recording_that_can_be_read() {
    let folder = Folder::new("record");
    let path = folder.path().join("drive.mcap");
    let listening = Listening::start();
    let process = limited(&["record", &format!("127.0.0.1:{}", listening.port), "-o", path.to_str().unwrap()]);
    let peer = listening.accept();
    peer.write(message(0));
    wait_for_messages(&path, 1);
    // Until it has gone.
    let sending = thread::spawn(move || (1..).take_while(|index| peer.try_write(&message(*index)).is_ok()).count());
    let ended = process.end();
    assert_eq!(ended.code, 1, "{ended:?}");
    sending.join().unwrap();
    let told: Vec<_> = ended.stderr.iter().filter(|line| line.contains("recording has stopped")).collect();
    assert_eq!(told.len(), 1, "{ended:?}");
    let recording = Recording::read(&path);
    let count = recording.messages.len();
    assert!(told[0].contains(&format!("stopped with {count} message")), "{told:?}");
    assert!(told[0].ends_with("; --split makes smaller files"), "{told:?}");
    for (index, found) in recording.messages.iter().enumerate() {
        assert_eq!(found.payload, message(index as u64).strip_suffix(b";").unwrap());
    }
}

#[test]
fn a_server_with_a_full_disk_goes_on_serving() {
    let folder = Folder::new("record");
    let path = folder.path().join("drive.mcap");
    let process = limited(&["record", "--serve", "127.0.0.1:0", "-o", path.to_str().unwrap()]);
    let port = process.error_line_with("listening on").rsplit_once(':').unwrap().1.parse().unwrap();
    let peer = Peer::connect(port);
    peer.write(message(0));
    wait_for_messages(&path, 1);
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = std::sync::Arc::clone(&stop);
    let sending = thread::spawn(move || {
        for index in (0..).take_while(|_| !stopped.load(std::sync::atomic::Ordering::Relaxed)) {
            peer.write(message(index));
        }
        peer
    });
    process.error_line_with("recording has stopped");
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    sending.join().unwrap().say_goodbye();
    let late = Peer::connect(port);
    late.write("still there?;");
    late.say_goodbye();
    process.signal("TERM");
    let ended = process.end();
    assert_eq!(ended.code, 1, "{ended:?}");
    Recording::read(&path);
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_is_full_from_the_beginning_is_told_at_once() {
    let ended = run(&["record", "--serve", "127.0.0.1:0", "-o", "/dev/full", "--force"]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr[0].contains("cannot write to /dev/full"), "{ended:?}");
    let ended = run(&["record", "--serve", "127.0.0.1:0", "-o", "/nowhere/drive.mcap"]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr[0].contains("cannot create /nowhere/drive.mcap: there is no folder /nowhere"), "{ended:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_stdout_that_takes_nothing_is_not_said_to_have_a_recording() {
    let mut command = command(&["record", "--serve", "127.0.0.1:0", "-o", "-"]);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let ended = Process::spawn(command.stdout(full)).end();
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.last().unwrap().contains("cannot write to stdout"), "{ended:?}");
    assert!(!ended.stderr.iter().any(|line| line.contains("recorded")), "{ended:?}");
}

/// The command, whose calls for one file end as `inject` says; `None` where the tool for it is missing.
#[cfg(target_os = "linux")]
fn injected(path: &Path, log: &Path, inject: &str, arguments: &[&str]) -> Option<Process> {
    if !child::can_trace("making calls for a file fail") {
        return None;
    }
    let call = inject.split_once(':').unwrap().0;
    // It watches from another process, so that signals and the exit code are those of the command.
    let mut strace = Command::new("strace");
    strace.args(["-D", "-f", "-qq", "-P"]).arg(path).arg("-o").arg(log);
    strace.args(["-e", &format!("trace={call}"), "-e", &format!("inject={inject}")]);
    strace.args(runner::words(PROGRAM)).args(arguments);
    prepare(&mut strace);
    Some(Process::spawn(&mut strace))
}

/// The header of the first and of a later part, messages, the index, a new part, and what brings it to the disk.
#[cfg(target_os = "linux")]
#[test]
fn each_call_that_fails_ends_a_recording_in_one_line() {
    // The calls of each thread are counted by themselves; the first header is written by the main thread.
    for (inject, file, told) in [
        ("write:error=ENOSPC:when=1", "drive_0001.mcap", "cannot write to"),
        ("write:error=EIO:when=2", "drive_0001.mcap", "cannot write to"),
        ("write:error=ENOSPC:when=1", "drive_0002.mcap", "cannot write to"),
        ("write:error=EDQUOT:when=2", "drive_0002.mcap", "cannot write to"),
        ("write:error=EFBIG:when=3", "drive_0002.mcap", "cannot write to"),
        ("openat:error=ENOSPC", "drive_0002.mcap", "cannot create"),
        ("fdatasync:error=EIO", "drive_0001.mcap", "cannot bring"),
        ("fdatasync:error=ENOSPC", "drive_0002.mcap", "cannot bring"),
    ] {
        let folder = Folder::new("record");
        let (path, log) = (folder.path().join("drive.mcap"), folder.path().join("log"));
        let listening = Listening::start();
        let (address, place) = (listening.address(), path.to_str().unwrap());
        let arguments = ["record", &address, "-o", place, "-c3", "--split", "1k", "--sync", "1ms"];
        let process = injected(&folder.path().join(file), &log, inject, &arguments);
        let Some(process) = process else { return };
        let sending = thread::spawn(move || {
            let peer = listening.accept();
            (0..3).take_while(|index| peer.try_write(&message(*index)).is_ok()).count()
        });
        let ended = process.end();
        assert_eq!(ended.code, 1, "{inject} {file}: {ended:?}");
        let lines: Vec<_> = ended.stderr.iter().filter(|line| line.contains("cannot")).collect();
        assert!(
            matches!(lines[..], [line] if line.contains(&format!("{told} {}", path.with_file_name(file).display())))
        );
        // Nothing is left that is no recording, and what is said to be readable is.
        let parts = ["drive_0001.mcap", "drive_0002.mcap", "drive_0003.mcap", "drive_0004.mcap"];
        let parts = parts.map(|part| folder.path().join(part)).into_iter().filter(|path| path.exists());
        let parts = parts.inspect(|path| assert_ne!(fs::metadata(path).unwrap().len(), 0, "{inject} {file}"));
        let found: usize = parts.map(|part| Recording::read(part).messages.len()).sum();
        let is_told = lines[0].contains(&format!("stopped with {found} message"));
        assert!(is_told || found == 0 && !lines[0].contains("stopped"), "{inject} {file}: {found}, {lines:?}");
        // Who was never connected to is still waited for.
        let _ = std::net::TcpStream::connect(&address);
        sending.join().unwrap();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_server_whose_last_write_fails_does_not_say_that_it_goes_on() {
    let folder = Folder::new("record");
    let (path, log) = (folder.path().join("drive.mcap"), folder.path().join("log"));
    let arguments = ["record", "--serve", "127.0.0.1:0", "-c1", "-o", path.to_str().unwrap()];
    let Some(process) = injected(&path, &log, "fdatasync:error=EIO", &arguments) else { return };
    let port = process.error_line_with("listening on").rsplit_once(':').unwrap().1.parse().unwrap();
    let peer = Peer::connect(port);
    peer.write("one;");
    let ended = process.end();
    assert_eq!(ended.code, 1, "{ended:?}");
    let line = ended.stderr.last().unwrap();
    assert!(line.contains("cannot bring") && !line.contains("goes on"), "{ended:?}");
    assert!(!ended.stderr.iter().any(|line| line.contains("recorded")), "{ended:?}");
}

/// Bringing the file to the disk takes longer than all messages.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_takes_its_time_holds_no_message_up() {
    let folder = Folder::new("record");
    let (path, log) = (folder.path().join("drive.mcap"), folder.path().join("log"));
    let listening = Listening::start();
    let arguments = ["record", &listening.address(), "-o", path.to_str().unwrap(), "--sync", "1ms"];
    let Some(mut process) = injected(&path, &log, "fdatasync:delay_enter=8000000", &arguments) else { return };
    let peer = listening.accept();
    for expected in 1..=3 {
        peer.write(message(0));
        wait_for_messages(&path, expected);
    }
    let log = fs::read_to_string(&log).unwrap();
    assert!(log.contains("fdatasync(") && !log.contains(" = "), "it has ended before: {log}");
    process.kill();
}

/// The disk is a pipe that nobody reads for a while.
#[test]
fn what_a_slow_disk_does_not_take_is_counted_and_holds_nobody_up() {
    const SENT: u64 = 3000;
    let folder = Folder::new("record");
    let path = folder.path().join("pipe.mcap");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let open = {
        let path = path.clone();
        thread::spawn(move || File::open(path).unwrap())
    };
    let listening = Listening::start();
    let address = format!("127.0.0.1:{}", listening.port);
    let place = path.to_str().unwrap();
    let process = Process::start(&["record", &address, "-o", place, "--force", "--buffer", "100k"]);
    let mut pipe = open.join().unwrap();
    let peer = listening.accept();
    // 6 MB: far more than the pipe, the buffer, and a chunk hold. The peer would give up after half a minute.
    (0..SENT).for_each(|index| peer.write(message(index)));
    process.error_line_with("messages are being lost");
    process.signal("INT");
    // The goodbye comes although nothing can be written.
    peer.expect_goodbye();
    let reading = thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        bytes
    });
    let ended = process.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    let recording = Recording::of(&reading.join().unwrap());
    let lost: u64 = recording.notes("leads.gap").iter().map(|gap| gap["messages"].parse::<u64>().unwrap()).sum();
    assert!(lost > 0);
    let end = recording.notes("leads.end")[0];
    assert_eq!(
        (&*end["messages"], &*end["lost_messages"]),
        (&*recording.messages.len().to_string(), &*lost.to_string())
    );
    let line = ended.stderr.last().unwrap();
    assert!(line.contains(&format!("{lost} messages")) && line.contains("lost"), "{line}");
    // What had arrived when it ended is there or counted; the numbers have holes where something is missing.
    for found in &recording.messages {
        assert_eq!(found.payload, message(found.sequence.into()).strip_suffix(b";").unwrap());
    }
    let last = recording.messages.last().unwrap().sequence;
    let missing = u64::from(last) + 1 - recording.messages.len() as u64;
    assert!(missing <= lost, "{missing} of {lost}");
}

/// Where nothing may be lost, it is the peer that waits.
#[test]
fn a_slow_disk_holds_the_peer_up_where_nothing_may_be_lost() {
    const SENT: u64 = 3000;
    let folder = Folder::new("record");
    let path = folder.path().join("pipe.mcap");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let reading = {
        let path = path.clone();
        thread::spawn(move || fs::read(path).unwrap())
    };
    let listening = Listening::start();
    let place = path.to_str().unwrap();
    let address = listening.address();
    let options = ["--force", "--buffer", "100k", "--lossless", "-c3000"];
    let process = Process::start(&[&["record", &address, "-o", place][..], &options].concat());
    let peer = listening.accept();
    (0..SENT).for_each(|index| peer.write(message(index)));
    assert_eq!(process.end().code, 0);
    let recording = Recording::of(&reading.join().unwrap());
    assert_eq!(recording.messages.len() as u64, SENT);
    assert!(recording.messages.iter().map(|message| u64::from(message.sequence)).eq(0..SENT));
}

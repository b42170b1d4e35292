//! Disks that fail, and such that take their time, as Linux can be made to have them.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::thread;

use leads_comm_testing::folder::Folder;
use leads_comm_testing::wire::{Listening, Peer};
use leads_comm_testing::{child, runner};

use super::reading::Recording;
use super::{message, wait_for_messages};

use crate::process::{PROGRAM, Process, command, prepare, run};

#[test]
fn a_disk_that_is_full_from_the_beginning_is_told_at_once() {
    let ended = run(&["record", "--serve", "127.0.0.1:0", "-o", "/dev/full", "--force"]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr[0].contains("cannot write to /dev/full"), "{ended:?}");
    let ended = run(&["record", "--serve", "127.0.0.1:0", "-o", "/nowhere/drive.mcap"]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr[0].contains("cannot create /nowhere/drive.mcap: there is no folder /nowhere"), "{ended:?}");
}

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

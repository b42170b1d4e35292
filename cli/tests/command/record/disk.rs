//! Disks that are full, and such that are slow.

use std::fs::{self, File};
use std::io::Read;
use std::process::Command;
use std::thread;

use leads_comm_testing::folder::Folder;
use leads_comm_testing::runner;
use leads_comm_testing::wire::{Listening, Peer};

use super::reading::Recording;
use super::{message, wait_for_messages};

use crate::process::{PROGRAM, Process, prepare};

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

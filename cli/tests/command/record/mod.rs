//! `record`: what is in its files, when it ends, and what happens when the disk does not do its part.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod clock;
#[cfg(unix)]
mod disk;
mod ends;
#[cfg(target_os = "linux")]
mod failing_disk;
mod files;
mod killed;
mod others;
mod reading;
mod replacing;

use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, thread};

use leads_comm_testing::folder::Folder;
use leads_comm_testing::wire::{Listening, Peer};
use reading::Recording;

use crate::process::{PATIENCE, Process};

/// The command, recording what a peer sends.
struct Recorded {
    folder: Folder,
    process: Process,
    listening: Listening,
    peer: Peer,
}

impl Recorded {
    /// `record ADDRESS -o drive.mcap …`, connected; it has begun to record.
    fn start(arguments: &[&str]) -> Self {
        let folder = Folder::new("record");
        let listening = Listening::start();
        let address = format!("127.0.0.1:{}", listening.port);
        let path = folder.path().join("drive.mcap");
        let place = ["record", &address, "-o", path.to_str().unwrap()];
        let process = Process::start(&[&place[..], arguments].concat());
        let peer = listening.accept();
        process.error_line_with("connected to");
        Self { folder, process, listening, peer }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("drive.mcap")
    }
}

/// Waits until so many messages are in the file of a recording that goes on.
fn wait_for_messages(path: &Path, count: usize) {
    let deadline = Instant::now() + PATIENCE;
    while Recording::of(&fs::read(path).unwrap()).messages.len() < count {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(10));
    }
}

/// A message that cannot be compressed to much less than half of it.
fn message(index: u64) -> Vec<u8> {
    let mut chance = leads_comm_testing::seed::Random::new(index);
    let noise: String = (0..2000).map(|_| char::from(b'a' + (chance.number() % 26) as u8)).collect();
    format!("{index}:{noise};").into_bytes()
}

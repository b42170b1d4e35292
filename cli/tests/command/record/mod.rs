//! `record`: what is in its files, when it ends, and what happens when the disk does not do its part.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod clock;
#[cfg(unix)]
mod disk;
mod ends;
mod files;
#[cfg(unix)]
mod killed;
mod others;
mod reading;
mod replacing;

use leads_comm_testing::folder::Folder;
use leads_comm_testing::wire::{Listening, Peer};

use crate::process::Process;

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

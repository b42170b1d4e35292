//! The command as a process, and what surrounds it.

#![allow(dead_code, reason = "what all topics share is not used by each of them on every system")]

mod bridge;
mod completions;
mod convert;
mod endpoint;
mod framing;
mod info;
mod kits;
mod leads;
#[path = "../../../tests/interop/peer.rs"]
mod leads_peer;
mod listen;
mod manual;
mod pipes;
mod process;
mod record;
mod recordings;
mod relay;
mod replay;
#[cfg(unix)]
mod replay_keys;
mod send;
mod serve;
#[cfg(unix)]
mod signals;
#[cfg(unix)]
mod terminal;
mod top;
mod view;

/// A folder with one file, of this name and with this content.
fn folder_with(name: &str, content: impl AsRef<[u8]>) -> leads_comm_testing::folder::Folder {
    let folder = leads_comm_testing::folder::Folder::new("command");
    std::fs::write(folder.path().join(name), content).unwrap();
    folder
}

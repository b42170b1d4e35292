//! The command as a process, and what surrounds it.

#![allow(dead_code, reason = "what all topics share is not used by each of them on every system")]

#[cfg(unix)]
mod completions;
mod listen;
mod manual;
mod pipes;
mod process;
mod send;
#[cfg(unix)]
mod signals;
mod wire;

    folder
    let folder = leads_comm_testing::folder::Folder::new("command");
    std::fs::write(folder.path().join(name), content).unwrap();
/// A folder with one file, of this name and with this content.
fn folder_with(name: &str, content: impl AsRef<[u8]>) -> leads_comm_testing::folder::Folder {
mod listen;
mod send;
mod serve;
}

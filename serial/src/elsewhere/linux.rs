//! `/proc` says which files a process has open, of those processes into which this one may look: as a rule those of the
//! same user, and all for root.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::thread;
use std::time::Duration;

/// How long a process that has been started may keep what the one that started it has open: until it is the program
/// that was meant.
const BEING_STARTED: Duration = Duration::from_millis(50);

/// Whether another process has a port open, as far as can be seen. That this one has it is no reason to leave it alone:
/// it may play the device.
pub(crate) fn is_open_elsewhere(port: &str) -> bool {
    let Some(device) = device(Path::new(port)) else { return false };
    is_open(device) && {
        thread::sleep(BEING_STARTED);
        is_open(device)
    }
}

/// The number of the device at a path, whatever it is called: a port has many names, and others in a container.
fn device(path: &Path) -> Option<u64> {
    let there = fs::metadata(path).ok()?;
    there.file_type().is_char_device().then(|| there.rdev())
}

fn is_open(device: u64) -> bool {
    let own = std::process::id().to_string();
    let Ok(processes) = fs::read_dir("/proc") else { return false };
    let processes = processes.flatten().map(|entry| entry.path());
    let others = processes.filter(|path| {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        name.iter().all(u8::is_ascii_digit) && name != own.as_bytes()
    });
    others.into_iter().any(|process| has_open(&process, device))
}

fn has_open(process: &Path, wanted: u64) -> bool {
    // Fails for those of others, and for one that has ended.
    let Ok(files) = fs::read_dir(process.join("fd")) else { return false };
    files.flatten().map(|entry| entry.path()).any(|file| {
        // What it is called, before it is asked what it is: a file on a server that does not answer would not either.
        fs::read_link(&file).is_ok_and(|name| name.starts_with("/dev")) && device(&file) == Some(wanted)
    })
}

//! Files that are being recorded to, as other processes see them: by an advisory lock, where the system has one.

use std::fs::File;
use std::path::Path;

/// Where a file that is open is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(unix), allow(dead_code, reason = "nothing tells it there"))]
pub(crate) enum Place {
    Here,
    /// Its name is gone, or another file's; it may have another name.
    Elsewhere,
    /// It has no name any more: it is gone as soon as it is closed.
    Nowhere,
}

/// Takes a file for as long as it is open; false if another process, or this one, has it already.
#[cfg(unix)]
pub(crate) fn take(file: &File) -> bool {
    use rustix::fs::{FlockOperation, flock};

    // Where there are no locks, nobody has one.
    flock(file, FlockOperation::NonBlockingLockExclusive) != Err(rustix::io::Errno::WOULDBLOCK)
}

#[cfg(not(unix))]
pub(crate) fn take(_: &File) -> bool {
    true
}

/// Whether a file is found under this name.
#[cfg(unix)]
pub(crate) fn place(file: &File, path: &Path) -> Place {
    use std::os::unix::fs::MetadataExt;

    match (file.metadata(), path.metadata()) {
        (Ok(file), Ok(there)) if (file.dev(), file.ino()) == (there.dev(), there.ino()) => Place::Here,
        (Ok(file), _) if !file.is_file() => Place::Here,
        (Ok(file), _) if file.nlink() == 0 => Place::Nowhere,
        (Ok(_), Ok(_)) => Place::Elsewhere,
        (Ok(_), Err(error)) if error.kind() == std::io::ErrorKind::NotFound => Place::Elsewhere,
        // What cannot be looked at may be there.
        _ => Place::Here,
    }
}

#[cfg(not(unix))]
pub(crate) fn place(_: &File, _: &Path) -> Place {
    Place::Here
}

/// Whether somebody records to it just now.
pub(crate) fn is_recorded_to(path: &Path) -> bool {
    // Opening a pipe may block.
    path.metadata().is_ok_and(|there| there.is_file()) && File::open(path).is_ok_and(|file| !take(&file))
}

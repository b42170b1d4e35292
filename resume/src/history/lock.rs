//! One owner at a time for a folder: as long as the process lives, and no longer.

use std::fs::File;
use std::path::Path;

use super::HistoryError;

const NAME: &str = "lock";

/// Locks a folder for as long as the file is kept.
pub(super) fn lock(folder: &Path) -> Result<File, HistoryError> {
    let path = folder.join(NAME);
    open(&path)
        .map_err(|error| HistoryError::io(&path, error))?
        .ok_or(HistoryError::InUse { folder: folder.to_owned() })
}

#[cfg(unix)]
fn open(path: &Path) -> std::io::Result<Option<File>> {
    use rustix::fs::{FlockOperation, flock};

    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(windows)]
fn open(path: &Path) -> std::io::Result<Option<File>> {
    use std::os::windows::fs::OpenOptionsExt;

    /// `ERROR_SHARING_VIOLATION`.
    const SHARING: i32 = 32;

    match File::options().create(true).truncate(false).write(true).share_mode(0).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.raw_os_error() == Some(SHARING) => Ok(None),
        Err(error) => Err(error),
    }
}

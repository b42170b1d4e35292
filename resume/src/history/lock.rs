//! One owner at a time for a folder: as long as the process lives, and no longer.

use std::fs::File;
use std::path::Path;

#[cfg(unix)]
use rustix::fs::{FlockOperation, flock};

use super::HistoryError;

const NAME: &str = "lock";

/// A folder is locked for as long as this is kept.
#[derive(Debug)]
pub(super) struct Lock {
    #[cfg_attr(windows, expect(dead_code, reason = "closing it is enough"))]
    file: File,
}

impl Lock {
    pub(super) fn take(folder: &Path) -> Result<Self, HistoryError> {
        let path = folder.join(NAME);
        let file = open(&path).map_err(|error| HistoryError::io(&path, error))?;
        file.map(|file| Self { file }).ok_or(HistoryError::InUse { folder: folder.to_owned() })
    }
}

#[cfg(unix)]
impl Drop for Lock {
    fn drop(&mut self) {
        // Closing it would leave the lock to a process that is just being started, until it is another program.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

#[cfg(unix)]
fn open(path: &Path) -> std::io::Result<Option<File>> {
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

//! Files that are being recorded to, as other processes see them: by an advisory lock, or by how the file was opened.

use std::path::Path;

#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod system;

pub(crate) use system::{is_taken, options, place, rename, replaced, take};

/// Where a file that is open is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Here,
    /// Its name is gone, or another file's; it may have another name.
    Elsewhere,
    /// It has no name any more: it is gone as soon as it is closed.
    Nowhere,
}

/// Whether somebody records to it just now.
pub(crate) fn is_recorded_to(path: &Path) -> bool {
    // Opening a pipe may block.
    path.metadata().is_ok_and(|there| there.is_file())
        && match options().read(true).open(path) {
            Ok(file) => !take(&file),
            Err(error) => is_taken(&error),
        }
}

//! What ends a recording before its time.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use mcap::McapError;

use super::words::count;

/// Why nothing more is recorded.
#[derive(Debug)]
pub(crate) enum Broken {
    Create(PathBuf, io::Error),
    /// There is a file already, and it may not be replaced.
    Exists(PathBuf),
    /// There is something that is no file.
    Folder(PathBuf),
    Special(PathBuf),
    /// Another recorder has it.
    Busy(PathBuf),
    /// A part of an earlier recording.
    Remove(PathBuf, io::Error),
    /// It was taken away, with so many messages.
    Gone(PathBuf, u64),
    /// It has another name by now.
    Moved(PathBuf),
    Write(PathBuf, io::Error),
    Sync(PathBuf, io::Error),
    Form(McapError),
    Thread(io::Error),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists(path) => write!(f, "{} exists already: --force replaces it", path.display()),
            Self::Folder(path) => write!(f, "{} is a folder, not a file", path.display()),
            Self::Special(path) => {
                write!(f, "{} is a device or a pipe, not a file: --force writes to it", path.display())
            }
            Self::Busy(path) => write!(f, "{} is being recorded to: choose another name", path.display()),
            Self::Create(path, error) => {
                let (file, folder) = (path.display(), folder(path));
                match error.kind() {
                    io::ErrorKind::NotFound if !folder.exists() => {
                        write!(f, "cannot create {file}: there is no folder {}", folder.display())
                    }
                    io::ErrorKind::PermissionDenied => {
                        write!(f, "cannot create {file}: no right to make files in the folder {}", folder.display())
                    }
                    _ => write!(f, "cannot create {file}: {error}"),
                }
            }
            Self::Remove(path, error) => {
                write!(f, "cannot remove {}, of an earlier recording: {error}", path.display())
            }
            Self::Gone(path, messages) => {
                let (file, gone) = (path.display(), count(*messages, "message"));
                write!(f, "{file} was removed or replaced while it was written, with {gone} in it")
            }
            Self::Moved(path) => {
                write!(f, "{} was moved while it was written: it is complete under its new name", path.display())
            }
            Self::Write(path, error) => write!(f, "cannot write to {}: {error}{}", path.display(), advice(error)),
            Self::Sync(path, error) => {
                write!(f, "cannot bring {} to the disk: {error}{}", path.display(), advice(error))
            }
            Self::Form(error) => write!(f, "cannot record: {error}"),
            Self::Thread(error) => write!(f, "cannot start a thread that writes: {error}"),
        }
    }
}

/// The folder that a file is in.
pub(super) fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What to do about it, where that is known.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; make room, and record anew",
        io::ErrorKind::FileTooLarge => "; --split makes smaller files",
        _ => "",
    }
}

impl std::error::Error for Broken {}

impl From<McapError> for Broken {
    fn from(error: McapError) -> Self {
        Self::Form(error)
    }
}

//! What ends a recording before its time.

use std::fmt;
use std::io;
use std::path::PathBuf;

use mcap::McapError;

/// Why nothing more is recorded.
#[derive(Debug)]
pub(crate) enum Broken {
    Create(PathBuf, io::Error),
    Write(PathBuf, io::Error),
    Sync(PathBuf, io::Error),
    /// Nothing of it is left.
    Removed(PathBuf),
    Form(McapError),
    Thread(io::Error),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(path, error) if error.kind() == io::ErrorKind::AlreadyExists => {
                write!(f, "{} exists already: choose another name, or replace it with --force", path.display())
            }
            Self::Create(path, error) => write!(f, "cannot create {}: {error}", path.display()),
            Self::Write(path, error) => write!(f, "cannot write to {}: {error}{}", path.display(), advice(error)),
            Self::Sync(path, error) => {
                write!(f, "cannot bring {} to the disk: {error}{}", path.display(), advice(error))
            }
            Self::Removed(path) => write!(f, "{} was removed", path.display()),
            Self::Form(error) => write!(f, "cannot record: {error}"),
            Self::Thread(error) => write!(f, "cannot start a thread that writes: {error}"),
        }
    }
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

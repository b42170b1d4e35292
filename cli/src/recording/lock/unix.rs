//! Unix: by `flock`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::Place;

/// How a file is opened that is going to be taken.
pub(crate) fn options() -> OpenOptions {
    OpenOptions::new()
}

/// Whether it could not be opened because another process, or this one, has taken it: that is no reason here.
pub(crate) fn is_taken(_: &io::Error) -> bool {
    false
}

/// Takes a file for as long as it is open; false if another process, or this one, has it already.
pub(crate) fn take(file: &File) -> bool {
    // Where there are no locks, nobody has one.
    flock(file, FlockOperation::NonBlockingLockExclusive) != Err(Errno::WOULDBLOCK)
}

/// A file that is going to be replaced, for as long as nobody else may.
pub(crate) fn replaced(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// Gives a file the name of the one that it replaces.
pub(crate) fn rename(from: &Path, to: &Path, _: &mut Option<File>) -> io::Result<()> {
    fs::rename(from, to)
}

/// Whether a file is found under this name.
pub(crate) fn place(file: &File, path: &Path) -> Place {
    match (file.metadata(), path.metadata()) {
        (Ok(file), Ok(there)) if (file.dev(), file.ino()) == (there.dev(), there.ino()) => Place::Here,
        (Ok(file), _) if !file.is_file() => Place::Here,
        (Ok(file), _) if file.nlink() == 0 => Place::Nowhere,
        (Ok(_), Ok(_)) => Place::Elsewhere,
        (Ok(_), Err(error)) if error.kind() == ErrorKind::NotFound => Place::Elsewhere,
        // What cannot be looked at may be there.
        _ => Place::Here,
    }
}

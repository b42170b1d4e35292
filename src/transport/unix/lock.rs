//! The lock under which the socket file of a dead server is removed.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

/// What is put behind the path of the socket, to name the file that is locked.
const SUFFIX: &str = ".leads-comm-lock";

/// A lock that no other user can take: a file beside the socket that only its owner may open. (The directory, which is
/// there anyway, can be locked by whoever may read it.) The file goes with the lock; one that a killed process has left
/// is locked by the next.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    /// Locked until it is closed.
    _file: File,
}

impl Lock {
    /// Takes the lock of a socket's path, without waiting; `None` while another process has it, or the file is another
    /// user's.
    pub(super) fn try_take(socket: &Path) -> io::Result<Option<Self>> {
        let mut path = OsString::from(socket);
        path.push(SUFFIX);
        let path = PathBuf::from(path);
        // Never what a link leads to, and never waiting for the other end of a pipe.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let flags = i32::try_from(flags.bits()).expect("flags are an integer of the system's");
        let file = File::options().write(true).create(true).truncate(false).mode(0o600).custom_flags(flags).open(&path);
        let file = match file {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(None),
            file => file?,
        };
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        // Who had the lock may have removed the file, and another process may have made and locked a new one.
        let (mine, there) = (file.metadata()?, fs::symlink_metadata(&path));
        let is_there = there.is_ok_and(|there| (there.dev(), there.ino()) == (mine.dev(), mine.ino()));
        Ok(is_there.then_some(Self { path, _file: file }))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is locked: nobody else can have it.
        let _ = fs::remove_file(&self.path);
    }
}

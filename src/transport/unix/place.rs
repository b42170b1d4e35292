//! The file of a listening socket: how it comes to be there, and how it goes.

use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{SockAddr, SockRef, Socket};

use super::lock::Lock;

/// How long others may hold the lock under which files are removed, or be quicker in binding the path.
const LOCK_TIME: Duration = Duration::from_secs(1);
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// A socket file that this process has made. Removed when dropped, unless another one has taken its place meanwhile.
///
/// To be dropped while the socket is still open: the system gives the file's number to no other as long as it is.
#[derive(Debug)]
pub(super) struct Place {
    /// Absolute, in case that the process changes its directory.
    path: PathBuf,
    id: FileId,
}

/// What tells one file from all others that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl From<&Metadata> for FileId {
    fn from(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

impl Place {
    /// Binds `socket` to a path. A socket file that nobody listens on any more, because its process has died, makes
    /// way; nothing else does.
    pub(super) fn take(socket: &Socket, path: &Path, mode: Option<u32>) -> io::Result<Self> {
        let address = super::name::address(path)?;
        let until = Instant::now() + LOCK_TIME;
        loop {
            match socket.bind(&address) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => make_room(path, &address, until)?,
                result => break result?,
            }
        }
        let made = fs::symlink_metadata(path)?;
        let place = Self { path: std::path::absolute(path)?, id: FileId::from(&made) };
        if let Some(mode) = mode {
            // Nobody can connect yet: the socket does not listen.
            fs::set_permissions(path, Permissions::from_mode(mode))?;
        }
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|there| FileId::from(&there) == self.id) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes what is at a path, if it is a socket that is nobody's.
///
/// Several processes that do so at once would remove what one of them has bound a moment ago. So it is done under a
/// lock, which the system releases when a process dies.
fn make_room(path: &Path, address: &SockAddr, until: Instant) -> io::Result<()> {
    if !is_stale(path, address)? {
        // It has gone meanwhile; with somebody who takes and leaves it all the time, this would never end.
        return if Instant::now() < until { Ok(()) } else { Err(in_use("others bind the path again and again")) };
    }
    let lock = Lock::try_take(path).map_err(|error| {
        io::Error::new(error.kind(), format!("an abandoned socket is there, and it cannot be locked: {error}"))
    });
    let Some(_lock) = lock? else {
        if Instant::now() >= until {
            return Err(in_use("an abandoned socket is there, and it is locked by another process or user"));
        }
        thread::sleep(LOCK_PAUSE);
        return Ok(());
    };
    if is_stale(path, address)? {
        fs::remove_file(path)?;
    }
    Ok(())
}

/// Whether a socket file is there that no socket is bound to; false when nothing is there any more.
fn is_stale(path: &Path, address: &SockAddr) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
        Ok(there) if !there.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "something is there that is not a socket"));
        }
        Ok(_) => {}
    }
    // A socket of another kind: to a server that is alive this is not a caller.
    match SockRef::from(&UnixDatagram::unbound()?).connect(address) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(in_use("a socket is there that this process may not write to"))
        }
        _ => Err(in_use("another socket is bound there")),
    }
}

fn in_use(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::AddrInUse, reason)
}

//! Windows: by what others may do with a file while it is open, which the system sees to.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::windows::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use winapi_util::file::{information, typ};

use super::Place;

/// Others may read it, and rename or remove it, as on Unix; and not write to it.
const FILE_SHARE_READ: u32 = 1;
const FILE_SHARE_DELETE: u32 = 4;

/// Opens a folder as well.
const FILE_FLAG_BACKUP_SEMANTICS: u32 = 0x0200_0000;

/// Somebody else has opened it in a way that excludes this one.
const ERROR_SHARING_VIOLATION: i32 = 32;

/// It is going to be removed when the last who has it open closes it.
const ERROR_DELETE_PENDING: i32 = 303;

/// How long a file that is to be replaced may be open elsewhere, and how often it is tried.
const MOMENT: Duration = Duration::from_secs(2);
const TURN: Duration = Duration::from_millis(10);

/// How a file is opened that is going to be taken: for writing by one at a time, which is who has taken it.
pub(crate) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.share_mode(FILE_SHARE_READ | FILE_SHARE_DELETE);
    options
}

/// Whether it could not be opened because another process, or this one, has taken it.
pub(crate) fn is_taken(error: &io::Error) -> bool {
    error.raw_os_error() == Some(ERROR_SHARING_VIOLATION)
}

/// True: who could open it has it.
pub(crate) fn take(_: &File) -> bool {
    true
}

/// A file that is going to be replaced, for as long as nobody else may: opened for writing, and never written to.
pub(crate) fn replaced(path: &Path) -> io::Result<File> {
    options().read(true).write(true).open(path)
}

/// Gives a file the name of the one that it replaces. What looks through files, for viruses or to find them again, may
/// have that one open for a moment.
pub(crate) fn rename(from: &Path, to: &Path, replaced: &mut Option<File>) -> io::Result<()> {
    let until = Instant::now() + MOMENT;
    loop {
        let Err(error) = fs::rename(from, to) else { return Ok(()) };
        if error.kind() != ErrorKind::PermissionDenied && !is_taken(&error) {
            return Err(error);
        }
        if Instant::now() >= until {
            // The rights were there for making the file in the same folder.
            return Err(io::Error::new(ErrorKind::ResourceBusy, "it is open in another program"));
        }
        // Before Windows 10, and on disks of other kinds, one that is open here is not replaced either.
        if replaced.take().is_none() {
            thread::sleep(TURN);
        }
    }
}

/// Whether a file is found under this name.
pub(crate) fn place(file: &File, path: &Path) -> Place {
    // Only to ask who it is, which is in nobody's way.
    let there = OpenOptions::new().access_mode(0).custom_flags(FILE_FLAG_BACKUP_SEMANTICS).open(path);
    let Ok(here) = information(file) else { return Place::Here };
    let is_here = |there: &File| {
        information(there).is_ok_and(|there| {
            // Wine knows no volume of a file that is renamed while it is open.
            let is_of_one_volume = [there.volume_serial_number(), 0].contains(&here.volume_serial_number());
            is_of_one_volume && here.file_index() == there.file_index()
        })
    };
    match there {
        Ok(there) if is_here(&there) => Place::Here,
        _ if !typ(file).is_ok_and(|typ| typ.is_disk()) => Place::Here,
        _ if here.number_of_links() == 0 => Place::Nowhere,
        Ok(_) => Place::Elsewhere,
        Err(error) if error.kind() == ErrorKind::NotFound => Place::Elsewhere,
        // Removed in the way of old disks: the name goes when this does, and nobody can open it any more.
        Err(error) if error.raw_os_error() == Some(ERROR_DELETE_PENDING) => Place::Nowhere,
        // What cannot be looked at may be there.
        Err(_) => Place::Here,
    }
}

//! A file that is being written: it ends with something whole, whatever happens, and does not stay without a message.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::broken::Broken;
use super::lock::{self, Place};
use crate::console::try_print;

/// A file that is being written. Nothing is left of one that is not [kept](Self::keep).
#[derive(Debug)]
pub(crate) struct Output {
    /// `None` for stdout.
    file: Option<File>,
    pub(crate) path: PathBuf,
    state: State,
    /// How many bytes are in it, which is a whole number of records.
    pub(crate) len: u64,
}

#[derive(Debug)]
enum State {
    /// It has its name, which goes with it.
    New,
    /// It is called `draft` until it replaces the other one, which nobody else replaces meanwhile.
    Draft {
        draft: PathBuf,
        target: PathBuf,
        replaced: Option<File>,
    },
    Kept,
}

impl Output {
    pub(super) fn stdout() -> Self {
        Self { file: None, path: "-".into(), state: State::Kept, len: 0 }
    }

    /// What is no file of a disk, which nothing can take away.
    pub(super) fn special(path: PathBuf, file: File) -> Self {
        Self { file: Some(file), path, state: State::Kept, len: 0 }
    }

    /// A file that has just been made.
    pub(super) fn new(path: PathBuf, file: File) -> Self {
        // Nobody else can have it yet.
        let _ = lock::take(&file);
        Self { file: Some(file), path, state: State::New, len: 0 }
    }

    /// A file that is going to replace the one of this name. The other one's bytes are not touched: they may still be
    /// read, or be those of a recording that goes on.
    pub(super) fn replacing(path: PathBuf) -> Result<Self, Broken> {
        // Beside the file itself, if this is a link.
        let target = fs::canonicalize(&path).map_err(|error| Broken::Create(path.clone(), error))?;
        let is_ours = |file: &File| lock::take(file) && lock::place(file, &target) == Place::Here;
        let replaced = match lock::replaced(&target) {
            Ok(replaced) if is_ours(&replaced) => Some(replaced),
            Ok(_) => return Err(Broken::Busy(path)),
            Err(error) if lock::is_taken(&error) => return Err(Broken::Busy(path)),
            // One that may not even be read may still be replaced.
            Err(_) => None,
        };
        let draft = draft(&target);
        let create = || {
            // One of the same name is what a process that was killed has left.
            let file = lock::options().write(true).create(true).truncate(false).open(&draft)?;
            if !lock::take(&file) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            file.set_len(0).map(|()| file)
        };
        let file = create().map_err(|error| Broken::Create(path.clone(), error))?;
        Ok(Self { file: Some(file), path, state: State::Draft { draft, target, replaced }, len: 0 })
    }

    /// Adds whole records. When that fails the file is as it was before, if its system allows that.
    pub(crate) fn append(&mut self, records: &[u8]) -> io::Result<()> {
        match &mut self.file {
            None if try_print(&[records]) => {}
            None => return Err(io::Error::other("nobody takes it")),
            Some(file) => {
                if let Err(error) = file.write_all(records) {
                    // What is no file of a disk has no length.
                    let _ = file.set_len(self.len).and_then(|()| file.seek(SeekFrom::Start(self.len)));
                    return Err(error);
                }
            }
        }
        self.len += records.len() as u64;
        Ok(())
    }

    /// It has something worth keeping: from here on it stays, and has its name.
    pub(crate) fn keep(&mut self) -> Result<(), Broken> {
        if let State::Draft { draft, target, replaced } = &mut self.state {
            lock::rename(draft, target, replaced).map_err(|error| Broken::Create(self.path.clone(), error))?;
        }
        self.state = State::Kept;
        Ok(())
    }

    pub(crate) fn is_kept(&self) -> bool {
        matches!(self.state, State::Kept)
    }

    /// Whether it goes on to be where it was made.
    pub(crate) fn place(&self) -> Place {
        match (&self.file, &self.state) {
            (Some(file), State::New | State::Kept) => lock::place(file, &self.path),
            _ => Place::Here,
        }
    }

    /// The file once more, for a thread that brings it to the disk.
    pub(crate) fn for_sync(&self) -> io::Result<Option<File>> {
        self.file.as_ref().map(File::try_clone).transpose()
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // What cannot be removed stays, as where its folder has become read-only meanwhile.
        let _ = match &self.state {
            State::New if self.place() == Place::Here => fs::remove_file(&self.path),
            State::Draft { draft, .. } => fs::remove_file(draft),
            State::New | State::Kept => Ok(()),
        };
    }
}

/// What a file is called, beside its place, before it has its name.
pub(crate) fn draft(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.part", std::process::id()));
    path.with_file_name(name)
}

/// Brings to the disk what has been written to a file; it may take seconds.
pub(crate) fn sync(file: &File) -> io::Result<()> {
    match file.sync_data() {
        // There is no disk behind it: a pipe, a device.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        outcome => outcome,
    }
}

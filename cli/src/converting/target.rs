//! A new file, which has another name until it is complete.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::console::{Failure, fail, print};
use crate::recording::broken::Broken;
use crate::recording::lock::{self, is_recorded_to};
use crate::recording::output::draft;

/// A file that is being made, or stdout.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) path: PathBuf,
    /// What it is called so far; `None` for stdout.
    draft: Option<(PathBuf, BufWriter<File>)>,
    replaces: bool,
    len: u64,
}

impl Target {
    /// Begins a file that is to be called `path`; `-` is stdout.
    pub(super) fn create(path: &Path, replaces: bool) -> Result<Self, Failure> {
        let mut target = Self { path: path.into(), draft: None, replaces, len: 0 };
        if path.as_os_str() == "-" {
            return Ok(target);
        }
        let broken = |broken: Broken| fail(broken.to_string());
        match path.metadata() {
            Ok(there) if there.is_dir() => return Err(broken(Broken::Folder(path.into()))),
            Ok(there) if !there.is_file() => {
                return Err(fail(format!("{} is a device or a pipe, not a file", path.display())));
            }
            _ => {}
        }
        if !replaces && path.symlink_metadata().is_ok() {
            return Err(broken(Broken::Exists(path.into())));
        }
        if is_recorded_to(path) {
            return Err(broken(Broken::Busy(path.into())));
        }
        path.file_name().ok_or_else(|| fail(format!("{} is no name of a file", path.display())))?;
        let draft = draft(path);
        let file = OpenOptions::new().write(true).create_new(true).open(&draft);
        let file = file.map_err(|error| broken(Broken::Create(path.into(), error)))?;
        target.draft = Some((draft, BufWriter::with_capacity(1 << 16, file)));
        Ok(target)
    }

    /// What it is called so far.
    pub(super) fn draft(&self) -> Option<&Path> {
        self.draft.as_ref().map(|(path, _)| path.as_path())
    }

    /// Gives the file its name, once all of it is on the disk; how many bytes it has.
    pub(super) fn finish(mut self) -> Result<u64, Failure> {
        let Some((draft, mut file)) = self.draft.take() else { return Ok(self.len) };
        let complete = file.flush().and_then(|()| file.get_ref().sync_all());
        let named = complete.and_then(|()| match self.replaces {
            true => lock::rename(&draft, &self.path, &mut None),
            // Fails if somebody has made one meanwhile; where there are no links, it is only looked whether there is one.
            false => match fs::hard_link(&draft, &self.path) {
                Ok(()) => fs::remove_file(&draft),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
                Err(_) if !self.path.exists() => fs::rename(&draft, &self.path),
                Err(error) => Err(error),
            },
        });
        named.map(|()| self.len).map_err(|error| {
            let _ = fs::remove_file(&draft);
            self.failure(&error)
        })
    }

    pub(super) fn failure(&self, error: &io::Error) -> Failure {
        fail(format!("cannot write {}: {error}", self.path.display()))
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = match &mut self.draft {
            Some((_, file)) => file.write(bytes)?,
            None => {
                print(&[bytes]);
                bytes.len()
            }
        };
        self.len += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.draft.as_mut().map_or(Ok(()), |(_, file)| file.flush())
    }
}

impl Drop for Target {
    /// What is not complete goes.
    fn drop(&mut self) {
        if let Some((draft, file)) = self.draft.take() {
            // Nothing more is written.
            let _ = file.into_parts();
            let _ = fs::remove_file(draft);
        }
    }
}

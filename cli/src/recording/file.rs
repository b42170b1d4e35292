//! The files of a recording: their names, and that they end with something whole, whatever happens.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::console::try_print;

/// Where a recording goes.
#[derive(Debug, Clone)]
pub(crate) enum Destination {
    /// Stdout, for `-`.
    Stdout,
    /// A name that was typed, and whether a file of that name may be replaced.
    Named { path: PathBuf, replaces: bool },
    /// Called after the time, in the current folder.
    Dated { extension: &'static str },
}

/// A file that is being written.
#[derive(Debug)]
pub(crate) struct Output {
    /// `None` for stdout.
    file: Option<File>,
    is_new: bool,
    pub(crate) path: PathBuf,
    /// How many bytes are in it, which is a whole number of records.
    pub(crate) len: u64,
}

impl Destination {
    /// Where a part of it would be.
    pub(crate) fn path(&self, part: Option<u32>) -> PathBuf {
        match self {
            Self::Stdout => "-".into(),
            Self::Named { path, .. } => part.map_or_else(|| path.clone(), |part| numbered(path, part)),
            Self::Dated { extension } => format!("leads-….{extension}").into(),
        }
    }

    /// One that is there before any has been made, and would be in the way of a later one, or taken for one.
    pub(crate) fn other_part(&self) -> Option<PathBuf> {
        let Self::Named { path, replaces: false } = self else { return None };
        let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
        let is_part = |name: &str| {
            let number = name.rsplit_once('_')?.1.split('.').next()?.parse().ok()?;
            (numbered(path, number).file_name()? == name).then_some(())
        };
        let names = fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.file_name()));
        let name = names.filter(|name| name.to_str().and_then(is_part).is_some()).min()?;
        Some(path.with_file_name(name))
    }

    /// The file of a part, which is not there before; `part` where there may be several, from 1.
    pub(crate) fn create(&mut self, part: Option<u32>) -> io::Result<Output> {
        let replaces = match self {
            Self::Stdout => return Ok(Output { file: None, is_new: false, path: "-".into(), len: 0 }),
            Self::Named { replaces, .. } => *replaces,
            Self::Dated { extension } => {
                let (path, output) = create_dated(extension, part)?;
                // The other parts are called like the first one.
                *self = Self::Named { path, replaces: false };
                return Ok(output);
            }
        };
        let path = self.path(part);
        let mut options = OpenOptions::new();
        options.write(true);
        let options = if replaces { options.create(true).truncate(true) } else { options.create_new(true) };
        Ok(Output { file: Some(options.open(&path)?), is_new: !replaces, path, len: 0 })
    }
}

/// A name after the time that no file has yet, and the first file of it.
fn create_dated(extension: &str, part: Option<u32>) -> io::Result<(PathBuf, Output)> {
    let time = jiff::Zoned::now().strftime("leads-%Y-%m-%d_%H-%M-%S").to_string();
    let mut name = format!("{time}.{extension}");
    let mut more = 1;
    loop {
        let mut named = Destination::Named { path: name.into(), replaces: false };
        match named.create(part) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            output => {
                let Destination::Named { path, .. } = named else { unreachable!("it stays as it is") };
                return Ok((path, output?));
            }
        }
        more += 1;
        name = format!("{time}-{more}.{extension}");
    }
}

/// `drive_0001.mcap` for part 1 of `drive.mcap`.
fn numbered(path: &Path, part: u32) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("_{part:04}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

impl Output {
    /// Adds whole records. When that fails the file is as it was before, if its system allows that; one without any is
    /// taken away.
    pub(crate) fn append(&mut self, records: &[u8]) -> io::Result<()> {
        match &mut self.file {
            None if try_print(&[records]) => {}
            None => return Err(io::Error::other("nobody takes it")),
            Some(file) => {
                if let Err(error) = file.write_all(records) {
                    // What is no file of a disk has no length.
                    let _ = file.set_len(self.len).and_then(|()| file.seek(SeekFrom::Start(self.len)));
                    if self.len == 0 {
                        self.discard();
                    }
                    return Err(error);
                }
            }
        }
        self.len += records.len() as u64;
        Ok(())
    }

    /// Takes the file away, unless it was there before.
    pub(crate) fn discard(&self) {
        if self.is_new {
            // It stays where its folder has become read-only meanwhile.
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Whether somebody has taken the file away, so that what is written to it is nowhere any more.
    #[cfg(unix)]
    pub(crate) fn is_removed(&self) -> bool {
        use std::os::unix::fs::MetadataExt;

        let metadata = self.file.as_ref().and_then(|file| file.metadata().ok());
        metadata.is_some_and(|metadata| metadata.nlink() == 0)
    }

    /// Others keep a file as long as it is open.
    #[cfg(not(unix))]
    pub(crate) fn is_removed(&self) -> bool {
        false
    }

    /// The file once more, for a thread that brings it to the disk.
    pub(crate) fn for_sync(&self) -> io::Result<Option<File>> {
        self.file.as_ref().map(File::try_clone).transpose()
    }
}

/// Brings to the disk what has been written to a file; it may take seconds.
pub(crate) fn sync(file: &File) -> io::Result<()> {
    match file.sync_data() {
        // There is no disk behind it: a pipe, a device.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        outcome => outcome,
    }
}

/// From here on a file that is as long as the system lets it be is an error, and not the end of the process.
#[cfg(unix)]
pub(crate) fn outlive_limits() {
    // Nobody looks at the flag: the write that was too much says so.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, std::sync::Arc::default());
}

#[cfg(not(unix))]
pub(crate) fn outlive_limits() {}

#[cfg(test)]
mod tests {
    use leads_comm_testing::folder::Folder;

    use super::*;

    #[test]
    fn a_file_that_is_there_is_not_touched() {
        let folder = Folder::new("record");
        let path = folder.path().join("drive.mcap");
        fs::write(&path, "old").unwrap();
        let named = |replaces| Destination::Named { path: path.clone(), replaces };
        assert_eq!(named(false).create(None).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        named(true).create(None).unwrap().append(b"n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"n");
        let part = named(false).create(Some(12)).unwrap();
        assert_eq!(part.path.file_name().unwrap(), "drive_0012.mcap");
    }

    #[test]
    fn a_name_without_an_ending_has_a_number_too() {
        assert_eq!(numbered(Path::new("a.b/drive"), 1), Path::new("a.b/drive_0001"));
        assert_eq!(numbered(Path::new("drive.x.mcap"), 10_000), Path::new("drive.x_10000.mcap"));
    }
}

//! The names of a recording's files: what was typed, or the time, and numbers for its parts.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::broken::{Broken, folder};
use super::lock;
use super::output::Output;

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

impl Destination {
    /// The file of a part, which is not there before, or stays as it is until this one has a message; `part`, from 1,
    /// where there may be several.
    pub(crate) fn create(&mut self, part: Option<u32>) -> Result<Output, Broken> {
        match self {
            Self::Stdout => Ok(Output::stdout()),
            Self::Named { path, replaces } => {
                if part == Some(1) {
                    check_later_parts(path, *replaces)?;
                }
                create(part.map_or_else(|| path.clone(), |part| numbered(path, part)), *replaces)
            }
            Self::Dated { extension } => {
                let (path, output) = create_dated(extension, part)?;
                // The other parts are called like the first one.
                *self = Self::Named { path, replaces: false };
                Ok(output)
            }
        }
    }

    /// Takes away what an earlier recording of this name has behind its first part; how many files.
    pub(crate) fn remove_later_parts(&self) -> Result<usize, Broken> {
        let Self::Named { path, replaces: true } = self else { return Ok(0) };
        let parts = later_parts(path);
        for part in &parts {
            fs::remove_file(part).map_err(|error| Broken::Remove(part.clone(), error))?;
        }
        Ok(parts.len())
    }
}

fn create(path: PathBuf, replaces: bool) -> Result<Output, Broken> {
    match lock::options().write(true).create_new(true).open(&path) {
        Ok(file) => Ok(Output::new(path, file)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists || path.is_dir() => at_a_taken_name(path, replaces),
        Err(error) => Err(Broken::Create(path, error)),
    }
}

fn at_a_taken_name(path: PathBuf, replaces: bool) -> Result<Output, Broken> {
    let there = fs::metadata(&path);
    if there.as_ref().is_ok_and(fs::Metadata::is_dir) {
        return Err(Broken::Folder(path));
    }
    let is_special = there.as_ref().is_ok_and(|there| !there.is_file());
    match (replaces, is_special, there) {
        (false, true, _) => Err(Broken::Special(path)),
        (false, false, _) => Err(Broken::Exists(path)),
        (true, false, Ok(_)) => Output::replacing(path),
        // A device, a pipe, or a link to nothing.
        (true, ..) => match OpenOptions::new().write(true).create(true).truncate(false).open(&path) {
            Ok(file) => Ok(Output::special(path, file)),
            Err(error) => Err(Broken::Create(path, error)),
        },
    }
}

/// A name after the time that no file has yet, and the first file of it.
fn create_dated(extension: &str, part: Option<u32>) -> Result<(PathBuf, Output), Broken> {
    let time = jiff::Zoned::now().strftime("leads-%Y-%m-%d_%H-%M-%S").to_string();
    let mut name = format!("{time}.{extension}");
    let mut more = 1;
    loop {
        let mut named = Destination::Named { path: name.clone().into(), replaces: false };
        match named.create(part) {
            Err(Broken::Exists(_)) => {}
            output => return Ok((name.into(), output?)),
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

/// The parts that are there, from the second one on.
fn later_parts(path: &Path) -> Vec<PathBuf> {
    // A folder that cannot be read has none that are known; what is in the way of a part is noticed with that part.
    let Ok(entries) = fs::read_dir(folder(path)) else { return Vec::new() };
    let stem = path.file_stem().unwrap_or_default().as_encoded_bytes();
    let is_part = |name: &std::ffi::OsStr| {
        let rest = name.as_encoded_bytes().strip_prefix(stem).and_then(|rest| rest.strip_prefix(b"_"));
        let digits = rest.map(|rest| rest.split(|byte| !byte.is_ascii_digit()).next().unwrap_or_default());
        let number = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        number.is_some_and(|number| number > 1 && numbered(path, number).file_name() == Some(name))
    };
    let names = entries.flatten().map(|entry| entry.file_name()).filter(|name| is_part(name));
    let mut parts: Vec<_> = names.map(|name| path.with_file_name(name)).collect();
    parts.sort();
    parts
}

/// Parts of an earlier recording would pass for parts of this one.
fn check_later_parts(path: &Path, replaces: bool) -> Result<(), Broken> {
    for part in later_parts(path) {
        match replaces {
            false => return Err(Broken::Exists(part)),
            true if lock::is_recorded_to(&part) => return Err(Broken::Busy(part)),
            true => {}
        }
    }
    Ok(())
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

    fn named(path: &Path, replaces: bool) -> Destination {
        Destination::Named { path: path.into(), replaces }
    }

    #[test]
    fn a_file_that_is_there_is_not_touched_before_there_is_a_message() {
        let folder = Folder::new("record");
        let path = folder.path().join("drive.mcap");
        fs::write(&path, "old").unwrap();
        assert!(matches!(named(&path, false).create(None), Err(Broken::Exists(_))));
        let mut output = named(&path, true).create(None).unwrap();
        output.append(b"n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        output.keep().unwrap();
        output.append(b"ew").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        // Nothing else is left of either.
        drop(output);
        drop((named(&path, true).create(None).unwrap(), named(&path, false).create(Some(12)).unwrap()));
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_one() {
        let folder = Folder::new("record");
        let (path, link) = (folder.path().join("drive.mcap"), folder.path().join("last.mcap"));
        fs::write(&path, "old").unwrap();
        std::os::unix::fs::symlink("drive.mcap", &link).unwrap();
        let mut output = named(&link, true).create(None).unwrap();
        output.append(b"new").unwrap();
        output.keep().unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[cfg(unix)]
    #[test]
    fn what_is_being_recorded_to_is_not_replaced() {
        let folder = Folder::new("record");
        let path = folder.path().join("drive.mcap");
        let first = named(&path, true).create(None).unwrap();
        assert!(matches!(named(&path, true).create(None), Err(Broken::Busy(_))));
        drop(first);
        fs::write(&path, "old").unwrap();
        // Neither before the file is replaced nor after that.
        let mut first = named(&path, true).create(None).unwrap();
        assert!(matches!(named(&path, true).create(None), Err(Broken::Busy(_))));
        first.keep().unwrap();
        assert!(matches!(named(&path, true).create(None), Err(Broken::Busy(_))));
        drop(first);
        named(&path, true).create(None).unwrap();
    }

    #[test]
    fn other_parts_are_in_the_way() {
        let folder = Folder::new("record");
        let path = folder.path().join("drive.mcap");
        let files = ["drive_0002.mcap", "drive_10000.mcap", "drive_0001.mcap", "drive_3.mcap", "drive_0004.csv", "x"];
        for name in files {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let Err(Broken::Exists(part)) = named(&path, false).create(Some(1)) else { panic!() };
        assert_eq!(part.file_name().unwrap(), "drive_0002.mcap");
        drop(named(&path, true).create(Some(1)).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), files.len());
        assert_eq!(named(&path, true).remove_later_parts().unwrap(), 2);
        assert!(
            ["drive_0001.mcap", "drive_3.mcap", "drive_0004.csv", "x"].iter().all(|n| folder.path().join(n).exists())
        );
    }

    #[test]
    fn a_name_without_an_ending_has_a_number_too() {
        assert_eq!(numbered(Path::new("a.b/drive"), 1), Path::new("a.b/drive_0001"));
        assert_eq!(numbered(Path::new("drive.x.mcap"), 10_000), Path::new("drive.x_10000.mcap"));
    }
}

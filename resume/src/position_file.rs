//! A position in a file.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::path::Path;

use crate::{ParsePositionError, Position};

/// How many bytes a position has there, however long it is: so each covers the one before.
const WIDTH: usize = "0123456789abcdef:18446744073709551615".len();

/// A file with the position up to which something is done, for a program that hands on what it
/// [gets](crate::Subscription) and stores none of it itself.
///
/// It is written in place and in one piece, which no end of the process leaves half done, and which does not wait for
/// the disk. So it may be written many times a second. Where the machine loses power, it may have an earlier position,
/// or nothing.
///
/// # Examples
///
/// ```
/// use leads_comm_resume::{Position, PositionFile};
///
/// # let path = std::env::temp_dir().join(format!("leads-comm-position-{}", std::process::id()));
/// let (mut file, last) = PositionFile::open(&path)?;
/// assert_eq!(last, None);
/// file.put(Position::new(0xc0ffee, 42))?;
///
/// assert_eq!(std::fs::read_to_string(&path)?.trim_end(), "0000000000c0ffee:42");
/// assert_eq!(PositionFile::open(&path)?.1, Some(Position::new(0xc0ffee, 42)));
/// # drop(file);
/// # std::fs::remove_file(path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct PositionFile {
    file: File,
}

impl PositionFile {
    /// Opens the file, which is made if it is not there, and tells the position in it; `None` where it is new or empty.
    ///
    /// # Errors
    ///
    /// Those of the system; [`ErrorKind::InvalidData`] where there is something else in it, which stays.
    pub fn open(path: impl AsRef<Path>) -> io::Result<(Self, Option<Position>)> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut text = String::new();
        // It may be anything, and however long.
        Read::take(&mut file, 2 * WIDTH as u64).read_to_string(&mut text)?;
        let of_other = |error: ParsePositionError| io::Error::new(ErrorKind::InvalidData, error);
        // Where the machine has lost power there may be zeros.
        let last = match text.trim_end_matches([' ', '\n', '\r', '\0']) {
            "" => None,
            text => Some(text.parse().map_err(of_other)?),
        };
        Ok((Self { file }, last))
    }

    /// Writes down a position, in place of the one before.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn put(&mut self, position: Position) -> io::Result<()> {
        self.file.rewind()?;
        self.file.write_all(format!("{:<WIDTH$}\n", position.to_string()).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use leads_comm_testing::folder::Folder;

    use super::*;

    #[test]
    fn what_is_put_is_there_again_also_where_it_is_shorter() {
        let folder = Folder::new("position");
        let path = folder.path().join("position");
        for number in [u64::MAX, 1] {
            let (mut file, _) = PositionFile::open(&path).unwrap();
            file.put(Position::new(7, 20)).unwrap();
            file.put(Position::new(8, number)).unwrap();
            let (_, last) = PositionFile::open(&path).unwrap();
            assert_eq!(last, Some(Position::new(8, number)));
        }
    }

    #[test]
    fn what_is_no_position_is_an_error_and_stays() {
        let folder = Folder::new("position");
        let path = folder.path().join("position");
        for text in ["somewhere".to_owned(), "0000000000000007:1\nmore".to_owned(), " ".repeat(30) + "x"] {
            fs::write(&path, &text).unwrap();
            let error = PositionFile::open(&path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{text}: {error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        for nothing in ["\n", "\0\0\0\0"] {
            fs::write(&path, nothing).unwrap();
            assert_eq!(PositionFile::open(&path).unwrap().1, None);
        }
    }
}

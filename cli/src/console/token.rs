//! A token or a password of a command: in a file, because everybody on the machine can see a command's arguments.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::outcome::{Failure, fail};

/// More than a token may have, so that a file without an end is refused as well.
const LONGEST: u64 = 64 * 1024;

/// What is in the file, without the end of the line that editors put there.
///
/// # Errors
///
/// [`Failure::Failed`] if it cannot be read.
pub(crate) fn read_token(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut token = Vec::new();
    let read = File::open(file).and_then(|file| file.take(LONGEST).read_to_end(&mut token));
    read.map_err(|error| fail(format!("cannot read {}: {error}", file.display())))?;
    if token.ends_with(b"\n") {
        token.pop();
        if token.ends_with(b"\r") {
            token.pop();
        }
    }
    Ok(token)
}

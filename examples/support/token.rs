//! The token of a command: in a file, because everybody on the machine can see a command's arguments.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use crate::cli::{Failure, fail};

/// What is in the file, without the end of the line that editors put there.
pub(crate) fn read_token(file: &OsStr) -> Result<Vec<u8>, Failure> {
    let failed = |error| fail(format!("cannot read the token from {}: {error:#}", Path::new(file).display()));
    let mut token = fs::read(file).map_err(failed)?;
    if token.ends_with(b"\n") {
        token.pop();
        if token.ends_with(b"\r") {
            token.pop();
        }
    }
    Ok(token)
}

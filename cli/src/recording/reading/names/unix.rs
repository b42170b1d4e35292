//! Unix: shells put the names of files in place of a pattern; what is left of them is a name.

use std::path::{Path, PathBuf};

pub(super) fn named(typed: &Path) -> [PathBuf; 1] {
    [typed.into()]
}

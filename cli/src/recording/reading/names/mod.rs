//! The files that are meant by what was typed.

use std::path::{Path, PathBuf};

#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod system;

/// The files of these names, in this order; those of a name with `*` or `?` in it where no shell has looked for them.
pub(crate) fn named(typed: impl IntoIterator<Item = impl AsRef<Path>>) -> Vec<PathBuf> {
    typed.into_iter().flat_map(|typed| system::named(typed.as_ref())).collect()
}

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What went wrong with a history.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum HistoryError {
    /// The bounds are out of their range.
    Bounds {
        /// What they have to be.
        requirement: &'static str,
    },
    /// Somebody else has the folder open.
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// Its publisher has been closed.
    Closed,
    /// The system could not read or write a file.
    Io {
        /// The file, or the folder.
        path: PathBuf,
        /// What the system reported.
        source: Arc<io::Error>,
    },
}

impl HistoryError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source: Arc::new(source) }
    }
}

impl fmt::Display for HistoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bounds { requirement } => write!(f, "the bounds of the history: {requirement}"),
            Self::InUse { folder } => write!(f, "the history in {} is open already", folder.display()),
            Self::Closed => f.write_str("the publisher has been closed"),
            Self::Io { path, .. } => write!(f, "the history in {} failed", path.display()),
        }
    }
}

impl Error for HistoryError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(&**source),
            _ => None,
        }
    }
}

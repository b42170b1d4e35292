//! Up to where the messages of a spool in files have been acknowledged: so that the next process does not take them
//! again that share a file with others.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::history::HistoryError;
use crate::{Position, PositionFile};

/// How often it is written, at most.
const INTERVAL: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Mark {
    file: PositionFile,
    /// When it was written last, and what has not been since.
    written: Option<Instant>,
    due: Option<Position>,
}

impl Mark {
    /// Opens that of a folder, and tells the last message that was acknowledged.
    pub(super) fn open(folder: &Path) -> Result<(Self, Option<Position>), HistoryError> {
        let path = folder.join("acknowledged");
        let (file, last) = PositionFile::open(&path).map_err(|error| HistoryError::io(&path, error))?;
        Ok((Self { file, written: None, due: None }, last))
    }

    pub(super) fn put(&mut self, position: Position) {
        self.due = Some(position);
        self.look();
    }

    /// Writes what is due, if it is time.
    pub(super) fn look(&mut self) {
        if self.written.is_none_or(|written| written.elapsed() >= INTERVAL) {
            self.write();
        }
    }

    /// Writes what is due.
    pub(super) fn write(&mut self) {
        let Some(position) = self.due.take() else { return };
        self.written = Some(Instant::now());
        // Some are taken twice then.
        if let Err(error) = self.file.put(position) {
            log::warn!("what was acknowledged cannot be written down: {error}");
        }
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.write();
    }
}

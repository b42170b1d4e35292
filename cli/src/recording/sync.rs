//! Bringing files to the disk, which may take seconds: on a thread of its own, so that the recorder goes on writing.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use leads_comm::crossbeam_channel::{Sender, unbounded};
use parking_lot::Mutex;

use super::broken::Broken;
use super::output::{self, Output};

type Failed = Arc<Mutex<Option<(PathBuf, io::Error)>>>;

/// The thread that does it.
#[derive(Debug)]
pub(crate) struct Syncing {
    files: Option<Sender<(PathBuf, File)>>,
    /// The first that could not be.
    failed: Failed,
    thread: Option<JoinHandle<()>>,
}

impl Syncing {
    pub(crate) fn start() -> io::Result<Self> {
        let (files, to_do) = unbounded::<(PathBuf, File)>();
        let failed = Failed::default();
        let tell = Arc::clone(&failed);
        let work = move || {
            for (path, file) in to_do {
                if let Err(error) = output::sync(&file) {
                    tell.lock().get_or_insert((path, error));
                }
            }
        };
        let thread = thread::Builder::new().name("lc-sync".into()).spawn(work)?;
        Ok(Self { files: Some(files), failed, thread: Some(thread) })
    }

    /// Has a file brought to the disk; unless it `must` be, only if none waits for that.
    pub(crate) fn hand_over(&self, output: &Output, must: bool) -> Result<(), Broken> {
        let Some(files) = self.files.as_ref().filter(|files| must || files.is_empty()) else { return Ok(()) };
        let file = output.for_sync().map_err(|error| Broken::Sync(output.path.clone(), error))?;
        if let Some(file) = file {
            // The thread goes when this does.
            let _ = files.send((output.path.clone(), file));
        }
        Ok(())
    }

    pub(crate) fn check(&self) -> Result<(), Broken> {
        self.failed.lock().take().map_or(Ok(()), |(path, error)| Err(Broken::Sync(path, error)))
    }

    /// Waits until all are there.
    pub(crate) fn finish(&mut self) -> Result<(), Broken> {
        self.files = None;
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it does not panic");
        }
        self.check()
    }
}

//! Makes another file of recordings.
//!
//! ```text
//!   MCAP ──▶ records ─────────────────▶ copy ──▶ MCAP          whatever is in it, also of other programs
//!   any  ──▶ messages ──▶ translate ──▶ MCAP, JSON Lines, CSV
//!                                         └──▶ target: nothing of it is seen before it is complete
//! ```

mod copy;
mod target;
mod translate;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ::mcap::McapError;
use parking_lot::Mutex;

use crate::console::{Failure, fail};
use crate::recording::reading::{self, Format};
use target::Target;

/// What has been done so far, for those who look on; and whether it is to be given up.
#[derive(Debug, Clone, Default)]
pub(crate) struct Work(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    read: AtomicU64,
    messages: AtomicU64,
    is_given_up: AtomicBool,
    /// The file that is not complete.
    draft: Mutex<Option<PathBuf>>,
}

impl Work {
    /// How many bytes have been read, and how many messages were in them.
    pub(crate) fn done(&self) -> (u64, u64) {
        (self.0.read.load(Ordering::Relaxed), self.0.messages.load(Ordering::Relaxed))
    }

    /// Removes what is not complete at once: another signal may end the process before it is noticed here.
    pub(crate) fn give_up(&self) {
        self.0.is_given_up.store(true, Ordering::Relaxed);
        if let Some(draft) = self.0.draft.lock().take() {
            let _ = fs::remove_file(draft);
        }
    }

    fn is_given_up(&self) -> bool {
        self.0.is_given_up.load(Ordering::Relaxed)
    }

    /// So many bytes have been read, of all files.
    fn read(&self, bytes: u64) {
        self.0.read.store(bytes, Ordering::Relaxed);
    }

    fn count_message(&self) {
        self.0.messages.fetch_add(1, Ordering::Relaxed);
    }
}

/// What became of the messages.
#[derive(Debug)]
pub(crate) struct Converted {
    pub(crate) messages: u64,
    /// How many are not in the new file, by why.
    pub(crate) left_out: BTreeMap<String, u64>,
    /// How many bytes the new file has.
    pub(crate) len: u64,
}

/// Makes `to` of `files`, in this format; `replaces` if a file may be there already. `-` is stdout.
///
/// # Errors
///
/// [`Failure::Failed`] if a file cannot be read at all, or the new one not be written, or it was given up: then there is
/// no new file.
pub(crate) fn convert(
    files: &[PathBuf],
    to: &Path,
    format: Format,
    replaces: bool,
    work: &Work,
) -> Result<Converted, Failure> {
    // Before anything is written.
    let mut copies = false;
    if format == Format::Mcap {
        for file in files {
            copies |= reading::open_records(file)?.is_some();
        }
    }
    let mut target = Target::create(to, replaces)?;
    *work.0.draft.lock() = target.draft().map(Path::to_owned);
    let mut converted = Converted { messages: 0, left_out: BTreeMap::new(), len: 0 };
    if copies {
        copy::copy(files, &mut target, work, &mut converted)?;
    } else {
        translate::translate(files, &mut target, format, work, &mut converted)?;
    }
    let finished = if work.is_given_up() { None } else { Some(target.finish()) };
    match finished {
        Some(Ok(len)) => {
            converted.len = len;
            Ok(converted)
        }
        Some(Err(failure)) if !work.is_given_up() => Err(failure),
        _ if to.as_os_str() == "-" => Err(fail("stopped")),
        _ => Err(fail(format!("stopped: there is no new {}", to.display()))),
    }
}

impl Converted {
    fn leave_out(&mut self, why: String) {
        *self.left_out.entry(why).or_default() += 1;
    }
}

fn cannot_read(file: &Path, error: &io::Error) -> Failure {
    fail(format!("cannot read {}: {error}", file.display()))
}

/// An error of the library that makes MCAP: where its cause is the disk, that is what is said.
fn cannot_write(to: &Path, error: McapError) -> Failure {
    match error {
        McapError::Io(error) => fail(format!("cannot write {}: {error}", to.display())),
        error => fail(format!("cannot write {}: {error}", to.display())),
    }
}

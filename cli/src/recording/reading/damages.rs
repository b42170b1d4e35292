//! What is said of a file that is not as it should be, on stderr.

use std::path::Path;

use super::super::lock;
use super::super::words::{clock, count};
use crate::console::{complain, tell};

/// So many damaged places of a file are named.
const NAMED: u64 = 5;

/// The damaged places of a file that is being read.
#[derive(Debug, Default)]
pub(crate) struct Damages(u64);

impl Damages {
    pub(crate) fn tell(&mut self, file: &Path, what: &str) {
        self.0 += 1;
        if self.0 <= NAMED {
            complain(format_args!("{}: {what}", file.display()));
        }
    }

    pub(crate) fn are_any(&self) -> bool {
        self.0 > 0
    }

    /// At the end of the file; `last` is when its last message was recorded, in nanoseconds since 1970.
    pub(crate) fn end(self, file: &Path, is_cut_off: bool, last: Option<u64>) {
        let is_being_recorded = is_cut_off && lock::is_recorded_to(file);
        let file = file.display();
        if self.0 > NAMED {
            complain(format_args!("{file}: {} in all", count(self.0, "damaged place")));
        }
        if is_cut_off {
            tell(format_args!("{file}: {}", cut_off(is_being_recorded, last)));
        }
    }
}

/// What is there of a recording that nobody had the time to finish, or that still goes on.
pub(crate) fn cut_off(is_being_recorded: bool, last: Option<u64>) -> String {
    match (is_being_recorded, last) {
        (true, Some(last)) => format!("it is still being recorded; everything up to {} is there", clock(last)),
        (true, None) => "it is still being recorded, and has no message yet".into(),
        (false, Some(last)) => format!("the recording was cut off; everything up to {} is there", clock(last)),
        (false, None) => "the recording was cut off before its first message".into(),
    }
}

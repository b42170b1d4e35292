//! Lines for the log. The logger is the program's own code.

use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

const TARGET: &str = "leads_comm_serial";

/// Has the logger called. A panic of it costs the line, and nothing of what the line is about.
pub(crate) fn debug(line: fmt::Arguments<'_>) {
    let panicked = catch_unwind(AssertUnwindSafe(|| log::debug!(target: TARGET, "{line}"))).err();
    // Whose destructor may panic again.
    panicked.map(mem::forget).unwrap_or_default();
}

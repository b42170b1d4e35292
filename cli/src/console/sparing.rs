//! Something that may be to be said many times a second, and is said seldom.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::output::complain;

/// How long nothing is said once it has been.
const PAUSE: Duration = Duration::from_secs(10);

/// When it was said last.
#[derive(Debug, Default)]
pub(crate) struct Sparing(Mutex<Option<Instant>>);

impl Sparing {
    /// Says it on stderr, unless it was said a moment ago.
    pub(crate) fn complain(&self, line: &str) {
        let mut said = self.0.lock();
        if said.is_none_or(|said| said.elapsed() >= PAUSE) {
            *said = Some(Instant::now());
            complain(format_args!("leads-comm: {line}"));
        }
    }
}

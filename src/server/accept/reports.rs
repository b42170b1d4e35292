//! What the accepting thread tells `on_fail`: at a bounded rate, whatever callers do, and without losing how many there
//! were.

use std::io;
use std::time::{Duration, Instant};

use crate::error::{Error, RefusalCause};
use crate::service::Core;
use crate::stats::RefusalKind;

/// How often the same is told.
const INTERVAL: Duration = Duration::from_secs(1);

/// How many different failures are kept apart. Beyond them, the one told longest ago is forgotten.
const FAILURES: usize = 16;

#[derive(Default)]
pub(super) struct Reports {
    /// Callers refused, by kind.
    refused: [Pending; RefusalKind::ALL.len()],
    /// What else has been told, and when.
    failures: Vec<(Kind, Instant)>,
}

#[derive(Default)]
struct Pending {
    /// Why the last of those was refused who have not been told of; `None` when there is nobody.
    cause: Option<RefusalCause>,
    /// How many have been told of.
    told: u64,
    /// When the next ones may be told of; `None` while nobody has been.
    not_before: Option<Instant>,
}

/// What makes two failures the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Accept(io::ErrorKind, Option<i32>),
    Panic(&'static str),
    Other,
}

impl Kind {
    fn of(error: &Error) -> Self {
        match error {
            Error::Accept { source } => Self::Accept(source.kind(), source.raw_os_error()),
            Error::CallbackPanicked { callback, .. } => Self::Panic(callback),
            _ => Self::Other,
        }
    }
}

impl Reports {
    /// A caller has been refused, and counted; [`tell_due`](Self::tell_due) follows.
    pub(super) fn refused(&mut self, cause: RefusalCause) {
        let kind = cause.kind();
        self.refused[kind as usize].cause = Some(cause);
    }

    /// When there will be something to tell.
    pub(super) fn due(&self) -> Option<Instant> {
        self.refused.iter().filter_map(Pending::due).min()
    }

    /// Tells of those who have been refused, where it is time.
    pub(super) fn tell_due(&mut self, core: &Core, now: Instant) {
        for pending in &mut self.refused {
            if pending.is_due(now) {
                pending.tell(core, now);
            }
        }
    }

    /// Tells of everybody who is left.
    pub(super) fn tell_all(&mut self, core: &Core) {
        for pending in &mut self.refused {
            pending.tell(core, Instant::now());
        }
    }

    /// Tells of a failure, unless the same has been told a moment ago.
    pub(super) fn tell(&mut self, core: &Core, error: Error, now: Instant) {
        let kind = Kind::of(&error);
        self.failures.retain(|(_, told_at)| now.saturating_duration_since(*told_at) < INTERVAL);
        if self.failures.iter().any(|(told, _)| *told == kind) {
            return;
        }
        if self.failures.len() == FAILURES {
            self.failures.remove(0);
        }
        self.failures.push((kind, now));
        core.fail(&*core.callback(), &error);
    }
}

impl Pending {
    /// When the callers that have not been told of will be.
    fn due(&self) -> Option<Instant> {
        self.not_before.filter(|_| self.cause.is_some())
    }

    fn is_due(&self, now: Instant) -> bool {
        self.cause.is_some() && self.not_before.is_none_or(|at| at <= now)
    }

    fn tell(&mut self, core: &Core, now: Instant) {
        let Some(cause) = self.cause.take() else { return };
        let total = core.admission().refusals().counts().get(cause.kind());
        let callers = total - self.told;
        // They have been told of with others before: callers are refused by several threads.
        if callers == 0 {
            return;
        }
        self.told = total;
        self.not_before = Some(now + INTERVAL);
        core.fail(&*core.callback(), &Error::Refused { callers, cause });
    }
}

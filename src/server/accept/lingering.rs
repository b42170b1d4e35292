//! Callers that have been refused, and told.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::admission::goodbye::{Patience, discard};
use crate::transport::Stream;

/// How many refused streams are kept until their peers have ended them. Each holds a descriptor, and the limit on
/// connections leaves 32 for everything else.
const LINGERING: usize = 16;

/// How often those are looked at.
const LOOK: Duration = Duration::from_millis(10);

/// Streams of callers that have been told, kept for a moment so that what they still send does not turn the goodbye
/// into a reset.
#[derive(Default)]
pub(crate) struct Lingering {
    streams: VecDeque<Lingerer>,
    look_at: Option<Instant>,
}

struct Lingerer {
    stream: Box<dyn Stream>,
    patience: Patience,
    until: Instant,
}

impl Drop for Lingerer {
    fn drop(&mut self) {
        discard(&*self.stream, &mut self.patience);
    }
}

impl Lingering {
    /// Keeps one more until then; the one that has been kept longest goes for it if need be.
    pub(crate) fn keep(&mut self, stream: Box<dyn Stream>, patience: Patience, until: Instant) {
        if self.streams.len() == LINGERING {
            self.streams.pop_front();
        }
        self.streams.push_back(Lingerer { stream, patience, until });
        self.look_at.get_or_insert_with(|| Instant::now() + LOOK);
    }

    /// Lets all of them go; whether there were any.
    pub(crate) fn give_up(&mut self) -> bool {
        self.look_at = None;
        let any = !self.streams.is_empty();
        self.streams.clear();
        any
    }

    /// When to [look](Self::look) at them next.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.look_at
    }

    /// If it is time: lets those go whose peer has ended its half, has taken too long, or has sent too much.
    pub(crate) fn look(&mut self, now: Instant) {
        if self.look_at.take_if(|at| *at <= now).is_none() {
            return;
        }
        self.streams.retain_mut(|lingerer| !discard(&*lingerer.stream, &mut lingerer.patience) && lingerer.until > now);
        if !self.streams.is_empty() {
            self.look_at = Some(now + LOOK);
        }
    }
}

//! What is queued for one peer: the pump writes it.

use std::time::Instant;

use log::Level;

use super::Link;
use crate::connection::outbox::{Look, Outgoing, Patience, Step};
use crate::connection::pump::Deadline;
use crate::error::Error;
use crate::sync::later;
use crate::sync::user_code::log_enabled;

impl Link {
    /// Queues what has been checked, behind what has been gathered, for the pump to write. Never waits.
    #[inline]
    pub(crate) fn queue(&self, outgoing: Outgoing<'_>) -> Result<(), Error> {
        self.engine.broadcast_batch.settle();
        loop {
            match self.outbox.queue(outgoing) {
                Ok(step) => {
                    if log_enabled!(Level::Trace) {
                        self.trace_accepted(outgoing);
                    }
                    // Nothing has been written, so there is nothing to be answered.
                    if !matches!(step, Step::Nothing) {
                        self.take_step(step);
                    }
                    return Ok(());
                }
                Err(refused) => self.try_again(refused, outgoing, &mut Patience::none())?,
            }
        }
    }

    /// Has what is queued written, and tells when to look again. The end of a connection sees to it by itself.
    pub(super) fn check_queued(&self, now: Instant) -> Option<Instant> {
        if self.is_closed() {
            return None;
        }
        let Look { next, due, step } = self.outbox.look_after_intake();
        if let Some(due) = due {
            self.watch_for(Deadline::Interval, due);
        }
        self.follow(step);
        next.map(|next| later(now, next))
    }
}

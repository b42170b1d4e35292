//! What is sent to one peer, and what becomes of it when there is no room.

use std::sync::Arc;
use std::time::Instant;

use log::Level;

use super::Link;
use crate::context::Context;
use crate::disconnect::{DisconnectReason, OutboundLimit, Undelivered};
use crate::error::Error;
use crate::outbox::{Batch, Flushed, Outgoing, Parts, Patience, Refused};
use crate::user_code::{log_enabled, trace};

impl Link {
    /// Sends what has been checked, behind what has been gathered.
    #[inline]
    pub(crate) fn send(&self, outgoing: Outgoing<'_>, patience: &mut Patience) -> Result<(), Error> {
        self.context.gathered.settle();
        self.push(outgoing, patience)
    }

    /// Puts what has been checked into the outbox, and sees to what follows.
    #[inline]
    pub(crate) fn push(&self, outgoing: Outgoing<'_>, patience: &mut Patience) -> Result<(), Error> {
        loop {
            match self.outbox.push(outgoing, patience) {
                Ok(step) => {
                    if log_enabled!(Level::Trace) {
                        self.trace_accepted(outgoing);
                    }
                    self.follow(step);
                    return Ok(());
                }
                Err(refused) => self.try_again(refused, outgoing, patience)?,
            }
        }
    }

    /// Makes room where that is the rule; an error when it is not worth trying again.
    #[cold]
    fn try_again(&self, refused: Refused, outgoing: Outgoing<'_>, patience: &mut Patience) -> Result<(), Error> {
        match refused {
            Refused::WriteFirst => {
                self.write_ready();
                Ok(())
            }
            Refused::Closed => Err(Error::Disconnected),
            Refused::Full => Err(self.give_up_slow()),
            Refused::Dropped => Err(Error::Dropped { limit: OutboundLimit::QueuedBytes(self.context.rules.limit) }),
            Refused::OverBudget => {
                let charge = outgoing.charge(&self.context.rules);
                if self.context.find_budget(charge, patience) {
                    return Ok(());
                }
                self.outbox.drop_outgoing(outgoing);
                Err(Error::Dropped { limit: OutboundLimit::TotalQueuedBytes(self.context.rules.budget.limit()) })
            }
        }
    }

    /// Encodes messages, all of them before the first is sent, and sends them in parts that fit into half the queue.
    pub(crate) fn push_all<M: AsRef<[u8]>>(&self, messages: impl IntoIterator<Item = M>) -> Result<usize, Error> {
        let Context { settings, rules, .. } = &*self.context;
        let mut parts = Parts::new(rules);
        for message in messages {
            settings.check_message(message.as_ref())?;
            parts.add(message.as_ref());
        }
        let mut patience = rules.patience();
        let mut accepted = 0;
        for mut part in parts.finish() {
            let charge = part.iter().map(Batch::charge).sum();
            let in_budget = loop {
                if Batch::reserve_all(&mut part, &rules.budget) {
                    break true;
                }
                if !self.context.find_budget(charge, &mut patience) {
                    break false;
                }
            };
            let part: Vec<_> = part.into_iter().map(Arc::new).collect();
            let outgoing = Outgoing::Batches(&part);
            if !in_budget {
                self.outbox.drop_outgoing(outgoing);
                continue;
            }
            match self.send(outgoing, &mut patience) {
                Ok(()) => accepted += outgoing.messages(),
                Err(Error::Dropped { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(accepted)
    }

    /// Ends the connection because its queue has been full for too long.
    pub(crate) fn give_up_slow(&self) -> Error {
        let limit = OutboundLimit::QueuedBytes(self.context.rules.limit);
        self.cut_slow(limit);
        Error::SlowConsumer { limit }
    }

    /// Ends the connection because of what waits for it.
    pub(crate) fn cut_slow(&self, limit: OutboundLimit) {
        self.cut(DisconnectReason::SlowConsumer { limit, undelivered: Undelivered::default() });
    }

    /// Writes what has been queued, if nobody does.
    pub(crate) fn write_ready(&self) {
        let step = self.outbox.write_ready();
        self.follow(step);
    }

    /// Waits until what had been accepted before is written.
    pub(crate) fn flush(&self, deadline: Instant) -> Flushed {
        self.context.gathered.settle();
        self.write_ready();
        self.outbox.wait_flushed(deadline)
    }

    /// When an open connection will have been stuck for too long.
    pub(super) fn check_stall(&self, now: Instant) -> Option<Instant> {
        let stall = self.context.settings.stall_timeout;
        let at = self.outbox.stalled_at(stall)?;
        if at > now {
            return Some(at);
        }
        self.cut_slow(OutboundLimit::Stalled(stall));
        None
    }
    #[cold]
    fn trace_accepted(&self, outgoing: Outgoing<'_>) {
        let (messages, bytes) = (outgoing.messages(), outgoing.len(&self.context.rules));
        if messages == 1 {
            trace!("connection {} {}: {bytes} bytes accepted", self.id, self.peer);
        } else {
            trace!("connection {} {}: {bytes} bytes in {messages} messages accepted", self.id, self.peer);
        }
    }
}

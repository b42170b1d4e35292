//! The last value of each key, of those that the peer wants: to a newcomer, and whenever it is asked for.

use std::sync::Arc;

use super::Link;
use crate::connection::last_values::LastValues;
use crate::connection::outbox::{Batch, Outgoing, Patience, Refused};
use crate::error::{DisconnectCause, Error};
use crate::settings::{Delivery, Filter};
use crate::stats::Volume;

/// How many are queued in one step, for which broadcasts wait.
const STEP: usize = 64;

impl Link {
    /// Gives a newcomer, whose outbox is [joining](crate::connection::outbox::Outbox::begin_joining), what it wants of
    /// these, and lets it be written to. An error, after which the connection should end, is the message of a panic of
    /// its filter; it gets none of them then.
    pub(crate) fn welcome(&self, values: Vec<Arc<Batch>>) -> Result<(), String> {
        let delivery = self.outbox.delivery();
        let wanted = self.wanted(values, delivery.filter.as_ref());
        let (values, result) = match wanted {
            Ok(wanted) => (self.outbox.adapted(wanted, &delivery), Ok(())),
            Err(message) => (Vec::new(), Err(message)),
        };
        let step = self.outbox.end_joining(values);
        self.follow(step);
        result
    }

    /// Sends what it wants of `last_values`; how many were accepted. A key never goes back in time: a message that is
    /// replaced meanwhile is left out, because the one that replaces it is on its way.
    pub(crate) fn push_last_values(&self, last_values: &LastValues) -> Result<usize, Error> {
        let delivery = self.outbox.delivery();
        let (values, ()) = last_values.list(|_| ());
        let wanted = self.wanted(values, delivery.filter.as_ref()).map_err(|message| {
            let callback = "filter";
            self.close(DisconnectCause::CallbackPanicked { callback, message: message.clone() });
            Error::CallbackPanicked { callback, message }
        })?;
        let mut patience = Patience::default();
        let mut accepted = 0;
        for step in wanted.chunks(STEP) {
            accepted += self.push_while_last(last_values, step, &delivery, &mut patience)?;
        }
        Ok(accepted)
    }

    /// Of these, what the peer wants; the message of a panic.
    fn wanted(&self, values: Vec<Arc<Batch>>, filter: Option<&Filter>) -> Result<Vec<Arc<Batch>>, String> {
        let Some(filter) = filter else { return Ok(values) };
        let framing = &self.engine.rules.framing;
        let mut wanted = Vec::new();
        let mut filtered = Volume::default();
        for value in values {
            let message = framing.message_in(value.bytes()).map_err(|error| error.to_string())?;
            if filter.call(value.key(), &message)? {
                wanted.push(value);
            } else {
                filtered += Volume::new(1, value.len());
            }
        }
        self.outbox.note_filtered(filtered);
        Ok(wanted)
    }

    /// Puts those of `values` behind what waits that are still the last ones at that moment; how many.
    fn push_while_last(
        &self,
        last_values: &LastValues,
        values: &[Arc<Batch>],
        delivery: &Delivery,
        patience: &mut Patience,
    ) -> Result<usize, Error> {
        // Copied before the step, where they have to be.
        let outgoing = self.outbox.adapted(values.to_vec(), &delivery.clone().conflate(true));
        loop {
            let queued = last_values.hold(|is_last| {
                let still = values.iter().zip(&outgoing).filter(|(value, _)| is_last(value));
                let still: Vec<_> = still.map(|(_, outgoing)| Arc::clone(outgoing)).collect();
                // What has been gathered is older.
                self.engine.broadcast_batch.settle();
                self.outbox.leave(&still).map(|()| still.len())
            });
            let outgoing = Outgoing::Batches(&outgoing);
            let refused = match queued {
                Ok(count) => {
                    self.write_ready();
                    return Ok(count);
                }
                Err(Refused::Full) => match self.outbox.find_room_for(outgoing, patience) {
                    Ok(()) => continue,
                    Err(refused) => refused,
                },
                Err(refused) => refused,
            };
            match self.try_again(refused, outgoing, patience) {
                Ok(()) => {}
                Err(Error::Dropped { .. }) => return Ok(0),
                Err(error) => return Err(error),
            }
        }
    }
}

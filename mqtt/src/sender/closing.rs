//! The end in order: hand over what waits to go live, take back what is retained, say that the bridge is offline, and
//! part. Each step has its share of the time, so that a broker which does not answer costs no more than all of it.

use std::time::Instant;

use super::Sender;
use crate::receiving::until;
use crate::session;
use crate::shared::{Request, Wanted};
use crate::status::State;

/// How far the end has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// What waits goes.
    Draining,
    /// What is retained is taken back.
    Clearing,
    /// The broker is to acknowledge that, and all else.
    Settling,
    /// It has been told that this is the end, and is to end the connection.
    Parting,
}

impl Sender {
    /// Goes on with the end, which is to be over `by` then; false when there is nothing more to do for the broker.
    pub(super) fn part(&mut self, by: Instant, is_drained: bool) -> bool {
        let time = self.shared.settings.close_timeout;
        // What is left of the time for the later steps.
        let is_late = |share: u32| Instant::now() + time / share >= by;
        let Some(connection) = self.online() else { return false };
        let farewell = *self.farewell.get_or_insert(Farewell::Draining);
        // Whoever ends the connection now, there is no other one.
        self.gate.stop();
        let next = match farewell {
            Farewell::Draining if is_drained && self.own.is_empty() || is_late(2) => {
                self.own.clear_all(self.kept.take_keys());
                Farewell::Clearing
            }
            Farewell::Clearing if self.own.is_empty() || is_late(4) => {
                self.say(&connection, State::Offline);
                Farewell::Settling
            }
            Farewell::Settling if self.in_flight.len() == 0 || is_late(8) => {
                let _ = self.send(&connection, &session::disconnect());
                // Where it cannot be written, what there is to say has been said as well as it can be.
                let _ = connection.flush(until(by));
                Farewell::Parting
            }
            Farewell::Parting if Instant::now() >= by => return false,
            unchanged => unchanged,
        };
        self.farewell = Some(next);
        if next != farewell {
            self.send_own();
        }
        true
    }

    /// Ends the client, and sets aside what is left.
    pub(super) fn finish(mut self) {
        self.farewell = Some(Farewell::Parting);
        self.gate.stop();
        self.client.close();
        let request = Request {
            wanted: Wanted::Oldest { bytes: usize::MAX, most: usize::MAX },
            until: Instant::now(),
            knows_closing: true,
            tells_refused: false,
        };
        let seen = self.seen();
        let work = self.shared.wait(seen, request);
        work.news.into_iter().for_each(|news| self.hear(news));
        // Unless its end has just been told, the connection is one that does not end.
        self.take_back(Vec::new());
        work.messages.iter().for_each(|message| self.set_aside(message));
        self.handled = work.last;
        self.tell();
        let seen = self.seen();
        self.shared.note(seen);
    }
}

//! Memory that runs out, and at whose cost there is some again.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use super::Core;
use crate::connection::Connection;
use crate::connection::engine::Relief;
use crate::connection::link::Link;
use crate::error::{DisconnectCause, OutboundLimit};

/// How long a connection waits for memory for its message when there is none, before it goes itself.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often it looks meanwhile whether it is ended for another reason.
const LOOK: Duration = Duration::from_millis(10);

impl Core {
    /// When a connection that needs memory for its unfinished message now has waited for long enough.
    pub(crate) fn memory_deadline() -> Instant {
        Instant::now() + PATIENCE
    }

    /// Waits until there may be room for `bytes` more of the unfinished message of `asker`, and ends the connections
    /// with the longest ones, one after the other; at `deadline` that of `asker`, and then it is false.
    pub(crate) fn find_memory(&self, bytes: usize, asker: &Link, mut deadline: Instant) -> bool {
        let budget = &self.engine.inbound_budget.budget;
        while !budget.has_room(bytes) {
            if asker.is_discarding() {
                return false;
            }
            if Instant::now() >= deadline {
                self.end_for_memory(asker);
                return false;
            }
            if !self.evict(bytes, asker, deadline) {
                let before = Instant::now();
                budget.wait(bytes, before + LOOK);
                // The process has stood still, and with it the one that was to make room.
                if before.elapsed() > PATIENCE / 2 {
                    deadline = Self::memory_deadline();
                }
            }
        }
        true
    }

    /// Ends the connection with the longest unfinished message, unless that is `asker`, and waits until its memory has
    /// come back; one at a time, so that no more have to go than it takes. Whether it is worth looking again at once.
    fn evict(&self, bytes: usize, asker: &Link, deadline: Instant) -> bool {
        let inbound = &self.engine.inbound_budget;
        let Some(_turn) = inbound.begin_evicting() else { return false };
        if inbound.budget.has_room(bytes) {
            return true;
        }
        let longest = self.longest_unfinished().filter(|longest| longest.id() != asker.id());
        let Some(longest) = longest else { return false };
        self.end_for_memory(longest.link());
        // Its reader gives the memory back before it settles the reason.
        while longest.disconnect_reason().is_none() && !asker.is_discarding() && Instant::now() < deadline {
            if inbound.budget.wait(bytes, Instant::now() + LOOK) {
                break;
            }
        }
        true
    }

    /// At once, because the memory comes back only when the end is over.
    fn end_for_memory(&self, link: &Link) {
        link.abort(DisconnectCause::TotalUnfinishedBytes { limit: self.engine.inbound_budget.budget.limit() });
    }

    /// The connection with the longest queue, if anything waits for any: not of those who lose messages instead, and of
    /// those whose senders wait for them only where there are no others.
    fn slowest(&self) -> Option<Connection> {
        let connections = self.table.snapshot().connections;
        let rank = |connection: &Connection| {
            let (policy, bytes) = (connection.link().outbox().slow_consumer(), connection.queued_bytes());
            (!policy.drops() && bytes > 0).then_some((!policy.waits(), bytes))
        };
        let ranked = connections.iter().filter_map(|connection| Some((rank(connection)?, connection)));
        ranked.max_by_key(|(rank, _)| *rank).map(|(_, slowest)| slowest.clone())
    }

    /// The connections, that with the longest queue first.
    fn longest_first(&self) -> Vec<Connection> {
        let mut connections = self.table.snapshot().connections.to_vec();
        connections.sort_by_cached_key(|connection| Reverse(connection.queued_bytes()));
        connections
    }

    /// The open connection with the longest unfinished message, if there is any.
    fn longest_unfinished(&self) -> Option<Connection> {
        let connections = self.table.snapshot().connections;
        let open = connections.iter().filter(|connection| !connection.is_closed());
        let unfinished = open.map(|connection| (connection.link().unfinished(), connection));
        let (_, longest) = unfinished.filter(|(len, _)| *len > 0).max_by_key(|(len, _)| *len)?;
        Some(longest.clone())
    }
}

impl Relief for Core {
    fn disconnect_slowest(&self, bytes: usize) -> bool {
        let budget = &self.engine.rules.budget;
        // One at a time, so that no more have to go than it takes.
        let (going, is_new) = {
            let mut giving_room = self.giving_room.lock();
            if budget.has_room(bytes) {
                return true;
            }
            match &*giving_room {
                Some(going) if !going.link().outbox().is_over() => (going.clone(), false),
                _ => {
                    let Some(slowest) = self.slowest() else { return false };
                    *giving_room = Some(slowest.clone());
                    (slowest, true)
                }
            }
        };
        if is_new {
            going.link().abort_slow(OutboundLimit::TotalQueuedBytes(budget.limit()));
        }
        going.link().outbox().wait_until_given_up();
        let given = self.giving_room.lock().take_if(|giving_room| *giving_room == going);
        drop(given);
        true
    }

    fn drop_from_longest(&self, memory: usize) -> bool {
        self.longest_first().iter().any(|connection| connection.link().outbox().drop_for_another(memory))
    }

    fn drop_shared(&self, memory: usize) -> bool {
        let budget = &self.engine.rules.budget;
        self.longest_first().iter().any(|connection| {
            connection.link().outbox().drop_shared_for_another();
            budget.has_room(memory)
        })
    }
}

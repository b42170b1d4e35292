//! Who has left last, and why.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::connection::{Connection, ConnectionId};
use crate::error::DisconnectReason;
use crate::stats::DisconnectKind;

/// How many are remembered.
const REMEMBERED: usize = 16;

/// How long a reason is kept, in characters: what a peer or a program wrote into it may be of any length.
const REASON_LEN: usize = 200;

/// A connection that has ended, as [`Service::departures`](crate::Service::departures) remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Departure {
    /// Which connection it was.
    pub id: ConnectionId,
    /// What the peer was called.
    pub peer: String,
    /// When it ended.
    pub at: Instant,
    /// How long it had lasted.
    pub lasted: Duration,
    /// Which kind of end it was.
    pub kind: DisconnectKind,
    /// Why, as `{:#}` shows the [`DisconnectReason`], in one line of at most 200 characters.
    pub reason: String,
}

impl Departure {
    /// Of a connection that has just ended.
    pub(crate) fn new(connection: &Connection, reason: &DisconnectReason) -> Self {
        let at = Instant::now();
        Self {
            id: connection.id(),
            peer: connection.peer().to_owned(),
            at,
            lasted: at.saturating_duration_since(connection.link().since()),
            kind: reason.kind(),
            reason: format!("{reason:#}").chars().take(REASON_LEN).collect(),
        }
    }
}

/// The last ones, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Departures {
    last: VecDeque<Departure>,
}

impl Departures {
    /// Adds one. What makes room for it is returned, to be dropped where there is no lock.
    pub(crate) fn add(&mut self, departure: Departure) -> Option<Departure> {
        let forgotten = if self.last.len() < REMEMBERED { None } else { self.last.pop_front() };
        self.last.push_back(departure);
        forgotten
    }

    /// The last one first.
    pub(crate) fn list(&self) -> Vec<Departure> {
        self.last.iter().rev().cloned().collect()
    }
}

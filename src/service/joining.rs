//! How a newcomer comes in while others broadcast: it gets the last values first, and from then on every broadcast,
//! with no gap between the two, and nothing twice.
//!
//! ```text
//!   broadcast ─▶ ┌ last values: locked ──────────┐ ─▶ sends to whom it has seen, to nobody else
//!                │ notes the message             │
//!                │ sees who is connected         │
//!                └───────────────────────────────┘
//!   newcomer ──▶ ┌ last values: locked ──────────┐ ─▶ chooses of what it has listed, puts it in front of
//!                │ lists all messages            │    what has been sent to it meanwhile, and lets it be written
//!                │ keeps its outbox from writing │
//!                │ is connected                  │
//!                └───────────────────────────────┘
//! ```
//!
//! A broadcast that locks first is in the list, and is not sent to the newcomer; one that locks later is not in the
//! list, and is. The lock comes before those of the connection table and of the outboxes.

#[cfg(all(test, loom))]
mod model;

use std::sync::Arc;

use crate::connection::Connection;
use crate::connection::engine::Engine;
use crate::connection::outbox::{Batch, Broadcast};
use crate::service::table::{ConnectionTable, Snapshot};

/// Notes a message that is about to be broadcast; to whom it has to go then, and to nobody else. `None` where nothing
/// is noted, and nobody has to be left out.
#[inline]
pub(crate) fn recipients(engine: &Engine, table: &ConnectionTable, broadcast: Broadcast<'_>) -> Option<Snapshot> {
    let last_values = engine.last_values.as_ref()?;
    Some(last_values.note(broadcast.body, broadcast.key?, || table.snapshot()))
}

/// Puts a newcomer into the table; `None` when that is closed. Of what this returns, the newcomer has to be
/// [given](crate::connection::link::Link::welcome) what it wants, unless there is nothing; before, nothing is written
/// to it.
pub(crate) fn join(engine: &Engine, table: &ConnectionTable, newcomer: &Connection) -> Option<Vec<Arc<Batch>>> {
    let insert = || table.insert(newcomer.clone());
    let Some(last_values) = &engine.last_values else { return insert().then(Vec::new) };
    let (values, joined) = last_values.list(|charge| {
        if charge > 0 {
            newcomer.link().outbox().begin_joining(charge);
        }
        insert()
    });
    joined.then_some(values)
}

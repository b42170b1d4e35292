//! The one mutex over a service's live connections.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::connection::{Connection, ConnectionId};

/// Who is connected. Never locked while anything is called or written: whoever wants to do something for each
/// connection takes a [`snapshot`](Self::snapshot) first.
#[derive(Debug)]
pub(crate) struct ConnectionTable {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    open: bool,
    connections: BTreeMap<ConnectionId, Connection>,
    /// Made when asked for, kept until the table changes.
    snapshot: Option<Arc<[Connection]>>,
}

impl ConnectionTable {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(State { open: true, connections: BTreeMap::new(), snapshot: None }) }
    }

    /// Adds a connection; false when the table has been closed.
    pub(crate) fn insert(&self, connection: Connection) -> bool {
        let mut state = self.state.lock();
        if !state.open {
            return false;
        }
        let old_snapshot = state.snapshot.take();
        state.connections.insert(connection.id(), connection);
        drop(state);
        drop(old_snapshot);
        true
    }

    pub(crate) fn remove(&self, id: ConnectionId) {
        let mut state = self.state.lock();
        // Dropped after the lock: a stream's drop may be a program's own code.
        let _removed = state.connections.remove(&id);
        let _old_snapshot = state.snapshot.take();
        drop(state);
    }

    /// Everyone who is connected now, in the order of connecting.
    pub(crate) fn snapshot(&self) -> Arc<[Connection]> {
        let mut state = self.state.lock();
        let State { connections, snapshot, .. } = &mut *state;
        Arc::clone(snapshot.get_or_insert_with(|| connections.values().cloned().collect()))
    }

    pub(crate) fn len(&self) -> usize {
        self.state.lock().connections.len()
    }

    /// Refuses newcomers from now on; returns who is there to be closed.
    pub(crate) fn close(&self) -> Arc<[Connection]> {
        self.state.lock().open = false;
        self.snapshot()
    }
}

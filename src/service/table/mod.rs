//! The one mutex over a service's live connections.

#[cfg(all(test, loom))]
pub(super) mod model;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::connection::{Connection, ConnectionId};
use crate::service::departures::{Departure, Departures};
use crate::stats::{Counts, DisconnectKind, ServiceStats, Traffic};
use crate::sync::Mutex;

/// Who is connected. Never locked while anything is called or written: the thread that wants to do something for each
/// connection takes a [`snapshot`](Self::snapshot) first.
#[derive(Debug)]
pub(crate) struct ConnectionTable {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    open: bool,
    connections: BTreeMap<ConnectionId, Connection>,
    /// Counts the changes.
    generation: u64,
    /// Made when asked for, kept until the table changes.
    snapshot: Option<Arc<[Connection]>>,
    opened: u64,
    /// How those ended that are gone, and what went through them.
    ended: Counts<DisconnectKind>,
    past: Traffic,
    departures: Departures,
}

/// Who was connected at some moment, in the order of connecting. Two of the same generation are the same.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) generation: u64,
    pub(crate) connections: Arc<[Connection]>,
}

impl ConnectionTable {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                open: true,
                connections: BTreeMap::new(),
                generation: 0,
                snapshot: None,
                opened: 0,
                ended: Counts::default(),
                past: Traffic::default(),
                departures: Departures::default(),
            }),
        }
    }

    /// Adds a connection; false when the table has been closed.
    pub(crate) fn insert(&self, connection: Connection) -> bool {
        let mut state = self.state.lock();
        if !state.open {
            return false;
        }
        let old_snapshot = state.change();
        state.opened += 1;
        state.connections.insert(connection.id(), connection);
        drop(state);
        drop(old_snapshot);
        true
    }

    /// Removes a connection that ended in this way, and through which no more will go than `traffic`.
    pub(crate) fn remove(&self, departure: Departure, traffic: Traffic) {
        let mut state = self.state.lock();
        state.ended += departure.kind;
        state.past += traffic;
        // Dropped after the lock: a stream's drop may be a program's own code.
        let _removed = state.connections.remove(&departure.id);
        let _old_snapshot = state.change();
        let _forgotten = state.departures.add(departure);
        drop(state);
    }

    /// Who has left last, the last one first.
    pub(crate) fn departures(&self) -> Vec<Departure> {
        self.state.lock().departures.list()
    }

    /// Everyone who is connected now.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut state = self.state.lock();
        Snapshot { generation: state.generation, connections: state.snapshot() }
    }

    /// The connection with this id, if it is there.
    pub(crate) fn get(&self, id: ConnectionId) -> Option<Connection> {
        self.state.lock().connections.get(&id).cloned()
    }

    pub(crate) fn len(&self) -> usize {
        self.state.lock().connections.len()
    }

    /// The numbers of all that are there, and of all that have been.
    pub(crate) fn stats(&self) -> ServiceStats {
        let (mut stats, connections) = {
            let mut state = self.state.lock();
            let State { opened, ended, past: traffic, .. } = *state;
            let connections = state.snapshot();
            (ServiceStats { opened, ended, traffic, connections: connections.len(), ..Default::default() }, connections)
        };
        // Who ends meanwhile is still counted here, and was not among those who had ended.
        connections.iter().for_each(|connection| stats.traffic += connection.link().traffic());
        stats
    }

    /// Takes no more connections from now on; returns who is there to be closed.
    pub(crate) fn close(&self) -> Snapshot {
        self.state.lock().open = false;
        self.snapshot()
    }
}

impl State {
    fn snapshot(&mut self) -> Arc<[Connection]> {
        let Self { connections, snapshot, .. } = self;
        Arc::clone(snapshot.get_or_insert_with(|| connections.values().cloned().collect()))
    }

    /// Before a change: takes away the snapshot, to be dropped without the lock.
    fn change(&mut self) -> Option<Arc<[Connection]>> {
        self.generation += 1;
        self.snapshot.take()
    }
}

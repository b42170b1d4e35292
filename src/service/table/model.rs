//! The table under the model checker, with real connections.

use std::iter;
use std::net::Shutdown;
use std::sync::{Arc, Weak};
use std::{io, io::IoSlice};

use loom::thread::{self, JoinHandle};

use super::{ConnectionTable, Snapshot};
use crate::connection::engine::{Engine, Relief};
use crate::connection::{Connection, ConnectionId};
use crate::error::{DisconnectCause, DisconnectReason, Undelivered};
use crate::service::departures::Departure;
use crate::settings::Settings;
use crate::stats::Traffic;
use crate::sync::explore::explore;
use crate::transport::Stream;

/// It takes everything.
struct Sink;

pub(in crate::service) struct NoRelief;

/// Some connections and the table they come into.
struct Service {
    table: ConnectionTable,
    connections: Vec<Connection>,
    /// How each of them ends; made beforehand, since to ask a connection is a step more to explore.
    departures: Vec<Departure>,
}

impl Service {
    fn new(connections: u64) -> Arc<Self> {
        let engine = Arc::new(Engine::new(Settings::default(), Weak::<NoRelief>::new()));
        let connect = |id| {
            Connection::new(ConnectionId(id), Arc::new(Sink), engine.settings.delivery.clone(), Arc::clone(&engine))
        };
        let connections: Vec<_> = (0..connections).map(connect).collect();
        let reason = DisconnectReason::new(DisconnectCause::LocalAbort, Undelivered::default());
        let departures = connections.iter().map(|connection| Departure::new(connection, &reason)).collect();
        Arc::new(Self { table: ConnectionTable::new(), connections, departures })
    }

    fn spawn<T: 'static>(self: &Arc<Self>, work: impl FnOnce(&Self) -> T + 'static) -> JoinHandle<T> {
        let service = Arc::clone(self);
        thread::spawn(move || work(&service))
    }

    fn insert(&self, id: u64) -> bool {
        self.table.insert(self.connections[id as usize].clone())
    }

    fn remove(&self, id: u64) {
        self.table.remove(self.departures[id as usize].clone(), Traffic::default());
    }

    /// Inserts, looks, removes, and looks again. Whether it was there, and what was seen.
    fn come_and_go(&self, id: u64) -> (bool, [Snapshot; 2]) {
        let inserted = self.insert(id);
        let there = self.table.snapshot();
        assert_eq!(has(&there, id), inserted, "between its insert and its remove");
        if inserted {
            self.remove(id);
        }
        let gone = self.table.snapshot();
        assert!(!has(&gone, id), "there after its remove");
        (inserted, [there, gone])
    }
}

fn has(snapshot: &Snapshot, id: u64) -> bool {
    ids(snapshot).any(|other| other == id)
}

fn ids(snapshot: &Snapshot) -> impl Iterator<Item = u64> + Clone {
    snapshot.connections.iter().map(|connection| connection.id().0)
}

fn join<T>(thread: JoinHandle<T>) -> T {
    thread.join().expect("no model goes on after a panic")
}

/// Two snapshots of one generation are the same; a later one has no lower generation.
fn assert_generations(snapshots: &[Snapshot]) {
    for first in snapshots {
        assert!(ids(first).is_sorted());
        for second in snapshots {
            assert!(first.generation != second.generation || ids(first).eq(ids(second)), "one generation, two states");
        }
    }
}

#[test]
fn table_come_and_go() {
    explore("table_come_and_go", None, || {
        let service = Service::new(3);
        assert!(service.insert(2));
        let others = [0, 1].map(|id| service.spawn(move |service| service.come_and_go(id)));
        let mut seen: Vec<_> = iter::repeat_with(|| service.table.snapshot()).take(2).collect();
        assert!(seen.iter().all(|snapshot| has(snapshot, 2)));
        assert!(seen.is_sorted_by_key(|snapshot| snapshot.generation));
        for (inserted, snapshots) in others.map(join) {
            assert!(inserted);
            seen.extend(snapshots);
        }
        assert_generations(&seen);
        assert_eq!(service.table.len(), 1);
    });
}

/// After the table has been closed none comes in; who was in is in the snapshot that is then closed.
#[test]
fn table_close() {
    explore("table_close", None, || {
        let service = Service::new(2);
        let comers = [0, 1].map(|id| service.spawn(move |service| service.insert(id)));
        let closed = service.table.close();
        let inserted = comers.map(join);
        for (id, inserted) in inserted.into_iter().enumerate() {
            assert_eq!(has(&closed, id as u64), inserted, "in the table, and nobody closes it");
        }
        assert!(!service.insert(0), "came in after the close");
        assert_eq!(service.table.len(), inserted.into_iter().filter(|inserted| *inserted).count());
    });
}

/// Those who are closed leave by themselves, each once, while others come.
#[test]
fn table_close_and_leave() {
    explore("table_close_and_leave", 4, || {
        let service = Service::new(3);
        assert!(service.insert(2));
        let others = [0, 1].map(|id| service.spawn(move |service| service.come_and_go(id)));
        let closed = service.table.close();
        service.remove(2);
        let mut seen = vec![closed, service.table.snapshot()];
        assert!(has(&seen[0], 2) && !has(&seen[1], 2));
        others.map(join).into_iter().for_each(|(_, snapshots)| seen.extend(snapshots));
        assert_generations(&seen);
        assert_eq!(service.table.len(), 0, "somebody survives the close");
    });
}

impl Stream for Sink {
    fn read(&self, _: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(buffers.iter().map(|buffer| buffer.len()).sum())
    }

    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_vectored(buffers)
    }

    fn shutdown(&self, _: Shutdown) -> io::Result<()> {
        Ok(())
    }

    fn peer(&self) -> String {
        "sink".to_owned()
    }
}

impl Relief for NoRelief {
    fn disconnect_slowest(&self, _: usize) -> bool {
        false
    }

    fn drop_from_longest(&self, _: usize) -> bool {
        false
    }

    fn drop_shared(&self, _: usize) -> bool {
        false
    }
}

//! One message to every connection, encoded once.
//!
//! A lone broadcast is put into each outbox and written at once, on the caller's thread. Broadcasts in a tight loop are
//! *gathered*: many messages become one batch, which is then queued for everyone and written with one call per peer.
//! The pump ticks meanwhile, so that nothing waits long. Peers whose queue has no room for a whole batch are not in it,
//! and hold nobody up: they are sent each message by itself, under the rule for full queues.

use std::collections::VecDeque;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use crate::connection::Connection;
use crate::connection::engine::Engine;
use crate::connection::outbox::{
    BATCH_LEN, Batch, Broadcast, GATHERED_CHARGE, GatherOutcome, Outgoing, Patience, Rules, Rush, SHORT,
};
use crate::connection::pump::Tick;
use crate::service::joining;
use crate::service::table::{ConnectionTable, Snapshot};
use crate::sync::user_code::trace;
use crate::sync::{Mutex, now};

/// How many broadcasts are written one by one before a tight loop is taken for one: few, because each is a write to
/// every peer.
const TIGHT: u32 = 4;

/// How long a broadcast takes of which one is enough: what is gathered waits for a tick, which is nothing beside it.
const LONG: Duration = Duration::from_millis(2);

pub(crate) struct Broadcaster {
    state: Mutex<State>,
}

struct State {
    /// While it is on, broadcasts are gathered.
    rush: Rush,
    /// For how many connections the batch is.
    members: usize,
    /// Those without room for a whole batch.
    others: Arc<[Connection]>,
    /// How many of those who gather are writing a batch.
    writing: usize,
}

/// What gathering came to.
enum Outcome {
    Accepted(usize),
    /// It is written by itself.
    Lone,
}

impl Broadcaster {
    pub(crate) fn new() -> Self {
        let rush = Rush::new(TIGHT, LONG);
        Self { state: Mutex::new(State { rush, members: 0, others: Arc::default(), writing: 0 }) }
    }

    /// Sends a message to everyone; by how many it was accepted.
    /// `start_ticks` lets the pump tick.
    pub(crate) fn broadcast(
        &self,
        engine: &Engine,
        table: &ConnectionTable,
        broadcast: Broadcast<'_>,
        start_ticks: impl Fn(),
    ) -> usize {
        let noted = joining::recipients(engine, table, broadcast);
        let recipients = || noted.clone().unwrap_or_else(|| table.snapshot());
        if may_gather(&engine.rules, broadcast.body) {
            if let Outcome::Accepted(accepted) = self.gather(engine, recipients, broadcast, start_ticks) {
                return accepted;
            }
        }
        let accepted = send_to(engine, broadcast, recipients().connections.iter());
        self.state.lock().rush.pace.wrote(now());
        accepted
    }

    /// The pump's look: queues and writes what has been left for a tick.
    pub(crate) fn tick(&self, engine: &Engine, table: &ConnectionTable) -> Tick {
        let tick = {
            let mut state = self.state.lock();
            if state.writing > 0 {
                return Tick::Later;
            }
            let tick = state.rush.tick();
            if tick == Tick::Done {
                state.others = Arc::default();
            }
            tick
        };
        match tick {
            Tick::Later => return tick,
            Tick::Soon => engine.broadcast_batch.settle(),
            Tick::Done => engine.broadcast_batch.end(),
        }
        if engine.broadcast_batch.take_unwritten() {
            write_to(&table.snapshot());
        }
        tick
    }

    fn gather(
        &self,
        engine: &Engine,
        recipients: impl Fn() -> Snapshot,
        broadcast: Broadcast<'_>,
        start_ticks: impl Fn(),
    ) -> Outcome {
        loop {
            let snapshot = recipients();
            let mut state = self.state.lock();
            if !state.rush.is_on() {
                if !state.rush.pace.is_tight(now()) {
                    return Outcome::Lone;
                }
                if state.rush.begin() {
                    start_ticks();
                }
            }
            match engine.broadcast_batch.gather(snapshot.generation, broadcast.body) {
                GatherOutcome::Gathered => {
                    state.rush.note_queued(1);
                    let (members, others) = (state.members, Arc::clone(&state.others));
                    drop(state);
                    trace!("{} bytes gathered for {members} connections", broadcast.message.len());
                    let others = if others.is_empty() { 0 } else { push_to(engine, broadcast, others.iter()) };
                    return Outcome::Accepted(members + others);
                }
                GatherOutcome::OverBudget => return Outcome::Lone,
                GatherOutcome::NoBatch => {}
            }
            let connections = &snapshot.connections;
            let others = engine
                .broadcast_batch
                .begin(snapshot.generation, connections.iter().map(|connection| connection.link().outbox()));
            state.members = connections.len() - others.len();
            state.others = others.into_iter().map(|position| connections[position].clone()).collect();
            state.writing += 1;
            drop(state);
            if engine.broadcast_batch.take_unwritten() {
                write_to(&snapshot);
            }
            let mut state = self.state.lock();
            state.writing -= 1;
            state.rush.note_written();
        }
    }
}

/// Whether it pays to join a message with others, and every queue can hold a batch of them.
fn may_gather(rules: &Rules, body: &[u8]) -> bool {
    rules.coalesce && body.len() <= BATCH_LEN / 2 && GATHERED_CHARGE <= rules.delivery.max_queued_bytes
}

/// Sends a message to each of these, now, behind what has been gathered; by how many it was accepted.
pub(crate) fn send_to<'a>(
    engine: &Engine,
    broadcast: Broadcast<'_>,
    connections: impl Iterator<Item = &'a Connection>,
) -> usize {
    engine.broadcast_batch.settle();
    push_to(engine, broadcast, connections)
}

/// Queues a message for each of these, for the pump to write; by how many it was accepted. Never waits.
pub(crate) fn queue_to<'a>(
    engine: &Engine,
    broadcast: Broadcast<'_>,
    connections: impl Iterator<Item = &'a Connection>,
) -> usize {
    let Broadcast { body, key, .. } = broadcast;
    // What is short every queue has a copy of in any case. So has each if there is no memory for one that they share.
    let is_shared = body.len() > SHORT;
    let shared = is_shared.then(|| engine.rules.shared_batch_of(body, key).ok()).flatten();
    let outgoing = match &shared {
        Some(batch) => Outgoing::Batches(slice::from_ref(batch)),
        None => Outgoing::Message { message: body, key },
    };
    let wanted = connections.filter(|connection| connection.link().wants(broadcast));
    wanted.filter(|connection| connection.link().queue(outgoing).is_ok()).count()
}

/// Sends a message to each of these, whom nothing has been gathered for.
fn push_to<'a>(engine: &Engine, broadcast: Broadcast<'_>, connections: impl Iterator<Item = &'a Connection>) -> usize {
    let mut patience = Patience::default();
    let connections = connections.filter(|connection| connection.link().wants(broadcast));
    match engine.rules.shared_batch_of(broadcast.body, broadcast.key) {
        Ok(batch) => push_batch(batch, connections, &mut patience),
        Err(_) => push_over_budget(engine, broadcast, connections, &mut patience),
    }
}

/// Sends a message to each of these although all outboxes together are full: first to those who take what they are
/// sent, from where it lies; to the others when there is room for it.
#[cold]
fn push_over_budget<'a>(
    engine: &Engine,
    broadcast: Broadcast<'_>,
    connections: impl Iterator<Item = &'a Connection>,
    patience: &mut Patience,
) -> usize {
    let outgoing = broadcast.outgoing();
    let (behind, others): (Vec<_>, Vec<_>) = connections.partition(|connection| connection.link().outbox().is_behind());
    let accepted = others.iter().filter(|connection| connection.link().push(outgoing, patience).is_ok()).count();
    // Who loses what does not fit waits for nothing, and nobody has to go for it.
    let behind = behind.into_iter().map(|connection| (connection.link().outbox().slow_consumer(), connection));
    let (losing, behind): (Vec<_>, Vec<_>) = behind.partition(|(policy, _)| policy.drops());
    losing.iter().for_each(|(_, connection)| connection.link().outbox().drop_outgoing(outgoing));
    // First those who do not wait, so that they are not held up by those who do.
    let (waiting, others): (Vec<_>, Vec<_>) = behind.into_iter().partition(|(policy, _)| policy.waits());
    let mut behind: VecDeque<_> = others.into_iter().chain(waiting).collect();
    while let Some((policy, first)) = behind.front().copied() {
        match engine.rules.shared_batch_of(broadcast.body, broadcast.key) {
            Ok(batch) => {
                let behind = behind.into_iter().map(|(_, connection)| connection);
                return accepted + push_batch(batch, behind, patience);
            }
            Err(lacking) if engine.find_budget(lacking, policy, patience) => {}
            Err(_) => {
                first.link().outbox().drop_outgoing(outgoing);
                behind.pop_front();
            }
        }
    }
    accepted
}

/// Puts a batch into the outbox of each of these; by how many it was accepted.
fn push_batch<'a>(
    batch: Arc<Batch>,
    connections: impl Iterator<Item = &'a Connection>,
    patience: &mut Patience,
) -> usize {
    let batch = [batch];
    let outgoing = Outgoing::Batches(&batch);
    let mut accepted = 0;
    // Who has no room and is waited for comes when everybody else has been served, all of them together.
    let mut full = Vec::new();
    for connection in connections {
        let link = connection.link();
        if link.outbox().would_block(outgoing) {
            full.push(connection);
        } else if link.push(outgoing, patience).is_ok() {
            accepted += 1;
        }
    }
    for connection in full {
        if connection.link().push(outgoing, patience).is_ok() {
            accepted += 1;
        }
    }
    accepted
}

/// Writes what is queued for anyone, where nobody does.
fn write_to(snapshot: &Snapshot) {
    for connection in snapshot.connections.iter() {
        connection.link().write_ready();
    }
}

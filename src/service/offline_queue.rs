//! What the senders of a client that connects again send on: the connection that there is, or else a bounded queue for
//! the next one.
//!
//! A message goes to one of the two, and from the queue to one connection, so that nothing is sent twice. The queue is
//! put into the outbox of a connection before anybody can send to that one, and under the lock that keeps others from
//! adding to the queue: so what was accepted earlier is sent earlier, on whatever thread.
//!
//! The lock comes before that of the connection table and those of the outboxes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use crate::connection::Connection;
use crate::connection::engine::Engine;
use crate::connection::outbox::{Batch, Expiry, Lacking, Parts, Purpose, Queue, bodies};
use crate::error::{Error, OutboundLimit};
use crate::settings::{Key, OVERHEAD, countable};
use crate::stats::Volume;

pub(crate) struct OfflineQueue {
    engine: Arc<Engine>,
    /// What the queue may be charged.
    limit: usize,
    state: Mutex<State>,
    /// The queue has gone to a connection, or the client is closed.
    changed: Condvar,
}

struct State {
    stage: Stage,
    /// Absent from the moment on that it is known to refuse.
    connection: Option<Connection>,
    queue: Queue,
    /// What a connection was to take that came too late.
    lost: Volume,
    /// The bodies of what is lost, where they are kept.
    unsent: Vec<Vec<u8>>,
    /// How many connections there have been.
    connections: u64,
}

/// A message that is to wait.
struct Kept<'a> {
    /// What is [written](crate::codec::Framing::body) of it.
    body: Cow<'a, [u8]>,
    key: Option<Key>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    NotStarted,
    Running,
    Closed,
}

impl OfflineQueue {
    pub(crate) fn new(engine: Arc<Engine>, limit: usize) -> Self {
        let queue = engine.rules.empty_queue();
        let state = State {
            stage: Stage::default(),
            connection: None,
            queue,
            lost: Volume::default(),
            unsent: Vec::new(),
            connections: 0,
        };
        Self { engine, limit, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// From now on messages are queued while there is no connection; unless it has been closed.
    pub(crate) fn open(&self) {
        let mut state = self.state.lock();
        if state.stage == Stage::NotStarted {
            state.stage = Stage::Running;
        }
    }

    /// From now on nothing is queued.
    pub(crate) fn close(&self) {
        self.state.lock().stage = Stage::Closed;
        self.changed.notify_all();
    }

    /// What is left in the queue of a client that ends; it is gone then, and nothing is queued from now on: the
    /// thread that closes the client may still be about to [say so](Self::close).
    pub(crate) fn end(&self) -> Volume {
        let mut state = self.state.lock();
        state.stage = Stage::Closed;
        let (left, mut queue) = state.queue.clear();
        let lost = std::mem::take(&mut state.lost) + left.into();
        if self.engine.rules.keep_unsent {
            state.unsent.extend(bodies(&mut queue, &[], &self.engine.rules));
        }
        self.changed.notify_all();
        drop(state);
        drop(queue);
        lost
    }

    /// The payloads of what was left at the end, where they are kept.
    pub(crate) fn take_unsent(&self) -> Vec<Vec<u8>> {
        let unsent = std::mem::take(&mut self.state.lock().unsent);
        // A framing may be the program's, and is called without the lock.
        self.engine.rules.framing.messages_of(unsent)
    }

    /// Gives `connection` what is queued, and makes it the one that is sent to, if `join` adds it to those of the
    /// service. Somebody has to [write](crate::connection::link::Link::write_ready) what it was given.
    pub(crate) fn attach(&self, connection: &Connection, join: impl FnOnce() -> bool) -> bool {
        let mut state = self.state.lock();
        let queue = std::mem::replace(&mut state.queue, self.engine.rules.empty_queue());
        let outbox = connection.link().outbox();
        outbox.begin_with(queue);
        let joined = join();
        if joined {
            state.connection = Some(connection.clone());
            state.connections += 1;
        } else {
            outbox.abort();
            state.lost = outbox.lost().unsent;
            state.unsent = outbox.take_unsent();
        }
        self.changed.notify_all();
        joined
    }

    /// No more is sent to `connection`, which has ended or is about to.
    pub(crate) fn detach(&self, connection: &Connection) {
        let given_up = self.state.lock().connection.take_if(|current| current == connection);
        drop(given_up);
    }

    /// Has one message sent on the connection that there is, or queues it.
    pub(crate) fn send_by(&self, message: &[u8], send: impl Fn(&Connection) -> Result<(), Error>) -> Result<(), Error> {
        loop {
            let Some(connection) = self.state.lock().connection.clone() else {
                let kept = self.kept(message)?;
                let mut state = self.state.lock();
                if state.connection.is_some() {
                    continue;
                }
                return self.queue(&mut state, &[kept]);
            };
            match send(&connection) {
                Err(Error::Disconnected) => self.detach(&connection),
                result => return result,
            }
        }
    }

    /// Sends several messages, or queues all of them or none.
    pub(crate) fn send_all<M: AsRef<[u8]>>(&self, messages: impl IntoIterator<Item = M>) -> Result<usize, Error> {
        let connection = self.state.lock().connection.clone();
        if let Some(connection) = connection.filter(|connection| !connection.is_closed()) {
            // Not sent again when it fails: some may have been accepted.
            return connection.send_all(messages);
        }
        // Before the lock, because the iterator is the program's code.
        let messages: Vec<M> = messages.into_iter().collect();
        let kept = messages.iter().map(|message| self.kept(message.as_ref())).collect::<Result<Vec<_>, _>>()?;
        loop {
            let mut state = self.state.lock();
            let Some(connection) = state.connection.clone() else {
                return self.queue(&mut state, &kept).map(|()| kept.len());
            };
            drop(state);
            if !connection.is_closed() {
                return connection.send_all(&messages);
            }
            self.detach(&connection);
        }
    }

    /// Waits until what is queued has gone to a connection, at most until `deadline`; how many bytes have not.
    pub(crate) fn wait_until_empty(&self, deadline: Instant) -> usize {
        let mut state = self.state.lock();
        let connections = state.connections;
        while state.stage == Stage::Running && state.connections == connections && !state.queue.is_empty() {
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                return state.queue.bytes();
            }
        }
        0
    }

    /// A message as it waits here, with its key where a newer one may replace it. Not under the lock: it takes the
    /// program's code.
    fn kept<'a>(&self, message: &'a [u8]) -> Result<Kept<'a>, Error> {
        let body = self.engine.settings.body_of(message)?;
        let conflates = self.engine.rules.delivery.conflate;
        Ok(Kept { body, key: if conflates { self.engine.key_of(message)? } else { None } })
    }

    /// Queues messages, all of them or none.
    fn queue(&self, state: &mut State, messages: &[Kept<'_>]) -> Result<(), Error> {
        if state.stage != Stage::Running || self.limit == 0 {
            return Err(Error::NotConnected);
        }
        let rules = &self.engine.rules;
        if let Some(lifespan) = rules.delivery.lifespan {
            state.queue.drop_expired(Expiry { now: Instant::now(), lifespan });
        }
        let mut charged = state.queue.charged();
        let mut newest: HashMap<&Key, usize> = HashMap::new();
        for Kept { body, key } in messages {
            let charge = rules.len_of(body) + OVERHEAD;
            charged = charged.saturating_add(charge);
            if let Some(key) = key {
                let before = newest.insert(key, charge);
                charged -= before.unwrap_or_else(|| state.queue.charge_of_newest(key));
            }
        }
        if charged > countable(self.limit) {
            return Err(Error::KeptFull { limit: OutboundLimit::QueuedBytes(self.limit) });
        }
        let apart = rules.delivery.lifespan.is_some() || !newest.is_empty();
        let queued = match messages {
            _ if apart => self.queue_apart(state, messages),
            [message] => state.queue.append(rules.pieces(&message.body), Purpose::Queue),
            _ => self.queue_joined(state, messages),
        };
        queued.map_err(|_| Error::KeptFull { limit: OutboundLimit::TotalQueuedBytes(rules.budget.limit()) })
    }

    fn queue_joined(&self, state: &mut State, messages: &[Kept<'_>]) -> Result<(), Lacking> {
        let mut parts = Parts::new(&self.engine.rules, usize::MAX);
        messages.iter().for_each(|message| parts.add(&message.body));
        let mut batches: Vec<Batch> = parts.finish().into_iter().flatten().collect();
        Batch::reserve_all(&mut batches, &self.engine.rules.budget, Purpose::Queue)?;
        batches.into_iter().for_each(|batch| state.queue.push(Arc::new(batch)));
        Ok(())
    }

    /// Queues each message by itself, when there is memory for all of them.
    fn queue_apart(&self, state: &mut State, messages: &[Kept<'_>]) -> Result<(), Lacking> {
        let rules = &self.engine.rules;
        let batches = messages.iter().map(|Kept { body, key }| rules.batch_of(body, key.as_ref(), Purpose::Queue));
        for batch in batches.collect::<Result<Vec<_>, _>>()? {
            match batch.key().cloned() {
                Some(key) => state.queue.push_newest_anyway(&key, batch),
                None if rules.delivery.lifespan.is_some() => state.queue.push_alone(batch),
                None => state.queue.push(batch),
            }
        }
        // Of what was replaced, or has become too old, nobody asks.
        state.queue.take_gone();
        Ok(())
    }
}

//! What the senders of a client that connects again send on: the connection that there is, or else a bounded queue for
//! the next one.
//!
//! A message goes to one of the two, and from the queue to one connection, so that nothing is sent twice. The queue is
//! put into the outbox of a connection before anybody can send to that one, and under the lock that keeps others from
//! adding to the queue: so what was accepted earlier is sent earlier, on whatever thread.
//!
//! The lock comes before that of the connection table and those of the outboxes.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use crate::connection::Connection;
use crate::connection::engine::Engine;
use crate::connection::outbox::{BATCH_LEN, Batch, Purpose};
use crate::error::{Error, OutboundLimit};
use crate::settings::OVERHEAD;
use crate::stats::Volume;

pub(crate) struct OfflineQueue {
    engine: Arc<Engine>,
    /// What the queue may be charged.
    limit: usize,
    state: Mutex<State>,
    /// The queue has gone to a connection, or the client is closed.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    stage: Stage,
    /// Absent from the moment on that it is known to refuse.
    connection: Option<Connection>,
    queue: Vec<Arc<Batch>>,
    charged: usize,
    /// What a connection was to take that came too late.
    lost: Volume,
    /// How many connections there have been.
    connections: u64,
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
        Self { engine, limit, state: Mutex::default(), changed: Condvar::new() }
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
    pub(crate) fn take_unsent(&self) -> Volume {
        let mut state = self.state.lock();
        state.stage = Stage::Closed;
        let queue = state.empty();
        let lost = std::mem::take(&mut state.lost);
        self.changed.notify_all();
        lost + volume_of(&queue)
    }

    /// Gives `connection` what is queued, and makes it the one that is sent to, if `join` adds it to those of the
    /// service. Somebody has to [write](crate::connection::link::Link::write_ready) what it was given.
    pub(crate) fn attach(&self, connection: &Connection, join: impl FnOnce() -> bool) -> bool {
        let mut state = self.state.lock();
        let queue = state.empty();
        let unsent = volume_of(&queue);
        for batch in queue {
            connection.link().outbox().enqueue(&batch);
        }
        let joined = join();
        if joined {
            state.connection = Some(connection.clone());
            state.connections += 1;
        } else {
            state.lost = unsent;
        }
        self.changed.notify_all();
        joined
    }

    /// No more is sent to `connection`, which has ended or is about to.
    pub(crate) fn detach(&self, connection: &Connection) {
        let given_up = self.state.lock().connection.take_if(|current| current == connection);
        drop(given_up);
    }

    /// Sends one message, or queues it.
    pub(crate) fn send(&self, message: &[u8]) -> Result<(), Error> {
        loop {
            let mut state = self.state.lock();
            let Some(connection) = state.connection.clone() else {
                return self.queue(&mut state, &[message]);
            };
            drop(state);
            match connection.send(message) {
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
        let messages: Vec<&[u8]> = messages.iter().map(AsRef::as_ref).collect();
        loop {
            let mut state = self.state.lock();
            let Some(connection) = state.connection.clone() else {
                return self.queue(&mut state, &messages).map(|()| messages.len());
            };
            drop(state);
            if !connection.is_closed() {
                return connection.send_all(messages);
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
                return state.queue.iter().map(|batch| batch.len()).sum();
            }
        }
        0
    }

    fn queue(&self, state: &mut State, messages: &[&[u8]]) -> Result<(), Error> {
        if state.stage != Stage::Running || self.limit == 0 {
            return Err(Error::NotConnected);
        }
        let Engine { settings, rules, .. } = &*self.engine;
        let separator = rules.separator.as_bytes();
        let mut charge: usize = 0;
        for message in messages {
            settings.check_message(message)?;
            charge = charge.saturating_add(message.len() + separator.len() + OVERHEAD);
        }
        if charge > self.limit - state.charged {
            return Err(Error::KeptFull { limit: OutboundLimit::QueuedBytes(self.limit) });
        }
        let before = (state.queue.len(), state.queue.last().map_or(0, |batch| batch.messages()));
        for message in messages {
            let fits = |batch: &&mut Batch| batch.len() + message.len() + separator.len() <= BATCH_LEN;
            let accepted = match state.queue.last_mut().and_then(Arc::get_mut).filter(fits) {
                Some(batch) => batch.push(message, separator, Purpose::Queue),
                None => {
                    let batch = Batch::of(message, None, separator, &rules.budget, Purpose::Queue);
                    batch.map(|batch| state.queue.push(Arc::new(batch)))
                }
            };
            if accepted.is_err() {
                state.take_back(before);
                return Err(Error::KeptFull { limit: OutboundLimit::TotalQueuedBytes(rules.budget.limit()) });
            }
        }
        state.charged += charge;
        Ok(())
    }
}

impl State {
    /// Takes what has been added to so many batches, the last of which had so many messages.
    fn take_back(&mut self, (batches, messages): (usize, usize)) {
        self.queue.truncate(batches);
        if let Some(last) = self.queue.last_mut().and_then(Arc::get_mut) {
            last.truncate(messages);
        }
    }

    fn empty(&mut self) -> Vec<Arc<Batch>> {
        self.charged = 0;
        std::mem::take(&mut self.queue)
    }
}

fn volume_of(queue: &[Arc<Batch>]) -> Volume {
    let batches = queue.iter().map(|batch| (batch.messages(), batch.len()));
    batches.fold(Volume::default(), |sum, (messages, bytes)| sum + Volume::new(messages, bytes))
}

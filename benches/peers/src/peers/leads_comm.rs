//! Ours, through the public API, as a program uses it.

use std::sync::Arc;
use std::time::Duration;

use leads_comm::{Callback, Connection, DisconnectReason, Service, SlowConsumer};

use super::{Client, Failure, Peer, Receive, Server};
use crate::tally::{Latch, Trips};
use crate::task::{Messages, QUEUE_LIMIT, Queue, Task};

pub(super) struct LeadsComm {
    /// Whether messages are sent with `send_all`, many at a time.
    pub(super) batch: bool,
}

/// How many messages go into one `send_all`, and about how many bytes at the most.
const BATCH: usize = 1024;
const BATCH_LEN: usize = 256 * 1024;

/// Longer than any run: senders wait, and nothing is lost.
const PATIENCE: Duration = Duration::from_secs(60);

/// More than any run sends to one connection.
pub(crate) const ROOM: usize = 64 * 1024 * 1024;

impl Peer for LeadsComm {
    fn listen(&self, task: &Task, receive: Receive, hall: Arc<Latch>) -> Result<Box<dyn Server>, Failure> {
        // The limit is not what is measured.
        let builder = leads_comm::Server::builder()
            .port(0)
            .max_connections(usize::MAX)
            .callback(Handler { receive, hall: Some(hall) });
        let server = match task.queue {
            Queue::Wait => builder.slow_consumer(SlowConsumer::Block(PATIENCE)),
            Queue::Roomy => builder.max_queued_bytes(ROOM),
            Queue::Limited => builder.max_queued_bytes(QUEUE_LIMIT),
        }
        .build()?;
        server.start(true)?;
        Ok(Box::new(server))
    }

    fn connect(&self, _task: &Task, port: u16, receive: Receive) -> Result<Box<dyn Client>, Failure> {
        let client = leads_comm::Client::builder()
            .port(port)
            .slow_consumer(SlowConsumer::Block(PATIENCE))
            .callback(Handler { receive, hall: None })
            .build()?;
        client.start("127.0.0.1", true)?;
        Ok(if self.batch { Box::new(Batches(client)) } else { Box::new(client) })
    }
}

struct Handler {
    receive: Receive,
    hall: Option<Arc<Latch>>,
}

impl Callback for Handler {
    fn on_connect(&self, _service: &dyn Service, _connection: &Connection) {
        if let Some(hall) = &self.hall {
            hall.add();
        }
    }

    fn on_disconnect(&self, _service: &dyn Service, _connection: &Connection, _reason: &DisconnectReason) {
        if let Some(hall) = &self.hall {
            hall.end();
        }
    }

    fn on_receive(&self, _service: &dyn Service, connection: &Connection, message: &[u8]) {
        // That an answer cannot be sent shows in the counts.
        match &self.receive {
            Receive::Nothing => {}
            Receive::Count(tally) => tally.add(message),
            Receive::Echo => drop(connection.send(message)),
            Receive::Trips(trips) => {
                if trips.again(message) {
                    let _ = connection.send(&trips.message);
                }
            }
        }
    }
}

impl Server for leads_comm::Server {
    fn port(&self) -> u16 {
        self.port()
    }

    fn broadcast(&self, messages: &mut Messages) -> Result<(), Failure> {
        while let Some(message) = messages.advance() {
            self.broadcast(message)?;
        }
        Ok(())
    }
}

impl Client for leads_comm::Client {
    fn send(&self, messages: &mut Messages) -> Result<(), Failure> {
        while let Some(message) = messages.advance() {
            self.send(message)?;
        }
        Ok(())
    }

    fn make_trips(&self, trips: &Arc<Trips>) -> Result<(), Failure> {
        trips.begin();
        self.send(&trips.message)?;
        trips.wait();
        Ok(())
    }

    fn close(self: Box<Self>) {
        leads_comm::Client::close(&self);
    }
}

/// A client that sends many messages in one call.
struct Batches(leads_comm::Client);

impl Client for Batches {
    fn send(&self, messages: &mut Messages) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        let mut ends = Vec::with_capacity(BATCH);
        while messages.left() > 0 {
            bytes.clear();
            ends.clear();
            while ends.len() < BATCH && bytes.len() < BATCH_LEN {
                let Some(message) = messages.advance() else { break };
                bytes.extend_from_slice(message);
                ends.push(bytes.len());
            }
            let starts = std::iter::once(0).chain(ends.iter().copied());
            self.0.send_all(starts.zip(&ends).map(|(start, end)| &bytes[start..*end]))?;
        }
        Ok(())
    }

    fn make_trips(&self, trips: &Arc<Trips>) -> Result<(), Failure> {
        Client::make_trips(&self.0, trips)
    }

    fn close(self: Box<Self>) {
        self.0.close();
    }
}

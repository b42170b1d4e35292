//! The server of the page: each browser is a connection, served as its link allows. The hub is the only one that sends.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use leads_comm::codec::Framing;
use leads_comm::stats::Traffic;
use leads_comm::transport::Listener;
use leads_comm::{Callback, Connection, Delivery, MemoryLimits, Server, ServerBuilder, Service, SlowConsumer};
use parking_lot::Mutex;

use super::desk::Desk;
use super::pictures::{LARGEST, LONGEST_HEAD};
use super::protocol;
use crate::console::Failure;
use crate::endpoint;

/// How many browsers there may be.
const MOST: usize = 64;

/// The longest message of a page, in bytes.
const LONGEST_SAID: usize = 4096;

/// How much may wait for one of them, in bytes: four pictures of the largest kind. In fact less does: pictures replace
/// one another, and of samples so much waits that it is [`BEHIND`].
const ROOM: usize = 4 * (LARGEST + LONGEST_HEAD + 64);

/// How much may wait for all of them.
const ROOM_FOR_ALL: usize = 4 * ROOM;

/// When so many bytes of samples wait for one, it is sent no more of them: it is behind, and a gap is better than to be
/// shown what was long ago.
const BEHIND: usize = 512 << 10;

/// Those who look.
pub(crate) struct Viewers {
    server: Server,
    entrance: Arc<Entrance>,
}

/// Somebody who was told everything that came before, and is told what comes.
#[derive(Debug, Default)]
struct Greeted {
    samples: Mutex<Samples>,
}

/// Those that wait for somebody, maybe behind a picture that is long under way, which is why bytes alone say nothing.
#[derive(Debug, Default)]
struct Samples {
    /// The place of each among all messages, from 1, and how long it is.
    waiting: VecDeque<(u64, usize)>,
    bytes: usize,
}

impl Samples {
    /// Whether there is room for one more, of so many bytes, when so many messages have gone and so many wait. States and
    /// pictures take the places of those that they replace, so that nothing is overtaken.
    fn admit(&mut self, gone: u64, waiting: u64, len: usize) -> bool {
        while let Some((_, len)) = self.waiting.front().filter(|(place, _)| waiting == 0 || *place <= gone) {
            self.bytes -= len;
            self.waiting.pop_front();
        }
        if self.bytes > BEHIND {
            return false;
        }
        self.waiting.push_back((gone + waiting + 1, len));
        self.bytes += len;
        true
    }
}

/// Where they come in, and speak.
struct Entrance {
    desk: Arc<Desk>,
    /// Those who have not been told anything yet.
    newcomers: Mutex<Vec<Connection>>,
}

impl Callback for Entrance {
    fn on_connect(&self, _: &dyn Service, connection: &Connection) {
        self.newcomers.lock().push(connection.clone());
    }

    fn on_receive(&self, _: &dyn Service, connection: &Connection, message: &[u8]) {
        if let Some(answer) = self.desk.said(message) {
            // That it cannot be reached is told by its end.
            let _ = connection.send(answer.as_bytes());
        }
    }
}

impl Viewers {
    /// Serves those who come in by this listener.
    pub(crate) fn start(listener: impl Listener, desk: Arc<Desk>) -> Result<Self, Failure> {
        let entrance = Arc::new(Entrance { desk, newcomers: Mutex::default() });
        let server = builder(listener).callback(Arc::clone(&entrance)).build()?;
        server.start(true)?;
        Ok(Self { server, entrance })
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// Whether anybody looks.
    pub(super) fn are_there(&self) -> bool {
        self.server.num_connections() > 0
    }

    /// Tells those who have come since the last time all of this, in this order.
    pub(super) fn greet<M: AsRef<[u8]>>(&self, everything: impl FnOnce() -> Vec<M>) {
        let newcomers = mem::take(&mut *self.entrance.newcomers.lock());
        if newcomers.is_empty() {
            return;
        }
        let everything = everything();
        for newcomer in newcomers {
            // One by one, so that the first is on its way before there may be too much.
            if everything.iter().all(|message| newcomer.send(message.as_ref()).is_ok()) {
                newcomer.insert(Greeted::default());
            } else {
                // Those before it have all the room. It comes again, and would be shown nothing if it stayed.
                newcomer.close();
            }
        }
    }

    /// Tells all of them.
    pub(super) fn tell(&self, message: impl AsRef<[u8]>) {
        // Fails only when the server has been closed, or for a message that is too long, of which there is none.
        let _ = self.server.broadcast_where(message.as_ref(), is_greeted);
    }

    /// Tells those who keep up.
    pub(super) fn tell_samples(&self, samples: &str) {
        let keeps_up = |viewer: &Connection| {
            let Some(greeted) = viewer.get::<Greeted>() else { return false };
            let traffic = viewer.stats().traffic;
            greeted.samples.lock().admit(gone(&traffic), traffic.waiting.messages, samples.len())
        };
        let _ = self.server.broadcast_where(samples.as_bytes(), keeps_up);
    }

    pub(crate) fn close(&self) {
        self.server.close();
    }
}

/// How many of the messages that waited for somebody have gone: those that are replaced by newer ones have not, which
/// take their places.
pub(super) fn gone(traffic: &Traffic) -> u64 {
    traffic.written.messages + (traffic.dropped.messages - traffic.rejected.messages)
}

fn is_greeted(viewer: &Connection) -> bool {
    viewer.get::<Greeted>().is_some()
}

fn builder(listener: impl Listener) -> ServerBuilder {
    let delivery = Delivery::new().slow_consumer(SlowConsumer::DropOldest).conflate(true).max_queued_bytes(ROOM);
    Server::builder()
        .transport(listener)
        .framing(Framing::Length)
        .key(protocol::key)
        .delivery(delivery)
        .max_sent_len(LARGEST + LONGEST_HEAD)
        .max_received_len(LONGEST_SAID)
        .max_connections(MOST)
        .memory_limits(MemoryLimits::new().max_total_queued_bytes(ROOM_FOR_ALL))
        .closing(endpoint::closing())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_told_as_long_as_few_of_them_wait() {
        let len = BEHIND / 4;
        let mut samples = Samples::default();
        // A picture is under way, and one waits.
        let admitted = (0..10).filter(|told| samples.admit(5, 2 + told, len)).count();
        assert_eq!(admitted, 5);
        assert!(!samples.admit(7, 5, len), "pictures have gone, and no samples");
        assert!(samples.admit(8, 4, len) && !samples.admit(8, 5, len));
        // Who has been told everything has nothing that waits, whatever became of it.
        assert!(samples.admit(9, 0, len));
        assert_eq!((samples.waiting.len(), samples.bytes), (1, len));
    }
}

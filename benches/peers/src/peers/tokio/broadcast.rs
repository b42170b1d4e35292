//! One message to many: encoded once and shared, a channel and a writing task for each client.

use std::io;
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncWriteExt, BufWriter};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::AbortHandle;

use super::codec::{WRITE, put};
use crate::peers::Failure;
use crate::tally::Latch;
use crate::task::{Messages, QUEUE_LIMIT, Queue, Task};

/// How large chunks of messages are: a channel costs less for them than for small messages. 64 KiB were slower again.
const CHUNK: usize = 16 * 1024;

/// The clients that are broadcast to.
pub(super) struct Clients {
    channels: Mutex<Vec<(Sender<Bytes>, AbortHandle)>>,
    queue: Queue,
    /// How many bytes of messages go into one chunk, if so many are there.
    chunk: usize,
    /// How many chunks may wait for one client.
    capacity: usize,
    hall: Arc<Latch>,
}

impl Clients {
    pub(super) fn new(task: &Task, hall: Arc<Latch>, chunks: bool) -> Self {
        let chunk = if chunks { CHUNK } else { 1 };
        let capacity = match task.queue {
            Queue::Roomy => task.count as usize,
            Queue::Wait | Queue::Limited => QUEUE_LIMIT / chunk.max(task.sizes.largest()),
        };
        Self { channels: Mutex::default(), queue: task.queue, chunk, capacity, hall }
    }

    /// One more; called within the runtime.
    pub(super) fn add(&self, writing: OwnedWriteHalf) {
        let (sender, receiver) = mpsc::channel(self.capacity);
        let writer = tokio::spawn(write(writing, receiver)).abort_handle();
        self.channels.lock().unwrap().push((sender, writer));
    }

    pub(super) async fn broadcast(&self, messages: &mut Messages) -> Result<(), Failure> {
        // Nobody joins or leaves meanwhile.
        let mut channels = std::mem::take(&mut *self.channels.lock().unwrap());
        let mut encoded = BytesMut::new();
        while messages.left() > 0 {
            while let Some(message) = messages.advance() {
                put(message, &mut encoded);
                if encoded.len() >= self.chunk {
                    break;
                }
            }
            let chunk = encoded.split().freeze();
            if self.queue == Queue::Wait {
                for (channel, _) in &channels {
                    channel.send(chunk.clone()).await?;
                }
            } else {
                channels.retain(|(channel, writer)| {
                    let accepted = channel.try_send(chunk.clone()).is_ok();
                    if !accepted {
                        writer.abort();
                        self.hall.end();
                    }
                    accepted
                });
            }
        }
        *self.channels.lock().unwrap() = channels;
        Ok(())
    }
}

/// Writes what the channel gives, all that is there at once.
async fn write(writing: OwnedWriteHalf, mut chunks: Receiver<Bytes>) -> io::Result<()> {
    let mut writing = BufWriter::with_capacity(WRITE, writing);
    let mut batch = Vec::with_capacity(256);
    while chunks.recv_many(&mut batch, 256).await > 0 {
        for chunk in batch.drain(..) {
            writing.write_all(&chunk).await?;
        }
        writing.flush().await?;
    }
    Ok(())
}

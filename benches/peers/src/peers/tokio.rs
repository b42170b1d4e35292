//! Tokio with the codecs of tokio-util: batches of `feed`, then `flush`; a task per connection, a channel per client
//! of a broadcast.

use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, LazyLock, Mutex};

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use tokio::io::AsyncRead;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::AbortHandle;
use tokio_util::codec::{Decoder, Encoder, FramedRead, FramedWrite};

use super::{Client, Failure, Peer, Receive, Server};
use crate::tally::{Latch, Trips};
use crate::task::{Job, Messages, QUEUE_LIMIT, Queue, Task};

pub(super) struct Tokio;

const READ: usize = 128 * 1024;
const WRITE: usize = 64 * 1024;
const BACKLOG: u32 = 4096;

/// How many messages are fed before a flush.
const BATCH: u64 = 1024;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("the system gives a runtime its threads")
});

impl Peer for Tokio {
    fn listen(&self, task: &Task, receive: Receive, hall: Arc<Latch>) -> Result<Box<dyn Server>, Failure> {
        let listener = RUNTIME.block_on(async {
            let socket = TcpSocket::new_v4()?;
            socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
            socket.listen(BACKLOG)
        })?;
        let port = listener.local_addr()?.port();
        let server = TokioServer { port, clients: Arc::default(), queue: task.queue, hall: Arc::clone(&hall) };
        let (clients, task) = (Arc::clone(&server.clients), task.clone());
        RUNTIME.spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let _ = stream.set_nodelay(true);
                let (reading, writing) = stream.into_split();
                if let Receive::Echo = receive {
                    tokio::spawn(echo(reading, writing));
                } else {
                    tokio::spawn(read(reading, receive.clone()));
                    if let Job::Broadcast | Job::Duplex = task.job {
                        let (sender, receiver) = mpsc::channel(capacity(&task));
                        let writer = tokio::spawn(write(writing, receiver)).abort_handle();
                        clients.lock().unwrap().push((sender, writer));
                    } else {
                        // Kept, since dropping it would end this half.
                        tokio::spawn(async move { (writing, std::future::pending::<()>().await).1 });
                    }
                }
                hall.add();
            }
        });
        Ok(Box::new(server))
    }

    fn connect(&self, _task: &Task, port: u16, receive: Receive) -> Result<Box<dyn Client>, Failure> {
        let stream = RUNTIME.block_on(TcpStream::connect((Ipv4Addr::LOCALHOST, port)))?;
        stream.set_nodelay(true)?;
        let (reading, writing) = stream.into_split();
        let reading = match receive {
            Receive::Trips(_) => Some(framed_read(reading)),
            receive => {
                RUNTIME.spawn(read(reading, receive));
                None
            }
        };
        Ok(Box::new(TokioClient { halves: Arc::new(tokio::sync::Mutex::new((framed_write(writing), reading))) }))
    }
}

/// How many messages may wait for one client.
fn capacity(task: &Task) -> usize {
    match task.queue {
        Queue::Wait => 1024,
        Queue::Roomy => task.count as usize,
        Queue::Limited => QUEUE_LIMIT / task.sizes.largest(),
    }
}

/// Messages that end with a semicolon: `LinesCodec` for bytes.
struct Semicolons {
    /// How far the buffer has been searched.
    searched: usize,
}

impl Decoder for Semicolons {
    type Item = BytesMut;
    type Error = io::Error;

    fn decode(&mut self, buffer: &mut BytesMut) -> io::Result<Option<BytesMut>> {
        let Some(found) = memchr::memchr(b';', &buffer[self.searched..]) else {
            self.searched = buffer.len();
            // Otherwise the next read is as short as what happens to be left.
            buffer.reserve(READ);
            return Ok(None);
        };
        let mut message = buffer.split_to(self.searched + found + 1);
        message.truncate(message.len() - 1);
        self.searched = 0;
        Ok(Some(message))
    }
}

impl<M: AsRef<[u8]>> Encoder<M> for Semicolons {
    type Error = io::Error;

    fn encode(&mut self, message: M, buffer: &mut BytesMut) -> io::Result<()> {
        let message = message.as_ref();
        buffer.reserve(message.len() + 1);
        buffer.put_slice(message);
        buffer.put_u8(b';');
        Ok(())
    }
}

fn framed_read<R: AsyncRead>(reading: R) -> FramedRead<R, Semicolons> {
    FramedRead::with_capacity(reading, Semicolons { searched: 0 }, READ)
}

fn framed_write(writing: OwnedWriteHalf) -> FramedWrite<OwnedWriteHalf, Semicolons> {
    let mut framed = FramedWrite::new(writing, Semicolons { searched: 0 });
    framed.set_backpressure_boundary(WRITE);
    framed
}

async fn read(reading: OwnedReadHalf, receive: Receive) {
    let mut messages = framed_read(reading);
    while let Some(Ok(message)) = messages.next().await {
        if let Receive::Count(tally) = &receive {
            tally.add(&message);
        }
    }
}

async fn echo(reading: OwnedReadHalf, writing: OwnedWriteHalf) -> io::Result<()> {
    let (mut messages, mut answers) = (framed_read(reading), framed_write(writing));
    while let Some(message) = messages.next().await {
        answers.send(message?).await?;
    }
    Ok(())
}

/// Writes what the channel gives, all that is there at once.
async fn write(writing: OwnedWriteHalf, mut messages: Receiver<Bytes>) -> io::Result<()> {
    let mut framed = framed_write(writing);
    let mut batch = Vec::with_capacity(256);
    while messages.recv_many(&mut batch, 256).await > 0 {
        for message in batch.drain(..) {
            framed.feed(message).await?;
        }
        SinkExt::<Bytes>::flush(&mut framed).await?;
    }
    Ok(())
}

struct TokioServer {
    port: u16,
    clients: Arc<Mutex<Vec<(Sender<Bytes>, AbortHandle)>>>,
    queue: Queue,
    hall: Arc<Latch>,
}

impl Server for TokioServer {
    fn port(&self) -> u16 {
        self.port
    }

    fn broadcast(&self, messages: &mut Messages) -> Result<(), Failure> {
        let mut clients = self.clients.lock().unwrap();
        RUNTIME.block_on(async {
            while let Some(message) = messages.advance() {
                let message = Bytes::copy_from_slice(message);
                if self.queue == Queue::Wait {
                    for (client, _) in clients.iter() {
                        client.send(message.clone()).await?;
                    }
                } else {
                    clients.retain(|(client, writer)| {
                        let accepted = client.try_send(message.clone()).is_ok();
                        if !accepted {
                            writer.abort();
                            self.hall.end();
                        }
                        accepted
                    });
                }
            }
            Ok(())
        })
    }
}

type Halves = (FramedWrite<OwnedWriteHalf, Semicolons>, Option<FramedRead<OwnedReadHalf, Semicolons>>);

struct TokioClient {
    /// The reading half is here only where what comes back is waited for.
    halves: Arc<tokio::sync::Mutex<Halves>>,
}

impl Client for TokioClient {
    fn send(&self, messages: &mut Messages) -> Result<(), Failure> {
        RUNTIME.block_on(async {
            while messages.left() > 0 {
                let (framed, _) = &mut *self.halves.lock().await;
                for _ in 0..BATCH.min(messages.left()) {
                    framed.feed(messages.advance().unwrap_or_default()).await?;
                }
                SinkExt::<&[u8]>::flush(framed).await?;
            }
            Ok(())
        })
    }

    fn make_trips(&self, trips: &Arc<Trips>) -> Result<(), Failure> {
        let (halves, trips) = (Arc::clone(&self.halves), Arc::clone(trips));
        // On a worker, where what wakes it runs as well.
        RUNTIME.block_on(RUNTIME.spawn(async move {
            let (writing, reading) = &mut *halves.lock().await;
            let reading = reading.as_mut().ok_or("somebody else reads")?;
            trips.begin();
            loop {
                writing.send(&trips.message).await?;
                let message = reading.next().await.ok_or("the server has left")??;
                if !trips.again(&message) {
                    return Ok(());
                }
            }
        }))?
    }
}

//! Tokio with a codec of tokio-util: batches of `feed`, then `flush`; a task per connection.

use std::io;
use std::marker::PhantomData;
use std::net::Ipv4Addr;
use std::sync::{Arc, LazyLock};
use std::thread;

use futures_util::{SinkExt, StreamExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::{Builder, Handle};
use tokio_util::codec::{FramedRead, FramedWrite};

use super::{Client, Failure, Peer, Receive, Server};
use crate::tally::{Latch, Trips};
use crate::task::{Job, Messages, Task};

mod broadcast;
mod codec;

use broadcast::Clients;
use codec::{Framing, Shipped, Tuned, framed_read, framed_write};

struct Tokio<F>(PhantomData<F>);

/// With the codec that tokio-util brings, and a message at a time to each client.
pub(super) const SHIPPED: &dyn Peer = &Tokio::<Shipped>(PhantomData);

/// With what somebody writes who tunes it for this format: a codec, and chunks of many messages to each client.
pub(super) const TUNED: &dyn Peer = &Tokio::<Tuned>(PhantomData);

const BACKLOG: u32 = 4096;

/// How many messages are fed before a flush.
const BATCH: u64 = 1024;

/// One thread: where two processes share two cores, a thread for each core was hardly ever better, and often worse.
static RUNTIME: LazyLock<Handle> = LazyLock::new(|| {
    let runtime =
        Builder::new_current_thread().enable_all().build().expect("the system gives a runtime its descriptors");
    let handle = runtime.handle().clone();
    thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    handle
});

impl<F: Framing + Sync> Peer for Tokio<F> {
    fn listen(&self, task: &Task, receive: Receive, hall: Arc<Latch>) -> Result<Box<dyn Server>, Failure> {
        let listener = RUNTIME.block_on(async {
            let socket = TcpSocket::new_v4()?;
            socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
            socket.listen(BACKLOG)
        })?;
        let port = listener.local_addr()?.port();
        let clients = Arc::new(Clients::new(task, Arc::clone(&hall), F::CHUNKS));
        let server = TokioServer { port, clients: Arc::clone(&clients) };
        let job = task.job;
        RUNTIME.spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let _ = stream.set_nodelay(true);
                let (reading, writing) = stream.into_split();
                if let Receive::Echo = receive {
                    tokio::spawn(echo::<F>(reading, writing));
                } else {
                    tokio::spawn(read::<F>(reading, receive.clone()));
                    if let Job::Broadcast | Job::Duplex = job {
                        clients.add(writing);
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
            Receive::Trips(_) => Some(framed_read::<F, _>(reading)),
            receive => {
                RUNTIME.spawn(read::<F>(reading, receive));
                None
            }
        };
        Ok(Box::new(TokioClient {
            halves: Arc::new(tokio::sync::Mutex::new((framed_write::<F, _>(writing), reading))),
        }))
    }
}

async fn read<F: Framing>(reading: OwnedReadHalf, receive: Receive) {
    let mut messages = framed_read::<F, _>(reading);
    while let Some(Ok(message)) = messages.next().await {
        if let Receive::Count(tally) = &receive {
            tally.add(message.as_ref());
        }
    }
}

async fn echo<F: Framing>(reading: OwnedReadHalf, writing: OwnedWriteHalf) -> io::Result<()> {
    let (mut messages, mut answers) = (framed_read::<F, _>(reading), framed_write::<F, _>(writing));
    while let Some(message) = messages.next().await {
        answers.send(message?.as_ref()).await?;
    }
    Ok(())
}

struct TokioServer {
    port: u16,
    clients: Arc<Clients>,
}

impl Server for TokioServer {
    fn port(&self) -> u16 {
        self.port
    }

    fn broadcast(&self, messages: &mut Messages) -> Result<(), Failure> {
        RUNTIME.block_on(self.clients.broadcast(messages))
    }
}

type Halves<F> = (FramedWrite<OwnedWriteHalf, F>, Option<FramedRead<OwnedReadHalf, F>>);

struct TokioClient<F> {
    /// The reading half is here only where what comes back is waited for.
    halves: Arc<tokio::sync::Mutex<Halves<F>>>,
}

impl<F: Framing + Sync> Client for TokioClient<F> {
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
                writing.send(&trips.message[..]).await?;
                let message = reading.next().await.ok_or("the server has left")??;
                if !trips.again(message.as_ref()) {
                    return Ok(());
                }
            }
        }))?
    }
}

//! libzmq: PUSH and PULL one way, DEALER and ROUTER there and back, XPUB and SUB for broadcasts; no high-water mark
//! unless the queue is to be limited, so that nothing is dropped.

use std::any::Any;
use std::cell::RefCell;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::thread;

use zmq::{Context, Message, SNDMORE, Socket, SocketEvent, SocketType};

use super::{Client, Failure, Peer, Receive, Server};
use crate::tally::{Latch, Trips};
use crate::task::{Job, Messages, QUEUE_LIMIT, Queue, Task};

pub(super) struct Zmq;

/// A context has room for 1,023 sockets, some of which it uses itself.
const SOCKETS_PER_CONTEXT: usize = 1000;

/// As many callers may wait as with ours; the default is 100.
const BACKLOG: i32 = 4096;

static CONTEXT: LazyLock<Context> = LazyLock::new(Context::new);

impl Peer for Zmq {
    fn listen(&self, task: &Task, receive: Receive, hall: Arc<Latch>) -> Result<Box<dyn Server>, Failure> {
        let socket = socket(&CONTEXT, task, server_type(task.job))?;
        socket.set_backlog(BACKLOG)?;
        if task.job == Job::Broadcast {
            // Every subscription is told of, not only those that are new to it.
            socket.set_xpub_verbose(true)?;
        } else {
            count_connections(&socket, hall.clone())?;
        }
        socket.bind("tcp://127.0.0.1:*")?;
        let bound = socket.get_last_endpoint()?.map_err(|_| "the endpoint is no text")?;
        let port = bound.rsplit(':').next().and_then(|port| port.parse().ok()).ok_or("the endpoint has no port")?;
        let socket = Arc::new(Mutex::new(socket));
        let (serving, task) = (Arc::clone(&socket), task.clone());
        thread::spawn(move || match receive {
            Receive::Echo => echo(&locked(&serving)),
            Receive::Nothing if task.job == Job::Broadcast => {
                await_subscriptions(&locked(&serving), task.connections + task.stalled, &hall)
            }
            receive => read(&locked(&serving), &receive),
        });
        Ok(Box::new(ZmqServer { port, socket }))
    }

    fn connect(&self, task: &Task, port: u16, receive: Receive) -> Result<Box<dyn Client>, Failure> {
        let socket = socket(&CONTEXT, task, client_type(task.job))?;
        socket.connect(&format!("tcp://127.0.0.1:{port}"))?;
        if task.job == Job::Broadcast {
            socket.set_subscribe(b"")?;
        }
        let socket = Arc::new(Mutex::new(socket));
        if let Receive::Count(_) = receive {
            let reading = Arc::clone(&socket);
            thread::spawn(move || read(&locked(&reading), &receive));
        }
        Ok(Box::new(ZmqClient { socket }))
    }

    fn idle(&self, task: &Task, port: u16) -> Result<Box<dyn Any>, Failure> {
        thread_local! {
            static LATEST: RefCell<(Context, usize)> = RefCell::new((Context::new(), 0));
        }
        let socket = LATEST.with_borrow_mut(|(context, sockets)| {
            if *sockets == SOCKETS_PER_CONTEXT {
                (*context, *sockets) = (Context::new(), 0);
            }
            *sockets += 1;
            context.socket(client_type(task.job))
        })?;
        // Otherwise it queues what it is sent, as if it were read.
        socket.set_rcvhwm(1)?;
        socket.connect(&format!("tcp://127.0.0.1:{port}"))?;
        if task.job == Job::Broadcast {
            socket.set_subscribe(b"")?;
        }
        Ok(Box::new(socket))
    }
}

fn server_type(job: Job) -> SocketType {
    match job {
        Job::Broadcast => SocketType::XPUB,
        Job::Trip | Job::Idle | Job::Duplex => SocketType::ROUTER,
        Job::Send | Job::Churn => SocketType::PULL,
    }
}

fn client_type(job: Job) -> SocketType {
    match job {
        Job::Broadcast => SocketType::SUB,
        Job::Trip | Job::Idle | Job::Duplex => SocketType::DEALER,
        Job::Send | Job::Churn => SocketType::PUSH,
    }
}

fn socket(context: &Context, task: &Task, of: SocketType) -> zmq::Result<Socket> {
    let socket = context.socket(of)?;
    let limit = match task.queue {
        Queue::Wait | Queue::Roomy => 0,
        Queue::Limited => (QUEUE_LIMIT / task.sizes.largest()) as i32,
    };
    socket.set_sndhwm(limit)?;
    socket.set_rcvhwm(0)?;
    Ok(socket)
}

/// Sockets may go from thread to thread, but not be used by two at once.
fn locked(socket: &Mutex<Socket>) -> MutexGuard<'_, Socket> {
    socket.lock().unwrap()
}

/// Has `hall` count the connections, which the socket itself does not tell of.
fn count_connections(socket: &Socket, hall: Arc<Latch>) -> zmq::Result<()> {
    const ENDPOINT: &str = "inproc://connections";
    socket.monitor(ENDPOINT, SocketEvent::HANDSHAKE_SUCCEEDED.to_raw().into())?;
    let events = CONTEXT.socket(SocketType::PAIR)?;
    events.connect(ENDPOINT)?;
    thread::spawn(move || {
        while events.recv_multipart(0).is_ok() {
            hall.add();
        }
    });
    Ok(())
}

fn await_subscriptions(socket: &Socket, count: usize, hall: &Latch) -> zmq::Result<()> {
    for _ in 0..count {
        socket.recv_bytes(0)?;
        hall.add();
    }
    Ok(())
}

fn read(socket: &Socket, receive: &Receive) -> zmq::Result<()> {
    let mut message = Message::new();
    loop {
        socket.recv(&mut message, 0)?;
        if let Receive::Count(tally) = receive {
            tally.add(&message);
        }
    }
}

/// Sends each message back to whoever the frame before it names.
fn echo(socket: &Socket) -> zmq::Result<()> {
    let (mut sender, mut message) = (Message::new(), Message::new());
    loop {
        socket.recv(&mut sender, 0)?;
        socket.recv(&mut message, 0)?;
        socket.send(&*sender, SNDMORE)?;
        socket.send(&*message, 0)?;
    }
}

struct ZmqServer {
    port: u16,
    socket: Arc<Mutex<Socket>>,
}

impl Server for ZmqServer {
    fn port(&self) -> u16 {
        self.port
    }

    fn broadcast(&self, messages: &mut Messages) -> Result<(), Failure> {
        send(&locked(&self.socket), messages)
    }
}

fn send(socket: &Socket, messages: &mut Messages) -> Result<(), Failure> {
    while let Some(message) = messages.advance() {
        socket.send(message, 0)?;
    }
    Ok(())
}

struct ZmqClient {
    socket: Arc<Mutex<Socket>>,
}

impl Client for ZmqClient {
    fn send(&self, messages: &mut Messages) -> Result<(), Failure> {
        while let Some(message) = messages.advance() {
            locked(&self.socket).send(message, 0)?;
        }
        Ok(())
    }

    fn make_trips(&self, trips: &Arc<Trips>) -> Result<(), Failure> {
        let socket = locked(&self.socket);
        let mut message = Message::new();
        trips.begin();
        loop {
            socket.send(&trips.message[..], 0)?;
            socket.recv(&mut message, 0)?;
            if !trips.again(&message) {
                return Ok(());
            }
        }
    }
}

pub(super) fn version() -> String {
    let (major, minor, patch) = zmq::version();
    format!("{major}.{minor}.{patch}")
}

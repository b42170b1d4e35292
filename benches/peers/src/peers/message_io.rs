//! The crate message-io: one node per process, whose thread handles all connections.
//!
//! Its `FramedTcp` keeps messages apart; over its `Tcp` the program ends them with a separator, and splits what
//! arrives.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, OnceLock};

use message_io::network::{Endpoint, NetEvent, SendStatus, Transport};
use message_io::node::{self, NodeHandler, NodeTask};

use super::{Client, Failure, Peer, Receive, Server};
use crate::tally::{Latch, Trips};
use crate::task::{Messages, Task};

pub(super) enum MessageIo {
    Tcp,
    Framed,
}

/// What the node's thread shares with the others.
struct Node {
    handler: NodeHandler<()>,
    separated: bool,
    /// What is done with what arrives at connections that this process makes.
    connected: Mutex<HashMap<Endpoint, Receive>>,
    accepted: Mutex<Vec<Endpoint>>,
    /// Keeps the thread.
    _task: OnceLock<NodeTask>,
}

impl MessageIo {
    fn transport(&self) -> Transport {
        match self {
            MessageIo::Tcp => Transport::Tcp,
            MessageIo::Framed => Transport::FramedTcp,
        }
    }

    /// Starts the node of this process.
    fn start(&self, receive: Receive, hall: Arc<Latch>) -> Arc<Node> {
        let (handler, listener) = node::split();
        let node = Arc::new(Node {
            handler,
            separated: matches!(self, MessageIo::Tcp),
            connected: Mutex::default(),
            accepted: Mutex::default(),
            _task: OnceLock::new(),
        });
        let shared = Arc::clone(&node);
        let mut inboxes: HashMap<Endpoint, Inbox> = HashMap::new();
        let task = listener.for_each_async(move |event| match event.network() {
            NetEvent::Accepted(endpoint, _) => {
                shared.accepted.lock().unwrap().push(endpoint);
                inboxes.insert(endpoint, Inbox { receive: receive.clone(), remainder: Vec::new() });
                hall.add();
            }
            NetEvent::Connected(..) => {}
            NetEvent::Message(endpoint, data) => {
                let inbox = inboxes.entry(endpoint).or_insert_with(|| {
                    let receive = shared.connected.lock().unwrap().remove(&endpoint).unwrap_or(Receive::Nothing);
                    Inbox { receive, remainder: Vec::new() }
                });
                if shared.separated {
                    inbox.split(data, |receive, message| shared.handle(receive, endpoint, message));
                } else {
                    shared.handle(&inbox.receive, endpoint, data);
                }
            }
            NetEvent::Disconnected(endpoint) => {
                inboxes.remove(&endpoint);
                shared.accepted.lock().unwrap().retain(|accepted| *accepted != endpoint);
            }
        });
        let _ = node._task.set(task);
        node
    }
}

impl Peer for MessageIo {
    fn listen(&self, _task: &Task, receive: Receive, hall: Arc<Latch>) -> Result<Box<dyn Server>, Failure> {
        let node = self.start(receive, hall);
        let (_, address) = node.handler.network().listen(self.transport(), (Ipv4Addr::LOCALHOST, 0))?;
        Ok(Box::new(MessageIoServer { node, port: address.port() }))
    }

    fn connect(&self, _task: &Task, port: u16, receive: Receive) -> Result<Box<dyn Client>, Failure> {
        static NODE: OnceLock<Arc<Node>> = OnceLock::new();
        let node = Arc::clone(NODE.get_or_init(|| self.start(Receive::Nothing, Arc::default())));
        let (endpoint, _) = node.handler.network().connect_sync(self.transport(), (Ipv4Addr::LOCALHOST, port))?;
        node.connected.lock().unwrap().insert(endpoint, receive);
        Ok(Box::new(MessageIoClient { node, endpoint, writing: Mutex::new(()) }))
    }
}

impl Node {
    fn handle(&self, receive: &Receive, endpoint: Endpoint, message: &[u8]) {
        match receive {
            Receive::Nothing => {}
            Receive::Count(tally) => tally.add(message),
            // That an answer cannot be sent shows in the counts.
            Receive::Echo => drop(self.send(endpoint, message)),
            Receive::Trips(trips) => {
                if trips.again(message) {
                    let _ = self.send(endpoint, &trips.message);
                }
            }
        }
    }

    fn send(&self, endpoint: Endpoint, message: &[u8]) -> Result<(), Failure> {
        let status = if self.separated {
            let mut line = Vec::with_capacity(message.len() + 1);
            line.extend_from_slice(message);
            line.push(b';');
            self.handler.network().send(endpoint, &line)
        } else {
            self.handler.network().send(endpoint, message)
        };
        if status == SendStatus::Sent { Ok(()) } else { Err(format!("not sent: {status:?}").into()) }
    }
}

struct Inbox {
    receive: Receive,
    /// The beginning of a message whose end has not come yet.
    remainder: Vec<u8>,
}

impl Inbox {
    fn split(&mut self, mut data: &[u8], mut handle: impl FnMut(&Receive, &[u8])) {
        while let Some(end) = memchr::memchr(b';', data) {
            if self.remainder.is_empty() {
                handle(&self.receive, &data[..end]);
            } else {
                self.remainder.extend_from_slice(&data[..end]);
                handle(&self.receive, &self.remainder);
                self.remainder.clear();
            }
            data = &data[end + 1..];
        }
        self.remainder.extend_from_slice(data);
    }
}

struct MessageIoServer {
    node: Arc<Node>,
    port: u16,
}

impl Server for MessageIoServer {
    fn port(&self) -> u16 {
        self.port
    }

    fn broadcast(&self, messages: &mut Messages) -> Result<(), Failure> {
        let clients = self.node.accepted.lock().unwrap().clone();
        while let Some(message) = messages.advance() {
            clients.iter().try_for_each(|client| self.node.send(*client, message))?;
        }
        Ok(())
    }
}

struct MessageIoClient {
    node: Arc<Node>,
    endpoint: Endpoint,
    /// It writes a message in parts, which those of another thread would get between.
    writing: Mutex<()>,
}

impl Client for MessageIoClient {
    fn send(&self, messages: &mut Messages) -> Result<(), Failure> {
        while let Some(message) = messages.advance() {
            let _writing = self.writing.lock().unwrap();
            self.node.send(self.endpoint, message)?;
        }
        Ok(())
    }

    fn make_trips(&self, trips: &Arc<Trips>) -> Result<(), Failure> {
        trips.begin();
        self.node.send(self.endpoint, &trips.message)?;
        trips.wait();
        Ok(())
    }

    fn close(self: Box<Self>) {
        self.node.handler.network().remove(self.endpoint.resource_id());
    }
}

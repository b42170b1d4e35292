//! Streams inside one process: a server and its clients without a network, for tests above all.
//!
//! Everything is as over a network: the same callbacks on the same threads, closing, limits and time-outs. There is no
//! port and no address, so that any number of tests run side by side, and nothing is left behind. Each direction is a
//! pipe of 64 KiB: a writer waits while it is full, as with a socket.
//!
//! # Testing a callback
//!
//! [`listener`] gives a server its listener, and its clients the connector that reaches it. The test is a client, and
//! looks at what comes back.
//!
//! ```
//! use leads_comm::callback::{self, Event};
//! use leads_comm::{Callback, Client, Connection, Server, Service, transport::memory};
//!
//! /// What is tested: answers with the length of each message.
//! struct Lengths;
//!
//! impl Callback for Lengths {
//!     fn on_receive(&self, _service: &dyn Service, connection: &Connection, message: &[u8]) {
//!         let _ = connection.send(message.len().to_string().as_bytes());
//!     }
//! }
//!
//! let (listener, connector) = memory::listener();
//! let server = Server::builder().transport(listener).callback(Lengths).build()?;
//! server.start(true)?;
//!
//! let (events, received) = callback::channel(16);
//! let client = Client::builder().transport(connector).callback(events).build()?;
//! client.start("the address is not looked at", true)?;
//! client.send(b"hello")?;
//! let answer = received.iter().find_map(|event| match event {
//!     Event::Receive { message, .. } => Some(message),
//!     _ => None,
//! });
//! assert_eq!(answer.as_deref(), Some(&b"5"[..]));
//!
//! client.close();
//! server.close();
//! # Ok::<(), leads_comm::Error>(())
//! ```
//!
//! # A peer that speaks bytes
//!
//! What no client of this library would do is done on a stream that is opened by hand, with
//! [`MemoryConnector::open`]: here, a peer that is gone in the middle of a message.
//!
//! ```
//! use std::io::IoSlice;
//!
//! use leads_comm::callback::{self, Event};
//! use leads_comm::transport::{Stream, memory};
//! use leads_comm::{DisconnectCause, Server};
//!
//! let (listener, connector) = memory::listener();
//! let (events, received) = callback::channel(16);
//! let server = Server::builder().transport(listener).callback(events).build()?;
//! server.start(true)?;
//!
//! let peer = connector.open()?;
//! peer.write_vectored(&[IoSlice::new(b"whole;unfini")])?;
//! drop(peer);
//! let reason = received.iter().find_map(|event| match event {
//!     Event::Disconnect { reason, .. } => Some(reason),
//!     _ => None,
//! });
//! let reason = reason.expect("the peer is gone");
//! assert!(matches!(reason.cause, DisconnectCause::PeerClosed));
//! assert_eq!(reason.undelivered.unfinished_bytes, 6);
//! # server.close();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A client is tested against a server of bytes in the same way, with a [`pair`]: its connector hands out one end, and
//! the test keeps the other.
//!
//! ```
//! use std::io::{self, IoSlice};
//! use std::sync::Mutex;
//!
//! use leads_comm::callback::{self, Event};
//! use leads_comm::transport::{Stream, memory};
//! use leads_comm::Client;
//!
//! let (near, far) = memory::pair();
//! let near = Mutex::new(Some(near));
//! let (events, received) = callback::channel(16);
//! let client = Client::builder()
//!     .transport(move |_: &str| -> io::Result<Box<dyn Stream>> {
//!         // There is one; a client that connects again finds nobody.
//!         let near = near.lock().unwrap().take().ok_or(io::ErrorKind::ConnectionRefused)?;
//!         Ok(Box::new(near))
//!     })
//!     .callback(events)
//!     .build()?;
//! client.start("", true)?;
//!
//! // Two messages in one write, and a goodbye.
//! far.write_vectored(&[IoSlice::new(b"one;two;disconnect;")])?;
//! let messages = received.iter().take_while(|event| !matches!(event, Event::Disconnect { .. }));
//! let messages = messages.filter_map(|event| match event {
//!     Event::Receive { message, .. } => Some(message),
//!     _ => None,
//! });
//! assert_eq!(messages.collect::<Vec<_>>(), [b"one", b"two"]);
//! # client.close();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::mem;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::{Connector, Listener, Stream};

/// How many bytes each direction holds, like a small socket buffer.
const CAPACITY: usize = 64 * 1024;

/// How many connections a [`MemoryListener`] keeps before [`MemoryConnector`] waits.
const BACKLOG: usize = 1024;

/// Two ends of one stream: what is written to one is read from the other.
pub fn pair() -> (MemoryStream, MemoryStream) {
    named_pair("memory".into(), "memory".into())
}

/// A listener, and the connector that reaches it.
pub fn listener() -> (MemoryListener, MemoryConnector) {
    let backlog = Arc::new(Backlog::default());
    (MemoryListener { backlog: Arc::clone(&backlog) }, MemoryConnector { backlog })
}

/// Names say who is at the far end.
fn named_pair(first_peer: String, second_peer: String) -> (MemoryStream, MemoryStream) {
    let (there, back) = (Arc::new(Pipe::default()), Arc::new(Pipe::default()));
    let first = MemoryStream { incoming: Arc::clone(&back), outgoing: Arc::clone(&there), peer: first_peer };
    let second = MemoryStream { incoming: there, outgoing: back, peer: second_peer };
    (first, second)
}

/// One direction.
#[derive(Debug, Default)]
struct Pipe {
    state: Mutex<PipeState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct PipeState {
    bytes: VecDeque<u8>,
    /// No more will be written.
    ended: bool,
    /// Nobody will read any more.
    unread: bool,
    /// The writer gave up: the reader learns of it by an error.
    reset: bool,
}

impl Pipe {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state.lock();
        while state.bytes.is_empty() && !state.ended && !state.unread && !state.reset {
            self.changed.wait(&mut state);
        }
        if state.reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let count = io::Read::read(&mut state.bytes, buffer)?;
        self.changed.notify_all();
        Ok(count)
    }

    fn write(&self, buffers: &[IoSlice<'_>], may_block: bool) -> io::Result<usize> {
        let mut state = self.state.lock();
        while state.bytes.len() == CAPACITY && !state.ended && !state.unread {
            if !may_block {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.changed.wait(&mut state);
        }
        if state.ended || state.unread {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut count = 0;
        for buffer in buffers {
            let taken = buffer.len().min(CAPACITY - state.bytes.len());
            state.bytes.extend(&buffer[..taken]);
            count += taken;
        }
        self.changed.notify_all();
        Ok(count)
    }

    fn change(&self, change: impl FnOnce(&mut PipeState)) {
        change(&mut self.state.lock());
        self.changed.notify_all();
    }
}

/// One end of a stream inside the process.
#[derive(Debug)]
pub struct MemoryStream {
    incoming: Arc<Pipe>,
    outgoing: Arc<Pipe>,
    peer: String,
}

impl Stream for MemoryStream {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.incoming.read(buffer)
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.outgoing.write(buffers, true)
    }

    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.outgoing.write(buffers, false)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how != Shutdown::Read {
            self.outgoing.change(|pipe| pipe.ended = true);
        }
        if how != Shutdown::Write {
            self.incoming.change(|pipe| pipe.unread = true);
        }
        Ok(())
    }

    fn abort(&self) -> io::Result<()> {
        self.outgoing.change(|pipe| {
            // As with a socket: what the peer has not read is lost, and it learns that this was no regular end.
            pipe.reset |= !pipe.ended || !pipe.bytes.is_empty();
            pipe.bytes.clear();
            // At once, or a writer who waits would find room.
            pipe.ended = true;
        });
        self.shutdown(Shutdown::Both)
    }

    fn peer(&self) -> String {
        self.peer.clone()
    }
}

impl Drop for MemoryStream {
    fn drop(&mut self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

/// Streams that have been opened and not accepted yet.
#[derive(Debug, Default)]
struct Backlog {
    state: Mutex<BacklogState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct BacklogState {
    waiting: VecDeque<MemoryStream>,
    opened: u64,
    stopped: bool,
}

/// Where the streams of a [`MemoryConnector`] arrive.
#[derive(Debug)]
pub struct MemoryListener {
    backlog: Arc<Backlog>,
}

impl MemoryListener {
    fn accept_until(&self, until: Option<Instant>) -> io::Result<Option<Box<dyn Stream>>> {
        let mut state = self.backlog.state.lock();
        loop {
            if state.stopped {
                return Ok(None);
            }
            if let Some(stream) = state.waiting.pop_front() {
                self.backlog.changed.notify_all();
                return Ok(Some(Box::new(stream)));
            }
            match until {
                Some(until) if until <= Instant::now() => return Err(io::ErrorKind::WouldBlock.into()),
                Some(until) => drop(self.backlog.changed.wait_until(&mut state, until)),
                None => self.backlog.changed.wait(&mut state),
            }
        }
    }
}

impl Listener for MemoryListener {
    fn accept(&self) -> io::Result<Option<Box<dyn Stream>>> {
        self.accept_until(None)
    }

    fn accept_for(&self, time: Duration) -> io::Result<Option<Box<dyn Stream>>> {
        self.accept_until(Instant::now().checked_add(time))
    }

    fn stop(&self) {
        let mut state = self.backlog.state.lock();
        state.stopped = true;
        let sent_away = mem::take(&mut state.waiting);
        drop(state);
        self.backlog.changed.notify_all();
        drop(sent_away);
    }

    fn name(&self) -> String {
        "memory".into()
    }
}

impl Drop for MemoryListener {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Reaches one [`MemoryListener`], whatever the address says. Clones reach the same one.
#[derive(Debug, Clone)]
pub struct MemoryConnector {
    backlog: Arc<Backlog>,
}

impl MemoryConnector {
    /// Opens a stream to the listener, as [`connect`](Connector::connect) does, for a test that speaks raw bytes.
    /// Blocks while too many are waiting to be accepted.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused` when the listener has been stopped.
    pub fn open(&self) -> io::Result<MemoryStream> {
        let mut state = self.backlog.state.lock();
        while state.waiting.len() == BACKLOG && !state.stopped {
            self.backlog.changed.wait(&mut state);
        }
        if state.stopped {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        state.opened += 1;
        let (here, there) = named_pair("memory".into(), format!("memory {}", state.opened));
        state.waiting.push_back(there);
        drop(state);
        self.backlog.changed.notify_all();
        Ok(here)
    }
}

impl Connector for MemoryConnector {
    fn connect(&self, _: &str) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(self.open()?))
    }
}

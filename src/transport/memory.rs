//! Streams inside one process: a server and its clients without a network, for tests above all.
//!
//! Each direction is a pipe of [`CAPACITY`] bytes: whoever writes into a full one waits, as with a socket.
//!
//! # Examples
//!
//! ```
//! use leads_comm::{Client, Server, callback, transport::memory};
//!
//! let (listener, connector) = memory::listener();
//! let (events, received) = callback::channel(16);
//! let server = Server::builder().transport(listener).callback(events).build()?;
//! server.start(true)?;
//!
//! let client = Client::builder().transport(connector).build()?;
//! client.start("the address is not looked at", true)?;
//! client.send(b"hello")?;
//! assert!(received.iter().any(|event| matches!(&event, callback::Event::Receive { message, .. } if message == b"hello")));
//! client.close();
//! # drop(received);
//! server.close();
//! # Ok::<(), leads_comm::Error>(())
//! ```

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender};
use parking_lot::{Condvar, Mutex};

use super::{Connector, Listener, Stream};

/// How many bytes each direction holds, like a small socket buffer.
pub const CAPACITY: usize = 64 * 1024;

/// How many connections a [`MemoryListener`] keeps before [`MemoryConnector`] waits.
const BACKLOG: usize = 1024;

/// Two ends of one stream: what is written to one is read from the other.
pub fn pair() -> (MemoryStream, MemoryStream) {
    named_pair("memory".into(), "memory".into())
}

/// A listener, and the connector that reaches it.
pub fn listener() -> (MemoryListener, MemoryConnector) {
    let (arrive, arrivals) = crossbeam_channel::bounded(BACKLOG);
    let (stop, stopped) = crossbeam_channel::bounded(0);
    let listener = MemoryListener { arrivals, stop: Mutex::new(Some(stop)), stopped };
    (listener, MemoryConnector { arrive, next: Arc::new(AtomicU64::new(1)) })
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
            pipe.reset = !pipe.ended || !pipe.bytes.is_empty();
            pipe.bytes.clear();
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

/// Where the streams of a [`MemoryConnector`] arrive.
#[derive(Debug)]
pub struct MemoryListener {
    arrivals: Receiver<MemoryStream>,
    /// Dropped to stop.
    stop: Mutex<Option<Sender<()>>>,
    stopped: Receiver<()>,
}

impl Listener for MemoryListener {
    fn accept(&self) -> io::Result<Option<Box<dyn Stream>>> {
        if self.stop.lock().is_none() {
            return Ok(None);
        }
        crossbeam_channel::select! {
            recv(self.arrivals) -> stream => match stream {
                Ok(stream) => Ok(Some(Box::new(stream))),
                // Nobody is left who could call: wait for the stop.
                Err(_) => {
                    let _ = self.stopped.recv();
                    Ok(None)
                }
            },
            recv(self.stopped) -> _ => Ok(None),
        }
    }

    fn stop(&self) {
        self.stop.lock().take();
    }

    fn name(&self) -> String {
        "memory".into()
    }
}

/// Reaches one [`MemoryListener`], whatever the address says. Clones reach the same one.
#[derive(Debug, Clone)]
pub struct MemoryConnector {
    arrive: Sender<MemoryStream>,
    next: Arc<AtomicU64>,
}

impl MemoryConnector {
    /// Opens a stream to the listener, as [`connect`](Connector::connect) does, for a test that speaks raw bytes.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused` when the listener is gone.
    pub fn open(&self) -> io::Result<MemoryStream> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (here, there) = named_pair("memory".into(), format!("memory {number}"));
        self.arrive.send(there).map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(here)
    }
}

impl Connector for MemoryConnector {
    fn connect(&self, _: &str) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(self.open()?))
    }
}

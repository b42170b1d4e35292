//! Where a WebSocket that has been let in is taken by a server of the library.

use std::io;
use std::time::Duration;

use leads_comm::crossbeam_channel::{self as channel, Receiver, Sender, TrySendError};
use leads_comm::transport::{Listener, Stream};
use leads_comm_websocket::Settings;
use parking_lot::Mutex;

use super::request::LONGEST_BODY;

/// How many may wait for their server to take them.
const WAITING: usize = 64;

/// The way to one server: see [`door`].
pub(crate) struct Door {
    subprotocols: Vec<String>,
    origins: Vec<String>,
    pub(super) settings: Settings,
    streams: Sender<Box<dyn Stream>>,
}

/// What that server listens on.
#[derive(Debug)]
pub(crate) struct DoorListener {
    name: String,
    streams: Receiver<Box<dyn Stream>>,
    /// Dropped when it is stopped.
    running: Mutex<Option<Sender<()>>>,
    stopped: Receiver<()>,
}

/// A door for the WebSockets of these subprotocols, and what the server behind it listens on, with the framing
/// [by length](leads_comm::codec::Framing::Length). Where there is none, it is for those that ask for none.
///
/// What comes through it is as long as a body may be, at most: 64 KiB a message.
pub(crate) fn door(subprotocols: &[&str]) -> (Door, DoorListener) {
    let (streams, taken) = channel::bounded(WAITING);
    let (running, stopped) = channel::bounded(0);
    let name = if subprotocols.is_empty() { "WebSocket".to_owned() } else { subprotocols.join(", ") };
    let door = Door {
        subprotocols: subprotocols.iter().map(|name| (*name).to_owned()).collect(),
        origins: Vec::new(),
        settings: Settings::new().max_received_len(LONGEST_BODY),
        streams,
    };
    (door, DoorListener { name, streams: taken, running: Mutex::new(Some(running)), stopped })
}

impl Door {
    /// Lets in the pages of another origin, such as `https://app.foxglove.dev`, here only.
    #[must_use]
    pub(crate) fn lets_in_origin(mut self, origin: impl Into<String>) -> Self {
        self.origins.push(origin.into());
        self
    }

    /// The subprotocols that are spoken behind it, the best first.
    pub(super) fn subprotocols(&self) -> Vec<&str> {
        self.subprotocols.iter().map(String::as_str).collect()
    }

    pub(super) fn lets_in(&self, origin: &str) -> bool {
        self.origins.iter().any(|known| known.eq_ignore_ascii_case(origin))
    }

    /// Whether the server takes what comes.
    pub(super) fn has_room(&self) -> bool {
        !self.streams.is_full()
    }

    /// Hands it to the server; drops it where too many wait already, or there is no server any more.
    pub(super) fn pass(&self, stream: Box<dyn Stream>) {
        if let Err(TrySendError::Full(stream) | TrySendError::Disconnected(stream)) = self.streams.try_send(stream) {
            let _ = stream.abort();
        }
    }
}

impl DoorListener {
    fn take(&self, time: Option<Duration>) -> io::Result<Option<Box<dyn Stream>>> {
        if self.running.lock().is_none() {
            return Ok(None);
        }
        let never = channel::never();
        let mut streams = &self.streams;
        let timeout = time.map_or_else(channel::never, channel::after);
        loop {
            channel::select! {
                recv(streams) -> stream => match stream {
                    Ok(stream) => return Ok(Some(stream)),
                    // There is nobody who could bring one.
                    Err(_) => streams = &never,
                },
                recv(self.stopped) -> _ => return Ok(None),
                recv(timeout) -> _ => return Err(io::ErrorKind::WouldBlock.into()),
            }
        }
    }
}

impl Listener for DoorListener {
    fn accept(&self) -> io::Result<Option<Box<dyn Stream>>> {
        self.take(None)
    }

    fn accept_for(&self, time: Duration) -> io::Result<Option<Box<dyn Stream>>> {
        self.take(Some(time))
    }

    fn descriptors_per_stream(&self) -> usize {
        1
    }

    fn stop(&self) {
        self.running.lock().take();
        // Nobody comes for them any more.
        while self.streams.try_recv().is_ok() {}
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}

//! Peers that take exactly as much as a test lets them, and remember every write.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Instant;

use leads_comm::transport::{Descriptor, Listener, Stream};
use leads_comm::{ClientBuilder, Server, ServerBuilder};

use super::pair::Pair;
use super::{Dial, PATIENCE, Raw, Started};

/// How the stream behind a valve is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// On the thread that sends, and when the valve is shut on a thread of the connection's.
    Direct,
    /// Always on a thread of the connection's.
    Blocking,
    /// On the thread that sends, and when the valve is shut by the pump, which the system tells for ever that the
    /// stream takes nothing.
    Unready,
}

/// Those that differ in the thread that writes.
pub const EITHER: [Writes; 2] = [Writes::Direct, Writes::Blocking];

/// One peer, as a test sees it: takes nothing until it is told to.
#[derive(Clone)]
pub struct Valve {
    shared: Arc<Shared>,
}

struct Shared {
    writes: Writes,
    /// A socket that takes no more.
    unready: Option<Pair>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// How many bytes may still be taken.
    allowed: usize,
    /// The bytes that each write gave, those of which nothing was taken excepted.
    taken: Vec<Vec<u8>>,
    /// Whether a write is waiting to be let on.
    blocked: bool,
    ended: bool,
    hung_up: bool,
    reset: bool,
    during_write: Option<Box<dyn FnOnce() + Send>>,
}

impl Valve {
    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.shared.changed.notify_all();
    }

    /// Lets the peer take `bytes` more.
    pub fn allow(&self, bytes: usize) {
        self.change(|state| state.allowed = state.allowed.saturating_add(bytes));
    }

    /// Lets the peer take whatever comes.
    pub fn open(&self) {
        self.allow(usize::MAX);
    }

    /// Whether the peer has taken all that it may.
    pub fn is_spent(&self) -> bool {
        self.state().allowed == 0
    }

    /// Does something in the middle of the next write that is made on the thread that sends, or by the pump.
    pub fn during_write(&self, work: impl FnOnce() + Send + 'static) {
        self.change(|state| state.during_write = Some(Box::new(work)));
    }

    /// The peer ends its side of the stream.
    pub fn hang_up(&self) {
        self.change(|state| state.hung_up = true);
    }

    /// The peer is gone.
    pub fn reset(&self) {
        self.change(|state| state.reset = true);
    }

    /// What the peer has taken, write by write.
    pub fn writes(&self) -> Vec<Vec<u8>> {
        self.state().taken.clone()
    }

    /// What the peer has taken.
    pub fn taken(&self) -> Vec<u8> {
        self.state().taken.concat()
    }

    /// The whole messages that the peer has taken.
    pub fn messages(&self) -> Vec<Vec<u8>> {
        let taken = self.taken();
        let mut messages: Vec<_> = taken.split(|byte| *byte == b';').map(<[u8]>::to_vec).collect();
        messages.pop();
        messages
    }

    /// Waits until the peer has taken something for which `holds`.
    pub fn wait_for(&self, what: &str, mut holds: impl FnMut(&[Vec<u8>]) -> bool) {
        self.wait_until(what, |state| holds(&state.taken));
    }

    /// Waits until the peer has taken all that it may, and a writing thread waits for more.
    pub fn wait_until_blocked(&self) {
        self.wait_until("a blocked write", |state| state.blocked && state.allowed == 0);
    }

    fn wait_until(&self, what: &str, mut holds: impl FnMut(&State) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state();
        while !holds(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{what}: does not come");
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until the last bytes that the peer has taken are these.
    pub fn wait_for_end(&self, end: &[u8]) {
        let what = end[..end.len().min(20)].escape_ascii().to_string();
        self.wait_for(&what, |taken| {
            let behind = taken.iter().rev().flat_map(|write| write.iter().rev());
            behind.take(end.len()).eq(end.iter().rev())
        });
    }

    fn write(&self, buffers: &[IoSlice<'_>], may_block: bool) -> io::Result<usize> {
        let mut state = self.state();
        while state.allowed == 0 && !state.ended && !state.reset {
            if !may_block {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            state.blocked = true;
            self.shared.changed.notify_all();
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.blocked = false;
        if state.ended || state.reset {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut bytes: Vec<u8> = buffers.iter().flat_map(|buffer| buffer.iter().copied()).collect();
        bytes.truncate(state.allowed);
        let count = bytes.len();
        state.allowed -= count;
        state.taken.push(bytes);
        drop(state);
        self.shared.changed.notify_all();
        Ok(count)
    }
}

impl Stream for Valve {
    fn read(&self, _: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state();
        loop {
            if state.reset {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            if state.hung_up || state.ended {
                return Ok(0);
            }
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write(buffers, true)
    }

    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.shared.writes {
            Writes::Blocking => Err(io::ErrorKind::Unsupported.into()),
            _ => {
                let work = self.state().during_write.take();
                work.into_iter().for_each(|work| work());
                self.write(buffers, false)
            }
        }
    }

    fn poll_fd(&self) -> Option<Descriptor<'_>> {
        self.shared.unready.as_ref().map(Pair::descriptor)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.change(|state| match how {
            // A peer that is well-behaved follows.
            Shutdown::Write => state.hung_up = true,
            _ => state.ended = true,
        });
        Ok(())
    }

    fn peer(&self) -> String {
        "valve".into()
    }
}

fn full_pair() -> Pair {
    let pair = Pair::new();
    pair.fill();
    pair
}

/// Opens peers of one server.
pub struct Valves {
    arrivals: mpsc::Sender<Option<Valve>>,
    writes: Writes,
}

impl Valves {
    /// One more peer, which takes nothing yet.
    pub fn connect(&self) -> Valve {
        self.connect_as(State::default())
    }

    /// The same with something to do in the middle of the [first write](Valve::during_write).
    pub fn connect_with(&self, during_write: impl FnOnce() + Send + 'static) -> Valve {
        self.connect_as(State { during_write: Some(Box::new(during_write)), ..State::default() })
    }

    fn connect_as(&self, state: State) -> Valve {
        let shared = Shared {
            writes: self.writes,
            unready: (self.writes == Writes::Unready).then(full_pair),
            state: Mutex::new(state),
            changed: Condvar::new(),
        };
        let valve = Valve { shared: Arc::new(shared) };
        self.arrivals.send(Some(valve.clone())).unwrap();
        valve
    }
}

struct ValveListener {
    arriving: Mutex<mpsc::Receiver<Option<Valve>>>,
    arrivals: mpsc::Sender<Option<Valve>>,
}

impl Listener for ValveListener {
    fn accept(&self) -> io::Result<Option<Box<dyn Stream>>> {
        let arrived = self.arriving.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let arrived = arrived.expect("the listener keeps a sender");
        if arrived.is_none() {
            // For whoever accepts again.
            self.stop();
        }
        Ok(arrived.map(|valve| Box::new(valve) as Box<dyn Stream>))
    }

    fn stop(&self) {
        let _ = self.arrivals.send(None);
    }

    fn name(&self) -> String {
        "valves".into()
    }
}

/// Nobody dials: valves are opened.
struct ByThemselves;

impl Dial for ByThemselves {
    fn client(&self, _: &Server) -> ClientBuilder {
        panic!("the peers of this server come by themselves");
    }

    fn raw(&self, _: &Server) -> Raw {
        panic!("the peers of this server come by themselves");
    }
}

/// A started server whose peers are valves, and the way to open them.
pub fn start_server(writes: Writes, adapt: impl FnOnce(ServerBuilder) -> ServerBuilder) -> (Started, Valves) {
    let (arrivals, arriving) = mpsc::channel();
    let listener = ValveListener { arriving: Mutex::new(arriving), arrivals: arrivals.clone() };
    let (callback, events) = super::recorder();
    let server = adapt(Server::builder().transport(listener).callback(callback)).build().unwrap();
    server.start(true).unwrap();
    (Started { server, events, dial: Box::new(ByThemselves) }, Valves { arrivals, writes })
}

//! A TCP proxy on this machine that does to a stream what networks and dying peers do.
//!
//! It cuts what passes into slices, holds it up, slows it down, and ends it: at a chosen byte or on command, by a
//! regular end or by a reset. Unless it is told to end a stream it loses nothing, and it never duplicates or reorders.
//! It counts what it has taken and what it has passed on, in each direction, so that a test can account for every byte.
//!
//! Chance comes from a [`Random`]: the same one cuts at the same bytes.

pub mod lane;

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::RangeInclusive;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::seed::Random;
use super::{PATIENCE, accept};
use lane::Lane;

/// How long a thread that is blocked in the system does not look whether it is over.
const LOOK: Duration = Duration::from_millis(10);

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// What clients send.
    ToServer,
    /// What the server sends.
    ToClient,
}

/// Both directions.
pub const BOTH: [Direction; 2] = [Direction::ToServer, Direction::ToClient];

/// What the proxy does to the bytes that go in one direction. By default nothing.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// Into what it is cut.
    pub slices: Slices,
    /// The shortest and the longest wait before each slice.
    pub delay: Option<[Duration; 2]>,
    /// The most bytes in a second.
    pub rate: Option<u64>,
    /// The system's buffers on both sides of the proxy, so that a stream that stands still is noticed sooner.
    pub buffers: Option<usize>,
    /// After how many bytes it ends, and how.
    pub end: Option<(u64, End)>,
}

/// Into which pieces bytes are cut. Each is written by itself; a piece that comes in parts is passed on in parts.
#[derive(Debug, Clone, Default)]
pub enum Slices {
    /// As they come.
    #[default]
    Whole,
    /// All of this length.
    Every(usize),
    /// Of lengths by chance, all of them equally likely.
    Random(RangeInclusive<usize>),
    /// Of lengths by chance, many short and few long ones.
    Skewed(usize),
}

/// How a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The receiver reads the regular end of the stream. The other direction goes on.
    HalfClose,
    /// Sender and receiver see a reset, and both directions are over.
    Reset,
}

/// What has become of the bytes of one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Read from the sender.
    pub taken: u64,
    /// Written to the receiver.
    pub forwarded: u64,
    /// Taken, but thrown away because of an [`End`].
    pub discarded: u64,
    /// In how many writes.
    pub writes: u64,
}

/// A proxy before one server. Dropped, it resets what is still open.
pub struct Proxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    target: SocketAddr,
    random: Random,
    /// By [`Direction`].
    faults: Mutex<[Faults; 2]>,
    links: Mutex<Vec<Link>>,
    arrived: Condvar,
    stopped: Mutex<bool>,
}

impl Proxy {
    /// A proxy in front of the server at `target`.
    pub fn start(target: SocketAddr, random: Random, to_server: Faults, to_client: Faults) -> Self {
        let buffers = to_server.buffers;
        let shared = Arc::new(Shared {
            target,
            random,
            faults: Mutex::new([to_server, to_client]),
            links: Mutex::default(),
            arrived: Condvar::new(),
            stopped: Mutex::new(false),
        });
        let listener = listen(buffers).expect("a port is free");
        let addr = listener.local_addr().expect("it is bound");
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accepting.accept(&listener));
        Self { addr, shared }
    }

    /// Where clients connect instead of to the server.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What is done to those who connect from now on.
    pub fn set_faults(&self, to_server: Faults, to_client: Faults) {
        *lock(&self.shared.faults) = [to_server, to_client];
    }

    /// The connection that was accepted as the `nth`, from 0; waits for it.
    pub fn link(&self, nth: usize) -> Link {
        let deadline = Instant::now() + PATIENCE;
        let mut links = lock(&self.shared.links);
        while links.len() <= nth {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "nobody connects to the proxy");
            links = self.shared.arrived.wait_timeout(links, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        links[nth].clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        *lock(&self.shared.stopped) = true;
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.addr);
        lock(&self.shared.links).iter().for_each(Link::reset);
    }
}

impl Shared {
    fn accept(&self, listener: &TcpListener) {
        loop {
            let accepted = accept(listener);
            if *lock(&self.stopped) {
                return;
            }
            // A server that does not answer is a client that is turned away.
            if let Ok(link) = accepted.and_then(|client| self.join(client)) {
                let mut links = lock(&self.links);
                if *lock(&self.stopped) {
                    link.reset();
                }
                links.push(link);
                self.arrived.notify_all();
            }
        }
    }

    fn join(&self, client: TcpStream) -> io::Result<Link> {
        let faults = lock(&self.faults).clone();
        let socket = Socket::new(Domain::for_address(self.target), Type::STREAM, Some(Protocol::TCP))?;
        set_buffers(&socket, faults[1].buffers)?;
        socket.connect(&self.target.into())?;
        let server = TcpStream::from(socket);
        let nth = lock(&self.links).len() as u64;
        Link::start(client, server, faults, &self.random.part(nth))
    }
}

/// Small buffers must be set before a connection exists, which takes over those of its listener.
fn listen(buffers: Option<usize>) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    set_buffers(&socket, buffers)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

fn set_buffers(socket: &Socket, buffers: Option<usize>) -> io::Result<()> {
    if let Some(bytes) = buffers {
        socket.set_recv_buffer_size(bytes)?;
        socket.set_send_buffer_size(bytes)?;
    }
    Ok(())
}

/// One connection through the proxy.
#[derive(Clone)]
pub struct Link {
    shared: Arc<LinkShared>,
}

struct LinkShared {
    state: Mutex<LinkState>,
    changed: Condvar,
    /// The proxy's own address on the server's side, which the server takes for the client's.
    client_addr: SocketAddr,
}

struct LinkState {
    /// By [`Direction`].
    lanes: [LaneState; 2],
    /// Both streams, until they are reset. Whoever drops the last of them closes it.
    sockets: Option<Sockets>,
    is_reset: bool,
    /// How many directions still have a thread.
    running: usize,
}

#[derive(Clone)]
struct Sockets {
    client: Arc<TcpStream>,
    server: Arc<TcpStream>,
}

#[derive(Default)]
struct LaneState {
    counts: Counts,
    stalled: bool,
    /// Whether a write is under way.
    writing: bool,
    /// Whether the receiver is to read the end of the stream, and whether it has been told.
    half_closed: bool,
    told: bool,
}

impl Link {
    fn start(client: TcpStream, server: TcpStream, faults: [Faults; 2], random: &Random) -> io::Result<Self> {
        for socket in [&client, &server] {
            socket.set_nodelay(true)?;
            // A thread that is blocked in writing has to look whether it is over.
            socket.set_write_timeout(Some(LOOK))?;
            if cfg!(windows) {
                // Nor does the end of reading wake one there.
                socket.set_read_timeout(Some(LOOK))?;
            }
        }
        let client_addr = server.local_addr()?;
        let sockets = Sockets { client: Arc::new(client), server: Arc::new(server) };
        let state = LinkState {
            lanes: Default::default(),
            sockets: Some(sockets.clone()),
            is_reset: false,
            running: BOTH.len(),
        };
        let link =
            Self { shared: Arc::new(LinkShared { state: Mutex::new(state), changed: Condvar::new(), client_addr }) };
        let [to_server, to_client] = faults;
        for (direction, faults) in BOTH.into_iter().zip([to_server, to_client]) {
            let random = random.part(direction as u64);
            let lane = Lane::new(link.clone(), direction, &sockets, faults, random);
            thread::spawn(move || lane.run());
        }
        Ok(link)
    }

    /// The address that the server sees.
    pub fn client_addr(&self) -> SocketAddr {
        self.shared.client_addr
    }

    /// What has passed so far.
    pub fn counts(&self, direction: Direction) -> Counts {
        self.state().lanes[direction as usize].counts
    }

    /// Passes nothing on, and takes nothing more than what it is just taking.
    pub fn stall(&self, direction: Direction) {
        self.change(|state| state.lanes[direction as usize].stalled = true);
    }

    /// Lets bytes pass again.
    pub fn resume(&self, direction: Direction) {
        self.change(|state| state.lanes[direction as usize].stalled = false);
    }

    /// Ends one direction; what its sender still sends is thrown away.
    pub fn half_close(&self, direction: Direction) {
        self.change(|state| {
            state.lanes[direction as usize].half_closed = true;
            state.tell_end(direction);
        });
    }

    /// Resets both sides. They see it as soon as no thread of the proxy is inside a call.
    pub fn reset(&self) {
        self.change(|state| {
            state.is_reset = true;
            let Some(sockets) = state.sockets.take() else { return };
            for socket in [&sockets.client, &sockets.server] {
                // Closing them sends the reset. Shutting the writing half would send a regular end before it. Either
                // fails only when the socket has ended already.
                let _ = SockRef::from(&**socket).set_linger(Some(Duration::ZERO));
                let _ = socket.shutdown(Shutdown::Read);
            }
        });
    }

    /// Waits until the proxy has nothing more to do with it, and both streams are closed.
    pub fn wait_until_over(&self) {
        self.wait_for("the end", |state| state.running == 0);
    }

    /// Waits until so many bytes have been passed on in one direction.
    pub fn wait_until_forwarded(&self, direction: Direction, bytes: u64) {
        self.wait_for("the bytes", |state| state.lanes[direction as usize].counts.forwarded >= bytes);
    }

    fn wait_for(&self, what: &str, mut holds: impl FnMut(&LinkState) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state();
        while !holds(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{what}: does not come through the proxy");
            state = self.wait(state, left);
        }
    }

    fn state(&self) -> MutexGuard<'_, LinkState> {
        lock(&self.shared.state)
    }

    fn change(&self, change: impl FnOnce(&mut LinkState)) {
        change(&mut self.state());
        self.shared.changed.notify_all();
    }

    fn wait<'a>(&self, state: MutexGuard<'a, LinkState>, time: Duration) -> MutexGuard<'a, LinkState> {
        self.shared.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
    }
}

impl LinkState {
    /// Lets the receiver read the end of the stream, if that is due.
    fn tell_end(&mut self, direction: Direction) {
        let lane = &mut self.lanes[direction as usize];
        if !lane.half_closed || lane.told || lane.writing {
            return;
        }
        lane.told = true;
        if let Some(sockets) = &self.sockets {
            let receiver = match direction {
                Direction::ToServer => &sockets.server,
                Direction::ToClient => &sockets.client,
            };
            let _ = receiver.shutdown(Shutdown::Write);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

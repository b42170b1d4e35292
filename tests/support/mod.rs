//! What the test suites share: transports to run over, peers that speak raw bytes, and waiting with a deadline.

#![allow(dead_code, unreachable_pub, reason = "each suite uses its own part")]

pub mod account;
pub mod child;
pub mod counted;
pub mod deadlocks;
pub mod figures;
pub mod leads_peer;
#[cfg(target_os = "linux")]
pub mod leftovers;
pub mod proxy;
pub mod seed;
pub mod shaking;
pub mod stamp;
pub mod valve;
#[cfg(target_os = "linux")]
pub mod vitals;

use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::callback::{self, ChannelCallback, Event};
use leads_comm::codec::{Decoder, Separator};
use leads_comm::crossbeam_channel::Receiver;
use leads_comm::transport::memory::{self, MemoryConnector};
use leads_comm::transport::tcp::TcpStream;
use leads_comm::transport::{Connector, Listener, Stream};
use leads_comm::{Client, ClientBuilder, DisconnectReason, Server, ServerBuilder};
use seed::Random;
use socket2::SockRef;

/// How long anything may take before a test gives up: far longer than it ever should, also on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What joins a server and its clients in a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Net {
    /// TCP on this machine.
    Tcp,
    /// The in-memory transport.
    Memory,
    /// A stream that cannot be written without blocking, so that a thread of its own writes it.
    Blocking,
}

#[allow(unused_macros, reason = "each suite uses its own part")]
/// Runs each test once over every transport, as `name::tcp`, `name::memory` and `name::blocking`.
macro_rules! over_every_transport {
    ($($(#[$attribute:meta])* fn $name:ident($net:ident: Net) $body:block)*) => {
        $(
            mod $name {
                use super::*;

                $(#[$attribute])*
                fn run($net: Net) $body

                #[test]
                fn tcp() {
                    run(Net::Tcp);
                }

                #[test]
                fn memory() {
                    run(Net::Memory);
                }

                #[test]
                fn blocking() {
                    run(Net::Blocking);
                }
            }
        )*
    };
}
#[allow(unused_imports, reason = "each suite uses its own part")]
pub(crate) use over_every_transport;

impl Net {
    /// A server's builder, and the way to reach that server once it has been started.
    pub fn server(self) -> (ServerBuilder, Dial) {
        deadlocks::watch();
        match self {
            Net::Tcp => (Server::builder().port(0), Dial::Tcp),
            Net::Memory => {
                let (listener, connector) = memory::listener();
                (Server::builder().transport(listener), Dial::Memory(connector))
            }
            Net::Blocking => {
                let (listener, connector) = memory::listener();
                (Server::builder().transport(BlockingListener(listener)), Dial::Blocking(connector))
            }
        }
    }

    /// A started server that puts its events into a channel.
    pub fn start_server(self, adapt: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Started {
        let (builder, dial) = self.server();
        let (callback, events) = callback::channel(100_000);
        let server = adapt(builder.callback(callback)).build().unwrap();
        server.start(true).unwrap();
        Started { server, events, dial }
    }
}

/// A running server, what it tells, and how to reach it. Closed when dropped.
pub struct Started {
    pub server: Server,
    pub events: Receiver<Event>,
    pub dial: Dial,
}

impl Started {
    /// A client's builder; start the client with [`address`](Self::address).
    pub fn client(&self) -> ClientBuilder {
        self.dial.client(&self.server)
    }

    pub fn address(&self) -> &'static str {
        "127.0.0.1"
    }

    /// A started client that puts its events into a channel.
    pub fn start_client(&self) -> (Client, Receiver<Event>) {
        let (callback, events) = callback::channel(100_000);
        (self.start_client_with(callback), events)
    }

    pub fn start_client_with(&self, callback: impl leads_comm::Callback) -> Client {
        let client = self.client().callback(callback).build().unwrap();
        client.start(self.address(), true).unwrap();
        client
    }

    /// A peer that speaks bytes.
    pub fn raw(&self) -> Raw {
        self.dial.raw(&self.server)
    }

    pub fn addr(&self) -> SocketAddr {
        self.server.local_addr().unwrap()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.server.close();
    }
}

/// How clients reach one server.
pub enum Dial {
    Tcp,
    Memory(MemoryConnector),
    Blocking(MemoryConnector),
    /// Their own way.
    None,
}

impl Dial {
    pub fn client(&self, server: &Server) -> ClientBuilder {
        match self {
            Dial::Tcp => Client::builder().port(server.port()),
            Dial::Memory(connector) => Client::builder().transport(connector.clone()),
            Dial::Blocking(connector) => Client::builder().transport(BlockingConnector(connector.clone())),
            Dial::None => panic!("the peers of this server come by themselves"),
        }
    }

    pub fn raw(&self, server: &Server) -> Raw {
        match self {
            Dial::Tcp => {
                let socket = std::net::TcpStream::connect(server.local_addr().unwrap()).unwrap();
                let stream = TcpStream::new(socket.try_clone().unwrap()).unwrap();
                Raw { stream: Box::new(stream), socket: Some(socket) }
            }
            Dial::Memory(connector) | Dial::Blocking(connector) => {
                Raw { stream: Box::new(connector.open().unwrap()), socket: None }
            }
            Dial::None => panic!("the peers of this server come by themselves"),
        }
    }
}

/// A peer that speaks bytes, over any transport.
pub struct Raw {
    pub stream: Box<dyn Stream>,
    /// The socket, where it is one.
    socket: Option<std::net::TcpStream>,
}

impl Raw {
    /// A peer on a stream that was opened in another way.
    pub fn of(stream: Box<dyn Stream>) -> Self {
        Self { stream, socket: None }
    }

    pub fn write(&self, bytes: &[u8]) {
        self.try_write(bytes).unwrap();
    }

    /// Writes to a server that may have hung up.
    pub fn try_write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = self.stream.write_vectored(&[IoSlice::new(bytes)])?;
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// Ends the connection as a crashed peer's system does: by a reset.
    pub fn reset(self) {
        match self.socket {
            Some(socket) => {
                SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
                drop(self.stream);
            }
            None => self.stream.abort().unwrap(),
        }
    }

    /// Reads as many bytes, fewer only when the stream ends before.
    pub fn read_exact(&self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        let mut filled = 0;
        while filled < len {
            match self.stream.read(&mut bytes[filled..]).unwrap() {
                0 => break,
                count => filled += count,
            }
        }
        bytes.truncate(filled);
        bytes
    }

    /// Reads until the end of the stream; an error, such as a reset, is the last thing it may give.
    pub fn read_to_end(self) -> (Vec<u8>, io::Result<()>) {
        let (done, ended) = mpsc::channel();
        thread::spawn(move || {
            let mut bytes = Vec::new();
            let mut chunk = [0; 16 * 1024];
            let end = loop {
                match self.stream.read(&mut chunk) {
                    Ok(0) => break Ok(()),
                    Ok(count) => bytes.extend_from_slice(&chunk[..count]),
                    Err(error) => break Err(error),
                }
            };
            let _ = done.send((bytes, end));
        });
        ended.recv_timeout(PATIENCE).expect("the server does not end the stream")
    }

    /// Reads from now on, on a thread of its own, and gives out each whole message; ends with the stream.
    pub fn into_messages(self) -> mpsc::Receiver<Vec<u8>> {
        let (messages, receiver) = mpsc::channel();
        thread::spawn(move || {
            let mut decoder = Decoder::new(Separator::default(), usize::MAX);
            let mut chunk = [0; 64 * 1024];
            while let Ok(count @ 1..) = self.stream.read(&mut chunk) {
                let mut arrived = decoder.decode(&chunk[..count]);
                while let Ok(Some(message)) = arrived.next_message() {
                    if messages.send(message.to_vec()).is_err() {
                        return;
                    }
                }
            }
        });
        receiver
    }

    /// Ends the writing half, and leaves the reading half open.
    pub fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }
}

/// A message of `len` bytes that can be told from all others, and from a part of itself.
pub fn numbered(number: usize, len: usize) -> Vec<u8> {
    let mut message = format!("{number}:{len}:").into_bytes();
    assert!(message.len() <= len, "too short for its number");
    message.resize(len, b'a' + (number % 26) as u8);
    message
}

/// The number of a [numbered] message, which must be whole.
pub fn number_of(message: &[u8]) -> usize {
    let mut parts = message.splitn(3, |byte| *byte == b':').map(|part| std::str::from_utf8(part).unwrap());
    let mut number = || parts.next().and_then(|part| part.parse().ok()).unwrap_or_else(|| panic!("{message:?}"));
    let (number, len) = (number(), number());
    assert!(message == numbered(number, len), "torn: {}", message.escape_ascii());
    number
}

/// Runs `work` on a thread of its own and returns what it returns; fails the test when that takes too long.
pub fn in_time<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, ended) = mpsc::channel();
    thread::spawn(move || {
        let _ = done.send(work());
    });
    match ended.recv_timeout(PATIENCE) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{what} takes too long"),
        Err(mpsc::RecvTimeoutError::Disconnected) => panic!("{what} panicked"),
    }
}

/// The next event.
pub fn next(events: &Receiver<Event>) -> Event {
    events.recv_timeout(PATIENCE).expect("no further event")
}

/// The next event for which `pick` gives something; those before it are skipped.
pub fn find<T>(events: &Receiver<Event>, mut pick: impl FnMut(Event) -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let event = events.recv_deadline(deadline).expect("the event does not come");
        if let Some(found) = pick(event) {
            return found;
        }
    }
}

/// The next connection.
pub fn connected(events: &Receiver<Event>) -> leads_comm::Connection {
    find(events, |event| match event {
        Event::Connect { connection } => Some(connection),
        _ => None,
    })
}

/// The next message.
pub fn received(events: &Receiver<Event>) -> Vec<u8> {
    find(events, |event| match event {
        Event::Receive { message, .. } => Some(message),
        _ => None,
    })
}

/// The reason of the next disconnection.
pub fn disconnected(events: &Receiver<Event>) -> DisconnectReason {
    find(events, |event| match event {
        Event::Disconnect { reason, .. } => Some(reason),
        _ => None,
    })
}

/// Waits until `holds`, by asking again and again: for what nothing announces, such as a count of the system's.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: does not come true");
        thread::yield_now();
    }
}

/// A callback and its receiver, large enough never to be full in a test.
pub fn recorder() -> (ChannelCallback, Receiver<Event>) {
    deadlocks::watch();
    callback::channel(100_000)
}

/// A port that nobody listens on, and that the system gives to nobody who asks for any: those are higher.
pub fn free_port() -> u16 {
    let mut random = Random::new(seed::fresh());
    loop {
        let port = u16::try_from(random.within(30_200..=32_200)).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A stream without its non-blocking write.
struct BlockingStream(Box<dyn Stream>);

impl Stream for BlockingStream {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_vectored(buffers)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.shutdown(how)
    }

    fn abort(&self) -> io::Result<()> {
        self.0.abort()
    }

    fn peer(&self) -> String {
        self.0.peer()
    }
}

struct BlockingListener(memory::MemoryListener);

impl Listener for BlockingListener {
    fn accept(&self) -> io::Result<Option<Box<dyn Stream>>> {
        Ok(self.0.accept()?.map(blocking))
    }

    fn stop(&self) {
        self.0.stop();
    }

    fn name(&self) -> String {
        self.0.name()
    }
}

#[derive(Clone)]
struct BlockingConnector(MemoryConnector);

impl Connector for BlockingConnector {
    fn connect(&self, address: &str) -> io::Result<Box<dyn Stream>> {
        self.0.connect(address).map(blocking)
    }
}

fn blocking(stream: Box<dyn Stream>) -> Box<dyn Stream> {
    Box::new(BlockingStream(stream))
}

/// Keeps the panics that a test provokes in callbacks out of its output.
pub fn expect_panics_in_callbacks() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !thread::current().name().is_some_and(|name| name.starts_with("leads-comm")) {
                report(panic);
            }
        }));
    });
}

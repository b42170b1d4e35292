//! The library's side of a case: a server or a client, its program, and what its callback was told.

use std::collections::VecDeque;
use std::error;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use leads_comm::transport::{Stream, tcp};
use leads_comm::{Builder, Callback, Client, Connection, DisconnectReason, Error, Server, Service, SlowConsumer};

use crate::case::{Case, Program, Role};
use crate::patience;
use crate::peer::{Peer, dial, listen};
use crate::show::show;
use crate::tap::{TappedListener, Taps};

/// Longer than anything in a case may take.
const LONG: Duration = Duration::from_secs(60);

/// A setting of the library that both kinds of service have.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Setting {
    MaxMessageLen(usize),
    MaxSentLen(usize),
    MaxQueuedBytes(usize),
    SlowConsumer(SlowConsumer),
    Coalesce(bool),
    StallTimeout(Duration),
    FlushTimeout(Duration),
    DrainTimeout(Duration),
    CloseTimeout(Duration),
}

impl Setting {
    fn apply<Side>(self, builder: Builder<Side>) -> Builder<Side> {
        match self {
            Self::MaxMessageLen(bytes) => builder.max_message_len(bytes),
            Self::MaxSentLen(bytes) => builder.max_sent_len(bytes),
            Self::MaxQueuedBytes(bytes) => builder.max_queued_bytes(bytes),
            Self::SlowConsumer(policy) => builder.slow_consumer(policy),
            Self::Coalesce(coalesce) => builder.coalesce(coalesce),
            Self::StallTimeout(time) => builder.stall_timeout(time),
            Self::FlushTimeout(time) => builder.flush_timeout(time),
            Self::DrainTimeout(time) => builder.drain_timeout(time),
            Self::CloseTimeout(time) => builder.close_timeout(time),
        }
    }
}

/// What a callback was told of one connection.
#[derive(Debug)]
pub(crate) enum Seen {
    Initialize,
    Connect(Connection),
    Receive(Vec<u8>),
    Disconnect(DisconnectReason),
    Fail(Error),
}

impl Seen {
    pub(crate) fn show(&self) -> String {
        match self {
            Seen::Initialize => "on_initialize".to_owned(),
            Seen::Connect(_) => "on_connect".to_owned(),
            Seen::Receive(message) => format!("on_receive {}", show(message)),
            Seen::Disconnect(reason) => format!("on_disconnect {reason:?}"),
            Seen::Fail(error) => format!("on_fail {error:?}"),
        }
    }
}

/// Notes what it is told, then lets the program do its part.
struct Noting {
    program: Program,
    /// With the peer's address; none for what concerns no connection.
    seen: Mutex<Sender<(Option<SocketAddr>, Seen)>>,
}

impl Noting {
    fn note(&self, connection: Option<&Connection>, seen: Seen) {
        // Nobody listens any more once the case has failed.
        let _ = self.seen.lock().unwrap().send((connection.and_then(Connection::peer_addr), seen));
    }
}

impl Callback for Noting {
    fn on_initialize(&self, _: &dyn Service) {
        self.note(None, Seen::Initialize);
    }

    fn on_connect(&self, service: &dyn Service, connection: &Connection) {
        self.note(Some(connection), Seen::Connect(connection.clone()));
        if let Some(callback) = self.program.on_connect {
            callback(service, connection);
        }
    }

    fn on_receive(&self, service: &dyn Service, connection: &Connection, message: &[u8]) {
        if !self.program.ignores_messages {
            self.note(Some(connection), Seen::Receive(message.to_vec()));
        }
        if let Some(callback) = self.program.on_receive {
            callback(service, connection, message);
        }
    }

    fn on_disconnect(&self, service: &dyn Service, connection: &Connection, reason: &DisconnectReason) {
        self.note(Some(connection), Seen::Disconnect(reason.clone()));
        if let Some(callback) = self.program.on_disconnect {
            callback(service, connection);
        }
    }

    fn on_fail(&self, _: &dyn Service, error: &Error) {
        self.note(None, Seen::Fail(error.clone()));
    }
}

/// A running service.
#[derive(Clone)]
pub(crate) struct Ours {
    pub(crate) service: Arc<dyn Service>,
    /// The connection to each peer.
    pub(crate) connections: Vec<Connection>,
}

/// What the callback was told and nobody has looked at yet.
pub(crate) struct Told {
    events: Receiver<(Option<SocketAddr>, Seen)>,
    waiting: VecDeque<(Option<SocketAddr>, Seen)>,
}

impl Told {
    /// The very first thing, which is of the service.
    fn initialize(&mut self) -> Result<(), String> {
        match self.events.recv_timeout(patience()) {
            Ok((None, Seen::Initialize)) => Ok(()),
            other => Err(format!("expected on_initialize first, saw {other:?}")),
        }
    }

    /// The next thing told of the peer at `address`, or of no peer.
    pub(crate) fn next(&mut self, address: Option<SocketAddr>) -> Result<Seen, String> {
        if let Some(position) = self.waiting.iter().position(|(of, _)| *of == address) {
            return Ok(self.waiting.remove(position).expect("it is there").1);
        }
        let deadline = Instant::now() + patience();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let (of, seen) = self.events.recv_timeout(left).map_err(|_| "nothing more was told to the callback")?;
            if of == address {
                return Ok(seen);
            }
            self.waiting.push_back((of, seen));
        }
    }

    /// Everything else that has been told.
    pub(crate) fn rest(&mut self) -> Vec<Seen> {
        self.waiting.extend(self.events.try_iter());
        self.waiting.drain(..).map(|(_, seen)| seen).collect()
    }
}

type Opened = Result<(Arc<dyn Service>, Vec<Peer>), Box<dyn error::Error>>;

/// Starts the service of a case, with its peers connected.
pub(crate) fn open(case: &Case, role: Role) -> Result<(Ours, Told, Vec<Peer>), String> {
    let (seen, events) = mpsc::channel();
    let mut told = Told { events, waiting: VecDeque::new() };
    let noting = Noting { program: case.program, seen: Mutex::new(seen) };
    let taps = Taps::default();
    let (service, mut peers) = match role {
        Role::Server => serve(case, noting, &taps),
        Role::Client => connect(case, noting, &taps),
    }
    .map_err(|error| format!("it does not start: {error}"))?;
    told.initialize()?;
    let mut connections = Vec::new();
    for peer in &mut peers {
        let Seen::Connect(connection) = told.next(Some(peer.address))? else {
            return Err("something was told before on_connect".to_owned());
        };
        connections.push(connection);
        peer.progress = taps.progress(peer.address);
    }
    Ok((Ours { service, connections }, told, peers))
}

fn serve(case: &Case, noting: Noting, taps: &Taps) -> Opened {
    let listener = tcp::TcpListener::new(listen(case.narrow)?)?;
    let builder = Server::builder().transport(TappedListener { listener, taps: taps.clone() });
    let server = adapt(builder, case, noting).build()?;
    server.start(true)?;
    let address = server.local_addr().ok_or("the server has no address")?;
    let peers = (0..case.peers).map(|_| Peer::new(dial(address, case.narrow)?, &case.separator));
    let peers = peers.collect::<io::Result<_>>()?;
    Ok((Arc::new(server), peers))
}

fn connect(case: &Case, noting: Noting, taps: &Taps) -> Opened {
    let listener = listen(case.narrow)?;
    let address = listener.local_addr()?;
    let (taps, narrow) = (taps.clone(), case.narrow);
    let builder = Client::builder().transport(move |_: &str| -> io::Result<Box<dyn Stream>> {
        Ok(taps.tap(Box::new(tcp::TcpStream::new(dial(address, narrow)?)?)))
    });
    let client = adapt(builder, case, noting).build()?;
    client.start("the peer", true)?;
    let (socket, _) = listener.accept()?;
    Ok((Arc::new(client), vec![Peer::new(socket, &case.separator)?]))
}

fn adapt<Side>(builder: Builder<Side>, case: &Case, noting: Noting) -> Builder<Side> {
    // However busy the machine is: a time-out that is over is part of the case.
    let builder = builder.stall_timeout(LONG).flush_timeout(LONG).drain_timeout(LONG).close_timeout(LONG);
    let builder = builder.separator(&case.separator).callback(noting);
    case.settings.iter().fold(builder, |builder, setting| setting.apply(builder))
}

//! The library's side of a case: a server or a client, its program, and what its callback was told.

use std::collections::VecDeque;
use std::error;
use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use leads_comm::codec::Framing;
use leads_comm::{
    Attempt, Callback, Client, Closing, Connection, DisconnectReason, Error, MemoryLimits, Reconnect, Server, Service,
    SlowConsumer, Timeouts,
};
use leads_comm_testing::layer;
use socket2::{SockAddr, Socket};

use crate::case::{Case, Program, Role, Wire};
use crate::over::{self, dial, listen};
use crate::patience;
use crate::peer::Peer;
use crate::show::show;
use crate::tap::Taps;

/// Longer than anything in a case may take.
const LONG: Duration = Duration::from_secs(60);

/// A setting of the library that both kinds of service have.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Setting {
    MaxReceivedLen(usize),
    MaxSentLen(usize),
    MaxQueuedBytes(usize),
    MaxTotalUnfinishedBytes(usize),
    SlowConsumer(SlowConsumer),
    Coalesce(bool),
    PartialMessageTimeout(Duration),
    IdleTimeout(Duration),
    StallTimeout(Duration),
    FlushTimeout(Duration),
    DrainTimeout(Duration),
    CloseTimeout(Duration),
}

/// A builder with what the case says.
macro_rules! adapt {
    ($builder:expr, $case:expr, $noting:expr) => {{
        // However busy the machine is: a time-out that is over is part of the case.
        let closing = Closing::new().flush_timeout(LONG).drain_timeout(LONG).close_timeout(LONG);
        let closing = $case.settings.iter().fold(closing, |closing, setting| match *setting {
            Setting::FlushTimeout(time) => closing.flush_timeout(time),
            Setting::DrainTimeout(time) => closing.drain_timeout(time),
            Setting::CloseTimeout(time) => closing.close_timeout(time),
            _ => closing,
        });
        let timeouts = Timeouts::new().stall_timeout(LONG).partial_message_timeout(LONG);
        let timeouts = $case.settings.iter().fold(timeouts, |timeouts, setting| match *setting {
            Setting::PartialMessageTimeout(time) => timeouts.partial_message_timeout(time),
            Setting::StallTimeout(time) => timeouts.stall_timeout(time),
            _ => timeouts,
        });
        let builder = $builder.timeouts(timeouts).closing(closing).callback($noting);
        let builder = match &$case.wire {
            Wire::Separator(separator) => builder.separator(separator),
            Wire::Length => builder.framing(Framing::Length),
        };
        $case.settings.iter().fold(builder, |builder, setting| match *setting {
            Setting::MaxReceivedLen(bytes) => builder.max_received_len(bytes),
            Setting::MaxSentLen(bytes) => builder.max_sent_len(bytes),
            Setting::MaxQueuedBytes(bytes) => builder.max_queued_bytes(bytes),
            Setting::MaxTotalUnfinishedBytes(bytes) => {
                builder.memory_limits(MemoryLimits::new().max_total_unfinished_bytes(bytes))
            }
            Setting::IdleTimeout(time) => builder.idle_timeout(time),
            Setting::SlowConsumer(policy) => builder.slow_consumer(policy),
            Setting::Coalesce(coalesce) => builder.coalesce(coalesce),
            Setting::PartialMessageTimeout(_) | Setting::StallTimeout(_) => builder,
            Setting::FlushTimeout(_) | Setting::DrainTimeout(_) | Setting::CloseTimeout(_) => builder,
        })
    }};
}

/// What a callback was told of one connection.
#[derive(Debug)]
pub(crate) enum Seen {
    Initialize,
    Connect(Connection),
    Receive(Vec<u8>),
    Disconnect(DisconnectReason),
    Fail(Error),
    Reconnect(Attempt),
}

impl Seen {
    pub(crate) fn show(&self) -> String {
        match self {
            Seen::Initialize => "on_initialize".to_owned(),
            Seen::Connect(_) => "on_connect".to_owned(),
            Seen::Receive(message) => format!("on_receive {}", show(message)),
            Seen::Disconnect(reason) => format!("on_disconnect {reason:?}"),
            Seen::Fail(error) => format!("on_fail {error:?}"),
            Seen::Reconnect(attempt) => format!("on_reconnect {attempt:?}"),
        }
    }
}

/// Notes what it is told, then lets the program do its part.
struct Noting {
    program: Program,
    /// With the peer's name; none for what concerns no connection.
    seen: Mutex<Sender<(Option<String>, Seen)>>,
}

impl Noting {
    fn note(&self, connection: Option<&Connection>, seen: Seen) {
        // Nobody listens any more once the case has failed.
        let _ = self.seen.lock().unwrap().send((connection.map(Connection::to_string), seen));
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

    fn on_reconnect(&self, _: &dyn Service, attempt: &Attempt) {
        self.note(None, Seen::Reconnect(*attempt));
    }
}

/// A running service.
pub(crate) struct Ours {
    pub(crate) service: Arc<dyn Service>,
    /// The connection to each peer; a caller who is not let in has none.
    pub(crate) connections: Vec<Option<Connection>>,
    meeting: Meeting,
}

/// Where peers and library meet.
struct Meeting {
    place: Place,
    taps: Arc<Taps>,
    narrow: bool,
    wire: Wire,
}

enum Place {
    /// The library's server is here.
    Server(SockAddr),
    /// The library's client comes here.
    Listener(Socket),
}

impl Ours {
    /// One more peer connects to the server, and writes `first` before the server sees it.
    pub(crate) fn call(&mut self, told: &mut Told, first: &[u8], admitted: bool) -> Result<Peer, String> {
        let Meeting { place: Place::Server(address), taps, narrow, wire } = &self.meeting else {
            return Err("nobody can call a client".to_owned());
        };
        let gate = taps.hold_callers();
        let socket = dial(address, *narrow).map_err(|error| format!("cannot connect: {error}"))?;
        let mut peer = Peer::new(socket, wire).map_err(|error| error.to_string())?;
        peer.send(&[first.to_vec()])?;
        drop(gate);
        let connection = if admitted { Some(told.connect(&peer.name)?) } else { None };
        if !admitted {
            peer.expect_refusal(wire);
        }
        peer.progress = taps.progress(&peer.name).filter(|_| admitted);
        self.connections.push(connection);
        Ok(peer)
    }

    /// The client connects again, and not twice.
    pub(crate) fn come_again(&mut self, told: &mut Told, attempt: u32) -> Result<Peer, String> {
        let Meeting { place: Place::Listener(listener), taps, wire, .. } = &self.meeting else {
            return Err("a server does not connect".to_owned());
        };
        match told.next(None)? {
            Seen::Reconnect(Attempt { number, .. }) if number == attempt => {}
            other => return Err(format!("expected on_reconnect for attempt {attempt}, saw {}", other.show())),
        }
        let name = over::name(&listener.local_addr().map_err(|error| error.to_string())?);
        let connection = told.connect(&name)?;
        // It waits there already, since the client knows that it is connected.
        let (socket, _) = listener.accept().map_err(|error| error.to_string())?;
        let mut peer = Peer::new(socket, wire).map_err(|error| error.to_string())?;
        peer.progress = taps.progress(&name);
        self.connections.push(Some(connection));
        self.stay_away()?;
        Ok(peer)
    }

    /// No client waits to be accepted.
    pub(crate) fn stay_away(&self) -> Result<(), String> {
        let Place::Listener(listener) = &self.meeting.place else { return Ok(()) };
        listener.set_nonblocking(true).map_err(|error| error.to_string())?;
        let looked = listener.accept();
        listener.set_nonblocking(false).map_err(|error| error.to_string())?;
        match looked {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            other => Err(format!("expected no other connection, saw {other:?}")),
        }
    }
}

/// What the callback was told and nobody has looked at yet.
pub(crate) struct Told {
    events: Receiver<(Option<String>, Seen)>,
    waiting: VecDeque<(Option<String>, Seen)>,
}

impl Told {
    /// The very first thing, which is of the service.
    fn initialize(&mut self) -> Result<(), String> {
        match self.events.recv_timeout(patience()) {
            Ok((None, Seen::Initialize)) => Ok(()),
            other => Err(format!("expected on_initialize first, saw {other:?}")),
        }
    }

    /// The next thing told of the peer of that name, or of no peer.
    pub(crate) fn next(&mut self, name: Option<&str>) -> Result<Seen, String> {
        if let Some(position) = self.waiting.iter().position(|(of, _)| of.as_deref() == name) {
            return Ok(self.waiting.remove(position).expect("it is there").1);
        }
        let deadline = Instant::now() + patience();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let (of, seen) = self.events.recv_timeout(left).map_err(|_| "nothing more was told to the callback")?;
            if of.as_deref() == name {
                return Ok(seen);
            }
            self.waiting.push_back((of, seen));
        }
    }

    /// A connection to the peer of that name, of which nothing else is told before.
    fn connect(&mut self, name: &str) -> Result<Connection, String> {
        match self.next(Some(name))? {
            Seen::Connect(connection) => Ok(connection),
            other => Err(format!("expected on_connect, saw {}", other.show())),
        }
    }

    /// Everything else that has been told, and how many callers have been refused.
    pub(crate) fn rest(&mut self) -> (Vec<Seen>, u64) {
        self.waiting.extend(self.events.try_iter());
        let mut refused = 0;
        let rest = self.waiting.drain(..).filter_map(|(_, seen)| match seen {
            Seen::Fail(Error::Refused { callers, .. }) => {
                refused += callers;
                None
            }
            other => Some(other),
        });
        (rest.collect(), refused)
    }
}

type Opened = Result<(Arc<dyn Service>, Place, Vec<Peer>), Box<dyn error::Error>>;

/// Starts the service of a case, with its peers connected.
pub(crate) fn open(case: &Case, role: Role) -> Result<(Ours, Told, Vec<Peer>), String> {
    let (seen, events) = mpsc::channel();
    let mut told = Told { events, waiting: VecDeque::new() };
    let noting = Noting { program: case.program, seen: Mutex::new(seen) };
    let taps = Arc::new(Taps::default());
    let (service, place, mut peers) = match role {
        Role::Server => serve(case, noting, &taps),
        Role::Client => connect(case, noting, &taps),
    }
    .map_err(|error| format!("it does not start: {error}"))?;
    told.initialize()?;
    let mut connections = Vec::new();
    for peer in &mut peers {
        connections.push(Some(told.connect(&peer.name)?));
        peer.progress = taps.progress(&peer.name);
    }
    let meeting = Meeting { place, taps, narrow: case.narrow, wire: case.wire.clone() };
    Ok((Ours { service, connections, meeting }, told, peers))
}

fn serve(case: &Case, noting: Noting, taps: &Arc<Taps>) -> Opened {
    let socket = listen(case.narrow)?;
    let address = socket.local_addr()?;
    let listener = over::listener(socket, taps)?;
    let mut builder = Server::builder().transport(listener).max_connections_per_address(case.door.max_per_address);
    if let Some(connections) = case.door.max_connections {
        builder = builder.max_connections(connections);
    }
    if let Some(admit) = case.door.admit {
        builder = builder.admit(admit);
    }
    let server = adapt!(builder, case, noting).build()?;
    server.start(true)?;
    let peers = (0..case.peers).map(|_| Peer::new(dial(&address, case.narrow)?, &case.wire));
    let peers = peers.collect::<io::Result<_>>()?;
    Ok((Arc::new(server), Place::Server(address), peers))
}

fn connect(case: &Case, noting: Noting, taps: &Arc<Taps>) -> Opened {
    let listener = listen(case.narrow)?;
    let address = listener.local_addr()?;
    let narrow = case.narrow;
    let connector = move |_: &str| over::stream(dial(&address, narrow)?);
    let mut builder = Client::builder().transport(layer::connector(connector, taps));
    if case.reconnects {
        builder = builder.reconnect(Reconnect::new().first_delay(Duration::from_millis(1)).longest_delay(LONG));
    }
    let client = adapt!(builder, case, noting).build()?;
    client.start("the peer", true)?;
    let (socket, _) = listener.accept()?;
    let peer = Peer::new(socket, &case.wire)?;
    Ok((Arc::new(client), Place::Listener(listener), vec![peer]))
}

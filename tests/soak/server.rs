//! The server's part: receives everything, replies, broadcasts, and watches over every connection.

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::Duration;

use leads_comm::{Callback, Connection, ConnectionId, Delivery, DisconnectCause, DisconnectReason, Server, Service};
use leads_comm_testing::account::adds_up;
use leads_comm_testing::seed::Random;
use leads_comm_testing::stamp::{Book, Faults, Stamp};
use socket2::{Domain, Protocol, Socket, Type};

use crate::settings;
use crate::tally::{Stop, Tally, name};
use crate::viewers::Viewer;
use crate::words::{self, Role};

/// How many threads broadcast.
pub const BROADCASTERS: usize = 2;

/// Of how many states they tell, each of its own.
const STATES: usize = 6;

/// Who sends broadcasts, as their stamps tell: first the broadcasters, whose messages are events, then the states.
pub const SENDERS: usize = BROADCASTERS + STATES;

/// The first sender's number.
pub const FIRST_SENDER: u64 = 1000;

/// The system's buffer for sending: small, so that peers who stand still are noticed soon.
const SEND_BUFFER: usize = 64 * 1024;

const JUNK_LEN: usize = 8 * 1024;

/// What the server knows of its connections.
pub struct Hall {
    tally: Arc<Tally>,
    connections: Mutex<Connections>,
    /// Of each sender: how many broadcasts it has begun, and how many of them have returned.
    begun: [AtomicU64; SENDERS],
    done: [AtomicU64; SENDERS],
    random: Mutex<Random>,
}

#[derive(Default)]
struct Connections {
    open: HashMap<ConnectionId, Arc<Mutex<Peer>>>,
    /// A bit for every connection that ever was.
    known: Vec<u64>,
}

/// One connection, as far as it has come.
struct Peer {
    thread: ThreadId,
    role: Option<Role>,
    viewer: Option<Viewer>,
    book: Book,
    /// How many bytes are to come that are no message.
    unfinished: usize,
    /// Whether it has said that it has sent everything.
    finished: bool,
}

impl Hall {
    pub fn new(tally: Arc<Tally>, random: Random) -> Arc<Self> {
        Arc::new(Self {
            tally,
            connections: Mutex::default(),
            begun: Default::default(),
            done: Default::default(),
            random: Mutex::new(random),
        })
    }

    /// A server that has been started.
    pub fn start_server(self: &Arc<Self>) -> Result<Server, Box<dyn std::error::Error>> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        // Connections take it over.
        socket.set_send_buffer_size(SEND_BUFFER)?;
        socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
        socket.listen(1024)?;
        let builder = Server::builder().listener(TcpListener::from(socket)).callback(Arc::clone(self));
        let server = settings::server(builder).build()?;
        server.start(true)?;
        // So that nobody comes before there is something of each.
        (BROADCASTERS..SENDERS).for_each(|state| self.broadcast(&server, state, &mut lock(&self.random)));
        Ok(server)
    }

    /// Broadcasts until it is time to leave, from several threads: now and then one, now and then many.
    pub fn start_broadcasting(self: &Arc<Self>, server: &Server, stop: &Arc<Stop>) -> Vec<JoinHandle<()>> {
        (0..BROADCASTERS)
            .map(|broadcaster| {
                let (hall, server, stop) = (Arc::clone(self), server.clone(), Arc::clone(stop));
                let mut random = lock(&self.random).part(broadcaster as u64);
                thread::spawn(move || {
                    while !stop.sleep(Duration::from_millis(random.within(5..=60) as u64)) {
                        let times = if random.once_in(30) { 40 } else { 1 };
                        (0..times).for_each(|_| hall.broadcast_one(&server, broadcaster, &mut random));
                    }
                })
            })
            .collect()
    }

    /// Broadcasts so many messages one right after the other.
    pub fn broadcast_many(&self, server: &Server, times: usize) {
        let mut random = lock(&self.random).part(BROADCASTERS as u64);
        (0..times).for_each(|_| self.broadcast_one(server, 0, &mut random));
    }

    /// Of each sender, how many broadcasts have returned.
    pub fn broadcasts(&self) -> [u64; SENDERS] {
        self.done.each_ref().map(|done| done.load(Ordering::SeqCst))
    }

    /// Of each sender, how many broadcasts have begun.
    fn begun(&self) -> [u64; SENDERS] {
        self.begun.each_ref().map(|begun| begun.load(Ordering::SeqCst))
    }

    /// Broadcasts an event of this broadcaster's, or one of its states.
    fn broadcast_one(&self, server: &Server, broadcaster: usize, random: &mut Random) {
        let state = broadcaster + BROADCASTERS * random.within(1..=STATES / BROADCASTERS);
        self.broadcast(server, if random.once_in(2) { broadcaster } else { state }, random);
    }

    /// On one thread at a time for each sender.
    fn broadcast(&self, server: &Server, sender: usize, random: &mut Random) {
        let number = self.begun[sender].fetch_add(1, Ordering::SeqCst);
        let mut message = Vec::new();
        let is_event = sender < BROADCASTERS;
        let len = if is_event && random.once_in(200) { 100_000 } else { random.skewed(4000) };
        let kind = if is_event { words::BROADCAST } else { words::STATE };
        Stamp { kind, sender: FIRST_SENDER + sender as u64, number }.write(len, &mut message);
        match server.broadcast(&message) {
            Ok(peers) => self.tally.note_sent(peers, message.len()),
            Err(error) => self.tally.violation(format!("a broadcast failed: {error}")),
        }
        self.done[sender].store(number + 1, Ordering::SeqCst);
    }

    /// How many connections are between their `on_connect` and their `on_disconnect`.
    pub fn num_open(&self) -> usize {
        lock(&self.connections).open.len()
    }

    /// The peer of a connection that must be open, and on its own thread.
    fn peer(&self, connection: &Connection, callback: &str) -> Option<Arc<Mutex<Peer>>> {
        let peer = lock(&self.connections).open.get(&connection.id()).cloned();
        match &peer {
            None => self.tally.violation(format!("{callback} of a connection that is not open: {connection:?}")),
            Some(peer) => self.tally.check(lock(peer).thread == thread::current().id(), || {
                format!("{callback} on another thread than before: {connection:?}")
            }),
        }
        peer
    }

    fn reply(&self, connection: &Connection, role: Option<Role>, message: &[u8]) {
        match connection.send(message) {
            Ok(()) => self.tally.note_sent(1, message.len()),
            Err(error) => self.tally.check(!role.is_some_and(Role::is_healthy), || {
                format!("no reply to a healthy client, {role:?}: {error}: {connection:?}")
            }),
        }
    }

    fn serve(&self, connection: &Connection, delivery: Delivery) {
        if let Err(error) = connection.set_delivery(delivery) {
            self.tally.violation(format!("a viewer is not served: {error}"));
        }
    }

    /// Enters a stamped message into the book of its connection.
    fn enter(&self, connection: &Connection, peer: &mut Peer, message: &[u8]) {
        let before = peer.book.faults();
        peer.book.enter(message);
        self.tally.check(peer.book.faults() == before, || {
            let (role, faults) = (peer.role, peer.book.faults());
            format!("from {role:?}: {faults}: {connection:?}: {}", message[..message.len().min(60)].escape_ascii())
        });
    }
}

impl Callback for Hall {
    fn on_connect(&self, _: &dyn Service, connection: &Connection) {
        self.tally.opened.fetch_add(1, Ordering::Relaxed);
        let peer = Peer {
            thread: thread::current().id(),
            role: None,
            viewer: None,
            book: Book::default(),
            unfinished: 0,
            finished: false,
        };
        let is_new = lock(&self.connections).insert(connection.id(), peer);
        self.tally.check(is_new, || format!("on_connect twice: {connection:?}"));
        self.reply(connection, None, &words::numbers(words::WELCOME, self.begun()));
    }

    fn on_receive(&self, _: &dyn Service, connection: &Connection, message: &[u8]) {
        self.tally.note_received(message.len());
        let Some(peer) = self.peer(connection, "on_receive") else { return };
        let mut peer = lock(&peer);
        let role = peer.role;
        let numbers = words::read_numbers(message).unwrap_or_default();
        match message.first().copied() {
            Some(words::HELLO) => match Role::of_name(&message[1..]) {
                Some(role) => {
                    peer.role = Some(role);
                    self.tally.note_role(role);
                }
                None => self.tally.violation(format!("torn: {}", message.escape_ascii())),
            },
            Some(words::COUNTED) => self.enter(connection, &mut peer, message),
            Some(words::ECHO) => {
                self.enter(connection, &mut peer, message);
                let mut reply = message.to_vec();
                reply[0] = words::REPLY;
                self.reply(connection, role, &reply);
            }
            Some(words::WANT) if numbers.len() == 1 => match Viewer::of_wish(numbers[0]) {
                Some(viewer) => {
                    peer.viewer = Some(viewer);
                    self.serve(connection, viewer.delivery());
                    // A broadcast that has begun may not have asked the filter.
                    if viewer == Viewer::Events {
                        self.reply(connection, role, &words::numbers(words::SERVED, self.begun()));
                    }
                }
                None => self.tally.violation(format!("torn: {}", message.escape_ascii())),
            },
            Some(words::FINISH) => {
                for (sender, sent) in numbers.into_iter().enumerate() {
                    peer.book.expect(sender as u64, sent);
                }
                peer.finished = true;
                let faults = peer.book.faults();
                self.tally.check(faults == Faults::default(), || format!("from {role:?}: {faults}: {connection:?}"));
                if peer.viewer.is_some_and(Viewer::loses_words) {
                    self.serve(connection, Delivery::new());
                }
                self.reply(connection, role, &words::numbers(words::FINISHED, self.broadcasts()));
            }
            Some(words::BURST) if numbers.len() == 1 => {
                drop(peer);
                let junk = [&[words::JUNK; JUNK_LEN][..]].concat();
                for _ in 0..numbers[0] as usize / JUNK_LEN {
                    self.reply(connection, role, &junk);
                }
                return;
            }
            // Poisons no lock.
            Some(words::PANIC) => {
                drop(peer);
                panic!("asked for");
            }
            Some(words::UNFINISHED) if numbers.len() == 1 => peer.unfinished = numbers[0] as usize,
            _ => {
                let words = message[..message.len().min(60)].escape_ascii();
                self.tally.violation(format!("{role:?} has never sent this: {words}: {connection:?}"));
            }
        }
        if role.is_some_and(Role::is_fair_game) && lock(&self.random).once_in(150) {
            if lock(&self.random).once_in(2) { connection.close() } else { connection.abort() }
        }
    }

    fn on_disconnect(&self, _: &dyn Service, connection: &Connection, reason: &DisconnectReason) {
        let Some(peer) = self.peer(connection, "on_disconnect") else { return };
        lock(&self.connections).open.remove(&connection.id());
        let peer = lock(&peer);
        let told = connection.disconnect_reason().map(name);
        self.tally.check(told == Some(name(reason)), || format!("two reasons: {told:?} and {reason:?}"));
        // One that never said who it is has gone before it could.
        let role = peer.role.unwrap_or(Role::Vanish);
        self.tally.note_end(role, reason);
        let undelivered = reason.undelivered;
        let traffic = connection.stats().traffic;
        self.tally.check(adds_up(&traffic), || format!("{role:?}: its messages do not add up: {traffic:?}"));
        self.tally.check(role.reasons().contains(&&*name(reason)), || {
            format!("{role:?} ended for another reason: {reason}: {connection:?}")
        });
        if role.is_healthy() {
            // A broadcast made while a goodbye arrives may count the one who leaves, and is not sent to it.
            let all_sent = undelivered.unsent.messages == 0 || matches!(reason.cause, DisconnectCause::PeerGoodbye);
            self.tally.check(peer.finished && undelivered.unfinished_bytes == 0 && all_sent, || {
                format!("{role:?} has not left in good order: {reason:?}")
            });
        }
        if role == Role::Garbage {
            let (told, sent) = (undelivered.unfinished_bytes, peer.unfinished);
            self.tally.check(told == sent, || format!("{told} unfinished bytes are reported, and {sent} were sent"));
        }
    }

    fn on_fail(&self, _: &dyn Service, error: &leads_comm::Error) {
        self.tally.violation(format!("on_fail: {error}"));
    }
}

impl Connections {
    /// False when there has been one of this number.
    fn insert(&mut self, id: ConnectionId, peer: Peer) -> bool {
        let number: usize = id.to_string().parse().expect("it is a number");
        let (word, bit) = (number / 64, 1 << (number % 64));
        if self.known.len() <= word {
            self.known.resize(word + 1, 0);
        }
        let is_new = self.known[word] & bit == 0;
        self.known[word] |= bit;
        self.open.insert(id, Arc::new(Mutex::new(peer)));
        is_new
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

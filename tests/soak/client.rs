//! Clients of the library: those that behave, and guests, which are the same but for their end.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use leads_comm::transport::{Stream, tcp};
use leads_comm::{Callback, Client, Connection, DisconnectReason, Service};
use leads_comm_testing::seed::Random;
use leads_comm_testing::stamp::{Book, Faults, Stamp};

use crate::server::{BROADCASTERS, FIRST_SENDER, SENDERS};
use crate::settings::{self, CLIENTS_RECONNECT, PATIENCE};
use crate::tally::{Stop, Tally, name};
use crate::viewers::{VIEWERS, Viewer};
use crate::words::{self, Role};

/// The numbers of a client's two senders: whose messages are counted, and whose are replied to.
const COUNTED: u64 = 0;
const ECHOED: u64 = 1;

/// How much a process that is about to be stopped asks for: less than may wait for it.
const BURST: u64 = 3_000_000;

/// A client under way.
struct Guest {
    role: Role,
    viewer: Option<Viewer>,
    /// How long a viewer takes over a byte, in microseconds, until it has to finish.
    slowness: AtomicU64,
    tally: Arc<Tally>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The connection that is open, and what it has brought.
    session: Option<Session>,
    /// How many there were, and how many of them have ended.
    opened: u64,
    ended: u64,
    /// The last one that has ended, and why.
    last: Option<(Session, DisconnectReason)>,
}

/// One connection.
struct Session {
    connection: Connection,
    thread: ThreadId,
    viewer: Option<Viewer>,
    book: Book,
    /// The first broadcast that came from each sender; empty once checked.
    first: HashMap<u64, u64>,
    /// The server's first word.
    begun: Option<Vec<u64>>,
    /// To who wants no states: what may not come any more.
    unwanted: Option<Vec<u64>>,
    /// How many of each sender have to come.
    due: Option<Vec<u64>>,
    sent: [u64; 2],
    finished: bool,
}

/// Plays the part of a client for `life`, or until it is time to leave.
pub fn run(
    role: Role,
    server: SocketAddr,
    tally: &Arc<Tally>,
    stop: &Stop,
    life: Duration,
    mut random: Random,
    on_junk: impl Fn() + Send + Sync + 'static,
) {
    let viewer = (role == Role::Viewer).then(|| *random.pick(&VIEWERS));
    let guest = Guest::new(role, viewer, tally);
    if viewer.is_some() {
        // Who is waited for is not so slow that it holds up all.
        let slowest = if viewer == Some(Viewer::Recorder) { 2 } else { 50 };
        guest.slowness.store(random.within(0..=slowest) as u64, Ordering::Relaxed);
    }
    let callback = (
        Arc::clone(&guest),
        leads_comm::callback::on_receive(move |_, message| {
            if message.first() == Some(&words::JUNK) {
                on_junk();
            }
        }),
    );
    let mut builder = Client::builder().port(server.port()).callback(callback);
    if matches!(role, Role::Stopped | Role::Viewer) {
        builder = builder.transport(move |_: &str| connect_narrow(server));
    }
    let client = settings::client(builder).build().expect("the settings fit together");
    if let Err(error) = client.start("127.0.0.1", true) {
        return tally.violation(format!("{role:?} cannot connect: {error}"));
    }
    guest.wait_for_connect();
    guest.stay(stop, life, &mut random);
    if role.is_healthy() {
        guest.finish();
    }
    if role == Role::Guest && random.once_in(4) {
        client.connection().iter().for_each(Connection::abort);
    }
    client.close();
    guest.part();
}

/// A client that is there until the server closes.
pub struct Resident {
    guest: Arc<Guest>,
    staying: JoinHandle<()>,
}

impl Resident {
    /// Sends until it is time to stop. All it sends has arrived then, and what was sent to it until then.
    pub fn start(server: SocketAddr, tally: &Arc<Tally>, stop: &Arc<Stop>, mut random: Random) -> Self {
        const FOR_EVER: Duration = Duration::from_secs(60 * 60 * 24 * 365);
        let guest = Guest::new(Role::Resident, None, tally);
        let builder = Client::builder().port(server.port()).callback(Arc::clone(&guest));
        // It does not connect again, because its end is that of the server.
        let client = builder.build().expect("the settings fit together");
        if let Err(error) = client.start("127.0.0.1", true) {
            tally.violation(format!("a resident cannot connect: {error}"));
        }
        guest.wait_for_connect();
        let (sender, stop) = (Arc::clone(&guest), Arc::clone(stop));
        let staying = thread::spawn(move || {
            sender.stay(&stop, FOR_EVER, &mut random);
            sender.finish();
        });
        Self { guest, staying }
    }

    /// Waits until it has stopped sending.
    pub fn wait(&self) {
        while !self.staying.is_finished() {
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Checks, when the server has closed, that so many broadcasts of each broadcaster have come.
    pub fn part(self, broadcasts: &[u64]) {
        self.guest.part();
        let mut state = self.guest.lock();
        let Some((session, _)) = &mut state.last else { return };
        for (sender, sent) in (FIRST_SENDER..).zip(broadcasts) {
            session.book.expect(sender, *sent);
        }
        let faults = session.book.faults();
        self.guest.tally.check(faults == Faults::default(), || format!("a resident at the close: {faults}"));
    }
}

/// A connection whose buffers are soon full.
fn connect_narrow(server: SocketAddr) -> std::io::Result<Box<dyn Stream>> {
    Ok(Box::new(tcp::TcpStream::new(crate::raw::connect_narrow(server)?)?))
}

impl Guest {
    fn new(role: Role, viewer: Option<Viewer>, tally: &Arc<Tally>) -> Arc<Self> {
        Arc::new(Self {
            role,
            viewer,
            slowness: AtomicU64::new(0),
            tally: Arc::clone(tally),
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    fn wait_for_connect(&self) {
        let connected = self.wait_until(|state| state.opened > 0);
        self.tally.check(connected, || format!("{:?}: on_connect does not come", self.role));
    }

    /// Sends now and then one message, now and then many.
    fn stay(&self, stop: &Stop, life: Duration, random: &mut Random) {
        let end = Instant::now() + life;
        let mut message = Vec::new();
        while Instant::now() < end && !stop.sleep(Duration::from_millis(random.within(5..=50) as u64)) {
            if !self.is_back() {
                return;
            }
            for _ in 0..if random.once_in(40) { 50 } else { 1 } {
                self.send_one(random, &mut message);
            }
        }
    }

    /// Whether there is an open connection; waits for it where clients connect again.
    fn is_back(&self) -> bool {
        let may_return = CLIENTS_RECONNECT && !self.role.is_healthy();
        let back = self.wait_until(|state| state.session.is_some() || !may_return);
        self.tally.check(back, || format!("{:?} does not connect again", self.role));
        self.lock().session.is_some()
    }

    fn send_one(&self, random: &mut Random, message: &mut Vec<u8>) {
        let mut state = self.lock();
        let Some(session) = &mut state.session else { return };
        let kinds = [(COUNTED, words::COUNTED), (ECHOED, words::ECHO)];
        // The reply to a viewer may be lost on its own account.
        let kinds = if self.viewer.is_some_and(Viewer::loses_words) { &kinds[..1] } else { &kinds[..] };
        let (sender, kind) = *random.pick(kinds);
        let number = session.sent[sender as usize];
        Stamp { kind, sender, number }.write(random.skewed(8000), message);
        session.sent[sender as usize] += 1;
        let connection = session.connection.clone();
        // Its callbacks take the lock.
        drop(state);
        if let Err(error) = connection.send(message) {
            self.tally
                .check(!self.role.is_healthy(), || format!("{:?} cannot send: {error}: {connection:?}", self.role));
        }
    }

    /// Tells how much was sent, and waits for the word how much should have come.
    fn finish(&self) {
        let Some((connection, sent)) = self.lock().session.as_ref().map(|it| (it.connection.clone(), it.sent)) else {
            return self.violation("it has been ended before its last word");
        };
        let finish = words::numbers(words::FINISH, sent);
        if let Err(error) = connection.send(&finish) {
            self.tally.violation(format!("{:?} cannot send its last word: {error}", self.role));
        }
        self.slowness.store(0, Ordering::Relaxed);
        let told = self.wait_until(|state| state.session.as_ref().is_none_or(Session::has_all));
        self.tally.check(told, || format!("{:?} {:?} does not get all: {connection:?}", self.role, self.viewer));
    }

    /// Checks how it has ended, when it has been closed.
    fn part(&self) {
        let over = self.wait_until(|state| state.session.is_none());
        let state = self.lock();
        self.tally.check(over && state.opened == state.ended, || {
            format!("{:?}: {} on_connect, {} on_disconnect", self.role, state.opened, state.ended)
        });
        let reason = state.last.as_ref().map(|(_, reason)| name(reason)).unwrap_or_default();
        if self.role.is_healthy() {
            let own_end = if self.role == Role::Resident { "PeerGoodbye" } else { "ServiceClosed" };
            self.tally.check(reason == own_end && state.opened == 1, || {
                format!("{:?} has been ended: {:?}", self.role, state.last.as_ref().map(|(_, reason)| reason))
            });
        }
    }

    /// Waits until it `holds`; false when that takes too long.
    fn wait_until(&self, holds: impl Fn(&State) -> bool) -> bool {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.lock();
        while !holds(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn violation(&self, what: &str) {
        self.tally.violation(format!("{:?}: {what}", self.role));
    }
}

impl Session {
    fn new(connection: &Connection, viewer: Option<Viewer>) -> Self {
        Self {
            connection: connection.clone(),
            thread: thread::current().id(),
            viewer,
            book: Book::default(),
            first: HashMap::new(),
            begun: None,
            unwanted: None,
            due: None,
            sent: [0; 2],
            finished: false,
        }
    }

    /// Enters a message into the book; what is wrong with it.
    fn receive(&mut self, message: &[u8]) -> Option<String> {
        let mut before = self.book.faults();
        match message.first().copied() {
            Some(words::REPLY) => drop(self.book.enter(message)),
            Some(kind @ (words::BROADCAST | words::STATE)) => {
                let stamp = Stamp::read(message);
                let first = stamp.filter(|stamp| self.book.next_of(stamp.sender).is_none());
                if let Some(Stamp { sender, number, .. }) = first {
                    // Those before it were not for this connection.
                    self.book.begin(sender, number);
                    self.first.insert(sender, number);
                }
                self.book.enter(message);
                if self.may_miss(kind) {
                    before.lost = self.book.faults().lost;
                }
                if let (Some(unwanted), Some(stamp), words::STATE) = (&self.unwanted, stamp, kind) {
                    if stamp.number >= unwanted[(stamp.sender - FIRST_SENDER) as usize] {
                        return Some("a state that its filter does not want".to_owned());
                    }
                }
            }
            Some(words::WELCOME) if self.begun.is_none() => {
                self.begun = words::read_numbers(message);
                let states = FIRST_SENDER + BROADCASTERS as u64..FIRST_SENDER + SENDERS as u64;
                if states.into_iter().any(|state| self.book.next_of(state).is_none()) {
                    return Some("it has not been sent the last of each state".to_owned());
                }
            }
            Some(words::SERVED) if self.unwanted.is_none() => self.unwanted = words::read_numbers(message),
            Some(words::FINISHED) if !self.finished => {
                self.finished = true;
                let (Some(begun), Some(done)) = (&self.begun, words::read_numbers(message)) else {
                    return Some("torn, or without a welcome".to_owned());
                };
                for ((begun, done), sender) in begun.iter().zip(&done).zip(FIRST_SENDER..) {
                    self.book.begin(sender, *begun);
                    if !self.may_miss(kind_of(sender)) {
                        self.book.expect(sender, *done.max(begun));
                    }
                }
                self.due = Some(done);
                self.book.expect(ECHOED, self.sent[ECHOED as usize]);
            }
            Some(words::JUNK) => {}
            _ => return Some("nobody has sent this".to_owned()),
        }
        let faults = self.book.faults();
        if faults != before {
            return Some(faults.to_string());
        }
        self.missed()
    }

    fn may_miss(&self, kind: u8) -> bool {
        self.viewer.is_some_and(|viewer| viewer.may_miss(kind))
    }

    /// Whether it has had its last word, and the last message of each state where it is to have that.
    fn has_all(&self) -> bool {
        let gets_the_last = self.viewer.is_some_and(Viewer::gets_the_last);
        let due = self.due.iter().flatten().zip(FIRST_SENDER..);
        self.finished
            && (!gets_the_last || due.into_iter().all(|(due, sender)| self.book.next_of(sender) >= Some(*due)))
    }

    /// Whether the first broadcasts are those that they have to be.
    fn missed(&mut self) -> Option<String> {
        let begun = self.begun.as_ref()?;
        let missed = self.first.iter().find(|(sender, first)| {
            !self.may_miss(kind_of(**sender)) && **first > begun[(**sender - FIRST_SENDER) as usize]
        });
        let missed =
            missed.map(|(sender, first)| format!("broadcasts of {sender} before {first} are missing: {begun:?}"));
        // Checked once.
        self.first.clear();
        missed
    }
}

/// What a sender's broadcasts are.
fn kind_of(sender: u64) -> u8 {
    if sender < FIRST_SENDER + BROADCASTERS as u64 { words::BROADCAST } else { words::STATE }
}

impl Callback for Guest {
    fn on_connect(&self, _: &dyn Service, connection: &Connection) {
        // Before anything else can be sent.
        let hello = connection.send(&self.role.hello());
        self.tally
            .check(hello.is_ok() || !self.role.is_healthy(), || format!("{:?} cannot send: {hello:?}", self.role));
        if self.role == Role::Stopped {
            let _ = connection.send(&words::numbers(words::BURST, [BURST]));
        }
        let mut state = self.lock();
        if state.session.is_some() {
            self.violation("on_connect before on_disconnect");
        }
        state.opened += 1;
        state.session = Some(Session::new(connection, self.viewer));
        self.changed.notify_all();
    }

    fn on_receive(&self, _: &dyn Service, connection: &Connection, message: &[u8]) {
        let is_welcome = message.first() == Some(&words::WELCOME);
        if let (Some(viewer), true) = (self.viewer, is_welcome) {
            let wish = connection.send(&viewer.wish());
            self.tally.check(wish.is_ok(), || format!("{viewer:?} cannot say so: {wish:?}"));
        }
        // Never for as long as the stall time-out.
        let slowness = self.slowness.load(Ordering::Relaxed);
        thread::sleep(Duration::from_micros(slowness * message.len().min(4000) as u64));
        let mut state = self.lock();
        match &mut state.session {
            Some(session) if session.connection == *connection && session.thread == thread::current().id() => {
                if let Some(wrong) = session.receive(message) {
                    let words = message[..message.len().min(60)].escape_ascii();
                    self.violation(&format!("{wrong}: {words}: {connection:?}"));
                }
                self.tally.messages_checked.fetch_add(1, Ordering::Relaxed);
                if session.finished {
                    self.changed.notify_all();
                }
            }
            _ => self.violation("on_receive of another connection, or on another thread"),
        }
    }

    fn on_disconnect(&self, _: &dyn Service, connection: &Connection, reason: &DisconnectReason) {
        let mut state = self.lock();
        let ended = state.session.take();
        match &ended {
            Some(session) if session.connection == *connection && session.thread == thread::current().id() => {}
            _ => self.violation("on_disconnect of another connection, or on another thread"),
        }
        if connection.disconnect_reason().map(name) != Some(name(reason)) {
            self.violation("two reasons");
        }
        state.ended += 1;
        state.last = ended.map(|session| (session, reason.clone()));
        self.changed.notify_all();
    }

    fn on_fail(&self, _: &dyn Service, error: &leads_comm::Error) {
        self.violation(&format!("on_fail: {error}"));
    }
}

/// Connects again and again, and sees to it that the server answers in time.
pub fn probe(server: SocketAddr, tally: &Tally, stop: &Stop) {
    while !stop.is_stopped() {
        if let Err(error) = probe_once(server, tally, stop) {
            tally.violation(format!("the server is stuck: {error}"));
        }
    }
}

/// One connection, with some round trips.
fn probe_once(server: SocketAddr, tally: &Tally, stop: &Stop) -> std::io::Result<()> {
    let mut raw = crate::raw::Raw::new(TcpStream::connect_timeout(&server, PATIENCE)?)?;
    raw.say(&Role::Probe.hello())?;
    let mut message = Vec::new();
    let mut number = 0;
    while number < 20 && !stop.sleep(Duration::from_millis(100)) {
        Stamp { kind: words::ECHO, sender: 0, number }.write(100, &mut message);
        let start = Instant::now();
        raw.say(&message)?;
        raw.hear(words::REPLY)?;
        tally.note_round_trip(start.elapsed());
        number += 1;
    }
    raw.say(&words::numbers(words::FINISH, [number]))?;
    raw.hear(words::FINISHED)?;
    raw.leave()
}

//! What is between the reader of the messages' side and a client that may be without a connection: so that nothing waits
//! for that client, and what it could not send is sent when it is back, in order.
//!
//! ```text
//!   pass ──▶ incoming ──▶ the uplink's thread ──▶ connection           as long as it takes everything
//!                              │        ▲
//!                              ▼        │ behind what a connection left unsent
//!                            spool ─────┘                              from when it does not, until nothing waits
//! ```

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use leads_comm::{Connection, DisconnectCause, DisconnectReason, Error};
use leads_comm_resume::{Spool, Taken};
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::console::{Failure, chain, complain, fail, tell};
use crate::recording::words::count;

/// How much of what waits is sent before it is asked whether it is out, in bytes.
const PART: usize = 64 << 10;

/// How long that is waited for at a time, while more may come; and once in the end.
const MOMENT: Duration = Duration::from_millis(100);
const LAST: Duration = Duration::from_millis(500);

/// How long after a failure the spool is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// How long nothing is sent on a new connection where a server may still refuse it: by then its answer is here.
const ADMISSION: Duration = Duration::from_secs(1);

/// What each incoming message is charged beyond its bytes.
const OVERHEAD: usize = 64;

/// The way out, and what waits for it.
pub(super) struct Uplink {
    spool: Spool,
    /// How much may be incoming, in bytes.
    room: usize,
    /// Whether what waits outlives this process.
    outlives: bool,
    /// Whether a connection is one that has let this client in.
    is_let_in: bool,
    state: Mutex<State>,
    /// There is something to do.
    changed: Condvar,
    /// How many messages went to a connection, and how many never will, those aside that the spool has lost.
    passed: AtomicU64,
    lost: AtomicU64,
    /// Whether it has been said that the spool fails.
    has_failed: AtomicBool,
}

#[derive(Default)]
struct State {
    incoming: VecDeque<Arc<[u8]>>,
    bytes: usize,
    /// The one that there is, and from when on it is sent to.
    connection: Option<(Connection, Instant)>,
    /// Whether what that was given and has not sent is in the spool as well.
    is_spooled: bool,
    /// What the last one was given and has not sent: how many messages where they are in the spool, the messages where
    /// they are not.
    unsent: usize,
    returned: VecDeque<Arc<[u8]>>,
    /// What was taken from the spool last where this ends before it is known whether it is out.
    left: Vec<Sent>,
    is_closing: bool,
}

/// A message that was taken from the spool: its number, and whether it went to a connection or can never be sent.
#[derive(Debug, Clone, Copy)]
struct Sent {
    number: u64,
    is_sent: bool,
}

impl Uplink {
    /// `outlives` says whether the spool is in files; `is_let_in` whether a connection has asked for its token.
    pub(super) fn new(spool: Spool, room: usize, outlives: bool, is_let_in: bool) -> Arc<Self> {
        Arc::new(Self {
            spool,
            room,
            outlives,
            is_let_in,
            state: Mutex::default(),
            changed: Condvar::new(),
            passed: AtomicU64::default(),
            lost: AtomicU64::default(),
            has_failed: AtomicBool::default(),
        })
    }

    /// Begins to send.
    pub(super) fn start(self: &Arc<Self>) -> Result<JoinHandle<()>, Failure> {
        let this = Arc::clone(self);
        let thread = thread::Builder::new().name("uplink".into()).spawn(move || this.run());
        thread.map_err(|error| fail(format!("there is no thread for the uplink: {error}")))
    }

    /// Takes a message; never waits. Of more than the thread can take the oldest are lost; whether some were.
    pub(super) fn pass(&self, message: &[u8]) -> bool {
        let mut state = self.state.lock();
        state.bytes += message.len() + OVERHEAD;
        state.incoming.push_back(message.into());
        let mut lost = 0;
        while state.bytes > self.room && state.incoming.len() > 1 {
            state.bytes -= state.incoming.pop_front().map_or(0, |oldest| oldest.len() + OVERHEAD);
            lost += 1;
        }
        drop(state);
        self.lost.fetch_add(lost, Ordering::Relaxed);
        self.changed.notify_one();
        lost > 0
    }

    /// There is a connection.
    pub(super) fn connected(&self, connection: &Connection) {
        let waiting = self.waiting();
        if waiting > 0 {
            tell(format_args!("{} that waited are sent first", count(waiting, "message")));
        }
        let from = Instant::now() + if self.is_let_in { Duration::ZERO } else { ADMISSION };
        self.state.lock().connection = Some((connection.clone(), from));
        self.changed.notify_one();
    }

    /// It has ended, and gives back what it has not sent.
    pub(super) fn disconnected(&self, connection: &Connection, reason: &DisconnectReason) {
        let unsent = connection.take_unsent();
        if let DisconnectCause::NotLetIn = reason.cause {
            // What a server throws away was sent.
            let thrown_away = reason.undelivered.unsent.messages.saturating_sub(unsent.len() as u64);
            self.passed.fetch_sub(thrown_away, Ordering::Relaxed);
            self.lost.fetch_add(thrown_away, Ordering::Relaxed);
        }
        let mut state = self.state.lock();
        state.connection = None;
        if state.is_spooled {
            state.unsent += unsent.len();
        } else {
            self.passed.fetch_sub(unsent.len() as u64, Ordering::Relaxed);
            state.returned.extend(unsent.into_iter().map(Arc::from));
        }
        drop(state);
        self.changed.notify_one();
    }

    /// How many messages are sent, lost, and waiting for the next start, when all has ended.
    pub(super) fn outcome(&self) -> (u64, u64, u64) {
        let lost = self.lost.load(Ordering::Relaxed) + self.spool.backlog().lost;
        let (lost, waiting) = if self.outlives { (lost, self.waiting()) } else { (lost + self.waiting(), 0) };
        (self.passed.load(Ordering::Relaxed), lost, waiting)
    }

    /// How many messages wait.
    fn waiting(&self) -> u64 {
        // Not under the lock that the messages' reader takes: the spool may be waiting for the disk.
        let spooled = self.spool.backlog().messages;
        let state = self.state.lock();
        (state.incoming.len() + state.returned.len()) as u64 + spooled
    }

    /// Has the thread end, when what has come is sent or in the spool.
    pub(super) fn end(&self) {
        self.state.lock().is_closing = true;
        self.changed.notify_one();
    }

    /// Looks at what the last connection has given back. To be called when it has ended, and the thread has.
    pub(super) fn finish(&self) {
        let (mut left, returned, unsent) = {
            let mut state = self.state.lock();
            (mem::take(&mut state.left), mem::take(&mut state.returned), state.unsent)
        };
        cut_off(&mut left, unsent);
        self.settle(&left);
        self.store(returned);
    }

    fn run(&self) {
        // What comes before the spool, because it was sent earlier and in vain.
        let mut front = VecDeque::new();
        loop {
            // Only this thread changes that.
            let waits = !front.is_empty() || self.spool.backlog().messages > 0;
            let mut state = self.state.lock();
            while state.incoming.is_empty() && state.returned.is_empty() && !state.is_closing {
                match state.open_from() {
                    Some(from) if waits && from <= Instant::now() => break,
                    Some(from) if waits => drop(self.changed.wait_until(&mut state, from)),
                    _ => self.changed.wait(&mut state),
                }
            }
            let mut returned = mem::take(&mut state.returned);
            let incoming = state.take_incoming();
            let (connection, is_closing) = (state.ready(), state.is_closing);
            drop(state);
            // They were sent before what is still in front.
            returned.append(&mut front);
            front = returned;
            match connection {
                Some(connection) if front.is_empty() && self.spool.backlog().messages == 0 => {
                    self.send_now(&connection, incoming);
                }
                Some(connection) if !is_closing => {
                    self.store(incoming);
                    self.catch_up(&connection, &mut front);
                }
                _ => self.store(incoming),
            }
            if is_closing {
                self.store(front);
                return;
            }
        }
    }

    /// Sends messages at once; what the connection does not take waits.
    fn send_now(&self, connection: &Connection, mut messages: VecDeque<Arc<[u8]>>) {
        while let Some(message) = messages.pop_front() {
            match connection.send(&message) {
                Ok(()) => self.note_passed(1),
                Err(error) if is_for_later(&error) => {
                    messages.push_front(message);
                    return self.store(messages);
                }
                Err(error) => self.give_up(&error),
            }
        }
    }

    /// Sends a part of what waits.
    fn catch_up(&self, connection: &Connection, front: &mut VecDeque<Arc<[u8]>>) {
        // What was sent at once is out before, so that what the connection gives back is of one kind.
        if !self.flush(connection) {
            return;
        }
        if front.is_empty() {
            return self.send_spooled(connection);
        }
        let mut sent = 0;
        while let Some(message) = front.pop_front() {
            match connection.send(&message) {
                Ok(()) => self.note_passed(1),
                Err(error) if is_for_later(&error) => {
                    front.push_front(message);
                    break;
                }
                Err(error) => self.give_up(&error),
            }
            sent += message.len();
            if sent >= PART {
                break;
            }
        }
    }

    fn send_spooled(&self, connection: &Connection) {
        let taken = match self.spool.take(PART) {
            Ok(taken) => taken,
            Err(error) => {
                self.say_that_it_fails(&error);
                return self.rest();
            }
        };
        {
            let mut state = self.state.lock();
            (state.is_spooled, state.unsent) = (true, 0);
        }
        let mut sent = Vec::new();
        for Taken { number, payload, .. } in &taken {
            let is_sent = match connection.send(payload) {
                Ok(()) => true,
                Err(error) if is_for_later(&error) => break,
                Err(error) => {
                    self.give_up(&error);
                    false
                }
            };
            sent.push(Sent { number: *number, is_sent });
        }
        if self.flush(connection) {
            self.state.lock().is_spooled = false;
        } else {
            match self.wait_for_unsent(connection) {
                Some(unsent) => cut_off(&mut sent, unsent),
                None => return self.state.lock().left = sent,
            }
        }
        self.settle(&sent);
        if sent.len() < taken.len() {
            self.spool.rewind();
        }
    }

    /// What was taken from the spool is out.
    fn settle(&self, sent: &[Sent]) {
        if let Some(last) = sent.last() {
            self.spool.acknowledge(last.number);
            self.note_passed(sent.iter().filter(|sent| sent.is_sent).count() as u64);
        }
    }

    /// Waits before the spool is asked again, while more comes.
    fn rest(&self) {
        let until = Instant::now() + PAUSE;
        let mut state = self.state.lock();
        while !state.is_closing && !self.changed.wait_until(&mut state, until).timed_out() {
            let incoming = state.take_incoming();
            MutexGuard::unlocked(&mut state, || self.store(incoming));
        }
    }

    /// Waits until all that the connection was given is out, while more comes; false if it ends first, or this is to.
    fn flush(&self, connection: &Connection) -> bool {
        loop {
            match connection.flush(MOMENT) {
                Ok(()) => return true,
                Err(Error::NotFlushed { .. }) => {}
                Err(_) => return false,
            }
            let mut state = self.state.lock();
            if state.is_closing {
                drop(state);
                return connection.flush(LAST).is_ok();
            }
            let incoming = state.take_incoming();
            drop(state);
            self.store(incoming);
        }
    }

    /// How many messages of the spool the connection has not sent, once it has ended; `None` if this is to end before.
    fn wait_for_unsent(&self, connection: &Connection) -> Option<usize> {
        let mut state = self.state.lock();
        while state.connection.as_ref().is_some_and(|(current, _)| current == connection) {
            if state.is_closing {
                return None;
            }
            self.changed.wait(&mut state);
        }
        state.is_spooled = false;
        Some(mem::take(&mut state.unsent))
    }

    /// Has messages wait.
    fn store(&self, messages: impl IntoIterator<Item = Arc<[u8]>>) {
        for message in messages {
            if let Err(error) = self.spool.append(&message) {
                self.say_that_it_fails(&error);
            }
        }
    }

    fn note_passed(&self, messages: u64) {
        self.passed.fetch_add(messages, Ordering::Relaxed);
    }

    /// A message that can never be sent.
    fn give_up(&self, error: &Error) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        log::warn!("a message is not passed on: {error:#}");
    }

    fn say_that_it_fails(&self, error: &dyn std::error::Error) {
        if !self.has_failed.swap(true, Ordering::Relaxed) {
            complain(format_args!("leads-comm: messages are being lost: {}", chain(error)));
        }
    }
}

impl State {
    /// From when on there is a connection that may be sent to.
    fn open_from(&self) -> Option<Instant> {
        self.connection.as_ref().filter(|(connection, _)| !connection.is_closed()).map(|(_, from)| *from)
    }

    /// The connection that may be sent to now.
    fn ready(&self) -> Option<Connection> {
        let is_open = self.open_from().is_some_and(|from| from <= Instant::now());
        self.connection.as_ref().filter(|_| is_open).map(|(connection, _)| connection.clone())
    }

    fn take_incoming(&mut self) -> VecDeque<Arc<[u8]>> {
        self.bytes = 0;
        mem::take(&mut self.incoming)
    }
}

/// Leaves out the last so many that went to a connection, and what is behind the first of them.
fn cut_off(sent: &mut Vec<Sent>, mut unsent: usize) {
    while unsent > 0 {
        match sent.pop() {
            Some(Sent { is_sent, .. }) => unsent -= usize::from(is_sent),
            None => return,
        }
    }
}

/// Whether a connection may take the message another time, or another connection.
fn is_for_later(error: &Error) -> bool {
    matches!(error, Error::Dropped { .. } | Error::Disconnected | Error::NotConnected | Error::SlowConsumer { .. })
}

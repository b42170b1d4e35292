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
use std::time::Duration;

use leads_comm::{Connection, Error};
use leads_comm_resume::Spool;
use parking_lot::{Condvar, Mutex};

use crate::console::{Failure, chain, complain, fail, tell};
use crate::recording::words::count;

/// How much of what waits is sent before it is asked whether it is out, in bytes.
const PART: usize = 64 << 10;

/// How long that is waited for at a time, while more may come; and once in the end.
const MOMENT: Duration = Duration::from_millis(100);
const LAST: Duration = Duration::from_millis(500);

/// How long after a failure the spool is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// The way out, and what waits for it.
pub(super) struct Uplink {
    spool: Spool,
    /// How much may be incoming, in bytes.
    room: usize,
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
    /// The one that there is.
    connection: Option<Connection>,
    /// Whether what that was given and has not sent is in the spool as well.
    is_spooled: bool,
    /// What the last one was given and has not sent: how many messages where they are in the spool, the messages where
    /// they are not.
    unsent: usize,
    returned: VecDeque<Arc<[u8]>>,
    is_closing: bool,
}

impl Uplink {
    pub(super) fn new(spool: Spool, room: usize) -> Arc<Self> {
        Arc::new(Self {
            spool,
            room,
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
        state.bytes += message.len();
        state.incoming.push_back(message.into());
        let mut lost = 0;
        while state.bytes > self.room && state.incoming.len() > 1 {
            state.bytes -= state.incoming.pop_front().map_or(0, |oldest| oldest.len());
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
        self.state.lock().connection = Some(connection.clone());
        self.changed.notify_one();
    }

    /// It has ended, and gives back what it has not sent.
    pub(super) fn disconnected(&self, connection: &Connection) {
        let unsent = connection.take_unsent();
        let mut state = self.state.lock();
        state.connection = None;
        if state.is_spooled {
            state.unsent = unsent.len();
        } else {
            self.passed.fetch_sub(unsent.len() as u64, Ordering::Relaxed);
            state.returned.extend(unsent.into_iter().map(Arc::from));
        }
        drop(state);
        self.changed.notify_one();
    }

    /// How many messages wait.
    pub(super) fn waiting(&self) -> u64 {
        // Not under the lock that the messages' reader takes: the spool may be waiting for the disk.
        let spooled = self.spool.backlog().messages;
        let state = self.state.lock();
        (state.incoming.len() + state.returned.len()) as u64 + spooled
    }

    /// How many were sent, and how many are lost.
    pub(super) fn counts(&self) -> (u64, u64) {
        let lost = self.lost.load(Ordering::Relaxed) + self.spool.backlog().lost;
        (self.passed.load(Ordering::Relaxed), lost)
    }

    /// Has the thread end, when what has come is sent or in the spool.
    pub(super) fn end(&self) {
        self.state.lock().is_closing = true;
        self.changed.notify_one();
    }

    /// Puts what the last connection has given back behind all that waits, where it outlives this process. To be called
    /// when the thread has ended and the connection has.
    pub(super) fn keep_returned(&self) {
        let returned = mem::take(&mut self.state.lock().returned);
        self.store(returned);
    }

    fn run(&self) {
        // What comes before the spool, because it was sent earlier and in vain.
        let mut front = VecDeque::new();
        loop {
            let mut state = self.state.lock();
            let is_idle = |state: &State| {
                let waits = !front.is_empty() || self.spool.backlog().messages > 0;
                let can_send = state.connection.as_ref().is_some_and(|connection| !connection.is_closed());
                state.incoming.is_empty() && state.returned.is_empty() && !(waits && can_send)
            };
            while is_idle(&state) && !state.is_closing {
                self.changed.wait(&mut state);
            }
            let mut returned = mem::take(&mut state.returned);
            let incoming = state.take_incoming();
            let (connection, is_closing) = (state.connection.clone(), state.is_closing);
            drop(state);
            // They were sent before what is still in front.
            returned.append(&mut front);
            front = returned;
            let connection = connection.filter(|connection| !connection.is_closed());
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
                let mut state = self.state.lock();
                if !state.is_closing {
                    self.changed.wait_for(&mut state, PAUSE);
                }
                return;
            }
        };
        self.state.lock().is_spooled = true;
        let mut sent = Vec::new();
        for taken in &taken {
            match connection.send(&taken.payload) {
                Ok(()) => {}
                Err(error) if is_for_later(&error) => break,
                Err(error) => self.give_up(&error),
            }
            sent.push(taken.number);
        }
        if self.flush(connection) {
            self.state.lock().is_spooled = false;
        } else {
            // Those are the last of them.
            sent.truncate(sent.len().saturating_sub(self.wait_for_unsent(connection)));
        }
        if let Some(last) = sent.last() {
            self.spool.acknowledge(*last);
            self.note_passed(sent.len() as u64);
        }
        if sent.len() < taken.len() {
            self.spool.rewind();
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

    /// How many messages of the spool the connection has not sent, once it has ended; all, if this is to end before.
    fn wait_for_unsent(&self, connection: &Connection) -> usize {
        let mut state = self.state.lock();
        while state.connection.as_ref() == Some(connection) {
            if state.is_closing {
                return usize::MAX;
            }
            self.changed.wait(&mut state);
        }
        state.is_spooled = false;
        mem::take(&mut state.unsent)
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
    fn take_incoming(&mut self) -> VecDeque<Arc<[u8]>> {
        self.bytes = 0;
        mem::take(&mut self.incoming)
    }
}

/// Whether a connection may take the message another time, or another connection.
fn is_for_later(error: &Error) -> bool {
    matches!(error, Error::Dropped { .. } | Error::Disconnected | Error::NotConnected | Error::SlowConsumer { .. })
}

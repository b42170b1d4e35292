//! Handshakes: what lies between a stream and a connection. A stream that shakes hands first does it then, and a caller
//! who has to say who it is says it then, with a deadline, and in a limited number at once. A caller who is *pending*
//! is in no table, and no callback has been told of it.
//!
//! Here is the account of them; how each is taken through is the server's and the client's own affair.

use std::collections::BTreeMap;
use std::mem;
use std::net::{Shutdown, SocketAddr};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Admission;
use super::authenticator::Authenticator;
use super::goodbye::write_goodbye;
use super::penalties::{FAILURES, Penalties};
use super::refusals::LastCauses;
use crate::connection::engine::Engine;
use crate::connection::link::TURN;
use crate::connection::pump::{Deadline, Watched};
use crate::error::{Error, RefusalCause};
use crate::sync::later;
use crate::sync::user_code::Foreign;
use crate::transport::Stream;
use crate::transport::socket::poll::has_unread;

/// How many callers are pending at once unless a server is told otherwise.
pub(crate) const MAX_HANDSHAKES: usize = 64;

/// How often the accepting thread looks whether somebody has been refused here.
pub(crate) const LOOK: Duration = Duration::from_millis(100);

/// How long a caller may go on sending what is not enough once its time is over.
const LATEST: Duration = Duration::from_secs(1);

/// Who is pending in one service.
pub(crate) struct Handshakes {
    admission: Arc<Admission>,
    engine: Arc<Engine>,
    /// How many may be pending at once.
    limit: usize,
    /// Whether callers are asked who they are by the program, and by what, until the service has ended.
    has_authenticator: bool,
    authenticator: Mutex<Option<Arc<Foreign<dyn Authenticator>>>>,
    penalties: Penalties,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    closed: bool,
    pending: BTreeMap<u64, Place>,
    next_number: u64,
    /// What the accepting thread has not been told yet.
    refused: LastCauses,
    /// What hooks of the program's have done wrong, by hook, that it has not been told either.
    errors: BTreeMap<&'static str, Error>,
}

struct Place {
    pending: Arc<Pending>,
    /// Whether it may still become a connection.
    is_open: bool,
}

impl Handshakes {
    pub(crate) fn new(
        admission: Arc<Admission>,
        engine: Arc<Engine>,
        limit: usize,
        authenticator: Option<Arc<Foreign<dyn Authenticator>>>,
    ) -> Self {
        Self {
            admission,
            engine,
            limit,
            has_authenticator: authenticator.is_some(),
            authenticator: Mutex::new(authenticator),
            penalties: Penalties::default(),
            state: Mutex::default(),
        }
    }

    /// Whether the program authenticates callers.
    pub(crate) fn has_authenticator(&self) -> bool {
        self.has_authenticator
    }

    /// The program's authenticator; `None` once the service has ended.
    pub(crate) fn authenticator(&self) -> Option<Arc<Foreign<dyn Authenticator>>> {
        self.authenticator.lock().clone()
    }

    /// Lets the program's authenticator go, which may well hold a handle of this service.
    pub(crate) fn drop_authenticator(&self) {
        let authenticator = self.authenticator.lock().take();
        // Without the lock: its drop is the program's code.
        drop(authenticator);
    }

    /// Whether one more from this address may be pending. The accepting thread, which asks, is the only one that makes
    /// more pending.
    pub(crate) fn check(&self, address: Option<SocketAddr>) -> Result<(), RefusalCause> {
        self.check_failures(address)?;
        match self.state.lock().pending.len() < self.limit {
            true => Ok(()),
            false => Err(RefusalCause::MaxHandshakes { limit: self.limit }),
        }
    }

    /// Whether too many from this address have not been authenticated.
    pub(crate) fn check_failures(&self, address: Option<SocketAddr>) -> Result<(), RefusalCause> {
        match self.penalties.apply_to(address, Instant::now()) {
            true => Err(RefusalCause::TooManyFailures { limit: FAILURES }),
            false => Ok(()),
        }
    }

    /// One more from this address has tried to get in without the right.
    pub(crate) fn note_failure(&self, address: Option<SocketAddr>) {
        self.penalties.note_failure(address, Instant::now());
    }

    /// How many connections there are, and how many may come of those who are pending, at one and the same moment.
    pub(crate) fn count_with(&self, connections: impl FnOnce() -> usize) -> usize {
        let state = self.state.lock();
        connections() + state.pending.values().filter(|place| place.is_open).count()
    }

    /// Makes a stream pending, whose peer `understands` a goodbye at once or after a handshake, until its time is over,
    /// which the caller of this has kept; `None` when the service is closing.
    pub(crate) fn enter(self: &Arc<Self>, stream: Arc<dyn Stream>, understands: bool) -> Option<PendingGuard> {
        let deadline = later(self.engine.pump.live(), self.engine.settings.timeouts.handshake_timeout);
        let peer_addr = stream.peer_addr();
        let mut state = self.state.lock();
        if state.closed {
            return None;
        }
        let number = state.next_number;
        state.next_number += 1;
        let pending = Arc::new(Pending {
            handshakes: Arc::clone(self),
            number,
            stream,
            peer_addr,
            deadline,
            overdue: Mutex::new(None),
            understands: AtomicBool::new(understands),
            lingers_until: Mutex::new(None),
        });
        self.admission.enter(peer_addr);
        state.pending.insert(number, Place { pending: Arc::clone(&pending), is_open: true });
        Some(PendingGuard { pending })
    }

    /// Takes a pending one out when it is made a connection by `join`, so that nobody sees it in both places, or in
    /// none; false when its fate has been another, or `join` says so.
    pub(crate) fn let_through(&self, pending: &Pending, join: impl FnOnce() -> bool) -> bool {
        let mut state = self.state.lock();
        let is_open = state.pending.get(&pending.number).is_some_and(|place| place.is_open);
        if !is_open || !join() {
            return false;
        }
        let left = state.pending.remove(&pending.number);
        drop(state);
        drop(left);
        true
    }

    /// Whether a pending one may still become a connection.
    pub(crate) fn is_open(&self, pending: &Pending) -> bool {
        self.state.lock().pending.get(&pending.number).is_some_and(|place| place.is_open)
    }

    /// Decides that a pending one becomes no connection; false when that had been decided before, or it is one.
    pub(crate) fn give_up(&self, pending: &Pending) -> bool {
        let given_up = self.state.lock().give_up(pending);
        if given_up {
            self.admission.leave(pending.peer_addr);
        }
        given_up
    }

    /// Decides, for whatever reason the server has, that a caller becomes no connection, and counts it; false when its
    /// fate was decided before.
    pub(crate) fn refuse(&self, pending: &Pending, cause: &RefusalCause) -> bool {
        let mut state = self.state.lock();
        if !state.give_up(pending) {
            return false;
        }
        // Counted before the caller can know, and together with what is told of it, so that none is left untold.
        self.admission.refusals().count(cause.kind());
        let before = state.refused.note(cause.clone());
        drop(state);
        drop(before);
        self.admission.leave(pending.peer_addr);
        true
    }

    /// Leaves word of what a hook has done wrong; false when there is nobody left to hear of it.
    pub(crate) fn note_error(&self, hook: &'static str, error: &Error) -> bool {
        let mut state = self.state.lock();
        state.errors.insert(hook, error.clone());
        !state.closed
    }

    /// Hands out why callers have been refused, and what hooks have done wrong.
    pub(crate) fn look(&self) -> News {
        let mut state = self.state.lock();
        News {
            refused: mem::take(&mut state.refused),
            errors: mem::take(&mut state.errors),
            is_anybody_left: !state.pending.is_empty(),
        }
    }

    /// Ends everybody who is here, and lets nobody in from now on: nobody is refused any more either.
    pub(crate) fn close(&self) {
        let left: Vec<_> = {
            let mut state = self.state.lock();
            if mem::replace(&mut state.closed, true) {
                return;
            }
            let left = state.pending.values_mut();
            left.map(|place| (mem::take(&mut place.is_open), Arc::clone(&place.pending))).collect()
        };
        for (was_open, pending) in left {
            if was_open {
                self.admission.leave(pending.peer_addr);
                pending.close(self.engine.settings.framing.goodbye());
            } else {
                pending.hang_up();
            }
        }
    }
}

/// What the accepting thread finds when it looks after those who are pending.
pub(crate) struct News {
    pub(crate) refused: LastCauses,
    /// The last error of each hook.
    pub(crate) errors: BTreeMap<&'static str, Error>,
    /// Whether anybody is pending.
    pub(crate) is_anybody_left: bool,
}

impl State {
    fn give_up(&mut self, pending: &Pending) -> bool {
        self.pending.get_mut(&pending.number).is_some_and(|place| mem::take(&mut place.is_open))
    }
}

/// A pending stream, as all threads see it.
pub(crate) struct Pending {
    handshakes: Arc<Handshakes>,
    number: u64,
    stream: Arc<dyn Stream>,
    peer_addr: Option<SocketAddr>,
    /// In live time.
    deadline: Instant,
    /// Since when that has been over.
    overdue: Mutex<Option<Instant>>,
    /// Whether a goodbye would mean something to the peer, and nobody else is writing.
    understands: AtomicBool,
    /// For one whose fate has been decided by its own thread: until when that lingers, in live time.
    lingers_until: Mutex<Option<Instant>>,
}

impl Pending {
    pub(crate) fn stream(&self) -> &Arc<dyn Stream> {
        &self.stream
    }

    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer_addr
    }

    /// Whether a goodbye would mean something to the peer.
    pub(crate) fn understands(&self) -> bool {
        self.understands.load(Ordering::Acquire)
    }

    /// Says so, from the thread that has been the only one to write.
    pub(crate) fn set_understands(&self, understands: bool) {
        self.understands.store(understands, Ordering::Release);
    }

    /// Whether the thread that takes the caller through may not have got round to what the caller has sent in time.
    fn has_a_turn_left(&self, now: Instant) -> bool {
        let overdue = now - *self.overdue.lock().get_or_insert(now);
        overdue < TURN || overdue < LATEST && has_unread(&*self.stream)
    }

    /// Ends the stream from another thread than its own, with this goodbye where that makes sense.
    fn close(&self, goodbye: &[u8]) {
        if self.understands() {
            write_goodbye(&*self.stream, goodbye);
            // First, because a stream may have something to say behind its last byte.
            let _ = self.stream.shutdown(Shutdown::Write);
            self.hang_up();
        } else {
            self.abort();
        }
    }

    /// Ends the stream behind the goodbye, which an abort could take back.
    fn hang_up(&self) {
        if self.stream.shutdown(Shutdown::Both).is_err() {
            self.abort();
        }
    }

    /// Ends the stream at once.
    pub(crate) fn abort(&self) {
        // Fails when the stream is broken already; its thread is about to see that.
        let _ = self.stream.abort();
    }
}

/// The deadline of a caller.
impl Watched for Pending {
    fn check_deadline(&self, _: Deadline, now: Instant) -> Option<Instant> {
        let lingers_until = *self.lingers_until.lock();
        match lingers_until {
            Some(until) if until > now => return Some(until),
            Some(_) => self.hang_up(),
            None if self.deadline > now => return Some(self.deadline),
            None if self.has_a_turn_left(now) => return Some(later(now, TURN)),
            None => {
                let timeout = self.handshakes.engine.settings.timeouts.handshake_timeout;
                if self.handshakes.refuse(self, &RefusalCause::HandshakeTimeout { timeout }) {
                    self.close(self.handshakes.engine.settings.framing.refusal());
                }
            }
        }
        None
    }
}

/// A pending stream, held by the thread that takes it through; no longer pending when this is dropped.
pub(crate) struct PendingGuard {
    pending: Arc<Pending>,
}

impl PendingGuard {
    /// For others to hold as well.
    pub(crate) fn share(&self) -> Arc<Pending> {
        Arc::clone(&self.pending)
    }

    /// Has the pump keep the deadline.
    pub(crate) fn watch(&self) {
        self.watch_for(self.handshakes.engine.settings.timeouts.handshake_timeout);
    }

    /// The caller is refused, and its stream kept for a moment; until when, in live time.
    pub(crate) fn linger(&self) -> Instant {
        let time = self.handshakes.engine.settings.closing.drain_timeout;
        let until = later(self.handshakes.engine.pump.live(), time);
        *self.lingers_until.lock() = Some(until);
        self.watch_for(time);
        until
    }

    fn watch_for(&self, time: Duration) {
        let pending: Arc<dyn Watched> = Arc::<Pending>::clone(&self.pending);
        self.handshakes.engine.pump.watch(Arc::downgrade(&pending), Deadline::Handshake, time);
    }
}

impl Deref for PendingGuard {
    type Target = Pending;

    fn deref(&self) -> &Pending {
        &self.pending
    }
}

impl Drop for PendingGuard {
    fn drop(&mut self) {
        self.handshakes.give_up(&self.pending);
        let left = self.handshakes.state.lock().pending.remove(&self.number);
        drop(left);
    }
}

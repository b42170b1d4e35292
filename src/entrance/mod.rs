//! The entrance: what lies between a stream and a connection. A stream that shakes hands first does it here, and a
//! caller who has to say who it is says it here, with a deadline, and in a limited number at once. Whoever is in it is
//! in no table, and no callback has been told of it.
//!
//! [`incoming`] takes a server's callers through it, [`outgoing`] a client.

mod authenticator;
mod denial;
mod first;
pub(crate) mod incoming;
pub(crate) mod outgoing;
mod penalties;
mod token;

use std::collections::BTreeMap;
use std::mem;
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::config::later;
use crate::link::TURN;
use crate::pump::{Deadline, Watched};
use crate::refusal::{RefusalCause, Refused, write_goodbye};
use crate::service::Core;
use crate::transport::Stream;
use crate::transport::poll::has_unread;
use crate::user_code::Foreign;
pub use authenticator::{Authenticator, Denied};
pub use denial::DenialCause;
use penalties::{FAILURES, Penalties};
pub(crate) use token::Token;

/// Who is in the entrance of one service.
pub(crate) struct Entrance {
    /// How many may be in it at once.
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
    inside: BTreeMap<u64, Inside>,
    next_number: u64,
    /// What the accepting thread has not been told yet.
    refused: Refused,
    /// The panic of the authenticator that it has not been told either.
    panic: Option<String>,
}

struct Inside {
    entrant: Arc<Entrant>,
    /// Whether it may still become a connection.
    is_open: bool,
}

impl Entrance {
    pub(crate) fn new(limit: usize, authenticator: Option<Arc<Foreign<dyn Authenticator>>>) -> Self {
        Self {
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

    /// Lets the program's authenticator go, which may well hold a handle of this service.
    pub(crate) fn drop_authenticator(&self) {
        let authenticator = self.authenticator.lock().take();
        // Without the lock: its drop is the program's code.
        drop(authenticator);
    }

    /// Whether one more may come in from this address. Whoever asks is the only one who sends more in.
    pub(crate) fn check(&self, address: Option<SocketAddr>) -> Result<(), RefusalCause> {
        self.check_failures(address)?;
        match self.state.lock().inside.len() < self.limit {
            true => Ok(()),
            false => Err(RefusalCause::MaxHandshakes { limit: self.limit }),
        }
    }

    /// Whether too many from this address have not been authenticated.
    fn check_failures(&self, address: Option<SocketAddr>) -> Result<(), RefusalCause> {
        match self.penalties.apply_to(address, Instant::now()) {
            true => Err(RefusalCause::TooManyFailures { limit: FAILURES }),
            false => Ok(()),
        }
    }

    /// How many connections there are, and how many may come of those who are in here, at one and the same moment.
    pub(crate) fn count_with(&self, connections: impl FnOnce() -> usize) -> usize {
        let state = self.state.lock();
        connections() + state.inside.values().filter(|inside| inside.is_open).count()
    }

    /// Lets a stream in, whose peer `understands` a goodbye at once or after a handshake, until `deadline`, which
    /// whoever calls has kept; `None` when the service is closing.
    fn enter(
        &self,
        core: &Arc<Core>,
        stream: Arc<dyn Stream>,
        understands: bool,
        deadline: Instant,
    ) -> Option<Entering> {
        let peer_addr = stream.peer_addr();
        let mut state = self.state.lock();
        if state.closed {
            return None;
        }
        let number = state.next_number;
        state.next_number += 1;
        let entrant = Arc::new(Entrant {
            core: Arc::clone(core),
            number,
            stream,
            peer_addr,
            deadline,
            overdue: Mutex::new(None),
            understands: AtomicBool::new(understands),
            seen_out_by: Mutex::new(None),
        });
        core.admission().enter(peer_addr);
        state.inside.insert(number, Inside { entrant: Arc::clone(&entrant), is_open: true });
        Some(Entering { entrant })
    }

    /// Takes an entrant out when it is made a connection by `join`, so that nobody sees it in both places, or in none;
    /// false when its fate has been another, or `join` says so.
    pub(crate) fn let_through(&self, entrant: &Entrant, join: impl FnOnce() -> bool) -> bool {
        let mut state = self.state.lock();
        let is_open = state.inside.get(&entrant.number).is_some_and(|inside| inside.is_open);
        if !is_open || !join() {
            return false;
        }
        let left = state.inside.remove(&entrant.number);
        drop(state);
        drop(left);
        true
    }

    /// Whether an entrant may still become a connection.
    fn is_open(&self, entrant: &Entrant) -> bool {
        self.state.lock().inside.get(&entrant.number).is_some_and(|inside| inside.is_open)
    }

    /// Decides that an entrant becomes no connection; false when that had been decided before, or it is one.
    fn give_up(&self, entrant: &Entrant) -> bool {
        let given_up = self.state.lock().give_up(entrant);
        if given_up {
            entrant.core.admission().leave(entrant.peer_addr);
        }
        given_up
    }

    /// Decides, for whatever reason the server has, that a caller becomes no connection, and counts it; false when its
    /// fate was decided before.
    fn refuse(&self, entrant: &Entrant, cause: &RefusalCause) -> bool {
        let mut state = self.state.lock();
        if !state.give_up(entrant) {
            return false;
        }
        // Counted before the caller can know, and together with what is told of it, so that none is left untold.
        entrant.core.admission().refusals().count(cause.kind());
        let before = state.refused.note(cause.clone());
        drop(state);
        drop(before);
        entrant.core.admission().leave(entrant.peer_addr);
        true
    }

    /// Leaves word that the authenticator has panicked; false when there is nobody left to hear of it.
    fn note_panic(&self, message: &str) -> bool {
        let mut state = self.state.lock();
        state.panic = Some(message.to_owned());
        !state.closed
    }

    /// Hands out why callers have been refused, and how the authenticator has panicked.
    pub(crate) fn look(&self) -> Looked {
        let mut state = self.state.lock();
        Looked {
            refused: mem::take(&mut state.refused),
            panic: state.panic.take(),
            is_anybody_left: !state.inside.is_empty(),
        }
    }

    /// Ends everybody who is here, and lets nobody in from now on: nobody is refused any more either.
    pub(crate) fn close(&self) {
        let left: Vec<_> = {
            let mut state = self.state.lock();
            if mem::replace(&mut state.closed, true) {
                return;
            }
            let left = state.inside.values_mut();
            left.map(|inside| (mem::take(&mut inside.is_open), Arc::clone(&inside.entrant))).collect()
        };
        for (was_open, entrant) in left {
            if was_open {
                entrant.core.admission().leave(entrant.peer_addr);
                entrant.turn_away();
            } else {
                entrant.hang_up();
            }
        }
    }
}

/// What the accepting thread finds when it looks into the entrance.
pub(crate) struct Looked {
    pub(crate) refused: Refused,
    /// The message of the last panic of the authenticator.
    pub(crate) panic: Option<String>,
    /// Whether there is anybody in it.
    pub(crate) is_anybody_left: bool,
}

impl State {
    fn give_up(&mut self, entrant: &Entrant) -> bool {
        self.inside.get_mut(&entrant.number).is_some_and(|inside| mem::take(&mut inside.is_open))
    }
}

/// A stream in the entrance, as all threads see it.
pub(crate) struct Entrant {
    core: Arc<Core>,
    number: u64,
    stream: Arc<dyn Stream>,
    peer_addr: Option<SocketAddr>,
    /// In live time.
    deadline: Instant,
    /// Since when that has been over.
    overdue: Mutex<Option<Instant>>,
    /// Whether a goodbye would mean something to the peer, and nobody else is writing.
    understands: AtomicBool,
    /// For one whose fate has been decided by its own thread: until when that sees it out, in live time.
    seen_out_by: Mutex<Option<Instant>>,
}

impl Entrant {
    /// Whether the thread that takes the caller through may not have got round to what the caller has sent in time.
    fn has_a_turn_left(&self, now: Instant) -> bool {
        let overdue = now - *self.overdue.lock().get_or_insert(now);
        overdue < TURN || overdue < LATEST && has_unread(&*self.stream)
    }

    /// Ends the stream from another thread than its own, with a goodbye where that makes sense.
    fn turn_away(&self) {
        if self.understands.load(Ordering::Acquire) {
            write_goodbye(&*self.stream, self.core.settings().separator.goodbye());
            // First, because a stream may have something to say behind its last byte.
            let _ = self.stream.shutdown(Shutdown::Write);
            self.hang_up();
        } else {
            self.cut();
        }
    }

    /// Ends the stream behind the goodbye, which an abort could take back.
    fn hang_up(&self) {
        if self.stream.shutdown(Shutdown::Both).is_err() {
            self.cut();
        }
    }

    fn cut(&self) {
        // Fails when the stream is broken already; its thread is about to see that.
        let _ = self.stream.abort();
    }
}

/// The deadline of a caller.
impl Watched for Entrant {
    fn check_deadline(&self, _: Deadline, now: Instant) -> Option<Instant> {
        let seen_out_by = *self.seen_out_by.lock();
        match seen_out_by {
            Some(by) if by > now => return Some(by),
            Some(_) => self.hang_up(),
            None if self.deadline > now => return Some(self.deadline),
            None if self.has_a_turn_left(now) => return Some(later(now, TURN)),
            None => {
                let timeout = self.core.settings().handshake_timeout;
                if self.core.entrance().refuse(self, &RefusalCause::HandshakeTimeout { timeout }) {
                    self.turn_away();
                }
            }
        }
        None
    }
}

/// A place in the entrance, held by the thread that takes a stream through it.
pub(crate) struct Entering {
    entrant: Arc<Entrant>,
}

impl Drop for Entering {
    fn drop(&mut self) {
        let entrance = self.entrant.core.entrance();
        entrance.give_up(&self.entrant);
        let left = entrance.state.lock().inside.remove(&self.entrant.number);
        drop(left);
    }
}

/// When what begins now is to be through.
fn deadline(core: &Core) -> Instant {
    later(core.context().pump.live(), core.settings().handshake_timeout)
}

/// How long a caller may go on sending what is not enough once its time is over.
const LATEST: Duration = Duration::from_secs(1);

/// How many callers are in a server's entrance at once unless it is told otherwise.
pub(crate) const MAX_HANDSHAKES: usize = 64;

/// The longest first message that a caller may say who it is by, in payload bytes.
const MAX_FIRST_LEN: usize = 4096;

/// How often the accepting thread looks whether somebody has been refused here.
pub(crate) const LOOK: Duration = Duration::from_millis(100);

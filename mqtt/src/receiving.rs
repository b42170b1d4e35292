//! What the client of the broker is told, on its own thread: reads what the broker says, gives commands to the program,
//! and tells the sender of everything else.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use leads_comm::{Callback, Connection, DisconnectReason, Error as ClientError, Service};
use parking_lot::Mutex;

use crate::event::{Fault, Refusal};
use crate::foreign;
use crate::gate::Gate;
use crate::pace::{LASTING, Outcome, Pace};
use crate::session::{self, Incoming, Published};
use crate::shared::{Ended, News, Shared};

pub(crate) struct Receiving {
    shared: Arc<Shared>,
    gate: Arc<Gate>,
    state: Mutex<State>,
}

/// Locked for moments only; used by one thread, that of the client.
struct State {
    pace: Pace,
    /// Whether an attempt has failed: the first one does, and means nothing.
    has_failed: bool,
    /// When the broker began the session that there is.
    accepted: Option<Instant>,
    refusal: Option<Refusal>,
}

impl Receiving {
    pub(crate) fn new(shared: Arc<Shared>, gate: Arc<Gate>) -> Self {
        let pace = Pace::new(shared.settings.first_delay, shared.settings.longest_delay);
        let state = Mutex::new(State { pace, has_failed: false, accepted: None, refusal: None });
        Self { shared, gate, state }
    }

    fn receive(&self, connection: &Connection, packet: &[u8]) {
        match session::read(packet) {
            Ok(Incoming::Answered(answer)) => self.answered(connection, answer),
            // Nothing else may come before that.
            _ if self.state.lock().accepted.is_none() => {
                self.is_malformed(connection, "what it says first is no answer to CONNECT");
            }
            Ok(Incoming::Acknowledged(id)) => {
                if !self.shared.tell(News::Acknowledged(id)) {
                    self.is_malformed(connection, "it acknowledges too much");
                }
            }
            Ok(Incoming::Subscribed { granted }) => {
                self.shared.tell(News::Subscribed { granted });
            }
            Ok(Incoming::Message(published)) => self.command(connection, &published),
            Ok(Incoming::Alive) => {}
            Err(error) => self.is_malformed(connection, &error.0),
        }
    }

    fn answered(&self, connection: &Connection, answer: Result<(), Refusal>) {
        let mut state = self.state.lock();
        if state.accepted.is_some() || state.refusal.is_some() {
            drop(state);
            return self.is_malformed(connection, "it answers twice");
        }
        match answer {
            Ok(()) => {
                state.accepted = Some(Instant::now());
                drop(state);
                self.shared.tell(News::Accepted);
            }
            Err(refusal) => {
                state.refusal = Some(refusal);
                drop(state);
                // The broker ends it as well, sooner or later.
                connection.abort();
            }
        }
    }

    /// Ends a connection whose other end does not speak the protocol.
    fn is_malformed(&self, connection: &Connection, what: &str) {
        foreign::log(log::Level::Warn, format_args!("the broker {connection}: {what}"));
        self.shared.blame(Fault::Malformed);
        connection.abort();
    }

    /// Gives the program a command, if it may come.
    fn command(&self, connection: &Connection, published: &Published) {
        let Published { topic, payload, id, retained } = published;
        let commands = self.shared.settings.commands().filter(|_| topic == self.shared.topics.down());
        match commands.filter(|commands| !retained && commands.allows(payload)) {
            Some(commands) => {
                self.shared.count_command(true);
                self.shared.set_busy(true);
                let given = foreign::call(|| commands.give(payload));
                self.shared.set_busy(false);
                if let Err(message) = given {
                    self.shared.tell(News::CommandPanicked(message));
                }
            }
            None => self.shared.count_command(false),
        }
        // It has arrived, and the broker need not send it again; also where it may not come.
        if let Some(Ok(packet)) = id.map(session::acknowledge) {
            // An error says that the connection is over, which is told anyway.
            let _ = connection.send(&packet);
        }
    }

    /// Sets when the client connects again; when that is.
    fn wait_after(&self, pace: &mut Pace, outcome: Outcome, now: Instant) -> Instant {
        let again_at = now + pace.after(outcome);
        self.gate.open_at(again_at);
        again_at
    }
}

impl Callback for Receiving {
    fn on_connect(&self, _service: &dyn Service, connection: &Connection) {
        let mut state = self.state.lock();
        (state.accepted, state.refusal) = (None, None);
        drop(state);
        self.shared.take_fault();
        self.shared.heard();
        self.shared.tell(News::Opened(connection.clone()));
    }

    fn on_receive(&self, _service: &dyn Service, connection: &Connection, packet: &[u8]) {
        self.shared.heard();
        self.receive(connection, packet);
    }

    fn on_disconnect(&self, _service: &dyn Service, connection: &Connection, reason: &DisconnectReason) {
        let now = Instant::now();
        let mut state = self.state.lock();
        let outcome = match (state.accepted, state.refusal) {
            (_, Some(_)) => Outcome::Refused,
            (Some(accepted), None) if now.duration_since(accepted) >= LASTING => Outcome::Lasted,
            _ => Outcome::Failed,
        };
        let again_at = self.wait_after(&mut state.pace, outcome, now);
        let (accepted, refusal) = (state.accepted.take(), state.refusal.take());
        drop(state);
        self.shared.tell(News::Ended(Box::new(Ended {
            reason: reason.clone(),
            refusal,
            fault: self.shared.take_fault(),
            accepted,
            at: now,
            again_at,
            unsent: connection.take_unsent(),
        })));
    }

    fn on_fail(&self, _service: &dyn Service, error: &ClientError) {
        let is_refused = match error {
            ClientError::ServiceFailed { .. } => {
                self.shared.tell(News::Failed(error.clone()));
                return;
            }
            // Which ends nothing. What was kept for a connection that did not come is nothing either.
            ClientError::CallbackPanicked { .. } | ClientError::Unsent { .. } => {
                return foreign::log(log::Level::Warn, format_args!("the client of the broker: {error:#}"));
            }
            // A certificate that is no good today is no better in a moment.
            ClientError::Connect { source, .. } => source.kind() == io::ErrorKind::InvalidData,
            _ => false,
        };
        let mut state = self.state.lock();
        if !std::mem::replace(&mut state.has_failed, true) {
            return;
        }
        let outcome = if is_refused { Outcome::Refused } else { Outcome::Failed };
        let again_at = self.wait_after(&mut state.pace, outcome, Instant::now());
        drop(state);
        self.shared.tell(News::Unreachable { error: error.clone(), again_at });
    }
}

/// How long it is until then.
pub(crate) fn until(at: Instant) -> Duration {
    at.saturating_duration_since(Instant::now())
}

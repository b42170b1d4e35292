//! Sessions with the broker: how one begins, what is said while it lasts, and what becomes of its messages when it
//! ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use leads_comm::Connection;
use log::Level;

use super::{Sender, Session, Stage};
use crate::event::{Event, Fault};
use crate::foreign;
use crate::receiving::until;
use crate::session::{self, Incoming, Published};
use crate::shared::{Ended, Shared};
use crate::status::{self, Figures, State};
use crate::waiting::{Message, now_ms};

/// For how many half keep-alives in a row the same message may be the first that the broker has not acknowledged.
const STANDS: u32 = 4;

/// How long the thread that reads has for its turn before a broker is given up that seems to be silent.
const TURN: Duration = Duration::from_millis(100);

impl Sender {
    /// Asks the broker for a session.
    pub(super) fn greet(&mut self, connection: Connection) {
        let now = Instant::now();
        let settings = &self.shared.settings;
        let will = status::json(State::Offline, self.figures());
        match session::connect(&settings.hello(&self.shared.topics), will) {
            Ok(packet) => {
                let _ = self.send(&connection, &packet);
            }
            Err(error) => foreign::log(Level::Warn, format_args!("the broker cannot be greeted: {}", error.0)),
        }
        self.session = Some(Session {
            connection,
            stage: Stage::Asked { by: now + settings.connect_timeout },
            ping_at: now,
            asked_at: None,
            last_look: None,
            is_given_up: false,
            first: None,
            stands: 0,
            offline: Duration::ZERO,
            replayed: 0,
        });
    }

    /// The broker has begun a session: says so to everybody, and takes up what a session needs.
    pub(super) fn begin_session(&mut self) {
        let now = Instant::now();
        let shared = Arc::clone(&self.shared);
        let Some(session) = &mut self.session else { return };
        session.stage = Stage::Online;
        session.ping_at = now + shared.settings.keep_alive / 2;
        let connection = session.connection.clone();
        session.offline = now.saturating_duration_since(self.offline_since);
        let offline = session.offline;
        self.counts.sessions += 1;
        self.say_online(&connection, offline);
        if shared.settings.commands().is_some() {
            let subscribe = session::subscribe(self.in_flight.next_id(), shared.topics.down());
            match subscribe {
                Ok(packet) => {
                    let _ = self.send(&connection, &packet);
                }
                Err(error) => foreign::log(Level::Warn, format_args!("cannot subscribe: {}", error.0)),
            }
        }
        self.kept.keys().for_each(|key| self.own.retained(key));
        self.events.push_back(Event::Connected);
    }

    /// A connection is over: what was on its way waits, or is lost.
    pub(super) fn end_session(&mut self, ended: Ended) {
        let Ended { reason, refusal, fault, accepted, at, again_at, unsent } = ended;
        self.session = None;
        self.own.forget();
        if accepted.is_some() {
            self.offline_since = at;
        }
        self.take_back(unsent);
        if self.farewell.is_some() {
            return;
        }
        let again_in = until(again_at);
        self.events.push_back(match refusal {
            Some(refusal) => Event::Refused { refusal, again_in },
            None => {
                let lasted = accepted.map(|accepted| at.saturating_duration_since(accepted));
                Event::Disconnected { reason, fault, lasted, again_in }
            }
        });
    }

    /// Takes back what was published and has not arrived, as far as that is known: what nobody has acknowledged, and
    /// what was not written.
    pub(super) fn take_back(&mut self, unsent: Vec<Vec<u8>>) {
        let settled = self.settled();
        let mut messages = self.in_flight.end();
        messages.extend(unsent.iter().filter_map(|packet| self.unsent_message(packet)));
        self.backlog.rewind();
        for message in messages {
            self.counts.returned += 1;
            if !self.keep(&message) {
                self.counts.lost += 1;
            }
            if self.settled_at_most < u64::MAX {
                self.settled_at_most = self.settled_at_most.min(settled);
            }
        }
    }

    /// The message of the vehicle that a packet has published with QoS 0. (One with QoS 1 is on its way as well.)
    fn unsent_message(&self, packet: &[u8]) -> Option<Message> {
        let Ok(Incoming::Message(Published { topic, payload, id: None, .. })) = session::read(packet) else {
            return None;
        };
        let key = self.shared.topics.key_of(&topic)?;
        Some(Message { at: now_ms(), key, payload: payload.into() })
    }

    /// Does what is due: the question for a sign of life, and what the bridge says of itself.
    pub(super) fn look_at_clock(&mut self) {
        let now = Instant::now();
        let shared = Arc::clone(&self.shared);
        let Some(session) = &mut self.session else { return };
        if session.is_given_up {
            return;
        }
        if let Stage::Asked { by } = session.stage {
            if now >= by {
                give_up(&shared, session, Fault::NoAnswer(shared.settings.connect_timeout));
            }
            return;
        }
        let (connection, offline) = (session.connection.clone(), session.offline);
        if session.asked_at.is_some_and(|asked_at| shared.last_heard() > asked_at) {
            (session.asked_at, session.last_look) = (None, None);
        }
        // Only one that was asked is silent: this thread, or the process, may have stood still.
        if session.asked_at.is_some_and(|asked_at| now >= asked_at + shared.settings.keep_alive)
            && now >= *session.last_look.get_or_insert(now + TURN)
        {
            return give_up(&shared, session, Fault::Silent(shared.settings.silence()));
        }
        if now >= session.ping_at {
            session.ping_at = now + shared.settings.keep_alive / 2;
            session.asked_at.get_or_insert(now);
            // By looks and not by the clock: this thread, or the process, may have stood still.
            let first = self.in_flight.first();
            session.stands = if first.is_some() && first == session.first { session.stands + 1 } else { 0 };
            session.first = first;
            if session.stands >= STANDS {
                return give_up(&shared, session, Fault::Unacknowledged(shared.settings.keep_alive * STANDS / 2));
            }
            let _ = self.send(&connection, &session::ping());
        }
        if now >= self.status_at {
            let figures = self.figures();
            if self.farewell.is_none() && self.has_free_id() && (figures.waiting > 0 || figures != self.told) {
                self.say_online(&connection, offline);
            }
            self.status_at = now + shared.settings.status_interval;
        }
    }

    fn say_online(&mut self, connection: &Connection, offline: Duration) {
        let oldest = self.backlog.oldest().map_or(0, |at| now_ms().saturating_sub(at));
        self.say(connection, State::Online { offline, oldest: Duration::from_millis(oldest) });
    }

    /// Says what the state of the bridge is, for all who ask.
    pub(super) fn say(&mut self, connection: &Connection, state: State) {
        let figures = self.figures();
        let payload: Arc<[u8]> = status::json(state, figures).into();
        let shared = Arc::clone(&self.shared);
        self.publish_own(connection, shared.topics.status(), &payload);
        self.told = figures;
        self.status_at = Instant::now() + shared.settings.status_interval;
    }

    /// What waits, and what was dropped or lost.
    fn figures(&self) -> Figures {
        let stats = self.shared.stats();
        let extent = self.backlog.extent();
        // Those of the backlog are newer than what the others have been told.
        let lost = stats.dropped + stats.lost + self.counts.dropped + self.counts.lost;
        Figures { waiting: extent.messages, lost }
    }
}

fn give_up(shared: &Shared, session: &mut Session, fault: Fault) {
    session.is_given_up = true;
    shared.blame(fault);
    session.connection.abort();
}

//! The thread that sends: the only one that writes messages to the broker, and the only one that touches what waits in
//! memory or on the disk.
//!
//! ```text
//!   publish ─▶ waiting ─┬─ a session, and room ──▶ live: up, field
//!                       └─ none, or too much ────▶ backlog ── behind what is live ──▶ backlog
//!   the reader ─▶ news: opened, accepted, acknowledged, ended
//! ```
//!
//! A turn of it waits for something to do, hears the news, sends what is live, then of the backlog as much as may go,
//! and looks at the clock. It never waits for the broker longer than a moment, so that what there is no room for is set
//! aside in time.

mod closing;
mod sending;
mod sessions;

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::{Client, Connection, Key};
use leads_comm_resume::HistoryError;
use log::Level;

use crate::backlog::{Backlog, Fate};
use crate::bridge::Parts;
use crate::event::Event;
use crate::foreign;
use crate::gate::Gate;
use crate::in_flight::InFlight;
use crate::kept::Kept;
use crate::rate::Rate;
use crate::receiving::until;
use crate::shared::{News, Request, Seen, Shared, Wanted};
use crate::stats::Counts;
use crate::status::Figures;
use crate::waiting::Message;

/// How much may wait for the broker in the client, and as much again in the system, before the sender waits; so much is
/// sent too late to be dropped or set aside. In bytes.
pub(crate) const WINDOW: usize = 64 * 1024;

/// How much is taken at a time that is to go live.
const CHUNK: usize = WINDOW / 2;

/// How much is taken at a time that is to be set aside.
const ASIDE: usize = 256 * 1024;

/// How long the sender waits for room before it looks at what there is no room for.
const MOMENT: Duration = Duration::from_millis(10);

/// How long it sleeps where there is nothing to do.
const LONG: Duration = Duration::from_secs(3600);

/// How often the program is told of commands that were refused.
const TELL_REFUSED: Duration = Duration::from_secs(1);

/// How often it is told that the disk fails, and how soon that is tried again.
const TELL_FAILED: Duration = Duration::from_secs(10);

pub(crate) struct Sender {
    shared: Arc<Shared>,
    client: Client,
    gate: Arc<Gate>,
    backlog: Backlog,
    /// What the broker retains, where it does.
    kept: Kept,
    session: Option<Session>,
    /// What was published in this session, and is not acknowledged.
    in_flight: InFlight,
    /// What the bridge has to say itself of what is retained, before anything that is live.
    own: VecDeque<Own>,
    rate: Rate,
    /// What has happened since the others were told of it.
    counts: Counts,
    events: VecDeque<Event>,
    /// Since when there is no session.
    offline_since: Instant,
    /// What was said last of what waits, and when it is looked at again.
    told: Figures,
    status_at: Instant,
    /// When the program may be told again.
    tell_refused_at: Instant,
    tell_failed_at: Instant,
    /// What cannot be read from the backlog is not tried before.
    backlog_rests_until: Instant,
    /// How far the end has got, once the bridge is being closed.
    farewell: Option<closing::Farewell>,
}

/// A connection to the broker.
struct Session {
    connection: Connection,
    stage: Stage,
    /// When the broker is asked for a sign of life.
    ping_at: Instant,
    /// When it was asked first, since it has said something.
    asked_at: Option<Instant>,
    /// When the broker has been silent for too long, and is looked at for the last time.
    last_look: Option<Instant>,
    /// It has been ended here, which is about to be told.
    is_given_up: bool,
    /// For how long there was no session before it.
    offline: Duration,
    /// How many messages of the backlog have arrived since it last was empty.
    replayed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The broker has been asked for a session, and is to answer by then.
    Asked {
        by: Instant,
    },
    Online,
}

/// What is to be said of a key.
enum Own {
    /// Its newest message is retained.
    Retained(Key),
    /// None is any more.
    Cleared(Key),
}

impl Sender {
    pub(crate) fn new(shared: Arc<Shared>, parts: Parts) -> Self {
        let now = Instant::now();
        let Parts { client, gate, backlog } = parts;
        Self {
            rate: Rate::new(shared.settings.catch_up, now),
            status_at: now + shared.settings.status_interval,
            shared,
            client,
            gate,
            backlog,
            kept: Kept::default(),
            session: None,
            in_flight: InFlight::default(),
            own: VecDeque::new(),
            counts: Counts::default(),
            events: VecDeque::new(),
            offline_since: now,
            told: Figures::default(),
            tell_refused_at: now,
            tell_failed_at: now,
            backlog_rests_until: now,
            farewell: None,
        }
    }

    /// Runs until the bridge is closed. A panic, by a defect, ends it as well: those who wait for the end are not left
    /// waiting.
    pub(crate) fn run(mut self) {
        let (shared, gate, client) = (Arc::clone(&self.shared), Arc::clone(&self.gate), self.client.clone());
        let ran = foreign::call(move || {
            while self.turn() {}
            self.finish();
        });
        if let Err(message) = ran {
            foreign::log(Level::Error, format_args!("{}: the bridge has failed: {message}", shared.topics));
            gate.stop();
            client.close();
        }
        shared.end();
    }

    /// Does what there is to do; false when the bridge is over.
    fn turn(&mut self) -> bool {
        let request = self.plan();
        let seen = self.seen();
        let work = self.shared.wait(seen, request);
        work.news.into_iter().for_each(|news| self.hear(news));
        for message in work.messages {
            if work.are_excess || !self.is_online() {
                self.set_aside(&message);
            } else {
                self.send_live(message);
            }
        }
        self.send_own();
        if work.is_drained {
            self.send_backlog();
        }
        self.look_at_clock();
        if work.refused > 0 {
            self.tell_refused_at = Instant::now() + TELL_REFUSED;
            self.events.push_back(Event::CommandsRefused { messages: work.refused });
        }
        let goes_on = work.closing.is_none_or(|by| self.part(by, work.is_drained));
        self.tell();
        goes_on
    }

    /// What to wait for, and how long.
    fn plan(&mut self) -> Request {
        let has_room = self.await_room();
        let now = Instant::now();
        let tells_refused = now >= self.tell_refused_at;
        let mut until = now + LONG;
        let mut wake_at = |at: Instant| until = until.min(at);
        if !tells_refused {
            wake_at(self.tell_refused_at);
        }
        if self.farewell.is_some() {
            wake_at(now + MOMENT);
        }
        let everything = Wanted::Oldest { bytes: ASIDE, most: usize::MAX };
        let excess = Wanted::Excess { bytes: ASIDE };
        let wanted = match &self.session {
            None => everything,
            Some(Session { stage: Stage::Asked { by }, is_given_up, .. }) => {
                if !is_given_up {
                    wake_at(*by);
                }
                everything
            }
            Some(session) => {
                if !session.is_given_up {
                    wake_at(session.ping_at);
                    let silent_at = session.asked_at.map(|asked_at| asked_at + self.shared.settings.keep_alive);
                    session.last_look.or(silent_at).into_iter().for_each(&mut wake_at);
                    wake_at(self.status_at);
                }
                let room = self.room_in_flight();
                if !has_room {
                    wake_at(now + if session.is_given_up { MOMENT } else { Duration::ZERO });
                    excess
                } else if !self.own.is_empty() {
                    if self.in_flight.len() < self.shared.settings.max_in_flight {
                        wake_at(now);
                    }
                    excess
                } else if room == 0 {
                    excess
                } else {
                    if self.may_send_backlog() {
                        wake_at(self.rate.opens_at(now).max(self.backlog_rests_until));
                    }
                    Wanted::Oldest { bytes: CHUNK, most: room }
                }
            }
        };
        Request { wanted, until, knows_closing: self.farewell.is_some(), tells_refused }
    }

    /// Waits a moment for room where there is none, and nothing else to do; whether there is.
    fn await_room(&self) -> bool {
        let Some(Session { connection, .. }) = &self.session else { return true };
        if connection.queued_bytes() < WINDOW {
            return true;
        }
        if self.shared.has_excess() {
            return false;
        }
        if connection.flush(MOMENT).is_err() && connection.is_closed() {
            // Its end is about to be told, and has waited for nothing.
            thread::sleep(MOMENT / 10);
        }
        connection.queued_bytes() < WINDOW
    }

    /// What the others are told.
    fn seen(&mut self) -> Seen {
        let is_online = self.is_online() && self.farewell.is_none();
        Seen { counts: mem::take(&mut self.counts), backlog: self.backlog.extent(), is_online }
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Opened(connection) => self.greet(connection),
            News::Accepted => self.begin_session(),
            News::Acknowledged(id) => self.acknowledged(id),
            News::Subscribed { granted: true } => {}
            News::Subscribed { granted: false } => self.events.push_back(Event::NotSubscribed),
            News::CommandPanicked(message) => self.events.push_back(Event::CommandPanicked { message }),
            News::Ended(ended) => self.end_session(*ended),
            News::Unreachable { error, again_at } => {
                self.events.push_back(Event::Unreachable { error, again_in: until(again_at) });
            }
            News::Failed(error) => self.events.push_back(Event::Failed { error }),
        }
    }

    /// Puts a message where messages wait, or go, while there is no session or no room.
    fn set_aside(&mut self, message: &Message) {
        if self.shared.settings.retain {
            self.kept.put(message);
        }
        if !self.keep(message) {
            self.counts.dropped += 1;
        }
    }

    /// Puts a message into the backlog, where there is one.
    fn keep(&mut self, message: &Message) -> bool {
        match self.backlog.append(message) {
            Fate::Waits => true,
            Fate::Dropped => false,
            Fate::Failed(error) => {
                self.tell_failed(error);
                true
            }
        }
    }

    fn tell_failed(&mut self, error: HistoryError) {
        let now = Instant::now();
        if now >= self.tell_failed_at {
            self.tell_failed_at = now + TELL_FAILED;
            self.events.push_back(Event::BacklogFailed { error });
        }
    }

    /// Tells the program, and the log, what has happened.
    fn tell(&mut self) {
        if !self.events.is_empty() {
            // Whoever is told finds it in the numbers as well.
            let seen = self.seen();
            self.shared.note(seen);
        }
        while let Some(event) = self.events.pop_front() {
            let level = match event {
                Event::Connected | Event::CaughtUp { .. } | Event::Disconnected { .. } => Level::Info,
                _ => Level::Warn,
            };
            let topics = &self.shared.topics;
            foreign::log(level, format_args!("{topics}: {event}"));
            let Some(events) = &self.shared.settings.events else { continue };
            if let Err(message) = foreign::call(|| events(&event)) {
                let line = message.lines().next().unwrap_or_default();
                foreign::log(Level::Warn, format_args!("{topics}: what events are told has panicked: {line}"));
            }
        }
    }

    fn is_online(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.stage == Stage::Online)
    }

    /// The connection that there is a session on.
    fn online(&self) -> Option<Connection> {
        let session = self.session.as_ref().filter(|session| session.stage == Stage::Online && !session.is_given_up);
        session.map(|session| session.connection.clone())
    }
}

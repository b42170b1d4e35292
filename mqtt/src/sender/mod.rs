//! The thread that sends: the only one that writes messages to the broker, and the only one that touches what waits in
//! memory or on the disk.
//!
//! ```text
//!   publish ─▶ waiting ─┬─ a session, and room ──▶ live: up, field
//!                       └─ none, or too much ────▶ backlog ── behind what is live ──▶ backlog
//!   the reader ─▶ news: opened, accepted, acknowledged, ended
//! ```
//!
//! A turn of it waits for something to do, hears the news, sends what is live or, by turns, says what is retained, then
//! sends of the backlog as much as may go, and looks at the clock. It never waits for the broker longer than a moment,
//! so that what there is no room for is set aside in time.

mod closing;
mod own;
mod sending;
mod sessions;

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::{Client, Connection};
use leads_comm_resume::HistoryError;
use log::Level;

use crate::backlog::{Backlog, Fate};
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

/// What it takes to send.
pub(crate) struct Parts {
    pub(crate) client: Client,
    pub(crate) gate: Arc<Gate>,
    pub(crate) backlog: Backlog,
}

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
    /// What the bridge has to say itself of what is retained, in turn with what is live.
    own: own::ToSay,
    /// Something live went last.
    is_turn_of_own: bool,
    /// The number of the last message that was sent or set aside.
    handled: u64,
    /// The last number that is settled for as long as the bridge lasts: what came behind it could not be kept.
    settled_at_most: u64,
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
    /// The first message that was not acknowledged when the broker was asked last, and how often it was the same.
    first: Option<u64>,
    stands: u32,
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
            own: own::ToSay::default(),
            is_turn_of_own: false,
            handled: 0,
            settled_at_most: u64::MAX,
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
        run_to_end(&shared, &gate, &client, move || {
            while self.turn() {}
            self.finish();
        });
    }

    /// Does what there is to do; false when the bridge is over.
    fn turn(&mut self) -> bool {
        let request = self.plan();
        let was_online = self.is_online();
        let seen = self.seen();
        let work = self.shared.wait(seen, request);
        work.news.into_iter().for_each(|news| self.hear(news));
        let (mut may_go, mut has_gone) = (!work.are_excess, false);
        let numbers = work.last + 1 - work.messages.len() as u64..;
        for (number, message) in numbers.zip(work.messages) {
            // Behind one that is set aside none goes live: they stay in order.
            may_go = may_go && self.may_go_live(was_online);
            if may_go {
                self.send_live(number, message);
                has_gone = true;
            } else {
                self.set_aside(&message);
            }
            self.handled = number;
        }
        if has_gone {
            self.is_turn_of_own = true;
        } else {
            self.send_own();
        }
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
                let may_send_own = has_room && !session.is_given_up && self.may_send_own();
                if !has_room {
                    wake_at(now + if session.is_given_up { MOMENT } else { Duration::ZERO });
                } else if may_send_own {
                    wake_at(now);
                } else if room.is_some() && self.may_send_backlog() {
                    // Where nothing live may go, some of it may be waiting, and the backlog comes behind that.
                    wake_at(self.rate.opens_at(now).max(self.backlog_rests_until));
                }
                match room {
                    Some((most, bytes)) if has_room && !(may_send_own && self.is_turn_of_own) => {
                        Wanted::Oldest { bytes: bytes.min(CHUNK), most }
                    }
                    _ => excess,
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

    /// Whether a message may go live that was taken while there was a session, or was none. In a session no more is
    /// taken than may go; before it all that there is, to be set aside.
    fn may_go_live(&self, was_online: bool) -> bool {
        let has_room = || self.online().is_some_and(|connection| connection.queued_bytes() < WINDOW);
        self.is_online() && self.room_in_flight().is_some() && (was_online || has_room())
    }

    /// What the others are told.
    fn seen(&mut self) -> Seen {
        let is_online = self.is_online() && self.farewell.is_none();
        let (counts, backlog) = (mem::take(&mut self.counts), self.backlog.extent());
        Seen { counts, backlog, is_online, settled: self.settled(), on_way: self.in_flight.live_bytes() }
    }

    /// Up to which number it is settled what has become of all messages.
    fn settled(&self) -> u64 {
        // What was set aside behind one that is on its way is settled with that one.
        self.in_flight.first_live().map_or(self.handled, |number| number - 1).min(self.settled_at_most)
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
        if self.retains() && self.kept.put(message) && self.is_online() {
            // Who looks at the topic of its key is to see it there all the same.
            message.key.iter().for_each(|key| self.own.retained(key.clone()));
        }
        if !self.keep(message) {
            self.counts.dropped += 1;
        }
    }

    /// Whether the broker is to retain what comes now. What has been taken back in the end is not brought up again.
    fn retains(&self) -> bool {
        self.shared.settings.retain && matches!(self.farewell, None | Some(closing::Farewell::Draining))
    }

    /// Puts a message into the backlog, where there is one.
    fn keep(&mut self, message: &Message) -> bool {
        match self.backlog.append(message) {
            Fate::Waits => true,
            Fate::Dropped => false,
            Fate::Failed(error) => {
                self.settled_at_most = self.settled();
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
            tell(&self.shared, &event);
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

/// Runs a bridge to its end. Where that is a panic, the program is told, so that it can do something about it.
fn run_to_end(shared: &Shared, gate: &Gate, client: &Client, run: impl FnOnce()) {
    let ran = foreign::call(run);
    if ran.is_err() {
        gate.stop();
        client.close();
    }
    // Nothing is taken any more when the program hears of it.
    shared.end();
    if let Err(message) = ran {
        let error = leads_comm::Error::ServiceFailed { name: "lc-mqtt".to_owned(), message };
        tell(shared, &Event::Failed { error });
    }
}

/// Tells the program, and the log, of one event.
fn tell(shared: &Shared, event: &Event) {
    let level = match event {
        Event::Connected | Event::CaughtUp { .. } | Event::Disconnected { .. } => Level::Info,
        Event::Failed { .. } => Level::Error,
        _ => Level::Warn,
    };
    let topics = &shared.topics;
    foreign::log(level, format_args!("{topics}: {event}"));
    let Some(events) = &shared.settings.events else { return };
    if let Err(message) = foreign::call(|| events(event)) {
        let line = message.lines().next().unwrap_or_default();
        foreign::log(Level::Warn, format_args!("{topics}: what events are told has panicked: {line}"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::Error;
    use crate::backlog::Extent;
    use crate::settings::Settings;
    use crate::topics::Topics;

    #[test]
    fn a_panic_of_the_sender_is_told_when_the_bridge_is_over() {
        let (send, told) = mpsc::channel();
        let events = move |event: &Event| send.send(event.clone()).unwrap();
        let settings = Settings { events: Some(Arc::new(events)), ..Settings::default() };
        let shared = Shared::new(settings, Topics::new("leads", b"car", b"s"), false, Extent::default());
        shared.start().unwrap();
        run_to_end(&shared, &Gate::new(), &Client::builder().build().unwrap(), || panic!("a defect"));
        let Ok(Event::Failed { error }) = told.try_recv() else { panic!("it is not told") };
        assert!(error.to_string().contains("a defect"), "{error}");
        let message = Message { at: 0, key: None, payload: [].into() };
        assert!(matches!(shared.publish(message, false), Err(Error::Closed)));
        run_to_end(&shared, &Gate::new(), &Client::builder().build().unwrap(), || ());
        assert!(told.try_recv().is_err(), "an end in order is none of those");
    }
}

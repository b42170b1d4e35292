//! What the threads of a bridge share: those that publish, the one that reads from the broker, the one that sends, and
//! those that close. One lock, held for as long as it takes to move some pointers; no code of the program's, no socket
//! and no disk is used under it.

use std::collections::VecDeque;
use std::mem;
use std::time::Instant;

use leads_comm::{Connection, DisconnectReason, Error as ClientError};
use parking_lot::{Condvar, Mutex};

use crate::Error;
use crate::backlog::Extent;
use crate::event::{Fault, Refusal};
use crate::settings::Settings;
use crate::stats::{Counts, Stats};
use crate::topics::Topics;
use crate::waiting::{Message, Waiting};

/// How much the broker may have said that the sender has not heard. One that says more acknowledges what was never
/// sent.
const MAX_NEWS: usize = 16 * 1024;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) topics: Topics,
    state: Mutex<State>,
    /// The sender has something to do.
    work: Condvar,
    /// There is room for messages, or none is needed any more.
    room: Condvar,
    /// The bridge is over.
    over: Condvar,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    waiting: Waiting,
    news: VecDeque<News>,
    /// When the broker last said something.
    last_heard: Instant,
    /// Nothing is read from it, because a command is being carried out.
    is_busy: bool,
    /// What the connection that there is has been ended for.
    fault: Option<Fault>,
    counts: Counts,
    /// Commands that were refused, and of which the program has not been told.
    untold: u64,
    /// The state of the backlog and of the session, as the sender has seen them last.
    backlog: Extent,
    is_online: bool,
    settled: u64,
    /// What the messages are charged that the sender has taken, and that neither wait in the backlog nor have arrived.
    under_way: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Built and not started.
    New,
    Running,
    /// It is to be over by then.
    Closing(Instant),
    Over,
}

/// What the sender is told by the thread that reads from the broker.
#[derive(Debug)]
pub(crate) enum News {
    /// A connection has been opened.
    Opened(Connection),
    /// The broker has begun a session on it.
    Accepted,
    /// The broker has the message with this number.
    Acknowledged(u16),
    /// The broker has answered the subscription.
    Subscribed { granted: bool },
    /// What commands are given to has panicked.
    CommandPanicked(String),
    /// The connection is over.
    Ended(Box<Ended>),
    /// There is none: an attempt has failed.
    Unreachable { error: ClientError, again_at: Instant },
    /// There will be none.
    Failed(ClientError),
}

/// How a connection has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) reason: DisconnectReason,
    pub(crate) refusal: Option<Refusal>,
    pub(crate) fault: Option<Fault>,
    /// When the session began that it was.
    pub(crate) accepted: Option<Instant>,
    pub(crate) at: Instant,
    pub(crate) again_at: Instant,
    /// Packets that were not written.
    pub(crate) unsent: Vec<Vec<u8>>,
}

/// Which messages the sender can do with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// About so many bytes of the oldest, and so many of them.
    Oldest { bytes: usize, most: usize },
    /// Those for which there is no room, about so many bytes of them.
    Excess { bytes: usize },
}

/// What the sender waits for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    pub(crate) wanted: Wanted,
    /// How long it waits at most.
    pub(crate) until: Instant,
    /// Whether it knows that the bridge is being closed.
    pub(crate) knows_closing: bool,
    /// Whether it tells the program of commands that were refused.
    pub(crate) tells_refused: bool,
}

/// What the sender has to do.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) news: VecDeque<News>,
    pub(crate) messages: Vec<Message>,
    /// The number of the last of them.
    pub(crate) last: u64,
    /// Whether there is no room for those among what is live.
    pub(crate) are_excess: bool,
    /// Whether nothing waits behind these messages.
    pub(crate) is_drained: bool,
    /// By when the bridge is to be over, where it is being closed.
    pub(crate) closing: Option<Instant>,
    /// How many commands were refused, of which the program is to be told.
    pub(crate) refused: u64,
}

/// What the sender has seen.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    pub(crate) counts: Counts,
    pub(crate) backlog: Extent,
    pub(crate) is_online: bool,
    /// The number up to which it is settled what has become of all messages.
    pub(crate) settled: u64,
    /// What the live messages are charged that are on their way.
    pub(crate) on_way: usize,
}

impl Shared {
    pub(crate) fn new(settings: Settings, topics: Topics, has_backlog: bool, backlog: Extent) -> Self {
        let state = State {
            phase: Phase::New,
            waiting: Waiting::new(settings.max_live_bytes, has_backlog),
            news: VecDeque::new(),
            last_heard: Instant::now(),
            is_busy: false,
            fault: None,
            counts: Counts::default(),
            untold: 0,
            backlog,
            is_online: false,
            settled: 0,
            under_way: 0,
        };
        let (work, room, over) = (Condvar::new(), Condvar::new(), Condvar::new());
        Self { settings, topics, state: Mutex::new(state), work, room, over }
    }

    /// Begins; an error where it has begun before.
    pub(crate) fn start(&self) -> Result<(), Error> {
        let mut state = self.state.lock();
        match state.phase {
            Phase::New => state.phase = Phase::Running,
            Phase::Running => return Err(Error::AlreadyStarted),
            Phase::Closing(_) | Phase::Over => return Err(Error::Closed),
        }
        Ok(())
    }

    /// Takes a message for the sender, if need be `blocking` until there is room; the number of the message.
    pub(crate) fn publish(&self, message: Message, blocking: bool) -> Result<u64, Error> {
        let mut state = self.state.lock();
        loop {
            match state.phase {
                Phase::Running if blocking && !state.has_room(&self.settings, &message) => self.room.wait(&mut state),
                Phase::Running => break,
                Phase::New => return Err(Error::NotStarted),
                Phase::Closing(_) | Phase::Over => return Err(Error::Closed),
            }
        }
        state.counts.accepted += 1;
        state.counts.dropped += state.waiting.push(message);
        let number = state.waiting.newest();
        drop(state);
        self.work.notify_one();
        Ok(number)
    }

    /// A message was given to the callback that cannot be published.
    pub(crate) fn count_refused(&self) {
        let mut state = self.state.lock();
        state.counts.accepted += 1;
        state.counts.dropped += 1;
    }

    /// Tells the sender; false where it has been told too much.
    pub(crate) fn tell(&self, news: News) -> bool {
        let mut state = self.state.lock();
        // Of the others there are few: a connection takes its time.
        let may_be_many = matches!(news, News::Acknowledged(_) | News::Subscribed { .. } | News::CommandPanicked(_));
        if may_be_many && state.news.len() >= MAX_NEWS {
            return false;
        }
        state.news.push_back(news);
        drop(state);
        self.work.notify_one();
        true
    }

    /// The broker has said something.
    pub(crate) fn heard(&self) {
        self.state.lock().last_heard = Instant::now();
    }

    /// Whether more waits for the sender than is live.
    pub(crate) fn has_excess(&self) -> bool {
        self.state.lock().waiting.has_excess()
    }

    /// When the broker last said something, as far as it is listened to.
    pub(crate) fn last_heard(&self) -> Instant {
        let state = self.state.lock();
        if state.is_busy { Instant::now() } else { state.last_heard }
    }

    /// For as long as a command is being carried out, the broker is not listened to.
    pub(crate) fn set_busy(&self, is_busy: bool) {
        let mut state = self.state.lock();
        state.is_busy = is_busy;
        state.last_heard = Instant::now();
    }

    /// The connection that there is is about to be ended for this.
    pub(crate) fn blame(&self, fault: Fault) {
        self.state.lock().fault.get_or_insert(fault);
    }

    /// What the connection was ended for that has just ended.
    pub(crate) fn take_fault(&self) -> Option<Fault> {
        self.state.lock().fault.take()
    }

    pub(crate) fn count_command(&self, passed: bool) {
        let mut state = self.state.lock();
        if passed {
            state.counts.commands_passed += 1;
            return;
        }
        state.counts.commands_refused += 1;
        state.untold += 1;
        drop(state);
        self.work.notify_one();
    }

    /// For the sender: says what it has seen, and waits until there is something to do.
    pub(crate) fn wait(&self, seen: Seen, request: Request) -> Work {
        let Request { wanted, until, knows_closing, tells_refused } = request;
        let mut state = self.state.lock();
        if state.note(seen) {
            self.room.notify_all();
        }
        loop {
            let has_messages = match wanted {
                Wanted::Oldest { .. } => !state.waiting.is_empty(),
                Wanted::Excess { .. } => state.waiting.has_excess(),
            };
            let begins_to_close = state.phase.closing().is_some() && !knows_closing;
            let has_refused = tells_refused && state.untold > 0;
            if has_messages || begins_to_close || has_refused || !state.news.is_empty() {
                break;
            }
            if self.work.wait_until(&mut state, until).timed_out() {
                break;
            }
        }
        let (messages, are_excess) = match wanted {
            Wanted::Oldest { bytes, most } => (state.waiting.take(bytes, most), false),
            Wanted::Excess { bytes } => (state.waiting.take_excess(bytes), true),
        };
        state.under_way += messages.iter().map(Message::charge).sum::<usize>();
        if !messages.is_empty() {
            self.room.notify_all();
        }
        Work {
            messages,
            last: state.waiting.gone(),
            are_excess,
            is_drained: state.waiting.is_empty(),
            news: mem::take(&mut state.news),
            closing: state.phase.closing(),
            refused: if tells_refused { mem::take(&mut state.untold) } else { 0 },
        }
    }

    /// Says what the sender has seen.
    pub(crate) fn note(&self, seen: Seen) {
        if self.state.lock().note(seen) {
            self.room.notify_all();
        }
    }

    /// Begins the end, which is to be over by then; returns at once where it has begun before.
    pub(crate) fn begin_close(&self, by: Instant) {
        let mut state = self.state.lock();
        match state.phase {
            Phase::New => state.phase = Phase::Over,
            Phase::Running => state.phase = Phase::Closing(by),
            Phase::Closing(_) | Phase::Over => return,
        }
        drop(state);
        self.work.notify_one();
        self.room.notify_all();
        self.over.notify_all();
    }

    /// Waits for the end, at most until then.
    pub(crate) fn wait_over(&self, until: Instant) {
        let mut state = self.state.lock();
        while state.phase != Phase::Over {
            if self.over.wait_until(&mut state, until).timed_out() {
                return;
            }
        }
    }

    /// The bridge is over.
    pub(crate) fn end(&self) {
        let mut state = self.state.lock();
        state.phase = Phase::Over;
        state.is_online = false;
        drop(state);
        self.room.notify_all();
        self.over.notify_all();
    }

    pub(crate) fn stats(&self) -> Stats {
        let state = self.state.lock();
        let State { counts, backlog, is_online, waiting, settled, .. } = &*state;
        Stats {
            is_online: *is_online,
            sessions: counts.sessions,
            accepted: counts.accepted,
            published: counts.published.saturating_sub(counts.returned),
            replayed: counts.replayed,
            acknowledged: counts.acknowledged,
            settled: *settled,
            dropped: counts.dropped,
            lost: counts.lost + backlog.lost,
            waiting: backlog.messages,
            waiting_bytes: backlog.bytes,
            queued: waiting.len() as u64,
            queued_bytes: waiting.charged() as u64,
            commands_passed: counts.commands_passed,
            commands_refused: counts.commands_refused,
        }
    }
}

impl Phase {
    fn closing(self) -> Option<Instant> {
        if let Self::Closing(by) = self { Some(by) } else { None }
    }
}

impl State {
    /// Whether there is more room than before.
    fn note(&mut self, seen: Seen) -> bool {
        let before = self.kept_bytes();
        self.counts += seen.counts;
        self.backlog = seen.backlog;
        self.is_online = seen.is_online;
        self.settled = seen.settled;
        self.under_way = seen.on_way;
        self.kept_bytes() < before
    }

    /// What waits in the backlog, or would if the session ended now.
    fn kept_bytes(&self) -> u64 {
        self.backlog.bytes + (self.under_way + self.waiting.charged()) as u64
    }

    /// Whether no message has to go for this one, now or when the session ends. A backlog in files drops a whole file at
    /// a time, and so is filled by half.
    fn has_room(&self, settings: &Settings, message: &Message) -> bool {
        let (kept, charge) = (self.kept_bytes(), message.charge() as u64);
        let may_be_kept = settings.offline.max_bytes().is_none_or(|max| kept == 0 || kept + charge <= max / 2);
        may_be_kept && self.waiting.has_room(message)
    }
}

//! What the connections of a service share.

use std::fmt::Display;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use crate::connection::ServiceId;
use crate::connection::inbound_budget::InboundBudget;
use crate::connection::last_values::LastValues;
use crate::connection::log_limits::{LogLimits, Topic, Verdict};
use crate::connection::outbox::{BroadcastBatch, Lacking, Patience, Purpose, Rules};
use crate::connection::pump::{Deadline, Pump, Watched};
use crate::error::Error;
use crate::settings::Key;
use crate::settings::{Delivery, Settings, SlowConsumer};
use crate::sync::Mutex;
use crate::sync::threads::Threads;
use crate::sync::user_code::debug;
use crate::transport::{Keepalive, Stream};

pub(crate) struct Engine {
    pub(crate) id: ServiceId,
    pub(crate) settings: Settings,
    pub(crate) rules: Arc<Rules>,
    pub(crate) pump: Pump,
    /// The readers of a server, and the writers of streams that cannot be polled.
    pub(crate) threads: Threads,
    pub(crate) broadcast_batch: BroadcastBatch,
    pub(crate) inbound_budget: InboundBudget,
    /// What a newcomer gets, where the program says so.
    pub(crate) last_values: Option<LastValues>,
    pub(crate) log_limits: Arc<LogLimits>,
    service: Weak<dyn Relief>,
    /// Held by the sender that has messages dropped to make room.
    dropping: Mutex<()>,
    /// Whether there may be connections that lose what does not fit.
    losing: AtomicBool,
    /// Whether it has been told that sockets do not take what they should.
    refusal_told: AtomicBool,
    /// Whether a stream has told what is unanswered.
    tells_unanswered: AtomicBool,
}

/// A service that can make room for all of its connections at the cost of one.
pub(crate) trait Relief: Send + Sync {
    /// Disconnects the peer with the longest queue, unless there is room for `bytes` by now; false when nothing waits
    /// for anybody.
    fn disconnect_slowest(&self, bytes: usize) -> bool;

    /// Drops the oldest messages of the longest queue that may lose any and of which dropping some makes room, until so
    /// much memory has come back; false when there is none.
    fn drop_from_longest(&self, memory: usize) -> bool;

    /// Drops what waits for those who may lose it, also what they share, the longest queue first, until there is so
    /// much room; false when there is not.
    fn drop_shared(&self, memory: usize) -> bool;
}

impl Engine {
    pub(crate) fn new(settings: Settings, service: Weak<dyn Relief>) -> Self {
        let rules = Arc::new(Rules::new(&settings));
        Self {
            id: ServiceId::next(),
            broadcast_batch: BroadcastBatch::new(Arc::clone(&rules)),
            losing: AtomicBool::new(false),
            inbound_budget: InboundBudget::new(settings.memory_limits.max_total_unfinished_bytes),
            last_values: settings.snapshot.map(|snapshot| LastValues::new(snapshot, &rules)),
            settings,
            rules,
            pump: Pump::default(),
            threads: Threads::default(),
            log_limits: Arc::default(),
            service,
            dropping: Mutex::new(()),
            refusal_told: AtomicBool::new(false),
            tells_unanswered: AtomicBool::new(false),
        }
    }

    /// The name of a thread of the service, which is all its own: systems show 15 bytes of a name, and less tells one
    /// thread from all others of the process.
    pub(crate) fn thread_name(&self, what: impl Display) -> String {
        format!("lc{}-{what}", self.id)
    }

    /// The key of a message, where there are keys.
    #[inline]
    pub(crate) fn key_of(&self, message: &[u8]) -> Result<Option<Key>, Error> {
        let Some(key) = &self.settings.key else { return Ok(None) };
        key.call(message).map_err(|message| Error::CallbackPanicked { callback: "key", message })
    }

    /// Whether a line that a peer can cause may be logged now; if not, it is counted, and that is said later.
    pub(crate) fn may_log(&self, topic: Topic) -> bool {
        match self.log_limits.ask(topic, Instant::now()) {
            Verdict::Log => true,
            Verdict::LeaveOut { first_until } => {
                if let Some(at) = first_until {
                    let limits: Arc<dyn Watched> = Arc::<LogLimits>::clone(&self.log_limits);
                    let time = at.saturating_duration_since(Instant::now());
                    self.pump.watch(Arc::downgrade(&limits), Deadline::LogRoom, time);
                }
                false
            }
        }
    }

    /// Makes room for what is lacking in the budget of all outboxes, or waits for it, as the peer's rule for full
    /// queues says; whether it is worth trying again. Trying ends, because each time somebody has found room, or one
    /// peer less has something waiting.
    pub(crate) fn find_budget(&self, lacking: Lacking, policy: SlowConsumer, patience: &mut Patience) -> bool {
        match policy {
            _ if !policy.drops() && self.drop_from_others(lacking, Purpose::Queue) => true,
            _ if !patience.waits() => false,
            SlowConsumer::Disconnect => self.relieve(lacking),
            SlowConsumer::Block(time) => {
                self.rules.budget.wait(lacking.0, patience.until(time))
                    || !patience.is_over(time)
                    || self.relieve(lacking)
            }
            SlowConsumer::DropOldest | SlowConsumer::DropNewest => false,
        }
    }

    /// Makes room for what is lacking to write at once to a peer that may lose messages, and for whom nothing waits: at
    /// the cost of what waits for others such. Whether it is worth trying again.
    pub(crate) fn find_budget_to_write(&self, lacking: Lacking) -> bool {
        self.drop_from_others(lacking, Purpose::Write)
    }

    /// From now on a connection is served like that.
    pub(crate) fn note_delivery(&self, delivery: &Delivery) {
        if delivery.slow_consumer.drops() {
            self.losing.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it is worth trying again, because there is room by now, or those who may lose messages have lost some.
    fn drop_from_others(&self, lacking: Lacking, purpose: Purpose) -> bool {
        if !self.losing.load(Ordering::Relaxed) {
            return false;
        }
        let _turn = self.dropping.lock();
        if self.rules.budget.has_room_for(lacking.0, purpose) {
            return true;
        }
        // One who may lose messages is not worth all that the others share.
        self.service.upgrade().is_some_and(|service| {
            service.drop_from_longest(lacking.0) || purpose == Purpose::Queue && service.drop_shared(lacking.0)
        })
    }

    /// Has the system look after the peer of a new connection, as far as it can.
    pub(crate) fn keep_alive(&self, stream: &dyn Stream) {
        let timeout = self.settings.timeouts.dead_peer_timeout;
        // Where streams can be asked, the library sees to it, and tells a peer without room from one that is gone.
        let user_timeout = timeout.filter(|_| !self.can_be_asked(stream));
        self.note_whether_set(stream, stream.keep_alive(timeout.map(Keepalive::within), user_timeout));
    }

    /// Has the system hold no more than that for the peer, as far as it can.
    pub(crate) fn limit_unsent(&self, stream: &dyn Stream, bytes: Option<usize>) {
        self.note_whether_set(stream, stream.limit_unsent(bytes));
    }

    fn note_whether_set(&self, stream: &dyn Stream, result: io::Result<()>) {
        let Err(error) = result else { return };
        if error.kind() != io::ErrorKind::Unsupported && !self.refusal_told.swap(true, Ordering::Relaxed) {
            debug!("the system does not serve {} as it should: {error:#}", stream.peer());
        }
    }

    /// Whether a stream tells what is unanswered. Once one does, all of the service's do, which are of one transport:
    /// the question costs several calls of the system.
    fn can_be_asked(&self, stream: &dyn Stream) -> bool {
        if !self.tells_unanswered.load(Ordering::Relaxed) {
            self.tells_unanswered.store(stream.unanswered_for().is_ok(), Ordering::Relaxed);
        }
        self.tells_unanswered.load(Ordering::Relaxed)
    }

    fn relieve(&self, lacking: Lacking) -> bool {
        self.service.upgrade().is_some_and(|service| service.disconnect_slowest(lacking.0))
    }
}

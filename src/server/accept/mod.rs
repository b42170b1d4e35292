//! The accepting thread: listener -> admission -> a reader for each caller who is admitted, a goodbye for the others.
//! Nothing that goes wrong ends it but the end of the server.

mod failure;
mod lingering;
mod reports;

use std::io;
use std::sync::{Arc, mpsc};
use std::time::Instant;

use crate::admission::Refusal;
use crate::admission::goodbye::{Patience, say_goodbye};
use crate::admission::handshakes::{LOOK, News, PendingGuard};
use crate::connection::ConnectionId;
use crate::error::{Error, RefusalCause};
use crate::server::handshake;
use crate::service::Core;
use crate::service::callback::Chain;
use crate::service::lifecycle::Paused;
use crate::service::reader::Opened;
use crate::settings::Delivery;
use crate::sync::later;
use crate::sync::user_code::debug;
use crate::transport::{Listener, Stream};
use failure::{AcceptFailure, AcceptPause, FIRST_PAUSE};
use lingering::Lingering;
use reports::Reports;

/// How many callers are refused for want of a descriptor before everything else gets a turn.
const AT_ONCE: usize = 64;

/// Accepts until the server is closed, then sees everything out, also when accepting has failed.
pub(crate) fn run(core: &Arc<Core>, callback: Arc<Chain>, listener: Arc<dyn Listener>) {
    core.initialize(&*callback);
    drop(callback);
    let mut accept_loop = AcceptLoop {
        core,
        listener,
        is_timed: true,
        pauses: AcceptPause::default(),
        lingering: Lingering::default(),
        reports: Reports::default(),
        look_at: None,
    };
    core.rely_on(|| accept_loop.accept_all());
    core.rely_on(|| {
        // From then on nobody is refused any more.
        core.handshakes().close();
        accept_loop.hear_of_refused();
        let AcceptLoop { mut reports, listener, lingering, .. } = accept_loop;
        drop((lingering, listener));
        // Before the end, with which the callbacks go.
        reports.tell_all(core);
    });
    core.finish();
}

struct AcceptLoop<'a> {
    core: &'a Arc<Core>,
    listener: Arc<dyn Listener>,
    /// Whether the listener can wait for a limited time.
    is_timed: bool,
    pauses: AcceptPause,
    lingering: Lingering,
    reports: Reports,
    /// When to look what has become of those who are on their way in.
    look_at: Option<Instant>,
}

/// What a new thread is given.
enum Given {
    Connection(Opened),
    Caller(PendingGuard),
}

/// What accepting was woken by.
enum Next {
    Caller(Box<dyn Stream>),
    Stopped,
    Due,
}

impl From<Option<Box<dyn Stream>>> for Next {
    fn from(accepted: Option<Box<dyn Stream>>) -> Self {
        accepted.map_or(Self::Stopped, Self::Caller)
    }
}

impl AcceptLoop<'_> {
    fn accept_all(&mut self) {
        loop {
            // Before accepting, so that no descriptor becomes free unnoticed between a failure and the rest after it.
            let wakes = self.core.lifecycle().wakes();
            match self.accept() {
                Ok(Next::Stopped) => return,
                Ok(Next::Caller(stream)) => {
                    self.pauses.reset();
                    self.serve(stream);
                }
                Ok(Next::Due) => {}
                Err(error) => {
                    if !self.survive(error, wakes) {
                        return;
                    }
                }
            }
            let now = Instant::now();
            if self.look_at.is_some_and(|at| at <= now) {
                self.hear_of_refused();
            }
            self.lingering.look(now);
            self.reports.tell_due(self.core, now);
        }
    }

    /// Waits for the next caller, or until there is something else to do.
    fn accept(&mut self) -> io::Result<Next> {
        let due = [self.lingering.due(), self.reports.due(), self.look_at].into_iter().flatten().min();
        if let Some(due) = due.filter(|_| self.is_timed) {
            match self.listener.accept_for(due.saturating_duration_since(Instant::now())) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // A wait that has ended a little early, as rounding makes it, is not begun again without a pause.
                    let early = due.saturating_duration_since(Instant::now()).min(FIRST_PAUSE);
                    if !early.is_zero() {
                        let lifecycle = self.core.lifecycle();
                        lifecycle.pause(early, lifecycle.wakes());
                    }
                    return Ok(Next::Due);
                }
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    self.is_timed = false;
                    self.lingering = Lingering::default();
                }
                accepted => return accepted.map(Next::from),
            }
        }
        self.listener.accept().map(Next::from)
    }

    /// Gives a new connection its reader thread, or refuses the caller.
    fn serve(&mut self, stream: Box<dyn Stream>) {
        let (core, peer) = (self.core, stream.peer());
        let enters = stream.needs_handshake() || core.authenticates();
        let admitted = core.admit(&peer, stream.peer_addr(), enters);
        // Of those who enter first, more is known later.
        let admitted = admitted.and_then(|()| match enters {
            true => Ok(None),
            false => core.delivery_for(&*stream, false).map(Some),
        });
        let delivery = match admitted {
            Ok(delivery) => delivery,
            Err(Refusal { cause, error }) => {
                if let Some(error) = error {
                    self.reports.tell(core, error, Instant::now());
                }
                return self.refuse(stream, cause);
            }
        };
        // The thread comes first: as long as there is none, there is no connection that anybody could see.
        let id = core.next_id();
        let (give, given) = mpsc::sync_channel(1);
        let name = core.engine().thread_name(format_args!("rd-{id} {peer}"));
        let started = core.threads().try_spawn(&name, core.settings().memory_limits.reader_stack, {
            let core = Arc::clone(core);
            move || {
                match given.recv() {
                    Ok(Given::Connection(opened)) => opened.read(),
                    Ok(Given::Caller(caller)) => handshake::run(&core, id, caller),
                    // The service is closing.
                    Err(_) => {}
                }
            }
        });
        match started {
            Ok(()) => {
                let given = match delivery {
                    Some(delivery) => open(core, id, stream, delivery),
                    None => {
                        self.look_at.get_or_insert_with(|| later(Instant::now(), LOOK));
                        handshake::begin(core, stream).map(Given::Caller)
                    }
                };
                if let Some(given) = given {
                    // A thread that is not waited for any more is ended by that.
                    let _ = give.send(given);
                }
            }
            Err(error) => self.refuse(stream, RefusalCause::NoThread { source: Arc::new(error) }),
        }
    }

    /// Hears who has been refused on the way in.
    fn hear_of_refused(&mut self) {
        let News { refused, errors, is_anybody_left } = self.core.handshakes().look();
        refused.into_causes().for_each(|cause| self.reports.refused(cause));
        errors.into_values().for_each(|error| self.reports.tell(self.core, error, Instant::now()));
        self.look_at = is_anybody_left.then(|| later(Instant::now(), LOOK));
    }

    /// Tells the caller so, and keeps its stream for a moment where that is of use.
    fn refuse(&mut self, stream: Box<dyn Stream>, cause: RefusalCause) {
        let patience = self.tell_goodbye(&*stream, &cause);
        // Without a limited wait there is nobody to let it go in time.
        if let Some(patience) = patience.filter(|_| self.is_timed) {
            self.lingering.keep(stream, patience, later(Instant::now(), self.core.settings().closing.drain_timeout));
        }
        self.reports.refused(cause);
    }

    fn tell_goodbye(&self, stream: &dyn Stream, cause: &RefusalCause) -> Option<Patience> {
        debug!("{}: refused {}: {cause:#}", self.core.lifecycle().name(), stream.peer());
        // Counted before the caller can know.
        self.core.admission().refusals().count(cause.kind());
        say_goodbye(stream, self.core.settings().framing.refusal())
    }

    /// After a failure: does what is to be done before accepting is tried again; false when the server has been closed.
    fn survive(&mut self, error: io::Error, wakes: u64) -> bool {
        let now = Instant::now();
        match AcceptFailure::of(&error) {
            AcceptFailure::OfOneCaller => {
                debug!("a caller was gone before it was accepted: {error:#}");
                if self.pauses.passes_over(now) {
                    return true;
                }
                self.reports.tell(self.core, Error::Accept { source: Arc::new(error) }, now);
                self.pauses.reset_pause();
            }
            AcceptFailure::NoDescriptor => {
                let error = Arc::new(error);
                // Those who have been told already hold descriptors that somebody else can use.
                if self.lingering.give_up() || self.refuse_waiting(&error) {
                    return true;
                }
                self.reports.tell(self.core, Error::Accept { source: error }, now);
            }
            AcceptFailure::Other => {
                self.reports.tell(self.core, Error::Accept { source: Arc::new(error) }, now);
            }
        }
        match self.core.lifecycle().pause(self.pauses.pause(), wakes) {
            Paused::Enough => true,
            Paused::Woken => {
                // A sender or the pump may still hold the stream of the connection that has ended, and lets it go in a
                // moment.
                self.pauses.reset_pause();
                true
            }
            Paused::Closed => false,
        }
    }

    /// Refuses those who wait and for whom there is no descriptor; whether that could be done for anybody.
    fn refuse_waiting(&mut self, source: &Arc<io::Error>) -> bool {
        for told in 0..AT_ONCE {
            let Ok(Some(stream)) = self.listener.accept_to_refuse() else { return told > 0 };
            let cause = RefusalCause::NoDescriptor { source: Arc::clone(source) };
            self.tell_goodbye(&*stream, &cause);
            self.reports.refused(cause);
        }
        true
    }
}

/// Makes a connection of a stream that asks for nothing before; `None` when the service is closing.
fn open(core: &Arc<Core>, id: ConnectionId, stream: Box<dyn Stream>, delivery: Delivery) -> Option<Given> {
    let stream: Arc<dyn Stream> = stream.into();
    core.engine().keep_alive(&*stream);
    Opened::new(core, id, stream, delivery, Vec::new(), None).map(Given::Connection)
}

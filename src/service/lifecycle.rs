//! The life of a service, from built to closed: what may happen when, and who is told that it has. Knows no
//! connections and starts no threads.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::error::Error;
use crate::sync::{later, user_code};
use crate::transport::{Connector, Listener};

/// ```text
///  New ──▶ Starting ──▶ Running ──▶ Closing ──▶ Closed
///   ▲         │ failed                            ▲
///   └─────────┴───────────────────────────────────┘ closed before it ran
/// ```
pub(crate) struct Lifecycle {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    phase: Phase,
    /// Whether the one start has been given away.
    started: bool,
    /// What the service is called in logs.
    name: String,
    port: u16,
    local_addr: Option<SocketAddr>,
    /// What a server listens on, as soon as there is one; taken by the thread that closes.
    listener: Option<Arc<dyn Listener>>,
    /// Who may hold a port that nobody else knows of: the thread that starts a server, and the one that stops its
    /// listener.
    starting: Option<ThreadId>,
    stopping: Option<ThreadId>,
    /// What a client connects with; taken by the thread that closes.
    connector: Option<Arc<dyn Connector>>,
    /// Raised to wake the thread that [pauses](Lifecycle::pause).
    wakes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    New,
    Starting,
    Running,
    Closing { by: Instant },
    Closed,
}

impl Lifecycle {
    pub(crate) fn new(kind: &str, port: u16, listener: Option<Arc<dyn Listener>>) -> Self {
        let state = State {
            phase: Phase::New,
            started: false,
            name: format!("{kind} {port}"),
            port,
            local_addr: None,
            listener,
            starting: None,
            stopping: None,
            connector: None,
            wakes: 0,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(crate) fn name(&self) -> String {
        self.state.lock().name.clone()
    }

    pub(crate) fn port(&self) -> u16 {
        self.state.lock().port
    }

    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        self.state.lock().local_addr
    }

    /// What the program has given a server to listen on.
    pub(crate) fn listener(&self) -> Option<Arc<dyn Listener>> {
        self.state.lock().listener.clone()
    }

    /// What a client connects with, to be stopped when it is closed.
    pub(crate) fn connects_with(&self, connector: Arc<dyn Connector>) {
        self.state.lock().connector = Some(connector);
    }

    /// Gives away the right to start. The thread that gets it goes on with [`run`](Self::run), or with
    /// [`start_failed`](Self::start_failed). Until then, nobody who closes returns if it `binds` a port.
    pub(crate) fn begin_start(&self, binds: bool) -> Result<(), Error> {
        let mut state = self.state.lock();
        match state.phase {
            _ if state.started => Err(Error::AlreadyStarted),
            Phase::New => {
                state.phase = Phase::Starting;
                state.started = true;
                state.starting = binds.then(|| thread::current().id());
                Ok(())
            }
            _ => Err(Error::Closed),
        }
    }

    /// The start did not work, and nothing is left of it; it may be tried again.
    pub(crate) fn start_failed(&self) {
        let mut state = self.state.lock();
        state.starting = None;
        if state.phase == Phase::Starting {
            state.phase = Phase::New;
            state.started = false;
        }
        // The threads that wait for the end have nothing to wait for any more.
        self.changed.notify_all();
    }

    /// The service is bound, or connected; refused when it was closed meanwhile. `port` is the real one, if there is
    /// one; the listener is kept for the thread that closes.
    pub(crate) fn run(
        &self,
        name: String,
        port: Option<u16>,
        local_addr: Option<SocketAddr>,
        listener: Option<Arc<dyn Listener>>,
    ) -> Result<(), Error> {
        let mut state = self.state.lock();
        if state.phase != Phase::Starting {
            return Err(Error::Closed);
        }
        state.phase = Phase::Running;
        state.name = name;
        state.port = port.unwrap_or(state.port);
        state.local_addr = local_addr;
        state.listener = listener;
        state.starting = None;
        Ok(())
    }

    /// A client that runs is connected anew.
    pub(crate) fn connected(&self, port: Option<u16>, local_addr: Option<SocketAddr>) {
        let mut state = self.state.lock();
        state.port = port.unwrap_or(state.port);
        state.local_addr = local_addr;
    }

    /// Whether the service runs: is started, and not being closed.
    pub(crate) fn is_running(&self) -> bool {
        self.state.lock().phase == Phase::Running
    }

    /// Whether the service has been closed, or is being closed.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.state.lock().phase, Phase::Closing { .. } | Phase::Closed)
    }

    /// Begins the end, which is to be over at `by`; false when it has begun before. Stops listening, and connecting:
    /// the port is free when this returns, whichever thread it is that stops.
    pub(crate) fn begin_close(&self, by: Instant) -> bool {
        let mut state = self.state.lock();
        let begins = match state.phase {
            Phase::New | Phase::Starting => {
                state.phase = Phase::Closed;
                true
            }
            Phase::Running => {
                state.phase = Phase::Closing { by };
                true
            }
            Phase::Closing { .. } | Phase::Closed => false,
        };
        if begins {
            let (listener, connector) = (state.listener.take(), state.connector.take());
            state.stopping = listener.as_ref().map(|_| thread::current().id());
            self.changed.notify_all();
            drop(state);
            if let Some(connector) = connector {
                let _ = user_code::survive(|| connector.stop());
            }
            if let Some(listener) = listener {
                let _ = user_code::survive(move || listener.stop());
            }
            state = self.state.lock();
            state.stopping = None;
            self.changed.notify_all();
        }
        let this = thread::current().id();
        while [state.starting, state.stopping].into_iter().flatten().any(|other| other != this) {
            if self.changed.wait_until(&mut state, by).timed_out() {
                break;
            }
        }
        begins
    }

    /// When the end under way is to be over; `None` when none is.
    pub(crate) fn closing_by(&self) -> Option<Instant> {
        match self.state.lock().phase {
            Phase::Closing { by } => Some(by),
            _ => None,
        }
    }

    /// The service's own thread is done; the last thing that it says.
    pub(crate) fn end(&self) {
        let mut state = self.state.lock();
        while state.stopping.is_some() {
            self.changed.wait(&mut state);
        }
        state.phase = Phase::Closed;
        self.changed.notify_all();
    }

    /// Whether there is nothing to wait for: the service has ended, or has never been started.
    pub(crate) fn is_over(&self) -> bool {
        self.state.lock().is_over()
    }

    /// Waits until the service [is over](Self::is_over), at most until `deadline`; whether it is.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> bool {
        let mut state = self.state.lock();
        while !state.is_over() {
            match deadline {
                Some(deadline) => {
                    if self.changed.wait_until(&mut state, deadline).timed_out() {
                        return state.is_over();
                    }
                }
                None => self.changed.wait(&mut state),
            }
        }
        true
    }

    /// How often the thread that pauses has been woken.
    pub(crate) fn wakes(&self) -> u64 {
        self.state.lock().wakes
    }

    /// Something has changed that the thread which [pauses](Self::pause) may be waiting for.
    pub(crate) fn wake(&self) {
        self.state.lock().wakes += 1;
        self.changed.notify_all();
    }

    /// Waits for `time`, less when the service is closed meanwhile, or has been woken more often than `wakes` times.
    pub(crate) fn pause(&self, time: Duration, wakes: u64) -> Paused {
        let until = later(Instant::now(), time);
        let mut state = self.state.lock();
        loop {
            if state.phase != Phase::Running {
                return Paused::Closed;
            }
            if state.wakes != wakes {
                return Paused::Woken;
            }
            if self.changed.wait_until(&mut state, until).timed_out() && state.phase == Phase::Running {
                return if state.wakes == wakes { Paused::Enough } else { Paused::Woken };
            }
        }
    }
}

/// Why a pause is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paused {
    /// The time is over.
    Enough,
    /// Something has changed.
    Woken,
    /// The service does not run any more.
    Closed,
}

impl State {
    fn is_over(&self) -> bool {
        !self.started || self.phase == Phase::Closed
    }
}

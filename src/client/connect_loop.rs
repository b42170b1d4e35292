//! The life of a client that runs, from one connection to the next, on its reader thread.

use std::sync::Arc;
use std::thread;

use super::backoff::Backoff;
use super::entry::Answer;
use super::handshake;
use crate::connection::Connection;
use crate::connection::link::TURN;
use crate::error::{DisconnectReason, Error};
use crate::service::Core;
use crate::service::callback::{Attempt, Callback};
use crate::service::lifecycle::Paused;
use crate::service::reader::Opened;
use crate::settings::Reconnect;
use crate::stats::{ConnectionStats, DisconnectKind};
use crate::sync::threads;
use crate::sync::user_code::{self, Inside, debug, info};
use crate::transport::{Connector, Stream};

/// What it takes to connect, once or again.
pub(super) struct ConnectLoop {
    core: Arc<Core>,
    connector: Arc<dyn Connector>,
    address: String,
    reconnect: Option<Retrying>,
}

/// The first connection, or why there is none yet.
type First = Result<Opened, Error>;

/// A stream on which messages can be sent, and what has arrived on it.
struct Entered {
    stream: Arc<dyn Stream>,
    ahead: Vec<u8>,
}

struct Retrying {
    reconnect: Reconnect,
    backoff: Backoff,
}

impl ConnectLoop {
    pub(super) fn new(
        core: Arc<Core>,
        connector: Arc<dyn Connector>,
        address: &str,
        reconnect: Option<&Reconnect>,
    ) -> Self {
        let reconnect = reconnect.map(|reconnect| Retrying {
            reconnect: reconnect.clone(),
            backoff: Backoff::new(reconnect.first_delay, reconnect.longest_delay),
        });
        Self { core, connector, address: address.to_owned(), reconnect }
    }

    /// Connects for the first time, and makes the service run: with a connection, or, where the client is patient, with
    /// why there is none yet.
    ///
    /// # Errors
    ///
    /// Those of the start, which has failed.
    pub(super) fn begin(&self) -> Result<First, Error> {
        let lifecycle = self.core.lifecycle();
        let entered = match self.connect() {
            Err(_) if lifecycle.is_closed() => return Err(Error::Closed),
            Err(error) if !self.is_patient() => {
                lifecycle.start_failed();
                return Err(error);
            }
            entered => entered,
        };
        let (peer, port, local_addr) = match &entered {
            Ok(Entered { stream, .. }) => {
                (stream.peer(), stream.peer_addr().map(|address| address.port()), stream.local_addr())
            }
            Err(_) => (self.server(), None, None),
        };
        self.core.run(format!("client of {peer}"), port, local_addr, None).inspect_err(|_| lifecycle.start_failed())?;
        match entered {
            Ok(entered) => self.open(entered).map(Ok).inspect_err(|_| self.core.finish()),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Runs on a new thread (`parallel`), or on this one until the client has ended.
    pub(super) fn start(self, first: First, parallel: bool) -> Result<(), Error> {
        if !parallel {
            let _inside = Inside::enter();
            self.run(first);
            return Ok(());
        }
        // That of its first connection, where there is one.
        let name = match first.as_ref().map(Opened::connection) {
            Ok(connection) => format!("rd-{} {connection}", connection.id()),
            Err(_) => format!("rd {}", self.server()),
        };
        let name = self.core.engine().thread_name(name);
        let core = Arc::clone(&self.core);
        threads::start(name, core.settings().memory_limits.reader_stack, move || self.run(first))
            .inspect_err(|_| core.finish())
    }

    /// Whether the client runs also when the first attempt has failed.
    fn is_patient(&self) -> bool {
        self.reconnect.as_ref().is_some_and(|retrying| retrying.reconnect.at_start)
    }

    /// The server's name, for people.
    fn server(&self) -> String {
        self.connector.describe(&self.address)
    }

    /// Opens a stream on which messages can be sent. Blocks until the client is let in, or closed.
    fn connect(&self) -> Result<Entered, Error> {
        if let Some(entered) = self.enter(true)? {
            return Ok(entered);
        }
        debug!("{} cannot be asked whether it lets the client in", self.server());
        // It may have few places, and is just about to have this one again.
        thread::sleep(TURN);
        self.enter(false)?.ok_or_else(|| Error::NotLetIn { address: self.server() })
    }

    /// Opens a stream, and has the server let the client in, which it may have to `ask`; `None` when that was not
    /// understood.
    fn enter(&self, ask: bool) -> Result<Option<Entered>, Error> {
        let failed = |source| Error::Connect { address: self.server(), source: Arc::new(source) };
        let stream: Arc<dyn Stream> = self.connector.connect(&self.address).map_err(failed)?.into();
        self.core.engine().keep_alive(&*stream);
        // Where there is no end, nothing would tell that the question was not understood.
        match handshake::run(&self.core, &stream, ask && stream.has_end(), failed)? {
            Answer::LetIn { ahead } => Ok(Some(Entered { stream, ahead })),
            Answer::Refused => Err(Error::NotLetIn { address: self.server() }),
            Answer::Unknown => Ok(None),
        }
    }

    /// Makes a connection of a stream, unless the client has been closed meanwhile.
    fn open(&self, Entered { stream, ahead }: Entered) -> Result<Opened, Error> {
        let (id, delivery) = (self.core.next_id(), self.core.settings().delivery.clone());
        let opened = Opened::new(&self.core, id, stream, delivery, ahead, None).ok_or(Error::Closed)?;
        info!("client is connected to {}", opened.connection());
        Ok(opened)
    }

    /// Serves one connection after the other, and ends the client, also when that has failed.
    fn run(mut self, first: First) {
        let core = Arc::clone(&self.core);
        core.rely_on(|| self.serve(first));
        core.finish();
    }

    /// No callback is held while it waits or connects, so that one that is replaced is let go.
    fn serve(&mut self, first: First) {
        match &first {
            Ok(opened) => {
                opened.read_here();
                self.core.initialize(opened.callback());
            }
            Err(_) => self.core.initialize(&*self.core.callback()),
        }
        self.receive_from(first);
        while self.wait_for_turn() {
            let next = self.connect().and_then(|entered| {
                let stream = &entered.stream;
                self.core.lifecycle().connected(stream.peer_addr().map(|address| address.port()), stream.local_addr());
                self.open(entered)
            });
            self.receive_from(next);
        }
    }

    /// Receives until the connection has ended, if there is one.
    fn receive_from(&mut self, opened: Result<Opened, Error>) {
        let opened = match opened {
            Ok(opened) => opened,
            // Of a client that has been closed, nobody wants to know that it has not connected.
            Err(error) if self.core.lifecycle().is_running() => return self.core.fail(&*self.core.callback(), &error),
            Err(_) => return,
        };
        let connection = opened.connection().clone();
        opened.read();
        let Some(Retrying { reconnect, backoff }) = &mut self.reconnect else { return };
        if was_good(&connection, reconnect) {
            backoff.reset();
        }
    }

    /// Waits until it is time to connect again; false when the client is to end instead.
    fn wait_for_turn(&mut self) -> bool {
        let lifecycle = self.core.lifecycle();
        let Some(Retrying { reconnect, backoff }) = &mut self.reconnect else { return false };
        if !lifecycle.is_running() {
            return false;
        }
        if reconnect.max_attempts.is_some_and(|most| backoff.made() >= most) {
            let gave_up = Error::GaveUp { address: self.connector.describe(&self.address), attempts: backoff.made() };
            self.core.fail(&*self.core.callback(), &gave_up);
            return false;
        }
        let attempt = backoff.next_attempt();
        debug!("{}: attempt {} to connect again in {:?}", lifecycle.name(), attempt.number, attempt.delay);
        self.announce(&attempt);
        lifecycle.pause(attempt.delay, lifecycle.wakes()) != Paused::Closed
    }

    fn announce(&self, attempt: &Attempt) {
        let callback = self.core.callback();
        if let Err(message) = user_code::call(|| callback.on_reconnect(&*self.core, attempt)) {
            self.core.fail(&*callback, &Error::CallbackPanicked { callback: "on_reconnect", message });
        }
    }
}

/// Whether a connection that has ended was no failed attempt: see [`Reconnect`], which promises this.
fn was_good(connection: &Connection, reconnect: &Reconnect) -> bool {
    let ConnectionStats { connected_since, traffic, .. } = connection.stats();
    if traffic.received.messages > 0 {
        return true;
    }
    let has_sent = traffic.written.messages > 0;
    let lasted_until = match connection.disconnect_reason().map(DisconnectReason::kind) {
        // All that it was sent has been thrown away; or it has not said anything to a program that expects it to.
        None | Some(DisconnectKind::NotLetIn | DisconnectKind::IdleTimeout) => None,
        Some(DisconnectKind::PeerGoodbye | DisconnectKind::PeerClosed | DisconnectKind::Truncated) => {
            connection.link().ended_since()
        }
        // The peer has answered the goodbye.
        Some(DisconnectKind::LocalClose) if traffic.last_received.is_some() => return true,
        // The system takes bytes also for a peer that does not.
        Some(_) => traffic.last_written.filter(|_| has_sent),
    };
    let enough = if has_sent { reconnect.first_delay } else { reconnect.longest_delay };
    lasted_until.is_some_and(|until| until.saturating_duration_since(connected_since) > enough)
}

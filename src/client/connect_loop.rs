//! The life of a client that runs, from one connection to the next, on its reader thread.

use std::sync::Arc;
use std::time::Instant;

use super::backoff::Backoff;
use super::handshake;
use crate::error::Error;
use crate::service::Core;
use crate::service::callback::{Attempt, Callback};
use crate::service::lifecycle::Rested;
use crate::service::reader::Opened;
use crate::settings::Reconnect;
use crate::sync::user_code::{self, debug, info};
use crate::transport::{Connector, Stream};

/// What it takes to connect, once or again.
pub(super) struct Session {
    core: Arc<Core>,
    connector: Arc<dyn Connector>,
    address: String,
    reconnect: Option<Retrying>,
}

struct Retrying {
    reconnect: Reconnect,
    backoff: Backoff,
}

impl Session {
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

    /// Whether the client runs also when the first attempt has failed.
    pub(super) fn is_patient(&self) -> bool {
        self.reconnect.as_ref().is_some_and(|retrying| retrying.reconnect.at_start)
    }

    /// The server's name, for people.
    pub(super) fn server(&self) -> String {
        self.connector.describe(&self.address)
    }

    /// Opens a stream on which messages can be sent. Blocks until it is open, or the client is closed.
    pub(super) fn connect(&self) -> Result<Arc<dyn Stream>, Error> {
        let failed = |source| Error::Connect { address: self.server(), source: Arc::new(source) };
        let stream: Arc<dyn Stream> = self.connector.connect(&self.address).map_err(failed)?.into();
        self.core.context().keep_alive(&*stream);
        handshake::run(&self.core, &stream, failed)?;
        Ok(stream)
    }

    /// Makes a connection of a stream, unless the client has been closed meanwhile.
    pub(super) fn open(&self, stream: Arc<dyn Stream>) -> Result<Opened, Error> {
        let opened = Opened::new(&self.core, self.core.next_id(), stream, None).ok_or(Error::Closed)?;
        info!("client is connected to {}", opened.connection());
        Ok(opened)
    }

    /// Serves one connection after the other, and ends the client, also when that has failed.
    pub(super) fn run(mut self, first: Result<Opened, Error>) {
        let core = Arc::clone(&self.core);
        core.rely_on(|| self.serve(first));
        core.finish();
    }

    /// No callback is held while it waits or connects, so that one that is replaced is let go.
    fn serve(&mut self, first: Result<Opened, Error>) {
        match &first {
            Ok(opened) => self.core.initialize(opened.callback()),
            Err(_) => self.core.initialize(&*self.core.callback()),
        }
        self.receive_from(first);
        while self.wait_for_turn() {
            let next = self.connect().and_then(|stream| {
                self.core.life().connected(stream.peer_addr().map(|address| address.port()), stream.local_addr());
                self.open(stream)
            });
            self.receive_from(next);
        }
    }

    /// Receives until the connection has ended, if there is one.
    fn receive_from(&mut self, opened: Result<Opened, Error>) {
        let opened = match opened {
            Ok(opened) => opened,
            // Of a client that has been closed, nobody wants to know that it has not connected.
            Err(error) if self.core.life().is_running() => return self.core.fail(&*self.core.callback(), &error),
            Err(_) => return,
        };
        let (began, connection) = (Instant::now(), opened.connection().clone());
        opened.read(Vec::new());
        let Some(Retrying { reconnect, backoff }) = &mut self.reconnect else { return };
        if connection.link().traffic().received.messages > 0 || began.elapsed() > reconnect.longest_delay {
            backoff.reset();
        }
    }

    /// Waits until it is time to connect again; false when the client is to end instead.
    fn wait_for_turn(&mut self) -> bool {
        let life = self.core.life();
        let Some(Retrying { reconnect, backoff }) = &mut self.reconnect else { return false };
        if !life.is_running() {
            return false;
        }
        if reconnect.max_attempts.is_some_and(|most| backoff.made() >= most) {
            let gave_up = Error::GaveUp { address: self.connector.describe(&self.address), attempts: backoff.made() };
            self.core.fail(&*self.core.callback(), &gave_up);
            return false;
        }
        let attempt = backoff.next_attempt();
        debug!("{}: attempt {} to connect again in {:?}", life.name(), attempt.number, attempt.delay);
        self.announce(&attempt);
        life.rest(attempt.delay, life.stirs()) != Rested::Closed
    }

    fn announce(&self, attempt: &Attempt) {
        let callback = self.core.callback();
        if let Err(message) = user_code::call(|| callback.on_reconnect(&*self.core, attempt)) {
            self.core.fail(&*callback, &Error::CallbackPanicked { callback: "on_reconnect", message });
        }
    }
}

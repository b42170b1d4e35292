//! A server's callers on their way in, each on the thread that becomes its reader.

use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::first::First;
use super::{DenialReason, Entering, Entrant, deadline};
use crate::config::later;
use crate::error::Error;
use crate::link::ConnectionId;
use crate::pump::{Deadline, Watched};
use crate::reader::Opened;
use crate::refusal::{RefusalCause, say_goodbye};
use crate::service::Core;
use crate::transport::{Stream, is_nothing_yet};
use crate::user_code::{self, debug};

/// Lets an admitted caller in; `None` when the server is closing.
pub(crate) fn enter(core: &Arc<Core>, stream: Box<dyn Stream>) -> Option<Entering> {
    let stream: Arc<dyn Stream> = stream.into();
    core.context().keep_alive(&*stream);
    let understands = !stream.needs_handshake();
    let Some(entering) = core.entrance().enter(core, Arc::clone(&stream), understands, deadline(core)) else {
        let _ = stream.abort();
        return None;
    };
    entering.watch(core.settings().handshake_timeout);
    Some(entering)
}

/// Takes a caller through the entrance, and then through its life as a connection; or refuses it.
pub(crate) fn run(id: ConnectionId, entering: Entering) {
    let entrant = Arc::clone(&entering.entrant);
    let Entrant { core, stream, .. } = &*entrant;
    match entering.go_through() {
        Ok(rest) => {
            let Some(opened) = Opened::new(core, id, Arc::clone(stream), Some(&entrant)) else {
                return entering.note_given_up();
            };
            drop((entering, entrant));
            opened.read(rest);
        }
        Err(cause) => entering.refuse(&cause),
    }
}

impl Entering {
    /// Blocks until nothing stands in the way of the caller any more; what it has sent already that is for its
    /// connection.
    fn go_through(&self) -> Result<Vec<u8>, RefusalCause> {
        let Entrant { core, stream, understands, .. } = &*self.entrant;
        if !understands.load(Ordering::Relaxed) {
            let handshake = stream.handshake();
            // One that speaks without it understands the goodbye as well.
            let speaks = handshake.as_ref().err().is_none_or(|error| error.kind() == io::ErrorKind::Unsupported);
            understands.store(speaks, Ordering::Release);
            handshake.map_err(|source| RefusalCause::HandshakeFailed { source: Arc::new(source) })?;
        }
        if !core.authenticates() {
            return Ok(Vec::new());
        }
        let (entrance, address) = (core.entrance(), self.entrant.peer_addr);
        let first = First::read(&**stream, &core.settings().separator, || entrance.is_open(&self.entrant));
        // Many may have come at once, each before the others had failed.
        entrance.check_failures(address)?;
        let authenticated = first.and_then(|first| self.authenticate(&first.message).map(|()| first.rest));
        let rest = authenticated.map_err(|reason| {
            if reason.is_held_against() {
                entrance.penalties.note_failure(address, Instant::now());
            }
            RefusalCause::NotAuthenticated { reason }
        })?;
        // And some of them while this one was looked at: one that was right among many is a guess like theirs.
        entrance.check_failures(address)?;
        Ok(rest)
    }

    /// What the first message is worth.
    fn authenticate(&self, message: &[u8]) -> Result<(), DenialReason> {
        match &self.entrant.core.settings().token {
            Some(token) if token.is(message) => Ok(()),
            Some(_) => Err(DenialReason::WrongToken),
            None => self.ask_program(message),
        }
    }

    fn ask_program(&self, message: &[u8]) -> Result<(), DenialReason> {
        let Entrant { core, stream, peer_addr, .. } = &*self.entrant;
        let entrance = core.entrance();
        let authenticator = entrance.authenticator.lock().clone();
        // There is none when the server has ended without waiting for this.
        let authenticator = authenticator.ok_or(DenialReason::Closed { received_bytes: message.len() })?;
        let (peer, certificates) = (stream.peer(), stream.peer_certificates());
        let caller = core.caller_inside(&peer, *peer_addr, &certificates);
        let mut verdict = Ok(());
        let called = user_code::call(|| verdict = authenticator.authenticate(&caller, message));
        let Err(message) = called else { return verdict.map_err(DenialReason::Denied) };
        if !entrance.note_panic(&message) {
            core.fail(&*core.callback(), &Error::CallbackPanicked { callback: "authenticate", message });
        }
        Err(DenialReason::AuthenticatorPanicked)
    }

    fn refuse(&self, cause: &RefusalCause) {
        let Entrant { core, stream, understands, .. } = &*self.entrant;
        if !core.entrance().refuse(&self.entrant, cause) {
            return self.note_given_up();
        }
        self.note(cause);
        if understands.load(Ordering::Acquire) {
            self.see_out();
        } else {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Tells the caller the goodbye, and gives it a moment to read it.
    fn see_out(&self) {
        let Entrant { core, stream, seen_out_by, .. } = &*self.entrant;
        let settings = core.settings();
        let by = later(core.context().pump.live(), settings.closing.drain_timeout);
        *seen_out_by.lock() = Some(by);
        self.watch(settings.closing.drain_timeout);
        let Some(mut patience) = say_goodbye(&**stream, settings.separator.goodbye()) else { return };
        // What arrives now is of no interest. Unread, it could turn the goodbye into a reset.
        let mut chunk = [0; 1024];
        while patience.is_left() {
            match stream.read(&mut chunk) {
                Ok(count @ 1..) => patience.spend(count),
                Err(error) if is_nothing_yet(&error) && core.context().pump.live() < by => {}
                Ok(0) | Err(_) => return,
            }
        }
    }

    fn watch(&self, time: Duration) {
        let entrant: Arc<dyn Watched> = Arc::<Entrant>::clone(&self.entrant);
        self.entrant.core.context().pump.watch(Arc::downgrade(&entrant), Deadline::Entrance, time);
    }

    /// The caller's fate has been decided by another thread: its time is over, or the server closes.
    fn note_given_up(&self) {
        let core = &self.entrant.core;
        if core.life().is_running() {
            self.note(&RefusalCause::HandshakeTimeout { timeout: core.settings().handshake_timeout });
        }
    }

    fn note(&self, cause: &RefusalCause) {
        let Entrant { core, stream, .. } = &*self.entrant;
        debug!("{}: refused {}: {cause}", core.life().name(), stream.peer());
    }
}

//! A server's pending callers, each on the thread that becomes its reader.

use std::io;
use std::net::Shutdown;
use std::sync::Arc;

use super::first_message::FirstMessage;
use crate::admission::Refusal;
use crate::admission::goodbye::say_goodbye;
use crate::admission::handshakes::{Pending, PendingGuard};
use crate::connection::ConnectionId;
use crate::error::{DenialCause, Error, RefusalCause};
use crate::service::Core;
use crate::service::reader::Opened;
use crate::settings::Delivery;
use crate::sync::user_code::{self, debug};
use crate::transport::{Stream, is_nothing_yet, write_all};

/// Makes an admitted caller pending; `None` when the server is closing.
pub(super) fn begin(core: &Core, stream: Box<dyn Stream>) -> Option<PendingGuard> {
    let stream: Arc<dyn Stream> = stream.into();
    core.engine().keep_alive(&*stream);
    let understands = !stream.needs_handshake();
    let Some(caller) = core.handshakes().enter(Arc::clone(&stream), understands) else {
        let _ = stream.abort();
        return None;
    };
    caller.watch();
    Some(caller)
}

/// Takes a caller through its handshake, and then through its life as a connection; or refuses it.
pub(super) fn run(core: &Arc<Core>, id: ConnectionId, caller: PendingGuard) {
    match go_through(core, &caller) {
        Ok((delivery, rest)) => {
            let stream = Arc::clone(caller.stream());
            let Some(opened) = Opened::new(core, id, stream, delivery, rest, Some(&caller)) else {
                return note_given_up(core, &caller);
            };
            drop(caller);
            opened.read();
        }
        Err(cause) => refuse(core, &caller, &cause),
    }
}

/// Blocks until nothing stands in the way of the caller any more; how it is served, and what it has sent already that
/// is for its connection.
fn go_through(core: &Core, caller: &Pending) -> Result<(Delivery, Vec<u8>), RefusalCause> {
    let stream = &**caller.stream();
    if !caller.understands() {
        let handshake = stream.handshake();
        // One that speaks without it understands the goodbye as well.
        let speaks = handshake.as_ref().err().is_none_or(|error| error.kind() == io::ErrorKind::Unsupported);
        caller.set_understands(speaks);
        handshake.map_err(|source| RefusalCause::HandshakeFailed { source: Arc::new(source) })?;
    }
    let first = if core.authenticates() { Some(hear(core, caller)?) } else { None };
    let delivery = core.delivery_for(stream, true).map_err(|Refusal { cause, error }| {
        if let Some(error) = error {
            tell(core, "delivery_for", &error);
        }
        cause
    })?;
    let Some(FirstMessage { asks, rest, .. }) = first else { return Ok((delivery, Vec::new())) };
    if asks {
        // While nobody else can write to it: the first thing that it hears.
        let empty = core.settings().framing.empty();
        let failed = |error: io::Error| DenialCause::Io { source: error.into() };
        write_all(stream, empty).map_err(|error| RefusalCause::NotAuthenticated { cause: failed(error) })?;
    }
    Ok((delivery, rest))
}

/// Blocks until the caller has said who it is, and may come in.
fn hear(core: &Core, caller: &Pending) -> Result<FirstMessage, RefusalCause> {
    let (handshakes, address) = (core.handshakes(), caller.peer_addr());
    let first = FirstMessage::read(&**caller.stream(), &core.settings().framing, || handshakes.is_open(caller));
    // Many may have come at once, each before the others had failed.
    handshakes.check_failures(address)?;
    let authenticated = first.and_then(|first| authenticate(core, caller, &first.message).map(|()| first));
    let first = authenticated.map_err(|cause| {
        if cause.is_held_against() {
            handshakes.note_failure(address);
        }
        RefusalCause::NotAuthenticated { cause }
    })?;
    // And some of them while this one was looked at: one that was right among many is a guess like theirs.
    handshakes.check_failures(address)?;
    Ok(first)
}

/// What the first message is worth.
fn authenticate(core: &Core, caller: &Pending, message: &[u8]) -> Result<(), DenialCause> {
    match &core.settings().token {
        Some(token) if token.is(message) => Ok(()),
        Some(_) => Err(DenialCause::WrongToken),
        None => ask_program(core, caller, message),
    }
}

fn ask_program(core: &Core, caller: &Pending, message: &[u8]) -> Result<(), DenialCause> {
    // There is none when the server has ended without waiting for this.
    let authenticator =
        core.handshakes().authenticator().ok_or(DenialCause::Closed { unfinished_bytes: message.len() })?;
    let called = core.with_caller(&**caller.stream(), true, |caller| {
        user_code::call(|| authenticator.authenticate(caller, message))
    });
    let message = match called {
        Ok(verdict) => return verdict.map_err(DenialCause::ByProgram),
        Err(message) => message,
    };
    tell(core, "authenticate", &Error::CallbackPanicked { callback: "authenticate", message });
    Err(DenialCause::AuthenticatorPanicked)
}

/// Tells what a hook has done wrong, at the rate at which anything is told that callers cause.
fn tell(core: &Core, hook: &'static str, error: &Error) {
    if !core.handshakes().note_error(hook, error) {
        core.fail(&*core.callback(), error);
    }
}

fn refuse(core: &Core, caller: &PendingGuard, cause: &RefusalCause) {
    if !core.handshakes().refuse(caller, cause) {
        return note_given_up(core, caller);
    }
    note(core, caller, cause);
    if caller.understands() {
        linger(core, caller);
    } else {
        let _ = caller.stream().shutdown(Shutdown::Both);
    }
}

/// Tells the caller that it is not let in, and gives it a moment to read that.
fn linger(core: &Core, caller: &PendingGuard) {
    let (stream, until) = (&**caller.stream(), caller.linger());
    let Some(mut patience) = say_goodbye(stream, core.settings().framing.refusal()) else { return };
    // What arrives now is of no interest. Unread, it could turn what was said into a reset.
    let mut chunk = [0; 1024];
    while patience.is_left() {
        match stream.read(&mut chunk) {
            Ok(count @ 1..) => patience.spend(count),
            Err(error) if is_nothing_yet(&error) && core.engine().pump.live() < until => {}
            Ok(0) | Err(_) => return,
        }
    }
}

/// The caller's fate has been decided by another thread: its time is over, or the server closes.
fn note_given_up(core: &Core, caller: &Pending) {
    if core.lifecycle().is_running() {
        note(core, caller, &RefusalCause::HandshakeTimeout { timeout: core.settings().timeouts.handshake_timeout });
    }
}

fn note(core: &Core, caller: &Pending, cause: &RefusalCause) {
    debug!("{}: refused {}: {cause:#}", core.lifecycle().name(), caller.stream().peer());
}

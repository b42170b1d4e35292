//! A client's handshake, on the thread that connects: from an open stream to one on which messages can be sent.
//!
//! [`entry`] has what is said about the token.

use std::io;
use std::iter;
use std::net::Shutdown;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::entry::{self, Answer};
use crate::connection::link::TURN;
use crate::error::Error;
use crate::service::Core;
use crate::transport::Stream;

/// In how many steps that thread waits.
const STEPS: u32 = 8;

/// How long is waited for what a server says only if it does not let the client in; less where all is to go fast.
const MOMENT: Duration = Duration::from_millis(500);

/// The stack of the thread that keeps the deadline, in bytes.
const TIMER_STACK: usize = 128 * 1024;

/// Takes a stream that has just been opened to where messages can be sent, if there is anything to do for it: shakes
/// hands, and says the token, with the question whether the client is let in if it `asks`. Blocks until then, at most
/// for the handshake time-out; less when the client is closed. `failed` says what it is that went wrong.
pub(super) fn run(
    core: &Core,
    stream: &Arc<dyn Stream>,
    asks: bool,
    failed: impl FnOnce(io::Error) -> Error,
) -> Result<Answer, Error> {
    let (shakes_hands, token) = (stream.needs_handshake(), core.settings().token.as_ref());
    if !shakes_hands && token.is_none() {
        return Ok(Answer::LetIn { ahead: Vec::new() });
    }
    // To the server, a goodbye behind half a token would be something else.
    let server = core.handshakes().enter(Arc::clone(stream), false).ok_or(Error::Closed)?;
    // The pump is not running yet when a client connects for the first time.
    let (over, is_over) = mpsc::channel::<()>();
    let (handshakes, pending) = (Arc::clone(core.handshakes()), server.share());
    let timeout = core.settings().timeouts.handshake_timeout;
    let name = core.engine().thread_name(format_args!("hs {}", stream.peer()));
    core.threads().spawn(name, TIMER_STACK, move || {
        // In steps, so that a time for which the process stood still counts for one of them only.
        let mut steps = iter::repeat_n(timeout / STEPS, STEPS as usize).chain([TURN]);
        let is_in_time = steps.any(|step| is_over.recv_timeout(step) != Err(mpsc::RecvTimeoutError::Timeout));
        if !is_in_time && handshakes.give_up(&pending) {
            pending.abort();
        }
    })?;
    let handshake = if shakes_hands { stream.handshake() } else { Ok(()) };
    let has_shaken_hands = handshake.is_ok();
    let answer = handshake.and_then(|()| {
        let Some(token) = token else { return Ok(Answer::LetIn { ahead: Vec::new() }) };
        let (framing, moment) = (&core.settings().framing, MOMENT.min(timeout / 4));
        match asks {
            true => entry::ask(&**stream, framing, token, moment, || core.handshakes().is_open(&server)),
            false => entry::tell(&**stream, framing, token, moment),
        }
    });
    drop(over);
    // Taken out again; not where it has been given up.
    if !core.handshakes().give_up(&server) {
        let what = if has_shaken_hands { "the server did not answer" } else { "the handshake was not over" };
        return Err(failed(io::Error::new(io::ErrorKind::TimedOut, format!("{what} within {timeout:?}"))));
    }
    if !matches!(answer, Ok(Answer::LetIn { .. })) {
        // No abort: the handshake may have said why.
        let _ = stream.shutdown(Shutdown::Both);
    }
    answer.map_err(failed)
}

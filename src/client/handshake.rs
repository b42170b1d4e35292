//! A client's handshake, on the thread that connects.

use std::io::{self, IoSlice};
use std::iter;
use std::net::Shutdown;
use std::sync::{Arc, mpsc};

use crate::connection::link::TURN;
use crate::error::Error;
use crate::service::Core;
use crate::transport::Stream;

/// In how many steps that thread waits.
const STEPS: u32 = 8;

/// The stack of the thread that keeps the deadline, in bytes.
const TIMER_STACK: usize = 128 * 1024;

/// Takes a stream that has just been opened to where messages can be sent, if there is anything to do for it. Blocks
/// until then, at most for the handshake time-out; less when the client is closed. `failed` says what it is that went
/// wrong.
pub(super) fn run(core: &Core, stream: &Arc<dyn Stream>, failed: impl FnOnce(io::Error) -> Error) -> Result<(), Error> {
    let (shakes_hands, token) = (stream.needs_handshake(), core.settings().token.as_ref());
    if !shakes_hands && token.is_none() {
        return Ok(());
    }
    // To the server, a goodbye behind half a token would be something else.
    let server = core.handshakes().enter(Arc::clone(stream), false).ok_or(Error::Closed)?;
    // The pump is not running yet when a client connects for the first time.
    let (over, is_over) = mpsc::channel::<()>();
    let (handshakes, pending) = (Arc::clone(core.handshakes()), server.share());
    let timeout = core.settings().timeouts.handshake_timeout;
    core.threads().spawn(format!("leads-comm handshake {}", stream.peer()), TIMER_STACK, move || {
        // In steps, so that a time for which the process stood still counts for one of them only.
        let mut steps = iter::repeat_n(timeout / STEPS, STEPS as usize).chain([TURN]);
        let is_in_time = steps.any(|step| is_over.recv_timeout(step) != Err(mpsc::RecvTimeoutError::Timeout));
        if !is_in_time && handshakes.give_up(&pending) {
            pending.abort();
        }
    })?;
    let outcome = if shakes_hands { stream.handshake() } else { Ok(()) };
    let outcome = outcome.and_then(|()| token.map_or(Ok(()), |token| write_all(&**stream, token.frame())));
    drop(over);
    // Taken out again; not where it has been given up.
    if !core.handshakes().give_up(&server) {
        return Err(failed(timed_out(core, shakes_hands)));
    }
    outcome.map_err(|source| {
        // No abort: the handshake may have said why.
        let _ = stream.shutdown(Shutdown::Both);
        failed(source)
    })
}

fn timed_out(core: &Core, shakes_hands: bool) -> io::Error {
    let timeout = core.settings().timeouts.handshake_timeout;
    let what = if shakes_hands { "the handshake was not over" } else { "the token was not taken" };
    io::Error::new(io::ErrorKind::TimedOut, format!("{what} within {timeout:?}"))
}

fn write_all(stream: &dyn Stream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.write_vectored(&[IoSlice::new(bytes)]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    stream.flush()
}

//! How a client with a token is let in: what it says first, and what the answer means. `docs/protocol.md` has the whole
//! conversation.
//!
//! It asks, and nothing of its program's is sent before the answer. A server that does not know the question takes it
//! for a goodbye, and ends the stream; then the token is told by itself, and silence has to do for an answer.

use std::io;
use std::time::Duration;

use crate::codec::{Decoder, Framing, GOODBYE};
use crate::service::reader::SMALL_CHUNK;
use crate::settings::{MAX_FIRST_LEN, Token};
use crate::transport::{Stream, is_nothing_yet, write_all};

/// What has come of saying the token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The client is let in, as far as it can know.
    LetIn {
        /// What has arrived already, no more than a [`SMALL_CHUNK`].
        ahead: Vec<u8>,
    },
    Refused,
    /// The stream has ended, and the question was not understood.
    Unknown,
}

/// Says the token behind a goodbye, and waits for the answer as long as it `is_patient`; for what may follow a goodbye,
/// a `moment`.
pub(super) fn ask(
    stream: &dyn Stream,
    framing: &Framing,
    token: &Token,
    moment: Duration,
    is_patient: impl Fn() -> bool,
) -> io::Result<Answer> {
    let question = [framing.goodbye(), token.frame()].concat();
    // A server that refuses it at once may have said so before it ended the stream.
    let written = write_all(stream, &question);
    let mut decoder = Decoder::new(framing.clone(), MAX_FIRST_LEN);
    let mut has_parted = false;
    loop {
        match decoder.next_message() {
            Ok(Some(b"")) if has_parted => return Ok(Answer::Refused),
            Ok(Some(b"")) => return Ok(Answer::LetIn { ahead: decoder.remainder().to_vec() }),
            Ok(Some(GOODBYE)) if !has_parted => {
                has_parted = true;
                continue;
            }
            Ok(None) => {}
            Ok(Some(_)) | Err(_) => return Ok(Answer::Unknown),
        }
        // One that cannot tell has its end, or its time.
        if has_parted && decoder.remainder().is_empty() && stream.wait_readable(moment).is_ok_and(|more| !more) {
            return Ok(Answer::Unknown);
        }
        match stream.read(decoder.space(SMALL_CHUNK)) {
            Ok(count @ 1..) => decoder.filled(count),
            Err(error) if is_nothing_yet(&error) && is_patient() => {}
            // What the transport itself refuses, such as a certificate, is no want of an answer.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(error),
            Ok(0) | Err(_) => return written.map(|()| Answer::Unknown),
        }
    }
}

/// Says the token as a server wants it that cannot be asked, and waits a `moment` for a refusal.
pub(super) fn tell(stream: &dyn Stream, framing: &Framing, token: &Token, moment: Duration) -> io::Result<Answer> {
    write_all(stream, token.frame())?;
    // What can be read of a stream that shakes hands may be its own affair, and a read of it blocks.
    if stream.needs_handshake() || !stream.wait_readable(moment).unwrap_or(false) {
        return Ok(Answer::LetIn { ahead: Vec::new() });
    }
    let mut ahead = vec![0; SMALL_CHUNK];
    match stream.read(&mut ahead) {
        Ok(0) => return Ok(Answer::Refused),
        Ok(count) => ahead.truncate(count),
        Err(error) if is_nothing_yet(&error) => ahead.clear(),
        Err(error) => return Err(error),
    }
    Ok(if ahead.starts_with(framing.goodbye()) { Answer::Refused } else { Answer::LetIn { ahead } })
}

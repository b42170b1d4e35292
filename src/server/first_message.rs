//! The first message of a caller who has to say who it is.
//!
//! Behind a goodbye it is a question as well: such a caller wants to be told that it is let in. One that has nothing to
//! say behind its goodbye has left.

use std::time::Duration;

use crate::codec::{Decoder, Framing, GOODBYE};
use crate::error::DenialCause;
use crate::service::reader::SMALL_CHUNK;
use crate::settings::MAX_FIRST_LEN;
use crate::transport::{Stream, is_nothing_yet};

/// How long something may take to come that was written together with a goodbye.
const MOMENT: Duration = Duration::from_millis(500);

/// The first message, and what the peer has sent right behind it: less than a [`SMALL_CHUNK`].
pub(super) struct FirstMessage {
    pub(super) message: Vec<u8>,
    /// Whether the caller waits for an answer.
    pub(super) asks: bool,
    pub(super) rest: Vec<u8>,
}

impl FirstMessage {
    /// Blocks until it has arrived, as long as the caller may still come in: `is_patient`.
    pub(super) fn read(
        stream: &dyn Stream,
        framing: &Framing,
        is_patient: impl Fn() -> bool,
    ) -> Result<Self, DenialCause> {
        let mut decoder = Decoder::new(framing.clone(), MAX_FIRST_LEN);
        let mut asks = false;
        loop {
            match decoder.next_message() {
                Ok(Some(GOODBYE)) if !asks => {
                    asks = true;
                    continue;
                }
                Ok(Some(GOODBYE)) => return Err(DenialCause::Goodbye),
                Ok(Some(message)) => {
                    let message = message.to_vec();
                    return Ok(Self { message, asks, rest: decoder.remainder().to_vec() });
                }
                Ok(None) => {}
                Err(error) => return Err(error.into()),
            }
            let unfinished_bytes = decoder.remainder().len();
            let has_left = asks && unfinished_bytes == 0;
            // One that cannot tell has its end, or its time.
            if has_left && stream.wait_readable(MOMENT).is_ok_and(|more| !more) {
                return Err(DenialCause::Goodbye);
            }
            match stream.read(decoder.space(SMALL_CHUNK)) {
                Ok(count @ 1..) => decoder.filled(count),
                Err(error) if is_nothing_yet(&error) && is_patient() => {}
                _ if has_left => return Err(DenialCause::Goodbye),
                Ok(0) => return Err(DenialCause::Closed { unfinished_bytes }),
                Err(error) => return Err(DenialCause::Io { source: error.into() }),
            }
        }
    }
}

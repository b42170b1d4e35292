//! The first message of a caller who has to say who it is.

use crate::codec::{Decoder, GOODBYE, MessageTooLong, Separator};
use crate::error::DenialCause;
use crate::service::reader::SMALL_CHUNK;
use crate::settings::MAX_FIRST_LEN;
use crate::transport::{Stream, is_nothing_yet};

/// The first message, and what the peer has sent right behind it: less than a [`SMALL_CHUNK`].
pub(super) struct FirstMessage {
    pub(super) message: Vec<u8>,
    pub(super) rest: Vec<u8>,
}

impl FirstMessage {
    /// Blocks until it has arrived, as long as the caller may still come in: `is_patient`.
    pub(super) fn read(
        stream: &dyn Stream,
        separator: &Separator,
        is_patient: impl Fn() -> bool,
    ) -> Result<Self, DenialCause> {
        let mut decoder = Decoder::new(separator.clone(), MAX_FIRST_LEN);
        loop {
            let closed = DenialCause::Closed { unfinished_bytes: decoder.remainder().len() };
            match stream.read(decoder.space(SMALL_CHUNK)) {
                Ok(0) => return Err(closed),
                Ok(count) => decoder.filled(count),
                Err(error) if is_nothing_yet(&error) && is_patient() => continue,
                Err(error) => return Err(DenialCause::Io { source: error.into() }),
            }
            match decoder.next_message() {
                Ok(None) => {}
                Ok(Some(GOODBYE)) => return Err(DenialCause::Goodbye),
                Ok(Some(message)) => {
                    let message = message.to_vec();
                    return Ok(Self { message, rest: decoder.remainder().to_vec() });
                }
                Err(MessageTooLong { limit }) => return Err(DenialCause::MessageTooLong { limit }),
            }
        }
    }
}

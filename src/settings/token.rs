//! A secret that both sides know, and that a client says first.

use std::fmt;
use std::sync::Arc;

use subtle::ConstantTimeEq;

use super::require;
use crate::codec::{self, Framing};
use crate::error::Error;

/// The longest first message that a caller may say who it is by, in payload bytes.
pub(crate) const MAX_FIRST_LEN: usize = 4096;

/// Framed and checked once; a token that exists can be sent.
#[derive(Clone)]
pub(crate) struct Token {
    secret: Arc<[u8]>,
    /// As it goes over the wire.
    frame: Arc<[u8]>,
}

impl Token {
    pub(crate) fn new(secret: &[u8], framing: &Framing) -> Result<Self, Error> {
        require(!secret.is_empty(), "token", "must not be empty")?;
        require(secret.len() <= MAX_FIRST_LEN, "token", "must not be longer than 4096 bytes")?;
        let requirement = "must be a message that the framing takes: without the separator, and not the goodbye";
        let frame =
            codec::encode(secret, framing).map_err(|_| Error::InvalidSetting { setting: "token", requirement })?;
        Ok(Self { secret: secret.into(), frame: frame.into() })
    }

    /// As it goes over the wire.
    pub(crate) fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// Whether a message is the token. Takes equally long for every message of the token's length, wherever it differs.
    #[inline(never)]
    pub(crate) fn is(&self, message: &[u8]) -> bool {
        self.secret.ct_eq(message).into()
    }
}

/// Without the secret.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

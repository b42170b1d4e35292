//! How messages are told apart in a stream of bytes.

use super::pieces::{HEAD_LEN, Pieces};
use super::{EncodeError, GOODBYE, Separator};

/// How messages are told apart in a stream of bytes: the same on both sides, who know it beforehand.
///
/// | Framing | A message on the wire | What can be sent | For |
/// |---|---|---|---|
/// | [`Separator`](Self::Separator) | `payload ++ separator` | what does not hold the separator | text, and peers that are LEADS |
/// | [`Length`](Self::Length) | the payload's length in 4 bytes, the highest first, and the payload | any bytes | binary messages |
///
/// Default: the separator `;`.
///
/// # Examples
///
/// ```
/// use leads_comm::codec::{Decoder, Framing, encode};
///
/// let photo = b"\xff\xd8;\xff\xd9";
/// assert!(encode(photo, &Framing::default()).is_err(), "it holds the separator");
///
/// let frame = encode(photo, &Framing::Length)?;
/// assert_eq!(frame, b"\0\0\0\x05\xff\xd8;\xff\xd9");
/// let mut decoder = Decoder::new(Framing::Length, 1024);
/// assert_eq!(decoder.decode(&frame).next_message()?, Some(&photo[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Framing {
    /// Each message ends with the same bytes, which it must not hold.
    Separator(Separator),
    /// Each message begins with its length: the number of payload bytes as a `u32`, big-endian.
    Length,
}

/// The goodbye, and an empty message behind it, each behind its length.
const LENGTH_REFUSAL: &[u8] = b"\0\0\0\x0adisconnect\0\0\0\0";

impl Framing {
    /// The goodbye as it goes over the wire.
    pub fn goodbye(&self) -> &[u8] {
        match self {
            Self::Separator(separator) => separator.goodbye(),
            Self::Length => &LENGTH_REFUSAL[..HEAD_LEN + GOODBYE.len()],
        }
    }

    /// What a server says to a caller that it does not let in: the goodbye, which all understand, and an empty message
    /// behind it, for those who look for it.
    pub(crate) fn refusal(&self) -> &[u8] {
        match self {
            Self::Separator(separator) => separator.refusal(),
            Self::Length => LENGTH_REFUSAL,
        }
    }

    /// An empty message as it goes over the wire.
    pub(crate) fn empty(&self) -> &[u8] {
        &self.refusal()[self.goodbye().len()..]
    }

    /// How many bytes a message has on the wire besides its own.
    #[inline]
    pub(crate) fn overhead(&self) -> usize {
        match self {
            Self::Separator(separator) => separator.len(),
            Self::Length => HEAD_LEN,
        }
    }

    /// Whether there can be messages of this length.
    pub(crate) fn can_say(&self, len: usize) -> bool {
        match self {
            Self::Separator(_) => true,
            Self::Length => u32::try_from(len).is_ok(),
        }
    }

    /// A message that has been checked, as it goes over the wire.
    #[inline]
    pub(crate) fn pieces<'a>(&'a self, message: &'a [u8]) -> Pieces<'a> {
        match self {
            Self::Separator(separator) => Pieces::with_tail(message, separator.as_bytes()),
            // A longer one is refused by `check`.
            Self::Length => Pieces::with_head((message.len() as u32).to_be_bytes(), message),
        }
    }

    /// The message in what goes over the wire of it.
    pub(crate) fn message_in<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Separator(separator) => &frame[..frame.len() - separator.len()],
            Self::Length => &frame[HEAD_LEN..],
        }
    }

    /// Whether a message can be framed.
    #[inline]
    pub(super) fn check(&self, message: &[u8]) -> Result<(), EncodeError> {
        if message == GOODBYE {
            return Err(EncodeError::IsGoodbye);
        }
        match self {
            Self::Separator(separator) => match separator.early_match(message) {
                None => Ok(()),
                Some(at) => Err(EncodeError::ContainsSeparator { at }),
            },
            Self::Length if !self.can_say(message.len()) => Err(EncodeError::TooLong { len: message.len() }),
            Self::Length => Ok(()),
        }
    }
}

impl Default for Framing {
    /// The separator of LEADS, `;`.
    fn default() -> Self {
        Self::Separator(Separator::default())
    }
}

impl From<Separator> for Framing {
    fn from(separator: Separator) -> Self {
        Self::Separator(separator)
    }
}

//! How messages are told apart in a stream of bytes.

use std::borrow::Cow;

use super::custom::{Custom, CustomFraming, FramingError, frame_limit};
use super::pieces::{HEAD_LEN, Pieces};
use super::{EncodeError, GOODBYE, Separator};

/// How messages are told apart in a stream of bytes: the same on both sides, who know it beforehand.
///
/// | Framing | A message on the wire | What can be sent | For |
/// |---|---|---|---|
/// | [`Separator`](Self::Separator) | `payload ++ separator` | what does not hold the separator | text, and peers that are LEADS |
/// | [`Length`](Self::Length) | the payload's length in 4 bytes, the highest first, and the payload | any bytes | binary messages |
/// | [`Custom`](Self::Custom) | what the program makes of it | what the program says | peers that have a framing already |
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
    /// The program's [own](Self::custom).
    Custom(Custom),
}

/// The goodbye, and an empty message behind it, each behind its length.
const LENGTH_REFUSAL: &[u8] = b"\0\0\0\x0adisconnect\0\0\0\0";

impl Framing {
    /// A framing of the program's own.
    ///
    /// # Errors
    ///
    /// What the framing says against the goodbye or an empty message, or that it does not give those back, or finds
    /// them in a part of what it has made of them: every service has to be able to say both.
    pub fn custom(framing: impl CustomFraming) -> Result<Self, FramingError> {
        Custom::new(framing).map(Self::Custom)
    }

    /// The goodbye as it goes over the wire.
    pub fn goodbye(&self) -> &[u8] {
        match self {
            Self::Separator(separator) => separator.goodbye(),
            Self::Length => &LENGTH_REFUSAL[..HEAD_LEN + GOODBYE.len()],
            Self::Custom(custom) => custom.goodbye(),
        }
    }

    /// What a server says to a caller that it does not let in: the goodbye, which all understand, and an empty message
    /// behind it, for those who look for it.
    pub(crate) fn refusal(&self) -> &[u8] {
        match self {
            Self::Separator(separator) => separator.refusal(),
            Self::Length => LENGTH_REFUSAL,
            Self::Custom(custom) => custom.refusal(),
        }
    }

    /// An empty message as it goes over the wire.
    pub(crate) fn empty(&self) -> &[u8] {
        &self.refusal()[self.goodbye().len()..]
    }

    /// Whether there can be messages of this length.
    pub(crate) fn can_say(&self, len: usize) -> bool {
        match self {
            Self::Length => u32::try_from(len).is_ok(),
            Self::Separator(_) | Self::Custom(_) => true,
        }
    }

    /// How long a message of so many bytes can be on the wire.
    pub(crate) fn frame_limit(&self, len: usize) -> usize {
        match self {
            Self::Custom(_) => frame_limit(len),
            Self::Separator(_) | Self::Length => len.saturating_add(self.overhead()),
        }
    }

    /// What has to be [written](Self::pieces) of a message: the message itself, or what a framing of the program's own
    /// has made of it.
    #[inline]
    pub(crate) fn body<'a>(&self, message: &'a [u8]) -> Result<Cow<'a, [u8]>, EncodeError> {
        match self {
            Self::Custom(custom) => custom_body(custom, message),
            Self::Separator(_) | Self::Length => self.check_plain(message).map(|()| Cow::Borrowed(message)),
        }
    }

    /// Whether a message can be sent, and is written from where it lies.
    #[inline]
    pub(crate) fn is_plain(&self, message: &[u8]) -> bool {
        match self {
            Self::Separator(separator) => message != GOODBYE && separator.early_match(message).is_none(),
            Self::Length => message != GOODBYE && self.can_say(message.len()),
            Self::Custom(_) => false,
        }
    }

    fn check_plain(&self, message: &[u8]) -> Result<(), EncodeError> {
        if message == GOODBYE {
            return Err(EncodeError::IsGoodbye);
        }
        match self {
            Self::Separator(separator) => match separator.early_match(message) {
                None => Ok(()),
                Some(at) => Err(EncodeError::ContainsSeparator { at }),
            },
            Self::Length if !self.can_say(message.len()) => Err(EncodeError::TooLong { len: message.len() }),
            Self::Length | Self::Custom(_) => Ok(()),
        }
    }

    /// How many bytes a body has on the wire besides its own.
    #[inline]
    pub(crate) fn overhead(&self) -> usize {
        match self {
            Self::Separator(separator) => separator.len(),
            Self::Length => HEAD_LEN,
            Self::Custom(_) => 0,
        }
    }

    /// A body as it goes over the wire.
    #[inline]
    pub(crate) fn pieces<'a>(&'a self, body: &'a [u8]) -> Pieces<'a> {
        match self {
            Self::Separator(separator) => Pieces::with_tail(body, separator.as_bytes()),
            // None is longer than that.
            Self::Length => Pieces::with_length(body),
            Self::Custom(_) => Pieces::whole(body),
        }
    }

    /// The body in what goes over the wire for it.
    pub(crate) fn body_in<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Separator(separator) => &frame[..frame.len() - separator.len()],
            Self::Length => &frame[HEAD_LEN..],
            Self::Custom(_) => frame,
        }
    }

    /// The message in what goes over the wire for it. Asks the program where the framing is its own.
    pub(crate) fn message_in<'a>(&self, frame: &'a [u8]) -> Result<Cow<'a, [u8]>, FramingError> {
        match self {
            Self::Separator(_) | Self::Length => Ok(Cow::Borrowed(self.body_in(frame))),
            Self::Custom(custom) => custom.message_in(frame).map(Cow::Owned),
        }
    }

    /// The messages of these bodies. Asks the program where the framing is its own, and leaves out what it does not
    /// know again.
    pub(crate) fn messages_of(&self, bodies: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        match self {
            Self::Separator(_) | Self::Length => bodies,
            Self::Custom(custom) => bodies.iter().filter_map(|body| custom.message_in(body).ok()).collect(),
        }
    }
}

#[cold]
fn custom_body<'a>(custom: &Custom, message: &[u8]) -> Result<Cow<'a, [u8]>, EncodeError> {
    if message == GOODBYE {
        return Err(EncodeError::IsGoodbye);
    }
    custom.encode(message).map(Cow::Owned).map_err(EncodeError::ByProgram)
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

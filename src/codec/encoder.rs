use std::error;
use std::fmt;

use super::{GOODBYE, Separator};

/// Frames one message: returns `message ++ separator`, or refuses what a receiver would not read back as exactly this
/// one message.
///
/// # Errors
///
/// Those of [`check`].
///
/// # Examples
///
/// ```
/// use leads_comm::codec::{EncodeError, Separator, encode};
///
/// let separator = Separator::new("aa")?;
/// assert_eq!(encode(b"b", &separator)?, b"baa");
/// // `a` would travel as `aaa`, of which a receiver makes an empty message and an `a` that waits for more.
/// assert_eq!(encode(b"a", &separator), Err(EncodeError::ContainsSeparator { at: 0 }));
/// assert_eq!(encode(b"disconnect", &separator), Err(EncodeError::IsGoodbye));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn encode(message: &[u8], separator: &Separator) -> Result<Vec<u8>, EncodeError> {
    let mut frame = Vec::with_capacity(message.len() + separator.len());
    encode_into(message, separator, &mut frame)?;
    Ok(frame)
}

/// Appends `message ++ separator` to `buffer`: [`encode`] for messages that go out together.
///
/// # Errors
///
/// Those of [`check`]; nothing has been appended then.
///
/// # Examples
///
/// ```
/// use leads_comm::codec::{EncodeError, Separator, encode_into};
///
/// let separator = Separator::default();
/// let mut frames = Vec::new();
/// encode_into(b"speed=12", &separator, &mut frames)?;
/// assert!(encode_into(b"speed=13;speed=14", &separator, &mut frames).is_err());
/// encode_into(b"speed=15", &separator, &mut frames)?;
/// assert_eq!(frames, b"speed=12;speed=15;");
/// # Ok::<(), EncodeError>(())
/// ```
#[inline]
pub fn encode_into(message: &[u8], separator: &Separator, buffer: &mut Vec<u8>) -> Result<(), EncodeError> {
    check(message, separator)?;
    buffer.reserve(message.len() + separator.len());
    buffer.extend_from_slice(message);
    buffer.extend_from_slice(separator.as_bytes());
    Ok(())
}

/// Whether a message can be framed, for those who write it and the separator without copying them together.
///
/// # Errors
///
/// [`EncodeError::ContainsSeparator`] when the first match of the separator in `message ++ separator` is not at the
/// message's end, [`EncodeError::IsGoodbye`] when the message is the reserved word `disconnect`.
///
/// # Examples
///
/// ```
/// use std::io::{IoSlice, Write};
///
/// use leads_comm::codec::{Separator, check};
///
/// let separator = Separator::default();
/// let message = b"x".repeat(1024 * 1024);
/// check(&message, &separator)?;
/// let mut stream = Vec::new();
/// let written = stream.write_vectored(&[IoSlice::new(&message), IoSlice::new(separator.as_bytes())])?;
/// assert_eq!(written, message.len() + separator.len());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[inline]
pub fn check(message: &[u8], separator: &Separator) -> Result<(), EncodeError> {
    if message == GOODBYE {
        return Err(EncodeError::IsGoodbye);
    }
    match separator.early_match(message) {
        None => Ok(()),
        Some(at) => Err(EncodeError::ContainsSeparator { at }),
    }
}

/// Why a message cannot be framed. Nothing has been written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// The separator occurs in `message ++ separator` before the message's end.
    ContainsSeparator {
        /// Where it occurs, in bytes from the message's start.
        at: usize,
    },
    /// The message is the reserved word `disconnect`; close the connection instead.
    IsGoodbye,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ContainsSeparator { at } => write!(f, "the separator would split the message at byte {at}"),
            Self::IsGoodbye => f.write_str("the message is the reserved goodbye `disconnect`"),
        }
    }
}

impl error::Error for EncodeError {}

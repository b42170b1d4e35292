use std::error;
use std::fmt;

use super::{GOODBYE, Separator};

/// Frames one message: returns `message ++ separator`, or refuses what a receiver would not read back as exactly this
/// one message.
///
/// # Errors
///
/// [`EncodeError::ContainsSeparator`] when the first match of the separator in `message ++ separator` is not at the
/// message's end, [`EncodeError::IsGoodbye`] when the message is the reserved word `disconnect`.
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
    check(message, separator)?;
    let mut frame = Vec::with_capacity(message.len() + separator.len());
    frame.extend_from_slice(message);
    frame.extend_from_slice(separator.as_bytes());
    Ok(frame)
}

/// Refuses a message that [`encode`] would refuse.
///
/// # Errors
///
/// As for [`encode`].
pub fn check(message: &[u8], separator: &Separator) -> Result<(), EncodeError> {
    if message == GOODBYE {
        return Err(EncodeError::IsGoodbye);
    }
    match separator.early_match(message) {
        Some(at) => Err(EncodeError::ContainsSeparator { at }),
        None => Ok(()),
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

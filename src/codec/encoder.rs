use std::error;
use std::fmt;

use super::separator::MAX_SEPARATOR_LEN;
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

/// Whether `message` may be sent at all; what [`encode`] checks before it copies anything.
pub(crate) fn check(message: &[u8], separator: &Separator) -> Result<(), EncodeError> {
    if message == GOODBYE {
        return Err(EncodeError::IsGoodbye);
    }
    check_framing(message, separator)
}

/// Whether the first match of the separator in `message ++ separator` is at the message's end.
pub(super) fn check_framing(message: &[u8], separator: &Separator) -> Result<(), EncodeError> {
    if let Some(at) = separator.find(message) {
        return Err(EncodeError::ContainsSeparator { at });
    }
    if !separator.is_bordered() {
        return Ok(());
    }
    // A match that starts inside the message and ends inside the separator: looked for where the two meet.
    let tail = &message[message.len().saturating_sub(separator.len() - 1)..];
    let mut seam = [0; 2 * MAX_SEPARATOR_LEN];
    let seam = join(&mut seam, tail, separator.as_bytes());
    match separator.find(seam) {
        Some(at) if at < tail.len() => Err(EncodeError::ContainsSeparator { at: message.len() - tail.len() + at }),
        _ => Ok(()),
    }
}

/// Copies `left` and `right` side by side into `into`.
pub(super) fn join<'a>(into: &'a mut [u8], left: &[u8], right: &[u8]) -> &'a [u8] {
    let len = left.len() + right.len();
    into[..left.len()].copy_from_slice(left);
    into[left.len()..len].copy_from_slice(right);
    &into[..len]
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
            Self::ContainsSeparator { at } => write!(f, "the message forms the separator at byte {at}"),
            Self::IsGoodbye => f.write_str("the message is the reserved goodbye `disconnect`"),
        }
    }
}

impl error::Error for EncodeError {}

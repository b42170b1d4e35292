use std::error;
use std::fmt;
use std::sync::Arc;

use memchr::memmem::Finder;

use super::GOODBYE;

/// The separator of LEADS, used where no other is chosen: `;`.
pub const DEFAULT_SEPARATOR: &[u8] = b";";

/// The longest separator there can be, in bytes.
pub const MAX_SEPARATOR_LEN: usize = 64;

/// The bytes that end each message: 1 to [`MAX_SEPARATOR_LEN`] of them, checked once when built.
///
/// A separator that exists can carry every goodbye. Cloning is cheap: clones share one prepared search.
///
/// # Examples
///
/// ```
/// use leads_comm::codec::{Separator, SeparatorError};
///
/// assert_eq!(Separator::default().as_bytes(), b";");
/// assert_eq!(Separator::new("end;")?.len(), 4);
/// assert_eq!(Separator::new("").unwrap_err(), SeparatorError::Empty);
/// assert_eq!(Separator::new("nec").unwrap_err(), SeparatorError::CannotCarryGoodbye);
/// # Ok::<(), SeparatorError>(())
/// ```
#[derive(Clone)]
pub struct Separator {
    shared: Arc<Shared>,
}

struct Shared {
    bytes: Box<[u8]>,
    finder: Finder<'static>,
    /// Whether the separator begins as it ends, so that it can be formed across the end of a payload (`a` + `aa`).
    bordered: bool,
    /// The goodbye, and an empty message behind it.
    refusal: Box<[u8]>,
}

impl Separator {
    /// Checks `bytes` and prepares the search for them.
    ///
    /// # Errors
    ///
    /// [`SeparatorError::Empty`], [`SeparatorError::TooLong`], or [`SeparatorError::CannotCarryGoodbye`] when the first
    /// match of the separator in `disconnect ++ separator` is not right behind the word.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self, SeparatorError> {
        let bytes = bytes.as_ref();
        if bytes.is_empty() {
            return Err(SeparatorError::Empty);
        }
        if bytes.len() > MAX_SEPARATOR_LEN {
            return Err(SeparatorError::TooLong { len: bytes.len() });
        }
        let separator = Self {
            shared: Arc::new(Shared {
                bytes: bytes.into(),
                finder: Finder::new(bytes).into_owned(),
                bordered: (1..bytes.len()).any(|len| bytes.starts_with(&bytes[bytes.len() - len..])),
                refusal: [GOODBYE, bytes, bytes].concat().into(),
            }),
        };
        match separator.early_match(GOODBYE) {
            None => Ok(separator),
            Some(_) => Err(SeparatorError::CannotCarryGoodbye),
        }
    }

    /// The bytes themselves.
    pub fn as_bytes(&self) -> &[u8] {
        &self.shared.bytes
    }

    /// How many bytes it has; never 0.
    #[expect(clippy::len_without_is_empty, reason = "a separator is never empty")]
    #[inline]
    pub fn len(&self) -> usize {
        self.shared.bytes.len()
    }

    /// The goodbye as it goes over the wire: `disconnect ++ separator`.
    pub fn goodbye(&self) -> &[u8] {
        &self.shared.refusal[..GOODBYE.len() + self.len()]
    }

    /// What a server says to a caller that it does not let in: the goodbye, which all understand, and an empty message
    /// behind it, for those who look for it.
    pub(crate) fn refusal(&self) -> &[u8] {
        &self.shared.refusal
    }

    /// Where the separator first occurs in `haystack`.
    #[inline]
    pub(super) fn find(&self, haystack: &[u8]) -> Option<usize> {
        match *self.shared.bytes {
            [byte] => memchr::memchr(byte, haystack),
            _ => self.shared.finder.find(haystack),
        }
    }

    /// Where a match begins in `left` that ends in `right`, when they lie side by side.
    pub(super) fn find_across(&self, left: &[u8], right: &[u8]) -> Option<usize> {
        let most = self.len() - 1;
        let tail = &left[left.len().saturating_sub(most)..];
        let head = &right[..right.len().min(most)];
        let mut seam = [0; 2 * MAX_SEPARATOR_LEN];
        let seam = &mut seam[..tail.len() + head.len()];
        seam[..tail.len()].copy_from_slice(tail);
        seam[tail.len()..].copy_from_slice(head);
        self.find(seam).map(|at| left.len() - tail.len() + at)
    }

    /// Where the separator first occurs in `message ++ separator`, if that is before the message's end: then the
    /// message cannot be framed.
    #[inline]
    pub(super) fn early_match(&self, message: &[u8]) -> Option<usize> {
        match self.find(message) {
            None if self.shared.bordered => self.find_across(message, self.as_bytes()),
            found => found,
        }
    }
}

impl Default for Separator {
    /// `;`, the separator of LEADS.
    fn default() -> Self {
        Self::new(DEFAULT_SEPARATOR).expect("`;` does not occur in the goodbye")
    }
}

impl AsRef<[u8]> for Separator {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl PartialEq for Separator {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Separator {}

impl fmt::Debug for Separator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Separator({:?})", self.as_bytes().escape_ascii().to_string())
    }
}

/// Why bytes cannot serve as a separator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SeparatorError {
    /// There are none.
    Empty,
    /// There are more than [`MAX_SEPARATOR_LEN`].
    TooLong {
        /// How many there are.
        len: usize,
    },
    /// The goodbye, `disconnect`, could not be framed with it: the receiver would cut the word elsewhere.
    CannotCarryGoodbye,
}

impl fmt::Display for SeparatorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a separator needs at least one byte"),
            Self::TooLong { len } => {
                write!(f, "a separator of {len} bytes is over the limit of {MAX_SEPARATOR_LEN}")
            }
            Self::CannotCarryGoodbye => f.write_str("the goodbye `disconnect` cannot be framed with this separator"),
        }
    }
}

impl error::Error for SeparatorError {}

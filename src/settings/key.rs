//! Keys: which messages replace one another.
//!
//! A service is told by [`key`](crate::ServerBuilder::key) what the key of a message is. Two messages of one key are
//! states of the same thing: the newer one makes the older one worthless. A message without a key is an *event*, and
//! stands for itself. What is made of it is said by [`Delivery`](crate::Delivery) and,
//! where messages are received, [`callback::latest`](crate::callback::latest()).

mod json;

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// How many bytes a key has at most that needs no memory of its own.
const INLINE: usize = 22;

/// What tells one state from another: any bytes, for instance the name of a sensor. Cheap to clone.
///
/// Two keys are equal if their bytes are. Those of up to 22 bytes take no memory of their own.
///
/// # Examples
///
/// ```
/// use leads_comm::Key;
///
/// let speed = Key::new("speed");
/// assert_eq!(speed, Key::new(b"speed"));
/// assert_eq!(speed.as_bytes(), b"speed");
/// ```
#[derive(Clone)]
pub struct Key(Repr);

#[derive(Clone)]
enum Repr {
    Inline { len: u8, bytes: [u8; INLINE] },
    Shared(Arc<[u8]>),
}

impl Key {
    /// The key with these bytes.
    pub fn new(bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        let mut inline = [0; INLINE];
        match inline.get_mut(..bytes.len()) {
            Some(start) => {
                start.copy_from_slice(bytes);
                Self(Repr::Inline { len: bytes.len() as u8, bytes: inline })
            }
            None => Self(Repr::Shared(bytes.into())),
        }
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Repr::Shared(bytes) => bytes,
        }
    }

    /// What it takes of memory besides itself, in bytes.
    pub(crate) fn memory(&self) -> usize {
        match &self.0 {
            Repr::Inline { .. } => 0,
            Repr::Shared(bytes) => bytes.len() + 2 * size_of::<usize>(),
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", String::from_utf8_lossy(self.as_bytes()))
    }
}

/// Every message has the same key: each one is the whole state, as LEADS's frames are.
pub fn all() -> impl Fn(&[u8]) -> Option<Key> + Send + Sync + 'static {
    |_| Some(Key::new([]))
}

/// The key is what stands before the first `end`; a message without it is an event.
///
/// ```
/// use leads_comm::key::{self, Key};
///
/// let key = key::prefix(b':');
/// assert_eq!(key(b"speed:38.5"), Some(Key::new("speed")));
/// assert_eq!(key(b"lap finished"), None);
/// ```
pub fn prefix(end: u8) -> impl Fn(&[u8]) -> Option<Key> + Send + Sync + 'static {
    move |message| memchr::memchr(end, message).map(|at| Key::new(&message[..at]))
}

/// The key is what the field of this name holds, in a message that is a JSON object; a message without it, or with an
/// object or an array in it, is an event.
///
/// A string is taken without its quotes, anything else as it is written: `"7"` and `7` are the same key. The field is
/// one of the object itself, and the first of its name. Names and strings are compared as they are written, so that `ë`
/// and `\u00eb` are not the same. The message is looked through up to the field and not checked behind it; one that is
/// no JSON so far is an event.
///
/// ```
/// use leads_comm::key::{self, Key};
///
/// let key = key::json_field("topic");
/// assert_eq!(key(br#"{"time": 1.5, "topic": "speed", "value": 38.5}"#), Some(Key::new("speed")));
/// assert_eq!(key(br#"{"topic": 7}"#), Some(Key::new("7")));
/// assert_eq!(key(br#"{"values": {"topic": "speed"}}"#), None);
/// assert_eq!(key(b"lap finished"), None);
/// ```
pub fn json_field(name: &str) -> impl Fn(&[u8]) -> Option<Key> + Send + Sync + use<> {
    let name = Box::<[u8]>::from(name.as_bytes());
    move |message| json::field(message, &name).map(Key::new)
}

//! A framing of the program's own.

use std::error;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::GOODBYE;

/// How a program tells messages apart in a stream, where neither a separator nor a length will do: to be
/// [used](super::Framing::custom) by decoders, servers and clients.
///
/// One value serves every connection of a service, in both directions and on several threads at once, so it keeps
/// nothing from one message to the next. A service calls it without any lock of its own, and contains its panics: one
/// in [`encode`](Self::encode) is an [`Error::CallbackPanicked`](crate::Error::CallbackPanicked) of the call that
/// sends, one in [`decode`](Self::decode) ends the connection with
/// [`DisconnectCause::CallbackPanicked`](crate::DisconnectCause::CallbackPanicked). It should hold no handle of the
/// service, which lets it go when nobody has one any more.
///
/// A frame may be no longer than twice its message, and 64 bytes: enough for every coding that escapes or stuffs bytes.
///
/// # Examples
///
/// Lines, with `\` in front of what would end one:
///
/// ```
/// use leads_comm::codec::{CustomFraming, Decoder, Frame, Framing, FramingError, encode};
///
/// struct Lines;
///
/// impl CustomFraming for Lines {
///     fn encode(&self, message: &[u8], frame: &mut Vec<u8>) -> Result<(), FramingError> {
///         for byte in message {
///             match byte {
///                 b'\n' => frame.extend(b"\\n"),
///                 b'\\' => frame.extend(b"\\\\"),
///                 _ => frame.push(*byte),
///             }
///         }
///         frame.push(b'\n');
///         Ok(())
///     }
///
///     fn decode(&self, bytes: &mut [u8], seen: usize) -> Result<Option<Frame>, FramingError> {
///         let Some(at) = bytes[seen..].iter().position(|byte| *byte == b'\n') else { return Ok(None) };
///         let (mut from, mut to) = (0, 0);
///         while from < seen + at {
///             let (byte, len) = match bytes[from..] {
///                 [b'\\', b'\\', ..] => (b'\\', 2),
///                 [b'\\', b'n', ..] => (b'\n', 2),
///                 [b'\\', ..] => return Err(FramingError::new("a backslash before something else")),
///                 _ => (bytes[from], 1),
///             };
///             bytes[to] = byte;
///             (from, to) = (from + len, to + 1);
///         }
///         Ok(Some(Frame { payload: 0..to, len: seen + at + 1 }))
///     }
/// }
///
/// let framing = Framing::custom(Lines)?;
/// let stream = encode(b"two\nlines", &framing)?;
/// assert_eq!(stream, b"two\\nlines\n");
/// let mut decoder = Decoder::new(framing, 1024);
/// assert_eq!(decoder.decode(&stream).next_message()?, Some(&b"two\nlines"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait CustomFraming: Send + Sync + 'static {
    /// Appends what goes over the wire for `message` to `frame`: at least one byte. On the thread that sends, once for
    /// each message; of a broadcast once for all. Before a queue is looked at, and before any limit on what waits.
    ///
    /// # Errors
    ///
    /// Why this message cannot be sent. It is an [`Error::InvalidMessage`](crate::Error::InvalidMessage) of the call
    /// that sends it, and the connection goes on.
    fn encode(&self, message: &[u8], frame: &mut Vec<u8>) -> Result<(), FramingError>;

    /// Looks for the first frame in the bytes that have arrived and not been taken; `None` when it is not whole. On the
    /// reader's thread, when something has arrived and when a frame has been taken.
    ///
    /// The bytes may be changed, but only those of a frame that is returned: the payload is lent to the callback from
    /// where it lies in them. The first `seen` bytes were there the last time, when this frame was not whole: a search
    /// that goes on behind them is linear in what arrives.
    ///
    /// # Errors
    ///
    /// What is wrong with the bytes, which ends the connection with
    /// [`DisconnectCause::MalformedFrame`](crate::DisconnectCause::MalformedFrame).
    fn decode(&self, bytes: &mut [u8], seen: usize) -> Result<Option<Frame>, FramingError>;
}

/// A frame that [has been found](CustomFraming::decode).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Where its payload lies.
    pub payload: Range<usize>,
    /// How many bytes it has in all; not 0. The next one begins behind them.
    pub len: usize,
}

/// What a framing of the program's own has to say against a message, or against what has arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FramingError(Arc<Fault>);

#[derive(Debug, PartialEq, Eq)]
enum Fault {
    Said(String),
    Panicked(String),
}

impl FramingError {
    /// An error that says what is wrong in a few words. It should not hold what a message contains.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Arc::new(Fault::Said(text.into())))
    }

    /// That the framing has panicked, with this message.
    pub(crate) fn panicked(message: String) -> Self {
        Self(Arc::new(Fault::Panicked(message)))
    }

    /// The message of a panic.
    pub(crate) fn panic(&self) -> Option<&str> {
        match &*self.0 {
            Fault::Said(_) => None,
            Fault::Panicked(message) => Some(message),
        }
    }
}

/// The first line of what it says.
impl fmt::Display for FramingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Fault::Said(text) | Fault::Panicked(text)) = &*self.0;
        f.write_str(text.lines().next().unwrap_or_default())
    }
}

impl error::Error for FramingError {}

/// A [`CustomFraming`] that has been [looked at](super::Framing::custom); clones share it.
#[derive(Clone)]
pub struct Custom {
    framing: Arc<dyn CustomFraming>,
    /// The goodbye, and an empty message behind it.
    refusal: Arc<[u8]>,
    goodbye_len: usize,
}

impl Custom {
    /// An error unless it gives back the goodbye and an empty message, and finds neither in a part of it.
    pub(super) fn new(framing: impl CustomFraming) -> Result<Self, FramingError> {
        let mut custom = Self { framing: Arc::new(framing), refusal: Arc::new([]), goodbye_len: 0 };
        let mut refusal = custom.encode(GOODBYE)?;
        custom.goodbye_len = refusal.len();
        refusal.extend(custom.encode(b"")?);
        custom.refusal = refusal.into();
        let (goodbye, empty) = custom.refusal.split_at(custom.goodbye_len);
        for (frame, message) in [(goodbye, GOODBYE), (empty, b"")] {
            for len in 1..frame.len() {
                if custom.decode(&mut frame[..len].to_vec(), 0)?.is_some() {
                    return Err(FramingError::new("the framing finds a frame in a part of one"));
                }
            }
            if custom.message_in(frame)? != message {
                return Err(FramingError::new("the framing does not give back what it was given"));
            }
        }
        Ok(custom)
    }

    /// The same, called by way of something else.
    pub(crate) fn within(&self, outer: impl FnOnce(Arc<dyn CustomFraming>) -> Arc<dyn CustomFraming>) -> Self {
        Self { framing: outer(Arc::clone(&self.framing)), ..self.clone() }
    }

    pub(super) fn goodbye(&self) -> &[u8] {
        &self.refusal[..self.goodbye_len]
    }

    pub(super) fn refusal(&self) -> &[u8] {
        &self.refusal
    }

    /// What goes over the wire for a message.
    pub(super) fn encode(&self, message: &[u8]) -> Result<Vec<u8>, FramingError> {
        let mut frame = Vec::with_capacity(message.len() + message.len() / 64 + 16);
        self.framing.encode(message, &mut frame)?;
        match frame.len() {
            0 => Err(FramingError::new("the framing has made an empty frame")),
            len if len > frame_limit(message.len()) => {
                let message_len = message.len();
                Err(FramingError::new(format!("the framing has made {len} bytes of a message of {message_len}")))
            }
            _ => Ok(frame),
        }
    }

    /// The first frame in these bytes, which are not none.
    pub(super) fn decode(&self, bytes: &mut [u8], seen: usize) -> Result<Option<Frame>, FramingError> {
        let Some(frame) = self.framing.decode(bytes, seen)? else { return Ok(None) };
        let Frame { payload, len } = &frame;
        if *len > 0 && *len <= bytes.len() && payload.start <= payload.end && payload.end <= *len {
            Ok(Some(frame))
        } else {
            Err(FramingError::new("the framing has found a frame that is not there"))
        }
    }

    /// The message in what goes over the wire for it.
    pub(super) fn message_in(&self, frame: &[u8]) -> Result<Vec<u8>, FramingError> {
        let mut bytes = frame.to_vec();
        match self.decode(&mut bytes, 0)? {
            Some(Frame { payload, len }) if len == bytes.len() => {
                bytes.truncate(payload.end);
                bytes.drain(..payload.start);
                Ok(bytes)
            }
            _ => Err(FramingError::new("the framing does not find the frame that it has made")),
        }
    }
}

/// Without what it is: that is the program's.
impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

/// How long a frame may be, of a message of so many bytes.
pub(super) fn frame_limit(message_len: usize) -> usize {
    message_len.saturating_mul(2).saturating_add(64)
}

mod customised;
mod separated;
mod sized;

use std::fmt;
use std::io::{self, Read};
use std::mem;

use super::buffer::Buffer;
use super::custom::frame_limit;
use super::{DecodeError, Framing};
use customised::Finder;
use separated::Search;

/// Takes bytes in chunks of any size and gives whole messages out.
///
/// What is not whole yet is the *remainder*: kept until its end arrives, never given out as a message. The search for
/// it goes on where it stopped, so the work is linear in the bytes received however they are cut.
///
/// There are two ways in. [`decode`](Self::decode) takes a chunk that the caller holds and lends messages that lie
/// wholly in it without copying. [`space`](Self::space) and [`filled`](Self::filled) let the caller read straight
/// into the decoder's buffer, from which [`next_message`](Self::next_message) lends.
///
/// # Memory
///
/// When every message is taken out before more bytes are brought in, a decoder holds memory for at most
/// `max_received_len` bytes, the separator or the length, and one chunk. It is taken as the bytes arrive: that a
/// message says how long it will be reserves nothing.
///
/// By `decode` it takes what the remainder needs, and nothing while there is none; a message that outgrows its memory
/// gets as much again. When a chunk has been decoded, memory over 4 KiB of which less than a 64th is in use is given
/// back: what a long message needed goes with the message. By `space`, memory stays for the next chunk, until
/// [`drop_remainder`](Self::drop_remainder) or a `decode` gives it back.
///
/// # Examples
///
/// ```
/// use leads_comm::codec::{Decoder, Separator};
///
/// let mut decoder = Decoder::new(Separator::default(), 1024);
/// let mut received = Vec::new();
/// for chunk in [&b"a;b"[..], b"cd;e"] {
///     let mut messages = decoder.decode(chunk);
///     while let Some(message) = messages.next_message()? {
///         received.push(message.to_vec());
///     }
/// }
/// assert_eq!(received, [&b"a"[..], b"bcd"]);
/// assert_eq!(decoder.remainder(), b"e");
/// # Ok::<(), leads_comm::codec::DecodeError>(())
/// ```
pub struct Decoder {
    cut: Cut,
    /// How many bytes a message has on the wire besides its own, where that is always the same.
    overhead: usize,
    max_received_len: usize,
    remainder: Buffer,
    /// How many bytes may be filled.
    space: usize,
}

/// How messages are told apart, and what that takes.
enum Cut {
    Separator(Search),
    Length,
    Custom(Finder),
}

/// A message, and how many bytes it had on the wire.
pub(crate) struct Lent<'a> {
    pub(crate) message: &'a [u8],
    pub(crate) frame_len: usize,
}

impl Decoder {
    /// A decoder for messages of up to `max_received_len` payload bytes. It allocates nothing yet.
    pub fn new(framing: impl Into<Framing>, max_received_len: usize) -> Self {
        let framing = framing.into();
        let overhead = framing.overhead();
        let cut = match framing {
            Framing::Separator(separator) => Cut::Separator(Search::new(separator)),
            Framing::Length => Cut::Length,
            Framing::Custom(custom) => Cut::Custom(Finder::new(custom)),
        };
        let remainder = Buffer::new(match &cut {
            Cut::Separator(search) => search.most_left(max_received_len),
            Cut::Length => sized::most_left(max_received_len),
            Cut::Custom(_) => frame_limit(max_received_len) - 1,
        });
        Self { cut, overhead, max_received_len, remainder, space: 0 }
    }

    /// Takes in a chunk and lends the messages that it completes, one by one.
    ///
    /// What the caller leaves unread is not lost: it is kept for the next call. Any [`space`](Self::space) is over.
    #[inline]
    pub fn decode<'a>(&'a mut self, chunk: &'a [u8]) -> Messages<'a> {
        self.space = 0;
        Messages { decoder: self, chunk }
    }

    /// The next whole message in the decoder's buffer; `None` when it needs more bytes.
    ///
    /// # Errors
    ///
    /// [`DecodeError::MessageTooLong`] when the payload is longer than the limit, whether or not its end has arrived.
    /// [`DecodeError::Malformed`] when a framing of the program's own finds something wrong. From then on every call
    /// says so, until [`drop_remainder`](Self::drop_remainder).
    #[inline]
    pub fn next_message(&mut self) -> Result<Option<&[u8]>, DecodeError> {
        Ok(self.next_lent()?.map(|lent| lent.message))
    }

    /// The same, and how many bytes it had on the wire.
    #[inline]
    pub(crate) fn next_lent(&mut self) -> Result<Option<Lent<'_>>, DecodeError> {
        let Self { cut, overhead, max_received_len, remainder, .. } = self;
        let message = match cut {
            Cut::Separator(search) => search.next(remainder, *max_received_len)?,
            Cut::Length => sized::next(remainder, *max_received_len)?,
            Cut::Custom(finder) => return finder.next(remainder, *max_received_len),
        };
        Ok(message.map(|message| Lent { message, frame_len: message.len() + *overhead }))
    }

    /// Room for `len` more bytes, to be read into; tell [`filled`](Self::filled) how many arrived.
    pub fn space(&mut self, len: usize) -> &mut [u8] {
        self.space = len;
        self.remainder.room(len)
    }

    /// Says that the first `len` bytes of the last [`space`](Self::space) now hold received bytes.
    ///
    /// # Panics
    ///
    /// When `len` is more than that space had, or it has been filled already.
    pub fn filled(&mut self, len: usize) {
        assert!(len <= mem::take(&mut self.space), "more bytes than there was space for");
        self.remainder.filled(len);
    }

    /// Reads once, up to `len` bytes, from `reader` into the decoder's buffer; 0 is the end of the stream.
    ///
    /// # Errors
    ///
    /// What the reader reports; nothing has been taken in then.
    ///
    /// # Examples
    ///
    /// ```
    /// use leads_comm::codec::{Decoder, Separator};
    ///
    /// let mut stream = &b"speed=12;speed=13;spe"[..];
    /// let mut decoder = Decoder::new(Separator::default(), 1024);
    /// let mut received = 0;
    /// while decoder.read_from(&mut stream, 4096)? > 0 {
    ///     while let Some(message) = decoder.next_message()? {
    ///         assert!(message.starts_with(b"speed="));
    ///         received += 1;
    ///     }
    /// }
    /// assert_eq!((received, decoder.drop_remainder()), (2, 3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read_from(&mut self, reader: &mut impl Read, len: usize) -> io::Result<usize> {
        let count = reader.read(self.space(len))?;
        self.filled(count);
        Ok(count)
    }

    /// The bytes of the message that is not whole yet. At the end of a stream: what was cut off.
    ///
    /// Whole messages that have not been taken out are part of it.
    pub fn remainder(&self) -> &[u8] {
        self.remainder.as_slice()
    }

    /// Forgets the remainder, frees its memory, and tells how many bytes it had.
    pub fn drop_remainder(&mut self) -> usize {
        let len = self.remainder.len();
        self.remainder.clear();
        self.space = 0;
        match &mut self.cut {
            Cut::Separator(search) => search.forget(),
            Cut::Length => {}
            Cut::Custom(finder) => finder.forget(),
        }
        len
    }

    /// How many bytes the decoder holds memory for; [Memory](Self#memory) says how many those are.
    pub fn capacity(&self) -> usize {
        self.remainder.capacity()
    }

    /// What [`capacity`](Self::capacity) will be, at most, with `len` more bytes in the decoder.
    pub(crate) fn capacity_with(&self, len: usize) -> usize {
        self.remainder.capacity_with(len)
    }

    /// How many bytes have been looked at in the search for separators, over the decoder's whole life.
    ///
    /// Linear in the bytes received: each chunk adds its own length and fewer than four separators' lengths.
    #[cfg(any(test, fuzzing))]
    pub fn bytes_searched(&self) -> u64 {
        match &self.cut {
            Cut::Separator(search) => search.bytes_searched(),
            Cut::Length | Cut::Custom(_) => 0,
        }
    }
}

/// Without the bytes that it holds: they are somebody's data.
impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("framing", &self.cut)
            .field("max_received_len", &self.max_received_len)
            .field("remainder_len", &self.remainder.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Separator(search) => search.separator().fmt(f),
            Self::Length => f.write_str("Length"),
            Self::Custom(finder) => write!(f, "Custom({:?})", finder.framing()),
        }
    }
}

/// The messages of one chunk, lent one by one: made by [`Decoder::decode`].
///
/// A message is borrowed from the chunk when it lies wholly in it, else from the decoder's buffer; either way only
/// until the next one is asked for.
pub struct Messages<'a> {
    decoder: &'a mut Decoder,
    chunk: &'a [u8],
}

impl Messages<'_> {
    /// The next whole message; `None` when the chunk is used up.
    ///
    /// # Errors
    ///
    /// Those of [`Decoder::next_message`]; what is left of the chunk is dropped then.
    #[inline]
    pub fn next_message(&mut self) -> Result<Option<&[u8]>, DecodeError> {
        Ok(self.next_lent()?.map(|lent| lent.message))
    }

    /// The same, and how many bytes it had on the wire.
    #[inline]
    pub(crate) fn next_lent(&mut self) -> Result<Option<Lent<'_>>, DecodeError> {
        let Decoder { cut, overhead, max_received_len, remainder, .. } = &mut *self.decoder;
        let chunk = &mut self.chunk;
        let message = match cut {
            Cut::Separator(search) => search.next_of(chunk, remainder, *max_received_len)?,
            Cut::Length => sized::next_of(chunk, remainder, *max_received_len)?,
            Cut::Custom(finder) => return finder.next_of(chunk, remainder, *max_received_len),
        };
        Ok(message.map(|message| Lent { message, frame_len: message.len() + *overhead }))
    }
}

impl Drop for Messages<'_> {
    fn drop(&mut self) {
        self.decoder.remainder.extend(self.chunk);
        self.decoder.remainder.shrink();
    }
}

impl fmt::Debug for Messages<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages")
            .field("decoder", &self.decoder)
            .field("chunk_len", &self.chunk.len())
            .finish_non_exhaustive()
    }
}

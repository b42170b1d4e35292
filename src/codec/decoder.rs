use std::error;
use std::fmt;
use std::io::{self, Read};
use std::mem;

use super::Separator;
use super::buffer::Buffer;

/// Takes bytes in chunks of any size and gives whole messages out.
///
/// What follows the last separator is the *remainder*: kept until its end arrives, never given out as a message. The
/// search goes on where it stopped, so the work is linear in the bytes received however they are cut.
///
/// There are two ways in. [`decode`](Self::decode) takes a chunk that the caller holds and lends messages that lie
/// wholly in it without copying. [`space`](Self::space) and [`filled`](Self::filled) let the caller read straight
/// into the decoder's buffer, from which [`next_message`](Self::next_message) lends.
///
/// # Memory
///
/// When every message is taken out before more bytes are brought in, a decoder holds memory for at most
/// `max_received_len` bytes, the separator and one chunk.
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
/// # Ok::<(), leads_comm::codec::MessageTooLong>(())
/// ```
pub struct Decoder {
    separator: Separator,
    max_received_len: usize,
    remainder: Buffer,
    /// Where the search goes on: no separator begins in this many bytes at the remainder's front.
    searched: usize,
    /// How many bytes may be filled.
    space: usize,
    looked_at: LookedAt,
}

impl Decoder {
    /// A decoder for messages of up to `max_received_len` payload bytes. It allocates nothing yet.
    pub fn new(separator: Separator, max_received_len: usize) -> Self {
        // More than this is not left when every message has been taken out, or the next one is too long.
        let remainder = Buffer::new(max_received_len.saturating_add(separator.len() - 1));
        Self { separator, max_received_len, remainder, searched: 0, space: 0, looked_at: LookedAt::default() }
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
    /// [`MessageTooLong`] when the payload is longer than the limit, whether or not its end has arrived. From then on
    /// every call says so, until [`drop_remainder`](Self::drop_remainder).
    #[inline]
    pub fn next_message(&mut self) -> Result<Option<&[u8]>, MessageTooLong> {
        match self.find_end() {
            Some(len) if len <= self.max_received_len => {
                self.searched = 0;
                let message_and_separator = self.remainder.take(len + self.separator.len());
                Ok(Some(&message_and_separator[..len]))
            }
            _ => self.unfinished(),
        }
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

    /// The bytes that no separator has followed yet. At the end of a stream: what was cut off.
    ///
    /// Whole messages that have not been taken out are part of it.
    pub fn remainder(&self) -> &[u8] {
        self.remainder.as_slice()
    }

    /// Forgets the remainder, frees its memory, and tells how many bytes it had.
    pub fn drop_remainder(&mut self) -> usize {
        let len = self.remainder.len();
        self.remainder.clear();
        self.searched = 0;
        self.space = 0;
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
        self.looked_at.bytes
    }

    /// Where the message at the remainder's front ends, if its separator has arrived.
    #[inline]
    fn find_end(&mut self) -> Option<usize> {
        let unsearched = &self.remainder.as_slice()[self.searched..];
        match find_counted(&self.separator, &mut self.looked_at, unsearched) {
            Some(at) => self.searched += at,
            None => {
                self.note_searched();
                return None;
            }
        }
        Some(self.searched)
    }

    /// Says that no separator lies in the remainder: one that is cut off by its end begins in the last `len - 1` bytes.
    fn note_searched(&mut self) {
        self.searched = self.remainder.len().saturating_sub(self.separator.len() - 1);
    }

    /// What there is to say when the remainder does not begin with a message: it needs more bytes, or it has too many.
    fn unfinished(&self) -> Result<Option<&[u8]>, MessageTooLong> {
        if self.remainder.len() < self.most_remainder() {
            Ok(None)
        } else {
            Err(MessageTooLong { limit: self.max_received_len })
        }
    }

    /// A remainder that has reached this many bytes without a separator belongs to a message over the limit.
    fn most_remainder(&self) -> usize {
        self.max_received_len.saturating_add(self.separator.len())
    }

    /// Keeps a copy of `bytes` behind the remainder.
    fn append(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.remainder.extend(bytes);
        }
    }

    /// How many bytes of `chunk` belong to the message that the remainder begins, its separator included; all of
    /// them when it does not end in this chunk.
    fn share_of(&mut self, chunk: &[u8]) -> usize {
        let len = self.separator.len();
        self.looked_at.add(2 * (len - 1));
        let remainder = self.remainder.as_slice();
        if let Some(at) = self.separator.find_across(remainder, chunk) {
            return at + len - remainder.len();
        }
        match find_counted(&self.separator, &mut self.looked_at, chunk) {
            Some(at) => at + len,
            None => chunk.len(),
        }
    }
}

/// Without the bytes that it holds: they are somebody's data.
impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("separator", &self.separator)
            .field("max_received_len", &self.max_received_len)
            .field("remainder_len", &self.remainder.len())
            .finish_non_exhaustive()
    }
}

/// How many bytes have been looked at; counted only where somebody looks, in tests and by fuzzing.
#[derive(Default)]
struct LookedAt {
    #[cfg(any(test, fuzzing))]
    bytes: u64,
}

impl LookedAt {
    #[inline]
    #[cfg(any(test, fuzzing))]
    fn add(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    #[inline]
    #[cfg(not(any(test, fuzzing)))]
    fn add(&mut self, _: usize) {}
}

/// Where the separator first occurs; counts the bytes that were looked at.
#[inline]
fn find_counted(separator: &Separator, looked_at: &mut LookedAt, haystack: &[u8]) -> Option<usize> {
    let found = separator.find(haystack);
    looked_at.add(found.map_or(haystack.len(), |at| at + separator.len()));
    found
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
    /// [`MessageTooLong`], as for [`Decoder::next_message`]; what is left of the chunk is dropped then.
    #[inline]
    pub fn next_message(&mut self) -> Result<Option<&[u8]>, MessageTooLong> {
        if !self.decoder.remainder.is_empty() {
            return self.complete_remainder();
        }
        let Decoder { separator, max_received_len, looked_at, .. } = &mut *self.decoder;
        match find_counted(separator, looked_at, self.chunk) {
            Some(at) if at <= *max_received_len => {
                let (message, rest) = self.chunk.split_at(at);
                self.chunk = &rest[separator.len()..];
                Ok(Some(message))
            }
            _ => self.begin_remainder(),
        }
    }

    /// The next message when its beginning is left over from before: its end is copied behind that.
    fn complete_remainder(&mut self) -> Result<Option<&[u8]>, MessageTooLong> {
        if self.decoder.find_end().is_none() && !self.chunk.is_empty() {
            // A message within the limit needs no more than this; with more, it is seen to be too long.
            let most = self.decoder.most_remainder().saturating_sub(self.decoder.remainder.len());
            let (share, rest) = self.chunk.split_at(self.decoder.share_of(self.chunk).min(most));
            self.chunk = rest;
            self.decoder.append(share);
            // The separator lies at the very end, if it is there at all.
            self.decoder.searched = self.decoder.remainder.len().saturating_sub(self.decoder.separator.len());
        }
        self.decoder.next_message().inspect_err(|_| self.chunk = &[])
    }

    /// Keeps what is left of the chunk, which no separator follows within the limit.
    fn begin_remainder(&mut self) -> Result<Option<&[u8]>, MessageTooLong> {
        let chunk = mem::take(&mut self.chunk);
        self.decoder.append(&chunk[..chunk.len().min(self.decoder.most_remainder())]);
        self.decoder.note_searched();
        self.decoder.unfinished()
    }
}

impl Drop for Messages<'_> {
    fn drop(&mut self) {
        self.decoder.append(self.chunk);
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

/// A payload is longer than the decoder's limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageTooLong {
    /// The limit, in payload bytes.
    pub limit: usize,
}

impl fmt::Display for MessageTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a message is longer than the limit of {} bytes", self.limit)
    }
}

impl error::Error for MessageTooLong {}

//! The framing, as codecs of tokio-util: the one that it brings, and one that is written for this format.

use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::codec::{AnyDelimiterCodec, Decoder, Encoder, FramedRead, FramedWrite};

const READ: usize = 128 * 1024;
/// How much is gathered for a write.
pub(super) const WRITE: usize = 64 * 1024;

/// A codec for messages that end with a semicolon.
pub(super) trait Framing:
    Decoder<Item: AsRef<[u8]> + Send, Error = io::Error>
    + for<'a> Encoder<&'a [u8], Error = io::Error>
    + Default
    + Send
    + Unpin
    + 'static
{
    /// Whether broadcasts are put into chunks of many messages by hand.
    const CHUNKS: bool;
}

/// What tokio-util brings: `AnyDelimiterCodec`. It encodes text only, so bytes are encoded here.
pub(super) struct Shipped(AnyDelimiterCodec);

impl Default for Shipped {
    fn default() -> Self {
        Self(AnyDelimiterCodec::new(b";".to_vec(), b";".to_vec()))
    }
}

impl Framing for Shipped {
    const CHUNKS: bool = false;
}

impl Decoder for Shipped {
    type Item = Bytes;
    type Error = io::Error;

    fn decode(&mut self, buffer: &mut BytesMut) -> io::Result<Option<Bytes>> {
        let message = self.0.decode(buffer).map_err(io::Error::other)?;
        if message.is_none() {
            // Otherwise the next read is as short as what happens to be left.
            buffer.reserve(READ);
        }
        Ok(message)
    }
}

impl Encoder<&[u8]> for Shipped {
    type Error = io::Error;

    fn encode(&mut self, message: &[u8], buffer: &mut BytesMut) -> io::Result<()> {
        put(message, buffer);
        Ok(())
    }
}

/// Written for this format: `LinesCodec` for bytes and semicolons, with memchr in place of a loop.
#[derive(Default)]
pub(super) struct Tuned {
    /// How far the buffer has been searched.
    searched: usize,
}

impl Framing for Tuned {
    const CHUNKS: bool = true;
}

impl Decoder for Tuned {
    type Item = BytesMut;
    type Error = io::Error;

    fn decode(&mut self, buffer: &mut BytesMut) -> io::Result<Option<BytesMut>> {
        let Some(found) = memchr::memchr(b';', &buffer[self.searched..]) else {
            self.searched = buffer.len();
            buffer.reserve(READ);
            return Ok(None);
        };
        let mut message = buffer.split_to(self.searched + found + 1);
        message.truncate(message.len() - 1);
        self.searched = 0;
        Ok(Some(message))
    }
}

impl Encoder<&[u8]> for Tuned {
    type Error = io::Error;

    fn encode(&mut self, message: &[u8], buffer: &mut BytesMut) -> io::Result<()> {
        put(message, buffer);
        Ok(())
    }
}

pub(super) fn put(message: &[u8], buffer: &mut BytesMut) {
    buffer.reserve(message.len() + 1);
    buffer.put_slice(message);
    buffer.put_u8(b';');
}

pub(super) fn framed_read<F: Framing, R: AsyncRead>(reading: R) -> FramedRead<R, F> {
    FramedRead::with_capacity(reading, F::default(), READ)
}

pub(super) fn framed_write<F: Framing, W: AsyncWrite>(writing: W) -> FramedWrite<W, F> {
    let mut framed = FramedWrite::new(writing, F::default());
    framed.set_backpressure_boundary(WRITE);
    framed
}

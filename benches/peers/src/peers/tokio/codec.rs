//! The framing, as a codec of tokio-util.

use std::io;

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::codec::{Decoder, Encoder, FramedRead, FramedWrite};

const READ: usize = 128 * 1024;
/// How much is gathered for a write.
pub(super) const WRITE: usize = 64 * 1024;

/// Messages that end with a semicolon: `LinesCodec` for bytes.
#[derive(Default)]
pub(super) struct Semicolons {
    /// How far the buffer has been searched.
    searched: usize,
}

impl Decoder for Semicolons {
    type Item = BytesMut;
    type Error = io::Error;

    fn decode(&mut self, buffer: &mut BytesMut) -> io::Result<Option<BytesMut>> {
        let Some(found) = memchr::memchr(b';', &buffer[self.searched..]) else {
            self.searched = buffer.len();
            // Otherwise the next read is as short as what happens to be left.
            buffer.reserve(READ);
            return Ok(None);
        };
        let mut message = buffer.split_to(self.searched + found + 1);
        message.truncate(message.len() - 1);
        self.searched = 0;
        Ok(Some(message))
    }
}

impl<M: AsRef<[u8]>> Encoder<M> for Semicolons {
    type Error = io::Error;

    fn encode(&mut self, message: M, buffer: &mut BytesMut) -> io::Result<()> {
        let message = message.as_ref();
        buffer.reserve(message.len() + 1);
        buffer.put_slice(message);
        buffer.put_u8(b';');
        Ok(())
    }
}

pub(super) fn framed_read<R: AsyncRead>(reading: R) -> FramedRead<R, Semicolons> {
    FramedRead::with_capacity(reading, Semicolons::default(), READ)
}

pub(super) fn framed_write<W: AsyncWrite>(writing: W) -> FramedWrite<W, Semicolons> {
    let mut framed = FramedWrite::new(writing, Semicolons::default());
    framed.set_backpressure_boundary(WRITE);
    framed
}

//! What a reader reads into: how much at once, where to, and what of it has not been delivered yet.

use std::io;
use std::mem;
use std::time::Duration;

use crate::codec::{DecodeError, Decoder, Lent, Messages};
use crate::connection::inbound_budget::{InboundBudget, InboundShare};
use crate::settings::Settings;
use crate::transport::Stream;

/// How much is read at once while little comes: onto the stack, so that an idle connection holds no buffer.
pub(crate) const SMALL_CHUNK: usize = 1024;

/// How much is read at once otherwise: much once a read has filled what it was given.
const SMALL_READ: usize = 16 * 1024;
const LARGE_READ: usize = 128 * 1024;

/// How long a buffer is kept for what may come next.
const KEEP_BUFFER: Duration = Duration::from_millis(50);

/// A decoder, and the way into it: a small chunk on the stack while little comes or memory is scarce, else straight
/// into the decoder's buffer.
pub(super) struct ReadBuffer<'a> {
    decoder: Decoder,
    /// What the decoder's memory takes of the budget; dropped behind it.
    share: InboundShare<'a>,
    /// The reader's own, since moving it in here would take as much of the stack a second time.
    idle_chunk: &'a mut [u8; SMALL_CHUNK],
    /// How much is in the chunk from the beginning, and has not been given out.
    ahead: usize,
    /// How much to read into the decoder's buffer; `None` while little comes.
    busy: Option<usize>,
    /// Whether the last read went into the decoder's buffer.
    is_direct: bool,
}

/// Messages that have arrived, lent one by one.
pub(super) enum Arrived<'a> {
    InBuffer(&'a mut Decoder),
    InChunk(Messages<'a>),
}

impl Arrived<'_> {
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<Lent<'_>>, DecodeError> {
        match self {
            Self::InBuffer(decoder) => decoder.next_lent(),
            Self::InChunk(messages) => messages.next_lent(),
        }
    }
}

impl<'a> ReadBuffer<'a> {
    /// What comes `ahead` of everything that is read fits into one small chunk.
    pub(super) fn new(
        settings: &Settings,
        budget: &'a InboundBudget,
        idle_chunk: &'a mut [u8; SMALL_CHUNK],
        ahead: &[u8],
    ) -> Self {
        idle_chunk[..ahead.len()].copy_from_slice(ahead);
        Self {
            decoder: Decoder::new(settings.framing.clone(), settings.max_received_len),
            share: InboundShare::new(budget),
            idle_chunk,
            ahead: ahead.len(),
            busy: None,
            is_direct: false,
        }
    }

    /// Reads one chunk, as much as is worth it and as there is memory for.
    pub(super) fn read(&mut self, stream: &dyn Stream) -> io::Result<usize> {
        if self.ahead > 0 {
            return Ok(mem::take(&mut self.ahead));
        }
        let space = self.busy.filter(|len| self.share.cover_ample(self.decoder.capacity_with(*len)));
        self.is_direct = space.is_some();
        match space {
            Some(len) => stream.read_once(self.decoder.space(len)),
            None => stream.read_once(self.idle_chunk),
        }
    }

    /// Takes the memory that the decoder needs for the chunk that has been read, of `count` bytes; when there is not so
    /// much, how much it lacks.
    pub(super) fn cover(&mut self, count: usize) -> Result<(), usize> {
        let capacity = self.decoder.capacity_with(count);
        // A chunk in the buffer has been covered before it was read.
        if self.is_direct || self.share.cover(capacity) { Ok(()) } else { Err(self.share.lacking(capacity)) }
    }

    /// The messages that the chunk of `count` bytes completes; it has been [covered](Self::cover).
    pub(super) fn arrived(&mut self, count: usize) -> Arrived<'_> {
        if self.is_direct {
            self.decoder.filled(count);
            Arrived::InBuffer(&mut self.decoder)
        } else {
            Arrived::InChunk(self.decoder.decode(&self.idle_chunk[..count]))
        }
    }

    /// How many bytes of an unfinished message there are.
    pub(super) fn unfinished(&self) -> usize {
        self.decoder.remainder().len()
    }

    /// Forgets the unfinished message, and gives its memory back.
    pub(super) fn clear(&mut self) {
        self.decoder.drop_remainder();
        self.share.settle(0);
    }

    /// After a chunk of `count` bytes has been delivered: chooses how the next one is read, and keeps no more memory
    /// than that needs. May wait a little for it.
    pub(super) fn adapt(&mut self, count: usize, stream: &dyn Stream) {
        match self.busy {
            None if count == SMALL_CHUNK => self.busy = Some(SMALL_READ),
            Some(len) if count == len => self.busy = Some(LARGE_READ),
            Some(_) if self.unfinished() == 0 && !is_more_coming(stream) => {
                self.decoder.drop_remainder();
                self.busy = None;
            }
            _ => {}
        }
        self.share.settle(self.decoder.capacity());
    }
}

/// After a read that took all there was: waits a little for more, so that the buffer is kept in the meantime, and not
/// for ever. A stream that cannot tell is taken for idle.
fn is_more_coming(stream: &dyn Stream) -> bool {
    stream.wait_readable(KEEP_BUFFER).unwrap_or(false)
}

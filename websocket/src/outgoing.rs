//! Frames out of messages.
//!
//! ```text
//!   length ++ payload ──▶ begun ──▶ held: heads, short payloads ──▶ the stream below
//!                            └────▶ long payloads, from where they lie ──▶
//!   the reader ──▶ Answers ──▶ held, between two messages
//! ```

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use leads_comm::codec::GOODBYE;
use leads_comm::transport::Stream;
use parking_lot::Mutex;
use tungstenite::Bytes;
use tungstenite::protocol::Role;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

/// A message has its length before it, from the library.
const HEAD_LEN: usize = 4;

/// What of a message has to be there before its frame can begin, at most: it may be the goodbye.
const BEGINNING: usize = HEAD_LEN + GOODBYE.len();

/// An empty message.
const EMPTY: [u8; HEAD_LEN] = [0; HEAD_LEN];

/// How much is put together for one write, in bytes; what the stream does not take of it is held. Larger is not faster.
const HELD: usize = 32 * 1024;

/// A payload of this many bytes is written from where it lies.
const LONG: usize = 4 * 1024;

/// How many messages are put together for one write, so that little memory is needed to know where each ends.
const MESSAGES: usize = 1024;

/// A buffer is kept from one write to the next up to this size, in bytes.
const BUFFER_KEPT: usize = 4 * 1024;

/// How the stream below is written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mode {
    Direct,
    Blocking,
}

impl Mode {
    fn write(self, below: &dyn Stream, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Direct => below.try_write_vectored(buffers),
            Self::Blocking => below.write_vectored(buffers),
        }
        .and_then(|count| if count == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(count) })
    }

    fn flush(self, below: &dyn Stream) -> io::Result<()> {
        match self {
            Self::Direct => below.try_flush(),
            Self::Blocking => below.flush(),
        }
    }
}

/// What the reader has to say. It is said between two messages: by the thread that writes then, or by the reader if
/// none does.
///
/// Of pongs, only the newest is kept, as the protocol allows: a peer that asks without end costs nothing.
#[derive(Default)]
pub(crate) struct Answers {
    waiting: Mutex<Waiting>,
    /// Whether there is something to write; looked at without the lock.
    pending: AtomicBool,
}

#[derive(Default)]
struct Waiting {
    pong: Option<Bytes>,
    close: Option<CloseCode>,
    /// What the peer's Close has said, which the one that answers it repeats.
    peer_close: Option<CloseCode>,
}

impl Answers {
    pub(crate) fn pong(&self, data: Bytes) {
        self.waiting.lock().pong = Some(data);
        self.set_pending();
    }

    pub(crate) fn close(&self, code: CloseCode) {
        self.waiting.lock().close = Some(code);
        self.set_pending();
    }

    pub(crate) fn note_peer_close(&self, code: CloseCode) {
        self.waiting.lock().peer_close = Some(code);
    }

    /// How a regular end is said: as the peer has said it, if it has.
    pub(crate) fn regular_close(&self) -> CloseCode {
        self.waiting.lock().peer_close.unwrap_or(CloseCode::Normal)
    }

    pub(crate) fn is_pending(&self) -> bool {
        self.pending.load(Ordering::SeqCst)
    }

    /// There is something to say, or something of it is still held.
    pub(crate) fn set_pending(&self) {
        self.pending.store(true, Ordering::SeqCst);
    }
}

/// Which messages are text: told by their first byte.
pub(crate) type IsText = Arc<dyn Fn(u8) -> bool + Send + Sync>;

/// What has been taken and not written. Locked by the thread that writes, which may block meanwhile; others that ask do
/// not wait.
pub(crate) struct Outgoing {
    role: Role,
    is_text: IsText,
    place: Place,
    held: Vec<u8>,
    /// How many of them have been written.
    written: usize,
    /// Where messages end, of those that are put together for one write: how long what is held is there, and how much
    /// of the source has been passed.
    ends: Vec<(usize, usize)>,
}

/// Where in the sequence of messages it is.
#[derive(Clone, Copy, Default)]
struct Place {
    /// The beginning of a message whose frame cannot begin yet.
    begun: [u8; BEGINNING],
    begun_len: usize,
    /// How many bytes are missing of the frame that has begun.
    left: usize,
    mask: [u8; 4],
    /// How many bytes of the frame have been masked.
    masked: usize,
    /// Whether Close has been said, behind which nothing is.
    closed: bool,
}

impl Outgoing {
    pub(crate) fn new(role: Role, is_text: IsText) -> Self {
        Self { role, is_text, place: Place::default(), held: Vec::new(), written: 0, ends: Vec::new() }
    }

    /// Writes what is held, and has the stream hand on what it holds.
    pub(crate) fn write_out(&mut self, below: &dyn Stream, mode: Mode) -> io::Result<()> {
        loop {
            mode.flush(below)?;
            if self.written == self.held.len() {
                self.held.clear();
                self.written = 0;
                if self.held.capacity() > BUFFER_KEPT {
                    self.held = Vec::new();
                }
                if self.ends.capacity() * size_of::<(usize, usize)>() > BUFFER_KEPT {
                    self.ends = Vec::new();
                }
                return Ok(());
            }
            self.written += mode.write(below, &[IoSlice::new(&self.held[self.written..])])?;
        }
    }

    /// Takes as much as the stream below does, and the rest of a frame that has begun. Messages that are not begun are
    /// left to the caller, where they can still be dropped, or replaced by newer ones.
    pub(crate) fn write(
        &mut self,
        below: &dyn Stream,
        answers: &Answers,
        buffers: &[IoSlice<'_>],
        mode: Mode,
    ) -> io::Result<usize> {
        self.write_out(below, mode)?;
        self.collect(answers)?;
        if self.place.closed {
            // Also where it is the reader's, of something that cannot be gone on with.
            self.write_out(below, mode)?;
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut source = Source::new(buffers);
        loop {
            let (before, mark, taken) = (self.place, self.held.len(), source.passed);
            self.frame(&mut source, answers)?;
            let rest = source.rest();
            let long = &rest[..self.long_part(rest.len())];
            let parts = [IoSlice::new(&self.held[self.written..]), IoSlice::new(long)];
            if parts.iter().all(|part| part.is_empty()) {
                return Ok(source.passed);
            }
            let count = match mode.write(below, &parts) {
                Ok(count) => count,
                Err(error) => {
                    // As if it had not been tried.
                    self.place = before;
                    self.held.truncate(mark);
                    return if taken == 0 { Err(error) } else { Ok(taken) };
                }
            };
            let of_held = count.min(parts[0].len());
            let of_long = count - of_held;
            let (all_held, all_long) = (of_held == parts[0].len(), of_long == long.len());
            self.written += of_held;
            self.place.left -= of_long;
            source.pass(of_long);
            if !all_held {
                return Ok(self.give_back(source.passed));
            }
            // What is wrong is told to the next flush or write.
            if !all_long || source.rest().is_empty() || self.write_out(below, mode).is_err() {
                return Ok(source.passed);
            }
        }
    }

    /// Makes the frames of what there is, up to a long payload, or as much as is good for one write.
    fn frame(&mut self, source: &mut Source<'_, '_>, answers: &Answers) -> io::Result<()> {
        let from = source.passed;
        self.ends.clear();
        loop {
            if self.place.closed {
                source.pass_all();
            }
            let between = self.place.left == 0;
            if between && self.place.begun_len == 0 && source.passed > from {
                self.ends.push((self.held.len(), source.passed));
            }
            let bytes = source.rest();
            let room = HELD.saturating_sub(self.held.len() - self.written);
            let answers_first = between && source.passed > from && answers.is_pending();
            let is_full = room == 0 || self.ends.len() == MESSAGES;
            if bytes.is_empty() || is_full || answers_first || self.long_part(bytes.len()) > 0 {
                return Ok(());
            }
            if between {
                source.pass(self.begin(bytes, answers)?);
            } else {
                let part = &bytes[..bytes.len().min(self.place.left).min(room)];
                self.payload(part);
                source.pass(part.len());
            }
        }
    }

    /// Gives messages back of which nothing has been written, after what was written ends within what is held. How much
    /// has been taken in all, of the `passed` bytes that were.
    fn give_back(&mut self, passed: usize) -> usize {
        let end = self.ends.partition_point(|(end, _)| *end < self.written);
        let Some((end, taken)) = self.ends.get(end).copied() else { return passed };
        if taken < passed {
            self.held.truncate(end);
            // Between two messages.
            self.place = Place::default();
        }
        taken
    }

    /// How many of `available` bytes are written from where they lie; 0 where they are few, or have to be masked.
    fn long_part(&self, available: usize) -> usize {
        let part = available.min(self.place.left);
        if part < LONG || self.role == Role::Client { 0 } else { part }
    }

    /// Takes the beginning of a message, and begins its frame as soon as that can be; how many bytes were taken.
    fn begin(&mut self, bytes: &[u8], answers: &Answers) -> io::Result<usize> {
        let mut taken = 0;
        loop {
            let begun = &self.place.begun[..self.place.begun_len];
            let len = begun.first_chunk().map(|head| u32::from_be_bytes(*head) as usize);
            // Its first byte says what kind of message it is, and ten may be the goodbye.
            let needed = match len {
                None => HEAD_LEN,
                Some(len) if len == GOODBYE.len() => BEGINNING,
                Some(len) => HEAD_LEN + len.min(1),
            };
            if let Some(len) = len.filter(|_| begun.len() == needed) {
                let (beginning, begun_len) = (self.place.begun, self.place.begun_len);
                self.place.begun_len = 0;
                let payload = &beginning[HEAD_LEN..begun_len];
                if payload == GOODBYE {
                    let is_refusal = bytes[taken..].starts_with(&EMPTY);
                    self.close(if is_refusal { CloseCode::Again } else { answers.regular_close() })?;
                } else {
                    let is_text = payload.first().is_some_and(|first| (self.is_text)(*first));
                    self.head(OpCode::Data(if is_text { Data::Text } else { Data::Binary }), len)?;
                    self.payload(payload);
                }
                return Ok(taken);
            }
            let part = &bytes[taken..bytes.len().min(taken + needed - begun.len())];
            if part.is_empty() {
                return Ok(taken);
            }
            self.place.begun[self.place.begun_len..][..part.len()].copy_from_slice(part);
            self.place.begun_len += part.len();
            taken += part.len();
        }
    }

    /// Takes over what the reader has to say, if it can be said here.
    pub(crate) fn collect(&mut self, answers: &Answers) -> io::Result<()> {
        if self.place.left > 0 || !answers.pending.swap(false, Ordering::SeqCst) {
            return Ok(());
        }
        let (pong, close) = {
            let mut waiting = answers.waiting.lock();
            (waiting.pong.take(), waiting.close.take())
        };
        if self.place.closed {
            return Ok(());
        }
        if let Some(data) = pong {
            self.control(Control::Pong, &data)?;
        }
        if let Some(code) = close {
            self.close(code)?;
        }
        Ok(())
    }

    /// Whether a message has begun on the line, so that nothing else can be said.
    pub(crate) fn is_within(&self) -> bool {
        self.place.left > 0
    }

    /// Whether nothing is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.written == self.held.len()
    }

    /// Whether Close has been said.
    pub(crate) fn is_closed(&self) -> bool {
        self.place.closed
    }

    /// Says Close, for the given reason. What has been begun of a message is given up.
    pub(crate) fn close(&mut self, code: CloseCode) -> io::Result<()> {
        self.place.closed = true;
        self.place.begun_len = 0;
        self.control(Control::Close, &u16::from(code).to_be_bytes())
    }

    fn control(&mut self, kind: Control, data: &[u8]) -> io::Result<()> {
        self.head(OpCode::Control(kind), data.len())?;
        self.payload(data);
        Ok(())
    }

    fn head(&mut self, opcode: OpCode, len: usize) -> io::Result<()> {
        let mut header = FrameHeader { opcode, ..FrameHeader::default() };
        if self.role == Role::Client {
            self.place.mask = new_mask()?;
            header.mask = Some(self.place.mask);
        }
        self.place.left = len;
        self.place.masked = 0;
        header.format(len as u64, &mut self.held).map_err(io::Error::other)
    }

    fn payload(&mut self, part: &[u8]) {
        self.place.left -= part.len();
        if self.role == Role::Server {
            return self.held.extend_from_slice(part);
        }
        let mut mask = self.place.mask;
        mask.rotate_left(self.place.masked % 4);
        self.held.extend(part.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.place.masked += part.len();
    }
}

/// What the peer cannot foresee, so that nobody can make a client write what he likes to a line.
fn new_mask() -> io::Result<[u8; 4]> {
    let mut mask = [0; 4];
    getrandom::fill(&mut mask).map_err(io::Error::from)?;
    Ok(mask)
}

/// What is to be written, and how much of it has been taken.
struct Source<'a, 'b> {
    buffers: &'a [IoSlice<'b>],
    /// How many bytes of the first buffer have been taken.
    offset: usize,
    /// How many bytes have been taken in all.
    passed: usize,
}

impl<'a, 'b> Source<'a, 'b> {
    fn new(buffers: &'a [IoSlice<'b>]) -> Self {
        Self { buffers, offset: 0, passed: 0 }
    }

    /// What lies in one piece; nothing when all has been taken.
    fn rest(&mut self) -> &'a [u8] {
        while let Some((first, others)) = self.buffers.split_first() {
            if self.offset < first.len() {
                return &first[self.offset..];
            }
            self.buffers = others;
            self.offset = 0;
        }
        &[]
    }

    /// Everything has been taken.
    fn pass_all(&mut self) {
        loop {
            match self.rest().len() {
                0 => return,
                len => self.pass(len),
            }
        }
    }

    /// The first `len` bytes of the rest have been taken.
    fn pass(&mut self, len: usize) {
        self.offset += len;
        self.passed += len;
    }
}

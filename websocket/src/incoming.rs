//! Messages out of frames. Bytes go in and come out; nothing here reads or writes a stream.

use std::collections::VecDeque;
use std::io::{self, Cursor, Read, Write};
use std::mem;

use leads_comm::codec::GOODBYE;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Bytes, Error as Failure, Message};

use crate::error::Error;
use crate::frames::Frames;
use crate::outgoing::Answers;

/// How many bytes frames are read by, and how large the buffer is that a silent connection has.
const CHUNK: usize = 4 * 1024;

/// A message has its length before it, towards the library.
const HEAD_LEN: usize = 4;

/// What has arrived and has not been handed out.
pub(crate) struct Incoming {
    context: WebSocketContext,
    role: Role,
    limit: usize,
    frames: Frames,
    /// Whole messages. No more than what the bytes of one read, together with what was there before, can hold.
    ready: VecDeque<Bytes>,
    /// How many bytes of the first of them are handed out, its length among them.
    given: usize,
    end: Option<End>,
}

/// What is told when all that is ready has been handed out.
#[derive(Debug, Clone)]
enum End {
    /// The peer has said Close.
    Regular,
    Failed(Error),
}

impl Incoming {
    pub(crate) fn new(role: Role, limit: usize) -> Self {
        // The context answers pings and a Close by itself, to nobody: `Answers` has them, for the sender's thread.
        let config = WebSocketConfig::default()
            .read_buffer_size(CHUNK)
            .write_buffer_size(0)
            .max_message_size(Some(limit))
            .max_frame_size(Some(limit));
        let context = WebSocketContext::new(role, Some(config));
        Self { context, role, limit, frames: Frames::default(), ready: VecDeque::new(), given: 0, end: None }
    }

    /// Whether a read has an outcome without anything being received.
    pub(crate) fn is_readable(&self) -> bool {
        !self.ready.is_empty() || self.end.is_some()
    }

    /// Whether a message, or a frame, has begun and is not whole.
    pub(crate) fn holds_part(&self) -> bool {
        self.frames.is_within() && self.end.is_none()
    }

    /// Hands out what is ready; `None` when there is nothing, 0 when there will never be more.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Option<io::Result<usize>> {
        let mut filled = 0;
        while let Some(message) = self.ready.front() {
            // None is longer than the limit, which a length can say.
            let head = (message.len() as u32).to_be_bytes();
            let part = match self.given.checked_sub(HEAD_LEN) {
                None => &head[self.given..],
                Some(given) => &message[given..],
            };
            let len = part.len().min(buffer.len() - filled);
            buffer[filled..filled + len].copy_from_slice(&part[..len]);
            filled += len;
            self.given += len;
            if self.given == HEAD_LEN + message.len() {
                self.ready.pop_front();
                self.given = 0;
            } else if filled == buffer.len() {
                break;
            }
        }
        if filled > 0 || buffer.is_empty() {
            return Some(Ok(filled));
        }
        match self.end.as_ref()? {
            End::Regular => Some(Ok(0)),
            End::Failed(error) => Some(Err(error.clone().into())),
        }
    }

    /// Takes in what the stream has brought; nothing is its end. What the peer is to be answered goes to `answers`.
    pub(crate) fn take_in(&mut self, bytes: &[u8], answers: &Answers) {
        if self.end.is_some() {
            // Behind the end, what arrives means nothing.
            return;
        }
        if bytes.is_empty() {
            return self.fail(Error::CutOff);
        }
        self.frames.pass(bytes);
        let mut line = Line(Cursor::new(bytes));
        while self.end.is_none() {
            match self.context.read(&mut line) {
                Ok(Message::Text(text)) => self.ready.push_back(text.into()),
                Ok(Message::Binary(bytes)) => self.ready.push_back(bytes),
                Ok(Message::Ping(data)) => answers.pong(data),
                Ok(Message::Pong(_) | Message::Frame(_)) => {}
                Ok(Message::Close(close)) => self.close(close.map(|close| close.code), answers),
                Err(Failure::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(Failure::Capacity(_)) => {
                    answers.close(CloseCode::Size);
                    self.fail(Error::TooLong { limit: self.limit });
                }
                Err(Failure::Utf8(_)) => {
                    answers.close(CloseCode::Invalid);
                    self.fail(Error::Malformed { what: "text that is not UTF-8".to_owned() });
                }
                Err(error) => {
                    answers.close(CloseCode::Protocol);
                    let what = match error {
                        Failure::Protocol(error) => error.to_string(),
                        error => error.to_string(),
                    };
                    self.fail(Error::Malformed { what });
                }
            }
        }
    }

    /// The goodbye; from a server that lets nobody in, followed by the empty message that says so.
    fn close(&mut self, code: Option<CloseCode>, answers: &Answers) {
        self.ready.push_back(Bytes::from_static(GOODBYE));
        if code == Some(CloseCode::Again) && self.role == Role::Client {
            self.ready.push_back(Bytes::new());
        }
        if let Some(code) = code.filter(|code| code.is_allowed()) {
            answers.note_peer_close(code);
        }
        self.finish(End::Regular);
    }

    fn fail(&mut self, error: Error) {
        self.finish(End::Failed(error));
    }

    /// Gives up what is of no use any more.
    fn finish(&mut self, end: End) {
        self.end = Some(end);
        self.frames = Frames::default();
        let nothing = WebSocketConfig::default().read_buffer_size(0).write_buffer_size(0);
        drop(mem::replace(&mut self.context, WebSocketContext::new(self.role, Some(nothing))));
    }
}

/// The bytes that have arrived, as a stream that has nothing more to say yet, and to which everything can be said.
struct Line<'a>(Cursor<&'a [u8]>);

impl Read for Line<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

//! Frames made by hand, right ones and others, and a peer that sends them.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use leads_comm::transport::{Stream, memory};
use leads_comm_websocket::{Settings, WebSocketStream};

use crate::support::in_time;

pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8a;

const MASK: [u8; 4] = [0x5a, 0x00, 0xff, 0x11];

/// A frame as a client sends it, with this first byte.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(first, 0x80, payload.len() as u64);
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The head of a frame without its mask.
pub(crate) fn head(first: u8, mask_bit: u8, len: u64) -> Vec<u8> {
    let mut head = vec![first];
    match len {
        0..126 => head.push(mask_bit | len as u8),
        126..65_536 => {
            head.push(mask_bit | 126);
            head.extend((len as u16).to_be_bytes());
        }
        _ => {
            head.push(mask_bit | 127);
            head.extend(len.to_be_bytes());
        }
    }
    head
}

/// A line on which these chunks arrive, one with each read, and then the end.
struct Script {
    chunks: Mutex<VecDeque<Vec<u8>>>,
    written: Arc<Mutex<Vec<u8>>>,
    /// How many bytes it takes before it would block.
    room: Arc<AtomicUsize>,
}

impl Stream for Script {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut chunks = self.chunks.lock().unwrap();
        let Some(chunk) = chunks.front_mut() else { return Ok(0) };
        let len = chunk.len().min(buffer.len());
        buffer[..len].copy_from_slice(&chunk[..len]);
        chunk.drain(..len);
        if chunk.is_empty() {
            chunks.pop_front();
        }
        Ok(len)
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.written.lock().unwrap().write_vectored(buffers)
    }

    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let room = self.room.load(Ordering::Relaxed);
        let bytes: Vec<u8> = buffers.iter().flat_map(|buffer| buffer.iter().copied()).take(room).collect();
        if bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.room.fetch_sub(bytes.len(), Ordering::Relaxed);
        self.write_vectored(&[IoSlice::new(&bytes)])
    }

    fn shutdown(&self, _: Shutdown) -> io::Result<()> {
        Ok(())
    }

    fn peer(&self) -> String {
        "a script".to_owned()
    }
}

/// A server's end of a WebSocket whose peer sends these chunks, and what it is answered.
pub(crate) fn scripted(chunks: Vec<Vec<u8>>) -> (WebSocketStream, Arc<Mutex<Vec<u8>>>) {
    let written = Arc::default();
    let chunks = chunks.into_iter().filter(|chunk| !chunk.is_empty()).collect();
    let room = Arc::new(AtomicUsize::new(usize::MAX));
    let script = Script { chunks: Mutex::new(chunks), written: Arc::clone(&written), room };
    (WebSocketStream::upgraded(Box::new(script), &[], &Settings::new()), written)
}

/// One whose line takes nothing yet: what has been written, and how much more it takes.
pub(crate) fn blocked() -> (WebSocketStream, Arc<Mutex<Vec<u8>>>, Arc<AtomicUsize>) {
    let (written, room) = (Arc::default(), Arc::default());
    let script = Script { chunks: Mutex::default(), written: Arc::clone(&written), room: Arc::clone(&room) };
    (WebSocketStream::upgraded(Box::new(script), &[], &Settings::new()), written, room)
}

/// A server's end of a WebSocket, and the peer's end of the line below it.
pub(crate) fn line(settings: &Settings) -> (WebSocketStream, Box<dyn Stream>) {
    let (below, peer) = memory::pair();
    (WebSocketStream::upgraded(Box::new(below), &[], settings), Box::new(peer))
}

pub(crate) fn write(stream: &dyn Stream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let count = stream.write_vectored(&[IoSlice::new(bytes)]).unwrap();
        bytes = &bytes[count..];
    }
    stream.flush().unwrap();
}

/// Everything up to the end, and the error that is the end, if it is one.
pub(crate) fn read_to_end(stream: &dyn Stream) -> (Vec<u8>, Option<io::Error>) {
    let (mut all, mut chunk) = (Vec::new(), [0; 1000]);
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return (all, None),
            Ok(count) => all.extend_from_slice(&chunk[..count]),
            Err(error) => return (all, Some(error)),
        }
    }
}

/// What the library is given of what a peer sends before it ends the line, what it ends with, and what the peer is
/// answered.
pub(crate) fn given(settings: &Settings, bytes: &[u8]) -> (Vec<u8>, Option<io::Error>, Vec<u8>) {
    let (stream, peer) = line(settings);
    let bytes = bytes.to_vec();
    in_time("reading what a peer sends", move || {
        write(&*peer, &bytes);
        let _ = peer.shutdown(Shutdown::Write);
        let (all, error) = read_to_end(&stream);
        drop(stream);
        (all, error, read_to_end(&*peer).0)
    })
}

/// A message as the library has it.
pub(crate) fn message(payload: &[u8]) -> Vec<u8> {
    [&(payload.len() as u32).to_be_bytes(), payload].concat()
}

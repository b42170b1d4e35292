//! Any bytes, as messages: what the checks of streams write is none, and a WebSocket carries nothing else.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use leads_comm::codec::GOODBYE;
use leads_comm::transport::{Descriptor, Stream};

/// How long a message is at most, in bytes.
const LONGEST: usize = 20_000;

/// Puts a length before what is written at once, and takes it away from what is read.
pub(crate) struct Messages {
    stream: Box<dyn Stream>,
    incoming: Mutex<Incoming>,
    /// What has been taken and not been handed on.
    outgoing: Mutex<Vec<u8>>,
}

#[derive(Default)]
struct Incoming {
    head: Vec<u8>,
    left: usize,
    /// Bytes of messages.
    ready: Vec<u8>,
    ended: bool,
}

impl Messages {
    pub(crate) fn over(stream: Box<dyn Stream>) -> Box<dyn Stream> {
        Box::new(Self { stream, incoming: Mutex::default(), outgoing: Mutex::default() })
    }

    fn outgoing(&self) -> MutexGuard<'_, Vec<u8>> {
        self.outgoing.lock().unwrap()
    }
}

fn message(buffers: &[IoSlice<'_>]) -> (Vec<u8>, usize) {
    let mut payload: Vec<u8> = buffers.iter().flat_map(|buffer| buffer.iter().copied()).take(LONGEST).collect();
    if payload == GOODBYE {
        payload.pop();
    }
    ([&(payload.len() as u32).to_be_bytes(), &payload[..]].concat(), payload.len())
}

impl Incoming {
    fn take_in(&mut self, mut bytes: &[u8]) {
        while let Some((first, rest)) = bytes.split_first() {
            if self.left > 0 {
                let len = self.left.min(bytes.len());
                self.ready.extend(&bytes[..len]);
                self.left -= len;
                bytes = &bytes[len..];
                continue;
            }
            self.head.push(*first);
            bytes = rest;
            if let Some(head) = self.head.first_chunk() {
                self.left = u32::from_be_bytes(*head) as usize;
                self.head.clear();
            }
        }
    }
}

impl Stream for Messages {
    fn below(&self) -> Option<&dyn Stream> {
        Some(&*self.stream)
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut incoming = self.incoming.lock().unwrap();
        loop {
            // Its goodbye is no message of the checks.
            if incoming.ready == GOODBYE {
                incoming.ready.clear();
                incoming.ended = true;
            }
            let may_be_goodbye = GOODBYE.starts_with(&incoming.ready) && incoming.left > 0;
            if !incoming.ready.is_empty() && !may_be_goodbye {
                let len = incoming.ready.len().min(buffer.len());
                buffer[..len].copy_from_slice(&incoming.ready[..len]);
                incoming.ready.drain(..len);
                return Ok(len);
            }
            let mut chunk = vec![0; 4096];
            match self.stream.read(&mut chunk)? {
                0 => return Ok(0),
                count => incoming.take_in(&chunk[..count]),
            }
        }
    }

    /// Messages are whole: what can be read below holds a byte of one.
    fn wait_readable(&self, time: Duration) -> io::Result<bool> {
        if !self.incoming.lock().unwrap().ready.is_empty() {
            return Ok(true);
        }
        self.stream.wait_readable(time)
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let (message, len) = message(buffers);
        let count = self.stream.write_vectored(&[IoSlice::new(&message)])?;
        self.outgoing().extend(&message[count..]);
        Ok(len)
    }

    fn flush(&self) -> io::Result<()> {
        let mut outgoing = self.outgoing();
        self.stream.flush()?;
        while !outgoing.is_empty() {
            let count = self.stream.write_vectored(&[IoSlice::new(&outgoing)])?;
            outgoing.drain(..count);
            self.stream.flush()?;
        }
        Ok(())
    }

    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let (message, len) = message(buffers);
        let count = self.stream.try_write_vectored(&[IoSlice::new(&message)])?;
        self.outgoing().extend(&message[count..]);
        Ok(len)
    }

    fn try_flush(&self) -> io::Result<()> {
        let mut outgoing = self.outgoing();
        self.stream.try_flush()?;
        while !outgoing.is_empty() {
            let count = self.stream.try_write_vectored(&[IoSlice::new(&outgoing)])?;
            outgoing.drain(..count);
            self.stream.try_flush()?;
        }
        Ok(())
    }

    fn poll_fd(&self) -> Option<Descriptor<'_>> {
        self.stream.poll_fd()
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how == Shutdown::Write && self.outgoing.try_lock().map_or(true, |outgoing| !outgoing.is_empty()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.stream.shutdown(how)
    }

    fn peer(&self) -> String {
        self.stream.peer()
    }
}

//! Nothing but closing the socket wakes a call of Windows that blocks in it, and that would be too early: so none does.
//! Threads wait by polling the socket together with a wake-up of its own.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::PollFlags;
use socket2::SockRef;

use crate::transport::socket::poll::{Wake, is_broken, wait_for};

/// How much a call writes at most, in bytes. A socket that does not block takes all that it is given, in one call, as
/// long as less lies in its buffer than the buffer holds: a message of a gigabyte would be in the system, and out of
/// reach of every limit.
const MOST: usize = 256 * 1024;

/// How many buffers a call gives at most: as many as elsewhere. Windows names no number, but those who stand in for it
/// have one.
const MOST_BUFFERS: usize = 1024;

#[derive(Debug)]
pub(in crate::transport::tcp) struct TcpSocket {
    socket: TcpStream,
    /// Set once, when reading and writing have been ended here.
    ended: AtomicBool,
    end: Wake,
    aborted: AtomicBool,
}

impl TcpSocket {
    /// Makes the socket non-blocking, and with it all clones of it.
    pub(in crate::transport::tcp) fn new(socket: TcpStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self { socket, ended: AtomicBool::new(false), end: Wake::new()?, aborted: AtomicBool::new(false) })
    }

    /// One that is nobody else's. Processes that are started inherit what the standard library accepts, in Wine at least,
    /// and would keep the connection for as long as they run.
    pub(in crate::transport::tcp) fn own(socket: TcpStream) -> io::Result<Self> {
        SockRef::from(&socket).set_no_inherit(true)?;
        Self::new(socket)
    }

    pub(in crate::transport::tcp) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.ended.load(Ordering::SeqCst) {
                return Ok(0);
            }
            match (&self.socket).read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(PollFlags::IN, None)?,
                // Wine, which stands in for Windows, often tells of a reset in no other way.
                Ok(0) if !buffer.is_empty() && is_broken(&self.socket) => {
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
                result => return result,
            };
        }
    }

    pub(in crate::transport::tcp) fn wait_readable(&self, time: Duration) -> io::Result<bool> {
        self.wait(PollFlags::IN, Some(time))
    }

    /// Blocks until some of it is taken.
    pub(in crate::transport::tcp) fn write(&self, buffers: &[IoSlice<'_>], complete: bool) -> io::Result<usize> {
        loop {
            match self.try_write(buffers, complete) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(PollFlags::OUT, None)?,
                result => return result,
            };
        }
    }

    /// That what it writes is `complete` cannot be said here.
    pub(in crate::transport::tcp) fn try_write(&self, buffers: &[IoSlice<'_>], _complete: bool) -> io::Result<usize> {
        if self.ended.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        match no_more_than(MOST, &buffers[..buffers.len().min(MOST_BUFFERS)]) {
            Part::First(bytes) => (&self.socket).write(bytes),
            Part::All(buffers) => (&self.socket).write_vectored(buffers),
        }
    }

    pub(in crate::transport::tcp) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how != Shutdown::Write {
            self.end();
        }
        // After `abort` a regular end would hide the reset.
        if self.aborted.load(Ordering::SeqCst) { Ok(()) } else { self.socket.shutdown(how) }
    }

    /// Ends it by a reset, which the peer sees when the socket is dropped.
    pub(in crate::transport::tcp) fn abort(&self) -> io::Result<()> {
        self.aborted.store(true, Ordering::SeqCst);
        self.end();
        SockRef::from(&self.socket).set_linger(Some(Duration::ZERO))
    }

    fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.end.set();
    }

    /// Waits until the socket is ready, or this has been ended, at most for `time`; whether one of them is.
    fn wait(&self, ready: PollFlags, time: Option<Duration>) -> io::Result<bool> {
        wait_for(&self.socket, ready, &self.end, time)
    }
}

impl Deref for TcpSocket {
    type Target = TcpStream;

    fn deref(&self) -> &TcpStream {
        &self.socket
    }
}

enum Part<'a> {
    First(&'a [u8]),
    All(&'a [IoSlice<'a>]),
}

/// As many whole buffers as have no more than so many bytes; or as much of the first one that has any.
fn no_more_than<'a>(most: usize, buffers: &'a [IoSlice<'a>]) -> Part<'a> {
    let mut left = most;
    let whole = buffers.iter().take_while(|buffer| {
        let fits = buffer.len() <= left;
        left = left.saturating_sub(buffer.len());
        fits
    });
    let count = whole.count();
    match buffers.get(count) {
        Some(first) if buffers[..count].iter().all(|buffer| buffer.is_empty()) => Part::First(&first[..most]),
        _ => Part::All(&buffers[..count]),
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn writes_take_no_more_than_they_may() {
        for (lens, taken) in [
            (&[][..], &[][..]),
            (&[0], &[0]),
            (&[4], &[4]),
            (&[5], &[4]),
            (&[0, 5], &[4]),
            (&[1, 2, 1, 1], &[1, 2, 1]),
            (&[1, 9, 1], &[1]),
            (&[2, 0, 2, 0], &[2, 0, 2, 0]),
        ] {
            let bytes = [0; 9];
            let buffers: Vec<_> = lens.iter().map(|len| IoSlice::new(&bytes[..*len])).collect();
            let part = match no_more_than(4, &buffers) {
                Part::First(bytes) => vec![bytes.len()],
                Part::All(buffers) => buffers.iter().map(|buffer| buffer.len()).collect(),
            };
            assert_eq!(part, taken, "{lens:?}");
        }
    }
}

//! Reading and writing sockets of any kind, where each call can say how it is meant.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};

/// How many buffers the systems take in one call (`IOV_MAX`); more would be an error.
const MOST_BUFFERS: usize = 1024;

/// How long a write that blocks relies on the system to say that it can go on.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 250_000_000 };

/// Blocks until there is something, also where the program has made the socket non-blocking, or uses it so elsewhere.
pub(crate) fn read(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match rustix::net::recv(&socket, &mut *buffer, RecvFlags::empty()) {
            Ok((count, _)) => return Ok(count),
            Err(Errno::WOULDBLOCK) => {
                poll(&mut [PollFd::new(&socket, PollFlags::IN)], None)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Blocks until some of it is taken. The system wakes a thread that blocks in writing only when there is much room
/// again, a third of up to 4 MiB for TCP, so that a peer who reads slowly would seem to take nothing for minutes: it is
/// tried in between.
pub(crate) fn write(socket: impl AsFd, buffers: &[IoSlice<'_>], complete: bool) -> io::Result<usize> {
    loop {
        match try_write(&socket, buffers, complete) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                poll(&mut [PollFd::new(&socket, PollFlags::OUT)], Some(&PATIENCE))?;
            }
            result => return result,
        }
    }
}

/// Per call, because a non-blocking descriptor would not block the reader either. What is `complete` the system puts
/// nothing behind in the same packet.
pub(crate) fn try_write(socket: impl AsFd, buffers: &[IoSlice<'_>], complete: bool) -> io::Result<usize> {
    let mut flags = SendFlags::DONTWAIT;
    flags.set(SendFlags::EOR, complete);
    send(socket, buffers, flags)
}

/// Writes without the signal that would kill a process which has put the default handling of `SIGPIPE` back.
fn send(socket: impl AsFd, buffers: &[IoSlice<'_>], flags: SendFlags) -> io::Result<usize> {
    #[cfg(not(target_vendor = "apple"))]
    let flags = flags | SendFlags::NOSIGNAL;
    if let [buffer] = buffers {
        return Ok(rustix::net::send(socket, buffer, flags)?);
    }
    let buffers = &buffers[..buffers.len().min(MOST_BUFFERS)];
    Ok(rustix::net::sendmsg(socket, buffers, &mut SendAncillaryBuffer::default(), flags)?)
}

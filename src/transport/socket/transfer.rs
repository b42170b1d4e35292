//! Reading and writing sockets of any kind, where each call can say how it is meant, as far as the system lets it.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};

/// How many buffers the systems take in one call (`IOV_MAX`); more would be an error.
const MOST_BUFFERS: usize = 1024;

/// How many bytes macOS takes in one call; more would be an error there. Others take a part.
#[cfg(target_vendor = "apple")]
const MOST_BYTES: usize = i32::MAX as usize;

/// Whether a write can say for itself that it is not to block. macOS and NetBSD take `MSG_DONTWAIT` for the turn among
/// those who write, and wait for room all the same: there the socket has to be non-blocking.
const EACH_SAYS: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_os = "dragonfly",
    target_os = "freebsd",
    target_os = "openbsd",
));

/// How long a write that blocks relies on the system to say that it can go on.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 250_000_000 };

/// Prepares a socket for the functions below. Whether it blocks concerns all its clones: of one that the program may
/// have as well, that is changed only where it must be. One that is nobody else's blocks then, without being asked
/// whether it would, except there.
pub(crate) fn prepare(socket: impl AsFd, is_own: bool) -> io::Result<()> {
    if is_own || !EACH_SAYS {
        rustix::io::ioctl_fionbio(&socket, !EACH_SAYS)?;
    }
    // Where calls cannot ask for no signal. One that has ended takes no options, and most have it already, from those
    // who made them.
    #[cfg(target_vendor = "apple")]
    let _ = socket2::SockRef::from(&socket).set_nosigpipe(true);
    Ok(())
}

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
    #[cfg(target_vendor = "apple")]
    let buffers = no_more_than(MOST_BYTES, buffers);
    match buffers {
        // An error there.
        #[cfg(target_vendor = "apple")]
        [] => return Ok(0),
        #[cfg(target_vendor = "apple")]
        [buffer] if buffer.len() > MOST_BYTES => return Ok(rustix::net::send(socket, &buffer[..MOST_BYTES], flags)?),
        [buffer] => return Ok(rustix::net::send(socket, buffer, flags)?),
        _ => {}
    }
    let buffers = &buffers[..buffers.len().min(MOST_BUFFERS)];
    Ok(rustix::net::sendmsg(socket, buffers, &mut SendAncillaryBuffer::default(), flags)?)
}

/// The first buffers that have something: as many as have no more than so many bytes together, or one that has more.
#[cfg(any(target_vendor = "apple", all(test, not(loom))))]
fn no_more_than<'a>(most: usize, buffers: &'a [IoSlice<'a>]) -> &'a [IoSlice<'a>] {
    let first = buffers.iter().position(|buffer| !buffer.is_empty()).unwrap_or_default();
    let buffers = &buffers[first..];
    let mut left = most;
    let fitting = buffers.iter().take_while(|buffer| {
        let fits = buffer.len() <= left;
        left = left.saturating_sub(buffer.len());
        fits
    });
    &buffers[..fitting.count().max(1).min(buffers.len())]
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_call_gives_no_more_than_it_may() {
        for (lens, given) in [
            (&[][..], &[][..]),
            (&[0], &[0]),
            (&[4], &[4]),
            (&[5], &[5]),
            (&[0, 5], &[5]),
            (&[0, 0, 1], &[1]),
            (&[1, 2, 1, 1], &[1, 2, 1]),
            (&[1, 9, 1], &[1]),
            (&[2, 0, 2, 0], &[2, 0, 2, 0]),
        ] {
            let bytes = [0; 9];
            let buffers: Vec<_> = lens.iter().map(|len| IoSlice::new(&bytes[..*len])).collect();
            let part: Vec<_> = no_more_than(4, &buffers).iter().map(|buffer| buffer.len()).collect();
            assert_eq!(part, given, "{lens:?}");
        }
    }
}

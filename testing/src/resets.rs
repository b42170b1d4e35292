//! Resets, as programs see them.

use std::io::{self, Read};
#[cfg(windows)]
use std::os::windows::io::AsSocket;

/// A socket of the system's.
#[cfg(unix)]
pub trait Socket {}
#[cfg(unix)]
impl<S> Socket for S {}

/// A socket of the system's.
#[cfg(windows)]
pub trait Socket: AsSocket {}
#[cfg(windows)]
impl<S: AsSocket> Socket for S {}

/// Reads what there is; a reset is an error, also where the system tells of it in another way.
pub fn read<S: Socket>(socket: &S, bytes: &mut [u8]) -> io::Result<usize>
where
    for<'a> &'a S: Read,
{
    let mut from = socket;
    match from.read(bytes) {
        #[cfg(windows)]
        Ok(0) if !bytes.is_empty() && is_broken(socket) => Err(io::ErrorKind::ConnectionReset.into()),
        result => result,
    }
}

/// Whether the system has an error for a socket: Wine 8 reads the end of the stream behind a reset, and polls an error.
#[cfg(windows)]
fn is_broken(socket: &impl AsSocket) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::new(socket, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::default())).is_ok() && fds[0].revents().contains(PollFlags::ERR)
}

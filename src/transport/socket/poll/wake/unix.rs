use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

/// Polls readable from [`set`](Self::set) until [`clear`](Self::clear).
#[derive(Debug)]
pub(crate) struct Wake {
    setting: UnixStream,
    polled: UnixStream,
}

impl Wake {
    pub(crate) fn new() -> io::Result<Self> {
        let (setting, polled) = UnixStream::pair()?;
        setting.set_nonblocking(true)?;
        polled.set_nonblocking(true)?;
        Ok(Self { setting, polled })
    }

    pub(crate) fn set(&self) {
        // Otherwise it fails only when the pipe is full, and then it is set already: both ends live as long as `self`.
        while (&self.setting).write(&[0]).is_err_and(|error| error.kind() == ErrorKind::Interrupted) {}
    }

    pub(crate) fn clear(&self) {
        let mut drained = [0; 64];
        while (&self.polled).read(&mut drained).is_ok_and(|len| len == drained.len()) {}
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.polled.as_fd()
    }
}

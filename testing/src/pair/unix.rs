use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use leads_comm::transport::Descriptor;

/// A socket that is writable until it is filled, because nobody reads the other one.
pub struct Pair {
    written: UnixStream,
    _unread: UnixStream,
}

impl Pair {
    #[allow(clippy::new_without_default, reason = "it opens sockets")]
    /// One that is writable.
    pub fn new() -> Self {
        let (written, unread) = UnixStream::pair().unwrap();
        written.set_nonblocking(true).unwrap();
        Self { written, _unread: unread }
    }

    /// From now on it takes nothing.
    pub fn fill(&self) {
        while (&self.written).write(&[0; 4096]).is_ok() {}
    }

    /// That of the socket.
    pub fn descriptor(&self) -> Descriptor<'_> {
        self.written.as_fd()
    }
}

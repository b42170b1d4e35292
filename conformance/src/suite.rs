//! What is expected of a transport.

use std::time::Duration;

#[cfg(doc)]
use leads_comm::transport::{Listener, Stream};

/// What is expected of a transport, and the checks that hold it to that.
///
/// What every transport has to do is always expected. What it may leave out is said by the methods that take a `bool`;
/// each is checked either way, because the library counts on both answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suite {
    pub(crate) half_close: bool,
    pub(crate) ends: bool,
    pub(crate) try_write: bool,
    pub(crate) poll_fd: bool,
    pub(crate) wait_readable: bool,
    pub(crate) accept_for: bool,
    pub(crate) holds: usize,
    pub(crate) bulk: usize,
    pub(crate) time: Duration,
}

impl Suite {
    /// Expects everything that there is: every method with a default does more than the default.
    #[allow(clippy::new_without_default, reason = "`basic` would be one just as well")]
    pub fn new() -> Self {
        Self {
            half_close: true,
            ends: true,
            try_write: true,
            poll_fd: true,
            wait_readable: true,
            accept_for: true,
            holds: 64 * 1024 * 1024,
            bulk: 4 * 1024 * 1024,
            time: Duration::from_secs(20),
        }
    }

    /// Expects what a transport does that has written no more methods than it must.
    pub fn basic() -> Self {
        Self { try_write: false, poll_fd: false, wait_readable: false, accept_for: false, ..Self::new() }
    }

    /// Whether [`shutdown(Write)`](Stream::shutdown) ends one half and leaves the other open. Without it, what is sent
    /// while the other side closes is lost.
    #[must_use]
    pub fn half_close(mut self, expected: bool) -> Self {
        self.half_close = expected;
        self
    }

    /// Whether a peer learns that the stream has ended ([`has_end`](Stream::has_end)); not over a bare line, for
    /// instance. Without it, nothing is expected of a half close either.
    #[must_use]
    pub fn ends(mut self, expected: bool) -> Self {
        self.ends = expected;
        self
    }

    /// Whether there is a [`try_write_vectored`](Stream::try_write_vectored).
    #[must_use]
    pub fn try_write(mut self, expected: bool) -> Self {
        self.try_write = expected;
        self
    }

    /// Whether there is a [`poll_fd`](Stream::poll_fd); looked at where there is a [`try_write`](Self::try_write).
    #[must_use]
    pub fn poll_fd(mut self, expected: bool) -> Self {
        self.poll_fd = expected;
        self
    }

    /// Whether there is a [`wait_readable`](Stream::wait_readable).
    #[must_use]
    pub fn wait_readable(mut self, expected: bool) -> Self {
        self.wait_readable = expected;
        self
    }

    /// Whether there is an [`accept_for`](Listener::accept_for).
    #[must_use]
    pub fn accept_for(mut self, expected: bool) -> Self {
        self.accept_for = expected;
        self
    }

    /// More bytes than a stream ever takes that its peer does not read. Default 64 MiB.
    #[must_use]
    pub fn holds(mut self, bytes: usize) -> Self {
        self.holds = bytes;
        self
    }

    /// How many bytes go each way where it has to be many. Default 4 MiB; more than a stream
    /// [holds](Self::holds) finds more.
    #[must_use]
    pub fn bulk(mut self, bytes: usize) -> Self {
        self.bulk = bytes;
        self
    }

    /// How long one check may take. Default 20 s; none takes a second where nothing is wrong, and the line is not slow.
    #[must_use]
    pub fn time(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }
}

//! Checks for transports: whether what a program brings keeps to what [`Stream`], [`Listener`] and [`Connector`] ask
//! for.
//!
//! For tests: what fails panics, with every check that failed and what was wrong. A check that hangs is reported as
//! such, after a time limit of its own and with the call that does not return, and the others go on; its threads, which
//! nothing can end, are left behind until the process ends.
//!
//! # Examples
//!
//! ```
//! use leads_comm::transport::conformance::Suite;
//! use leads_comm::transport::memory;
//!
//! // A stream in memory has no descriptor that could be polled, and cannot wait for something to read.
//! let suite = Suite::new().poll_fd(false).wait_readable(false);
//! suite.check_streams(|| {
//!     let (one, other) = memory::pair();
//!     (Box::new(one), Box::new(other))
//! });
//! suite.check_listener(|| {
//!     let (listener, connector) = memory::listener();
//!     (Box::new(listener), Box::new(connector), "the address is not looked at".into())
//! });
//! ```
//!
//! [`Suite::new`] expects everything that a transport can have. What one leaves out is said, as here; one with no more
//! methods than it must have begins with [`Suite::basic`]. Where a check says `Unsupported`, that is what is missing.
//!
//! A check can be run by itself, for instance in a test of its own, or under a debugger:
//!
//! ```
//! use leads_comm::transport::conformance::{StreamCheck, Suite};
//! use leads_comm::transport::memory;
//!
//! let outcome = StreamCheck::FullDuplex.run(&Suite::new(), || {
//!     let (one, other) = memory::pair();
//!     (Box::new(one), Box::new(other))
//! });
//! assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
//! ```
//!
//! A transport may have more to it than can be seen from here: that bytes survive a slow or broken line, that a
//! listener outlives every error, what is logged. The checks see both ends, and nothing between them.

mod bytes;
mod connector;
mod context;
mod failure;
mod listener;
mod streams;
mod stuck;

use std::time::Duration;

use super::{Connector, Listener, Stream};

pub use failure::Failure;
pub use listener::ListenerCheck;
pub use streams::StreamCheck;

/// What is expected of a transport, and the checks that hold it to that.
///
/// What every transport has to do is always expected. What it may leave out is said by the methods that take a `bool`;
/// each is checked either way, because the library counts on both answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suite {
    half_close: bool,
    ends: bool,
    try_write: bool,
    poll_fd: bool,
    wait_readable: bool,
    accept_for: bool,
    holds: usize,
    bulk: usize,
    time: Duration,
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

    /// Whether there is a `poll_fd` (see [`Stream`]); looked at where there is such a thing, which is on Unix, and
    /// where there is a [`try_write`](Self::try_write).
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

    /// Runs every check of streams, on pairs of which each end is the other one's peer; once for each end.
    ///
    /// A pair is made for each check, and has not done its [handshake](Stream::handshake).
    ///
    /// # Panics
    ///
    /// Panics when one of them fails, with all that do.
    #[track_caller]
    pub fn check_streams(&self, make: impl Fn() -> (Box<dyn Stream>, Box<dyn Stream>) + Clone + Send + 'static) {
        let failures = StreamCheck::ALL.iter().filter_map(|check| check.run(self, make.clone()).err());
        report("stream", StreamCheck::ALL.len(), failures.collect());
    }

    /// Runs every check of listeners, on listeners together with a connector that reaches them, and the address that it
    /// is to be given.
    ///
    /// The streams that come of them are not looked at any closer; [`check_streams`](Self::check_streams) does that.
    ///
    /// # Panics
    ///
    /// Panics when one of them fails, with all that do.
    #[track_caller]
    pub fn check_listener(
        &self,
        make: impl Fn() -> (Box<dyn Listener>, Box<dyn Connector>, String) + Clone + Send + 'static,
    ) {
        let failures = ListenerCheck::ALL.iter().filter_map(|check| check.run(self, make.clone()).err());
        report("listener", ListenerCheck::ALL.len(), failures.collect());
    }

    /// Checks that [`Connector::stop`] ends a [`connect`](Connector::connect) which nobody answers, and every later
    /// one, given a connector and an address where nobody does.
    ///
    /// # Panics
    ///
    /// Panics when it does not.
    #[track_caller]
    pub fn check_connector(&self, make: impl Fn() -> (Box<dyn Connector>, String) + Clone + Send + 'static) {
        report("connector", 1, connector::run(self, make).err().into_iter().collect());
    }
}

/// Panics if there are failures.
#[track_caller]
fn report(what: &str, of: usize, failures: Vec<Failure>) {
    if failures.is_empty() {
        return;
    }
    let lines: Vec<String> = failures.iter().map(|failure| format!("\n  {failure}")).collect();
    panic!("{} of {of} checks of the {what} failed:{}", failures.len(), lines.concat());
}

//! What a failed accept means, and how long accepting rests after it.

use std::io;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::transport::socket::accept::is_out_of_descriptors;

/// How long accepting rests after a failure, first and at most: it doubles while failures go on.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How many failures of one caller each are passed over, with nobody accepted and no such time in between. From then on
/// each costs a short pause: they may be the system's affair after all.
const CALLERS: u32 = 64;
const QUIET: Duration = Duration::from_secs(1);

/// What a failure of accept says of the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AcceptFailure {
    /// Nothing: one caller could not be accepted.
    OfOneCaller,
    /// It fails as well, until a descriptor is free.
    NoDescriptor,
    /// It probably fails as well, for a while.
    Other,
}

impl AcceptFailure {
    pub(super) fn of(error: &io::Error) -> Self {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
        match error.kind() {
            ConnectionAborted | ConnectionReset | Interrupted => Self::OfOneCaller,
            _ if is_out_of_descriptors(error) => Self::NoDescriptor,
            _ if OF_ONE_CALLER.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error())) => {
                Self::OfOneCaller
            }
            _ => Self::Other,
        }
    }
}

/// On Linux, accept also returns the network's errors that already wait on the new socket, and the firewall's: see
/// accept(2).
const OF_ONE_CALLER: &[Errno] = &[
    Errno::CONNABORTED,
    #[cfg(unix)]
    Errno::PROTO,
    #[cfg(unix)]
    Errno::PERM,
    // Wine says it of a caller that has left by a reset.
    #[cfg(windows)]
    Errno::NOTCONN,
    Errno::NETDOWN,
    Errno::NETUNREACH,
    Errno::NOPROTOOPT,
    Errno::HOSTDOWN,
    #[cfg(target_os = "linux")]
    Errno::NONET,
    Errno::HOSTUNREACH,
    Errno::OPNOTSUPP,
    Errno::TIMEDOUT,
    Errno::WOULDBLOCK,
];

/// How long to rest, after what has gone wrong so far.
#[derive(Debug)]
pub(super) struct AcceptPause {
    pause: Duration,
    /// Failures of one caller each, and when the last one was.
    callers: u32,
    last: Option<Instant>,
}

impl Default for AcceptPause {
    fn default() -> Self {
        Self { pause: FIRST_PAUSE, callers: 0, last: None }
    }
}

impl AcceptPause {
    /// Somebody has been accepted.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// The next pause is a short one again.
    pub(super) fn reset_pause(&mut self) {
        self.pause = FIRST_PAUSE;
    }

    /// After a failure of one caller: whether to accept again at once. Not when they come without end.
    pub(super) fn passes_over(&mut self, now: Instant) -> bool {
        let last = self.last.replace(now);
        if last.is_some_and(|last| now.saturating_duration_since(last) >= QUIET) {
            self.callers = 0;
        }
        self.callers = self.callers.saturating_add(1);
        self.callers <= CALLERS
    }

    /// How long to rest now.
    pub(super) fn pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = LONGEST_PAUSE.min(2 * pause);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_second() {
        let mut pauses = AcceptPause::default();
        let milliseconds: Vec<_> = (0..10).map(|_| pauses.pause().as_millis()).collect();
        assert_eq!(milliseconds, [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        pauses.reset();
        assert_eq!(pauses.pause(), FIRST_PAUSE);
    }

    #[test]
    fn failures_of_callers_are_passed_over_unless_they_come_without_end() {
        let mut pauses = AcceptPause::default();
        let start = Instant::now();
        assert!((0..CALLERS).all(|_| pauses.passes_over(start)));
        assert!(!pauses.passes_over(start));
        pauses.reset();
        assert!(pauses.passes_over(start));
        // One now and then is nothing.
        assert!((1..10 * CALLERS).all(|number| pauses.passes_over(start + number * QUIET)));
    }

    #[test]
    fn errors_are_told_apart_by_whom_they_concern() {
        let of = |errno: Errno| AcceptFailure::of(&io::Error::from_raw_os_error(errno.raw_os_error()));
        #[cfg(unix)]
        for errno in [Errno::PROTO, Errno::PERM, Errno::AGAIN, Errno::INTR] {
            assert_eq!(of(errno), AcceptFailure::OfOneCaller, "{errno:?}");
        }
        for errno in [Errno::CONNABORTED, Errno::NETDOWN, Errno::HOSTUNREACH, Errno::WOULDBLOCK] {
            assert_eq!(of(errno), AcceptFailure::OfOneCaller, "{errno:?}");
        }
        for errno in [Errno::OPNOTSUPP, Errno::TIMEDOUT, Errno::CONNRESET] {
            assert_eq!(of(errno), AcceptFailure::OfOneCaller, "{errno:?}");
        }
        #[cfg(unix)]
        assert_eq!(of(Errno::NFILE), AcceptFailure::NoDescriptor);
        assert_eq!(of(Errno::MFILE), AcceptFailure::NoDescriptor);
        for errno in [Errno::NOBUFS, Errno::INVAL, Errno::BADF] {
            assert_eq!(of(errno), AcceptFailure::Other, "{errno:?}");
        }
    }
}

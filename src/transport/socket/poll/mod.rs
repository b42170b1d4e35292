//! Waiting for streams and for other threads at once.

mod wake;

use std::io;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use rustix::io::Errno;

use crate::sync::later;
use crate::transport::Stream;
pub(crate) use wake::Wake;

/// The longest time that every system takes: many count milliseconds in 31 bits. Waiting less is no harm, because
/// every caller looks at the clock.
const LONGEST: Duration = Duration::from_millis(i32::MAX as u64);

/// Whether something has arrived that nobody has read, as far as the system can tell. Asks the system and not the
/// stream, whose reader may be in it.
pub(crate) fn has_unread(stream: &dyn Stream) -> bool {
    stream.poll_fd().is_some_and(|fd| wait_readable(&fd, Duration::ZERO).unwrap_or(false))
}

/// Blocks until `source` is readable, has ended or is broken, at most for `time`; whether it is. A signal is no reason
/// to wait less.
pub(crate) fn wait_readable(source: &impl AsFd, time: Duration) -> io::Result<bool> {
    poll_for(&mut [PollFd::new(source, PollFlags::IN)], time)
}

/// Blocks until `source` is `ready`, or broken, or the wake-up is set, at most for `time`; whether one of them is.
#[cfg(windows)]
pub(crate) fn wait_for(source: &impl AsFd, ready: PollFlags, wake: &Wake, time: Option<Duration>) -> io::Result<bool> {
    let mut fds = [PollFd::new(source, ready), PollFd::new(wake, PollFlags::IN)];
    poll_for(&mut fds, time.unwrap_or(Duration::MAX))
}

/// Whether the system has an error for `source`, such as a reset; a regular end is none.
#[cfg(windows)]
pub(crate) fn is_broken(source: &impl AsFd) -> bool {
    let mut fds = [PollFd::new(source, PollFlags::IN)];
    poll_for(&mut fds, Duration::ZERO).is_ok() && fds[0].revents().contains(PollFlags::ERR)
}

fn poll_for(fds: &mut [PollFd<'_>], time: Duration) -> io::Result<bool> {
    let until = later(Instant::now(), time);
    let mut left = time;
    loop {
        match poll(fds, timespec(left).as_ref()) {
            Ok(0) if left > LONGEST => {}
            Err(Errno::INTR) => {}
            ready => return Ok(ready? > 0),
        }
        left = until.saturating_duration_since(Instant::now());
    }
}

/// What the system's call takes.
fn timespec(time: Duration) -> Option<Timespec> {
    Timespec::try_from(time.min(LONGEST)).ok()
}

/// Waits for descriptors to be ready; any thread can end the wait.
#[derive(Debug)]
pub(crate) struct Poller {
    wake: Wake,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { wake: Wake::new()? })
    }

    /// Ends the wait under way, or else the next one.
    pub(crate) fn wake(&self) {
        self.wake.set();
    }

    /// Whether a stream has a descriptor to wait for.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(crate) fn can_watch(stream: &dyn Stream) -> bool {
        stream.poll_fd().is_some()
    }

    /// Blocks until `source` is readable or broken, a wake, or the end of the time; whether the source is.
    pub(crate) fn wait_readable(&self, source: &impl AsFd, timeout: Option<Duration>) -> io::Result<bool> {
        Ok(self.wait(vec![PollFd::new(source, PollFlags::IN), PollFd::new(&self.wake, PollFlags::IN)], timeout)?
            == [true])
    }

    /// Blocks until one of `sources` is writable or broken, a wake, or the end of the time; says which are.
    #[cfg(unix)]
    pub(crate) fn wait_connected<'a, S: AsFd + 'a>(
        &self,
        sources: impl Iterator<Item = &'a S>,
        timeout: Option<Duration>,
    ) -> io::Result<Vec<bool>> {
        let fds = sources.map(|source| PollFd::new(source, PollFlags::OUT));
        self.wait(fds.chain([PollFd::new(&self.wake, PollFlags::IN)]).collect(), timeout)
    }

    /// Blocks until one of `streams` is writable or broken, a wake, or the end of the time; says which are ready.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(crate) fn wait_writable(&self, streams: &[&dyn Stream], timeout: Option<Duration>) -> io::Result<Vec<bool>> {
        let fds: Vec<_> = streams.iter().map(|stream| stream.poll_fd()).collect();
        let writable = fds.iter().flatten().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::OUT));
        let fds_and_wake = writable.chain([PollFd::new(&self.wake, PollFlags::IN)]).collect();
        let mut ready = self.wait(fds_and_wake, timeout)?.into_iter();
        // A stream without a descriptor any more is never ready.
        Ok(fds.iter().map(|fd| fd.is_some() && ready.next() == Some(true)).collect())
    }

    /// Polls; the last of `fds` is the wake-up's, and is not reported.
    fn wait(&self, mut fds: Vec<PollFd<'_>>, timeout: Option<Duration>) -> io::Result<Vec<bool>> {
        match poll(&mut fds, timeout.and_then(timespec).as_ref()) {
            // After a signal nothing has been reported yet; the caller waits again.
            Err(Errno::INTR) => return Ok(vec![false; fds.len() - 1]),
            result => result?,
        };
        let mut ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        if ready.pop() == Some(true) {
            self.wake.clear();
        }
        Ok(ready)
    }
}

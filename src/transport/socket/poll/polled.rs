//! Descriptors are polled, together with a wake-up.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::sync::later;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
use crate::transport::Stream;

/// Blocks until `source` is readable, has ended or is broken, at most for `time`; whether it is. A signal is no reason
/// to wait less.
pub(crate) fn wait_readable(source: &impl AsFd, time: Duration) -> io::Result<bool> {
    let until = later(Instant::now(), time);
    let mut left = time;
    loop {
        let timeout = Timespec::try_from(left).ok();
        match poll(&mut [PollFd::new(source, PollFlags::IN)], timeout.as_ref()) {
            Err(Errno::INTR) => left = until.saturating_duration_since(Instant::now()),
            ready => return Ok(ready? > 0),
        }
    }
}

/// Waits for descriptors to be ready; any thread can end the wait.
#[derive(Debug)]
pub(crate) struct Poller {
    wake: UnixStream,
    woken: UnixStream,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        let (wake, woken) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        woken.set_nonblocking(true)?;
        Ok(Self { wake, woken })
    }

    /// Ends the wait under way, or else the next one.
    pub(crate) fn wake(&self) {
        // Otherwise it fails only when the pipe is full, and then it wakes already: both ends live as long as `self`.
        while (&self.wake).write(&[0]).is_err_and(|error| error.kind() == io::ErrorKind::Interrupted) {}
    }

    /// Whether a stream has a descriptor to wait for.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(crate) fn can_watch(stream: &dyn Stream) -> bool {
        stream.poll_fd().is_some()
    }

    /// Blocks until `source` is readable or broken, a wake, or the end of the time; whether the source is.
    pub(crate) fn wait_readable(&self, source: &impl AsFd, timeout: Option<Duration>) -> io::Result<bool> {
        Ok(self.wait(vec![PollFd::new(source, PollFlags::IN), self.wake_up()], timeout)? == [true])
    }

    /// Blocks until one of `sources` is writable or broken, a wake, or the end of the time; says which are.
    pub(crate) fn wait_connected<'a, S: AsFd + 'a>(
        &self,
        sources: impl Iterator<Item = &'a S>,
        timeout: Option<Duration>,
    ) -> io::Result<Vec<bool>> {
        let fds = sources.map(|source| PollFd::new(source, PollFlags::OUT));
        self.wait(fds.chain([self.wake_up()]).collect(), timeout)
    }

    /// Blocks until one of `streams` is writable or broken, a wake, or the end of the time; says which are ready.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(crate) fn wait_writable(&self, streams: &[&dyn Stream], timeout: Option<Duration>) -> io::Result<Vec<bool>> {
        let fds: Vec<_> = streams.iter().map(|stream| stream.poll_fd()).collect();
        let writable = fds.iter().flatten().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::OUT));
        let mut ready = self.wait(writable.chain([self.wake_up()]).collect(), timeout)?.into_iter();
        // A stream without a descriptor any more is never ready.
        Ok(fds.iter().map(|fd| fd.is_some() && ready.next() == Some(true)).collect())
    }

    fn wake_up(&self) -> PollFd<'_> {
        PollFd::new(&self.woken, PollFlags::IN)
    }

    /// Polls; the last of `fds` is the wake-up's, and is not reported.
    fn wait(&self, mut fds: Vec<PollFd<'_>>, timeout: Option<Duration>) -> io::Result<Vec<bool>> {
        // A time that the system's type cannot hold is as good as for ever.
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        match poll(&mut fds, timeout.as_ref()) {
            // After a signal nothing has been reported yet; the caller waits again.
            Err(Errno::INTR) => return Ok(vec![false; fds.len() - 1]),
            result => result?,
        };
        let mut ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        if ready.pop() == Some(true) {
            let mut drained = [0; 64];
            while (&self.woken).read(&mut drained).is_ok_and(|len| len == drained.len()) {}
        }
        Ok(ready)
    }
}

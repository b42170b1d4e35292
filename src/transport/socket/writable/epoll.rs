//! The system remembers who is watched, and tells who is ready.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::{self as system, Errno};

use crate::transport::Stream;

/// The number of the wake-up.
const WAKE: u64 = u64::MAX;

/// How many are told of at once; the others next time.
const AT_ONCE: usize = 64;

/// Each is told of once, so that one of whom nobody knows any more, because a transport has given it another
/// descriptor meanwhile, is not told of for ever.
const READY_ONCE: EventFlags = EventFlags::OUT.union(EventFlags::ONESHOT);

/// Those who wait are told apart by a number each.
#[derive(Debug)]
pub(crate) struct Writable {
    epoll: OwnedFd,
    wake: OwnedFd,
}

impl Writable {
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &wake, EventData::new_u64(WAKE), EventFlags::IN)?;
        Ok(Self { epoll, wake })
    }

    /// Whether a stream can be watched at all.
    pub(crate) fn can_watch(stream: &dyn Stream) -> bool {
        stream.poll_fd().is_some()
    }

    /// Ends the wait under way, or else the next one.
    pub(crate) fn wake(&self) {
        // Otherwise it fails only when it has been asked so often that it wakes already.
        while system::write(&self.wake, &1_u64.to_ne_bytes()) == Err(Errno::INTR) {}
    }

    /// Watches a stream, until it is ready once.
    ///
    /// # Errors
    ///
    /// The system refuses, because its descriptor is of a kind that is always ready, or is watched already under
    /// another number.
    pub(crate) fn watch(&self, number: u64, stream: &dyn Stream) -> io::Result<()> {
        let fd = stream.poll_fd().ok_or(io::ErrorKind::Unsupported)?;
        Ok(epoll::add(&self.epoll, fd, EventData::new_u64(number), READY_ONCE)?)
    }

    /// Watches one again that has been ready, and is not any more.
    pub(crate) fn watch_again(&self, number: u64, stream: &dyn Stream) -> io::Result<()> {
        let fd = stream.poll_fd().ok_or(io::ErrorKind::Unsupported)?;
        Ok(epoll::modify(&self.epoll, fd, EventData::new_u64(number), READY_ONCE)?)
    }

    /// Watches a stream no more.
    pub(crate) fn forget(&self, stream: &dyn Stream) {
        if let Some(fd) = stream.poll_fd() {
            // Fails where the stream has closed it, and with that it is forgotten.
            let _ = epoll::delete(&self.epoll, fd);
        }
    }

    /// Blocks until one of those that are watched takes bytes or is broken, a wake, or the end of the time; who is
    /// ready. `_watched` is everybody, for systems that forget.
    pub(crate) fn wait<'a>(
        &self,
        _watched: impl Iterator<Item = (u64, &'a dyn Stream)>,
        timeout: Option<Duration>,
    ) -> io::Result<Vec<u64>> {
        let now = Timespec::default();
        // A time that the system's type cannot hold is as good as for ever.
        let until = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let until = match poll(&mut [PollFd::new(&self.epoll, PollFlags::IN)], until.as_ref()) {
            Ok(_) => Some(now),
            // After a signal nothing has been reported yet; the caller waits again.
            Err(Errno::INTR) => return Ok(Vec::new()),
            // A process that has forbidden itself all further descriptors may poll none; this one waits in whole
            // milliseconds only, which is too long for ticks.
            Err(Errno::INVAL) => timeout.map(in_milliseconds),
            Err(error) => return Err(error.into()),
        };
        let mut events = Vec::with_capacity(AT_ONCE);
        match epoll::wait(&self.epoll, spare_capacity(&mut events), until.as_ref()) {
            Err(Errno::INTR) => return Ok(Vec::new()),
            result => result?,
        };
        let mut ready: Vec<u64> = events.iter().map(|event| event.data.u64()).collect();
        if ready.contains(&WAKE) {
            let _ = system::read(&self.wake, &mut [0; 8]);
            ready.retain(|number| *number != WAKE);
        }
        Ok(ready)
    }
}

/// Rounded up, and no more than the system takes.
fn in_milliseconds(time: Duration) -> Timespec {
    let milliseconds = i64::try_from(time.as_nanos().div_ceil(1_000_000)).map_or(i64::from(i32::MAX), |time| time);
    let milliseconds = milliseconds.min(i64::from(i32::MAX));
    Timespec { tv_sec: milliseconds / 1000, tv_nsec: milliseconds % 1000 * 1_000_000 }
}

//! Each wait names everybody.

use std::io;
use std::time::Duration;

use crate::transport::Stream;
use crate::transport::socket::poll::Poller;

/// Those who wait are told apart by a number each.
#[derive(Debug)]
pub(crate) struct Writable {
    poller: Poller,
}

impl Writable {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { poller: Poller::new()? })
    }

    /// Whether a stream can be watched at all.
    pub(crate) fn can_watch(stream: &dyn Stream) -> bool {
        Poller::can_watch(stream)
    }

    /// Ends the wait under way, or else the next one.
    pub(crate) fn wake(&self) {
        self.poller.wake();
    }

    /// Watches a stream: it is among those that are given to [`wait`](Self::wait).
    pub(crate) fn watch(&self, _: u64, _: &dyn Stream) -> io::Result<()> {
        Ok(())
    }

    /// Watches one again that has been ready, and is not any more.
    pub(crate) fn watch_again(&self, _: u64, _: &dyn Stream) -> io::Result<()> {
        Ok(())
    }

    /// Watches a stream no more.
    pub(crate) fn forget(&self, _: &dyn Stream) {}

    /// Blocks until one of those that are `watched` takes bytes or is broken, a wake, or the end of the time; who is
    /// ready.
    pub(crate) fn wait<'a>(
        &self,
        watched: impl Iterator<Item = (u64, &'a dyn Stream)>,
        timeout: Option<Duration>,
    ) -> io::Result<Vec<u64>> {
        let (numbers, streams): (Vec<_>, Vec<_>) = watched.unzip();
        let ready = self.poller.wait_writable(&streams, timeout)?;
        Ok(numbers.into_iter().zip(ready).filter(|(_, is_ready)| *is_ready).map(|(number, _)| number).collect())
    }
}

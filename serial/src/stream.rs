use std::fmt;
use std::io::{self, IoSlice};
use std::net::Shutdown;
#[cfg(unix)]
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::device::{self, Device};
use super::ports::Lease;
use super::settings::Settings;
use crate::transport::Stream;

/// How many characters a device that is [drained](Device::is_drained) may still have to send.
const LAST_CHARACTERS: u32 = 256;

/// How long the line is busy with one write at most.
const A_WHILE: Duration = Duration::from_secs(1);

/// A serial port that is open.
pub struct SerialStream {
    line: Arc<Line>,
    /// What was read while the device was identified, and belongs to its first messages.
    ahead: Mutex<Vec<u8>>,
}

/// The port itself, which whoever identifies the device may have to end meanwhile.
pub(super) struct Line {
    device: Device,
    peer: String,
    settings: Settings,
    /// When the writing half was ended.
    finished: Mutex<Option<Instant>>,
    given_up: AtomicBool,
    /// Dropped last: until then the port is open.
    lease: Option<Lease>,
}

impl SerialStream {
    /// Takes over a descriptor of a terminal that is open already, with the settings that it has, and makes it
    /// non-blocking: for instance one end of a pseudo-terminal, behind which a program plays a device.
    ///
    /// `peer` is what the other end is called, for people.
    ///
    /// # Errors
    ///
    /// What the operating system reports.
    #[cfg(unix)]
    pub fn new(terminal: impl Into<OwnedFd>, peer: impl Into<String>) -> io::Result<Self> {
        Ok(Self::of(Device::of(terminal.into())?, peer.into(), Settings::default(), None))
    }

    pub(super) fn open(name: &str, settings: Settings, lease: Lease) -> io::Result<Self> {
        Ok(Self::of(Device::open(name, settings)?, name.to_owned(), settings, Some(lease)))
    }

    fn of(device: Device, peer: String, settings: Settings, lease: Option<Lease>) -> Self {
        let line = Line { device, peer, settings, finished: Mutex::new(None), given_up: AtomicBool::new(false), lease };
        Self { line: Arc::new(line), ahead: Mutex::default() }
    }

    pub(super) fn line(&self) -> &Arc<Line> {
        &self.line
    }

    /// Gives back what was read too much of.
    pub(super) fn put_back(&self, bytes: &[u8]) {
        self.ahead.lock().extend_from_slice(bytes);
    }

    /// Reads, at most until `deadline`: `WouldBlock` then.
    pub(super) fn read_until(&self, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
        self.line.read(buffer, Some(deadline.saturating_duration_since(Instant::now())))
    }

    /// Writes all of it, at most until `deadline`: `WouldBlock` then.
    pub(super) fn write_until(&self, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
        while !bytes.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.line.write(&[IoSlice::new(bytes)], Some(left)) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn take_ahead(&self, buffer: &mut [u8]) -> usize {
        let mut ahead = self.ahead.lock();
        let count = ahead.len().min(buffer.len());
        buffer[..count].copy_from_slice(&ahead[..count]);
        ahead.drain(..count);
        count
    }
}

impl Line {
    fn read(&self, buffer: &mut [u8], time: Option<Duration>) -> io::Result<usize> {
        self.device.read(buffer, time).inspect_err(|error| self.note(error))
    }

    fn write(&self, buffers: &[IoSlice<'_>], time: Option<Duration>) -> io::Result<usize> {
        self.device.write(&self.no_more_than_a_while(buffers), time).inspect_err(|error| self.note(error))
    }

    /// As much as the line carries in [`A_WHILE`]: a system takes kilobytes, with which a slow line is busy for so long
    /// that it would be taken for a device that is stuck.
    fn no_more_than_a_while<'a>(&self, buffers: &'a [IoSlice<'a>]) -> Vec<IoSlice<'a>> {
        let mut left = self.settings.characters_in(A_WHILE);
        let taken = buffers.iter().map(|buffer| {
            let len = buffer.len().min(left);
            left -= len;
            IoSlice::new(&buffer[..len])
        });
        taken.filter(|buffer| !buffer.is_empty()).collect()
    }

    /// Has a device that is gone forgotten: another one may come to the same port.
    fn note(&self, error: &io::Error) {
        if let (true, Some(lease)) = (device::is_gone(error), &self.lease) {
            lease.forget_owner();
        }
    }

    /// Ends every read and write, now and later.
    pub(super) fn end(&self) {
        self.device.end();
    }

    /// Also gives up what is written and not on its way yet.
    pub(super) fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
        self.device.end();
        self.device.discard_output();
    }

    /// Whether the device takes nothing: it has not sent the last characters in a time that was long enough for them.
    fn is_stuck(&self) -> bool {
        let enough = 2 * self.settings.time_for(LAST_CHARACTERS);
        let sends = self.lease.as_ref().is_some_and(|lease| !lease.is_pseudo_terminal());
        sends && self.finished.lock().is_some_and(|finished| finished.elapsed() > enough)
    }
}

impl Stream for SerialStream {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.take_ahead(buffer) {
            0 => self.line.read(buffer, None),
            count => Ok(count),
        }
    }

    #[cfg(all(unix, not(leads_comm_portable)))]
    fn wait_readable(&self, time: Duration) -> io::Result<bool> {
        if !self.ahead.lock().is_empty() {
            return Ok(true);
        }
        self.line.device.wait_readable(time)
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.line.write(buffers, None)
    }

    #[cfg(all(unix, not(leads_comm_portable)))]
    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let line = &self.line;
        line.device.try_write(&line.no_more_than_a_while(buffers)).inspect_err(|error| line.note(error))
    }

    fn flush(&self) -> io::Result<()> {
        self.line.device.drain()
    }

    /// What it holds is what the system has not sent yet, but for the last 255 characters, where it tells.
    fn try_flush(&self) -> io::Result<()> {
        if self.line.device.is_drained() { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }

    #[cfg(unix)]
    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        self.line.device.poll_fd()
    }

    fn has_end(&self) -> bool {
        false
    }

    /// There is nothing that the peer could see of it.
    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match how {
            Shutdown::Write => {
                if !self.line.device.is_drained() {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                self.line.finished.lock().get_or_insert_with(Instant::now);
            }
            Shutdown::Read | Shutdown::Both => self.line.end(),
        }
        Ok(())
    }

    /// Throws away what the system has not sent yet. The peer sees nothing of it.
    fn abort(&self) -> io::Result<()> {
        self.line.give_up();
        Ok(())
    }

    fn peer(&self) -> String {
        self.line.peer.clone()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.is_stuck() {
            self.device.discard_output();
        }
    }
}

impl fmt::Debug for SerialStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SerialStream").field(&self.line.peer).finish()
    }
}

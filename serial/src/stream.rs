use std::fmt;
use std::io::{self, IoSlice};
use std::net::Shutdown;
#[cfg(unix)]
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use leads_comm::transport::Stream;
use parking_lot::Mutex;

use crate::device::{self, Device};
use crate::lease::Lease;
use crate::settings::Settings;

/// How many characters a device that is [drained](Device::is_drained) may still have to send.
const LAST_CHARACTERS: u32 = 256;

/// How long the line is busy with one write at most.
const A_WHILE: Duration = Duration::from_secs(1);

/// A serial port that is open.
pub struct SerialStream {
    /// Shared with whoever may have to end it while it is identified.
    device: Arc<Device>,
    peer: String,
    settings: Settings,
    /// What was read while the device was identified, and belongs to its first messages.
    ahead: Mutex<Vec<u8>>,
    /// When the writing half was ended.
    finished: Mutex<Option<Instant>>,
    /// Dropped last: until then the port is open.
    lease: Option<Lease>,
}

impl SerialStream {
    /// Takes over a descriptor of a terminal that is open already, with the settings that it has, and makes it
    /// non-blocking until it is dropped, for all clones of the descriptor: for instance one end of a pseudo-terminal,
    /// behind which a program plays a device.
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

    pub(crate) fn open(name: &str, settings: Settings, lease: Lease) -> io::Result<Self> {
        Ok(Self::of(Device::open(name, settings)?, name.to_owned(), settings, Some(lease)))
    }

    fn of(device: Device, peer: String, settings: Settings, lease: Option<Lease>) -> Self {
        let device = Arc::new(device);
        Self { device, peer, settings, ahead: Mutex::default(), finished: Mutex::default(), lease }
    }

    pub(crate) fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// Gives back what was read too much of.
    pub(crate) fn put_back(&self, bytes: &[u8]) {
        self.ahead.lock().extend_from_slice(bytes);
    }

    /// Reads, at most until `deadline`: `WouldBlock` then.
    pub(crate) fn read_until(&self, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
        self.read_within(buffer, Some(deadline.saturating_duration_since(Instant::now())))
    }

    /// Writes all of it, at most until `deadline`: `WouldBlock` then.
    pub(crate) fn write_until(&self, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
        while !bytes.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.write_within(&[IoSlice::new(bytes)], Some(left)) {
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

    fn read_within(&self, buffer: &mut [u8], time: Option<Duration>) -> io::Result<usize> {
        self.device.read(buffer, time).inspect_err(|error| self.note(error))
    }

    fn write_within(&self, buffers: &[IoSlice<'_>], time: Option<Duration>) -> io::Result<usize> {
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

    /// Ends every read and write, now and later, and gives up what is written and not on its way yet.
    pub(crate) fn give_up(&self) {
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
            0 => self.read_within(buffer, None),
            count => Ok(count),
        }
    }

    #[cfg(all(unix, not(leads_comm_portable)))]
    fn wait_readable(&self, time: Duration) -> io::Result<bool> {
        if !self.ahead.lock().is_empty() {
            return Ok(true);
        }
        self.device.wait_readable(time)
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_within(buffers, None)
    }

    #[cfg(all(unix, not(leads_comm_portable)))]
    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.device.try_write(&self.no_more_than_a_while(buffers)).inspect_err(|error| self.note(error))
    }

    fn flush(&self) -> io::Result<()> {
        self.device.drain()
    }

    /// What it holds is what the system has not sent yet, but for the last 255 characters, where it tells.
    fn try_flush(&self) -> io::Result<()> {
        if self.device.is_drained() { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }

    #[cfg(unix)]
    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        self.device.poll_fd()
    }

    fn has_end(&self) -> bool {
        false
    }

    /// There is nothing that the peer could see of it.
    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match how {
            Shutdown::Write => {
                if !self.device.is_drained() {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                self.finished.lock().get_or_insert_with(Instant::now);
            }
            Shutdown::Read | Shutdown::Both => self.device.end(),
        }
        Ok(())
    }

    /// Throws away what the system has not sent yet. The peer sees nothing of it.
    fn abort(&self) -> io::Result<()> {
        self.give_up();
        Ok(())
    }

    fn peer(&self) -> String {
        self.peer.clone()
    }
}

impl Drop for SerialStream {
    fn drop(&mut self) {
        if self.is_stuck() {
            self.device.discard_output();
        }
    }
}

impl fmt::Debug for SerialStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SerialStream").field(&self.peer).finish()
    }
}

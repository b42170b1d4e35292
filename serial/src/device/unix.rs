//! Where descriptors can be polled: no call on the device blocks, and waiting is polling, together with a wake-up.

use std::fs::File;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, OFlags, fcntl_getfl, fcntl_setfl, flock};
use rustix::io::Errno;
use rustix::termios::{QueueSelector, ioctl_tiocexcl, ioctl_tiocnxcl, tcflush};
use serial2::{IntoSettings, SerialPort};

use super::{gone, in_use};
use crate::settings::Settings;

/// How often a write that blocks looks for room by itself: a pseudo-terminal tells of it only when its other end
/// has read all but a few bytes.
const ROOM_LOOK: Duration = Duration::from_millis(50);

/// The longest time that every system takes: many count milliseconds in 31 bits.
const LONGEST_WAIT: Duration = Duration::from_millis(i32::MAX as u64);

#[derive(Debug)]
pub(crate) struct Device {
    port: SerialPort,
    ended: AtomicBool,
    wake: UnixStream,
    /// Readable from the end on: every wait is over then.
    woken: UnixStream,
    /// Whether the system has been asked to keep others out.
    exclusive: bool,
    /// Whether it was blocking when the program gave it, which may use it still.
    was_blocking: bool,
}

impl Device {
    /// Opens the device, for this process alone, and throws away what had arrived before.
    pub(crate) fn open(name: &str, settings: Settings) -> io::Result<Self> {
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let flags = i32::try_from(flags.bits()).expect("flags are an integer of the system's");
        let file = File::options().read(true).write(true).custom_flags(flags).open(name).map_err(not_opened)?;
        // Before it is configured, so that a port that somebody else uses is left as it is. The first keeps out who
        // does the same, also root, whom the second does not bind; the second keeps out all others.
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
            Errno::WOULDBLOCK => in_use(),
            error => error.into(),
        })?;
        ioctl_tiocexcl(&file).map_err(|error| not_opened(error.into()))?;
        let mut device = Self::with_wake_up(OwnedFd::from(file).into())?;
        device.exclusive = true;
        let mut configured = device.port.get_configuration()?;
        settings.apply_to_settings(&mut configured)?;
        device.port.set_configuration(&configured)?;
        tcflush(&device.port, QueueSelector::IFlush)?;
        Ok(device)
    }

    /// Takes over a descriptor, with the settings that it has.
    pub(crate) fn of(fd: OwnedFd) -> io::Result<Self> {
        let flags = fcntl_getfl(&fd)?;
        fcntl_setfl(&fd, flags | OFlags::NONBLOCK)?;
        let mut device = Self::with_wake_up(fd.into())?;
        device.was_blocking = !flags.contains(OFlags::NONBLOCK);
        Ok(device)
    }

    fn with_wake_up(port: SerialPort) -> io::Result<Self> {
        let (wake, woken) = UnixStream::pair()?;
        Ok(Self { port, ended: AtomicBool::new(false), wake, woken, exclusive: false, was_blocking: false })
    }

    /// Reads what there is; waits for it, at most for `time`: `WouldBlock` then. 0 once this has been ended.
    pub(crate) fn read(&self, buffer: &mut [u8], time: Option<Duration>) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let mut waited = false;
        loop {
            if self.is_ended() {
                return Ok(0);
            }
            match rustix::io::read(&self.port, &mut *buffer) {
                // It has been hung up; of a device that is silent the system says something else.
                Ok(0) => return Err(gone(None)),
                Ok(count) => return Ok(count),
                Err(Errno::WOULDBLOCK) if waited => return Err(io::ErrorKind::WouldBlock.into()),
                Err(Errno::WOULDBLOCK) => waited = !self.wait(PollFlags::IN, time)?,
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// Blocks until there is something to read, an end included, at most for `time`; whether there is.
    pub(crate) fn wait_readable(&self, time: Duration) -> io::Result<bool> {
        self.wait(PollFlags::IN, Some(time))
    }

    /// Writes some bytes; waits until some are taken, at most for `time`: `WouldBlock` then.
    pub(crate) fn write(&self, buffers: &[IoSlice<'_>], time: Option<Duration>) -> io::Result<usize> {
        let began = Instant::now();
        loop {
            let left = time.map_or(ROOM_LOOK, |time| time.saturating_sub(began.elapsed()).min(ROOM_LOOK));
            match self.try_write(buffers) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !left.is_zero() => {
                    self.wait(PollFlags::OUT, Some(left))?;
                }
                result => return result,
            }
        }
    }

    pub(crate) fn try_write(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.is_ended() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        match rustix::io::writev(&self.port, buffers) {
            // Some drivers say it in this way when they are full.
            Ok(0) if buffers.iter().any(|buffer| !buffer.is_empty()) => Err(io::ErrorKind::WouldBlock.into()),
            Ok(count) => Ok(count),
            Err(error) => Err(failed(error)),
        }
    }

    /// Whether what has been written is on its way but for the last few characters, 255 at most; true as well when
    /// that cannot be told, or the device is gone.
    pub(crate) fn is_drained(&self) -> bool {
        let mut fds = [PollFd::new(&self.port, PollFlags::OUT)];
        poll(&mut fds, Some(&Timespec::default())).map_or(true, |ready| ready > 0)
    }

    /// Blocks until it is [drained](Self::is_drained).
    pub(crate) fn drain(&self) -> io::Result<()> {
        loop {
            let drained = self.is_drained();
            // Looked at behind that: with the end, what is left may be thrown away.
            if self.is_ended() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            if drained {
                return Ok(());
            }
            self.wait(PollFlags::OUT, Some(ROOM_LOOK))?;
        }
    }

    pub(crate) fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.port.as_fd())
    }

    /// Ends every wait, now and later.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        // Fails when it has been done already.
        let _ = self.wake.shutdown(Shutdown::Both);
    }

    fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Throws away what has been written and is not on its way yet. Closing the device would wait for it, on Linux
    /// for up to half a minute when the other end takes nothing.
    pub(crate) fn discard_output(&self) {
        // Fails when the device is gone, and its output with it.
        let _ = tcflush(&self.port, QueueSelector::OFlush);
    }

    /// Blocks until the device is ready or broken, or this has been ended, at most for `time`; whether it was so.
    fn wait(&self, event: PollFlags, time: Option<Duration>) -> io::Result<bool> {
        let timeout = time.and_then(|time| Timespec::try_from(time.min(LONGEST_WAIT)).ok());
        let mut fds = [PollFd::new(&self.port, event), PollFd::new(&self.woken, PollFlags::IN)];
        Ok(poll(&mut fds, timeout.as_ref())? > 0)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if self.exclusive {
            // A pseudo-terminal would remember it as long as its other end is open.
            let _ = ioctl_tiocnxcl(&self.port);
            // Closing it would leave the lock to a process that is just being started, until it is another program.
            let _ = flock(&self.port, FlockOperation::Unlock);
        }
        if let (true, Ok(flags)) = (self.was_blocking, fcntl_getfl(&self.port)) {
            let _ = fcntl_setfl(&self.port, flags - OFlags::NONBLOCK);
        }
    }
}

fn not_opened(error: io::Error) -> io::Error {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::BUSY) => in_use(),
        Some(Errno::NOTTY) => io::Error::new(io::ErrorKind::InvalidInput, "not a serial port"),
        _ => error,
    }
}

fn failed(error: Errno) -> io::Error {
    match error {
        Errno::IO | Errno::NXIO | Errno::NODEV => gone(io::Error::from(error)),
        error => error.into(),
    }
}

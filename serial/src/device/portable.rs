//! Elsewhere: calls that block for a short time only, and look in between whether this has been ended.

use std::io::{self, IoSlice};
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use leads_comm::transport::is_nothing_yet;
use serial2::SerialPort;

use super::{gone, in_use};
use crate::settings::Settings;

/// How long a call blocks at most.
const TURN: Duration = Duration::from_millis(50);

/// How many buffers every system takes in one call.
const MAX_BUFFERS: usize = 16;

#[derive(Debug)]
pub(crate) struct Device {
    port: SerialPort,
    ended: AtomicBool,
}

impl Device {
    /// Opens the device, and throws away what had arrived before.
    pub(crate) fn open(name: &str, settings: Settings) -> io::Result<Self> {
        let port = SerialPort::open(name, settings).map_err(|error| match error.kind() {
            // What Windows says of a port that is open already.
            io::ErrorKind::PermissionDenied if cfg!(windows) => in_use(),
            _ => error,
        })?;
        port.discard_input_buffer()?;
        Self::with_time_outs(port)
    }

    /// Takes over a descriptor, with the settings that it has.
    #[cfg(unix)]
    pub(crate) fn of(fd: OwnedFd) -> io::Result<Self> {
        Self::with_time_outs(fd.into())
    }

    fn with_time_outs(mut port: SerialPort) -> io::Result<Self> {
        port.set_read_timeout(TURN)?;
        port.set_write_timeout(TURN)?;
        Ok(Self { port, ended: AtomicBool::new(false) })
    }

    /// Reads what there is; waits for it, at most for about `time`: `WouldBlock` then. 0 once this has been ended.
    pub(crate) fn read(&self, buffer: &mut [u8], time: Option<Duration>) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        self.until(time, || match self.port.read(buffer) {
            Ok(0) => Err(gone(None)),
            result => result,
        })
        .or_else(|error| if self.is_ended() { Ok(0) } else { Err(error) })
    }

    /// Writes some bytes; waits until some are taken, at most for about `time`: `WouldBlock` then.
    pub(crate) fn write(&self, buffers: &[IoSlice<'_>], time: Option<Duration>) -> io::Result<usize> {
        let buffers = &buffers[..buffers.len().min(MAX_BUFFERS)];
        self.until(time, || self.port.write_vectored(buffers))
    }

    /// Calls until something comes of it.
    fn until(&self, time: Option<Duration>, mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
        let began = Instant::now();
        loop {
            if self.is_ended() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            match call() {
                Err(error) if is_nothing_yet(&error) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => return Err(error),
                Err(error) if error.raw_os_error().is_some() => return Err(gone(error)),
                result => return result,
            }
            if time.is_some_and(|time| began.elapsed() >= time) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
        }
    }

    /// Not known here.
    pub(crate) fn is_drained(&self) -> bool {
        true
    }

    /// Nor is there anything to wait for.
    pub(crate) fn drain(&self) -> io::Result<()> {
        Ok(())
    }

    #[cfg(unix)]
    pub(crate) fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.port.as_fd())
    }

    /// Ends every wait, now and later.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Throws away what has been written and is not on its way yet. Closing the device would wait for it.
    pub(crate) fn discard_output(&self) {
        // Fails when the device is gone, and its output with it.
        let _ = self.port.discard_output_buffer();
    }
}

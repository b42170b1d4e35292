//! An open serial device, and how reading and writing it wait.

use std::error::Error;
use std::fmt;
use std::io;

#[cfg_attr(all(unix, not(leads_comm_portable)), path = "unix.rs")]
#[cfg_attr(not(all(unix, not(leads_comm_portable))), path = "portable.rs")]
mod system;

pub(crate) use system::Device;

/// What there is to say of a device that has been unplugged.
#[derive(Debug)]
struct Gone {
    /// What the system reported, where that was more than an end.
    source: Option<io::Error>,
}

/// A device that is there no more. The system says so in many ways.
pub(crate) fn gone(source: impl Into<Option<io::Error>>) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, Gone { source: source.into() })
}

/// Whether an error is [`gone`].
pub(crate) fn is_gone(error: &io::Error) -> bool {
    error.get_ref().is_some_and(<dyn Error + Send + Sync>::is::<Gone>)
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the device is gone")
    }
}

impl Error for Gone {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

fn in_use() -> io::Error {
    io::Error::new(io::ErrorKind::ResourceBusy, "the port is in use")
}

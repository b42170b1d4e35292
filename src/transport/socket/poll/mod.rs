//! Waiting for streams and for other threads at once.

#[cfg_attr(all(unix, not(leads_comm_portable)), path = "polled.rs")]
#[cfg_attr(not(all(unix, not(leads_comm_portable))), path = "portable.rs")]
mod imp;

use std::time::Duration;

use crate::transport::Stream;
pub(crate) use imp::Poller;
#[cfg(all(unix, not(leads_comm_portable)))]
pub(crate) use imp::wait_readable;

/// Whether something has arrived that nobody has read, as far as the system can tell. Asks the system and not the
/// stream, whose reader may be in it.
pub(crate) fn has_unread(stream: &dyn Stream) -> bool {
    #[cfg(all(unix, not(leads_comm_portable)))]
    return stream.poll_fd().is_some_and(|fd| wait_readable(&fd, Duration::ZERO).unwrap_or(false));
    #[cfg(not(all(unix, not(leads_comm_portable))))]
    {
        let _ = (stream, Duration::ZERO);
        false
    }
}

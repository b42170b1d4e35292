//! Sockets of any kind, as the systems have them: reading and writing where each call can say how it is meant,
//! accepting and connecting that can be stopped, and waiting for what is ready.

pub(crate) mod accept;
pub(crate) mod connect;
pub(crate) mod poll;
#[cfg(target_os = "linux")]
pub(crate) mod sock_diag;
#[cfg(unix)]
mod transfer;
pub(crate) mod writable;

/// Runs what asks the system for many sockets, where that is done by something that is better opened once.
#[cfg(target_os = "linux")]
pub(crate) use sock_diag::asking_often;
#[cfg(not(target_os = "linux"))]
pub(crate) fn asking_often<T>(ask: impl FnOnce() -> T) -> T {
    ask()
}

#[cfg(unix)]
pub(crate) use transfer::{read, try_write, write};

//! Two connected sockets, for what is asked of a descriptor alone.

#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod imp;

pub use imp::Pair;

//! A connected socket whose blocked calls another thread can wake.

#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod imp;

pub(super) use imp::TcpSocket;

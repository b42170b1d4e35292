//! Waiting for streams that take no more bytes to take some again, however many there are: what a wait costs depends on
//! how many are ready.
//!
//! Linux is asked by `epoll`, other systems by `poll`, on Windows `WSAPoll`, which has to name everybody each time.

#[cfg_attr(any(target_os = "linux", target_os = "android"), path = "epoll.rs")]
#[cfg_attr(not(any(target_os = "linux", target_os = "android")), path = "polled.rs")]
mod imp;

pub(crate) use imp::Writable;

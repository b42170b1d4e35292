//! Waiting for streams that take no more bytes to take some again, however many there are: what a wait costs depends on
//! how many are ready.
//!
//! Linux is asked by `epoll`, other Unix systems by `poll`, which has to name everybody each time. Where descriptors
//! cannot be polled, each such stream is served by a thread of its own, and this only wakes and sleeps.

#[cfg_attr(all(any(target_os = "linux", target_os = "android"), not(leads_comm_portable)), path = "epoll.rs")]
#[cfg_attr(not(all(any(target_os = "linux", target_os = "android"), not(leads_comm_portable))), path = "polled.rs")]
mod imp;

pub(crate) use imp::Writable;

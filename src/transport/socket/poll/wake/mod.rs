//! What a thread polls beside its descriptors, so that others can wake it.

#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod imp;

pub(crate) use imp::Wake;

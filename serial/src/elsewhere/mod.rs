//! Whether other processes have a port open: those that lock nothing can be found only by what they have open.

#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "unknown.rs")]
mod system;

pub(crate) use system::is_open_elsewhere;

//! The numbers of services: as a monitor says them, and as others collect them.

#[allow(dead_code, reason = "what serves it comes with the page")]
mod prometheus;

#[allow(unused_imports, reason = "what serves it comes with the page")]
pub(crate) use prometheus::prometheus;

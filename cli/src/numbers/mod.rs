//! The numbers of services: as a monitor says them, how a verb publishes its own, and what Prometheus collects.

pub(crate) mod message;
#[allow(dead_code, reason = "what serves it comes with the page")]
mod prometheus;
pub(crate) mod publishing;

#[allow(unused_imports, reason = "what serves it comes with the page")]
pub(crate) use prometheus::prometheus;

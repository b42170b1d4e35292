//! The numbers of services: as a monitor says them, how a verb publishes its own, and what Prometheus collects.

pub(crate) mod message;
mod prometheus;
pub(crate) mod publishing;

pub(crate) use prometheus::{CONTENT_TYPE, prometheus};

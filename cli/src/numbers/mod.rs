//! The numbers of services: as a monitor says them, and as others collect them.

mod prometheus;

pub(crate) use prometheus::{CONTENT_TYPE, prometheus};

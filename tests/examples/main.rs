//! The examples as processes: what they print, what goes over the wire, and how they end.
//!
//! `cargo test` builds the examples first. To run this suite by itself: `cargo build --examples && cargo test --test
//! examples`.

mod chat;
mod command_line;
mod control_loop;
mod custom_framing;
mod custom_transport;
#[cfg(feature = "tls")]
mod gateway;
mod pit_wall;
mod process;
#[cfg(target_os = "linux")]
mod recipes;
#[cfg(all(unix, feature = "serial"))]
mod serial;
mod server;
mod sessions;
mod telemetry;
#[cfg(feature = "tls")]
mod tls;

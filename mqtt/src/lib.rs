//! MQTT for [`leads_comm`]: a [`Bridge`] between a stream of a vehicle and a broker, over an uplink that comes and
//! goes.
//!
//! The bridge is a callback that publishes, and a source of commands. What it promises to the vehicle is that it never
//! keeps it waiting: [`Bridge::publish`] takes a lock for a moment, whatever the broker, the uplink and the disk do.
//!
//! ```text
//!   vehicle ─▶ Bridge::publish ─▶ waiting ─▶ lc-mqtt ─┬─▶ live ───────▶ broker ─▶ up, field
//!                                                     └─▶ backlog ────▶        ─▶ backlog
//!   vehicle ◀─ the program's function ◀─ the reader ◀── allow-list ◀──        ◀─ down
//! ```
//!
#![doc = include_str!("../README.md")]

mod backlog;
mod bridge;
mod commands;
mod error;
mod event;
mod fields;
mod foreign;
mod framing;
mod gate;
mod in_flight;
mod kept;
mod pace;
mod rate;
mod receiving;
mod sender;
mod session;
mod settings;
mod shared;
mod stats;
mod status;
mod topics;
mod waiting;

pub use backlog::Offline;
pub use bridge::{Bridge, BridgeBuilder};
pub use commands::Commands;
pub use error::Error;
pub use event::{Event, Fault, Refusal};
pub use stats::Stats;
pub use topics::{Topics, escape, unescape};

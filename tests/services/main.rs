//! Services: a server and its clients, as a program uses them. One module for what a reader asks, with one module for
//! each suite: `cargo test --test services closing::` runs one.
//!
//! No test here counts what belongs to the process, installs a logger, or starts a process; those are in `alone`.

mod accepting;
mod api;
mod callbacks;
mod client;
mod ending;
mod framings;
mod monitor;
mod receiving;
mod sending;

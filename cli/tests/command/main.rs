//! The command as a process, and what surrounds it.

#![allow(dead_code, reason = "what all topics share is not used by each of them on every system")]

mod completions;
mod manual;
mod process;
mod wire;

mod listen;
mod send;
mod serve;

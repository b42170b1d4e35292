//! The program's code: when it is called, and what it may do.

#![allow(clippy::module_inception, reason = "the suite of this name is one of several")]

mod callback_channel;
mod callback_panics;
mod callbacks;
mod foreign;
mod latest;
mod matrix;
mod values;
